"""Records from Parquet files."""

import glob
import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import final

import numpy as np

from mmkeras.data.problems import Problems
from mmkeras.data.readers.columns import CellError, Columns
from mmkeras.data.readers.common import base_name, finish, split_name, task_name
from mmkeras.data.records import Records
from mmkeras.data.sources import Picked

# Decoded row groups that stay in memory, so that reading in random order rarely decodes one twice.
_CACHE_BYTES = 256 << 20


def read_parquet(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    root: str | os.PathLike | None = None,
    strict: bool = False,
) -> Records:
    """Read Parquet files; one record per row.

    Row groups are decoded when one of their rows is asked for, and 256 MB of them stay in memory; to shuffle a larger
    set, write small row groups. Paths, numbers and missing values are as in `read_csv`; paths are checked in one pass
    over their columns alone. Pictures, sounds and clips may also be bytes, or Hugging Face's `{"bytes", "path"}`.

    Args:
        path: a file, a folder of files, or a pattern such as `"data/train-*.parquet"`. Where every file's name, or its
            folder's, begins with train, val or test, these are the official split.
        columns: modality -> the column that holds it, or a list of columns, or a pattern such as `"f*"`, for a list of
            values; by default every column under its own name.
        root: folder of relative paths; the folder of the files by default.
        strict: raise at the first bad row.

    Returns:
        Records.
    """
    parquet = _import_parquet()
    path = os.fspath(path)
    files = _files(path)
    root = (path if os.path.isdir(path) else os.path.dirname(path)) if root is None else os.fspath(root)
    problems = Problems(task_name("read_parquet", path), strict)
    groups, plans, good = [], [], []
    for file in files:
        try:
            table = parquet.ParquetFile(file)
        except ValueError as error:
            raise ValueError(f"{file!r} is not a Parquet file: {error}") from error
        with table:
            plans.append(Columns(columns, table.schema_arrow.names, root, repr(file)))
            if plans[-1].plan != plans[0].plan:
                raise ValueError(
                    f"{file!r} has other columns than {files[0]!r}. Expected the same. Received: {plans[-1].used} and "
                    f"{plans[0].used}"
                )
            start = sum(rows for _, _, rows in groups)
            sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
            groups += [(file, group, rows) for group, rows in enumerate(sizes)]
            good.append(start + _good_rows(table, file, plans[-1], root, problems))
    source = _RowGroups(groups, plans[0])
    rows = np.concatenate(good)
    if len(rows) < len(source):
        source = Picked(source, rows)
    splits = _splits(files, [len(part) for part in good]) if os.path.isdir(path) or len(files) > 1 else None
    return finish(source, problems, splits)


def _import_parquet():
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Reading Parquet files needs pyarrow: pip install 'mmkeras[parquet]'") from error
    return pyarrow.parquet


def _files(path):
    if os.path.isfile(path):
        return [path]
    pattern = os.path.join(glob.escape(path), "**", "*.parquet") if os.path.isdir(path) else path
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise ValueError(f"No Parquet files: {path!r}. Expected a file, a folder of .parquet files, or a pattern")
    return found


def _good_rows(table, file, plan, root, problems):
    """Numbers of the rows whose text cells are the paths of files, or the numbers, that their keys ask for."""
    import pyarrow

    def is_text(name):
        kind = table.schema_arrow.field(name).type
        kind = kind.value_type if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) else kind
        return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)

    to_check = {
        key: found
        for key, found, kind in plan.plan
        if kind != "plain" and all(map(is_text, [found] if isinstance(found, str) else found))
    }
    bad, row = [], 0
    checked = Columns(to_check, table.schema_arrow.names, root)
    for batch in table.iter_batches(columns=checked.used) if to_check else ():
        for cells in batch.to_pylist():
            try:
                checked.record(cells, check=True)
            except CellError as error:
                problems.add(f"{base_name(file)}, row {row} (from 0)", str(error), error.key)
                bad.append(row)
            row += 1
    return np.delete(np.arange(table.metadata.num_rows), bad)


def _splits(files, counts):
    """{split: rows} if the name of each file, or of its folder, says which part it is."""
    words = [(base_name(file), base_name(os.path.dirname(file))) for file in files]
    parts = [next(filter(None, (split_name(re.split(r"[-_.]", word)[0]) for word in pair)), None) for pair in words]
    of_row = np.repeat(np.array(parts, dtype="object"), counts)
    return None if None in parts else {part: np.flatnonzero(of_row == part) for part in dict.fromkeys(parts)}


@final
class _RowGroups(Sequence):
    """Rows of Parquet files; a row group is decoded as a whole when one of its rows is asked for."""

    def __init__(self, groups, plan):
        self.groups = groups
        self.ends = np.cumsum([rows for _, _, rows in groups])
        self.plan = plan
        self._decoded = OrderedDict()
        self._lock = Lock()

    def __len__(self):
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, row):
        group = int(np.searchsorted(self.ends, row, side="right"))
        table = self._group(group)
        row -= int(self.ends[group]) - self.groups[group][2]
        return self.plan.record({name: _cell(table.column(name)[row]) for name in self.plan.used})

    def _group(self, group):
        with self._lock:
            if group not in self._decoded:
                file, number, _ = self.groups[group]
                with _import_parquet().ParquetFile(file) as table:
                    self._decoded[group] = table.read_row_group(number, columns=self.plan.used)
                while len(self._decoded) > 1 and sum(each.nbytes for each in self._decoded.values()) > _CACHE_BYTES:
                    self._decoded.popitem(last=False)
            self._decoded.move_to_end(group)
            return self._decoded[group]

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key not in ("_decoded", "_lock")}

    def __setstate__(self, state):
        self.__dict__.update(state, _decoded=OrderedDict(), _lock=Lock())


def _cell(scalar):
    """Python value of a cell; a flat list of numbers, such as a signal, comes as an array, without a detour."""
    import pyarrow

    is_list = pyarrow.types.is_list(scalar.type) or pyarrow.types.is_large_list(scalar.type)
    is_flat = is_list and scalar.is_valid and pyarrow.types.is_floating(scalar.type.value_type)
    if is_flat and not scalar.values.null_count:
        return scalar.values.to_numpy(zero_copy_only=False)
    return scalar.as_py()
