"""Raw values of a sentence: strings, lists of strings, token ids."""

import numpy as np


def sentences_of(values, name):
    """The sentences of raw values, one by one; None is passed over.

    Args:
        values: strings or lists of strings.
        name: what they are given to, for messages.
    """
    if isinstance(values, (str, bytes)):
        raise ValueError(f"`{name}` takes a collection of sentences. Received: one string, {values[:40]!r}")
    for row, value in enumerate(values):
        if value is None:
            continue
        for sentence in value if isinstance(value, (list, tuple, np.ndarray)) else [value]:
            if not isinstance(sentence, (str, bytes)):
                raise ValueError(
                    f"`{name}` takes strings or lists of strings; token ids teach no words: give `vocabulary` "
                    f"for them. Received: {_described(sentence)} in value {row}"
                )
            yield utf8(sentence).decode()


def utf8(sentence):
    """UTF-8 of a sentence, a str or bytes; an error where it is none."""
    if isinstance(sentence, str):
        try:
            return sentence.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the sentence holds half a surrogate pair at character {error.start}, which is no text: decode the "
                f"file it comes from as UTF-8. Received: {sentence[:60]!r}"
            ) from error
    if not isinstance(sentence, bytes):
        raise ValueError(f"expected a sentence (str); a missing one is None. Received: {_described(sentence)}")
    try:
        sentence.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the sentence is not UTF-8: {error.reason} at byte {error.start}. Received: {sentence[:60]!r}"
        ) from error
    return sentence


def token_ids(value) -> np.ndarray:
    """Token ids as an integer array (time,) or (sentence, time) from an array or (nested) lists of integers."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (list, tuple)) for item in value):
        time = max(map(len, value))
        value = [[*item, *[0] * (time - len(item))] for item in value]
    ids = np.asarray(value) if isinstance(value, (list, tuple, np.ndarray)) else None
    if ids is None or ids.dtype.kind not in "iu" or ids.ndim not in (1, 2):
        received = _described(value) if ids is None else f"{type(value).__name__} of {ids.dtype}, shape {ids.shape}"
        raise ValueError(
            "expected a sentence (str), a list of sentences that is not empty, or an integer array of token ids "
            f"(time,) or (sentence, time); a missing sentence is None. Received: {received}"
        )
    return ids


def _described(value):
    return f"{type(value).__name__} {value!r:.60}"
