"""A report as tables of strings, in the order in which they are read."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.look import MARKS

# Columns that hold bars instead of words.
BARS = ("distribution", "next to the largest")
_SHAPELESS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SHOWN_CLASSES = 10
_SHOWN_PATTERNS = 8
_SHOWN_PROBLEMS = 12
_SHOWN_ROWS = 6
_SHOWN_TAGS = 4


class Section(NamedTuple):
    """A table: title, names of its columns (a leading `>` aligns to the right), rows of cells, and a line below.

    With a single column without a name it is a list of sentences.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""


def headline(report: DataReport) -> str:
    """What was looked at."""
    if report.num_inspected == report.num_records:
        return f"{report.name}: {_counted(report.num_records, 'record')}, all looked at"
    return (
        f"{report.name}: {_counted(report.num_records, 'record')}, of which {report.num_inspected:,} were looked at, "
        f"drawn at random (seed {report.seed})"
    )


def verdict(report: DataReport) -> list[str]:
    """What is wrong, a line each, with the call that cures it."""
    lines = []
    for kind, what in _VERDICTS.items():
        rows = report.rows(kind)
        if rows:
            lines.append(f"{_counted(len(rows), 'record')} {what}")
    for key, kind in report.kinds.items():
        if kind == "label" and report.missing[key]:
            count = _counted(report.missing[key], "record")
            lines.append(f'{count} without {printable(key)}: missing="{printable(key)}"')
    skipped = sum(row is None for row in report.problem_rows)
    if skipped:
        lines.append(f"{_counted(skipped, 'sample')} skipped while reading the files: see the problems")
    return lines or ["nothing is broken or missing, no record repeats another"]


_VERDICTS = {
    "broken": "with a broken value: clean(records, report) drops them",
    "missing": 'without one of the modalities: drop="missing", or name it in `optional`',
    "duplicate": 'the same as an earlier one: drop="duplicate"',
    "conflict": 'equal to another but labelled differently: drop="conflict"',
}


def sections(report: DataReport) -> Iterator[Section]:
    """Every table that has something to say."""
    found = [
        _keys(report),
        _oddities(report),
        _sizes(report),
        _kinds_of_files(report),
        _patterns(report),
        *_balance(report),
        _repeated(report),
        _conflicts(report),
        _vocabulary(report),
        _problems(report),
        Section("Worth knowing", ("",), [(note,) for note in report.notes]),
    ]
    return (section for section in found if section.rows)


def printable(text: str) -> str:
    """Text that any terminal and page can show: what has no shape, or turns the line around, is written as its code."""
    return "".join(_escaped(c) if _SHAPELESS.match(c) else c for c in str(text))


def _escaped(character):
    return character.encode("unicode_escape").decode()


def _keys(report):
    rows = []
    for key, kind in report.kinds.items():
        broken = len(report.rows("broken", key))
        rows.append((key, kind, f"{report.present[key]:,}", _count(report.missing[key]), _count(broken)))
    return Section("Keys", ("key", "holds", ">present", ">missing", ">broken"), rows)


def _oddities(report):
    rows = [
        (key, mark, f"{len(found):,}", MARKS[mark], _rows(found))
        for mark in MARKS
        for key, found in report.marked.get(mark, {}).items()
    ]
    return Section("Odd, but not broken", ("key", "what", ">records", "meaning", "rows"), rows)


def _sizes(report):
    rows = []
    for key, quantities in report.sizes.items():
        for quantity, size in quantities.items():
            numbers = (_number(size[name]) for name in ("least", "median", "mean", "95%", "most"))
            rows.append((key, quantity, *numbers, _sparkline(size["counts"])))
    return Section("Sizes", ("key", "of", ">least", ">median", ">mean", ">95%", ">most", BARS[0]), rows)


def _kinds_of_files(report):
    rows = []
    for key, quantities in report.tags.items():
        for quantity, counts in quantities.items():
            shown = [f"{name}: {count:,}" for name, count in list(counts.items())[:_SHOWN_TAGS]]
            more = [f"and {len(counts) - _SHOWN_TAGS:,} more"] if len(counts) > _SHOWN_TAGS else []
            rows.append((key, quantity, "; ".join(shown + more)))
    return Section("Forms", ("key", "of", "number of values"), rows)


