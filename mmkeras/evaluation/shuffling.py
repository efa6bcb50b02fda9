"""Samples whose modalities come from different samples."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mmkeras.evaluation.predictions import batches


def joined(task: Any, data: Any, batch_size: int) -> tuple[dict, Any, Any]:
    """All inputs, targets and weights of a data set in one: series of different length are padded with zeros.

    Args:
        task: a task.
        data: see `predict_all`.
        batch_size: size of the batches it is read in.

    Returns:
        Dict of arrays, targets (an array, or a dict of them), and weights or None.

    Example:

    >>> x, y, weight = joined(None, ({"features": np.ones((5, 3))}, np.zeros(5)), 2)
    >>> x["features"].shape, y.shape, weight
    ((5, 3), (5,), None)
    """
    parts = list(batches(task, data, batch_size))
    if not sum(len(next(iter(x.values()))) for x, _, _ in parts):
        raise ValueError("At least one sample with a label is needed. Received: none")
    x = {name: _stacked([x[name] for x, _, _ in parts]) for name in parts[0][0]}
    labels = [y if isinstance(y, Mapping) else {"": y} for _, y, _ in parts]
    y = {name: _stacked([np.asarray(row[name]) for row in labels]) for name in labels[0]}
    weight = None if parts[0][2] is None else _stacked([np.asarray(part[2]) for part in parts])
    return x, y.get("", y), weight


def moved(task: Any, x: Mapping[str, np.ndarray], modalities: Collection[str], seed: int) -> dict:
    """The inputs with those of some modalities, their flags too, from other samples: none keeps its own.

    Each modality comes from another sample than the next one.

    Args:
        task: a task.
        x: dict of arrays.
        modalities: which ones.
        seed: integer.

    Returns:
        Dict of arrays.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((1,))}, classes=2)
    >>> x = {"features": np.array([[0.0], [1.0]])}
    >>> moved(task, x, ["features"], 0)["features"].ravel().tolist()
    [1.0, 0.0]
    """
    names = {tensor.name for tensor in task.inputs} & set(x)
    changed = dict(x)
    for place, modality in enumerate(task.encoders):
        if modality in modalities:
            order = np.random.default_rng([seed, place]).permutation(len(next(iter(x.values()))))
            other = np.empty(len(order), int)
            other[order] = np.roll(order, 1)
            changed |= {name: x[name][other] for name in names if task.modality_of(name) == modality}
    return changed


def _stacked(arrays):
    room = np.max([array.shape[1:] for array in arrays], axis=0, initial=0) if arrays[0].ndim > 1 else ()
    padded = [
        np.pad(array, [(0, 0), *[(0, int(size) - have) for size, have in zip(room, array.shape[1:], strict=True)]])
        for array in arrays
    ]
    return np.concatenate(padded)
