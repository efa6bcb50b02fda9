"""The longest sequence of words that a generated sentence shares with a reference."""

import math
from collections.abc import Sequence

from mmkeras.evaluation.sentences import Tokenize, tokenized_pairs


def rouge_l(
    sentences: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    beta: float = 1.2,
    tokenize: Tokenize | None = None,
) -> float:
    """Measure how much of sentences and references is one sequence of words, in order but with gaps.

    `(1 + beta^2) * precision * recall / (recall + beta^2 * precision)`, mean over sentences, with
    `precision = shared / words of the sentence`, `recall = shared / words of the reference` and the length `shared`
    of their longest common subsequence. Of several references the largest precision and the largest recall count,
    even if two different references give them, and beta is 1.2: the form of the COCO evaluation. `beta=1` with one
    reference is the F-measure of papers on summaries, which often stem the words; here nothing is stemmed.

    Args:
        sentences: one generated sentence per sample.
        references: for each sample what people wrote, a string or a list of them, not equally many in each.
        beta: how much more recall weighs than precision; 0 for precision alone.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Number in 0..1.

    Example:

    >>> rouge_l(["a dog runs fast"], [["a brown dog runs", "a cat sleeps"]])
    0.75

    References:
        Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries.
        Chen et al. 2015, Microsoft COCO Captions: Data Collection and Evaluation Server.
    """
    if not (isinstance(beta, int | float) and 0 <= beta < math.inf):
        raise ValueError(f"`beta` must be a number of 0 or more. Received: {beta!r}")
    pairs = tokenized_pairs(sentences, references, tokenize)
    return sum(_score(words, people, beta) for words, people in pairs) / len(pairs)


def _score(words, people, beta):
    shared = [(_common(words, person), len(person)) for person in people]
    precision = max(common for common, _ in shared) / max(1, len(words))
    recall = max(common / max(1, length) for common, length in shared)
    if not precision:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def _common(first, second):
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row
        row = [0]
        for column, other in enumerate(second):
            row.append(before[column] + 1 if word == other else max(before[column + 1], row[column]))
    return row[-1]
