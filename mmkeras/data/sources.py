"""Where records come from: sequences that make one dict when one is asked for."""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np

Record = dict[str, Any]


@final
class Lines(Sequence):
    """The rows of a text file, found by their byte offsets and parsed one by one when asked for.

    Only sixteen bytes a row stay in memory, and the file is open only while a row is read. It must not change.

    Args:
        path: the file.
        offsets: byte offset of each row, and of the end of the last: int64 (rows + 1), or (rows, 2) for start and end.
        parse: picklable function of a row's bytes that gives the record.
    """

    def __init__(self, path: str, offsets: np.ndarray, parse: Callable[[bytes], Record]):
        offsets = np.asarray(offsets, dtype="int64")
        self.path = path
        self.spans = np.stack([offsets[:-1], offsets[1:]], axis=1) if offsets.ndim == 1 else offsets
        self.parse = parse

    def __len__(self):
        return len(self.spans)

    def __getitem__(self, row):
        start, stop = map(int, self.spans[row])
        with open(self.path, "rb", buffering=0) as file:
            file.seek(start)
            return self.parse(file.read(stop - start))


@final
class Picked(Sequence):
    """Some rows of a source, in any order."""

    def __init__(self, source, indices):
        indices = np.asarray(indices, dtype="int64")
        nested = isinstance(source, Picked)
        self.source = source.source if nested else source
        self.indices = source.indices[indices] if nested else indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, row):
        return self.source[int(self.indices[row])]


@final
class Mapped(Sequence):
    """A source whose records pass through a function when they are asked for."""

    def __init__(self, source, function):
        self.source = source
        self.function = function

    def __len__(self):
        return len(self.source)

    def __getitem__(self, row):
        return self.function(dict(self.source[row]))


@final
class Merged(Sequence):
    """Rows of one source with the keys of matching rows of another; -1 where none matches."""

    def __init__(self, source, other, rows):
        self.source = source
        self.other = other
        self.rows = np.asarray(rows, dtype="int64")

    def __len__(self):
        return len(self.source)

    def __getitem__(self, row):
        match = int(self.rows[row])
        return {**(self.other[match] if match >= 0 else {}), **self.source[row]}


@final
class Exchanged(Sequence):
    """Rows `rows` of a source whose `keys` come from rows `partners`; a label says whether the two are one row."""

    def __init__(self, source, rows, partners, keys, label):
        self.source = source
        self.rows = np.asarray(rows, dtype="int64")
        self.partners = np.asarray(partners, dtype="int64")
        self.keys = tuple(keys)
        self.label = label

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        own, partner = int(self.rows[row]), int(self.partners[row])
        record = dict(self.source[own])
        if partner != own:
            other = self.source[partner]
            record.update({key: other.get(key) for key in self.keys})
        return {**record, self.label: "match" if partner == own else "no-match"}


@final
class Chained(Sequence):
    """The rows of several sources, one after the other."""

    def __init__(self, sources):
        self.sources = list(sources)
        self.ends = np.cumsum([len(source) for source in self.sources])

    def __len__(self):
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, row):
        which = int(np.searchsorted(self.ends, row, side="right"))
        return self.sources[which][row - (int(self.ends[which - 1]) if which else 0)]


@final
class Unfolded(Sequence):
    """One row per item of a list: row `rows[i]` with `key` replaced by its item `items[i]`."""

    def __init__(self, source, key, rows, items):
        self.source = source
        self.key = key
        self.rows = np.asarray(rows, dtype="int64")
        self.items = np.asarray(items, dtype="int32")

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        record = dict(self.source[int(self.rows[row])])
        item = int(self.items[row])
        return record if item < 0 else {**record, self.key: record[self.key][item]}
