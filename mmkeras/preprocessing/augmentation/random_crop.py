"""Parts of pictures, seen at full size."""

import math

from mmkeras.preprocessing.augmentation.augmentation import IMAGE_FORMS, Augmentation, check_range, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class RandomCrop(Augmentation):
    """Cut a random part out of pictures and scale it to their size; of all frames of a clip the same part.

    Args:
        area: (low, high) share of the picture's area that stays.
        ratio: (low, high) by which the width of the part is stretched against its height; (1, 1) keeps proportions.
        size: (height, width) of the result, for a model that takes any; None for the size of the pictures. Training
            starts faster on smaller pictures, and parts of larger ones lose less.

    Call arguments:
        batch: float tensor (batch, height, width, 3) or (batch, frame, height, width, 3).
        seed: int32 tensor (2,).

    Example:

    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    >>> RandomCrop(area=(0.5, 0.5))(images, seed=(1, 2)).shape
    TensorShape([2, 8, 8, 3])
    """

    forms = IMAGE_FORMS

    def __init__(self, area=(0.6, 1.0), ratio=(3 / 4, 4 / 3), size=None):
        self.area = check_range("area", area, 1e-3, 1.0)
        self.ratio = check_range("ratio", ratio, 1e-2, 1e2)
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"`size` must be (height, width), or None. Received: size={size!r}")
        self.size = None if size is None else tuple(size)

    def output_shape(self, shape):
        return shape if self.size is None else (*shape[:-3], *self.size, shape[-1])

    def _augment(self, batch, seed):
        tf = require_tensorflow("RandomCrop")
        seeds = split(seed, 4)
        area = uniform(seeds, batch, *self.area)
        # Drawn as a logarithm: twice as wide is as likely as twice as high.
        ratio = tf.exp(uniform(seeds, batch, *map(math.log, self.ratio)))
        height, width = tf.minimum(tf.sqrt(area / ratio), 1.0), tf.minimum(tf.sqrt(area * ratio), 1.0)
        top, left = uniform(seeds, batch) * (1 - height), uniform(seeds, batch) * (1 - width)
        boxes = tf.stack([top, left, top + height, left + width], axis=1)
        shape = tf.shape(batch)
        images = tf.cast(tf.reshape(batch, (-1, shape[-3], shape[-2], batch.shape[-1])), "float32")
        if batch.shape.rank == 5:
            boxes = tf.repeat(boxes, shape[1], axis=0)
        size = shape[-3:-1] if self.size is None else tf.constant(self.size)
        cropped = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), size)
        return tf.reshape(cropped, tf.concat([shape[:-3], size, shape[-1:]], axis=0))

    def get_config(self):
        size = None if self.size is None else list(self.size)
        return {"area": list(self.area), "ratio": list(self.ratio), "size": size}
