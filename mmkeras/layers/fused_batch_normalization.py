"""Batch normalisation that trains at the speed of its kernel."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` for pictures, with all its arguments, in one kernel on TensorFlow.

    Keras puts the layer together from moments and arithmetic in float32, which on two cores takes twice as long
    (`benchmarks/layers.py`). The numbers, the weights and the inference are the same. What the kernel does not know
    (other ranks and axes, masks, `renorm`, `synchronized`, no scale or offset) goes the way of Keras.

    Call arguments:
        inputs: tensor (batch, height, width, channels).

    Output shape: that of the input.

    Example:

    >>> y = FusedBatchNormalization()(ops.array([[[[1.0]], [[3.0]]]]), training=True)
    >>> np.round(np.asarray(y).astype(float).ravel(), 2).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs, training=None, mask=None):
        plain = self.scale and self.center and not self.renorm and not self.synchronized and self.epsilon >= 1e-5
        pictures = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        if not (training and self.trainable and plain and pictures):
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = (keras.ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        outputs, mean, variance = ops.normalize_batch(inputs, gamma, beta, self.epsilon)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            batch = keras.ops.cast(batch, moving.dtype)
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return keras.ops.cast(outputs, self.compute_dtype)
