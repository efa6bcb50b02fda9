"""Signals and features made worse: noise, and sensors that fell off."""

import dataclasses
from typing import Any, final

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.corruption.mixing import NoiseCorruptor


@final
@dataclasses.dataclass(frozen=True, repr=False)
class SignalNoise(NoiseCorruptor):
    """Add white noise to every channel of a signal, at an exact signal-to-noise ratio.

    Severity maps to decibels as in `AudioNoise`: 30 dB close to 0, 0 dB at 0.75, -10 dB at 1. What counts as signal is
    each channel's variance: an offset is none. Zeros at the end, in all channels, are padding and stay.

    Args:
        severity: number from 0 to 1.
        snr_db: the ratio in decibels, instead of a severity.

    Call arguments:
        value: array or nested list (time, channel) or (time,).
        rng: NumPy generator.

    Example:

    >>> signal = np.sin(np.arange(400) / 5).reshape(200, 2) * [1, 50]
    >>> noise = SignalNoise(snr_db=0)(signal, np.random.default_rng(0)) - signal
    >>> bool(np.allclose(np.square(noise).mean(axis=0), signal.var(axis=0)))
    True
    """

    def _apply(self, value, rng):
        signal = _numbers(value, (1, 2), "SignalNoise")
        valid = _valid(signal)
        noise = rng.standard_normal(signal.shape) * valid
        power = np.square(noise).sum(axis=0) / max(valid.sum(), 1)
        noise /= np.sqrt(np.where(power > 0, power, 1))
        return (signal + noise * _spread(signal, valid) * 10 ** (-self.decibels / 20)).astype(signal.dtype)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ChannelDrop(Corruptor):
    """Lose channels of a signal, as electrodes that fall off.

    A channel is lost, that is zero throughout, with probability `severity`; one always stays.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: array or nested list (time, channel) of at least two channels.
        rng: NumPy generator.

    Example:

    >>> ChannelDrop(0.5)(np.ones((2, 6)), np.random.default_rng(1)).tolist()
    [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]
    """

    def _apply(self, value, rng):
        signal = _numbers(value, (2,), "ChannelDrop")
        if signal.shape[1] < 2:
            raise ValueError(f"ChannelDrop needs at least two channels (time, channel). Received: {signal.shape}")
        draws = rng.random(signal.shape[1])
        lost = draws < self.severity
        lost[np.argmax(draws)] = False
        return np.where(lost, signal.dtype.type(0), signal)


@final
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class FeatureNoise(NoiseCorruptor):
    """Add Gaussian noise to features.

    Its standard deviation is that of the feature times `10 ** (-snr_db / 20)`, with decibels from severity as in
    `AudioNoise`: as large as the feature's own at 0.75. Steps of zeros at the end are padding and stay.

    Args:
        severity: number from 0 to 1.
        snr_db: the ratio in decibels, instead of a severity.
        scale: standard deviation of the features, a number or an array (dim,), best taken from the training set. None
            takes it from the sample itself: over time for each feature, or over all features of a vector.

    Call arguments:
        value: array or nested list (time, dim) or (dim,).
        rng: NumPy generator.

    Example:

    >>> noisy = FeatureNoise(snr_db=20, scale=[1, 100])(np.zeros(2) + 5, np.random.default_rng(0))
    >>> np.round(noisy - 5).astype(int).tolist()
    [0, -1]
    """

    scale: Any = dataclasses.field(default=None, kw_only=True)

    def _apply(self, value, rng):
        features = _numbers(value, (1, 2), "FeatureNoise")
        valid = _valid(features) if features.ndim == 2 else np.ones(1, bool)
        scale = self.scale
        if scale is None:
            alone = features.ndim == 1 or valid.sum() < 2
            # One step has no spread over time: take that over the features.
            scale = _spread(features.ravel(), np.ones(features.size, bool)) if alone else _spread(features, valid)
        elif np.shape(scale) not in ((), (features.shape[-1],)):
            raise ValueError(
                f"`scale` must be a number or an array ({features.shape[-1]},), one for each feature. Received: shape "
                f"{np.shape(scale)}"
            )
        noise = rng.standard_normal(features.shape) * valid
        return (features + noise * np.asarray(scale) * 10 ** (-self.decibels / 20)).astype(features.dtype)


def _numbers(value, ranks, what):
    array = np.asarray(value)
    if array.dtype.kind not in "uif" or array.ndim not in ranks:
        raise ValueError(
            f"{what} takes numbers with {' or '.join(map(str, ranks))} axes. Received: {type(value).__name__}, dtype "
            f"{array.dtype}, shape {array.shape}"
        )
    return array if array.dtype.kind == "f" else array.astype("float32")


def _valid(array):
    """Steps up to the last that is not zero, shaped to broadcast against the array."""
    there = np.flatnonzero((array.reshape(len(array), -1) != 0).any(axis=1))
    length = there[-1] + 1 if len(there) else 0
    return (np.arange(len(array)) < length).reshape(-1, *[1] * (array.ndim - 1))


def _spread(array, valid):
    """Standard deviation over the valid steps, of the finite values among them."""
    counted = valid & np.isfinite(array)
    count = np.maximum(counted.sum(axis=0), 1)
    mean = np.where(counted, array, 0).sum(axis=0) / count
    return np.sqrt(np.square(np.where(counted, array - mean, 0)).sum(axis=0) / count)
