"""Rows of text files and where each one lies, found in one pass that holds one row at a time."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One row: its first line (from 1), its bytes `start:stop`, and its content or what is wrong with it."""

    line: int
    start: int
    stop: int
    content: str | list[str] | None
    reason: str = ""


def text_rows(file: io.BufferedReader) -> Iterator[Row]:
    """Every line of a UTF-8 file, without its end, blank ones too."""
    start = skip_bom(file)
    for line, raw in enumerate(iter(file.readline, b""), start=1):
        stop = start + len(raw)
        try:
            yield Row(line, start, stop, raw.rstrip(b"\r\n").decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Row(line, start, stop, None, _not_utf8(error))
        start = stop


def csv_rows(file: io.BufferedReader, delimiter: str) -> Iterator[Row]:
    """Every row of a CSV file but blank ones, the header first; quoted cells may hold line ends.

    A row whose quotes do not close, or that has not as many cells as the header, is one broken *line*: reading goes
    on behind it, so that a stray quote never swallows what follows.
    """
    start, line, num_cells = skip_bom(file), 1, None
    while first := file.readline():
        raw, cells, reason, is_broken = [first], None, "", False
        try:
            cells = csv_cells(first, delimiter) if b'"' not in first else _quoted(raw, file, delimiter)
        except UnicodeDecodeError as error:
            reason = _not_utf8(error)
        except csv.Error as error:
            reason, is_broken = f"not a row of quoted cells: {error}", True
        num_cells = num_cells or len(cells or ())
        if cells and len(cells) != num_cells:
            reason, is_broken = f"expected {num_cells} cells as in the header. Received: {len(cells)}", True
        if is_broken and len(raw) > 1:
            raw = [first]
            file.seek(start + len(first))
        stop = start + sum(map(len, raw))
        if cells or reason:
            yield Row(line, start, stop, None if reason else cells, reason)
        start, line = stop, line + len(raw)


def csv_cells(data: bytes, delimiter: str) -> list[str]:
    """Cells of one row of a CSV file, none of a blank line."""
    text = data.decode("utf-8")
    if b'"' in data:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    text = text.rstrip("\r\n")
    return text.split(delimiter) if text else []


def skip_bom(file) -> int:
    """Go behind a byte order mark; an error for UTF-16, which spreadsheets call Unicode text."""
    start = file.read(3)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{file.name!r} is UTF-16. Expected UTF-8: save it again with that encoding")
    return file.seek(3 if start == _BOM else 0)


def _quoted(raw, file, delimiter):
    """Cells of the row that begins with the line in `raw`, which takes the further lines it goes on over."""

    def lines():
        yield raw[0].decode("utf-8", "replace")
        for more in iter(file.readline, b""):
            raw.append(more)
            yield more.decode("utf-8", "replace")

    cells = next(csv.reader(lines(), delimiter=delimiter, strict=True))
    # Only now is it known which lines belong to the row.
    b"".join(raw).decode("utf-8")
    return cells


def _not_utf8(error):
    return f"not UTF-8: byte 0x{error.object[error.start]:02x}"
