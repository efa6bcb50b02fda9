"""The passes of an inspection: over the records, over the files that they name, over files of equal size."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mmkeras.data.report.checks import look_at
from mmkeras.data.report.column import Broken, Column, Seen, SeenKey, is_file, is_missing, values_of
from mmkeras.data.report.hashing import file_hash, value_hash
from mmkeras.data.report.kinds import kind_of
from mmkeras.data.report.look import Look

_ROWS_A_TASK = 32
_FILES_A_TASK = 8
# Tasks handed out ahead of the one whose result is awaited.
_AHEAD = 16


class Subject(NamedTuple):
    """What is inspected: records, row numbers in ascending order, parts of a Preprocessor, and kinds by key."""

    records: Any
    rows: np.ndarray
    parts: dict[str, Any]
    kinds: dict[str, str]


class _SeenFile(NamedTuple):
    path: str
    look: Look | None = None
    size: int = -1
    reason: str = ""


def see_records(subject: Subject, pool, advance: Callable[[int], None]) -> tuple[dict[str, Column], list[Broken]]:
    """Look at all values but those in files.

    Returns:
        Columns by key, and the records that cannot be read at all.
    """
    columns = {key: Column(key, kind) for key, kind in subject.kinds.items()}
    broken = []

    def see(rows):
        return [_see_record(subject, int(row)) for row in rows]

    for seen in _in_order(pool, see, _chunks(subject.rows, _ROWS_A_TASK)):
        for row, found in seen:
            if isinstance(found, str):
                broken.append(Broken(row, -1, found))
                continue
            for key, value in found.items():
                if key not in columns:
                    columns[key] = Column(key, value.kind)
                if value.values:
                    columns[key].see(row, value)
        advance(len(seen))
    return columns, broken


def num_files(column: Column) -> int:
    """How many different files the records name under a key."""
    return len(np.unique(np.asarray(column.hashes)[np.asarray(column.files, bool)]))


def see_files(subject: Subject, column: Column, pool, advance: Callable[[int], None]) -> None:
    """Open every file that the records name under one key, once each, and let equal files have equal hashes."""
    where = np.flatnonzero(np.asarray(column.files))
    if not len(where):
        return
    hashes = np.asarray(column.hashes)
    rows, positions = np.asarray(column.rows), np.asarray(column.positions)
    _, first, file_of = np.unique(hashes[where], return_index=True, return_inverse=True)
    by_file = where[np.argsort(file_of, kind="stable")]
    ends = np.cumsum(np.bincount(file_of))
    sizes = np.full(len(first), -1, "int64")

    def place(file):
        return int(rows[where[first[file]]]), int(positions[where[first[file]]])

    def see(files):
        return [(file, _see_file(subject, column, *place(file))) for file in files]

    for seen in _in_order(pool, see, _chunks(np.argsort(first), _FILES_A_TASK)):
        for file, found in seen:
            members = by_file[ends[file - 1] if file else 0 : ends[file]]
            if found.look is None:
                pairs = zip(rows[members].tolist(), positions[members].tolist(), strict=True)
                column.broken.extend(Broken(row, position, found.reason, found.path) for row, position in pairs)
            else:
                column.count(found.look)
                column.mark(np.unique(rows[members]).tolist(), found.look)
                sizes[file] = found.size
        advance(len(seen))
    contents = hashes[where[first]]
    # Files of different sizes differ: only the others are read for comparison.
    _, size_of, count = np.unique(sizes, return_inverse=True, return_counts=True)
    alike = np.flatnonzero((count[size_of] > 1) & (sizes >= 0))

    def compare(files):
        found = []
        for file in files:
            # What cannot be read a second time equals nothing.
            with contextlib.suppress(OSError):
                found.append((file, file_hash(_value(subject, column, *place(file))[1])))
        return found

    for found in _in_order(pool, compare, _chunks(alike, _FILES_A_TASK)):
        for file, content in found:
            contents[file] = content
    hashes[where] = contents[file_of]
    column.copies = [sorted({place(file)[0] for file in files}) for files in equal_groups(contents)]


def equal_groups(hashes: np.ndarray) -> list[np.ndarray]:
    """Indices of equal hashes, for those that occur more than once, in order of first appearance."""
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))
    stops = np.append(starts[1:], len(order))
    several = stops - starts > 1
    groups = [order[start:stop] for start, stop in zip(starts[several], stops[several], strict=True)]
    return sorted(groups, key=lambda group: group[0])


def _see_record(subject, row):
    try:
        record = subject.records[row]
    except Exception as error:
        return row, f"the record cannot be read: {_reason(error)}"
    found = {}
    for key, value in record.items():
        kind = subject.kinds.get(key) or kind_of(key, () if value is None else (value,), subject.parts.get(key))
        try:
            found[key] = _see_value(key, kind, value, subject.parts.get(key))
        except ImportError:
            raise
        except Exception as error:
            found[key] = SeenKey(kind, [Seen(-1, 0, False, None, _reason(error))])
    return row, found


def _see_value(key, kind, value, part):
    if is_missing(value, kind):
        return SeenKey(kind, [])
    if kind == "other":
        reason = "" if part is None else _part_reason(key, part, value)
        is_cut = part is not None and part.kind == "nodes" and not reason and part.is_cut(value)
        return SeenKey(kind, [Seen(-1, 0, False, Look(marks=("cut",) if is_cut else ()))], reason=reason)
    item_kind, items, is_list = values_of(kind, value)
    # A list of no labels is a label where a sample may have several.
    seen = [] if items else [Seen(-1, value_hash(items), False, Look())]
    for position, item in enumerate(items):
        position = position if is_list else -1
        if is_file(item, item_kind):
            seen.append(Seen(position, value_hash(item), True))
            continue
        try:
            seen.append(Seen(position, value_hash(item), False, look_at(item_kind, item)))
        except ImportError:
            raise
        except Exception as error:
            reason = f"item {position + 1} of {len(items)}: {_reason(error)}" if is_list else _reason(error)
            seen.append(Seen(position, 0, False, None, reason))
    reason, coverage = "", None
    if part is not None and not any(item.reason for item in seen) and (is_list or not seen[0].is_file):
        reason = _part_reason(key, part, value)
        if not reason and part.kind == "token_ids" and isinstance(items[0], (str, bytes)):
            coverage = part.coverage(items)
    return SeenKey(kind, seen, is_list, reason, coverage)


def _see_file(subject, column, row, position):
    path, num_items = "", 0
    part = subject.parts.get(column.key)
    try:
        kind, path, num_items = _value(subject, column, row, position)
        look, size = look_at(kind, path), os.path.getsize(path)
    except ImportError:
        raise
    except Exception as error:
        reason = _reason(error)
        return _SeenFile(path, reason=f"item {position + 1} of {num_items}: {reason}" if position >= 0 else reason)
    reason = _part_reason(column.key, part, path) if part is not None and position < 0 else ""
    return _SeenFile(path, reason=reason) if reason else _SeenFile(path, look, size)


def _value(subject, column, row, position):
    kind, items, _ = values_of(column.kind, subject.records[row][column.key])
    return kind, items[max(position, 0)], len(items)


def _part_reason(key, part, value):
    try:
        part.read(value)
    except ImportError:
        raise
    except Exception as error:
        return f"the preprocessor's {key!r} part: {_reason(error)}"
    return ""


def _reason(error):
    # Errors of our own say what is wrong by themselves; of others the kind is half of what they say.
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def _in_order(pool, function: Callable, jobs: Iterable) -> Iterator:
    """Results of `function` on the jobs, in their order, a few computed ahead."""
    waiting = deque()
    for job in jobs:
        waiting.append(pool.submit(function, job))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _chunks(rows, size):
    return (rows[start : start + size] for start in range(0, len(rows), size))
