"""What a frozen encoder makes of records, computed once and kept on disk."""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.media.video import clip_info
from mmkeras.data.problems import Problems
from mmkeras.data.records import Records

# So many records stand for all of them.
_LOOKED_AT = 32


def cache_features(
    records: Iterable[Mapping[str, Any]],
    folder: str | os.PathLike,
    *,
    batch_size: int = 32,
    version: str = "",
    strict: bool = False,
    **functions: Callable[[list[dict]], Any],
) -> Records:
    """Replace values of records by what a function makes of them, computed once and kept on disk.

    An encoder that does not learn gives the same of a clip in every epoch: compute it before the first one, and train
    what stands behind it on its features. Random frames and augmentation end here.

    ```python
    frames = mm.preprocessing.Preprocessor(video=mm.preprocessing.Video(16, (112, 112)))
    encoder = mm.encoders.time_distributed(mm.encoders.resnet50(weights="imagenet", image_shape=(112, 112, 3)))
    see = lambda batch: encoder.predict_on_batch(frames(batch)["frames"])
    seen = mm.data.cache_features(clips, "cache/train", video=see)
    features = mm.preprocessing.Features(16, normalize=None)
    pre = mm.preprocessing.Preprocessor(video=features, label=mm.preprocessing.Label()).adapt(seen)
    task = mm.models.VideoAudioModel({"video": mm.encoders.features((16, 2048), 128)}, classes=pre["label"].classes)
    ```

    `mm.training.replace_encoders` makes the trained task one on clips again. Steps of padding should be zeros in what
    the encoder gives, as they are in what `time_distributed` gives without an LSTM.

    A run that was cut off goes on where it ended, and a second one computes nothing but what could not be read before.
    A record that cannot be read is left out and named, as readers do. What is on disk belongs to these records in this
    order and to the `version` you give it; another number of records, other values in those that are looked at (the
    first, the last and 31 between them) or another version is an error.

    Args:
        records: `Records`, or a list of dicts.
        folder: where the features are kept; made where it does not exist.
        batch_size: how many records a function is given together.
        version: names what the functions compute, such as the weights of the encoder.
        strict: raise at the first record that cannot be read, instead of leaving it out.
        **functions: modality -> function from a list of records to an array (batch, ...), of one shape for all. A
            record whose `video` is a file with sound gets the file as its `audio`: all of its sound.

    Returns:
        Records with arrays, memory-mapped, in place of the values.

    Example:

    >>> import tempfile
    >>> records = mm.data.from_arrays(text=["a dog", "a cat runs"], label=[0, 1])
    >>> count = lambda batch: np.array([[len(record["text"].split())] for record in batch])
    >>> cached = cache_features(records, tempfile.mkdtemp(), text=count)
    >>> [record["text"].tolist() for record in cached]
    [[2], [3]]
    """
    records = records if isinstance(records, Records) else Records(list(records))
    if not functions or batch_size < 1 or not len(records):
        raise ValueError(
            "`cache_features` needs records, a positive `batch_size` and a function, such as video=encode. Received: "
            f"{len(records)} records, batch_size={batch_size}, functions for {sorted(functions)}"
        )
    store = _Store(pathlib.Path(folder), records, sorted(functions), version)
    problems = Problems(f"cache_features({os.fspath(folder)!r})", strict)
    # Those that failed in a run before may have been mended.
    todo = [range(row, row + 1) for row in store.failed]
    todo += [range(row, min(row + batch_size, len(records))) for row in range(store.done, len(records), batch_size)]
    for rows in todo:
        arrays, failed = _computed(records, rows, functions)
        for row, reason in failed.items():
            problems.add(f"{records.name}, record {row}", reason)
        store.write(rows, arrays, failed)
    kept = [row for row in range(len(records)) if row not in store.failed]
    if not kept:
        raise ValueError(f"None of the records can be read: {problems[0]}. Received: {records!r}")
    problems.warn(len(records))
    return Records(
        Cached(records, kept, store.files),
        name=records.name,
        problems=records.problems + problems,
        notes=(*records.notes, f"{', '.join(store.files)} computed once, in {os.fspath(folder)}"),
    )


@final
class Cached(Sequence):
    """Rows of a source, some values in place of which stand in files of arrays, opened when one is asked for."""

    def __init__(self, source: Sequence, rows: Sequence[int], files: Mapping[str, str]):
        self.source = source
        self.rows = np.asarray(rows, "int64")
        self.files = dict(files)
        self._arrays = None

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        if self._arrays is None:
            self._arrays = {name: np.load(file, mmap_mode="r") for name, file in self.files.items()}
        row = int(self.rows[index])
        record = dict(self.source[row])
        video = record.get("video")
        if "video" in self.files and record.get("audio") is None and _has_sound(video):
            record["audio"] = video
        return record | {name: array[row] for name, array in self._arrays.items()}

    def __reduce__(self):
        return Cached, (self.source, self.rows, self.files)


