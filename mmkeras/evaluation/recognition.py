"""What a recogniser of speech or handwriting got wrong."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mmkeras.evaluation.sentences import Tokenize, caption_tokens

RATES = (
    "word_error_rate",
    "substitution_rate",
    "insertion_rate",
    "deletion_rate",
    "character_error_rate",
    "sentence_accuracy",
)


class Edits(NamedTuple):
    """Fewest edits that turn what was recognised into what was said.

    Example:

    >>> Edits(1, 0, 2).total
    3
    """

    substitutions: int
    insertions: int
    deletions: int

    @property
    def total(self) -> int:
        """How many edits there are."""
        return sum(self)


def count_edits(said: Sequence[Any], recognised: Sequence[Any]) -> Edits:
    """Count the substitutions, insertions and deletions of a best alignment.

    Args:
        said: what is true, a sequence of words, characters or ids.
        recognised: what was recognised.

    Returns:
        `Edits`: `insertions` are too much in `recognised`, `deletions` are missing there.

    Example:

    >>> count_edits("turn left now".split(), "turn right".split())
    Edits(substitutions=1, insertions=0, deletions=1)
    """
    rows, columns = len(said), len(recognised)
    # Equality of anything, as numbers.
    codes = {item: code for code, item in enumerate(dict.fromkeys([*said, *recognised]))}
    recognised_codes = np.array([codes[item] for item in recognised], "int64")
    steps = np.arange(columns + 1)
    cost = np.empty((rows + 1, columns + 1), "int64")
    cost[0] = steps
    for row, item in enumerate(said, 1):
        cost[row, 0] = row
        replaced = cost[row - 1, :-1] + (recognised_codes != codes[item])
        cost[row, 1:] = np.minimum(replaced, cost[row - 1, 1:] + 1)
        # An insertion follows the cheapest way to any column on the left.
        cost[row] = np.minimum.accumulate(cost[row] - steps) + steps
    substitutions = insertions = deletions = 0
    row, column = rows, columns
    while row or column:
        wrong = bool(row and column and said[row - 1] != recognised[column - 1])
        if row and column and cost[row, column] == cost[row - 1, column - 1] + wrong:
            row, column, substitutions = row - 1, column - 1, substitutions + wrong
        elif row and cost[row, column] == cost[row - 1, column] + 1:
            row, deletions = row - 1, deletions + 1
        else:
            column, insertions = column - 1, insertions + 1
    return Edits(substitutions, insertions, deletions)


def word_error_rate(recognised: Sequence[str], said: Sequence[str], *, tokenize: Tokenize | None = None) -> float:
    """Measure how many words a recogniser got wrong.

    `(substitutions + insertions + deletions) / words that were said`, both over all sentences.

    Args:
        recognised: one recognised sentence per sample.
        said: for each sample what was said.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`, which knows neither case
            nor punctuation.

    Returns:
        Number from 0 on; above 1 where much was recognised that nobody said.

    Example:

    >>> word_error_rate(["turn right", "stop"], ["Turn left now!", "stop"])
    0.5
    """
    return recognition_report(recognised, said, tokenize=tokenize)["word_error_rate"]


def character_error_rate(recognised: Sequence[str], said: Sequence[str]) -> float:
    """Measure how many characters a recogniser got wrong, spaces among them: `word_error_rate` of characters.

    Args:
        recognised: one recognised sentence per sample.
        said: for each sample what was said.

    Returns:
        Number from 0 on.

    Example:

    >>> character_error_rate(["bid"], ["bird"])
    0.25
    """
    _check_pairs(recognised, said)
    length = sum(map(len, said))
    if not length:
        raise ValueError("`said` must hold at least one character. Received: empty sentences")
    return sum(count_edits(*pair).total for pair in zip(said, recognised, strict=True)) / length


def recognition_report(
    recognised: Sequence[str], said: Sequence[str], *, tokenize: Tokenize | None = None
) -> dict[str, float]:
    """Judge recognised sentences by what was said.

    Args:
        recognised: one recognised sentence per sample.
        said: for each sample what was said.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Dict with `num_samples`; `word_error_rate` and its parts `substitution_rate`, `insertion_rate` and
        `deletion_rate`, as shares of the words that were said; `character_error_rate`, of the sentences as they are;
        and `sentence_accuracy`, the share of sentences without a wrong word.

    Example:

    >>> report = recognition_report(["turn right", "stop"], ["turn left now", "stop"])
    >>> report["word_error_rate"], report["deletion_rate"], report["sentence_accuracy"]
    (0.5, 0.25, 0.5)
    """
    _check_pairs(recognised, said)
    tokenize = caption_tokens if tokenize is None else tokenize
    words = [(tokenize(true), tokenize(found)) for true, found in zip(said, recognised, strict=True)]
    edits = [count_edits(*pair) for pair in words]
    num_words = sum(len(true) for true, _ in words)
    if not num_words:
        raise ValueError("`said` must hold at least one word. Received: sentences without any")
    substituted, inserted, deleted = (sum(kind) / num_words for kind in zip(*edits, strict=True))
    return {
        "num_samples": len(words),
        "word_error_rate": sum(found.total for found in edits) / num_words,
        "substitution_rate": substituted,
        "insertion_rate": inserted,
        "deletion_rate": deleted,
        "character_error_rate": character_error_rate(recognised, said),
        "sentence_accuracy": sum(not found.total for found in edits) / len(words),
    }


def _check_pairs(recognised, said):
    if isinstance(recognised, str) or isinstance(said, str) or len(recognised) != len(said) or not len(said):
        raise ValueError(
            "`recognised` and `said` must be lists of as many sentences, at least one. "
            f"Received: {recognised!r:.60} and {said!r:.60}"
        )
