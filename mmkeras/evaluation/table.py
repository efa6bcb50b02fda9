"""Results that can be read, and computed with."""

import dataclasses
import html
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of results: a list of dicts that prints as a table, in a notebook too.

    Args:
        rows: one dict per row; the keys of the first are the columns.
        title: what the table shows.

    Example:

    >>> print(Table([{"inputs": "image", "accuracy": 0.512}, {"inputs": "all", "accuracy": None}], "Subsets"))
    Subsets
    inputs  accuracy
    ------  --------
    image      0.512
    all
    """

    rows: list[Mapping[str, Any]]
    title: str = ""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    def column(self, name: str) -> list:
        """The values of one column."""
        return [row[name] for row in self.rows]

    def __str__(self):
        columns, cells = self._cells()
        widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(columns)]
        left = [all(not isinstance(row[name], int | float) for row in self.rows) for name in columns]
        lines = [self._line(columns, widths, left), "  ".join("-" * width for width in widths)]
        lines += [self._line(row, widths, left) for row in cells]
        return "\n".join([self.title, *lines] if self.title else lines)

    def markdown(self) -> str:
        """The table in Markdown."""
        columns, cells = self._cells()
        escaped = [[cell.replace("|", r"\|") for cell in row] for row in cells]
        lines = [columns, ["---"] * len(columns), *escaped]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def _repr_html_(self):
        columns, cells = self._cells()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        return f"<table><caption>{html.escape(self.title)}</caption><tr>{head}</tr>{body}</table>"

    def _cells(self):
        columns = list(self.rows[0]) if self.rows else []
        return columns, [[_shown(row[name]) for name in columns] for row in self.rows]

    @staticmethod
    def _line(cells, widths, left):
        padded = (
            cell.ljust(w) if is_left else cell.rjust(w) for cell, w, is_left in zip(cells, widths, left, strict=True)
        )
        return "  ".join(padded)


def _shown(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
