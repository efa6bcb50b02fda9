"""Features: vectors, or series of vectors, that were computed before."""

import numbers

import numpy as np

from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.preprocessing.statistics import (
    Statistics,
    check_numbers,
    content_length,
    content_length_graph,
    root_mean_square,
)
from mmkeras.registration import registered

_AXES = (("dim",), ("time", "dim"))


@registered
class Features(Part):
    """Turn features into (dim,) or (time, dim), each dimension scaled to mean 0 and deviation 1.

    A raw value is an array or nested list, (dim,) or (time, dim): the first one seen by `adapt` says which. Zeros at
    the end of a series are padding: they are not counted and stay zeros.

    Args:
        length: number of time steps; what is longer is cut at the end. None leaves each series its own, or takes
            vectors.
        normalize: `"adapt"` scales by the mean and deviation of the training set; None leaves the numbers. A constant
            dimension becomes zeros.
        statistics: what `adapt` learned, as a config holds it.

    Example:

    >>> part = Features().adapt([[1.0, 7.0], [3.0, 7.0]])
    >>> part.array(part.read([5.0, 7.0])).tolist(), part.shape
    ([3.0, 0.0], (2,))
    """

    kind = "features"

    def __init__(self, length=None, *, normalize="adapt", statistics=None):
        if length is not None and (not isinstance(length, numbers.Integral) or length < 1):
            raise ValueError(f"`length` must be a positive integer or None. Received: length={length!r}")
        if normalize not in ("adapt", None):
            raise ValueError(f"`normalize` must be 'adapt' or None. Received: normalize={normalize!r}")
        self.length = length
        self.normalize = normalize
        self.statistics = statistics

    @property
    def needs_adapting(self):
        return self.statistics is None

    @property
    def raw_shape(self):
        """Shape of a raw value, None where it varies."""
        if self.statistics is None:
            return (None,) if self.length is None else (None, None)
        dim = self.statistics["dim"]
        return (None, dim) if self.statistics["series"] else (dim,)

    @property
    def shape(self):
        return (self.length, self.raw_shape[1]) if len(self.raw_shape) == 2 else self.raw_shape

    def adapt(self, values):
        self.statistics = None
        learned, first = Statistics(), None
        for value in values:
            array = self.read(value)
            if first is not None and (array.ndim, array.shape[-1]) != (first.ndim, first.shape[-1]):
                raise ValueError(f"features must have one size. Received: shapes {first.shape} and {array.shape}")
            first = array
            if self.normalize is None:
                break
            content = array[np.newaxis] if array.ndim == 1 else array[: content_length(array)]
            if len(content):
                learned.add(content.astype("float64"), root_mean_square(content))
        if first is None:
            raise ValueError("at least one array of features is needed to adapt to. Received: none")
        dim = first.shape[-1]
        self.statistics = {"dim": dim, "series": first.ndim == 2, "mean": None, "scale": None}
        if self.normalize is not None:
            self.statistics["mean"] = np.broadcast_to(learned.mean, dim).tolist()
            self.statistics["scale"] = np.broadcast_to(learned.scale(), dim).tolist()
        return self

    def read(self, value, rng=None):
        array = check_numbers(value, _AXES if self.length is None else _AXES[1:])
        if self.statistics is not None:
            expected = self.raw_shape
            if array.ndim != len(expected) or array.shape[-1] != expected[-1]:
                names = "(time, dim)" if len(expected) == 2 else "(dim,)"
                raise ValueError(f"expected features {names} of dim {expected[-1]}. Received: shape {array.shape}")
        return array

    def graph(self, wire):
        tf = require_tensorflow("Preparing features in a graph")
        values = tf.cast(wire, tf.float64)
        if len(wire.shape) == 2:
            values = values[: content_length_graph(tf, values)]
        values = tf.cast(self._scaled(values), tf.float32)
        if len(wire.shape) == 2:
            room = tf.shape(wire)[0] if self.length is None else self.length
            values = values[:room]
            values = tf.pad(values, [[0, room - tf.shape(values)[0]], [0, 0]])
        # Until something was learned a series is as good as a vector.
        return values if self.statistics is None else tf.ensure_shape(values, self.shape)

    def array(self, wire):
        values = np.asarray(wire, "float64")
        if values.ndim == 2:
            values = values[: content_length(values)]
        values = self._scaled(values).astype("float32")
        if values.ndim == 2:
            room = len(wire) if self.length is None else self.length
            values = values[:room]
            values = np.pad(values, [(0, room - len(values)), (0, 0)])
        return values

    def get_config(self):
        return {"length": self.length, "normalize": self.normalize, "statistics": self.statistics}

    def _scaled(self, values):
        if self.normalize is None:
            return values
        if self.statistics is None:
            raise ValueError('`normalize="adapt"` needs statistics: call `adapt` with the training set first')
        return (values - np.array(self.statistics["mean"])) / np.array(self.statistics["scale"])
