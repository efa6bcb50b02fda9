"""Pictures with a part hidden."""

import math

from mmkeras.preprocessing.augmentation.augmentation import (
    IMAGE_FORMS,
    Augmentation,
    check_range,
    check_rate,
    split,
    uniform,
)
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class RandomErasing(Augmentation):
    """Hide a random rectangle of pictures behind their mean colour; in all frames of a clip the same one.

    Args:
        rate: probability that a picture loses a rectangle.
        area: (low, high) share of the picture's area.
        ratio: (low, high) of the rectangle's width to its height, measured in widths and heights of the picture.

    Call arguments:
        batch: float tensor (batch, height, width, 3) or (batch, frame, height, width, 3).
        seed: int32 tensor (2,).

    Example:

    >>> images = np.random.default_rng(0).uniform(0, 255, (1, 10, 10, 3)).astype("float32")
    >>> erased = RandomErasing(rate=1.0, area=(0.25, 0.25), ratio=(1, 1))(images, seed=(1, 2)).numpy()
    >>> bool(0.15 < (erased != images).mean() < 0.4)
    True

    References:
        Zhong et al. 2020, Random Erasing Data Augmentation.
    """

    forms = IMAGE_FORMS

    def __init__(self, rate=0.5, area=(0.02, 0.2), ratio=(1 / 3, 3.0)):
        check_rate("rate", rate)
        self.rate = rate
        self.area = check_range("area", area, 0.0, 1.0)
        self.ratio = check_range("ratio", ratio, 1e-2, 1e2)

    def _augment(self, batch, seed):
        tf = require_tensorflow("RandomErasing")
        seeds = split(seed, 5)
        erased = uniform(seeds, batch) < self.rate
        area = uniform(seeds, batch, *self.area)
        ratio = tf.exp(uniform(seeds, batch, *map(math.log, self.ratio)))
        shape = tf.shape(batch)
        rows_hidden = _span(tf.sqrt(area / ratio), uniform(seeds, batch), shape[-3])
        columns_hidden = _span(tf.sqrt(area * ratio), uniform(seeds, batch), shape[-2])
        hidden = rows_hidden[:, :, tf.newaxis] & columns_hidden[:, tf.newaxis, :] & erased[:, tf.newaxis, tf.newaxis]
        hidden = hidden[..., tf.newaxis] if batch.shape.rank == 4 else hidden[:, tf.newaxis, :, :, tf.newaxis]
        # Each frame's own mean: a frame of zeros, which is padding, stays one.
        return tf.where(hidden, tf.reduce_mean(batch, axis=(-3, -2), keepdims=True), batch)

    def get_config(self):
        return {"rate": self.rate, "area": list(self.area), "ratio": list(self.ratio)}


def _span(share, start, size):
    """Which of `size` pixels (batch, size) lie in a span of `share` of them."""
    tf = require_tensorflow("RandomErasing")
    share = tf.minimum(share, 1.0)[:, tf.newaxis]
    first = start[:, tf.newaxis] * (1 - share)
    centres = (tf.cast(tf.range(size), "float32") + 0.5) / tf.cast(size, "float32")
    return (centres >= first) & (centres < first + share)
