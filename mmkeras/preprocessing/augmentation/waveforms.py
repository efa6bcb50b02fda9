"""What the augmentations of sound share: the loudness of clips, and the operations of tensorflow-io."""

import warnings

from mmkeras.data.corruption.mixing import BLOCK, SILENCE_DB
from mmkeras.preprocessing.augmentation.augmentation import lengths
from mmkeras.preprocessing.part import require_tensorflow

# What tensorflow-io says on loading where its native kernels do not fit TensorFlow; its Python operations need none.
_LOAD_WARNINGS = (r"unable to load libtensorflow_io_plugins\.so", r"file system plugins are not loaded")


def active(batch):
    """Which samples (batch, sample) hold sound: blocks within 40 dB of the clip's loudest one, and no padding.

    The measure that `mm.data.AudioNoise` takes of a single clip.
    """
    tf = require_tensorflow("Augmentation of sound")
    _, valid = lengths(batch)
    num_samples = tf.shape(batch)[1]
    num_blocks = -(-num_samples // BLOCK)
    room = [[0, 0], [0, num_blocks * BLOCK - num_samples]]

    def block_sums(x):
        return tf.reduce_sum(tf.reshape(tf.pad(x, room), (-1, num_blocks, BLOCK)), axis=2)

    counts = block_sums(tf.cast(valid, batch.dtype))
    power = block_sums(tf.square(batch)) / tf.maximum(counts, 1)
    loud = power > tf.reduce_max(power, axis=1, keepdims=True) * 10 ** (SILENCE_DB / 10)
    return tf.repeat(loud, BLOCK, axis=1)[:, :num_samples] & valid


def power(batch, where):
    """Mean square (batch, 1) of the samples named, 0 where there is none."""
    tf = require_tensorflow("Augmentation of sound")
    where = tf.cast(where, batch.dtype)
    return tf.math.divide_no_nan(
        tf.reduce_sum(tf.square(batch) * where, axis=1, keepdims=True), tf.reduce_sum(where, axis=1, keepdims=True)
    )


def tensorflow_io_audio():
    """The audio operations of tensorflow-io that are written in Python."""
    with warnings.catch_warnings():
        for message in _LOAD_WARNINGS:
            warnings.filterwarnings("ignore", message, UserWarning)
        try:
            import tensorflow_io
        except ImportError as error:
            raise ImportError("Fade and Trim need tensorflow-io: pip install tensorflow-io") from error
    return tensorflow_io.audio
