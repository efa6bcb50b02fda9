"""What a key of a record holds: told by its name, or else by its values."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

MEDIA = ("image", "audio", "video")
MODALITIES = (*MEDIA, "text", "array")
KINDS = (*MODALITIES, "label", "category", "number", "other")

_NAMES = {
    # First: `features_audio` are features.
    "array": ("signal", "features"),
    "image": ("image", "images"),
    "audio": ("audio",),
    "video": ("video",),
    "text": ("text", "texts", "question", "target_text", "caption", "captions", "sentence", "sentences"),
    "label": ("label", "labels", "answer", "answers"),
}
# `image_id` names a picture, and `question_type` tells of a question: neither is one.
_NAMING = ("id", "ids", "name", "names", "number", "index", "url")
_TELLING = ("type", "source", "language", "size", "width", "height", "length", "count", "rate")
_EXTENSIONS = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    "audio": (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff"),
    "video": (".mp4", ".avi", ".mkv", ".mov", ".mpg", ".mpeg", ".webm"),
}
# The kind of encoder input that a part of a Preprocessor makes, and what it reads for it; None for targets.
_PART_KINDS = {
    "image": "image",
    "frames": "video",
    "token_ids": "text",
    "audio": "audio",
    "spectrogram": "audio",
    "signal": "array",
    "features": "array",
    "nodes": "other",
    None: "label",
}


def kind_of(key: str, values: Iterable[Any] = (), part=None) -> str:
    """Tell one of `KINDS` by the part that prepares the key, by its name, or by its values.

    Args:
        key: key of a record.
        values: some of its values, none of them None.
        part: part of a Preprocessor, or None.

    Example:

    >>> kind_of("left_image"), kind_of("image_id", [17]), kind_of("speaker", ["george"]), kind_of("note", ["a dog"])
    ('image', 'other', 'category', 'text')
    """
    if part is not None and part.kind in _PART_KINDS:
        return _PART_KINDS[part.kind]
    last = key.rpartition("_")[2]
    if last in _NAMING:
        return "other"
    if last not in _TELLING:
        for kind, names in _NAMES.items():
            if any(key == name or key.startswith(name + "_") or key.endswith("_" + name) for name in names):
                return kind
    kind = kind_of_values(values)
    return "category" if last in _TELLING and kind == "text" else kind


def kind_of_values(values: Iterable[Any]) -> str:
    """Tell one of `KINDS` by values alone; a string is a file only where there is such a file."""
    is_list = any(isinstance(value, list) for value in values)
    values = [
        value[0] if isinstance(value, list) else value for value in values if not isinstance(value, list) or value
    ]
    first = values[0] if values else None
    if isinstance(first, (str, os.PathLike)):
        found = next((value for value in values if isinstance(value, (str, os.PathLike)) and os.path.isfile(value)), "")
        extension = os.path.splitext(os.fspath(found))[1].lower()
        for kind, extensions in _EXTENSIONS.items():
            if extension in extensions:
                return kind
        if any(isinstance(value, str) and len(value.split()) > 1 for value in values):
            return "text"
        return "other" if is_list or found else "category"
    if isinstance(first, tuple) and len(first) == 2 and isinstance(first[0], np.ndarray):
        return "audio"
    if isinstance(first, np.ndarray) and first.ndim and first.dtype.kind in "biuf":
        is_picture = first.dtype == np.uint8 and first.ndim == 3 and first.shape[-1] in (1, 3, 4)
        return "image" if is_picture else "array"
    if isinstance(first, (bool, int, np.bool_, np.integer)):
        return "other" if is_list else "category"
    return "number" if isinstance(first, (float, np.floating)) and not is_list else "other"
