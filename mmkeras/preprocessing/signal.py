"""Signals: measured series of one or many channels, filtered, scaled and of one length."""

import numpy as np

from mmkeras.preprocessing.filtering import apply_filter, apply_filter_graph, band_taps
from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.preprocessing.statistics import (
    NORMALIZATIONS,
    Statistics,
    check_numbers,
    content_length,
    content_length_graph,
    root_mean_square,
    varies,
)
from mmkeras.registration import registered

_AXES = (("time",), ("time", "channel"))


@registered
class Signal(Part):
    """Turn a measured series into (time, channel): filtered, scaled to deviation 1, padded or cut.

    A raw value is an array or nested list (time, channel), or (time,) for one channel. Zeros at its end are padding
    and stay zeros; they are neither filtered nor counted.

    Args:
        length: number of time steps; None leaves each its own. What is longer is cut at the end.
        sample_rate: samples per second, needed for `band`.
        band: (low, high) in hertz, None in place of either for no such edge: only frequencies between them are kept.
            The filter has linear phase and does not delay.
        normalize: `"adapt"` scales each channel by the mean and deviation of the training set, `"window"` by those of
            the sample itself; None leaves the numbers. A constant channel becomes zeros.
        statistics: what `adapt` learned, as a config holds it.

    Example:

    >>> part = Signal(4, normalize="window")
    >>> part.array(part.read([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    kind = "signal"

    def __init__(self, length=None, *, sample_rate=None, band=None, normalize="adapt", statistics=None):
        if length is not None and length < 1:
            raise ValueError(f"`length` must be a positive integer or None. Received: length={length}")
        if normalize not in NORMALIZATIONS:
            raise ValueError(f"`normalize` must be one of {NORMALIZATIONS}. Received: normalize={normalize!r}")
        if band is not None:
            band = tuple(band)
            edges = [edge for edge in band if edge is not None]
            if len(band) != 2 or not edges or min(edges) <= 0 or edges != sorted(set(edges)):
                raise ValueError(f"`band` must be (low, high) in hertz, low below high. Received: band={band}")
            if sample_rate is None or max(edges) >= sample_rate / 2:
                raise ValueError(
                    "`band` needs a `sample_rate` of more than twice its edges. "
                    f"Received: band={band}, sample_rate={sample_rate}"
                )
        self.length = length
        self.sample_rate = sample_rate
        self.band = band
        self.normalize = normalize
        self.statistics = statistics

    @property
    def needs_adapting(self):
        return self.statistics is None

    @property
    def raw_shape(self):
        """Shape of a raw value (time, channel), None where it varies."""
        return (None, None if self.statistics is None else self.statistics["channels"])

    @property
    def shape(self):
        return (self.length, self.raw_shape[1])

    def adapt(self, values):
        self.statistics = None
        learned, channels = Statistics(), None
        for value in values:
            array = self.read(value)
            if channels not in (None, array.shape[1]):
                raise ValueError(f"signals must have one number of channels. Received: {channels} and {array.shape[1]}")
            channels = array.shape[1]
            if self.normalize != "adapt":
                break
            content = array[: content_length(array)].astype("float64")
            if len(content):
                learned.add(self._filtered(content), root_mean_square(content))
        if channels is None:
            raise ValueError("at least one signal is needed to adapt to. Received: none")
        self.statistics = {"channels": channels, "mean": None, "scale": None}
        if self.normalize == "adapt":
            self.statistics["mean"] = np.broadcast_to(learned.mean, channels).tolist()
            self.statistics["scale"] = np.broadcast_to(learned.scale(), channels).tolist()
        return self

    def read(self, value, rng=None):
        array = check_numbers(value, _AXES)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if self.statistics is not None and array.shape[1] != self.statistics["channels"]:
            raise ValueError(
                f"expected a signal of {self.statistics['channels']} channels. Received: shape {array.shape}"
            )
        return array

    def graph(self, wire):
        tf = require_tensorflow("Preparing signals in a graph")
        values = tf.cast(wire, tf.float64)
        values = values[: content_length_graph(tf, values)]

        def prepared():
            filtered = values if self.band is None else apply_filter_graph(tf, values, self._taps())
            if self.normalize == "window":
                mean = tf.reduce_mean(filtered, axis=0)
                deviation = tf.sqrt(tf.reduce_mean(tf.square(filtered - mean), axis=0))
                size = tf.sqrt(tf.reduce_mean(tf.square(values), axis=0))
                return (filtered - mean) / tf.where(varies(deviation, size), deviation, tf.ones_like(deviation))
            return (filtered - self._learned("mean")) / self._learned("scale") if self.normalize else filtered

        values = tf.cast(tf.cond(tf.shape(values)[0] > 0, prepared, lambda: values), tf.float32)
        # What was padding stays padding.
        room = tf.shape(wire)[0] if self.length is None else self.length
        values = values[:room]
        values = tf.pad(values, [[0, room - tf.shape(values)[0]], [0, 0]])
        return tf.ensure_shape(values, self.shape)

    def array(self, wire):
        values = np.asarray(wire, "float64")
        values = values[: content_length(values)]
        if len(values):
            size = root_mean_square(values)
            values = self._filtered(values)
            if self.normalize == "window":
                mean, deviation = values.mean(axis=0), values.std(axis=0)
                values = (values - mean) / np.where(varies(deviation, size), deviation, 1.0)
            elif self.normalize == "adapt":
                values = (values - self._learned("mean")) / self._learned("scale")
        room = len(wire) if self.length is None else self.length
        values = values[:room]
        return np.pad(values, [(0, room - len(values)), (0, 0)]).astype("float32")

    def get_config(self):
        return {
            "length": self.length,
            "sample_rate": self.sample_rate,
            "band": None if self.band is None else list(self.band),
            "normalize": self.normalize,
            "statistics": self.statistics,
        }

    def _taps(self):
        return band_taps(self.sample_rate, *self.band)

    def _filtered(self, values):
        return values if self.band is None else apply_filter(values, self._taps())

    def _learned(self, name):
        if self.statistics is None:
            raise ValueError('`normalize="adapt"` needs statistics: call `adapt` with the training set first')
        return np.array(self.statistics[name], "float64")
