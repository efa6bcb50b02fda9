"""Sentences as words, and what can be counted on them: variety, agreement word by word, surprise."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.retrieval.embeddings import check_count

Tokenize = Callable[[str], Sequence[str]]

# A comma or colon between digits belongs to the number or the time.
_PUNCTUATION = re.compile(
    r"[\"\u201c\u201d\u201e\u00ab\u00bb`()\[\]{}?!;\u2026\u2013\u2014]|--+|\.{2,}|(?<!\d)[,:]|[,:](?!\d)"
)
_APOSTROPHES = str.maketrans("\u2018\u2019", "''")
_SYMBOL = re.compile(r"([$%#*+=~])")
_CONTRACTION = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))(?!\w)")
_ENDINGS = {"'s", "'m", "'d", "'re", "'ve", "'ll"}
_INITIALS = re.compile(r"(?:[^\W\d_]\.){2,}")


def caption_tokens(sentence: str) -> list[str]:
    """Split a sentence into the words that the measures of captions compare.

    Lower case, no punctuation, contractions split (`"isn't"` is `is n't`, `"dog's"` is `dog 's`); hyphens within
    words and points, commas and colons within numbers stay, and so do the points of initials (`a.m.`). That is the
    Penn Treebank form of the COCO evaluation, which needs Java, in short. It differs where a caption has brackets
    (COCO's turns them into words such as `-lrb-`), abbreviations such as `mr.` (loses its point here), `cannot` and
    `gonna` (stay whole here) or quotes and signs in unusual places. Languages without spaces need a tokenizer of
    their own; the measures take one as `tokenize`.

    Args:
        sentence: a sentence.

    Returns:
        List of words, empty if there are none.

    Example:

    >>> caption_tokens('A man\\'s half-eaten cake, at 10:30 a.m. - "yum"!')
    ['a', 'man', "'s", 'half-eaten', 'cake', 'at', '10:30', 'a.m.', 'yum']

    References:
        Chen et al. 2015, Microsoft COCO Captions: Data Collection and Evaluation Server.
    """
    text = _PUNCTUATION.sub(" ", sentence.lower().translate(_APOSTROPHES))
    words = _SYMBOL.sub(r" \1 ", _CONTRACTION.sub(r" \1 ", text)).split()
    whole = (word if word in _ENDINGS or _INITIALS.fullmatch(word) else word.strip("'.-") for word in words)
    return [word for word in whole if word]


def distinct_n(sentences: Sequence[str], n: int, *, tokenize: Tokenize | None = None) -> float:
    """Measure how varied sentences are: the share of all their n-grams that are different ones.

    `different n-grams / n-grams`, both over all sentences. The share falls as sentences become more, so compare on
    equally many.

    Args:
        sentences: sentences.
        n: words per n-gram, 1 or more.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Number in 0..1; 0 if no sentence has n words.

    Example:

    >>> distinct_n(["a dog runs", "a dog sleeps"], 2)
    0.75

    References:
        Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models.
    """
    check_count("n", n)
    found = [
        tuple(words[start : start + n])
        for words in tokenized(sentences, tokenize)
        for start in range(len(words) - n + 1)
    ]
    return len(set(found)) / max(1, len(found))


def word_accuracy(
    sentences: Sequence[str], references: Sequence[str | Sequence[str]], *, tokenize: Tokenize | None = None
) -> float:
    """Measure how often the word at a position is the reference's word at that position.

    `positions where both have the same word / positions of the longer one`, both summed over sentences: a word too
    much or too few is wrong, and one left out early makes all that follow wrong. Of several references the one with
    the largest share counts, of equals the shortest. For texts that have one right form, such as signs, commands or
    formulas; captions and translations need `bleu`, `rouge_l` or `cider_d`.

    Args:
        sentences: one sentence per sample.
        references: for each sample what is right, a string or a list of them.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Number in 0..1; 0 if there is no word at all.

    Example:

    >>> word_accuracy(["turn left", "stop"], ["turn right", "stop there now"])
    0.4
    """
    agreeing = positions = 0
    for words, people in tokenized_pairs(sentences, references, tokenize):
        found = [(sum(a == b for a, b in zip(words, p, strict=False)), max(len(words), len(p))) for p in people]
        best = max(found, key=lambda pair: (pair[0] / max(1, pair[1]), -pair[1]))
        agreeing, positions = agreeing + best[0], positions + best[1]
    return agreeing / max(1, positions)


def perplexity(log_probabilities: Sequence[Any]) -> float:
    """Measure how surprised a model is by sentences: among how many equally likely tokens it seems to choose.

    `exp(-sum of log-probabilities / number of tokens)` over all sentences, so that long ones weigh more. It depends
    on what a token is: compare models that share a tokenizer only. Leave padding out.

    Args:
        log_probabilities: for each sentence the natural logarithms (token,) of the probabilities that the model gave
            to the tokens that follow in truth.

    Returns:
        Number of 1 or more; infinite if a token had the probability 0.

    Example:

    >>> round(perplexity([np.log([0.5, 0.25]), np.log([0.125])]), 6)
    4.0
    """
    rows = [np.asarray(row, "float64") for row in log_probabilities]
    for row, values in enumerate(rows):
        # Softmax in single precision may pass 1 by a rounding error.
        if values.ndim != 1 or not (values <= 1e-5).all():
            raise ValueError(
                "`log_probabilities` needs an array (token,) of numbers up to 0 per sentence. "
                f"Received: at row {row} shape {values.shape}, {np.array2string(values, threshold=6)}"
            )
    num_tokens = sum(map(len, rows))
    if not num_tokens:
        raise ValueError(f"Perplexity needs one token at least. Received: {len(rows)} sentences without a token")
    with np.errstate(over="ignore"):
        return float(np.exp(-sum(row.sum() for row in rows) / num_tokens))


def ngrams(words, max_order):
    """Counter of the n-grams of 1..max_order words, as tuples."""
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, max_order + 1)
        for start in range(len(words) - order + 1)
    )


def tokenized(sentences, tokenize=None):
    """List of the words of each sentence."""
    sentences = _listed("sentences", sentences)
    return [_words(row, sentence, tokenize, "sentences") for row, sentence in enumerate(sentences)]


def tokenized_references(references, tokenize=None):
    """For each sample the list of its references, each a list of words."""
    found = []
    for row, people in enumerate(_listed("references", references)):
        if not isinstance(people, Iterable) or isinstance(people, bytes | Mapping):
            raise ValueError(
                "`references` must hold a string or a list of strings per sample. "
                f"Received: {people!r:.60} at row {row}"
            )
        people = [people] if isinstance(people, str) else list(people)
        if not people:
            raise ValueError(f"Each sentence needs one reference at least. Received: none at row {row}")
        found.append([_words(row, person, tokenize, "references") for person in people])
    return found


def tokenized_pairs(sentences, references, tokenize=None):
    """List of (words, list of the references' words)."""
    sentences, references = _listed("sentences", sentences), _listed("references", references)
    if len(sentences) != len(references):
        raise ValueError(
            "Each sentence needs its references: a string or a list of strings per sentence. "
            f"Received: {len(sentences)} sentences and {len(references)} rows of references"
        )
    return list(zip(tokenized(sentences, tokenize), tokenized_references(references, tokenize), strict=True))


def _listed(name, value):
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"`{name}` must be a list with one entry per sample. Received: {value!r:.60}")
    value = list(value)
    if not value:
        raise ValueError(f"`{name}` needs one entry at least. Received: an empty list")
    return value


def _words(row, sentence, tokenize, name):
    if not isinstance(sentence, str):
        raise ValueError(f"`{name}` must hold strings. Received: {sentence!r:.60} at row {row}")
    words = (tokenize or caption_tokens)(sentence)
    # A string would be taken for a list of letters.
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise ValueError(f"`tokenize` must return a list of words. Received: {words!r:.60} for {sentence!r:.60}")
    return words
