"""What readers share: kinds of files, compact records, JSON files, official splits."""

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, final

from mmkeras.data.problems import Problems
from mmkeras.data.records import SPLITS, Records

EXTENSIONS = {
    "image": ("jpg", "jpeg", "png", "gif", "bmp", "webp"),
    "audio": ("wav", "flac", "ogg", "mp3"),
    "video": ("mp4", "mpg", "mpeg", "webm", "avi", "mov", "mkv"),
    "text": ("txt",),
}
_MODALITIES = {extension: modality for modality, extensions in EXTENSIONS.items() for extension in extensions}
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# File names need not be valid Unicode; the stray bytes Python puts in them survive only so.
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def modality_of(path: str) -> str | None:
    """Modality of a file by its extension, None if it is unknown."""
    return _MODALITIES.get(os.path.splitext(path)[1][1:].lower())


def holds_files(key: str) -> bool:
    """Whether values of a key are files: its last word is image, audio or video, as in `"left_image"`."""
    return key.split("_")[-1] in ("image", "audio", "video")


def split_name(word: str) -> str | None:
    """`"train"`, `"val"` or `"test"` for one of its usual names, None for any other word."""
    return _SPLIT_NAMES.get(word.lower())


@final
class Packed(Sequence):
    """Records of strings, numbers and lists in one block of memory, each made when it is asked for.

    It takes the room of the text alone, pickles as fast as it copies, and never grows in forked workers.
    """

    def __init__(self):
        self._data = bytearray()
        self._ends = array("q", [0])

    def append(self, record: dict[str, Any]) -> None:
        self._data += _ENCODE(record).encode("utf-8", "surrogatepass")
        self._ends.append(len(self._data))

    def __len__(self):
        return len(self._ends) - 1

    def __getitem__(self, row):
        data = self._data[self._ends[row] : self._ends[row + 1]]
        return json.loads(data.decode("utf-8", "surrogatepass"))


def base_name(path) -> str:
    """Last part of a path, for messages."""
    return os.path.basename(os.path.abspath(path))


def task_name(reader: str, files) -> str:
    """What a reader and its collection are called: `read_csv('clips.csv')`."""
    paths = files.values() if isinstance(files, Mapping) else [files]
    return f"{reader}({', '.join(repr(base_name(path)) for path in paths)})"


def require_file(path, cure: str = "") -> str:
    """The path as a string; an error if there is no such file."""
    if not os.path.isfile(path):
        raise ValueError(f"No such file: {os.fspath(path)!r}{'. ' + cure if cure else ''}")
    return os.fspath(path)


def require_folder(path, cure: str = "") -> str:
    """The path as a string; an error if there is no such folder."""
    if not os.path.isdir(path):
        raise ValueError(f"No such folder: {os.fspath(path)!r}{'. ' + cure if cure else ''}")
    return os.fspath(path)


def load_json(path, *keys: str) -> dict[str, Any]:
    """Content of a JSON file that is an object and holds lists under `keys`."""
    with open(require_file(path), "rb") as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)!r} is not a JSON file: {error}") from error
    found = sorted(content) if isinstance(content, dict) else type(content).__name__
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{os.fspath(path)!r}: expected an object with a list {key!r}. Received: {found}")
    return content


def field(item, key: str, where: str):
    """One field of a JSON object, which must have it."""
    if not isinstance(item, dict) or key not in item:
        found = sorted(item) if isinstance(item, dict) else type(item).__name__
        raise ValueError(f"{where}: expected an object with {key!r}. Received: {found}")
    return item[key]


def by_split(files, partial: Sequence[str] = (), **others):
    """One (split, path, other values) of a path, or of a dict of paths by official split.

    Args:
        files: a path, or dict from split to path.
        partial: names in `others` whose dicts need not have every split.
        **others: further arguments, each one value for all splits, or a dict like `files`.
    """
    if not isinstance(files, Mapping):
        return [(None, files, others)]
    unknown = sorted(set(files) - set(SPLITS))
    if unknown or not files:
        raise ValueError(f"Expected a path, or a dict with keys from {SPLITS}. Received: keys {sorted(files)}")
    for name, value in others.items():
        given = set(value) if isinstance(value, Mapping) else set(files)
        if not given <= set(files) or (name not in partial and given != set(files)):
            raise ValueError(f"`{name}` must have the splits {sorted(files)}. Received: {sorted(given)}")
    parts = []
    for split in files:
        each = {name: value.get(split) if isinstance(value, Mapping) else value for name, value in others.items()}
        parts.append((split, files[split], each))
    return parts


def finish(source, problems: Problems, splits=None, stacklevel: int = 2) -> Records:
    """The collection a reader returns; says aloud, to who called `stacklevel` calls up, what was skipped."""
    problems.warn(len(source) + len(problems), stacklevel=stacklevel + 2)
    return Records(source, name=problems.task, problems=problems, splits=splits or None)
