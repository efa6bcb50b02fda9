"""Records from tables in text files: CSV, TSV and JSON lines."""

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from mmkeras.data.problems import Problems
from mmkeras.data.readers.columns import CellError, Columns
from mmkeras.data.readers.common import base_name, finish, require_file, task_name
from mmkeras.data.readers.rows import csv_cells, csv_rows, text_rows
from mmkeras.data.records import Records
from mmkeras.data.sources import Lines


def read_csv(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    delimiter: str | None = None,
    strict: bool = False,
) -> Records:
    """Read a CSV or TSV file whose first row names the columns.

    One pass checks every row; a row with the wrong number of cells, text that is not UTF-8, a file that is not there
    or a cell that is not a number is skipped, counted and named by its line. Rows are read again when asked for, and
    only where they begin and end stays in memory: 16 bytes a row. Quoted cells may hold line ends.

    Cells are text. A key whose last word is `image`, `audio` or `video`, such as `"left_image"`, holds paths, relative
    to `root`; `"signal"` and keys that begin with `"features"` hold numbers, as one float32 array. An empty cell is a
    missing value, None.

    Args:
        path: the file.
        columns: modality -> the column that holds it, or a list of columns, or a pattern such as `"f*"`, for a list of
            values; by default every column under its own name.
        root: folder of relative paths; the folder of the table by default.
        delimiter: what stands between cells; by default a tab in `.tsv` and a comma in all other files.
        strict: raise at the first bad row.

    Returns:
        Records, one per row.

    Example:

    ```python
    read_csv("clips.csv", columns={"image": ["front", "back"], "features": "f*", "label": "species"})
    ```
    """
    path = require_file(path)
    name = base_name(path)
    delimiter = delimiter or ("\t" if path.lower().endswith(".tsv") else ",")
    if len(delimiter) != 1:
        raise ValueError(f"`delimiter` must be one character. Received: {delimiter!r}")
    problems = Problems(task_name("read_csv", path), strict)
    spans = array("q")
    with open(path, "rb") as file:
        rows = csv_rows(file, delimiter)
        header = _header(next(rows, None), repr(path), delimiter)
        plan = Columns(columns, header, _root(path, root), repr(path))
        for row in rows:
            where = f"{name}, line {row.line}"
            if row.reason:
                problems.add(where, row.reason)
                continue
            _note(problems, where, spans, row, plan, dict(zip(header, row.content, strict=True)))
    parse = partial(_csv_record, header=header, delimiter=delimiter, plan=plan)
    return finish(Lines(path, _pairs(spans), parse), problems)


def read_jsonl(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    strict: bool = False,
) -> Records:
    """Read a file with one JSON object on each line.

    One pass checks every line; what is not a JSON object or not UTF-8, a file that is not there or a cell that is not
    a number is skipped, counted and named by its line. Lines are read again when asked for, and only where they begin
    and end stays in memory: 16 bytes a line.

    Values are what JSON makes of them; lists stay lists, such as several images of one sample. Paths, numbers and
    missing values are as in `read_csv`. A line without one of the fields misses that modality.

    Args:
        path: the file.
        columns: modality -> the field that holds it, or a list of fields, or a pattern such as `"f*"`, for a list of
            values; by default every field that any line has, under its own name.
        root: folder of relative paths; the folder of the file by default.
        strict: raise at the first bad line.

    Returns:
        Records, one per line.

    Example:

    ```python
    read_jsonl("pages.jsonl", columns={"image": "photos", "text": "caption"})
    ```
    """
    path = require_file(path)
    name, root = base_name(path), _root(path, root)
    problems = Problems(task_name("read_jsonl", path), strict)
    spans = array("q")
    fields, plan = {}, Columns(columns, (), root)
    with open(path, "rb") as file:
        for row in text_rows(file):
            if row.content is not None and not row.content.strip():
                continue
            if row.line == 1 and (row.content or "").lstrip().startswith("["):
                raise ValueError(f"{path!r} is one JSON list. Expected one JSON object on each line")
            cells, reason = _object(row)
            if reason:
                problems.add(f"{name}, line {row.line}", reason)
                continue
            if not cells.keys() <= fields.keys():
                fields.update(dict.fromkeys(cells))
                plan = Columns(columns, fields, root)
            _note(problems, f"{name}, line {row.line}", spans, row, plan, cells)
    # Which fields there are is known only now.
    plan = Columns(columns, fields, root, repr(path) if fields else None)
    return finish(Lines(path, _pairs(spans), partial(_json_record, plan=plan)), problems)


def _root(path, root):
    return os.path.dirname(path) if root is None else os.fspath(root)


def _header(row, where, delimiter):
    """Names of the columns, each once; one without a name, such as a saved index, is called by its place."""
    if row is None or row.content is None:
        reason = row.reason if row else "the file is empty"
        raise ValueError(f"{where} has no header row with the names of the columns. Received: {reason}")
    names = [name.strip() or f"column_{place}" for place, name in enumerate(row.content)]
    other = next((mark for mark in ",;\t|" if len(names) == 1 and mark in names[0]), None)
    if other:
        raise ValueError(f"{where} is not separated by {delimiter!r}: pass delimiter={other!r}. Received: {names[0]!r}")
    if all(map(_is_number, names)) and not all(name.isdecimal() for name in names):
        raise ValueError(f"{where} has no header row with the names of the columns. Received: numbers {names[:3]}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where}: two columns have one name. Expected different names. Received: {twice} twice")
    return names


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _object(row):
    if row.reason:
        return None, row.reason
    try:
        value = json.loads(row.content)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    if isinstance(value, dict):
        return value, ""
    return None, f"expected a JSON object with the fields of one sample. Received: {type(value).__name__}"


def _note(problems, where, spans, row, plan, cells):
    """Keep where a row lies if a record can be made of it."""
    try:
        plan.record(cells, check=True)
    except CellError as error:
        problems.add(where, str(error), error.key)
    else:
        spans.extend((row.start, row.stop))


def _pairs(spans):
    return np.array(spans, dtype="int64").reshape(-1, 2)


def _csv_record(data, header, delimiter, plan):
    return plan.record(dict(zip(header, csv_cells(data, delimiter), strict=True)))


def _json_record(data, plan):
    return plan.record(json.loads(data.decode("utf-8")))
