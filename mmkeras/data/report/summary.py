"""From the columns of an inspection to its report."""

import numpy as np

from mmkeras.data.problems import Problem
from mmkeras.data.report.column import Broken, Column
from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.hashing import fingerprint
from mmkeras.data.report.kinds import MODALITIES
from mmkeras.data.report.passes import Subject
from mmkeras.data.report.repeats import conflicts, duplicates, shared

# More values than this are no categories worth a table, unless the key is a label.
_MAX_CATEGORIES = 100
_SOUND = ("audio", "spectrogram")


def summarise(subject: Subject, columns: dict[str, Column], unreadable: list[Broken], seed: int | None) -> DataReport:
    """Make the report.

    Args:
        subject: what was inspected.
        columns: columns by key.
        unreadable: records that cannot be read at all.
        seed: seed of the sample, None for no sample.
    """
    records, rows = subject.records, subject.rows
    for column in columns.values():
        column.compare_shapes()
    found = [("", broken) for broken in unreadable]
    found += [(key, broken) for key, column in columns.items() for broken in column.broken]
    found.sort(key=lambda pair: (pair[1].row, pair[1].position))
    unread = np.array([broken.row for broken in unreadable], "int64")
    known = np.setdiff1d(rows, unread)
    missing = {key: np.setdiff1d(known, np.asarray(column.rows)).tolist() for key, column in columns.items()}
    broken_rows = {key: [broken.row for broken in column.broken] for key, column in columns.items()}
    marked = {"missing": missing, "broken": {"": unread.tolist(), **broken_rows}}
    for key, column in columns.items():
        for mark, marked_rows in column.marks.items():
            marked.setdefault(mark, {})[key] = marked_rows
    usable = np.setdiff1d(rows, [broken.row for _, broken in found])
    return DataReport(
        name=records.name,
        num_records=len(records),
        num_inspected=len(rows),
        seed=seed,
        fingerprint=fingerprint(records),
        kinds={key: column.kind for key, column in columns.items()},
        present={key: column.num_present for key, column in columns.items()},
        missing={key: len(lacking) for key, lacking in missing.items()},
        problems=[*records.problems, *(_problem(key, broken) for key, broken in found)],
        problem_rows=[None] * len(records.problems) + [broken.row for _, broken in found],
        marked={mark: _sorted_rows(by_key) for mark, by_key in marked.items() if any(map(len, by_key.values()))},
        duplicates=duplicates(columns, usable),
        shared=_each(columns, shared, MODALITIES),
        copies={key: column.copies for key, column in columns.items() if column.copies},
        conflicts=conflicts(columns, usable, records),
        balance=_each(columns, _balance, ("label", "category")),
        patterns=_patterns(columns, known),
        sizes={
            key: {quantity: sizes.summary() for quantity, sizes in column.sizes.items()}
            for key, column in columns.items()
            if column.sizes
        },
        tags={
            key: {quantity: dict(counts.most_common()) for quantity, counts in column.tags.items()}
            for key, column in columns.items()
            if column.tags
        },
        vocabulary={key: column.coverage.summary() for key, column in columns.items() if column.coverage},
        notes=_notes(subject, columns),
    )


def _problem(key, broken):
    # A reason that names the file already need not be preceded by it.
    path = str(broken.path)
    named = path and path not in broken.reason
    return Problem(f"row {broken.row}, {path}" if named else f"row {broken.row}", broken.reason, key)


def _sorted_rows(by_key):
    return {key: np.unique(np.asarray(rows, "int64")).tolist() for key, rows in by_key.items() if len(rows)}


def _each(columns, function, kinds):
    found = {key: function(column) for key, column in columns.items() if column.kind in kinds}
    return {key: value for key, value in found.items() if value}


def _balance(column):
    if not column.classes:
        return {}
    counts = column.classes.most_common()
    total = column.classes.total()
    singletons = [str(name) for name, count in counts if count < 2]
    is_name = len(counts) > _MAX_CATEGORIES or len(singletons) > len(counts) / 2
    if column.kind == "category" and (is_name or len(counts) == 1):
        # What numbers or names the records, or is the same in all, divides them into no classes.
        return {}
    return {
        "num_classes": len(counts),
        "num_labels": total,
        "largest_share": counts[0][1] / total,
        "imbalance_ratio": counts[0][1] / counts[-1][1],
        "singletons": singletons,
        "counts": {str(name): count for name, count in counts},
    }


def _patterns(columns, rows):
    present = {key: column for key, column in columns.items() if column.kind in MODALITIES}
    if not present or not len(rows):
        return []
    there = np.stack([np.isin(rows, np.asarray(column.rows)) for column in present.values()], axis=1)
    patterns, counts = np.unique(there, axis=0, return_counts=True)
    found = [
        {"present": [key for key, is_there in zip(present, pattern, strict=True) if is_there], "count": int(count)}
        for pattern, count in zip(patterns, counts, strict=True)
    ]
    return sorted(found, key=lambda pattern: -pattern["count"])


def _notes(subject, columns):
    notes = []
    has_clip = any(column.kind == "video" and column.num_present for column in columns.values())
    for key, part in subject.parts.items():
        # The sound of a clip is its sound track.
        if (key not in columns or not columns[key].num_present) and not (part.kind in _SOUND and has_clip):
            notes.append(f"the preprocessor has a part for {key!r}, which no record has")
    for key, column in columns.items():
        if column.kind == "label" and len(column.classes) == 1:
            notes.append(f"{key}: all labels are {str(next(iter(column.classes)))!r}")
        if column.kind in ("label", "category"):
            notes += [f"{key}: {note}" for note in _lookalikes(column.classes)]
    return notes


def _lookalikes(classes):
    """Classes that look like one class written in several ways."""
    written = {}
    for name in classes:
        written.setdefault(" ".join(str(name).casefold().split()), []).append(name)
    return [
        f"{' and '.join(f'{name!r} ({classes[name]:,})' for name in names)} may be one class"
        for names in written.values()
        if len(names) > 1
    ]
