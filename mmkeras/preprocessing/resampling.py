"""Sound brought from one sample rate to another, in NumPy and in a TensorFlow graph by the same formula."""

import functools
import math

import numpy as np

from mmkeras.preprocessing.part import require_tensorflow

# A windowed sinc of 32 zero crossings on either side whose window (beta for 70 dB) lets pass what lies below 0.86 of
# the lower Nyquist frequency and stops what lies above it.
_ZEROS = 32
_ROLLOFF = 0.93
_BETA = 0.1102 * (70 - 8.7)
# Terms after which the series of the Bessel function is exact to 1e-8 for this beta.
_TERMS = 13
# A filter matrix of more weights than this (rates without a useful common divisor) is made piece by piece instead.
_MAX_WEIGHTS = 2**22
_PIECE = 2048


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Bring a waveform to another sample rate.

    Args:
        samples: float array (sample,).
        rate: samples per second it has.
        new_rate: samples per second it shall have.

    Returns:
        float32 array (ceil(sample * new_rate / rate),). A constant stays constant but near the ends, where silence
        is taken to follow.

    Example:

    >>> resample(np.ones(441, "float32"), 44100, 16000).shape
    (160,)
    """
    samples = np.asarray(samples, "float32")
    if min(rate, new_rate) < 1 or rate != int(rate) or new_rate != int(new_rate):
        raise ValueError(f"Sample rates must be positive integers. Received: {rate} and {new_rate}")
    rate, new_rate = int(rate), int(new_rate)
    if rate == new_rate:
        return samples
    up, down, cutoff, half = _ratio(rate, new_rate)
    count = -(-len(samples) * up // down)
    times = max(1, 2 * half // down)
    if (times * down + 2 * half) * times * up > _MAX_WEIGHTS:
        return _resample_pieces(samples, count, up, down, cutoff, half)
    weights = _block_weights(rate, new_rate)
    blocks = -(-count // (times * up))
    padded = np.zeros(blocks * times * down + 2 * half, "float32")
    kept = samples[: len(padded) - half]
    padded[half : half + len(kept)] = kept
    frames = np.lib.stride_tricks.sliding_window_view(padded, times * down + 2 * half)[:: times * down]
    return (frames @ weights).reshape(-1)[:count]


def resample_graph(samples, rate, new_rate):
    """What `resample` does, on a tensor and for a rate that is known only when the graph runs.

    Args:
        samples: float32 tensor (sample,).
        rate: integer tensor ().
        new_rate: integer.
    """
    tf = require_tensorflow("Resampling in a graph")
    rate = tf.cast(rate, tf.int64)
    # A function of its own: most sounds have the rate already, and the operations of a branch not taken cost time too.
    resampled = tf.function(
        lambda samples, rate: _resample_graph(tf, samples, rate, new_rate),
        experimental_attributes={"_noinline": True},
        autograph=False,
    )
    return tf.cond(rate == new_rate, lambda: samples, lambda: tf.ensure_shape(resampled(samples, rate), (None,)))


def _resample_graph(tf, samples, rate, new_rate):
    new_rate = tf.constant(new_rate, tf.int64)
    divisor = _greatest_common_divisor(tf, rate, new_rate)
    up, down = new_rate // divisor, rate // divisor
    cutoff = _ROLLOFF * tf.minimum(tf.cast(new_rate, tf.float64) / tf.cast(rate, tf.float64), 1.0)
    half = tf.cast(tf.math.ceil(_ZEROS / cutoff), tf.int64)
    count = -(-tf.size(samples, out_type=tf.int64) * up // down)
    times = tf.maximum(tf.constant(1, tf.int64), 2 * half // down)
    frame, step = times * down + 2 * half, times * down

    def blocks():
        rows = tf.cast(tf.range(frame) - half, tf.float64)
        columns = tf.cast(tf.range(times * up) * down, tf.float64) / tf.cast(up, tf.float64)
        weights = _weights(tf, rows, columns, cutoff)
        number = -(-count // (times * up))
        room = (number + 2) * step
        padded = tf.concat([tf.zeros([half]), samples, tf.zeros([room])], axis=0)[:room]
        # A frame is at most three steps long: whole steps side by side are cheaper than a gather of samples.
        steps = tf.reshape(padded, [number + 2, step])
        frames = tf.concat([steps[:-2], steps[1:-1], steps[2:]], axis=1)[:, :frame]
        return tf.reshape(frames @ weights, [-1])[:count]

    def pieces():
        padded = tf.concat([tf.zeros([half]), samples, tf.zeros([half + 2])], axis=0)
        taps = tf.range(2 * half + 1)

        def piece(number):
            at = tf.minimum(number * _PIECE + tf.range(_PIECE, dtype=tf.int64), count - 1) * down
            fractions = tf.cast(at % up, tf.float64) / tf.cast(up, tf.float64)
            weights = _weights(tf, tf.cast(taps - half, tf.float64), fractions, cutoff)
            return tf.reduce_sum(tf.gather(padded, (at // up)[:, tf.newaxis] + taps) * tf.transpose(weights), axis=1)

        number = -(-count // _PIECE)
        made = tf.map_fn(piece, tf.range(number), fn_output_signature=tf.TensorSpec([_PIECE], tf.float32))
        return tf.reshape(made, [-1])[:count]

    return tf.cond(frame * times * up <= _MAX_WEIGHTS, blocks, pieces)


def _resample_pieces(samples, count, up, down, cutoff, half):
    padded = np.concatenate([np.zeros(half, "float32"), samples, np.zeros(half + 2, "float32")])
    taps = np.arange(2 * half + 1)
    made = []
    for first in range(0, count, _PIECE):
        at = np.arange(first, min(first + _PIECE, count)) * down
        weights = _weights(np, (taps - half).astype("float64"), (at % up) / up, cutoff)
        made.append((padded[(at // up)[:, np.newaxis] + taps] * weights.T).sum(axis=1))
    return np.concatenate(made or [np.zeros(0, "float32")])


@functools.lru_cache(maxsize=16)
def _block_weights(rate, new_rate):
    up, down, cutoff, half = _ratio(rate, new_rate)
    times = max(1, 2 * half // down)
    rows = np.arange(times * down + 2 * half, dtype="float64") - half
    return _weights(np, rows, np.arange(times * up) * down / up, cutoff)


def _ratio(rate, new_rate):
    divisor = math.gcd(rate, new_rate)
    cutoff = _ROLLOFF * min(1.0, new_rate / rate)
    return new_rate // divisor, rate // divisor, cutoff, math.ceil(_ZEROS / cutoff)


def _weights(xp, inputs, outputs, cutoff):
    """Weight of each input sample in each output sample, float32 (inputs, outputs), every column of sum 1.

    Args:
        xp: the module that computes: numpy or tensorflow.
        inputs: float64 times of the input samples.
        outputs: float64 times of the output samples.
        cutoff: edge of the pass band as a share of the Nyquist frequency of the input.
    """
    single = (lambda x: x.astype("float32")) if xp is np else (lambda x: xp.cast(x, "float32"))
    angle_in, angle_out = math.pi * cutoff * inputs, math.pi * cutoff * outputs
    angle = angle_in[:, np.newaxis] - angle_out
    # sin(a - b) = sin a cos b - cos a sin b: as many sines as rows and columns, not as weights.
    sine = xp.sin(angle_in)[:, np.newaxis] * xp.cos(angle_out) - xp.cos(angle_in)[:, np.newaxis] * xp.sin(angle_out)
    sine, angle = single(sine), single(angle)
    at_centre = xp.abs(angle) < 1e-4
    sinc = xp.where(at_centre, xp.ones_like(angle), sine / xp.where(at_centre, xp.ones_like(angle), angle))
    inside = 1.0 - (angle * (1 / (math.pi * _ZEROS))) ** 2
    # The Kaiser window: the series of the Bessel function I0(beta * sqrt(inside)), up to a factor.
    quarter = inside * (_BETA**2 / 4)
    bessel = 1.0 + quarter / _TERMS**2
    for term in range(_TERMS - 1, 0, -1):
        bessel = 1.0 + quarter * bessel * (1 / term**2)
    weights = xp.where(inside > 0, sinc * bessel, xp.zeros_like(bessel))
    return weights / xp.einsum("ij->j", weights)


def _greatest_common_divisor(tf, a, b):
    return tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), (a, b))[0]
