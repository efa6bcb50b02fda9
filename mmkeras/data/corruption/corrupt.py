"""Records whose values are worse than they were."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.records import Records


def corrupt(
    records: Sequence[Mapping[str, Any]],
    seed: int = 0,
    **modality_corruptors: Corruptor | Sequence[Corruptor],
) -> Records:
    """Make records worse, modality by modality, for work on robustness.

    Values change when a record is asked for. What is drawn depends on the seed, the row and the modality alone: the
    same call gives the same values in every epoch and process, and one that differs in severity gives the same noise,
    only more of it. Missing values stay missing.

    Args:
        records: `Records`, or a list of dicts.
        seed: integer, at least 0.
        **modality_corruptors: modality -> corruptor, or a list of them, one applied after the other; any picklable
            function `(value, rng) -> value` serves.

    Returns:
        Records that note what was done to them.

    Example:

    >>> from mmkeras.data.corruption import TextDrop
    >>> records = mm.data.from_arrays(text=["a brown dog runs", None], label=[0, 1])
    >>> worse = corrupt(records, text=TextDrop(1.0))
    >>> len(worse[0]["text"].split()), worse[1]["text"] is None
    (1, True)
    >>> worse
    <arrays: 2 records (text, label); text: TextDrop(1)>
    """
    records = records if isinstance(records, Records) else Records(records)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}")
    chains = {key: _chain(key, value) for key, value in modality_corruptors.items()}
    if not chains:
        raise ValueError("`corrupt` needs a corruptor, such as `image=ImageBlur(0.5)`. Received: none")
    _check_present(records, set(chains))
    notes = [f"{key}: {corruptor!r}" for key, chain in chains.items() for corruptor in chain]
    return Records(
        Corrupted(records, int(seed), chains),
        name=records.name,
        problems=records.problems,
        splits=records.splits,
        notes=(*records.notes, *notes),
    )


@final
class Corrupted(Sequence):
    """A source whose records pass through corruptors when they are asked for."""

    def __init__(self, source: Sequence[dict], seed: int, chains: dict[str, tuple[Callable, ...]]):
        self.source = source
        self.seed = seed
        self.chains = chains

    def __len__(self):
        return len(self.source)

    def __getitem__(self, row):
        record = dict(self.source[row])
        for key, chain in self.chains.items():
            if is_missing(record.get(key)):
                continue
            rng = np.random.default_rng([self.seed, row, zlib.crc32(key.encode())])
            try:
                for corruptor in chain:
                    record[key] = None if record[key] is None else corruptor(record[key], rng)
            except ValueError as error:
                where = f"{getattr(self.source, 'name', 'records')}, record {row}"
                raise ValueError(f"{where} [{key}]: {error}") from error
        return record


def is_missing(value) -> bool:
    """Whether a raw value stands for nothing: None, an empty string or list, or the NaN of an empty table cell."""
    if isinstance(value, (str, bytes, list, tuple)):
        return not len(value)
    return value is None or (isinstance(value, float) and np.isnan(value))


def _chain(key, value):
    chain = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    wrong = [corruptor for corruptor in chain if isinstance(corruptor, type) or not callable(corruptor)]
    if wrong or not chain:
        raise ValueError(
            f"{key!r} takes a corruptor with its severity, such as `ImageBlur(0.5)`, or a list of them. Received: "
            f"{value!r}"
        )
    return chain


def _check_present(records, wanted):
    wanted, seen = set(wanted), set()
    for record in records:
        seen.update(record)
        wanted -= {key for key in wanted if not is_missing(record.get(key))}
        if not wanted:
            return
    if len(records):
        raise ValueError(f"No record of {records.name} has {sorted(wanted)}. Received: records with {sorted(seen)}")
