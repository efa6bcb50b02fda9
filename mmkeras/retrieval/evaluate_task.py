"""The measures of retrieval for a task, from raw records."""

import hashlib
import itertools
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.keys import prepared_key, presence_key
from mmkeras.retrieval.belonging import Belonging
from mmkeras.retrieval.embeddings import check_count
from mmkeras.retrieval.evaluate import check_ks, evaluate_pair


def evaluate_task(
    task: Any,
    records: Iterable[Mapping],
    *,
    modalities: Sequence[str] | None = None,
    group_by: str | None = None,
    ks: Sequence[int] = (1, 5, 10),
    batch_size: int = 64,
) -> dict[str, float]:
    """Score how well a task finds one modality by another, in both directions, on raw records.

    Every record is read once, every value embedded once, a batch at a time. The values of a record match one another:

    - Each of a list of texts or of files is a row of its own: five captions are five queries for their picture.
    - A file that several records name (a picture whose captions were unfolded) is one row, and matches what any of
      them holds. So are equal bytes of files. Equal sentences stay apart, and so do equal arrays.
    - With `group_by="label"`, records of equal label match: a spoken digit finds every written one. The two
      sides may then come from different records, such as those of two data sets, `pictures + recordings`.

    A value that is None, NaN or empty is no row. What has rows but no match stays among the items to choose from.

    Args:
        task: an embedding task, such as `mm.models.JointEmbedding`: what has `encoders`, a dict by modality,
            `embed(modality, records, batch_size=)` and `similarity`.
        records: `Records`, or an iterable of dicts.
        modalities: the modalities to compare, such as `("image", "text")`; None for all of the task.
        group_by: key whose equal values say which records belong together; None where each record stands alone. A
            record without a value does so too.
        ks: depths to report.
        batch_size: how many values are prepared and embedded together.

    Returns:
        Dict with every key of `evaluate` for each direction of each pair of modalities, such as
        `r@10_image_to_text` and `r@10_text_to_image`.

    Example:

    >>> encoders = {name: mm.encoders.features((2,)) for name in ("features_face", "features_voice")}
    >>> task = mm.models.JointEmbedding(encoders, dim=4)
    >>> records = mm.data.from_arrays(features_face=np.eye(2), features_voice=np.eye(2))
    >>> results = evaluate_task(task, records, ks=(2,))
    >>> results["r@2_features_face_to_features_voice"], results["num_queries_features_voice_to_features_face"]
    (1.0, 2)
    """
    pairs, ks, batch_size = modality_pairs(task, modalities), check_ks(ks), check_count("batch_size", batch_size)
    sides = {name: _Side(task, name, batch_size) for name in dict.fromkeys(itertools.chain(*pairs))}
    belonging, keys, has_group = Belonging(), set(), False
    for record in records:
        if not isinstance(record, Mapping):
            raise ValueError(
                f"`records` must be a collection of dicts, one for each sample. Received: {type(record).__name__} "
                f"{record!r:.60}"
            )
        keys.update(record)
        number = belonging.add()
        has_group |= group_by is not None and _link_group(belonging, number, group_by, record.get(group_by))
        for side in sides.values():
            side.add(number, record, belonging)
    _check_records(belonging, group_by, has_group, keys)
    rows = {name: side.rows(belonging, keys) for name, side in sides.items()}
    for first, second in pairs:
        _check_matches(first, second, rows[first][1], rows[second][1], group_by)
    results = {}
    for first, second in pairs:
        (embeddings, groups), (others, other_groups) = rows[first], rows[second]
        results |= evaluate_pair(
            embeddings, others, groups, other_groups, names=(first, second), ks=ks, similarity=task.similarity
        )
    return results


def modality_pairs(task, modalities: Sequence[str] | None) -> list[tuple[str, str]]:
    """Pairs of the modalities to compare, all of the task's for None, or an error that says what fits."""
    if not callable(getattr(task, "embed", None)):
        raise ValueError(
            "Retrieval is measured on a task that embeds modalities in one space, such as mm.models.JointEmbedding. "
            f"Received: {type(task).__name__}, which has no `embed`"
        )
    known = list(task.encoders)
    names = known if modalities is None else modalities
    if isinstance(names, str) or len(set(names)) != len(names) or len(names) < 2 or set(names) - set(known):
        raise ValueError(
            f"`modalities` must name two or more different ones among {known}, or be None for all. Received: "
            f"modalities={modalities!r}"
        )
    return list(itertools.combinations(names, 2))


