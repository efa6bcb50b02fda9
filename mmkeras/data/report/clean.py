"""`clean`: leave out the records that a report names, and say how many for what."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmkeras.data.records import Records
from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.hashing import fingerprint
from mmkeras.data.sources import Picked


def clean(
    records: Records | Sequence[Mapping],
    report: DataReport,
    *,
    drop: str | Sequence[str] = ("broken",),
    missing: str | Sequence[str] = (),
    same: str | Sequence[str] = (),
) -> Records:
    """Leave out the records that a report names.

    A record is dropped whole, also where one of many captions is broken; `records.unfold("text")` before the
    inspection makes every caption a record of its own. An official split stays, without what was dropped.

    Args:
        records: the records from which the report was made.
        report: what `inspect` gave.
        drop: kinds of rows to drop: `"broken"`; `"duplicate"`, of which the first stays; `"conflict"`, equal records
            with different labels, all of them; `"missing"`, those that lack any modality; or an oddity that the
            report names, such as `"silent"` or `"cut"`.
        missing: keys that a record must have: `missing="audio"` keeps those without text.
        same: keys under which no two records may hold an equal value: the first stays. `same="image"` leaves one
            record for each picture.

    Returns:
        Records whose note says how many were dropped for what.

    Example:

    >>> records = mm.data.from_arrays(text=["a dog", "", "a dog", None], label=["one", "one", "one", "two"])
    >>> report = mm.data.inspect(records)
    >>> clean(records, report, drop=("broken", "duplicate"), missing="text")
    <arrays: 1 records (text, label); cleaned of 3 of 4: 1 broken, 1 without 'text', 1 duplicate>
    """
    records = records if isinstance(records, Records) else Records(records)
    if not isinstance(report, DataReport):
        raise ValueError(f"`report` must be what `inspect` gave. Received: {type(report).__name__}")
    if len(records) != report.num_records or fingerprint(records) != report.fingerprint:
        raise ValueError(
            f"The report was made from other records: its row numbers would drop the wrong ones. Inspect these. "
            f"Received: {len(records):,} records, {records.name!r}, and a report of {report.num_records:,}, "
            f"{report.name!r}"
        )
    keep = np.ones(len(records), bool)
    counts = {}

    def leave_out(rows, reason):
        fresh = keep[rows]
        keep[rows] = False
        counts[reason] = counts.get(reason, 0) + int(fresh.sum())

    def leave_one(groups, reason):
        # The first of those that are still there: what was dropped for another reason leaves its place.
        for group in groups:
            leave_out(np.array([row for row in group if keep[row]][1:], "int64"), reason)

    drop = _names(drop)
    for kind in drop:
        rows = report.rows(kind)
        if kind != "duplicate":
            leave_out(np.array(rows, "int64"), kind)
    for key in _names(missing):
        leave_out(np.array(report.rows("missing", key), "int64"), f"without {key!r}")
    if "duplicate" in drop:
        leave_one(report.duplicates, "duplicate")
    for key in _names(same):
        report.rows("duplicate", key)
        leave_one(report.shared.get(key, ()), f"same {key!r}")
    return _picked(records, keep, _note(counts, len(records), report))


def _note(counts, total, report):
    found = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
    dropped = sum(counts.values())
    note = f"cleaned of {dropped:,} of {total:,}: {found}" if dropped else "cleaned: nothing to drop"
    if report.num_inspected < report.num_records:
        note += f" (only {report.num_inspected:,} were inspected)"
    return note


def _picked(records, keep, note):
    splits = records.splits
    if splits is not None:
        moved = np.cumsum(keep) - 1
        splits = {part: moved[rows[keep[rows]]] for part, rows in splits.items()}
    return Records(
        Picked(records, np.flatnonzero(keep)),
        name=records.name,
        problems=records.problems,
        splits=splits,
        notes=(*records.notes, note),
    )


def _names(names):
    return (names,) if isinstance(names, str) else tuple(names)
