"""How much each of several losses counts."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class LossWeights(keras.layers.Layer):
    """Join losses to one: `L = sum w_i L_i`, the weights given, changed while training runs, or learned.

    Learned, a loss counts by how noisy it turns out to be: `L = sum w_i (L_i / s_i^2 + log(1 + s_i^2))`. A large loss
    that does not fall is taken less seriously, and the second term keeps `s_i` from growing for nothing.

    Args:
        initial: dict of numbers by the name of the loss.
        learned: whether `s_i` is learned, from 1 on.

    Call arguments:
        losses: dict of scalars, some or all of those that have a weight.

    Output shape: ().

    Example:

    >>> float(LossWeights({"label": 1.0, "age": 0.5})({"label": ops.array(2.0), "age": ops.array(4.0)}))
    4.0

    References:
        Kendall et al. 2018, Multi-Task Learning Using Uncertainty to Weigh Losses; the second term is that of
        Liebel and Körner 2018, Auxiliary Tasks in Multi-task Learning.
    """

    def __init__(self, initial, *, learned=False, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.initial = dict(initial)
        self.learned = learned
        self._given = {name: self._scalar(name, 1.0, False) for name in initial}
        self._noise = {name: self._scalar(f"{name}_log_variance", 0.0, True) for name in initial} if learned else None
        self.assign(initial)
        self.built = True

    def call(self, losses):
        total = 0.0
        for name, loss in losses.items():
            if self._noise is not None:
                log_variance = keras.ops.convert_to_tensor(self._noise[name])
                loss = loss * keras.ops.exp(-log_variance) + keras.ops.softplus(log_variance)
            total = total + keras.ops.convert_to_tensor(self._given[name]) * loss
        return total

    def assign(self, weights):
        """Change weights: a dict of numbers by the name of the loss."""
        unknown = sorted(set(weights) - set(self._given))
        wrong = {name: value for name, value in weights.items() if not value >= 0}
        if unknown or wrong:
            raise ValueError(
                f"Weights of losses are numbers from 0 on, for {sorted(self._given)}. Received: {unknown or wrong}"
            )
        for name, value in weights.items():
            self._given[name].assign(value)

    def values(self):
        """How much each loss counts now, as a dict of numbers."""
        values = {}
        for name, given in self._given.items():
            learned = 1.0 if self._noise is None else float(keras.ops.exp(-self._noise[name].value))
            values[name] = float(given.value) * learned
        return values

    def get_config(self):
        return {**super().get_config(), "initial": self.initial, "learned": self.learned}

    def _scalar(self, name, value, trainable):
        return self.add_weight(
            shape=(), initializer=keras.initializers.Constant(value), trainable=trainable, autocast=False, name=name
        )
