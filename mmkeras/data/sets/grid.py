"""GRID: speakers who say sentences of six words, seen and heard."""

import os
import pathlib
import re

import numpy as np

from mmkeras.data.media.image import import_pillow, load_image
from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sources import Mapped

_LAYOUT = "s1/align/ID.align with s1/mouth/ID.jpg or s1/video/ID.mpg, and s1/audio/ID.wav; s2, ... alike"
_SPEAKER = re.compile(r"s(\d+)")
_UNITS_PER_SECOND = 25_000
_SILENCE = ("sil", "sp")
_FRAMES, _HEIGHT, _WIDTH = 75, 32, 64


def grid(path: str | os.PathLike, *, strict: bool = False) -> Records:
    """Read the GRID corpus: clips of three seconds, 75 frames, such as "bin blue at f two now".

    Two forms are read. `s1/mouth/ID.jpg` holds the 75 mouth crops of a clip, 32 by 64 pixels, one under the other:
    `"video"` is then the array, decoded when the record is asked for. Else the films `s1/video/ID.mpg` or
    `s1/ID.mpg`: `"video"` is then the path. Alignments lie in `s1/align` or `alignments/s1`, sounds in `s1/audio`.
    A clip that lacks a file keeps the others, with None for what is missing, and the notes count it.

    ```python
    clips = mm.data.sets.grid("grid")
    train, val = clips.split(0.9, seed=0)                # or by="speaker", to test on unknown speakers
    ```

    Args:
        path: the folder that holds `s1`, `s2`, ..., or one of these.
        strict: raise at the first alignment or picture that cannot be read instead of skipping the clip and naming it.

    Returns:
        Records `{"video": uint8 (75, 32, 64, 3) or path, "audio": path, "text": sentence without silences,
        "words": list of (start, end, word) in seconds, "speaker", "id"}`.
    """
    problems = Problems(f"grid({os.fspath(path)!r})", strict)
    records = []
    for folder in _speakers(pathlib.Path(path)):
        outside = folder.parent / "alignments" / folder.name
        videos = _first((folder / "mouth", ".jpg"), (folder / "video", ".mpg"), (folder, ".mpg"))
        sounds = _first((folder / "audio", ".wav"), (folder, ".wav"))
        aligned = _first((folder / "align", ".align"), (outside, ".align"), (folder, ".align"))
        for clip in sorted(videos.keys() | sounds.keys() | aligned.keys()):
            video, audio, align = (files.get(clip) for files in (videos, sounds, aligned))
            try:
                words = None if align is None else _read_align(align)
                if video and video.endswith(".jpg"):
                    _check_size(video)
            except ValueError as error:
                problems.add(f"{folder / clip}", error)
                continue
            text = None if words is None else " ".join(word for _, _, word in words)
            records.append(
                {"video": video, "audio": audio, "text": text, "words": words, "speaker": folder.name, "id": clip}
            )
    if not records and not problems:
        raise ValueError(f"No clips here. Expected {_LAYOUT}. Received: {os.fspath(path)!r}")
    problems.warn(len(records) + len(problems))
    counts = {key: sum(record[key] is None for record in records) for key in ("video", "audio", "text")}
    notes = [f"{key} missing in {count:,} of {len(records):,}" for key, count in counts.items() if count]
    return Records(Mapped(records, _decode), name="grid", problems=problems, notes=notes)


def _speakers(path):
    found = [folder for folder in path.glob("s*") if folder.is_dir() and _SPEAKER.fullmatch(folder.name)]
    if not found and path.is_dir() and _SPEAKER.fullmatch(path.name):
        found = [path]
    if not found:
        raise ValueError(f"No folders of speakers. Expected {_LAYOUT}. Received: {os.fspath(path)!r}")
    return sorted(found, key=lambda folder: int(_SPEAKER.fullmatch(folder.name)[1]))


def _first(*places):
    """Clip -> path in the first of the places (folder, suffix) that has any such file."""
    for folder, suffix in places:
        names = os.listdir(folder) if folder.is_dir() else ()
        found = {name.removesuffix(suffix): str(folder / name) for name in names if name.endswith(suffix)}
        if found:
            return found
    return {}


def _read_align(path):
    """Words of an alignment as (start, end, word) in seconds, without silences."""
    words, last = [], 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            cells = line.split()
            if len(cells) != 3 or not (cells[0].isdecimal() and cells[1].isdecimal()):
                raise ValueError(f"{path}, line {number}: expected 'start end word'. Received: {line.strip()!r}")
            start, end, word = int(cells[0]), int(cells[1]), cells[2]
            if not last <= start <= end:
                raise ValueError(f"{path}, line {number}: times must not go back. Received: {line.strip()!r}")
            last = end
            if word not in _SILENCE:
                words.append((start / _UNITS_PER_SECOND, end / _UNITS_PER_SECOND, word))
    return words


def _check_size(path):
    # The head alone: decoding 33,000 clips here would take a minute.
    image_module, _ = import_pillow("Reading mouth crops")
    try:
        with image_module.open(path) as image:
            size = image.size
    except OSError as error:
        raise ValueError(f"{path} is not a readable picture: {error}") from error
    if size != (_WIDTH, _FRAMES * _HEIGHT):
        raise ValueError(f"{path}: expected 75 crops of 32x64 in a picture 64 wide, 2400 high. Received: {size}")


def _decode(record):
    if record["video"] and record["video"].endswith(".jpg"):
        try:
            crops = load_image(record["video"])
        except ValueError as error:
            raise ValueError(f"{record['video']}: {error}") from error
        record["video"] = np.ascontiguousarray(crops).reshape(_FRAMES, _HEIGHT, _WIDTH, 3)
    return record
