"""Feature-wise modulation: one modality tells the other what matters."""

import keras

from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class FiLM(keras.layers.Layer):
    """Scale and shift the channels of one representation as another one says.

    `y = (1 + W_s c + b_s) * x + (W_t c + b_t)`, the same scale and shift for all tokens, pixels or steps of a sample.
    Put it behind a normalisation and before an activation: then it can switch channels on and off.

    Use it where a question decides what is looked for, at any depth of a network. Padding stays padding. A `condition`
    of zeros changes x only by the biases, which start at zero.

    Call arguments:
        x: tensor (batch, ..., dim): tokens, feature maps or a vector.
        condition: tensor (batch, any size).
        x_mask: boolean tensor, filled in by Keras; passed on.

    Output shape: that of x.

    Example:

    >>> tuple(FiLM()(ops.ones((2, 7, 7, 8)), ops.ones((2, 5))).shape)
    (2, 7, 7, 8)

    References:
        Perez et al. 2018, FiLM: Visual Reasoning with a General Conditioning Layer.
    """

    def build(self, x_shape, condition_shape):
        if len(condition_shape) != 2 or len(x_shape) < 2:
            raise ValueError(
                "FiLM modulates x (batch, ..., dim) by one vector per sample, condition (batch, dim). "
                f"Received: x of shape {x_shape}, condition of shape {condition_shape}"
            )
        self._modulation = keras.layers.Dense(2 * x_shape[-1], dtype=self.dtype_policy, name="modulation")
        self._modulation.build(condition_shape)
        pass_trainable_on(self)

    def call(self, x, condition, x_mask=None):
        scale, shift = keras.ops.split(self._modulation(condition), 2, axis=-1)
        shape = (-1, *([1] * (len(x.shape) - 2)), x.shape[-1])
        return (1.0 + keras.ops.reshape(scale, shape)) * x + keras.ops.reshape(shift, shape)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, x_shape, condition_shape=None):
        return x_shape
