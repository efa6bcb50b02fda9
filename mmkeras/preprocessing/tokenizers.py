"""keras-hub tokenizers as the ids of a `Text` part."""

import base64
import re
from typing import final

from mmkeras.preprocessing import code_points
from mmkeras.preprocessing.code_points import CodePoints
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.preprocessing.pieces import pieces_of

_PADDING = ("", "[PAD]", "<pad>")
# Marks that a vocabulary may hold under these names.
_MARKS = (("[START]", "[END]"), ("[CLS]", "[SEP]"), ("<s>", "</s>"), ("<|startoftext|>", "<|endoftext|>"))


@final
class TokenizerIds:
    """Sentences to ids of a keras-hub tokenizer and back.

    Args:
        tokenizer: a `keras_hub.tokenizers.Tokenizer` without `sequence_length`.
    """

    def __init__(self, tokenizer):
        hub = _keras_hub()
        if not isinstance(tokenizer, hub.tokenizers.Tokenizer):
            raise ValueError(
                f"`tokenizer` must be a keras-hub tokenizer, one of `keras_hub.tokenizers`. Received: {tokenizer!r}"
            )
        _check_tokenizer(tokenizer)
        self.tokenizer = tokenizer
        size = _num_ids(tokenizer)
        # The ids of a model's own tokenizer are those its network was trained with, padding and end mark included.
        self.keeps_end = tokenizer.backbone_cls is not None
        without_words = isinstance(tokenizer, (hub.tokenizers.ByteTokenizer, hub.tokenizers.UnicodeCodepointTokenizer))
        self.zero_is_padding = without_words or _first_token(tokenizer) in _PADDING
        self.shift = 0 if self.keeps_end or self.zero_is_padding else 1
        self.fill_id = 0
        if self.keeps_end:
            self.start_id, self.end_id = _model_marks(tokenizer)
            self.num_tokens = size
        else:
            marks = None if without_words else _named_marks(tokenizer)
            new = size + self.shift
            self.start_id, self.end_id = [i + self.shift for i in marks] if marks else (new, new + 1)
            self.num_tokens = new if marks else new + 2
        special = [getattr(tokenizer, f"{name}_token_id", None) for name in ("mask", "pad", "unk")]
        self.special_ids = tuple(
            int(index) + self.shift for index in (_unknown_id(tokenizer), *special) if index is not None
        )
        rule = code_points.space_for_nul
        self._is_clip = isinstance(tokenizer, hub.tokenizers.CLIPTokenizer)
        if self._is_clip:
            rule = code_points.lower_and_space
        elif isinstance(tokenizer, hub.tokenizers.SigLIPTokenizer):
            rule = code_points.lower_and_drop_ascii_punctuation
            # Its network sees no padding: it was trained on sentences filled up with their end mark.
            self.fill_id = tokenizer.pad_token_id
        self._collapses = rule is code_points.lower_and_drop_ascii_punctuation
        self._points = CodePoints(rule)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, without marks."""
        if not texts:
            return []
        rows = self.tokenizer.tokenize([self._prepared(text) for text in texts])
        return [[int(index) + self.shift for index in row] for row in rows]

    def graph(self, texts):
        """`encode` on a vector of strings, in TensorFlow: ragged int32 (sentence, token)."""
        tf = require_tensorflow("Tokenising text in a graph")
        _require_tensorflow_text(self.tokenizer)
        if tf.executing_eagerly():
            # Outside of a graph keras-hub takes its Python path, which knows no ragged tensors.
            return tf.function(self.graph)(texts)
        self._revive()
        texts = self._points.graph(texts)
        if self._collapses:
            texts = tf.strings.strip(tf.strings.regex_replace(texts, " +", " "))
        # Some tokenizers fail where every sentence is empty.
        ids = self.tokenizer.tokenize(tf.concat([texts, ["a"]], 0))[:-1]
        ids = tf.cast(ids, tf.int32)
        # A byte-pair vocabulary that lacks some bytes gives -1 for them here, and nothing in Python.
        return tf.ragged.boolean_mask(ids, ids >= 0) + self.shift

    def decode(self, ids: list[int]) -> str:
        """The text of ids before the end mark, without padding and start mark."""
        ids = list(ids)
        if self.start_id is not None and ids[:1] == [self.start_id]:
            ids = ids[1:]
        ids = ids[: ids.index(self.end_id)] if self.end_id in ids else ids
        while ids and ids[-1] == 0:
            ids.pop()
        drops_zero = self.shift or self.zero_is_padding
        ids = [index - self.shift for index in ids if index or not drops_zero]
        if self._is_clip:
            # keras-hub puts no space where a word of CLIP ends.
            return " ".join(str(self.tokenizer.detokenize(word)) for word in self._clip_words(ids))
        return str(self.tokenizer.detokenize(ids)) if ids else ""

    def words(self, text: str) -> list[str]:
        """The pieces of a text between white space."""
        return self._prepared(text).split()

    def knows(self, word: str) -> bool:
        """Whether a word can be told from an unknown one."""
        (ids,) = self.encode([word])
        return bool(ids) and _unknown_id(self.tokenizer) not in [index - self.shift for index in ids]

    @property
    def pieces(self):
        names = ("WordPiece", "CLIP", "BytePair", "SentencePiece", "Byte", "UnicodeCodepoint")
        kinds = ("word_piece", "clip", "byte_pair", "sentence_piece", "byte", "code_point")
        classes = [getattr(_keras_hub().tokenizers, f"{name}Tokenizer") for name in names]
        kind = next(kind for kind, known in zip(kinds, classes, strict=True) if isinstance(self.tokenizer, known))
        found = [b""] * self.shift + pieces_of(self.tokenizer, kind, _num_ids(self.tokenizer))
        found += [b""] * (self.num_tokens - len(found))
        silent = {self.start_id, self.end_id, *([0] if self.shift or self.zero_is_padding else [])}
        return [b"" if index in silent else piece for index, piece in enumerate(found)], b"", True, self.end_id

    @property
    def resources(self):
        tf = require_tensorflow("Tokenising text in a graph")
        self._revive()
        values = vars(self.tokenizer).values()
        return [value for value in values if isinstance(value, (tf.Module, tf.lookup.StaticHashTable))]

    def _revive(self):
        """Make SentencePiece's TensorFlow side anew where setting a global seed has destroyed it."""
        if isinstance(self.tokenizer, _keras_hub().tokenizers.SentencePieceTokenizer):
            tf = require_tensorflow("Tokenising text in a graph")
            with tf.init_scope():
                try:
                    tf.function(self.tokenizer.tokenize)(tf.constant(["a"]))
                except tf.errors.NotFoundError:
                    self.tokenizer.set_proto(self.tokenizer.proto)

    def _clip_words(self, ids):
        words = [[]]
        for index in ids:
            words[-1].append(index)
            if self.tokenizer.id_to_token(index).endswith("</w>"):
                words.append([])
        return [word for word in words if word]

    def _prepared(self, text):
        text = self._points.text(text)
        return re.sub(" +", " ", text).strip(" ") if self._collapses else text


