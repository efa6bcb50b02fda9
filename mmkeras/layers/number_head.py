"""How much."""

import keras

from mmkeras.layers.head import Head
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class NumberHead(Head):
    """A number, or several, bounded if asked for: `y = w x + b`, or `y = low + (high - low) * sigmoid(w x + b)`.

    Labels are numbers, NaN where they are not known.

    Args:
        dim: how many numbers; None for one, without an axis.
        low: what no answer may be below; None for no bound.
        high: what no answer may be above; None for no bound.

    Call arguments:
        x: tensor (batch, ..., dim).

    Output shape: (batch, ...), or (batch, ..., dim) with `dim`.

    Example:

    >>> np.asarray(NumberHead(low=-3, high=3)(ops.zeros((2, 8)))).tolist()
    [0.0, 0.0]
    """

    def __init__(self, dim=None, *, low=None, high=None, **kwargs):
        super().__init__(**kwargs)
        if dim is not None and dim < 1:
            raise ValueError(f"`dim` must be a positive integer or None. Received: dim={dim}")
        if (low is None) != (high is None) or (low is not None and not low < high):
            raise ValueError(f"Give both bounds, `low` below `high`, or neither. Received: low={low}, high={high}")
        self.dim = dim
        self.low = low
        self.high = high

    def build(self, x_shape):
        self._dense = keras.layers.Dense(self.dim or 1, dtype=self.dtype_policy, name="dense")
        self._dense.build(x_shape)
        pass_trainable_on(self)

    def call(self, x):
        y = self._dense(x)
        if self.low is not None:
            y = self.low + (self.high - self.low) * keras.ops.sigmoid(y)
        return y[..., 0] if self.dim is None else y

    def compute_output_shape(self, x_shape):
        return tuple(x_shape[:-1]) if self.dim is None else (*x_shape[:-1], self.dim)

    def default_loss(self, reduction="sum_over_batch_size"):
        return keras.losses.MeanSquaredError(reduction=reduction)

    def default_metrics(self):
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def known(self, labels):
        there = keras.ops.logical_not(keras.ops.isnan(keras.ops.cast(labels, "float32")))
        return there if self.dim is None else keras.ops.all(there, axis=-1)

    @property
    def start(self):
        return 0.0 if self.low is None else (self.low + self.high) / 2

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "low": self.low, "high": self.high}
