"""Error rates of recognisers, against an obvious recursion and by hand."""

import functools

import numpy as np
import pytest

import mmkeras.evaluation as ev


def slow_distance(said, recognised):
    @functools.cache
    def distance(row, column):
        if not row or not column:
            return row + column
        return min(
            distance(row - 1, column) + 1,
            distance(row, column - 1) + 1,
            distance(row - 1, column - 1) + (said[row - 1] != recognised[column - 1]),
        )

    return distance(len(said), len(recognised))


@pytest.mark.parametrize("seed", range(30))
def test_edits_are_the_fewest(seed):
    rng = np.random.default_rng(seed)
    said, recognised = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
    edits = ev.count_edits(said, recognised)
    assert edits.total == slow_distance(said, recognised)
    assert edits.insertions - edits.deletions == len(recognised) - len(said)
    assert min(edits) >= 0


def test_by_hand():
    assert ev.count_edits(["the", "cat", "sat"], ["a", "the", "cat"]) == (0, 1, 1)
    assert ev.count_edits([], ["x", "y"]) == (0, 2, 0)
    assert ev.count_edits([1, 2, 3], [1, 9, 3]) == (1, 0, 0)


def test_rates_are_of_the_corpus():
    """1 of 1 and 0 of 3 words are 1 of 4; case and punctuation are no errors of words, but of characters."""
    report = ev.recognition_report(["no", "Place red at!"], ["yes", "place red at"])
    assert report["word_error_rate"] == report["substitution_rate"] == 1 / 4
    assert report["sentence_accuracy"] == 1 / 2
    assert report["character_error_rate"] == (3 + 2) / (3 + 12)
    assert ev.word_error_rate(["Red"], ["red"], tokenize=str.split) == 1.0
    assert ev.word_error_rate(["a b c d"], ["a"]) == 3.0
    assert ev.character_error_rate(["abd"], ["abcd"]) == 1 / 4


@pytest.mark.parametrize(
    ("recognised", "said", "message"),
    [
        ("a", "a", "must be lists of as many sentences"),
        (["a"], ["a", "b"], "must be lists of as many sentences"),
        ([], [], "at least one"),
        (["a"], ["!"], "at least one word"),
    ],
)
def test_bad_sentences(recognised, said, message):
    with pytest.raises(ValueError, match=message):
        ev.recognition_report(recognised, said)


def test_characters_need_no_words():
    assert ev.character_error_rate(["?"], ["!"]) == 1.0
    with pytest.raises(ValueError, match="at least one character"):
        ev.character_error_rate([""], [""])