def tokenizer_config(tokenizer) -> dict:
    """Config of a tokenizer with its vocabulary, which its own config leaves out."""
    import keras

    hub = _keras_hub()
    config = {"object": keras.saving.serialize_keras_object(tokenizer)}
    if isinstance(tokenizer, hub.tokenizers.SentencePieceTokenizer):
        return {**config, "proto": base64.b64encode(tokenizer.proto).decode()}
    if isinstance(tokenizer, hub.tokenizers.BytePairTokenizer):
        return {**config, "vocabulary": dict(tokenizer.vocabulary), "merges": list(tokenizer.merges)}
    if isinstance(tokenizer, hub.tokenizers.WordPieceTokenizer):
        return {**config, "vocabulary": list(tokenizer.vocabulary)}
    return config


def tokenizer_from_config(config: dict):
    """Make a tokenizer from what `tokenizer_config` gave."""
    # The classes of keras-hub are found by name only once it is imported.
    _keras_hub()
    import keras

    tokenizer = keras.saving.deserialize_keras_object(config["object"])
    if "proto" in config:
        tokenizer.set_proto(base64.b64decode(config["proto"]))
    elif "merges" in config:
        # Without TensorFlow, CLIP's tokenizer reads these two attributes before anything has set them.
        tokenizer.vocabulary, tokenizer.merges = config["vocabulary"], config["merges"]
        tokenizer.set_vocabulary_and_merges(config["vocabulary"], config["merges"])
    elif "vocabulary" in config:
        tokenizer.set_vocabulary(config["vocabulary"])
    return tokenizer


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            "The tokenizer of a Text part needs keras-hub, and Keras with it: pip install keras-nlp. Where Keras "
            "cannot be, train with a Text that has a vocabulary of words."
        ) from error
    return keras_hub


