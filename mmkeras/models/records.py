"""Raw records, as the methods of tasks take them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmkeras.keys import presence_key


def is_one(records):
    """Whether something stands for one record rather than for several."""
    return isinstance(records, str | bytes) or not (isinstance(records, Sequence | Iterator) or are_records(records))


def are_records(values):
    """Whether something is a list of records, or an array of them as NumPy makes of such a list."""
    is_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    is_array = isinstance(values, np.ndarray) and values.ndim == 1
    return (is_list or is_array) and len(values) > 0 and isinstance(values[0], Mapping)


def as_record(task, value):
    """A record of a raw value that stands for one, where a task reads one modality."""
    if isinstance(value, Mapping):
        return value
    if len(task.encoders) > 1:
        raise ValueError(
            f"{type(task).__name__} needs records: dicts with {sorted(task.encoders)}. Received: {value!r:.80}"
        )
    (modality,) = task.encoders
    return {modality if task.preprocessor is not None else task._keys_of(modality)[0]: value}


def as_records(task, records):
    """A list of records, of one or several, or of the raw values that stand for them."""
    return [as_record(task, record) for record in ([records] if is_one(records) else records)]


def flag_empty(x, modalities, answer, *, stacklevel=3):
    """Rows of a prepared batch in which all of some optional modalities are absent, boolean; it warns of them.

    Args:
        x: dict of arrays, with the presence of each modality.
        modalities: their names.
        answer: what is given for such a row, for the warning.
        stacklevel: how many calls up the user is whose line it names.
    """
    is_empty = ~np.any([np.asarray(x[presence_key(name)]) for name in modalities], axis=0)
    if is_empty.any():
        warnings.warn(
            f"{int(is_empty.sum())} of {len(is_empty)} records have none of {list(modalities)}: {answer}",
            stacklevel=stacklevel,
        )
    return is_empty
