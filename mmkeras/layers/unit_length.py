"""Vectors on the unit sphere."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class UnitLength(keras.layers.Layer):
    """Scale vectors to length one, so that their dot product is their cosine.

    `y = x / ||x||`, at any scale of x. A vector of (nearly) zero stays zero and gets no gradient, where
    `keras.layers.UnitNormalization` would give it one that drowns the rest of the batch.

    Call arguments:
        x: tensor (batch, ..., dim).

    Output shape: that of the input.

    Example:

    >>> np.round(np.asarray(UnitLength()(ops.array([[3.0, 4.0], [0.0, 0.0]]))).astype(float), 6).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def call(self, x):
        return ops.directions(x)

    def compute_output_shape(self, x_shape):
        return x_shape
