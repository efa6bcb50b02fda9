"""Several voices at once, from clips or from nothing."""

import numpy as np

_USUAL_RATE = 16000
# Long-term spectrum of speech: level up to half a kilohertz, then falling by 9 dB per octave.
_KNEE_HERTZ = 500.0
_FALL = 1.5
_LOWEST_HERTZ = 80.0
# Syllables per second, the rate at which speech swells and fades.
_SYLLABLES = 4.0


def babble(length, rate, clips, num_voices, rng):
    """Sum of equally loud voices, float32 (sample,).

    Args:
        length: number of samples.
        rate: sample rate; None is taken as 16 kHz.
        clips: one (samples, rate) per voice, or None for voices made of noise.
        num_voices: number of voices.
        rng: NumPy generator.
    """
    rate = rate or _USUAL_RATE
    voices = np.zeros(length, "float32")
    for voice in range(num_voices):
        sound = _voice(length, rate, rng) if clips is None else _excerpt(*clips[voice], length, rate, rng)
        loudness = np.sqrt(np.square(sound, dtype="float64").mean())
        voices += (sound / loudness if loudness > 0 else sound).astype("float32")
    return voices


def _excerpt(samples, own_rate, length, rate, rng):
    """`length` samples from a random place of a clip, which begins anew where it ends."""
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if own_rate not in (None, rate):
        times = np.arange(0, len(mono), own_rate / rate)
        mono = np.interp(times, np.arange(len(mono)), mono)
    if not len(mono):
        return np.zeros(length)
    return mono[(rng.integers(len(mono)) + np.arange(length)) % len(mono)]


def _voice(length, rate, rng):
    # A power of two is fastest.
    size = 2 ** int(np.ceil(np.log2(length)))
    noise = np.fft.rfft(rng.standard_normal(size))
    hertz = np.fft.rfftfreq(size, 1 / rate)
    shape = np.where(hertz < _LOWEST_HERTZ, 0.0, np.maximum(hertz / _KNEE_HERTZ, 1.0) ** -_FALL)
    sound = np.fft.irfft(noise * shape, size)[:length]
    times = np.arange(length) / rate * _SYLLABLES + rng.random()
    syllables = rng.exponential(size=int(length / rate * _SYLLABLES) + 2)
    return sound * syllables[times.astype("int64")] * np.square(np.sin(np.pi * times))
