"""Sentences to words and words to ids, alike in Python and in a TensorFlow graph."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import final

from mmkeras.preprocessing import code_points
from mmkeras.preprocessing.code_points import CodePoints
from mmkeras.preprocessing.part import require_tensorflow

SPECIAL_TOKENS = ("", "[UNK]", "[START]", "[END]")
UNKNOWN, START, END = 1, 2, 3

STRIP = "lower_and_strip_punctuation"
STANDARDIZE = (STRIP, "lower", None)
SPLIT = ("word", "character")

# Both are read alike by Python's `re` and by RE2; texts hold no line breaks where they are used.
# What a tokeniser split off: "dog 's", "do n't".
_CLITICS = r"([^ ]) +(n't|'(?:s|d|m|re|ll|ve))( |$)"
# Apostrophes that no word encloses are quotation marks.
_QUOTES = r"^'+|'* [' ]*|'+$"


@final
class Splitter:
    """Standardises sentences and splits them.

    Args:
        standardize: one of `STANDARDIZE`.
        split: one of `SPLIT`.
    """

    def __init__(self, standardize, split):
        self.strips = standardize == STRIP
        self.by_word = split == "word"
        self._points = CodePoints(_rule(standardize, split))

    def __call__(self, text: str) -> list[str]:
        text = self._points.text(text)
        if self.strips and "'" in text:
            text = re.sub(_QUOTES, " ", re.sub(_CLITICS, r"\1\2\3", text))
        if self.by_word:
            return text.split()
        return list(" ".join(text.split()) if self.strips else text)

    def graph(self, texts):
        """Words of a vector of strings: ragged (sentence, word)."""
        tf = require_tensorflow("Splitting text in a graph")
        texts = self._points.graph(texts)
        if self.strips:
            texts = tf.strings.regex_replace(texts, _CLITICS, r"\1\2\3")
            texts = tf.strings.regex_replace(texts, _QUOTES, " ")
        if self.by_word:
            return tf.strings.split(texts)
        if self.strips:
            texts = tf.strings.strip(tf.strings.regex_replace(texts, " +", " "))
        return tf.strings.unicode_split(texts, "UTF-8")


@final
class WordIds:
    """Sentences to ids of a vocabulary and back.

    Args:
        vocabulary: words by id, the special tokens first.
        splitter: a `Splitter`.
    """

    start_id = START
    end_id = END
    fill_id = 0
    special_ids = (UNKNOWN,)
    # A decoder must not learn that a sentence ended where it was cut.
    keeps_end = False

    def __init__(self, vocabulary, splitter):
        self.vocabulary = vocabulary
        self.splitter = splitter
        first = len(SPECIAL_TOKENS)
        # The special tokens are none of the words: whoever writes "[END]" does not end the sentence.
        self._ids = {word: index for index, word in enumerate(vocabulary[first:], first)}
        self._table = None

    @property
    def num_tokens(self):
        return len(self.vocabulary)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of the words of each text, without marks."""
        find = self._ids.get
        return [[find(word, UNKNOWN) for word in self.splitter(text)] for text in texts]

    def graph(self, texts):
        """`encode` on a vector of strings, in TensorFlow: ragged int32 (sentence, word)."""
        tf = require_tensorflow("Looking up words in a graph")
        return tf.cast(self.table().lookup(self.splitter.graph(texts)), tf.int32)

    def decode(self, ids: list[int]) -> str:
        """The words of ids before the end mark, without padding and start mark."""
        ids = ids[: ids.index(END)] if END in ids else ids
        words = [self.vocabulary[index] for index in ids if index not in (0, START)]
        return (" " if self.splitter.by_word else "").join(words)

    def words(self, text: str) -> list[str]:
        """The words of a text, as they are looked up."""
        return self.splitter(text)

    def knows(self, word: str) -> bool:
        """Whether a word has an id of its own."""
        return word in self._ids

    @property
    def pieces(self):
        words = [b"" if index in (0, START, END) else word.encode() for index, word in enumerate(self.vocabulary)]
        return words, b" " if self.splitter.by_word else b"", False, END

    def table(self):
        """The lookup table, made outside of any graph that is being built."""
        if self._table is None:
            tf = require_tensorflow("Looking up words in a graph")
            with tf.init_scope():
                words = tf.constant([word.encode() for word in self._ids])
                # Lookups of mobile runtimes take int64 only.
                ids = tf.constant(list(self._ids.values()), tf.int64)
                self._table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, ids), UNKNOWN)
        return self._table

    @property
    def resources(self):
        return [self.table()]


def learn_vocabulary(texts: Iterable[str], splitter: Splitter, size: int | None) -> list[str]:
    """The special tokens and the words of texts by falling frequency, equally frequent ones in alphabetical order.

    Args:
        texts: sentences.
        splitter: a `Splitter`.
        size: how many tokens there may be, special ones included; None for all words.
    """
    counts = Counter()
    for text in texts:
        counts.update(splitter(text))
    for token in SPECIAL_TOKENS:
        counts.pop(token, None)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    return [*SPECIAL_TOKENS, *words[: None if size is None else size - len(SPECIAL_TOKENS)]]


def check_vocabulary(vocabulary: Iterable[str]) -> list[str]:
    """A vocabulary with the special tokens in front, put there if they are missing."""
    if isinstance(vocabulary, (str, bytes)):
        raise ValueError(f"`vocabulary` must be a list of words. Received: {vocabulary!r}")
    words = [str(word) if isinstance(word, str) else word for word in vocabulary]
    if tuple(words[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
        words = [*SPECIAL_TOKENS, *words]
    if len(words) == len(SPECIAL_TOKENS):
        raise ValueError("`vocabulary` must hold at least one word. Received: none")
    wrong = [word for word in words[len(SPECIAL_TOKENS) :] if not isinstance(word, str) or word in SPECIAL_TOKENS]
    if wrong:
        raise ValueError(
            f"`vocabulary` must hold words: strings that are not empty. The special tokens {SPECIAL_TOKENS} are put "
            f"in front, or are there already, all four in this order. Received: {wrong[:5]}"
        )
    twice = [word for word, count in Counter(words).items() if count > 1]
    if twice:
        raise ValueError(f"`vocabulary` must hold every word once. Received more than once: {twice[:5]}")
    return words


def _rule(standardize, split):
    if standardize == STRIP:
        return code_points.lower_and_strip_punctuation
    if split == "character":
        return code_points.lower if standardize == "lower" else None
    return code_points.lower_and_space if standardize == "lower" else code_points.space
