"""Precision of the n-grams of generated sentences."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mmkeras.evaluation.sentences import Tokenize, ngrams, tokenized_pairs
from mmkeras.retrieval.embeddings import check_count


def bleu(
    sentences: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    max_order: int = 4,
    smooth: bool = False,
    tokenize: Tokenize | None = None,
) -> dict[str, float]:
    """Measure how many n-grams of sentences are in their references, over the corpus.

    `bleu_n = brevity penalty * geometric mean of the precisions of 1..n words`. The precision is `matches / n-grams`
    over all sentences; an n-gram matches at most as often as it is in one of the references. With fewer words than
    the references have, the penalty is `exp(1 - reference words / words)`, where each sentence counts the reference
    of the closest length, of two equally close the shorter.

    Equals sacreBLEU (which gives percent) and the COCO toolkit on the same words. `keras_hub.metrics.Bleu` takes the
    shortest reference instead of the closest and smooths single words too, so that it equals this where each sample
    has one reference and nothing is smoothed. Papers on translation keep case and punctuation: give the words of
    their tokenizer by `tokenize`, `str.split` for text with a space between all tokens. Meant for a corpus; one
    sentence without a match of four words has a `bleu_4` of 0.

    Args:
        sentences: one generated sentence per sample.
        references: for each sample what people wrote, a string or a list of them, not equally many in each.
        max_order: words of the longest n-grams.
        smooth: whether to add 1 to the matches and the number of n-grams of two words and more (Lin and Och's
            smoothing, `add-k` in sacreBLEU), for small corpora.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Dict with `bleu_1` to `bleu_<max_order>` and `brevity_penalty` in 0..1, and `length_ratio` (words of the
        sentences / words of the references of the closest length; 0 if those have none).

    Example:

    >>> found = bleu(["a dog runs on grass"], [["a dog runs on the grass", "the dog plays"]])
    >>> [round(found[key], 3) for key in ("bleu_1", "bleu_2", "brevity_penalty", "length_ratio")]
    [0.819, 0.709, 0.819, 0.833]

    References:
        Papineni et al. 2002, BLEU: a Method for Automatic Evaluation of Machine Translation.
        Lin and Och 2004, ORANGE: a Method for Evaluating Automatic Evaluation Metrics for Machine Translation.
        Post 2018, A Call for Clarity in Reporting BLEU Scores.
    """
    check_count("max_order", max_order)
    matches, possible = np.zeros((2, max_order))
    length = reference_length = 0
    for words, people in tokenized_pairs(sentences, references, tokenize):
        allowed = Counter()
        for person in people:
            allowed |= ngrams(person, max_order)
        for ngram, count in ngrams(words, max_order).items():
            possible[len(ngram) - 1] += count
            matches[len(ngram) - 1] += min(count, allowed[ngram])
        length += len(words)
        reference_length += min((abs(len(person) - len(words)), len(person)) for person in people)[1]
    added = np.where(np.arange(max_order) > 0, float(smooth), 0.0)
    penalty = _brevity_penalty(length, reference_length)
    with np.errstate(divide="ignore"):
        logarithms = np.log((matches + added) / np.maximum(1, possible + added))
    scores = penalty * np.exp(np.cumsum(logarithms) / np.arange(1, max_order + 1))
    return {f"bleu_{order}": float(value) for order, value in enumerate(scores, 1)} | {
        "brevity_penalty": penalty,
        "length_ratio": length / reference_length if reference_length else 0.0,
    }


def _brevity_penalty(length, reference_length):
    if length >= reference_length:
        return 1.0
    return math.exp(1 - reference_length / length) if length else 0.0
