"""Rare classes that count as much as frequent ones."""

from typing import Any

import numpy as np


def class_weights(labels: Any, num_classes: int | None = None, *, power: float = 1.0) -> dict[int, float]:
    """Weigh classes by how rare they are, for `task.fit(..., class_weight=...)`.

    `w_c = (samples / (classes * samples of c))^power`: with a power of 1 all classes count alike together, with 0.5
    half way (on a logarithmic scale), with 0 as they come.

    Args:
        labels: class numbers, such as `pre.targets(records)`.
        num_classes: number of classes; None for the highest label and those below it.
        power: how far to go.

    Returns:
        Dict from each class to its weight.

    Example:

    >>> class_weights([0, 0, 0, 1])
    {0: 0.6666666666666666, 1: 2.0}
    """
    labels = np.asarray(labels)
    if labels.size == 0 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"`labels` must be class numbers from 0 on, at least one. Received: {labels.dtype} of shape {labels.shape}"
        )
    counts = np.bincount(labels.ravel(), minlength=num_classes or 0)
    missing = np.flatnonzero(counts == 0)
    if len(missing):
        raise ValueError(
            f"There is nothing to weigh where a class has no sample: classes {missing[:10].tolist()} of {len(counts)}. "
            "Leave them out of the classes, or find samples"
        )
    if num_classes is not None and len(counts) > num_classes:
        raise ValueError(f"Labels must lie in 0..{num_classes - 1}. Received: {len(counts) - 1}")
    return {number: float((labels.size / (len(counts) * count)) ** power) for number, count in enumerate(counts)}
