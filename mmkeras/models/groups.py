"""The grouped form: several values of a modality for one sample, such as the captions of a picture.

Encoders read one value per row. A task therefore folds (batch, group, ...) into (batch * group, ...) before them and
unfolds what comes out, so that a picture is encoded once for all its captions.
"""

import numpy as np
from keras import ops


def fold(x):
    """(batch, group, ...) -> (batch * group, ...)."""
    return ops.reshape(x, (-1, *_sizes(x, 2)))


def unfold(outputs, groups):
    """Give the outputs named in `groups` their group axis back: (batch * group, ...) -> (batch, group, ...)."""
    outputs = dict(outputs) if groups else outputs
    for name, size in groups.items():
        if size is None:
            raise ValueError(
                f"The number of values in a group must be known, for {name!r} too: `group_size=` of the dataset. "
                "Received: a batch of unknown group size"
            )
        outputs[name] = ops.reshape(outputs[name], (-1, size, *_sizes(outputs[name], 1)))
    return outputs


def repeat_rows(x, count):
    """Each row `count` times, side by side: rows for the folded form."""
    return ops.repeat(x, count, axis=0)


def constant_rows(like, shape, value, dtype):
    """A constant with one row per sample of `like`: an array if that is one, a tensor otherwise."""
    if isinstance(like, np.ndarray):
        return np.full((len(like), *shape), value, dtype=dtype)
    first = like[(slice(None), *[0] * (len(like.shape) - 1))]
    ones = ops.ones_like(first, dtype=dtype if dtype != "bool" else "int32")
    rows = ops.reshape(ones, (-1, *[1] * len(shape))) * ops.full((1, *shape), int(value), dtype=ones.dtype)
    return ops.cast(ops.reshape(rows, (-1, *shape)), dtype)


def spread_product(own, given):
    """Weights of labels times those of samples: the weight of a sample counts for each of its labels."""
    axes = len(own.shape) - len(given.shape)
    given = given[..., 0] if axes < 0 else given
    return own * ops.reshape(ops.cast(given, own.dtype), (*ops.shape(given), *[1] * max(0, axes)))


def where_known(labels, known):
    """Labels, zero where they are not known."""
    axes = len(labels.shape) - len(known.shape)
    return ops.where(ops.reshape(known, (*ops.shape(known), *[1] * axes)), labels, ops.zeros_like(labels))


def _sizes(x, start):
    """Sizes of the axes of `x` from `start` on, as numbers where they are known."""
    return [ops.shape(x)[axis] if x.shape[axis] is None else x.shape[axis] for axis in range(start, len(x.shape))]
