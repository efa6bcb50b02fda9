"""Shifting, packing and joining of padded sequences, and where in them a token stands."""

import math

import numpy as np
from keras import ops


def shift(x, steps=1, *, fill_value=0):
    """Move a sequence along time and fill what opens up.

    Args:
        x: tensor (batch, time, ...).
        steps: how far to move; positive moves later (right), negative earlier (left).
        fill_value: what stands in the opened positions.

    Returns:
        Tensor shaped like `x`.

    Example:

    >>> np.asarray(shift(ops.array([[5, 6, 7]]))).tolist(), np.asarray(shift(ops.array([[5, 6, 7]]), -1)).tolist()
    ([[0, 5, 6]], [[6, 7, 0]])
    """
    if steps == 0:
        return x
    moved = ops.roll(x, steps, axis=1)
    positions = ops.arange(ops.shape(x)[1])
    opened = positions < steps if steps > 0 else positions >= ops.shape(x)[1] + steps
    opened = ops.reshape(opened, (1, -1, *([1] * (len(x.shape) - 2))))
    return ops.where(opened, ops.full_like(x, fill_value), moved)


def pack(x, mask):
    """Move the valid tokens of each row to the left, in order, and zero the rest.

    Recurrent layers on accelerators want padding on the right only; joining two padded sequences puts some in the
    middle. Packing restores the order they need.

    Args:
        x: tensor (batch, time, dim).
        mask: boolean tensor (batch, time).

    Returns:
        The packed tensor (batch, time, dim) and its mask (batch, time).

    Example:

    >>> packed, mask = pack(ops.array([[[1.0], [2.0], [3.0]]]), ops.array([[False, True, True]]))
    >>> np.asarray(packed).tolist(), np.asarray(mask).tolist()
    ([[[2.0], [3.0], [0.0]]], [[True, True, False]])
    """
    mask = ops.cast(mask, "int32")
    length = ops.shape(mask)[1]
    positions = ops.arange(length, dtype="int32")[None, :]
    order = ops.argsort(positions + (1 - mask) * length, axis=1)
    packed_mask = positions < ops.sum(mask, axis=1, keepdims=True)
    packed = ops.take_along_axis(x, order[..., None], axis=1)
    return ops.where(packed_mask[..., None], packed, ops.zeros_like(packed)), packed_mask


def token_mask(x, mask=None):
    """Give a sequence's mask, all true where it has none.

    Args:
        x: tensor (batch, time, ...).
        mask: boolean tensor (batch, time), or None.

    Returns:
        Boolean tensor (batch, time).

    Example:

    >>> np.asarray(token_mask(ops.zeros((1, 2, 3)))).tolist()
    [[True, True]]
    """
    if mask is not None:
        return ops.cast(mask, "bool")
    while len(x.shape) > 2:
        x = x[..., 0]
    return ops.ones_like(x, dtype="bool")


def join_masks(sequences, masks):
    """Concatenate the masks of token sequences that are joined along time.

    Args:
        sequences: list of tensors (batch, time_i, ...).
        masks: list of boolean tensors (batch, time_i), None where a sequence has no padding.

    Returns:
        Boolean tensor (batch, sum of time_i), or None where no sequence has a mask.

    Example:

    >>> np.asarray(join_masks([ops.zeros((1, 2, 4)), ops.zeros((1, 1, 4))], [None, ops.array([[False]])])).tolist()
    [[True, True, False]]
    """
    if all(mask is None for mask in masks):
        return None
    return ops.concatenate([token_mask(x, mask) for x, mask in zip(sequences, masks, strict=True)], axis=1)


def sine_waves(places, dim):
    """What stands for a place in a sequence or a moment: sines and cosines of ever longer waves.

    `sin(place / 10000^(2i / dim))` at 2i, and the cosine beside it.

    Args:
        places: tensor of numbers, of any shape.
        dim: how many numbers stand for a place.

    Returns:
        Tensor (..., dim), float32.

    Example:

    >>> np.asarray(sine_waves(ops.array([0.0, 1.0]), 2)).astype(float).round(2).tolist()
    [[0.0, 1.0], [0.84, 0.54]]
    """
    rates = np.exp(-math.log(10000.0) * 2 * (np.arange(dim) // 2) / dim).astype("float32")
    angles = ops.cast(places, "float32")[..., None] * rates
    even = np.arange(dim) % 2 == 0
    return ops.where(even, ops.sin(angles), ops.cos(angles))