@final
class _Side:
    """The rows of one modality: embedded a batch at a time, each with the record it came from."""

    def __init__(self, task, modality, batch_size):
        self._task = task
        self._modality = modality
        self._batch_size = batch_size
        inputs = [tensor.name for tensor in task.encoders[modality].inputs]
        self._keys = [prepared_key(modality, name) for name in inputs]
        self._is_text = "token_ids" in inputs
        # A list of frames is one clip.
        self._is_clip = "frames" in inputs
        self._is_sound = bool({"audio", "spectrogram"} & set(inputs))
        self._known = set()
        self._numbers = []
        self._waiting = []
        self._embeddings = []

    def add(self, number, record, belonging):
        """Take in the values of a record."""
        for value, row in self._values(record):
            identity = None if self._is_text else _identity(value)
            if identity is not None:
                belonging.link(number, (self._modality, identity))
                if identity in self._known:
                    continue
                self._known.add(identity)
            self._numbers.append(number)
            self._waiting.append(row)
            if len(self._waiting) == self._batch_size:
                self._embed()

    def rows(self, belonging, keys):
        """Embeddings of all rows, and their groups."""
        if self._waiting:
            self._embed()
        if not self._numbers:
            raise ValueError(
                f"No record has {self._modality!r}. Expected records with values for it, or `modalities=` that leave "
                f"it out. Received: {len(belonging)} records with the keys {sorted(map(str, keys))}"
            )
        return np.concatenate(self._embeddings), [belonging.group(number) for number in self._numbers]

    def _values(self, record):
        """The values of a record, each with what `embed` takes for it."""
        if not record.get(presence_key(self._modality), True):
            return []
        value = record.get(self._modality)
        if not _is_missing(value):
            return [(item, {self._modality: item}) for item in self._items(value) if not _is_missing(item)]
        # Without a preprocessor, records hold prepared arrays.
        prepared = {key: record[key] for key in self._keys if not _is_missing(record.get(key))}
        if len(prepared) == len(self._keys):
            return [(None, prepared)]
        clip = record.get("video")
        if self._is_sound and isinstance(clip, (str, bytes)) and clip:
            return [(clip, {"video": clip})]
        return []

    def _items(self, value):
        if not isinstance(value, (list, tuple)) and not (isinstance(value, np.ndarray) and value.ndim):
            return [value]
        if self._is_text:
            # Numbers are the token ids of one text.
            return [value] if isinstance(value[0], numbers.Number) else list(value)
        return list(value) if not self._is_clip and all(map(_is_file, value)) else [value]

    def _embed(self):
        rows, self._waiting = self._waiting, []
        try:
            self._embeddings.append(self._task.embed(self._modality, rows, batch_size=self._batch_size))
        except ValueError as error:
            records = self._numbers[-len(rows) :]
            # The task counts within what it was given; the user counts records.
            for number, row in zip(records, rows, strict=True):
                try:
                    self._task.embed(self._modality, [row], batch_size=1)
                except ValueError as own:
                    raise ValueError(f"{self._modality!r} of record {number} cannot be embedded: {own}") from None
            where = f"records {records[0]} to {records[-1]}"
            raise ValueError(f"{self._modality!r} of {where} cannot be embedded together: {error}") from None


def _link_group(belonging, number, key, value):
    """Link a record to others of equal value; return whether it has one."""
    if _is_missing(value):
        return False
    try:
        belonging.link(number, (None, value))
    except TypeError:
        raise ValueError(
            f"Values of {key!r} must be strings or numbers to group by. Received: {type(value).__name__} in record "
            f"{number}"
        ) from None
    return True


def _check_records(belonging, group_by, has_group, keys):
    if not len(belonging):
        raise ValueError("At least one record is needed. Received: none")
    if group_by is not None and not has_group:
        raise ValueError(
            f"`group_by` must name a key that records have a value for. Received: group_by={group_by!r}, keys "
            f"{sorted(map(str, keys))}"
        )
    handed_on = belonging.handed_on()
    if handed_on is not None:
        (modality, value), count, size = handed_on
        value = f"{group_by} {value!r}" if modality is None else f"{modality} {value!r:.80}"
        raise ValueError(
            "What belongs together must have one thing in common: one file, or one value of `group_by`. Say which by "
            f"`group_by`, or make its values agree with the files. Received: {size} records that are linked by their "
            f"files and group_by={group_by!r}, of which {count} have {value}, and no more have any other in common"
        )


def _check_matches(first, second, groups, other_groups, group_by):
    if set(groups).isdisjoint(other_groups):
        raise ValueError(
            f"Nothing belongs together: no record, or group of them, has both {first!r} and {second!r}. Expected "
            f"records with both, or a `group_by` that joins them. Received: {len(groups)} rows of {first!r}, "
            f"{len(other_groups)} of {second!r}, group_by={group_by!r}"
        )


def _identity(value):
    """What two equal files share, or None for values that are no files."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, bytes):
        return hashlib.blake2b(value, digest_size=16).digest()
    if isinstance(value, (list, tuple)) and all(map(_is_file, value)):
        return tuple(map(_identity, value))
    return None


def _is_file(value):
    return isinstance(value, (str, bytes, os.PathLike))


def _is_missing(value):
    if isinstance(value, np.ndarray):
        return not value.size
    if isinstance(value, (str, bytes, list, tuple)):
        return not value
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))
