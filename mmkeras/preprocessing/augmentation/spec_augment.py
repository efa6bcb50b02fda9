"""Spectrograms with stretches of time and bands of frequency hidden."""

from typing import ClassVar

from mmkeras.preprocessing.augmentation.augmentation import Augmentation, check_rate, lengths, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class SpecAugment(Augmentation):
    """Hide random stretches of time and bands of frequency of spectrograms.

    What is hidden becomes the clip's own mean, taken over the frames that are no padding: zeros would make a frame
    look like padding, and stand far above the silence of a logarithmic spectrogram. Padding stays zero.

    Args:
        num_time_masks: number of stretches of each clip.
        time_mask: greatest length of a stretch, in frames; each length up to it is equally likely, 0 too.
        num_frequency_masks: number of bands.
        frequency_mask: greatest width of a band, in mel channels.
        time_share: no stretch is longer than this share of the clip.

    Call arguments:
        batch: float tensor (batch, frame, mel), with frames of zeros behind shorter clips.
        seed: int32 tensor (2,).

    Example:

    >>> spectrograms = np.random.default_rng(0).normal(size=(2, 100, 40)).astype("float32")
    >>> hidden = SpecAugment(time_mask=20)(spectrograms, seed=(1, 2)).numpy() != spectrograms
    >>> bool(0 < hidden.mean() < 0.7)
    True

    References:
        Park et al. 2019, SpecAugment.
    """

    forms: ClassVar[dict[int, str]] = {3: "(batch, frame, mel)"}

    def __init__(self, num_time_masks=2, time_mask=20, num_frequency_masks=2, frequency_mask=10, time_share=0.2):
        numbers = {
            "num_time_masks": num_time_masks,
            "time_mask": time_mask,
            "num_frequency_masks": num_frequency_masks,
            "frequency_mask": frequency_mask,
        }
        for name, value in numbers.items():
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"`{name}` must be a whole number, 0 or more. Received: {name}={value!r}")
        check_rate("time_share", time_share)
        self.num_time_masks = num_time_masks
        self.time_mask = time_mask
        self.num_frequency_masks = num_frequency_masks
        self.frequency_mask = frequency_mask
        self.time_share = time_share

    def _augment(self, batch, seed):
        tf = require_tensorflow("SpecAugment")
        seeds = split(seed, 4)
        length, valid = lengths(batch)
        num_mels = tf.fill(tf.shape(length), tf.shape(batch)[2])
        longest = tf.cast(self.time_share * tf.cast(length, "float32"), "int32")
        time = _spans(batch, seeds, self.num_time_masks, tf.minimum(longest, self.time_mask), length, axis=1)
        widest = tf.minimum(num_mels, self.frequency_mask)
        frequency = _spans(batch, seeds, self.num_frequency_masks, widest, num_mels, axis=2)
        counted = tf.cast(valid, batch.dtype)[:, :, tf.newaxis]
        count = tf.reduce_sum(counted, axis=(1, 2), keepdims=True) * tf.cast(tf.shape(batch)[2], batch.dtype)
        mean = tf.math.divide_no_nan(tf.reduce_sum(batch, axis=(1, 2), keepdims=True), count)
        # A frame of exact zeros would be padding.
        mean = tf.where(mean == 0, tf.cast(1e-6, batch.dtype), mean)
        hidden = (time[:, :, tf.newaxis] | frequency[:, tf.newaxis, :]) & valid[:, :, tf.newaxis]
        return tf.where(hidden, mean, batch)

    def get_config(self):
        return {
            "num_time_masks": self.num_time_masks,
            "time_mask": self.time_mask,
            "num_frequency_masks": self.num_frequency_masks,
            "frequency_mask": self.frequency_mask,
            "time_share": self.time_share,
        }


def _spans(batch, seeds, count, widest, room, axis):
    """Which places (batch, size of the axis) lie in `count` random spans up to `widest` (batch,), within `room`."""
    tf = require_tensorflow("SpecAugment")

    def whole_up_to(most):
        draw = uniform(seeds, batch, shape=(count,)) * tf.cast(most + 1, "float32")
        # A draw just below 1 may round up to its end.
        return tf.minimum(tf.cast(draw, "int32"), most)

    width = whole_up_to(tf.repeat(widest[:, tf.newaxis], count, axis=1))
    start = whole_up_to(room[:, tf.newaxis] - width)
    places = tf.range(tf.shape(batch)[axis])[:, tf.newaxis]
    start, stop = start[:, tf.newaxis, :], (start + width)[:, tf.newaxis, :]
    return tf.reduce_any((places >= start) & (places < stop), axis=2)
