"""The log-mel spectrogram of `mm.layers.LogMelSpectrogram`, in NumPy and in a TensorFlow graph without Keras."""

import functools
import math

import numpy as np

from mmkeras.preprocessing.part import require_tensorflow

# The defaults of the layer, which an `Audio` part does not vary.
_MIN_FREQUENCY = 60.0
_FLOOR = 1e-5


@functools.lru_cache(maxsize=8)
def mel_filters(sample_rate: int, num_mels: int, frame_length: int) -> np.ndarray:
    """Filter bank of triangles on the mel scale of HTK: float32 (frame_length // 2 + 1, num_mels)."""
    edges = np.linspace(_mel(_MIN_FREQUENCY), _mel(sample_rate / 2), num_mels + 2)
    bins = _mel(np.linspace(0, sample_rate / 2, frame_length // 2 + 1))[:, np.newaxis]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype("float32")


def log_mel(samples: np.ndarray, sample_rate: int, num_mels: int, frame_length: int, stride: int) -> np.ndarray:
    """Natural-log mel spectrogram of a waveform.

    Args:
        samples: float32 array (sample,); trailing zeros are padding.
        sample_rate: samples per second.
        num_mels: number of mel bins.
        frame_length: samples per frame.
        stride: samples between frames.

    Returns:
        float32 array (ceil(sample / stride), num_mels), zeros where a frame is centred on padding.
    """
    count = -(-len(samples) // stride)
    padded = np.pad(np.asarray(samples, "float64"), (frame_length // 2, frame_length))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::stride][:count]
    spectrum = np.fft.rfft(frames * _hann(frame_length))
    power = spectrum.real**2 + spectrum.imag**2
    mels = power.astype("float32") @ mel_filters(sample_rate, num_mels, frame_length)
    mels = np.log(np.maximum(mels, np.float32(_FLOOR)))
    content = np.flatnonzero(samples)
    mels[(content[-1] // stride + 1 if len(content) else 0) :] = 0
    return mels


def log_mel_graph(samples, sample_rate, num_mels, frame_length, stride):
    """What `log_mel` does, on a float32 tensor (sample,)."""
    tf = require_tensorflow("A spectrogram in a graph")
    count = -(-tf.size(samples) // stride)
    # In float32 the weak bins of a loud frame would be the noise of the transform, and differ from NumPy's.
    padded = tf.pad(tf.cast(samples, tf.float64), [[frame_length // 2, frame_length]])
    frames = tf.signal.frame(padded, frame_length, stride)[:count]
    spectrum = tf.signal.rfft(frames * _hann(frame_length))
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    mels = tf.cast(power, tf.float32) @ mel_filters(sample_rate, num_mels, frame_length)
    mels = tf.math.log(tf.maximum(mels, _FLOOR))
    positions = tf.range(tf.size(samples))
    last = tf.reduce_max(tf.concat([[-stride], tf.where(samples != 0, positions, -stride)], axis=0))
    return mels * tf.cast(tf.range(count) <= last // stride, tf.float32)[:, tf.newaxis]


@functools.lru_cache(maxsize=8)
def _hann(length):
    return 0.5 - 0.5 * np.cos(2 * math.pi / length * np.arange(length))


def _mel(frequency):
    return 1127.0 * np.log(1 + frequency / 700.0)
