"""Sentences: from strings to token ids and back."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.preprocessing.sentences import sentences_of, token_ids, utf8
from mmkeras.preprocessing.tokenizers import TokenizerIds, tokenizer_config, tokenizer_from_config
from mmkeras.preprocessing.words import (
    SPECIAL_TOKENS,
    SPLIT,
    STANDARDIZE,
    STRIP,
    Splitter,
    WordIds,
    check_vocabulary,
    learn_vocabulary,
)
from mmkeras.registration import registered

_SHOWN = 20


@registered
class Text(Part):
    """Turn sentences into token ids: words of a vocabulary learned from them, or pieces of a keras-hub tokenizer.

    A raw value is a string, a list of strings (several sentences of one sample), or token ids as an integer array
    (time,) or (sentence, time), which are padded or cut and otherwise left alone. Id 0 is padding on the right, 1 an
    unknown word, 2 and 3 the marks `[START]` and `[END]`, then come words by falling frequency:

    `a dog's ball` -> `[START] a dog's ball [END]` -> `2 4 17 9 3 0 0 ...`

    A sentence that is longer than `length` is cut on the right and then has no `[END]`, so that no decoder learns that
    it ended there. An empty sentence is a sentence: `[START] [END]`, or padding only without marks.

    Standardising `"lower_and_strip_punctuation"` makes letters small and puts a space in place of punctuation and
    signs of any script. Apostrophes inside a word stay (`don't`, `dog's`), also typographic ones; those that a
    tokeniser split off are joined again (`dog 's`, `do n't`); all others are quotation marks and go. Emoji stay. The
    graph and Python agree on every character. Composed and decomposed accents are different characters: bring texts
    to one Unicode normal form first where they mix both.

    With a `tokenizer`, ids are the tokenizer's own where its id 0 is padding and where it is the tokenizer of a model
    (`keras_hub.models.BertTokenizer`, ...), and one higher where a word has id 0, which padding needs. Marks are those
    of the model, or tokens of the vocabulary named `[START]` and `[END]`, `[CLS]` and `[SEP]` or `<s>` and `</s>`, or
    two new ids after the last one. A sentence cut for a model keeps its end mark, as the model was trained; CLIP gets
    lower case, SigLIP lower case without ASCII punctuation and its own padding (give it the `length` 64). Sentences are
    tokenised in Python when they are read. Only an exported signature that takes strings does it in the graph: it needs
    TensorFlow Text, also in the server.

    Args:
        vocabulary_size: number of token ids to have at most, special ones included; None for a word each.
        length: number of ids of a prepared sentence, marks included; None lets it vary.
        vocabulary: list of words, the most frequent first, instead of learning them; the special tokens are put in
            front if they are missing. After `adapt`, the words by id.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`, or None.
        split: `"word"`, at white space, or `"character"`, for languages written without spaces and for spelling.
        mark_ends: whether to put the start and the end mark.
        tokenizer: keras-hub tokenizer (WordPiece, byte-pair, SentencePiece, byte, code point, or one of a model) to
            use instead of a vocabulary of words; it standardises and splits in its own way. Its vocabulary is kept in
            the config.

    Attributes:
        num_tokens: number of token ids, the `vocabulary_size` of an encoder.
        start_id: id of the start mark; None if the tokenizer of a model has none.
        end_id: id of the end mark; None if the tokenizer of a model has none.

    Example:

    >>> text = Text(length=6).adapt(["A dog runs.", "A dog's ball!"])
    >>> text.encode("a dog sleeps").tolist()
    [2, 4, 6, 1, 3, 0]
    >>> text.decode([2, 4, 7, 5, 3, 0])
    "a dog's ball"
    """

    kind = "token_ids"
    dtype = "int32"
    storage_dtype = "int32"

    def __init__(
        self,
        vocabulary_size=None,
        length=None,
        *,
        vocabulary=None,
        standardize=STRIP,
        split="word",
        mark_ends=True,
        tokenizer=None,
    ):
        _check_choice("standardize", standardize, STANDARDIZE)
        _check_choice("split", split, SPLIT)
        _check_least("vocabulary_size", vocabulary_size, len(SPECIAL_TOKENS) + 1, "special tokens and one word")
        _check_least("length", length, 3 if mark_ends else 1, "marks and one word" if mark_ends else "one word")
        if vocabulary is not None:
            vocabulary = check_vocabulary(vocabulary)
            if vocabulary_size is not None and len(vocabulary) > vocabulary_size:
                raise ValueError(
                    "`vocabulary` must fit into `vocabulary_size`, special tokens included. Received: "
                    f"{len(vocabulary)} tokens, vocabulary_size={vocabulary_size}"
                )
        if tokenizer is not None and (vocabulary, vocabulary_size, standardize, split) != (None, None, STRIP, "word"):
            raise ValueError(
                "A tokenizer has a vocabulary, a standardisation and a way of splitting of its own: give it `length` "
                f"and `mark_ends` only. Received: vocabulary_size={vocabulary_size}, vocabulary="
                f"{vocabulary and vocabulary[:5]}, standardize={standardize!r}, split={split!r}"
            )
        self.vocabulary_size = None if vocabulary_size is None else int(vocabulary_size)
        self.length = None if length is None else int(length)
        self.vocabulary = vocabulary
        self.standardize = standardize
        self.split = split
        self.mark_ends = bool(mark_ends)
        self.tokenizer = tokenizer
        self.shape = (self.length,)
        self._splitter = Splitter(standardize, split)
        self._learned = False
        self._ids = None if tokenizer is None else TokenizerIds(tokenizer)

    @property
    def needs_adapting(self):
        """Whether there is something to learn: no tokenizer and no vocabulary was given."""
        return self.tokenizer is None and (self.vocabulary is None or self._learned)

    @property
    def num_tokens(self):
        return self._coder().num_tokens

    @property
    def start_id(self):
        return self._coder().start_id

    @property
    def end_id(self):
        return self._coder().end_id

    @property
    def unsayable_ids(self):
        """Ids that stand for no word: padding, the start mark, unknown words, a tokenizer's mask."""
        coder = self._coder()
        return tuple(sorted({0, coder.fill_id, coder.start_id, *coder.special_ids} - {None, coder.end_id}))

    @property
    def padding_id(self):
        """Id of padding: 0, but for tokenizers of models that were trained with another one."""
        return self._coder().fill_id

    @property
    def pieces(self):
        """Bytes of each id, what is between them, whether spaces at the ends go, and the id that ends a sentence."""
        return self._coder().pieces

    @property
    def resources(self):
        """TensorFlow objects that a `tf.Module` must hold to be saved with `graph`."""
        return self._coder().resources

    def adapt(self, values):
        if not self.needs_adapting:
            raise ValueError(
                "This Text has its vocabulary already: there is nothing to learn. Make a new one without "
                f"`vocabulary` and `tokenizer`. Received: {self!r}"
            )
        vocabulary = learn_vocabulary(sentences_of(values, "adapt"), self._splitter, self.vocabulary_size)
        if len(vocabulary) == len(SPECIAL_TOKENS):
            raise ValueError(
                "`adapt` found no words. Expected sentences; check that the records have texts under this key. "
                "Received: no sentences, or empty ones only"
            )
        self.vocabulary = vocabulary
        self._learned = True
        self._ids = None
        return self

    def read(self, value, rng=None):
        if isinstance(value, np.ndarray) and value.dtype.kind in "USO":
            value = value.tolist()
        if isinstance(value, (str, bytes)):
            sentence = utf8(value)
            return sentence if self.tokenizer is None else self.encode(sentence)
        if isinstance(value, (list, tuple)) and any(isinstance(item, (str, bytes)) for item in value):
            sentences = [utf8(item) for item in value]
            return sentences if self.tokenizer is None else self.encode(sentences)
        return self._inside(token_ids(value)).astype("int32")

    def graph(self, wire):
        tf = require_tensorflow("Turning text into ids in a graph")
        coder = self._coder()
        if wire.dtype != "string":
            ids = tf.cast(wire, tf.int32)[..., : self.length]
            if self.length is not None:
                missing = self.length - tf.shape(ids)[-1]
                ids = tf.pad(ids, [[0, 0]] * (ids.shape.rank - 1) + [[0, missing]], constant_values=coder.fill_id)
                ids.set_shape([*wire.shape[:-1], self.length])
            return ids
        # Any number of axes: one sentence, those of a sample, a batch.
        ids = coder.graph(tf.reshape(wire, [-1]))
        ends = ids.row_lengths()
        ids = ids.to_tensor(coder.fill_id, shape=(None, self.length))
        if self.mark_ends:
            start, end, room = self._marks()
            ends = ends if room is None else tf.minimum(ends, room)
            ids = tf.pad(ids, [[0, 0], [0, len(end)]], constant_values=coder.fill_id)
            place = tf.range(tf.shape(ids, tf.int64)[1])
            ids = tf.where(place == ends[:, tf.newaxis], end[0], ids) if end else ids
            ids = ids if room is None else tf.where(place > ends[:, tf.newaxis], coder.fill_id, ids)
            ids = tf.pad(ids, [[0, 0], [len(start), 0]], constant_values=start[0] if start else 0)[:, : self.length]
        shape = wire.shape.concatenate([self.length])
        return tf.ensure_shape(tf.reshape(ids, tf.concat([tf.shape(wire), tf.shape(ids)[-1:]], 0)), shape)

    def array(self, wire):
        if isinstance(wire, bytes):
            return self._encode([wire.decode("utf-8", "replace")])[0]
        if isinstance(wire, list):
            return self._encode([sentence.decode("utf-8", "replace") for sentence in wire])
        ids = np.asarray(wire, "int32")[..., : self.length]
        missing = 0 if self.length is None else self.length - ids.shape[-1]
        widths = [(0, 0)] * (ids.ndim - 1) + [(0, missing)]
        return np.pad(ids, widths, constant_values=self._coder().fill_id)

    def encode(self, sentences: str | Iterable[str]) -> np.ndarray:
        """Token ids of sentences, without TensorFlow.

        Args:
            sentences: list of strings, or one string.

        Returns:
            int32 array (sentence, time), padded to `length` or to the longest; (time,) for one string.
        """
        if isinstance(sentences, (str, bytes)):
            return self._encode([utf8(sentences).decode()])[0]
        return self._encode([utf8(sentence).decode() for sentence in sentences])

    def decode(self, ids: Any) -> str | list:
        """Sentences of token ids: without padding and marks, up to the end mark.

        Args:
            ids: integer array or list (time,) for one sentence; with more axes, lists of sentences are given.

        Returns:
            A string, or nested lists of strings. An unknown word is `[UNK]`.
        """
        if isinstance(ids, (list, tuple)) and any(isinstance(item, (list, tuple, np.ndarray)) for item in ids):
            return [self.decode(item) for item in ids]
        ids = np.asarray(ids)
        if ids.ndim > 1:
            return [self.decode(row) for row in ids]
        if ids.ndim == 0 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(
                "`decode` takes token ids: integers (time,) or (batch, time). Take the argmax of scores first. "
                f"Received: {ids.dtype} of shape {ids.shape}"
            )
        return self._coder().decode(self._inside(ids).tolist())

    def coverage(self, sentences: Iterable[str | list[str]]) -> dict[str, Any]:
        """How well the vocabulary and `length` fit sentences.

        Args:
            sentences: strings or lists of strings; None is passed over.

        Returns:
            Dict of counts: `"sentences"`, `"empty"` ones, those `"cut"` by `length`, `"words"`, `"unknown"` words, and
            `"most_unknown"`, a list of [word, count] for the 20 most frequent unknown words.
        """
        coder = self._coder()
        texts = list(sentences_of(sentences, "coverage"))
        words = Counter(word for text in texts for word in coder.words(text))
        unknown = Counter({word: count for word, count in words.items() if not coder.knows(word)})
        start, end, _ = self._marks() if self.mark_ends else ([], [], None)
        lengths = [len(ids) for ids in coder.encode(texts)]
        room = None if self.length is None else self.length - len(start) - len(end)
        most = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        return {
            "sentences": len(texts),
            "empty": lengths.count(0),
            "cut": 0 if room is None else sum(length > room for length in lengths),
            "words": words.total(),
            "unknown": unknown.total(),
            "most_unknown": [list(item) for item in most],
        }

    def get_config(self):
        return {
            "vocabulary_size": self.vocabulary_size,
            "length": self.length,
            "vocabulary": None if self.vocabulary is None else list(self.vocabulary),
            "standardize": self.standardize,
            "split": self.split,
            "mark_ends": self.mark_ends,
            "tokenizer": None if self.tokenizer is None else tokenizer_config(self.tokenizer),
        }

    @classmethod
    def from_config(cls, config):
        tokenizer = config.get("tokenizer")
        return cls(**{**config, "tokenizer": None if tokenizer is None else tokenizer_from_config(tokenizer)})

    def __reduce__(self):
        # Lookup tables of TensorFlow are left behind and built again where they are needed.
        return type(self).from_config, (self.get_config(),)

    def _coder(self):
        if self._ids is None:
            if self.vocabulary is None:
                raise ValueError(
                    "This Text has no vocabulary yet. Call `adapt` with the sentences to train on (the Preprocessor's "
                    "`adapt` does), or give `vocabulary` or `tokenizer`."
                )
            self._ids = WordIds(self.vocabulary, self._splitter)
        return self._ids

    def _marks(self):
        """Start mark, end mark, each as a list of one or no id, and the room for words that keeps them both."""
        coder = self._coder()
        start, end = [[mark] if mark is not None else [] for mark in (coder.start_id, coder.end_id)]
        keeps = self.length is not None and coder.keeps_end
        return start, end, self.length - len(start) - len(end) if keeps else None

    def _encode(self, texts):
        coder = self._coder()
        rows = coder.encode(texts)
        if self.mark_ends:
            start, end, room = self._marks()
            rows = [[*start, *row[:room], *end] for row in rows]
        rows = [row[: self.length] for row in rows]
        time = max(map(len, rows), default=0) if self.length is None else self.length
        ids = np.full((len(rows), time), coder.fill_id, "int32")
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
        return ids

    def _inside(self, ids):
        num_tokens = self.num_tokens
        if ids.size and not 0 <= ids.min() <= ids.max() < num_tokens:
            raise ValueError(
                f"token ids must lie in the vocabulary, 0..{num_tokens - 1}. Received: ids in {ids.min()}..{ids.max()}"
            )
        return ids


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def _check_least(name, value, least, reason):
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least):
        raise ValueError(f"`{name}` must be an integer of at least {least} ({reason}), or None. Received: {value!r}")
