"""What several readers of research sets need: finding the layout, packed files, tables, splits."""

import csv
import gzip
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Sequence

_DEPTH = 2


def find_folder(path, *markers: str, layout: str) -> pathlib.Path:
    """The folder of a set: `path`, or the one folder up to two levels below it, that holds one of the markers.

    Args:
        path: the folder the user gave.
        *markers: relative paths, of which the folder holds at least one.
        layout: what was expected, for the message.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise ValueError(f"There is no such folder. Expected {layout}. Received: {os.fspath(path)!r}")
    for depth in range(_DEPTH + 1):
        levels = {marker: len(pathlib.PurePath(marker).parts) - 1 for marker in markers}
        hits = {hit.parents[up] for marker, up in levels.items() for hit in path.glob("*/" * depth + marker)}
        if len(hits) > 1:
            raise ValueError(f"Two folders hold this set: give one of them. Received: {sorted(map(str, hits))}")
        if hits:
            return hits.pop()
    inside = sorted(os.listdir(path))
    raise ValueError(
        f"The set is not in {os.fspath(path)!r}. Expected {layout}. Received: a folder with "
        f"{', '.join(inside[:8]) or 'nothing'}{' ...' if len(inside) > 8 else ''}"
    )


def find_packed(folder: pathlib.Path, *names: str) -> pathlib.Path | None:
    """The first of the files that exists, as it is or as `.gz`; None if there is none."""
    candidates = [folder / name for name in names] + [folder / f"{name}.gz" for name in names]
    return next((file for file in candidates if file.is_file()), None)


def read_packed(path: pathlib.Path) -> bytes:
    """Bytes of a file, unpacked if it is a `.gz`."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}. Expected a whole file; fetch it again") from error


def read_table(path: pathlib.Path, columns: Iterable[str], delimiter: str = ",") -> Iterator[tuple[str, dict]]:
    """Rows of a table with a heading, each as `(where, row)`: `where` names file and line.

    Args:
        path: the file.
        columns: columns it must have; it may have more.
        delimiter: character between cells.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path} lacks the columns {missing}. Received: columns {reader.fieldnames}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where} does not have {len(reader.fieldnames)} cells. Received: {row}")
            yield where, row


def whole_number(where: str, column: str, value) -> int:
    """The value as an integer, or an error that names its place."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {column!r} must be a whole number. Received: {value!r}") from None


def split_rows(parts: Sequence[str]) -> dict[str, list[int]]:
    """Rows of each part from the part of each row; a part without rows is left out."""
    return {part: [row for row, own in enumerate(parts) if own == part] for part in dict.fromkeys(parts)}