def _require_tensorflow_text(tokenizer):
    try:
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{type(tokenizer).__name__} needs TensorFlow Text in a graph (tf.data, exported signatures): "
            "pip install tensorflow-text. In Python, `encode` works without it."
        ) from error


def _check_tokenizer(tokenizer):
    hub = _keras_hub()
    name = type(tokenizer).__name__
    families = ("BytePairTokenizer", "SentencePieceTokenizer", "WordPieceTokenizer")
    families += ("ByteTokenizer", "UnicodeCodepointTokenizer")
    if not isinstance(tokenizer, tuple(getattr(hub.tokenizers, family) for family in families)):
        raise ValueError(
            f"`tokenizer` must be one of {families} or of a class made from them, whose vocabulary a config can "
            f"carry. Received: {name}"
        )
    if getattr(tokenizer, "sequence_length", None) is not None:
        raise ValueError(
            "The length belongs to `Text(length=...)`: make the tokenizer without `sequence_length`. Received: "
            f"{name}(sequence_length={tokenizer.sequence_length})"
        )
    if "int" not in str(tokenizer.compute_dtype):
        raise ValueError(f"The tokenizer must give ids, dtype='int32'. Received: dtype={tokenizer.compute_dtype}")
    if isinstance(tokenizer, hub.tokenizers.SentencePieceTokenizer) and (tokenizer.add_bos or tokenizer.add_eos):
        raise ValueError(
            "`Text(mark_ends=True)` sets the marks: make the tokenizer without them. Received: "
            f"{name}(add_bos={tokenizer.add_bos}, add_eos={tokenizer.add_eos})"
        )
    if not tokenizer.vocabulary_size():
        raise ValueError(f"{name} needs a `vocabulary_size`: it says how many ids a model must know. Received: None")


def _num_ids(tokenizer):
    if isinstance(tokenizer, _keras_hub().tokenizers.BytePairTokenizer):
        return max(tokenizer.vocabulary.values()) + 1
    return int(tokenizer.vocabulary_size())


def _first_token(tokenizer):
    try:
        return tokenizer.id_to_token(0)
    except ValueError:
        return ""


def _model_marks(tokenizer):
    """Ids of the start and end mark of a model's tokenizer; None for one it does not have."""
    if isinstance(tokenizer, _keras_hub().tokenizers.WhisperTokenizer):
        return tokenizer.bos_token_id, tokenizer.eos_token_id
    return getattr(tokenizer, "start_token_id", None), getattr(tokenizer, "end_token_id", None)


def _named_marks(tokenizer):
    vocabulary = set(tokenizer.get_vocabulary())
    for marks in _MARKS:
        if vocabulary.issuperset(marks):
            return [int(tokenizer.token_to_id(token)) for token in marks]
    return None


def _unknown_id(tokenizer):
    hub = _keras_hub()
    if isinstance(tokenizer, hub.tokenizers.WordPieceTokenizer):
        return tokenizer.token_to_id(tokenizer.oov_token)
    if isinstance(tokenizer, hub.tokenizers.SentencePieceTokenizer):
        # Whatever no piece covers has the id of a piece that cannot exist.
        return tokenizer.token_to_id("\0")
    return None
