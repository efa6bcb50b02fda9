"""Records that hold the same: whole duplicates, shared values, and equal inputs with different labels."""

from typing import Any

import numpy as np

from mmkeras.data.report.column import Column
from mmkeras.data.report.hashing import combine
from mmkeras.data.report.kinds import MODALITIES
from mmkeras.data.report.passes import equal_groups

_SHOWN = 1000


def duplicates(columns: dict[str, Column], usable: np.ndarray) -> list[list[int]]:
    """Groups of rows that hold the same under every modality and label.

    Args:
        columns: columns by key.
        usable: rows without broken values, ascending.
    """
    rows, inputs = _inputs(columns, usable)
    labels = [column.row_hashes(rows) for column in _labels(columns)]
    return [rows[group].tolist() for group in equal_groups(combine(inputs, *labels))]


def shared(column: Column) -> list[list[int]]:
    """Groups of rows of which each holds the same value under one key, or in its list; clips count as a whole."""
    rows, hashes = np.asarray(column.rows), np.asarray(column.hashes)
    if column.kind == "video":
        rows = np.unique(rows)
        hashes = column.row_hashes(rows)
    fine = ~np.isin(rows, [broken.row for broken in column.broken])
    rows, hashes = rows[fine], hashes[fine]
    groups = [np.unique(rows[group]).tolist() for group in equal_groups(hashes)]
    return sorted(group for group in groups if len(group) > 1)


def conflicts(columns: dict[str, Column], usable: np.ndarray, records) -> list[dict[str, Any]]:
    """Groups of rows whose modalities are equal and whose labels are not: `{"key", "rows", "labels"}`."""
    rows, inputs = _inputs(columns, usable)
    found = []
    for column in _labels(columns):
        labels = column.row_hashes(rows)
        labelled = labels != 0
        for group in equal_groups(inputs[labelled]):
            members = rows[labelled][group]
            if len(np.unique(labels[labelled][group])) > 1:
                shown = members.tolist() if len(found) < _SHOWN else []
                names = [_name(records[row][column.key]) for row in shown]
                found.append({"key": column.key, "rows": members.tolist(), "labels": names})
    return found


def _inputs(columns, usable):
    """Rows that hold some modality, and the hash of all their modalities."""
    present = [column for _, column in sorted(columns.items()) if column.kind in MODALITIES and column.num_present]
    if not present:
        return usable[:0], usable[:0]
    hashes = [column.row_hashes(usable) for column in present]
    there = np.any([column != 0 for column in hashes], axis=0)
    return usable[there], combine(*(column[there] for column in hashes))


def _labels(columns):
    return [column for _, column in sorted(columns.items()) if column.kind == "label" and column.num_present]


def _name(value):
    return str(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value)
