"""A channel axis for what has none."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class AddChannel(keras.layers.Layer):
    """Add a last axis of size one, so that a convolution can read a waveform or a spectrogram; the mask stays.

    Call arguments:
        x: tensor (batch, time, ...).

    Output shape: (batch, time, ..., 1).

    Example:

    >>> tuple(AddChannel()(ops.ones((2, 5, 4))).shape)
    (2, 5, 4, 1)
    """

    def __init__(self, **kwargs):
        # It passes values on: rounding them is for the layer that computes with them.
        super().__init__(autocast=False, **kwargs)

    def call(self, x):
        return keras.ops.expand_dims(x, axis=-1)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask
