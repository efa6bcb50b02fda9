"""Mirrored pictures."""

from mmkeras.preprocessing.augmentation.augmentation import IMAGE_FORMS, Augmentation, check_rate, rows, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class RandomFlip(Augmentation):
    """Mirror pictures, or all frames of a clip alike.

    Leave it out where left and right matter: text in the picture, captions with "left", road signs.

    Args:
        horizontal: probability that left and right change places.
        vertical: probability that top and bottom do.

    Call arguments:
        batch: float tensor (batch, height, width, 3) or (batch, frame, height, width, 3).
        seed: int32 tensor (2,).

    Example:

    >>> images = np.arange(6, dtype="float32").reshape(1, 1, 2, 3)
    >>> RandomFlip(horizontal=1.0)(images, seed=(1, 2)).numpy().ravel().tolist()
    [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]
    """

    forms = IMAGE_FORMS

    def __init__(self, horizontal=0.5, vertical=0.0):
        check_rate("horizontal", horizontal)
        check_rate("vertical", vertical)
        self.horizontal = horizontal
        self.vertical = vertical

    def _augment(self, batch, seed):
        tf = require_tensorflow("RandomFlip")
        seeds = split(seed, 2)
        for rate, axis in ((self.horizontal, -2), (self.vertical, -3)):
            flipped = uniform(seeds, batch) < rate
            batch = tf.where(rows(flipped, batch), tf.reverse(batch, [axis]), batch)
        return batch

    def get_config(self):
        return {"horizontal": self.horizontal, "vertical": self.vertical}