class _Store:
    """Arrays of features in a folder, and how far they go.

    Attributes:
        done: how many rows are there.
        failed: dict of rows that could not be read -> why.
        files: dict modality -> file.
    """

    def __init__(self, folder, records, names, version):
        folder.mkdir(parents=True, exist_ok=True)
        self.files = {name: str(folder / f"{name}.npy") for name in names}
        self._index = folder / "index.json"
        self._arrays = {}
        self._state = {
            "version": version,
            "names": names,
            "records": _fingerprint(records),
            "total": len(records),
            "done": 0,
            "failed": {},
        }
        if self._index.exists():
            found = json.loads(self._index.read_text())
            differs = [key for key in ("version", "names", "records", "total") if found.get(key) != self._state[key]]
            if differs:
                raise ValueError(
                    f"{folder} holds features of something else: take another folder, or delete it. Received: other "
                    f"{', '.join(differs)}"
                )
            self._state = found

    @property
    def done(self):
        return self._state["done"]

    @property
    def failed(self):
        return {int(row): reason for row, reason in self._state["failed"].items()}

    def write(self, rows, arrays, failed):
        """Keep what was computed of some rows, and say so when it is on disk."""
        for name, array in arrays.items():
            self._file(name, array)[rows.start : rows.stop] = array
            self._arrays[name].flush()
        known = {row: reason for row, reason in self._state["failed"].items() if int(row) not in rows}
        self._state["failed"] = known | {str(row): reason for row, reason in failed.items()}
        self._state["done"] = max(self.done, rows.stop)
        beside = self._index.with_suffix(".tmp")
        beside.write_text(json.dumps(self._state))
        beside.replace(self._index)

    def _file(self, name, array):
        if name not in self._arrays:
            shape = (self._state["total"], *array.shape[1:])
            try:
                known = np.lib.format.open_memmap(self.files[name], "r+")
            except (OSError, ValueError):
                known = None
            nothing = self.done == len(self.failed)
            if known is None or (nothing and (known.shape, known.dtype) != (shape, array.dtype)):
                known = np.lib.format.open_memmap(self.files[name], "w+", array.dtype, shape)
            self._arrays[name] = known
        if self._arrays[name].shape[1:] != array.shape[1:]:
            raise ValueError(
                f"What is made of {name!r} must have one shape for all records. Received: shapes "
                f"{self._arrays[name].shape[1:]} and {array.shape[1:]}"
            )
        return self._arrays[name]


def _fingerprint(records):
    """What stands for a collection: paths, texts and numbers of some of its records."""
    known = hashlib.sha256()
    for row in sorted({len(records) * part // _LOOKED_AT for part in range(_LOOKED_AT)} | {len(records) - 1}):
        for key, value in sorted(records[row].items()):
            known.update(f"{row} {key} ".encode() + _told(value))
    return known.hexdigest()


def _told(value):
    """Bytes that stand for a value."""
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(map(_told, value)) + b"]"
    if isinstance(value, bytes):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value).encode()
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    return repr(value).encode()


def _has_sound(video):
    """Whether a value is a file with a sound track."""
    if not isinstance(video, (str, bytes, os.PathLike)):
        return False
    try:
        return clip_info(video).sample_rate > 0
    except ValueError:
        return False


def _computed(records, rows, functions):
    """Arrays of rows by modality, zeros where a row failed, and why these failed by row."""
    batch = [records[row] for row in rows]
    try:
        return {name: _array(function(batch), len(batch), name) for name, function in functions.items()}, {}
    except ValueError as error:
        if len(batch) == 1:
            return {}, {rows[0]: str(error)}
    # One of them cannot be read: find out which.
    found, failed = {}, {}
    for row in rows:
        arrays, reasons = _computed(records, range(row, row + 1), functions)
        failed |= reasons
        for name, array in arrays.items():
            found.setdefault(name, {})[row] = array[0]
    blanks = {name: np.zeros_like(next(iter(by_row.values()))) for name, by_row in found.items()}
    return {name: np.stack([by_row.get(row, blanks[name]) for row in rows]) for name, by_row in found.items()}, failed


def _array(made, count, name):
    array = np.asarray(made)
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:
        array = array.astype("float32")  # bfloat16, which a file of arrays cannot name.
    if array.ndim < 1 or len(array) != count or array.dtype == object:
        raise TypeError(
            f"The function of {name!r} must give one row for each of {count} records. "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    return array
