"""Sound with noise behind it."""

import numpy as np

from mmkeras.preprocessing.augmentation.augmentation import (
    AUDIO_FORMS,
    Augmentation,
    check_range,
    check_rate,
    lengths,
    split,
    uniform,
)
from mmkeras.preprocessing.augmentation.waveforms import active, power
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class AddNoise(Augmentation):
    """Add noise to clips at a signal-to-noise ratio drawn for each.

    The ratio is exact and measured where a clip is active, so that pauses do not count. A sum that leaves -1..1 is
    made quieter as a whole. Padding stays zero.

    Args:
        snr_db: (low, high) decibels.
        noise: recordings to draw from, a list of arrays (sample,) at the sample rate of the clips; each clip gets a
            random excerpt of one, repeated where it is too short. None for white noise.
        rate: probability that a clip gets noise.

    Call arguments:
        batch: float tensor (batch, sample) in -1..1, with zeros behind shorter clips.
        seed: int32 tensor (2,).

    Example:

    >>> clips = np.sin(np.arange(2000, dtype="float32") / 5).reshape(1, -1) / 10
    >>> noise = AddNoise(snr_db=(0, 0))(clips, seed=(1, 2)).numpy() - clips
    >>> bool(abs(noise.std() / clips.std() - 1) < 0.01)
    True
    """

    forms = AUDIO_FORMS

    def __init__(self, snr_db=(0.0, 20.0), noise=None, rate=1.0):
        check_rate("rate", rate)
        self.snr_db = check_range("snr_db", snr_db)
        self.noise = None if noise is None else [np.asarray(clip, "float32") for clip in noise]
        self.rate = rate
        if self.noise is not None and (not self.noise or any(clip.ndim != 1 or not clip.size for clip in self.noise)):
            raise ValueError(
                "`noise` must be a list of arrays (sample,), none of them empty. Received: shapes "
                f"{[clip.shape for clip in self.noise]}"
            )

    def _augment(self, batch, seed):
        tf = require_tensorflow("AddNoise")
        seeds = split(seed, 4)
        decibels = tf.cast(uniform(seeds, batch, *self.snr_db), batch.dtype)[:, tf.newaxis]
        noisy = uniform(seeds, batch) < self.rate
        noise = tf.cast(self._draw(tf.shape(batch), seeds), batch.dtype)
        sound = active(batch)
        gain = tf.sqrt(tf.math.divide_no_nan(power(batch, sound), power(noise, sound))) * 10 ** (-decibels / 20)
        mixed = batch + tf.where(lengths(batch)[1], noise * gain, 0)
        mixed /= tf.maximum(tf.reduce_max(tf.abs(mixed), axis=1, keepdims=True), 1)
        return tf.where(noisy[:, tf.newaxis], mixed, batch)

    def _draw(self, shape, seeds):
        tf = require_tensorflow("AddNoise")
        if self.noise is None:
            return tf.random.stateless_normal(shape, next(seeds))
        sizes = np.array([clip.size for clip in self.noise])
        starts = tf.constant(np.cumsum(sizes) - sizes, "int32")
        chosen = tf.random.stateless_uniform(shape[:1], next(seeds), 0, len(sizes), "int32")
        size = tf.gather(tf.constant(sizes, "int32"), chosen)[:, tf.newaxis]
        offset = tf.random.stateless_uniform(shape[:1], next(seeds), 0, 2**31 - 1, "int32")[:, tf.newaxis] % size
        place = tf.gather(starts, chosen)[:, tf.newaxis] + (offset + tf.range(shape[1])) % size
        return tf.gather(tf.constant(np.concatenate(self.noise)), place)

    def get_config(self):
        noise = None if self.noise is None else [clip.tolist() for clip in self.noise]
        return {"snr_db": list(self.snr_db), "noise": noise, "rate": self.rate}
