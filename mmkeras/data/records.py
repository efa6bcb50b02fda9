"""A collection of samples that reads each one when it is asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data import sources
from mmkeras.data.problems import Problems

SPLITS = ("train", "val", "test")


@final
class Records(Sequence):
    """A lazy, sized, picklable collection of records.

    A record is a dict for one sample: modality -> raw value (a path, a string, an array, or a list of them; None or
    nothing where the modality is missing). Readers make collections; every operation gives a new one and reads
    nothing that it does not need. `records[3]` is a record, `records[10:20]` a collection.

    Args:
        source: sequence of dicts.
        name: what the collection is called where it is printed.
        problems: what was skipped on the way here.
        splits: the official split, as names from `"train"`, `"val"`, `"test"` -> row numbers.
        notes: what was done to the collection, shown where it is printed.

    Attributes:
        problems: list of `Problem(where, reason, key)`.
        splits: dict of row numbers of the official split, or None.

    Example:

    >>> records = mm.data.from_arrays(text=["a dog", "a cat", "two dogs"], label=["one", "one", "two"])
    >>> len(records), records[1]["text"]
    (3, 'a cat')
    >>> train, rest = records.split(2 / 3, seed=0)
    >>> len(train), len(rest)
    (2, 1)
    """

    def __init__(
        self,
        source: Sequence,
        *,
        name: str = "records",
        problems: Problems | None = None,
        splits: Mapping[str, Sequence[int]] | None = None,
        notes: Sequence[str] = (),
    ):
        unknown = sorted(set(splits or {}) - set(SPLITS))
        if unknown:
            raise ValueError(f"`splits` takes {SPLITS}. Received: {unknown}")
        self._source = source
        self.name = name
        self.problems = Problems(name) if problems is None else problems
        self.notes = tuple(notes)
        self.splits = None if splits is None else {key: np.asarray(rows, "int64") for key, rows in splits.items()}

    def __len__(self):
        return len(self._source)

    def __getitem__(self, row):
        if isinstance(row, slice):
            return self._pick(np.arange(len(self))[row])
        if isinstance(row, (list, np.ndarray)):
            rows = np.asarray(row)
            return self._pick(np.flatnonzero(rows) if rows.dtype == bool else rows)
        if not -len(self) <= row < len(self):
            raise IndexError(f"{self.name} has {len(self)} records. Received: index {row}")
        return dict(self._source[int(row) % len(self)])

    def __iter__(self):
        return (dict(self._source[row]) for row in range(len(self)))

    def __add__(self, other: "Records") -> "Records":
        problems = Problems(self.name)
        problems.extend([*self.problems, *other.problems])
        name = f"{self.name} + {other.name}"
        return Records(sources.Chained([self._source, other._source]), name=name, problems=problems)

    def __repr__(self):
        keys = ", ".join(self.keys) if len(self) else "empty"
        skipped = f"; {len(self.problems)} problems" if self.problems else ""
        return f"<{self.name}: {len(self):,} records ({keys}){''.join(f'; {note}' for note in self.notes)}{skipped}>"

    @property
    def keys(self) -> list[str]:
        """The keys of the first record."""
        return list(self[0]) if len(self) else []

    def column(self, key: str) -> list[Any]:
        """The value of one key of every record, None where it is missing; reads every record.

        Args:
            key: a key that at least one record has.
        """
        values, seen = [], set()
        for record in self:
            values.append(record.get(key))
            seen.update(record)
        if key not in seen:
            raise ValueError(f"No record of {self.name} has the key {key!r}. Received: keys {sorted(seen)}")
        return values

    def take(self, count: int) -> "Records":
        """The first `count` records, or all if there are fewer."""
        return self[: max(0, count)]

    def shuffle(self, seed: int = 0) -> "Records":
        """All records in a random order."""
        return self._pick(np.random.default_rng(seed).permutation(len(self)))

    def map(self, function: Callable[[dict], dict]) -> "Records":
        """Records as `function` changes them, each when it is asked for. Pickles if the function does."""
        return self._with(sources.Mapped(self._source, function), splits=self.splits)

    def filter(self, keep: Callable[[dict], bool]) -> "Records":
        """The records for which `keep(record)` is true; reads every record."""
        rows = [row for row, record in enumerate(self) if keep(record)]
        return self._pick(rows, note=f"{len(rows):,} of {len(self):,} kept by a filter")

    def unfold(self, key: str) -> "Records":
        """One record per item where `key` holds a list, such as one per caption; reads every record."""
        rows, items = [], []
        for row, value in enumerate(self.column(key)):
            count = len(value) if isinstance(value, (list, tuple)) else None
            rows += [row] * (1 if count is None else count)
            items += [-1] if count is None else range(count)
        return self._with(sources.Unfolded(self._source, key, rows, items), note=f"unfolded by {key!r}")

    def split(self, *fractions: float, by: str | None = None, seed: int = 0) -> tuple["Records", ...]:
        """Cut the collection at random into parts.

        Args:
            fractions: share of each part. What they leave makes one part more.
            by: key of which no value may fall into two parts, such as `"speaker"`; the shares are then met as
                nearly as whole groups allow, and each part says how many groups it holds.
            seed: integer; the same seed gives the same parts.

        Returns:
            Tuple of collections, each in the original order.
        """
        total = sum(fractions)
        if not fractions or min(fractions) <= 0 or total > 1 + 1e-9:
            raise ValueError(f"Fractions must be positive and sum to at most 1. Received: {fractions}")
        shares = [*fractions, 1 - total] if total < 1 - 1e-9 else list(fractions)
        groups = np.arange(len(self)) if by is None else _group_numbers(self.column(by))
        order = np.random.default_rng(seed).permutation(groups.max() + 1 if len(groups) else 0)
        sizes = np.bincount(groups, minlength=len(order))[order]
        # A group belongs to the part in which its middle falls.
        middles = np.cumsum(sizes) - sizes / 2
        part_of_group = np.empty(len(order), dtype="int64")
        part_of_group[order] = np.minimum(
            np.searchsorted(np.cumsum(shares)[:-1] * len(self), middles, side="right"), len(shares) - 1
        )
        parts = part_of_group[groups]
        found = []
        for part in range(len(shares)):
            rows = np.flatnonzero(parts == part)
            whole = f"{len(np.unique(groups[rows]))} of {len(order)} groups of {by!r}, each whole" if by else None
            found.append(self._pick(rows, note=whole))
        return tuple(found)

    def official_split(self) -> tuple["Records", "Records", "Records"]:
        """The set's own split, always `(train, val, test)`; a part it lacks here is empty, and says so."""
        if self.splits is None:
            raise ValueError(f"{self.name} has no official split here: use `.split(0.8, 0.1)`, with `by=` for groups")
        return tuple(
            self._pick(self.splits.get(part, []), note=part if part in self.splits else f"no {part} part here")
            for part in SPLITS
        )

    def join(self, other: Iterable[Mapping], on: str) -> "Records":
        """Records with the keys of the record of `other` that has the same value under `on`.

        A record without a match keeps what it has: the modalities of `other` are missing there, and the collection
        notes how many. Where both have a key, the own value stays. Two records of `other` with one value are an error.
        """
        found = {}
        for row, value in enumerate(record.get(on) for record in other):
            if value is None or value in found:
                first = "has no value" if value is None else f"and row {found[value]} both have {value!r}"
                raise ValueError(
                    f"Cannot join by {on!r}: row {row} of {getattr(other, 'name', 'the other')} {first}. Expected one "
                    "record per value"
                )
            found[value] = row
        rows = [found.get(value, -1) for value in self.column(on)]
        note = f"joined on {on!r}: {sum(row < 0 for row in rows)} of {len(rows)} without a match"
        return self._with(sources.Merged(self._source, other, rows), note=note, splits=self.splits)

    def pair(self, shuffle: str | Sequence[str], *, by: str | None = None, label: str = "label", seed: int = 0):
        """Every record twice: as it is, labelled `"match"`, and with keys of another record, `"no-match"`.

        Args:
            shuffle: key or keys that the second copy takes from another record.
            by: key whose value the other record must not share, such as `"image"` where several rows show one image.
            label: key of the label.
            seed: integer; the same seed gives the same pairs.
        """
        keys = (shuffle,) if isinstance(shuffle, str) else tuple(shuffle)
        missing = [key for key in keys if len(self) and key not in self[0]]
        groups = np.arange(len(self)) if by is None else _group_numbers(self.column(by))
        if missing or len(np.unique(groups)) < 2:
            raise ValueError(
                f"Pairs need records that have the keys {keys} and differ in {by or 'row'!r}. Received: {self!r}"
            )
        rows = np.arange(len(self))
        partners = _partners(groups, np.random.default_rng(seed))
        # Interleaved: both copies of a row stand side by side, so that a slice is balanced.
        both = np.stack([rows, rows], axis=1).ravel(), np.stack([rows, partners], axis=1).ravel()
        return self._with(sources.Exchanged(self._source, *both, keys, label), note=f"pairs by shuffled {shuffle!r}")

    def _pick(self, rows, note=None):
        return self._with(sources.Picked(self._source, rows), note=note)

    def _with(self, source, note=None, splits=None):
        notes = (*self.notes, note) if note else self.notes
        return Records(source, name=self.name, problems=self.problems, splits=splits, notes=notes)


def _group_numbers(values):
    """Values as numbers 0.. in order of first appearance; a missing value is a group of its own."""
    numbers = {}
    return np.array(
        [numbers.setdefault(("missing", row) if value is None else value, len(numbers)) for row, value in
         enumerate(values)],
        dtype="int64",
    )  # fmt: skip


def _partners(groups, rng):
    """For each row a random row of another group."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    position = starts[groups] + sizes[groups]
    # Draw among the rows outside the own group: those that follow it in the sorted ring.
    offset = np.floor(rng.random(len(groups)) * (len(groups) - sizes[groups])).astype("int64")
    return order[(position + offset) % len(groups)]
