"""Pictures in another light."""

from mmkeras.preprocessing.augmentation.augmentation import IMAGE_FORMS, Augmentation, rows, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered

# How bright the eye finds red, green and blue (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@registered
class RandomColour(Augmentation):
    """Change brightness, contrast and saturation of pictures, of all frames of a clip alike.

    Each is a factor drawn from `[1 - x, 1 + x]`: on the values, on their distance from the picture's mean grey, and on
    their distance from each pixel's own grey. Values stay in 0..255, and black frames (padding) black.

    Args:
        brightness: greatest change of brightness, 0 to 1.
        contrast: greatest change of contrast, 0 to 1.
        saturation: greatest change of saturation, 0 to 1.

    Call arguments:
        batch: float tensor (batch, height, width, 3) or (batch, frame, height, width, 3), in 0..255.
        seed: int32 tensor (2,).

    Example:

    >>> images = np.full((2, 4, 4, 3), 100, "float32")
    >>> changed = RandomColour(brightness=0.5)(images, seed=(1, 2)).numpy()
    >>> bool((50 <= changed).all() and (changed <= 150).all())
    True
    """

    forms = IMAGE_FORMS

    def __init__(self, brightness=0.2, contrast=0.2, saturation=0.2):
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must lie in 0..1. Received: {name}={value!r}")
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation

    def _augment(self, batch, seed):
        tf = require_tensorflow("RandomColour")
        seeds = split(seed, 3)

        def factor(most):
            return rows(tf.cast(uniform(seeds, batch, 1 - most, 1 + most), batch.dtype), batch)

        batch = batch * factor(self.brightness)
        mean = tf.reduce_mean(_grey(batch), axis=(-3, -2), keepdims=True)
        batch = mean + (batch - mean) * factor(self.contrast)
        grey = _grey(batch)
        return tf.clip_by_value(grey + (batch - grey) * factor(self.saturation), 0.0, 255.0)

    def get_config(self):
        return {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}


def _grey(batch):
    tf = require_tensorflow("RandomColour")
    return tf.reduce_sum(batch * tf.constant(_LUMA, batch.dtype), axis=-1, keepdims=True)
