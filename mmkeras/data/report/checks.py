"""Look at one value of any modality: what it measures, or why it cannot be used."""

import re
from typing import Any

import numpy as np

from mmkeras.data.report.look import Look
from mmkeras.data.report.pictures import look_at_image
from mmkeras.data.report.recordings import look_at_audio, look_at_video

# Control characters but for white space, those of Latin-1 included, which UTF-8 read as Latin-1 leaves, and U+FFFD.
_ODD = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")


def look_at(kind: str, value: Any) -> Look:
    """Look at one value; a ValueError says why it is broken.

    Args:
        kind: one of `kinds.KINDS`.
        value: raw value, not None and, but for arrays, not a list.
    """
    return _CHECKS[kind](value)


def look_at_text(value) -> Look:
    """A text: a string, its bytes in UTF-8, or its token ids."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return _token_ids(value)
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"not UTF-8: byte 0x{value[error.start]:02x} at {error.start}") from None
    if not isinstance(value, str):
        raise ValueError(f"expected a string, and None where it is missing. Received: {value!r:.60}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"half a character (surrogate U+{ord(value[error.start]):04X}) at {error.start}: read as another encoding "
            "than it was written in"
        ) from None
    words = len(value.split())
    if not words:
        raise ValueError("empty text" if not value else "nothing but spaces")
    marks = ("odd characters",) if _ODD.search(value) else ()
    return Look({"words": words, "characters": len(value)}, marks=marks)


def _token_ids(value):
    sentences = value if isinstance(value[0], (list, tuple, np.ndarray)) else [value]
    if any(np.asarray(sentence).dtype.kind not in "iu" for sentence in sentences):
        raise ValueError(f"expected a string, or token ids: integers. Received: {value!r:.60}")
    return Look({"tokens": max(map(len, sentences))})


def look_at_array(value) -> Look:
    """Numbers: an array or nested lists."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"lists of unequal lengths do not make an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers. Received: {value!r:.60}")
    if not array.size:
        raise ValueError(f"an empty array, shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(f"{bad:,} of {array.size:,} numbers are NaN or infinite")
    return Look({"length": len(array)} if array.ndim else {}, {"shape": str(array.shape)}, shape=array.shape)


def look_at_label(value) -> Look:
    """A class, or a number to be predicted; an array where a sample has several numbers."""
    if isinstance(value, np.ndarray) and value.size != 1:
        return look_at_array(value)._replace(shape=None, sizes={}, classes=_classes_in(value))
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("an empty label: expected a class, and None where it is missing")
        return Look(classes=(value,))
    if isinstance(value, (bool, int)):
        return Look(classes=(value,))
    if isinstance(value, float):
        if not np.isfinite(value):
            raise ValueError(f"expected a class or number, and None where it is missing. Received: {value}")
        return Look(classes=(int(value),)) if value.is_integer() else Look({"value": value})
    raise ValueError(f"expected a string or number. Received: {value!r:.60}")


def _classes_in(array):
    """Integers are classes, ones among zeros mark them, other numbers are to be predicted."""
    if array.dtype.kind in "iu":
        return tuple(np.unique(array).tolist())
    return tuple(np.flatnonzero(array).tolist()) if np.isin(array, (0, 1)).all() else ()


def look_at_number(value) -> Look:
    """A number that is neither a modality nor a class."""
    if not isinstance(value, (int, float, np.number)):
        raise ValueError(f"expected a number as in other records. Received: {value!r:.60}")
    return Look({"value": float(value)})


_CHECKS = {
    "image": look_at_image,
    "audio": look_at_audio,
    "video": look_at_video,
    "text": look_at_text,
    "array": look_at_array,
    "label": look_at_label,
    "category": look_at_label,
    "number": look_at_number,
}
