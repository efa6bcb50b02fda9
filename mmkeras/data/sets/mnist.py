"""MNIST, and whatever else comes in its idx files."""

import os
import pathlib
from collections.abc import Sequence
from typing import final

import numpy as np

from mmkeras.data.records import Records
from mmkeras.data.sets import common
from mmkeras.data.sources import Chained

_LAYOUT = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, or .gz"
_UNSIGNED_BYTES = 8
_PREFIXES = {"train": "train", "t10k": "test"}


def mnist(path: str | os.PathLike) -> Records:
    """Read MNIST, Fashion-MNIST or another set in the four idx files, plain or packed.

    Counts and sizes come from the files' headers. Plain files are mapped; packed ones are unpacked to memory, 47 MB
    for the 60,000 pictures, once in every process that uses them.

    ```python
    train, _, test = mm.data.sets.mnist("MNIST/raw").official_split()
    ```

    Args:
        path: the folder of the files, or one above it. Either part may be absent.

    Returns:
        Records `{"image": uint8 (28, 28), "label": int}` with the official split into train and test.
    """
    markers = [f"{prefix}-images*" for prefix in _PREFIXES]
    folder = common.find_folder(path, *markers, layout=_LAYOUT)
    sources, parts = [], []
    for prefix, part in _PREFIXES.items():
        files = [
            common.find_packed(folder, f"{prefix}-{kind}-idx{axes}-ubyte", f"{prefix}-{kind}.idx{axes}-ubyte")
            for kind, axes in (("images", 3), ("labels", 1))
        ]
        if files == [None, None]:
            continue
        if None in files:
            have, lack = ("labels", "images") if files[0] is None else ("images", "labels")
            raise ValueError(f"{folder} has {prefix}-{have} but no {prefix}-{lack}. Expected {_LAYOUT}")
        sources.append(_Digits(*files))
        parts += [part] * len(sources[-1])
    return Records(Chained(sources), name="mnist", splits=common.split_rows(parts))


def read_idx(path: pathlib.Path, axes: int) -> np.ndarray:
    """Array of bytes in an idx file of that many axes; mapped if the file is plain."""
    packed = path.suffix == ".gz"
    data = np.frombuffer(common.read_packed(path), "uint8") if packed else _mapped(path)
    magic, start = bytes([0, 0, _UNSIGNED_BYTES, axes]), 4 + 4 * axes
    if data[:4].tobytes() != magic:
        raise ValueError(
            f"{path} is no idx file of {axes} axes of bytes. Expected: first bytes {magic.hex()}. Received: "
            f"{data[:4].tobytes().hex() or 'nothing'}"
        )
    shape = tuple(int(size) for size in np.frombuffer(data[4:start].tobytes(), ">u4")) if len(data) >= start else ()
    expected = start + int(np.prod(shape, dtype="int64"))
    if len(data) != expected or not shape:
        raise ValueError(
            f"{path} is cut or damaged: its header promises shape {shape}, {expected:,} bytes. Received: "
            f"{len(data):,} bytes"
        )
    return data[start:].reshape(shape)


@final
class _Digits(Sequence):
    """Pictures and labels of one part; a copy in another process opens the files itself."""

    def __init__(self, images, labels):
        self.files = (images, labels)
        self._arrays = None
        pictures, numbers = self._opened()
        if len(pictures) != len(numbers):
            raise ValueError(
                f"{images} holds {len(pictures):,} pictures. Received: {len(numbers):,} labels in {labels}"
            )
        self._count = len(numbers)

    def __len__(self):
        return self._count

    def __getitem__(self, row):
        images, labels = self._opened()
        # A copy: a view would keep the whole file in every shuffle buffer and pickle.
        return {"image": np.array(images[row]), "label": int(labels[row])}

    def __getstate__(self):
        return {**self.__dict__, "_arrays": None}

    def _opened(self):
        if self._arrays is None:
            self._arrays = read_idx(self.files[0], 3), read_idx(self.files[1], 1)
        return self._arrays


def _mapped(path):
    # A file of 0 bytes cannot be mapped.
    return np.memmap(path, "uint8", mode="r") if path.stat().st_size else np.zeros(0, "uint8")