def _patterns(report):
    total = sum(pattern["count"] for pattern in report.patterns)
    shown = report.patterns[:_SHOWN_PATTERNS]
    rows = [
        (" + ".join(pattern["present"]) or "nothing", f"{pattern['count']:,}", _share(pattern["count"], total))
        for pattern in shown
    ]
    more = len(report.patterns) - len(shown)
    note = f"and {more} combinations more" if more else ""
    is_even = len(report.patterns) == 1
    return Section("Modalities that occur together", ("present", ">records", ">share"), [] if is_even else rows, note)


def _balance(report):
    for key, balance in report.balance.items():
        counts = balance["counts"]
        shown = list(counts.items())[:_SHOWN_CLASSES]
        largest = shown[0][1]
        rows = [
            (name, f"{count:,}", _share(count, balance["num_labels"]), "█" * round(20 * count / largest) or "▏")
            for name, count in shown
        ]
        ratio = balance["imbalance_ratio"]
        even = (
            "all classes are equally frequent" if ratio == 1 else f"the largest is {_number(ratio)} times the smallest"
        )
        notes = [even] if len(counts) > 1 else []
        if len(counts) > len(shown):
            notes.append(f"{_counted(len(counts) - len(shown), 'more class', 'more classes')} not shown")
        if balance["singletons"]:
            names = ", ".join(map(repr, balance["singletons"][:5]))
            dots = ", ..." if len(balance["singletons"]) > 5 else ""
            notes.append(
                f"{_counted(len(balance['singletons']), 'class', 'classes')} with one label only: {names}{dots}"
            )
        title = f"Classes of {key}: {len(counts):,}"
        yield Section(title, ("class", ">count", ">share", BARS[1]), rows, "; ".join(notes))


def _repeated(report):
    rows = []
    if report.duplicates:
        rows.append(("whole records", *_groups(report.duplicates)))
    for key in report.kinds:
        if report.copies.get(key):
            rows.append((f"{key}: files with the same bytes", *_groups(report.copies[key])))
        if report.shared.get(key):
            rows.append((f"{key}: equal values", *_groups(report.shared[key])))
    return Section("Repeated", ("what", ">different", ">records", "most often in rows"), rows)


def _groups(groups):
    most = max(groups, key=len)
    return f"{len(groups):,}", f"{sum(map(len, groups)):,}", _rows(most)


def _conflicts(report):
    shown = report.conflicts[:_SHOWN_PROBLEMS]
    rows = [
        (conflict["key"], _rows(conflict["rows"]), ", ".join(conflict["labels"][:_SHOWN_ROWS])) for conflict in shown
    ]
    more = len(report.conflicts) - len(shown)
    note = f"and {more:,} more: report.conflicts" if more else ""
    return Section("Equal records, different labels", ("key", "rows", "labels"), rows, note)


def _vocabulary(report):
    rows = []
    for key, found in report.vocabulary.items():
        unknown = ", ".join(f"{word} ({count:,})" for word, count in found["most_unknown"][:_SHOWN_ROWS])
        counts = (f"{found[name]:,}" for name in ("sentences", "cut", "words", "unknown"))
        rows.append((key, *counts, f"{100 * found['covered']:.1f} %", unknown))
    columns = ("key", ">sentences", ">cut", ">words", ">unknown", ">covered", "most frequent unknown words")
    return Section("Vocabulary of the preprocessor", columns, rows)


def _problems(report):
    shown = report.problems[:_SHOWN_PROBLEMS]
    more = len(report.problems) - len(shown)
    note = f"and {more:,} more: report.problems" if more else ""
    rows = [(problem.where, problem.key, problem.reason) for problem in shown]
    return Section("Problems (rows count from 0)", ("where", "key", "reason"), rows, note)


def _rows(rows):
    dots = ", ..." if len(rows) > _SHOWN_ROWS else ""
    return ", ".join(map(str, rows[:_SHOWN_ROWS])) + dots


def _sparkline(counts):
    if len(counts) == 1:
        return "all equal"
    most = max(counts)
    # What occurs at all is seen.
    return "".join(_BLOCKS[0 if not count else max(1, round(8 * count / most))] for count in counts)


def _counted(count, one, many=None):
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _count(count):
    return f"{count:,}" if count else "-"


def _share(count, total):
    return f"{100 * count / total:.1f} %" if total else "-"


def _number(number):
    if isinstance(number, float) and abs(number) < 1000:
        return f"{number:.3g}"
    return f"{number:,.0f}"
