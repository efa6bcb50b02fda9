"""Gradient reversal: train what comes before to defeat what comes after."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class GradientReversal(keras.layers.Layer):
    """Pass values on unchanged and gradients back reversed: `y = x`, `dx = -strength * dy`.

    What stands after it learns its task; what stands before it learns to make that task impossible.

    Args:
        strength: factor of the reversed gradient; 0 stops it.

    Call arguments:
        x: floating-point tensor of any shape.

    Output shape: that of the input.

    Example:

    >>> np.asarray(GradientReversal()(ops.array([1.0, -2.0]))).tolist()
    [1.0, -2.0]

    References:
        Ganin and Lempitsky 2015, Unsupervised Domain Adaptation by Backpropagation.
    """

    def __init__(self, strength=1.0, **kwargs):
        super().__init__(**kwargs)
        if strength < 0:
            raise ValueError(f"`strength` must not be negative. Received: strength={strength}")
        self.strength = strength

    def call(self, x):
        value = ops.stop_gradient(x)
        # The second term is exactly zero, and carries the gradient.
        return value + self.strength * (value - x)

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        return {**super().get_config(), "strength": self.strength}
