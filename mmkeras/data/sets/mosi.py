"""CMU-MOSI: features of what is said, heard and seen in film reviews."""

import csv
import os
import re
import zipfile

import numpy as np

from mmkeras.data.records import Records
from mmkeras.data.sets import common

_LAYOUT = (
    "mosi_train.npz or mosi_test.npz, or data/{text,audio,video}/*_{train,test}0.csv with data/transcripts.csv and "
    "data/text_{train,test}.csv"
)
_PARTS = ("train", "test")
_MODALITIES = ("text", "audio", "video")
_ARRAYS = (*_MODALITIES, "label", "mask", "utterance_id", "video_id", "flat_utterance_id", "flat_transcript")


def mosi(path: str | os.PathLike, by: str = "utterance") -> Records:
    """Read the utterance features of CMU-MOSI that came with the contextual LSTM: text 100, audio 73, video 100.

    Two forms are read, with the same result: arrays padded per video (`mosi_train.npz`, which goes first where both
    are there) and the tables of the original repository. Utterances stand in the order in which they are spoken.
    Nothing pickled is opened.

    ```python
    train, _, test = mm.data.sets.mosi("mosi", by="video").official_split()
    train, val = train.split(0.8, by="video_id")
    ```

    Args:
        path: the folder of the arrays, the repository's folder, or one above. Either part may be absent.
        by: `"utterance"` for one record per utterance, `"video"` for one per video, whose values are sequences.

    Returns:
        Records `{"features_text", "features_audio", "features_video", "label": 1 if positive, "text", "video_id",
        "utterance_id"}` with the official split into train and test, which share no video. Features are float32
        (dim) and labels int; by video (utterance, dim), labels int64 (utterance), texts and ids lists.
    """
    if by not in ("utterance", "video"):
        raise ValueError(f"`by` must be 'utterance' or 'video'. Received: {by!r}")
    markers = [f"mosi_{part}.npz" for part in _PARTS] + [f"text/text_{part}0.csv" for part in _PARTS]
    folder = common.find_folder(path, *markers, layout=_LAYOUT)
    records, parts = [], []
    for part in _PARTS:
        arrays, tables = folder / f"mosi_{part}.npz", folder / "text" / f"text_{part}0.csv"
        if not (arrays.exists() or tables.exists()):
            continue
        for video in _read_arrays(arrays) if arrays.exists() else _read_tables(folder, part):
            found = [video] if by == "video" else _utterances(video)
            records += found
            parts += [part] * len(found)
    return Records(records, name="mosi", splits=common.split_rows(parts), notes=[f"by {by}"])


def _video(features, labels, texts, utterance_ids, video_id):
    return {
        **{f"features_{key}": np.asarray(features[key], "float32") for key in _MODALITIES},
        "label": np.asarray(labels, "int64"),
        "text": list(texts),
        "video_id": video_id,
        "utterance_id": list(utterance_ids),
    }


def _utterances(video):
    """One record per utterance of a video's record."""
    alone = {key: video[key] for key in video if key != "video_id"}
    rows = [dict(zip(alone, values, strict=True)) for values in zip(*alone.values(), strict=True)]
    return [{**row, "label": int(row["label"]), "video_id": video["video_id"]} for row in rows]


def _read_arrays(file):
    try:
        # Opened here: `np.load` leaves a damaged file open.
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            missing = [key for key in _ARRAYS if key not in arrays]
            found = {key: arrays[key] for key in _ARRAYS if key in arrays}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read: {error}. Expected arrays saved without pickles") from error
    if missing:
        raise ValueError(f"{file} lacks the arrays {missing}. Expected {_ARRAYS}")
    texts = dict(zip(found["flat_utterance_id"].tolist(), found["flat_transcript"].tolist(), strict=True))
    for row, (video_id, mask) in enumerate(zip(found["video_id"].tolist(), found["mask"], strict=True)):
        ids = found["utterance_id"][row][mask].tolist()
        unknown = [utterance_id for utterance_id in ids if utterance_id not in texts]
        if unknown:
            raise ValueError(f"{file}: flat_transcript has no text for {unknown[:3]} of video {video_id!r}")
        features = {key: found[key][row][mask] for key in _MODALITIES}
        yield _video(features, found["label"][row][mask], [texts[key] for key in ids], ids, video_id)


def _read_tables(folder, part):
    features, labels = {}, {}
    for key in _MODALITIES:
        file = folder / key / f"{key}_{part}0.csv"
        table = _numbers(file)
        features[key], labels[key] = table[:, :-1], table[:, -1]
        differ = np.flatnonzero(labels[key] != labels["text"]) if len(table) == len(labels["text"]) else [len(table)]
        if len(differ):
            raise ValueError(f"{file}, line {differ[0] + 1}: length or label differs from the text's table")
    transcripts = [(file, line, row) for file, line, row in _cells(folder / "transcripts.csv")]
    ids, texts = [], []
    for file, line, row in _cells(folder / f"text_{part}.csv"):
        number = common.whole_number(f"{file}, line {line}", "row of transcripts.csv", row[0])
        if not 0 <= number < len(transcripts) or not re.fullmatch(r".+_\d+", transcripts[number][2][0]):
            raise ValueError(f"{file}, line {line}: transcripts.csv has no utterance in row {number} (0-based)")
        ids.append(transcripts[number][2][0])
        texts.append(transcripts[number][2][1])
    if len(ids) != len(labels["text"]):
        raise ValueError(f"text_{part}.csv has {len(ids):,} rows. Received: {len(labels['text']):,} rows of features")
    videos = {}
    for row, utterance_id in enumerate(ids):
        video_id, _, number = utterance_id.rpartition("_")
        videos.setdefault(video_id, []).append((int(number), row))
    for video_id, numbered in videos.items():
        rows = [row for _, row in sorted(numbered)]
        own = {key: features[key][rows] for key in _MODALITIES}
        yield _video(own, labels["text"][rows], [texts[row] for row in rows], [ids[row] for row in rows], video_id)


def _cells(file):
    if not file.exists():
        raise ValueError(f"A file of the set is missing. Expected {_LAYOUT}. Received: no file {str(file)!r}")
    with open(file, newline="", encoding="utf-8") as opened:
        reader = csv.reader(opened)
        for row in reader:
            yield file, reader.line_num, row


def _numbers(file):
    rows = []
    for _, line, row in _cells(file):
        try:
            rows.append([float(cell) for cell in row])
        except ValueError as error:
            raise ValueError(f"{file}, line {line}: {error}") from error
        if len(row) != len(rows[0]):
            raise ValueError(f"{file}, line {line}: expected {len(rows[0])} cells. Received: {len(row)}")
    return np.array(rows).reshape(len(rows), -1)
