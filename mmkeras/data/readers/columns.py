"""Which cells of a row make which value of a record."""

import fnmatch
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.readers.common import holds_files


class CellError(ValueError):
    """A cell that cannot be used: what is wrong, and the key it was for."""

    def __init__(self, column: str, key: str, reason: str):
        super().__init__(f"column {column!r}: {reason}")
        self.key = key


@final
class Columns:
    """Makes a record of the cells of a row.

    Keys that hold files (`"image"`, `"left_image"`, `"audio"`, `"video"`) take paths, relative to `root`, or bytes.
    `"signal"` and `"features*"` take numbers, as one float32 array. An empty cell is None: nothing, blanks, an empty
    list. A list made of several columns leaves out empty cells, and is None if all are.

    Args:
        columns: key -> name of a column, or a list of names, or a pattern such as `"f*"`; None for every column under
            its own name.
        names: names of the columns there are.
        root: folder of relative paths.
        where: the file, for the error about a column that is missing; None to leave out such a column.
    """

    def __init__(self, columns: Mapping[str, str | Sequence[str]] | None, names, root: str, where: str | None = None):
        names = list(names)
        self.root = root
        self.plan = []
        for key, wanted in (dict(zip(names, names, strict=True)) if columns is None else columns).items():
            found = _matching(wanted, names)
            missing = [name for name in ([found] if isinstance(found, str) else found or [wanted]) if name not in names]
            if where and missing:
                raise ValueError(
                    f"{where} has no column {missing[0]!r}, asked for as {key!r}. Received: columns {names}"
                )
            self.plan.append((key, found, _kind(key)))

    @property
    def used(self) -> list[str]:
        """Names of the columns that are read."""
        names = [name for _, found, _ in self.plan for name in ([found] if isinstance(found, str) else found)]
        return list(dict.fromkeys(names))

    def record(self, cells: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
        """Record of a row; a `CellError` for a cell of the wrong kind, or, when checked, a file that is not there."""
        record = {}
        for key, found, kind in self.plan:
            if isinstance(found, str):
                record[key] = self._value(kind, cells.get(found), found, key, check)
            elif kind == "number":
                record[key] = _numbers([cells.get(name) for name in found], found, key)
            else:
                values = [self._value(kind, cells.get(name), name, key, check) for name in found]
                record[key] = [value for value in values if value is not None] or None
        return record

    def _value(self, kind, cell, name, key, check):
        if _is_empty(cell):
            return None
        if kind == "number":
            return _array(cell, name, key)
        if kind == "file":
            if isinstance(cell, (list, tuple)):
                return [self._file(item, name, key, check) for item in cell]
            return self._file(cell, name, key, check)
        return cell

    def _file(self, cell, name, key, check):
        if isinstance(cell, dict) and set(cell) <= {"bytes", "path"}:
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes):
            return cell
        if not isinstance(cell, str):
            raise CellError(name, key, f"expected the path of a file. Received: {_short(cell)}")
        path = os.path.join(self.root, cell.strip())
        if check and not os.path.isfile(path):
            raise CellError(name, key, f"no file {path!r}")
        return path


def _kind(key):
    if key == "signal" or key.startswith("features"):
        return "number"
    return "file" if holds_files(key) else "plain"


def _matching(wanted, names):
    """A column's name for one value, or a list of names for a list of values."""
    if isinstance(wanted, str):
        if wanted in names or not set("*?[") & set(wanted):
            return wanted
        return [name for name in names if fnmatch.fnmatchcase(name, wanted)]
    if not isinstance(wanted, Sequence) or not all(isinstance(name, str) for name in wanted):
        raise ValueError(f"`columns` takes names of columns, lists of names, or patterns. Received: {wanted!r}")
    return list(wanted)


def _is_empty(cell):
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, (list, np.ndarray)) and not len(cell))


def _numbers(cells, names, key):
    """Several cells as one array; they are all there, or none is."""
    empty = [_is_empty(cell) for cell in cells]
    if all(empty):
        return None
    if not any(empty):
        try:
            return np.array(cells, dtype="float32")
        except (TypeError, ValueError):
            pass
    for cell, name in zip(cells, names, strict=True):
        _array(cell, name, key)
    raise CellError(names[0], key, f"cells of different shapes in columns {names}")


def _array(cell, name, key):
    """A cell as an array: a number, a list of them, or text such as `0.1 0.2` or `[0.1, 0.2]`."""
    value = cell
    if isinstance(cell, str):
        text = cell.strip()
        try:
            value = json.loads(text)
        except ValueError:
            value = text.removeprefix("[").removesuffix("]").replace(",", " ").split()
    try:
        array = np.array(value, dtype="float32")
    except (TypeError, ValueError):
        raise CellError(name, key, f"expected numbers. Received: {_short(cell)}") from None
    # NumPy takes None for NaN.
    holes = np.isnan(array).any() and None in np.array(value, dtype="object").ravel()
    if holes or not array.size or isinstance(value, bool):
        raise CellError(name, key, f"expected numbers. Received: {_short(cell)}")
    return array if array.ndim else array[np.newaxis]


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
