"""Sentences made worse: typing errors, lost words, and words out of order."""

import dataclasses
import re
from typing import final

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor

# Scripts written without spaces: there every character counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")


class _TextCorruptor(Corruptor):
    """A corruptor of sentences. A sentence stays one: what held a word still holds one."""

    def _apply(self, value, rng):
        if isinstance(value, str):
            words = _WORD.findall(value)
            return self._corrupt(words, _WORD.split(value), rng) if words else value
        if isinstance(value, (list, tuple, np.ndarray)):
            return [self(item, rng) for item in value]
        raise ValueError(
            f"{type(self).__name__} takes a string or a list of strings. Received: {type(value).__name__} {value!r:.60}"
        )

    def _corrupt(self, words, gaps, rng):
        raise NotImplementedError


@final
@dataclasses.dataclass(frozen=True, repr=False)
class TextTypo(_TextCorruptor):
    """Make typing errors.

    A word is mistyped with probability `severity`: one letter hits a neighbouring key of a QWERTY keyboard, or two
    letters that stand side by side change places. A word that allows neither has a letter doubled; one without
    letters or digits stays as it is.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: string, or list of strings.
        rng: NumPy generator.

    Example:

    >>> typed = TextTypo(1.0)("a brown dog runs", np.random.default_rng(0))
    >>> sum(ours != theirs for ours, theirs in zip(typed.split(), "a brown dog runs".split()))
    4
    """

    def _corrupt(self, words, gaps, rng):
        draws = rng.random((len(words), 4))
        typed = [_mistype(word, *draw[1:]) if draw[0] < self.severity else word
                 for word, draw in zip(words, draws, strict=True)]  # fmt: skip
        return _sentence(typed, gaps)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class TextDrop(_TextCorruptor):
    """Lose words.

    A word is lost with probability `severity`; one always stays, so that no sentence becomes empty.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: string, or list of strings.
        rng: NumPy generator.

    Example:

    >>> TextDrop(0.5)("a brown dog runs through grass", np.random.default_rng(3))
    'dog runs'
    >>> len(TextDrop(1.0)("a brown dog runs", np.random.default_rng(0)).split())
    1
    """

    def _corrupt(self, words, gaps, rng):
        draws = rng.random(len(words))
        lost = draws < self.severity
        lost[np.argmax(draws)] = False
        kept = np.flatnonzero(~lost)
        inner = [gaps[row] for row in kept[1:]]
        return _sentence([words[row] for row in kept], [gaps[0], *inner, gaps[-1]])


@final
@dataclasses.dataclass(frozen=True, repr=False)
class TextSwap(_TextCorruptor):
    """Put words out of order.

    A word is moved with probability `severity`; those that move take each other's places, none its own. Where one
    word alone would move, a second one moves with it.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: string, or list of strings.
        rng: NumPy generator.

    Example:

    >>> swapped = TextSwap(1.0)("a brown dog runs", np.random.default_rng(0))
    >>> sorted(swapped.split()), swapped != "a brown dog runs"
    (['a', 'brown', 'dog', 'runs'], True)
    """

    def _corrupt(self, words, gaps, rng):
        draws = rng.random(len(words))
        count = int((draws < self.severity).sum())
        # A ring in the order of the draws: each word goes where the next one was.
        ring = np.argsort(draws)[: max(count, 2) if count else 0]
        swapped = list(words)
        for place, source in zip(ring, np.roll(ring, 1), strict=True):
            swapped[place] = words[source]
        return _sentence(swapped, gaps)


def _sentence(words, gaps):
    return gaps[0] + "".join(word + gap for word, gap in zip(words, gaps[1:], strict=True))


def _mistype(word, kind, place, choice):
    """Word with one error; `kind`, `place` and `choice` are draws from [0, 1)."""
    near = [(index, _NEIGHBOURS[letter.lower()]) for index, letter in enumerate(word) if letter.lower() in _NEIGHBOURS]
    pairs = [
        index for index in range(len(word) - 1)
        if word[index] != word[index + 1] and word[index].isalnum() and word[index + 1].isalnum()
    ]  # fmt: skip
    if near and (kind < 0.5 or not pairs):
        index, keys = near[int(place * len(near))]
        key = keys[int(choice * len(keys))]
        return word[:index] + (key.upper() if word[index].isupper() else key) + word[index + 1 :]
    if pairs:
        index = pairs[int(place * len(pairs))]
        return word[:index] + word[index + 1] + word[index] + word[index + 2 :]
    letters = [index for index, letter in enumerate(word) if letter.isalnum()]
    if not letters:
        return word
    index = letters[int(place * len(letters))]
    return word[: index + 1] + word[index:]


def _keyboard():
    # Each row of keys begins half a key to the right of the one above it: a key touches two there and two below.
    position = {key: (row, column + row / 2) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(other for other, (r, c) in position.items()
                     if other != key and abs(r - row) <= 1 and abs(c - column) <= 1 - abs(r - row) / 2)
        for key, (row, column) in position.items()
    }  # fmt: skip


_NEIGHBOURS = _keyboard()
