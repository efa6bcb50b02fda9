"""What to answer to nothing."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class OrPrior(keras.layers.Layer):
    """Answer with the mean of all targets seen in training where no modality is present.

    Of classes that is how frequent each one was, the honest answer to nothing. `learn` counts targets, a task does it
    as it trains. In training itself answers pass as they are.

    Args:
        start: the answer before any target was seen.

    Call arguments:
        inputs: list of the answers (batch, ...) and presence flags, boolean (batch,).

    Output shape: that of the answers.

    Example:

    >>> layer = OrPrior(start=0.5)
    >>> answers, present = ops.ones((2, 3)), ops.array([True, False])
    >>> np.asarray(layer([answers, present])).tolist()
    [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
    """

    def __init__(self, start=0.0, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.start = start

    def build(self, inputs_shape):
        self._axes = len(inputs_shape[0]) > 1
        size = inputs_shape[0][-1:] if self._axes else ()
        self._mean = self._counted("mean", size, self.start)
        self._count = self._counted("count", (), 0.0)

    def call(self, inputs, training=None):
        answers, *flags = inputs
        if training:
            return answers
        there = keras.ops.any(keras.ops.stack([keras.ops.cast(flag, "bool") for flag in flags], axis=1), axis=1)
        mean = keras.ops.cast(keras.ops.convert_to_tensor(self._mean), answers.dtype)
        return keras.ops.where(ops.broadcast_flag(there, answers), answers, mean)

    def learn(self, targets, weights):
        """Count targets, shaped like answers, by weights (batch,), or (batch, time)."""
        weights = keras.ops.cast(weights, "float32")
        wide = keras.ops.reshape(weights, (*keras.ops.shape(weights), *[1] * (len(targets.shape) - len(weights.shape))))
        axes = tuple(range(len(targets.shape) - self._axes))
        total, seen = keras.ops.sum(keras.ops.cast(targets, "float32") * wide, axis=axes), keras.ops.sum(weights)
        before = keras.ops.convert_to_tensor(self._count)
        after = before + seen
        mean = keras.ops.convert_to_tensor(self._mean)
        moved = (mean * before + total) / keras.ops.maximum(after, 1e-6)
        self._mean.assign(keras.ops.where(after > 0, moved, mean))
        self._count.assign(after)

    def compute_mask(self, inputs, previous_mask=None):
        return None if previous_mask is None else previous_mask[0]

    def compute_output_shape(self, inputs_shape):
        return inputs_shape[0]

    def get_config(self):
        return {**super().get_config(), "start": self.start}

    def _counted(self, name, shape, start):
        return self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(start),
            trainable=False,
            autocast=False,
            aggregation="mean",
            name=name,
        )
