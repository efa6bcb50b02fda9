"""The spectrogram range Whisper was trained on."""

import math

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class WhisperScaling(keras.layers.Layer):
    """Bring a natural-log mel spectrogram to Whisper's range, clip by clip.

    `y = log10(power); y = max(y, max(y) - 8); y = (y + 4) / 4`. Zero frames at the end are padding and become the
    quietest value a clip can have.

    Call arguments:
        spectrogram: tensor (batch, frame, mel), natural-log mel padded with zeros.

    Output shape: the shape of the input.

    Example:

    >>> clip = ops.log(ops.array([[[1e4], [1.0], [1e-9]]]))
    >>> np.round(np.asarray(WhisperScaling()(clip))[0, :, 0], 3).tolist()
    [2.0, 1.0, 0.0]
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, spectrogram):
        spectrogram = keras.ops.cast(spectrogram, "float32")
        decades = spectrogram * (1.0 / math.log(10.0))
        valid = ops.trailing_mask(spectrogram)[..., None]
        # 1e-10 is Whisper's own floor before the logarithm.
        decades = keras.ops.where(valid, decades, -10.0 * keras.ops.ones_like(decades))
        loudest = keras.ops.max(decades, axis=(1, 2), keepdims=True)
        return keras.ops.cast((keras.ops.maximum(decades, loudest - 8.0) + 4.0) * 0.25, self.compute_dtype)
