"""Probabilities of classes that have an order."""

import itertools
import math

import keras

from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class Ordinal(keras.layers.Layer):
    """Place a sample on one scale, and read the probabilities of ordered classes off it.

    `s = w x`, `P(y > k) = sigmoid(s - t_k)` with thresholds `t_0 < t_1 < ...` that are learned, and
    `P(y = k) = P(y > k - 1) - P(y > k)`: the proportional odds model. A class next to the true one is less wrong than
    one far away, and few samples are enough, as all classes share w.

    It takes the place of a dense layer with softmax and is trained by the same cross-entropy.

    Args:
        units: number of classes, at least 2, from the lowest to the highest.

    Call arguments:
        x: tensor (batch, ..., dim).

    Output shape: (batch, ..., units), probabilities.

    Example:

    >>> p = Ordinal(3)(ops.zeros((1, 4)))
    >>> np.round(np.asarray(p).astype(float), 3).tolist()
    [[0.333, 0.333, 0.333]]

    References:
        McCullagh 1980, Regression Models for Ordinal Data.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if units < 2:
            raise ValueError(f"`units` must be an integer of at least 2. Received: units={units}")
        self.units = units

    def build(self, x_shape):
        self._score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self._score.build(x_shape)
        # At the start all classes are equally likely where the score is 0.
        cuts = [math.log(k / (self.units - k)) for k in range(1, self.units)]
        gaps = [math.log(math.expm1(high - low)) for low, high in itertools.pairwise(cuts)]
        self._first = self._thresholds("first", cuts[:1])
        self._gaps = self._thresholds("gaps", gaps) if gaps else None
        pass_trainable_on(self)

    def call(self, x):
        score = keras.ops.cast(self._score(x), "float32")  # (batch, ..., 1)
        cuts = keras.ops.convert_to_tensor(self._first)
        if self._gaps is not None:
            steps = keras.ops.softplus(keras.ops.convert_to_tensor(self._gaps))
            cuts = keras.ops.concatenate([cuts, cuts + keras.ops.cumsum(steps)])
        above = score - cuts  # P(y > k) = sigmoid(above), falling in k
        higher, lower = above[..., :-1], above[..., 1:]
        # sigmoid(a) - sigmoid(b) as a product, which does not round to zero where both are near 1.
        between = keras.ops.sigmoid(higher) * keras.ops.sigmoid(-lower) * (1.0 - keras.ops.exp(lower - higher))
        ends = keras.ops.sigmoid(-above[..., :1]), keras.ops.sigmoid(above[..., -1:])
        return keras.ops.cast(keras.ops.concatenate([ends[0], between, ends[1]], axis=-1), self.compute_dtype)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def _thresholds(self, name, values):
        return self.add_weight(
            shape=(len(values),), initializer=_Given(values), dtype="float32", autocast=False, name=name
        )


class _Given(keras.initializers.Initializer):
    """These values."""

    def __init__(self, values):
        self.values = values

    def __call__(self, shape, dtype=None):
        return keras.ops.convert_to_tensor(self.values, dtype=dtype)
