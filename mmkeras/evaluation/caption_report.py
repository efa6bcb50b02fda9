"""All measures of generated sentences at once."""

from collections.abc import Sequence

from mmkeras.evaluation.bleu import bleu
from mmkeras.evaluation.cider import DocumentFrequencies, cider_d
from mmkeras.evaluation.rouge import rouge_l
from mmkeras.evaluation.sentences import Tokenize, distinct_n, tokenized


def caption_report(
    sentences: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    document_frequencies: DocumentFrequencies | None = None,
    tokenize: Tokenize | None = None,
) -> dict[str, float]:
    """Judge generated sentences, captions or translations, by what people wrote and by how varied they are.

    Read both halves together: a model that says the same safe sentence of every picture can score well on n-grams,
    and then `num_distinct` is small.

    Args:
        sentences: one generated sentence per sample; an empty one scores 0.
        references: for each sample what people wrote, a string or a list of them, not equally many in each.
        document_frequencies: `DocumentFrequencies` of another set for `cider_d`; default: those of `references`.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Dict with `num_samples`; `bleu_1` to `bleu_4`, `rouge_l` (0..1) and `cider_d` (0..10); `distinct_1` and
        `distinct_2` (share of the different among all words and pairs of words), `num_distinct` (number of different
        sentences, as lists of words) and `mean_length` (words per sentence).

    Example:

    >>> report = caption_report(["a dog", "a dog"], [["a dog runs", "the dog"], ["a cat"]])
    >>> report["bleu_1"], report["num_distinct"], report["distinct_1"], report["mean_length"]
    (0.75, 1, 0.5, 2.0)
    """
    found = bleu(sentences, references, tokenize=tokenize)
    words = tokenized(sentences, tokenize)
    return {
        "num_samples": len(words),
        **{key: found[key] for key in ("bleu_1", "bleu_2", "bleu_3", "bleu_4")},
        "rouge_l": rouge_l(sentences, references, tokenize=tokenize),
        "cider_d": cider_d(sentences, references, document_frequencies=document_frequencies, tokenize=tokenize),
        "distinct_1": distinct_n(sentences, 1, tokenize=tokenize),
        "distinct_2": distinct_n(sentences, 2, tokenize=tokenize),
        "num_distinct": len(set(map(tuple, words))),
        "mean_length": sum(map(len, words)) / len(words),
    }
