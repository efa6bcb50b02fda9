"""The pixel range a pretrained image network was trained on."""

import keras
import numpy as np

# Per mode: whether channels are reversed to BGR, the mean, the standard deviation; on pixels in 0..255.
_MODES = {
    "unit": (False, 0.0, 255.0),
    "symmetric": (False, 127.5, 127.5),
    "caffe": (True, (103.939, 116.779, 123.68), 1.0),
    "torch": (False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "clip": (False, (122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)),
}


@keras.saving.register_keras_serializable(package="mmkeras")
class PixelScaling(keras.layers.Layer):
    """Bring float RGB pixels in 0..255 to the range a network expects: `(x - mean) / std`.

    It is the first layer of every image encoder, so nobody can feed the wrong range.

    Args:
        mode: `"unit"` (0..1), `"symmetric"` (-1..1; SigLIP, ViT, Inception), `"caffe"` (BGR less the ImageNet
            mean; VGG and ResNet of keras.applications), `"torch"` (ImageNet mean and deviation), `"clip"`.

    Call arguments:
        image: tensor (batch, height, width, 3), or with any axes before height.

    Output shape: the shape of the input.

    Example:

    >>> np.asarray(PixelScaling("symmetric")(ops.array([[[[0.0, 127.5, 255.0]]]]))).tolist()
    [[[[-1.0, 0.0, 1.0]]]]
    """

    def __init__(self, mode="unit", **kwargs):
        super().__init__(autocast=False, **kwargs)
        if mode not in _MODES:
            raise ValueError(f"`mode` must be one of {sorted(_MODES)}. Received: mode={mode!r}")
        self.mode = mode

    def build(self, image_shape):
        if image_shape[-1] != 3:
            raise ValueError(
                f"PixelScaling expects RGB images (..., height, width, 3). Received: shape {tuple(image_shape)}"
            )

    def call(self, image):
        reverse, mean, deviation = _MODES[self.mode]
        image = keras.ops.cast(image, "float32")
        if reverse:
            image = keras.ops.flip(image, axis=-1)
        # One multiplication and one addition, with constants folded beforehand.
        scale = (1.0 / np.asarray(deviation)).astype("float32")
        offset = (-np.asarray(mean) / np.asarray(deviation)).astype("float32")
        return keras.ops.cast(image * scale + offset, self.compute_dtype)

    def compute_mask(self, image, previous_mask=None):
        return previous_mask

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
