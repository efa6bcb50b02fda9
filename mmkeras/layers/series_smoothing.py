"""What stands around a step, by a fixed average."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class SeriesSmoothing(keras.layers.Layer):
    """Mix each step of a series with its neighbours and with the whole series, by fixed shares.

    `h_t = (x_t + near * sum_s k(t - s) x_s + whole * mean(x)) / (1 + near + whole)`, where `k(d)` falls as
    `exp(-|d| / width)`, is 0 at d = 0 and sums to one over the steps that there are.

    Use it as the `context` of a `SequenceTagger` where neighbours agree and series are too few for a recurrent layer
    to learn how far, or where features were fitted to the training labels: such features need no neighbours in
    training, so that nothing could be learned about those. It has no weights.

    Args:
        near: how much the neighbours count together, beside 1 for the step itself.
        whole: how much the mean of the series counts.
        width: after how many steps the weight of a neighbour has fallen to 37 %.

    Call arguments:
        x: tensor (batch, time, dim).
        mask: boolean tensor (batch, time), filled in by Keras.

    Output shape: the shape of the input; the mask is passed on.

    Example:

    >>> x = ops.array([[[0.0], [4.0], [8.0]]])
    >>> np.asarray(SeriesSmoothing(near=0.0, whole=1.0)(x)).ravel().tolist()
    [2.0, 4.0, 6.0]
    """

    def __init__(self, near=1.0, whole=1.0, *, width=3.0, **kwargs):
        super().__init__(**kwargs)
        if not (near >= 0 and whole >= 0 and width > 0):
            raise ValueError(
                "`near` and `whole` must be numbers from 0 on, and `width` above 0. "
                f"Received: near={near}, whole={whole}, width={width}"
            )
        self.near = near
        self.whole = whole
        self.width = width

    def call(self, x, mask=None):
        dtype = x.dtype
        x = keras.ops.cast(x, "float32")
        there = keras.ops.ones_like(x[..., 0]) if mask is None else keras.ops.cast(mask, "float32")
        steps = keras.ops.cumsum(keras.ops.ones_like(there), axis=1)  # (batch, time)
        distance = keras.ops.abs(steps[:, :, None] - steps[:, None, :])
        weights = keras.ops.exp(-distance / self.width) * keras.ops.cast(distance > 0, "float32") * there[:, None, :]
        weights = weights / keras.ops.maximum(keras.ops.sum(weights, axis=-1, keepdims=True), 1e-9)
        mean = there / keras.ops.maximum(keras.ops.sum(there, axis=1, keepdims=True), 1.0)
        kernel = self.near * weights + self.whole * mean[:, None, :]  # (batch, time, time)
        # A step without neighbours, and without a series, is left as it is.
        share = 1.0 + keras.ops.sum(kernel, axis=-1, keepdims=True)
        # What stands in the padding is multiplied by zero, and must not be infinite.
        x = keras.ops.where(there[..., None] > 0, x, 0.0)
        return keras.ops.cast((x + keras.ops.matmul(kernel, x)) / share, dtype)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        return {**super().get_config(), "near": self.near, "whole": self.whole, "width": self.width}
