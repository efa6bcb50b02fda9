"""What is known of one key over all records: eight bytes a value, counts, and the rows that stand out."""

import os
from array import array
from collections import Counter
from typing import Any, NamedTuple, final

import numpy as np

from mmkeras.data.report.distribution import Distribution
from mmkeras.data.report.hashing import combine
from mmkeras.data.report.kinds import MEDIA, kind_of_values
from mmkeras.data.report.look import Look
from mmkeras.data.report.vocabulary import Coverage

# A key with more different names than this has no classes worth listing.
_MAX_CLASSES = 10_000
_MAX_TAGS = 1000
# Kinds of which a list holds different things: a clip may show one frame twice, and ten people give one answer.
_LISTED = ("image", "audio", "text")


class Seen(NamedTuple):
    """One value as it was seen: a list of values makes several, numbered by `position`; a lone value has -1.

    `hash` stands for its content, or for its name if it is a file yet to be opened, which then has no `look`.
    """

    position: int
    hash: int
    is_file: bool
    look: Look | None = None
    reason: str = ""


class SeenKey(NamedTuple):
    """All that one record holds under a key; no values where it is missing.

    `reason` is what is wrong with the values as a whole, `coverage` what a vocabulary says of their sentences.
    """

    kind: str
    values: list[Seen]
    is_list: bool = False
    reason: str = ""
    coverage: dict[str, Any] | None = None


class Broken(NamedTuple):
    """A value that cannot be used: its row, its number in a list or -1, the reason, and the file if it is one."""

    row: int
    position: int
    reason: str
    path: str = ""


@final
class Column:
    """Collects what is seen of one key.

    Args:
        key: key of the records.
        kind: one of `kinds.KINDS`.
    """

    def __init__(self, key: str, kind: str):
        self.key = key
        self.kind = kind
        self.num_present = 0
        self.rows = array("q")
        self.positions = array("q")
        self.hashes = array("q")
        self.files = array("b")
        self.sizes = {}
        self.tags = {}
        self.classes = Counter()
        self.marks = {}
        self.shapes = {}
        self.shape_rows = array("q")
        self.shape_numbers = array("q")
        self.broken = []
        self.copies = []
        self.coverage = None

    def see(self, row: int, found: SeenKey) -> None:
        """Take in what one record holds under the key."""
        values = found.values
        if not self.num_present:
            self.kind = found.kind
        self.num_present += 1
        for value in values:
            self.rows.append(row)
            self.positions.append(value.position)
            self.hashes.append(value.hash)
            self.files.append(value.is_file)
            if value.look is not None:
                self.count(value.look)
                self.mark([row], value.look)
            if value.reason:
                self.broken.append(Broken(row, value.position, value.reason))
        if found.is_list:
            self._count_size("in a list", len(values))
            fine = [value.hash for value in values if not value.reason]
            if self.kind in _LISTED and len(set(fine)) < len(fine):
                self.marks.setdefault("repeated", array("q")).append(row)
        if found.reason:
            self.broken.append(Broken(row, -1, found.reason))
        if found.coverage is not None:
            self.coverage = self.coverage or Coverage()
            self.coverage.add(found.coverage)
            if found.coverage["cut"]:
                self.marks.setdefault("cut", array("q")).append(row)

    def count(self, look: Look) -> None:
        """Count what was seen of one value."""
        for quantity, size in look.sizes.items():
            self._count_size(quantity, size)
        for quantity, tag in look.tags.items():
            counts = self.tags.setdefault(quantity, Counter())
            counts[tag if tag in counts or len(counts) < _MAX_TAGS else "others"] += 1
        if len(self.classes) <= _MAX_CLASSES:
            self.classes.update(look.classes)

    def mark(self, rows, look: Look) -> None:
        """Note the rows of a value that has marks or a shape."""
        for mark in look.marks:
            self.marks.setdefault(mark, array("q")).extend(rows)
        if look.shape is not None:
            number = self.shapes.setdefault(look.shape, len(self.shapes))
            self.shape_rows.extend(rows)
            self.shape_numbers.extend([number] * len(rows))

    def compare_shapes(self) -> None:
        """Call broken what does not have the axes of most others.

        The first of several axes is time and may vary, as may the only axis but for features, which are vectors then.
        """
        if len(self.shapes) < 2 or self.kind != "array":
            return
        fixed = {}
        for shape, number in self.shapes.items():
            is_vector = len(shape) == 1 and self.key.startswith("features")
            fixed[number] = (len(shape), shape if is_vector else shape[1:])
        numbers = np.asarray(self.shape_numbers)
        counts = Counter()
        for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            counts[fixed[int(number)]] += int(count)
        (axes, sizes), count = counts.most_common(1)[0]
        if count <= len(numbers) / 2:
            return
        expected = sizes if len(sizes) == axes else ("any", *sizes)
        expected = f"({', '.join(map(str, expected))}{',' if axes == 1 else ''})"
        shape_of = {number: shape for shape, number in self.shapes.items()}
        for row, number in zip(self.shape_rows, self.shape_numbers, strict=True):
            if fixed[number] != (axes, sizes):
                reason = f"shape {shape_of[number]}, where {count:,} of {len(numbers):,} have {expected}"
                self.broken.append(Broken(row, -1, reason))

    def row_hashes(self, wanted: np.ndarray) -> np.ndarray:
        """Hash of all that each of some rows holds under this key, 0 where it is missing: int64 (row,)."""
        found = np.zeros(len(wanted), "int64")
        rows, hashes = np.asarray(self.rows), np.asarray(self.hashes)
        if len(rows):
            starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
            mixed = combine(hashes, np.asarray(self.positions)).astype("uint64")
            mixed, own = np.add.reduceat(mixed, starts).astype("int64"), rows[starts]
            place = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
            found = np.where(own[place] == wanted, mixed[place], found)
        return found

    def _count_size(self, quantity, size):
        self.sizes.setdefault(quantity, Distribution()).add(size)


def values_of(kind: str, value: Any) -> tuple[str, list[Any], bool]:
    """The single values of a raw value, of what kind each is, and whether it is a list of them."""
    if isinstance(value, (set, frozenset)):
        return kind, sorted(value, key=str), True
    if kind in ("array", "other") or not isinstance(value, (list, tuple, np.ndarray)):
        return kind, [value], False
    if isinstance(value, np.ndarray):
        is_list = value.dtype.kind in "OSU" and value.ndim == 1
        return (kind, value.tolist(), True) if is_list else (kind, [value], False)
    if kind == "audio" and isinstance(value, tuple):
        return kind, [value], False
    if kind == "text" and value and isinstance(value[0], (int, np.integer, list, tuple, np.ndarray)):
        # Token ids.
        return kind, [value], False
    # A clip may be given as its frames.
    is_frames = kind == "video" and kind_of_values(value[:1]) != "video"
    return "image" if is_frames else kind, list(value), True


def is_missing(value: Any, kind: str) -> bool:
    """Whether there is nothing: None, nothing in a list, no bytes, or the NaN of a table."""
    if value is None or (isinstance(value, (list, tuple, bytes)) and not value and kind != "label"):
        return True
    if kind == "category" and isinstance(value, str) and not value.strip():
        return True
    return kind != "label" and isinstance(value, (float, np.floating)) and value != value


def is_file(value: Any, kind: str) -> bool:
    """Whether a single value names a file."""
    return kind in MEDIA and isinstance(value, (str, os.PathLike))
