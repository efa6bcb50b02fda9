"""Means and deviations of numeric parts, and the checks of their values."""

from typing import final

import numpy as np

NORMALIZATIONS = ("adapt", "window", None)
# A deviation this far below the size of the values is rounding: the channel is constant.
_CONSTANT = 1e-6
_NAMED = 3


@final
class Statistics:
    """Mean and deviation of each channel, learned in one pass over values of any length.

    Sums are kept in float64 and merged by the formula of Chan, Golub and LeVeque, which loses nothing where means are
    large and deviations small.
    """

    def __init__(self):
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        self.size = 0.0

    def add(self, values: np.ndarray, size: np.ndarray) -> None:
        """Take in a value.

        Args:
            values: float64 array (time, channel).
            size: root mean square of each channel before filtering, which tells rounding from content.
        """
        count = len(values)
        if not count:
            return
        mean = values.mean(axis=0)
        total = self.count + count
        gap = mean - self.mean
        self.squares = self.squares + np.square(values - mean).sum(axis=0) + gap**2 * (self.count * count / total)
        self.mean = self.mean + gap * (count / total)
        self.count = total
        self.size = np.maximum(self.size, size)

    def scale(self) -> np.ndarray:
        """Deviation of each channel, 1 where it is constant."""
        deviation = np.sqrt(self.squares / max(1, self.count))
        return np.where(varies(deviation, self.size), deviation, 1.0)


def varies(deviation, size):
    """Whether a channel is more than a constant, by its deviation and its root mean square; arrays or tensors."""
    return deviation > _CONSTANT * size


def root_mean_square(values):
    """Size of each channel of (time, channel)."""
    return np.sqrt(np.square(values, dtype="float64").mean(axis=0))


def check_numbers(value, axes) -> np.ndarray:
    """A raw value as a float32 array, or an error that names what is wrong in it.

    Args:
        value: an array or nested list.
        axes: names of the axes it may have, one tuple of names per number of axes.
    """
    expected = " or ".join(f"({', '.join(names)})" for names in axes)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"expected an array {expected}. Received: rows of different lengths") from error
    if array.dtype.kind not in "iufb" or array.ndim not in [len(names) for names in axes]:
        raise ValueError(f"expected an array of numbers {expected}. Received: shape {array.shape}, dtype {array.dtype}")
    if not array.size:
        raise ValueError(f"the array is empty. Received: shape {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype("float32")
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        names = next(names for names in axes if len(names) == array.ndim)
        places = "; ".join(
            ", ".join(f"{name} {place}" for name, place in zip(names, position, strict=True))
            for position in wrong[:_NAMED]
        )
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise ValueError(f"{len(wrong)} of {array.size} values are NaN or infinite, at {places}{more}")
    return array


def content_length(array) -> int:
    """Number of rows before the zeros at the end, which are padding."""
    filled = np.flatnonzero(array.any(axis=1))
    return int(filled[-1]) + 1 if len(filled) else 0


def content_length_graph(tf, tensor):
    """What `content_length` does, on a tensor (time, channel)."""
    filled = tf.where(tf.reduce_any(tensor != 0, axis=1))
    return tf.cast(tf.reduce_max(tf.concat([[-1], filled[:, 0]], axis=0)), tf.int32) + 1
