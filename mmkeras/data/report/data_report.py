"""What an inspection found, as plain data that prints, plots and saves."""

import dataclasses
from typing import Any

import numpy as np

from mmkeras.data.problems import Problem
from mmkeras.data.report.kinds import MODALITIES
from mmkeras.data.report.look import MARKS

ROW_KINDS = ("broken", "missing", "duplicate", "conflict", *MARKS)


@dataclasses.dataclass(repr=False, eq=False)
class DataReport:
    """What `mm.data.inspect` found in records: printed a table, plotted a figure, saved a page.

    All attributes are plain dicts, lists, strings and numbers. Rows count from 0.

    Attributes:
        name: name of the records.
        num_records: how many there are.
        num_inspected: how many were looked at.
        seed: seed of the sample, None where every record was looked at.
        fingerprint: by which `clean` knows the records again.
        kinds: key -> `"image"`, `"audio"`, `"video"`, `"text"`, `"array"`, `"label"`, `"category"`, `"number"` or
            `"other"`.
        present: key -> number of records that have it.
        missing: key -> number of records that lack it.
        problems: list of `Problem(where, reason, key)`: what reading the records skipped, then every broken value.
        problem_rows: row of each problem; None for what reading skipped, which has no row.
        marked: kind of finding -> key -> rows: `"broken"`, `"missing"`, and the oddities that `MARKS` lists.
        duplicates: groups of rows that are equal in all modalities and labels.
        shared: key -> groups of rows that hold an equal value, such as one picture with several captions.
        copies: key -> groups of rows whose files have different names and the same bytes.
        conflicts: list of `{"key", "rows", "labels"}`: equal in all modalities, but labelled differently.
        balance: key -> how often each class occurs, the share of the largest, the ratio of largest to smallest, and
            the classes that occur once.
        patterns: list of `{"present", "count"}`: which modalities occur together, and how often.
        sizes: key -> quantity -> distribution: least, most, mean, quantiles and a histogram.
        tags: key -> quantity -> name -> count: modes and formats of pictures, sample rates, shapes.
        vocabulary: key -> how much of the text the preprocessor's vocabulary covers.
        notes: list of sentences on what else is worth knowing.
    """

    name: str
    num_records: int
    num_inspected: int
    seed: int | None
    fingerprint: str
    kinds: dict[str, str]
    present: dict[str, int]
    missing: dict[str, int]
    problems: list[Problem]
    problem_rows: list[int | None]
    marked: dict[str, dict[str, list[int]]]
    duplicates: list[list[int]]
    shared: dict[str, list[list[int]]]
    copies: dict[str, list[list[int]]]
    conflicts: list[dict[str, Any]]
    balance: dict[str, dict[str, Any]]
    patterns: list[dict[str, Any]]
    sizes: dict[str, dict[str, dict[str, Any]]]
    tags: dict[str, dict[str, dict[str, int]]]
    vocabulary: dict[str, dict[str, Any]]
    notes: list[str]

    def rows(self, kind: str, key: str | None = None) -> list[int]:
        """Rows of a kind of finding, ascending.

        Args:
            kind: `"broken"`, `"missing"` (any modality, unless a key is named), `"duplicate"` (all but the first of
                equal records; with a key, all but the first that hold an equal value), `"conflict"`, or an oddity
                such as `"silent"`.
            key: key of the records that the finding must be about; any by default.
        """
        if kind not in ROW_KINDS:
            raise ValueError(f"`kind` must be one of {ROW_KINDS}. Received: kind={kind!r}")
        if key is not None and key not in self.kinds:
            raise ValueError(f"`key` must be one of {sorted(self.kinds)}. Received: key={key!r}")
        if kind == "duplicate":
            groups = self.duplicates if key is None else self.shared.get(key, [])
            return _union(group[1:] for group in groups)
        if kind == "conflict":
            return _union(conflict["rows"] for conflict in self.conflicts if key in (None, conflict["key"]))
        found = self.marked.get(kind, {})
        if key is not None:
            return _union([found.get(key, [])])
        is_modality = {name for name, value in self.kinds.items() if value in MODALITIES}
        return _union(rows for name, rows in found.items() if kind != "missing" or name in is_modality)

    def plot(self):
        """Draw one figure: what is there, how large, how long, how balanced.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig("report.png")` saves it.
        """
        from mmkeras.data.report.figure import draw

        return draw(self)

    def to_html(self, path: str) -> None:
        """Write one HTML file that needs no other: the tables and the figure."""
        from mmkeras.data.report.rendering import to_page

        with open(path, "w", encoding="utf-8") as file:
            file.write(to_page(self))

    def to_dict(self) -> dict[str, Any]:
        """Everything in the report as dicts, lists, strings and numbers, for JSON."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**found, "problems": [problem._asdict() for problem in self.problems]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DataReport":
        """Report from what `to_dict` gave, also through JSON."""
        return cls(**{**values, "problems": [Problem(**problem) for problem in values["problems"]]})

    def __str__(self):
        from mmkeras.data.report.rendering import to_text

        return to_text(self)

    def __repr__(self):
        counts = ", ".join(
            f"{len(self.rows(kind)):,} {kind}" for kind in ("broken", "missing", "duplicate", "conflict")
        )
        return f"<DataReport of {self.name}: {self.num_inspected:,} of {self.num_records:,} records; rows: {counts}>"

    def _repr_html_(self):
        from mmkeras.data.report.rendering import to_body

        return to_body(self)


def _union(groups):
    groups = [np.asarray(group, "int64") for group in groups]
    return np.unique(np.concatenate(groups)).tolist() if groups else []
