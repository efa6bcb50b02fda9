"""Records from a folder of files."""

import os
from functools import partial

from mmkeras.data.problems import Problems
from mmkeras.data.readers.common import EXTENSIONS, Packed, base_name, finish, modality_of, require_folder, split_name
from mmkeras.data.records import SPLITS, Records
from mmkeras.data.sources import Mapped

_IGNORED = {"thumbs.db", "desktop.ini", "__macosx", "__pycache__"}


def read_folder(path: str | os.PathLike, *, strict: bool = False) -> Records:
    """Read a folder of pictures, sounds, clips and texts, in one of two layouts, told apart by looking.

    *Class folders*, `CLASS/a.jpg`, at any depth below the class: `{"image": path, "label": CLASS}`. A text file is one
    text.

    *Siblings*, `a.jpg`, `a.txt`, `a.wav`: `{"image": path, "audio": path, "text": text, "id": "a"}`. A text file of
    several lines that are not blank is a list of texts, such as captions.

    In both, files of one folder that differ only in their extension are one sample, and every sample has every key
    that any sample has, None where there is no file. Folders named train, val (valid, validation, dev) and test at
    the top are the official split; each holds one of the layouts. Texts are read when the record is asked for.

    Pictures are jpg, jpeg, png, gif, bmp and webp; sounds wav, flac, ogg and mp3; clips mp4, mpg, mpeg, webm, avi, mov
    and mkv; texts txt, in UTF-8. Other files are named as problems. Hidden files are not looked at.

    Args:
        path: the folder.
        strict: raise at the first file that cannot be used.

    Returns:
        Records in the order of their names, with an official split if there are folders for it.
    """
    path = require_folder(path)
    problems = Problems(f"read_folder({base_name(path)!r})", strict)
    packed, splits, keys = Packed(), {}, set()
    for split, folder in _split_folders(path, problems):
        start = len(packed)
        for record in _samples(folder, problems):
            packed.append(record)
            keys.update(record)
        if split:
            splits[split] = range(start, len(packed))
    if not len(packed) and not problems:
        raise ValueError(f"{path!r} holds no files. Expected {_known_extensions()}")
    keys = [key for key in (*EXTENSIONS, "label", "id") if key in keys]
    return finish(Mapped(packed, partial(_complete, keys=keys)), problems, splits)


def _split_folders(path, problems):
    """(split, folder) of each official part, or the whole folder as [(None, path)]."""
    folders, files = _entries(path)
    named = [(split_name(name), name) for name in folders if split_name(name)]
    parts = {split for split, _ in named}
    # "train" may be a class among others, beside "car"; it is a part where "val" or "test" stand beside it.
    if not named or (len(named) < len(folders) and not ("train" in parts and len(parts) > 1)):
        return [(None, path)]
    for split in parts:
        names = [name for part, name in named if part == split]
        if len(names) > 1:
            raise ValueError(f"{path!r} has two folders for {split!r}. Expected one. Received: {names}")
    for name in [name for name in folders if not split_name(name)] + files:
        problems.add(os.path.join(path, name), "stands beside the folders of the split, belongs to none")
    names = dict(named)
    return [(split, os.path.join(path, names[split])) for split in SPLITS if split in names]


def _samples(folder, problems):
    """Records of a folder in either layout, with paths in place of texts."""
    folders, files = _entries(folder)
    classes = [name for name in folders if _holds_samples(os.path.join(folder, name))]
    # Beside samples, one folder alone is no choice of classes.
    if len(classes) == 1 and any(map(modality_of, files)):
        problems.add(os.path.join(folder, classes.pop()), "a folder beside the samples, belongs to none")
        folders = []
    for name in folders:
        if name not in classes:
            problems.add(os.path.join(folder, name), f"no files in it. Expected {_known_extensions()}")
    if not classes:
        for stem, record in _siblings(folder, files, problems):
            yield {**record, "id": stem}
        return
    for name in files:
        problems.add(os.path.join(folder, name), "stands beside the class folders, belongs to none")
    for label in classes:
        for where, inner, names in os.walk(os.path.join(folder, label)):
            inner[:] = sorted(name for name in inner if not _is_hidden(name))
            names = sorted(name for name in names if not _is_hidden(name))
            for _, record in _siblings(where, names, problems):
                yield {**record, "label": label}


def _siblings(folder, names, problems):
    """(stem, {modality: path}) of the files of one folder."""
    found, broken = {}, set()
    for name in names:
        path, stem, modality = os.path.join(folder, name), os.path.splitext(name)[0], modality_of(name)
        if modality is None:
            problems.add(path, f"unknown kind of file. Expected {_known_extensions()}")
            continue
        record = found.setdefault(stem, {})
        if modality in record:
            raise ValueError(
                f"Two files for the {modality} of one sample: {record[modality]!r} and {path!r}. Expected one: remove "
                "or rename the other"
            )
        record[modality] = path
        if modality == "text":
            try:
                _read_text(path)
            except ValueError as error:
                problems.add(path, str(error), "text")
                broken.add(stem)
    return [(stem, record) for stem, record in found.items() if stem not in broken]


def _complete(record, keys):
    """Record with every key, and with its text read."""
    path = record.get("text")
    if path is not None:
        text = _read_text(path)
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        record["text"] = lines if "id" in record and len(lines) > 1 else text.strip() or None
    return {key: record.get(key) for key in keys}


def _read_text(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{error.object[error.start]:02x}") from error
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror}") from error


def _entries(folder):
    """Names of the folders and of the files in a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries if not _is_hidden(entry.name))
    return [name for name, is_folder in found if is_folder], [name for name, is_folder in found if not is_folder]


def _holds_samples(folder):
    for _, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not _is_hidden(name)]
        if any(modality_of(name) and not _is_hidden(name) for name in names):
            return True
    return False


def _is_hidden(name):
    return name.startswith(".") or name.lower() in _IGNORED


def _known_extensions():
    return ", ".join(extension for extensions in EXTENSIONS.values() for extension in extensions)
