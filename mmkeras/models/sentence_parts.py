"""What a task that says sentences is put together from."""

from typing import Any, NamedTuple

import numpy as np

from mmkeras.layers import Decoder, LSTMDecoder, PositionEmbedding, TransformerDecoder
from mmkeras.preprocessing.preprocessor import Preprocessor


class Sentence(NamedTuple):
    """A generated sentence.

    Attributes:
        text: the sentence; its token ids as a list in a task without a preprocessor.
        words: its words, one for each row of `attention`; the end mark is the last where it was said.
        score: by which sentences of one sample are ranked.
        log_probability: of the sentence, by the model.
        attention: array (word, key), what was looked at while each word was said; None if not asked for.
    """

    text: Any
    words: list
    score: float
    log_probability: float
    attention: np.ndarray | None


def placed(encoding, modality):
    """Tokens that know where they stand, where their number is fixed, as that of the parts of a picture is."""
    if len(encoding.shape) == 2 or encoding.shape[1] is None or encoding.shape[1] == 1:
        return encoding
    return PositionEmbedding(encoding.shape[1], name=f"{modality}_places")(encoding)


def part_of(preprocessor, sentence):
    """The part of a preprocessor for the sentences that are said, or None."""
    if not isinstance(preprocessor, Preprocessor):
        return None
    if sentence not in preprocessor.parts:
        raise ValueError(
            f"The preprocessor needs a part for the sentences that are said, {sentence}=mm.preprocessing.Text(...). "
            f"Received: parts {sorted(preprocessor.parts)}"
        )
    return preprocessor[sentence]


def make_decoder(decoder, vocabulary_size, units):
    """The decoder given, or one of this name."""
    if isinstance(decoder, Decoder):
        return decoder
    classes = {"lstm": LSTMDecoder, "transformer": TransformerDecoder}
    if not isinstance(decoder, str) or decoder not in classes:
        raise ValueError(f"`decoder` must be one of {sorted(classes)} or a mm.layers.Decoder. Received: {decoder!r}")
    if vocabulary_size is None:
        raise ValueError(
            "How many words there are is not known: give a `preprocessor` that was adapted, or `vocabulary_size`. "
            "Received: vocabulary_size=None"
        )
    return classes[decoder](vocabulary_size, units, name="decoder")


def check_sizes(decoder, part, sentence, start_id, end_id):
    """Raise an error where decoder, vocabulary and marks do not belong together."""
    size = decoder.vocabulary_size
    if part is not None and part.num_tokens > size:
        raise ValueError(
            f"The decoder must know every word of the preprocessor's {sentence!r}: {part.num_tokens} ids. "
            f"Received: vocabulary_size={size}"
        )
    if part is not None and not part.mark_ends:
        raise ValueError(
            f"Sentences need marks where they begin and end: Text(mark_ends=True) for {sentence!r}. Received: {part!r}"
        )
    if part is not None and (part.start_id is None or part.end_id is None or part.padding_id):
        raise ValueError(
            f"The tokenizer of {sentence!r} must have a start mark, an end mark and padding of 0, for sentences to "
            f"begin and end: take one that does, or a vocabulary of words. Received: start_id={part.start_id}, "
            f"end_id={part.end_id}, padding_id={part.padding_id}"
        )
    if not 0 <= start_id < size or not 0 < end_id < size:
        raise ValueError(
            f"The marks must be ids of the vocabulary, of size {size}. Received: start_id={start_id}, end_id={end_id}"
        )
