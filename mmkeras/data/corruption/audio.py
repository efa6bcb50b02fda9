"""Sound made worse: white noise, other voices, overdrive, a narrow line, and a wrong moment."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.corruption.babble import babble
from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.corruption.mixing import NoiseCorruptor, scaled_noise
from mmkeras.data.media.audio import load_audio

_MOST_OVERDRIVE_DB = 40.0
_NARROWEST_HERTZ = 500.0
# Where the rate is not known: 500 Hz of 16 kHz.
_NARROWEST_SHARE = 1 / 16
# The filter falls from 1 to 0 over a quarter of its cut-off; a steeper one rings.
_SLOPE = 1.25


class _AudioCorruptor(Corruptor):
    """A corruptor of sound: arrays, (array, sample rate), and files, which become (array, sample rate)."""

    def _apply(self, value, rng):
        if isinstance(value, list):
            return [self(item, rng) for item in value]
        samples, rate = samples_of(value, type(self).__name__)
        worse = self._corrupt(samples, rate, rng).astype(samples.dtype, copy=False) if samples.size else samples
        return worse if isinstance(value, np.ndarray) else (worse, rate)

    def _corrupt(self, samples, rate, rng):
        raise NotImplementedError


@final
@dataclasses.dataclass(frozen=True, repr=False)
class AudioNoise(NoiseCorruptor, _AudioCorruptor):
    """Add white noise to a sound, at an exact signal-to-noise ratio.

    Severity maps to decibels on a line: close to 0 it is 30 dB (barely heard), 20 dB at 0.25, 10 dB at 0.5, 0 dB at
    0.75 (as loud as the sound) and -10 dB at 1. The sound is measured where it is active, so that pauses do not count;
    a silent clip stays silent. Where the sum leaves -1..1 it is made quieter as a whole, which keeps the ratio.

    Args:
        severity: number from 0 to 1.
        snr_db: the ratio in decibels, instead of a severity.

    Call arguments:
        value: array (sample,) or (sample, channel), tuple (array, sample rate), path, bytes, or a list of these.
        rng: NumPy generator.

    Output: array for an array, otherwise (array, sample rate), as from every corruptor of sound.

    Example:

    >>> sound = 0.1 * np.sin(np.arange(4000) / 5)
    >>> noise = AudioNoise(snr_db=0)(sound, np.random.default_rng(0)) - sound
    >>> bool(abs(noise.std() / sound.std() - 1) < 0.01)
    True
    """

    def _corrupt(self, samples, rate, rng):
        return _mixed(samples, rng.standard_normal(samples.shape, dtype="float32"), self.decibels)


@final
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class AudioBabble(NoiseCorruptor, _AudioCorruptor):
    """Add the babble of several voices to a sound, at an exact signal-to-noise ratio.

    Severity and ratio as in `AudioNoise`. The voices are drawn from `clips`, best of people who do not occur in the
    data; without clips each is noise with the spectrum of speech that swells and fades with the syllables.

    Args:
        severity: number from 0 to 1.
        snr_db: the ratio in decibels, instead of a severity.
        clips: sounds to draw voices from: arrays, (array, sample rate), paths or bytes.
        num_voices: number of voices that talk at once.

    Call arguments:
        value: array (sample,) or (sample, channel), tuple (array, sample rate), path, bytes, or a list of these.
        rng: NumPy generator.

    Example:

    >>> sound = 0.1 * np.sin(np.arange(4000) / 5)
    >>> AudioBabble(0.5)((sound, 8000), np.random.default_rng(0))[0].shape
    (4000,)
    """

    clips: Sequence[Any] = dataclasses.field(default=(), kw_only=True)
    num_voices: int = dataclasses.field(default=6, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if self.num_voices < 1:
            raise ValueError(f"`num_voices` must be at least 1. Received: {self.num_voices}")

    def _corrupt(self, samples, rate, rng):
        clips = None
        if len(self.clips):
            drawn = rng.integers(len(self.clips), size=self.num_voices)
            clips = [samples_of(self.clips[index], "AudioBabble's `clips`") for index in drawn]
        voices = babble(len(samples), rate, clips, self.num_voices, rng)
        return _mixed(samples, np.broadcast_to(voices.reshape(-1, *[1] * (samples.ndim - 1)), samples.shape),
                      self.decibels)  # fmt: skip


@final
@dataclasses.dataclass(frozen=True, repr=False)
class AudioClip(_AudioCorruptor):
    """Overdrive a sound, as a recording level set too high does.

    The sound is made louder by `40 * severity` decibels and clipped at the peak that it had.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: array (sample,) or (sample, channel), tuple (array, sample rate), path, bytes, or a list of these.
        rng: NumPy generator; not used.

    Example:

    >>> sound = np.array([0.0, 0.05, -0.1, 0.5])
    >>> AudioClip(0.5)(sound, np.random.default_rng(0)).tolist()
    [0.0, 0.5, -0.5, 0.5]
    """

    def _corrupt(self, samples, rate, rng):
        peak = np.abs(samples).max()
        return np.clip(samples * 10 ** (_MOST_OVERDRIVE_DB * self.severity / 20), -peak, peak)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class AudioBandLimit(_AudioCorruptor):
    """Take the high frequencies from a sound, as a narrow line does.

    The cut-off falls by equal ratios from the highest frequency there is to 500 Hz at severity 1; where an array comes
    without its sample rate, to a sixteenth of the highest.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: array (sample,) or (sample, channel), tuple (array, sample rate), path, bytes, or a list of these.
        rng: NumPy generator; not used.

    Example:

    >>> high = np.sin(np.arange(1600) * 2.5)
    >>> bool(abs(AudioBandLimit(1.0)(high, np.random.default_rng(0))[400:1200]).max() < 0.01)
    True
    """

    def _corrupt(self, samples, rate, rng):
        narrowest = _NARROWEST_SHARE if rate is None else min(_NARROWEST_HERTZ / (rate / 2), 0.5)
        return low_pass(samples, narrowest**self.severity)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Desync(_AudioCorruptor):
    """Shift the sound of a record against its pictures, which stay.

    The sound comes late or early, by the draw, by `severity` times half its length, or by a fixed time. What is
    shifted out is lost, and silence comes in. Give it for the modality that holds the sound.

    Args:
        severity: number from 0 to 1.
        seconds: time by which the sound comes late (early where negative) at severity 1, instead of half the length;
            `k / fps` for k frames. Needs a sample rate: files, or (array, sample rate).

    Call arguments:
        value: array (sample,) or (sample, channel), tuple (array, sample rate), path, bytes, or a list of these.
        rng: NumPy generator.

    Example:

    >>> Desync(1.0, seconds=0.5)((np.array([0.1, 0.2, 0.3, 0.4]), 4), np.random.default_rng(0))[0].tolist()
    [0.0, 0.0, 0.1, 0.2]
    """

    seconds: float | None = dataclasses.field(default=None, kw_only=True)

    def _corrupt(self, samples, rate, rng):
        if self.seconds is not None and rate is None:
            raise ValueError("Desync with `seconds` needs a sample rate: (array, rate). Received: an array alone")
        late = rng.random() < 0.5
        if self.seconds is None:
            shift = round(self.severity * len(samples) / 2) * (1 if late else -1)
        else:
            shift = round(self.severity * self.seconds * rate)
        shift = max(-len(samples), min(len(samples), shift))
        silence = np.zeros_like(samples[: abs(shift)])
        return np.concatenate([silence, samples[: len(samples) - shift]] if shift > 0 else [samples[-shift:], silence])


def samples_of(value, what):
    """Float samples of a raw sound and their rate, None for a bare array."""
    if isinstance(value, (str, bytes, os.PathLike)):
        return load_audio(value)
    samples, rate = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    samples = np.asarray(samples)
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        raise ValueError(
            f"{what} takes a sound: a path, bytes, a float array (sample,) or (sample, channel), or (array, sample "
            f"rate). Received: {type(value).__name__}, dtype {samples.dtype}, shape {samples.shape}"
        )
    if not np.isfinite(samples).all():
        raise ValueError("the sound holds NaN or infinite values")
    return samples, rate


def low_pass(samples, share):
    """Sound without what lies above `share` of its highest frequency."""
    if share >= 1:
        return samples
    # Room for the filter's echo, which would otherwise come round from the other end; a power of two is fastest.
    length = 2 ** int(np.ceil(np.log2(len(samples) + min(len(samples), 4096))))
    spectrum = np.fft.rfft(samples, length, axis=0)
    above = np.linspace(0, 1, len(spectrum)) / share
    response = 0.5 + 0.5 * np.cos(np.pi * np.clip((above - 1) / (_SLOPE - 1), 0, 1))
    return np.fft.irfft(spectrum * response.reshape(-1, *[1] * (samples.ndim - 1)), length, axis=0)[: len(samples)]


def _mixed(samples, noise, decibels):
    mixed = samples + scaled_noise(samples, noise, decibels)
    return mixed / max(np.abs(mixed).max(), 1.0)
