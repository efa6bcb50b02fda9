"""A mask read off the padding itself."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class PaddingMask(keras.layers.Layer):
    """Mark the zeros at the end of each row as padding.

    Sound, spectrograms, signals and precomputed features are padded with zeros on the right; this layer tells the
    layers after it where the content ends. Unlike `keras.layers.Masking` it leaves zeros inside the content valid,
    so that the mask stays contiguous, as recurrent layers on accelerators need it.

    Call arguments:
        x: tensor (batch, time, ...).

    Output shape: the shape of the input, with a mask (batch, time).

    Example:

    >>> np.asarray(PaddingMask().compute_mask(ops.array([[[3.0], [0.0], [1.0], [0.0]]]))).tolist()
    [[True, True, True, False]]
    """

    def __init__(self, **kwargs):
        # It passes values on: rounding them is for the layer that computes with them.
        super().__init__(autocast=False, **kwargs)

    def call(self, x):
        # A new tensor: on the same one, Keras would find the caller's mask and mark the caller's tensor.
        return keras.ops.copy(x)

    def compute_mask(self, x, previous_mask=None):
        mask = ops.trailing_mask(x)
        return mask if previous_mask is None else keras.ops.logical_and(mask, previous_mask)
