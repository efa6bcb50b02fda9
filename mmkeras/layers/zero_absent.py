"""Keep the filler of an absent modality out of the model."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class ZeroAbsent(keras.layers.Layer):
    """Set the input of an absent modality to zeros before an encoder sees it.

    A NaN that reaches an encoder poisons its weights in one training step, whatever happens to the encoding later;
    so a task puts this layer before the encoder and `NullEmbedding` after it. Zeros are padding to a text encoder,
    silence to an audio encoder and black to an image encoder.

    Call arguments:
        inputs: list of the input (batch, ...) and its presence, boolean (batch,).

    Output shape: the shape of the input.

    Example:

    >>> np.asarray(ZeroAbsent()([ops.array([[5.0], [float("nan")]]), ops.array([True, False])])).tolist()
    [[5.0], [0.0]]
    """

    def __init__(self, **kwargs):
        # It passes values on: rounding them is for the layer that computes with them.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        x, present = inputs
        return keras.ops.where(ops.broadcast_flag(present, x), x, keras.ops.zeros_like(x))

    def compute_mask(self, inputs, previous_mask=None):
        return None if previous_mask is None else previous_mask[0]
