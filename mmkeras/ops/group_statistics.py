"""Normalisation by the statistics of groups of channels, with a gradient written out."""

import math

import keras
from keras import ops


def normalize_groups(x, scale, offset, groups, epsilon=1e-3):
    """Scale each group of channels of each sample to mean 0 and deviation 1, and each channel by numbers of its own.

    `y = scale * (x - mean) / sqrt(variance + epsilon) + offset`, mean and variance over all positions of the group's
    channels, in float32. With `a` and `b` per sample and channel this is `y = a x + b`, one pass over x where formulas
    on groups take many; on TensorFlow, which computes one operation at a time, so is the gradient.

    Args:
        x: tensor (batch, ..., channels).
        scale: tensor (channels,).
        offset: tensor (channels,).
        groups: number of groups, which divides that of the channels.
        epsilon: what is added to the variance.

    Returns:
        Tensor shaped like x, in its dtype.

    Example:

    >>> x = ops.array([[[1.0, 10.0], [3.0, 30.0]]])
    >>> np.round(np.asarray(normalize_groups(x, ops.ones(2), ops.zeros(2), 2)), 2).tolist()
    [[[-1.0, -1.0], [1.0, 1.0]]]
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    shape = ops.shape(x)
    channels = x.shape[-1]
    wide = keras.backend.result_type(dtype, "float32")
    # (batch, position, channels)
    x = ops.reshape(ops.cast(x, wide), (-1, math.prod(shape[1:-1]), channels))
    scale, offset = ops.cast(scale, wide), ops.cast(offset, wide)
    normalize = _with_gradient if keras.backend.backend() == "tensorflow" else _forward
    return ops.cast(ops.reshape(normalize(x, scale, offset, groups, epsilon)[0], shape), dtype)


def _forward(x, scale, offset, groups, epsilon):
    count = ops.cast(ops.shape(x)[1], x.dtype)
    mean = _sum(x) / count  # (batch, channels)
    variance = _sum(ops.square(x - mean[:, None])) / count
    middle = _over_groups(mean, groups, ops.mean)
    variance = _over_groups(variance + ops.square(mean - middle), groups, ops.mean)
    inverse = ops.rsqrt(variance + epsilon)
    factor = inverse * scale
    return x * factor[:, None] + (offset - middle * factor)[:, None], middle, inverse


def _with_gradient(x, scale, offset, groups, epsilon):
    import tensorflow as tf

    @tf.custom_gradient
    def normalize(x, scale, offset):
        y, middle, inverse = _forward(x, scale, offset, groups, epsilon)

        def gradient(upstream):
            # With n = (x - mean) / deviation: sums of dy and of dy n are the gradients of offset and scale, and say
            # what the mean and the deviation pass back to all positions of a group.
            plain = _sum(upstream)
            turned = (_sum(upstream * x) - middle * plain) * inverse
            size = ops.cast(ops.shape(x)[1] * (x.shape[-1] // groups), x.dtype)
            by_mean = _over_groups(plain * scale, groups, ops.sum) / size
            by_deviation = _over_groups(turned * scale, groups, ops.sum) / size
            slope = -inverse * inverse * by_deviation
            back = upstream * (inverse * scale)[:, None] + x * slope[:, None]
            back = back - (inverse * by_mean + slope * middle)[:, None]
            return back, ops.sum(turned, axis=0), ops.sum(plain, axis=0)

        return y, gradient

    return (normalize(x, scale, offset),)


def _sum(x):
    """Sum over positions: (batch, position, channels) -> (batch, channels). A product of matrices is the fastest."""
    if keras.backend.backend() != "tensorflow":
        return ops.sum(x, axis=1)
    return ops.matmul(ops.ones_like(x[:, None, :, 0]), x)[:, 0]


def _over_groups(x, groups, reduce):
    """Reduce channels (batch, channels) to groups, and give each channel what its group has."""
    channels = x.shape[-1]
    grouped = ops.reshape(x, (-1, groups, channels // groups))
    return ops.reshape(reduce(grouped, axis=-1, keepdims=True) + ops.zeros_like(grouped), (-1, channels))
