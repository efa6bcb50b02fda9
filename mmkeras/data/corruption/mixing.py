"""Noise at an exact signal-to-noise ratio."""

import dataclasses

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor, check_severity

_CLEAN_DB = 30.0
_WORST_DB = -10.0
# Pauses do not count: the ratio is that of the sound itself. 256 samples are 16 ms at 16 kHz; 40 dB below the loudest
# block lies the hush of a room.
BLOCK = 256
SILENCE_DB = -40.0


@dataclasses.dataclass(frozen=True, repr=False)
class NoiseCorruptor(Corruptor):
    """Base of the corruptors that add noise at a signal-to-noise ratio (SNR).

    Args:
        severity: number from 0 to 1; above 0 the ratio is `30 - 40 * severity` decibels, down to -10.
        snr_db: the ratio itself, instead of a severity.
    """

    severity: float | None = None
    snr_db: float | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self):
        if (self.severity is None) == (self.snr_db is None):
            raise ValueError(
                f"{type(self).__name__} takes either `severity` or `snr_db`. Received: severity={self.severity!r}, "
                f"snr_db={self.snr_db!r}"
            )
        if self.snr_db is None:
            check_severity(self.severity)
        elif not np.isfinite(self.snr_db):
            raise ValueError(f"`snr_db` must be a finite number of decibels. Received: {self.snr_db!r}")

    @property
    def decibels(self) -> float:
        """The signal-to-noise ratio; infinite at severity 0."""
        if self.snr_db is not None:
            return float(self.snr_db)
        return _CLEAN_DB + (_WORST_DB - _CLEAN_DB) * self.severity if self.severity else np.inf


def active_samples(signal: np.ndarray) -> np.ndarray:
    """Which samples hold sound: those in blocks of 256 whose power is within 40 dB of the loudest block's.

    Args:
        signal: array (sample,) or (sample, channel).
    """
    power = np.square(signal, dtype="float64").reshape(len(signal), -1).sum(axis=1)
    starts = np.arange(0, len(signal), BLOCK)
    sizes = np.diff(starts, append=len(signal))
    means = np.add.reduceat(power, starts) / sizes
    return np.repeat(means > means.max() * 10 ** (SILENCE_DB / 10), sizes)


def scaled_noise(signal: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """Noise as loud as `decibels` below the signal asks, both measured where the signal is active; 0 for a silent one.

    Args:
        signal: array (sample,) or (sample, channel).
        noise: array of the same shape.
        decibels: signal-to-noise ratio.
    """
    active = active_samples(signal)
    signal_power = np.square(signal[active], dtype="float64").mean() if active.any() else 0.0
    noise_power = np.square(noise[active], dtype="float64").mean() if active.any() else 0.0
    if signal_power == 0 or noise_power == 0:
        return np.zeros_like(signal)
    gain = np.sqrt(signal_power / noise_power) * 10 ** (-decibels / 20)
    return (noise * gain).astype(signal.dtype)
