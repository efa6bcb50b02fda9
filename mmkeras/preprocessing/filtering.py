"""A band-pass filter of linear phase, in NumPy and in a TensorFlow graph by the same numbers."""

import functools

import numpy as np

# A Hamming window of this many times rate / transition width stops 53 dB.
_LENGTH = 3.3
# Edges of the band: a quarter of the frequency wide, but no narrower than this many hertz.
_NARROWEST = 2.0
_SHARE = 0.25


@functools.lru_cache(maxsize=16)
def band_taps(sample_rate: float, low: float | None, high: float | None) -> np.ndarray:
    """Weights of a filter that lets a band of frequencies pass unchanged.

    A Hamming-windowed sinc; its transitions lie outside the band.

    Args:
        sample_rate: samples per second.
        low: lower edge of the band in hertz; None for no lower edge.
        high: upper edge; None for no upper edge.

    Returns:
        float64 array of odd length, symmetric.
    """
    nyquist = sample_rate / 2
    widths = []
    if low is not None:
        widths.append(min(max(_SHARE * low, _NARROWEST), low))
    if high is not None:
        widths.append(min(max(_SHARE * high, _NARROWEST), nyquist - high))
    half = int(np.ceil(_LENGTH * sample_rate / min(widths) / 2))
    upper = 1.0 if high is None else (high + widths[-1] / 2) / nyquist
    lower = 0.0 if low is None else (low - widths[0] / 2) / nyquist
    time = np.arange(-half, half + 1)
    window = 0.54 + 0.46 * np.cos(np.pi * time / half)
    taps = (upper * np.sinc(upper * time) - lower * np.sinc(lower * time)) * window
    if low is not None:
        # An offset may be a thousand times the signal: nothing of it passes.
        taps = taps - window * (taps.sum() / window.sum())
    centre = 0.0 if low is None else (1.0 if high is None else (low + high) / 2 / nyquist)
    return taps / (taps * np.cos(np.pi * centre * time)).sum()


def apply_filter(values: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Filter each channel without delay; the first and last value go on beyond the ends.

    Args:
        values: float64 array (time, channel).
        taps: weights, of odd length.
    """
    half = len(taps) // 2
    padded = np.concatenate([np.repeat(values[:1], half, 0), values, np.repeat(values[-1:], half, 0)]).T
    size = padded.shape[1]
    filtered = np.fft.irfft(np.fft.rfft(padded) * np.fft.rfft(taps, size), size)
    # The first 2 * half values hold what the transform wraps around from the end.
    return filtered[:, 2 * half :].T


def apply_filter_graph(tf, values, taps):
    """What `apply_filter` does, on a float64 tensor."""
    half = len(taps) // 2
    padded = tf.concat([tf.repeat(values[:1], half, 0), values, tf.repeat(values[-1:], half, 0)], axis=0)
    padded = tf.transpose(padded)
    size = tf.shape(padded)[1]
    spectrum = tf.signal.rfft(padded) * tf.signal.rfft(tf.pad(tf.constant(taps), [[0, size - len(taps)]]))
    filtered = tf.signal.irfft(spectrum, [size])
    return tf.transpose(filtered[:, 2 * half :])
