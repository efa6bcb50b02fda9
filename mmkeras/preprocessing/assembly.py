"""Batches of NumPy arrays from wire forms."""

import numpy as np

from mmkeras.keys import presence_key
from mmkeras.preprocessing.label import Label
from mmkeras.preprocessing.text import Text


def prepare_sample(preprocessor, parts, wires):
    """Prepared arrays of one sample by modality, None where missing; a `PartError` where one cannot be decoded."""
    return {name: None if wires[name] is None else preprocessor.prepared(name, wires[name]) for name in parts}


def assemble(preprocessor, parts, samples, read=None):
    """Stack prepared samples into `(x, y, sample_weight)`.

    Args:
        preprocessor: the Preprocessor.
        parts: those of its parts to use, by modality.
        samples: list of dicts modality -> prepared array, None where missing.
        read: the `UnitReader` they come from, if it may have read groups.

    Returns:
        Dict of inputs, targets (an array, a dict by name, or None) and weights or None.
    """
    group_size = None if read is None else read.group_size
    grouped_labels = read is not None and read.units is not None
    x, y, weight = {}, {}, None
    for name, part in parts.items():
        values = [sample[name] for sample in samples]
        if isinstance(part, Text) and group_size is None:
            values = [value if value is None else _first_text(part, value) for value in values]
        if group_size is not None and (isinstance(part, Text) or (isinstance(part, Label) and grouped_labels)):
            if isinstance(part, Label):
                counts = np.array([[len(value)] for value in values])
                weight = (np.arange(group_size) < counts).astype("float32")
            values = [None if value is None else _fit_group(value, group_size) for value in values]
            column = _stack(values, part.filler_shape((group_size, *part.shape)), part.dtype)
        else:
            column = _stack(values, part.filler_shape(part.shape), part.dtype)
        if part.kind is None:
            y[name] = column
            continue
        x |= preprocessor.by_key(name, column)
        if name in preprocessor.optional:
            x[presence_key(name)] = np.array([value is not None for value in values])
    return x, next(iter(y.values())) if len(y) == 1 else y or None, weight


def _first_text(part, ids):
    """Of several texts the first stands for the sample, as in a dataset that does not shuffle."""
    if ids.ndim == len(part.shape):
        return ids
    # The longest of the texts padded the others.
    return ids[0] if part.shape[0] is not None else ids[0][: np.max(np.flatnonzero(ids[0]), initial=0) + 1]


def _fit_group(value, size):
    value = value[:size]
    return np.pad(value, [(0, size - len(value))] + [(0, 0)] * (value.ndim - 1))


def _stack(values, filler, dtype):
    """One array of prepared values, padded with zeros on the right where their lengths differ.

    `filler` is the shape of a sample where all are missing.
    """
    given = [value for value in values if value is not None]
    room = np.max([value.shape for value in given], axis=0) if given else filler
    batch = np.zeros((len(values), *map(int, room)), dtype)
    for row, value in enumerate(values):
        if value is not None:
            batch[(row, *map(slice, value.shape))] = value
    return batch
