"""A learning rate for each part of a task."""

from typing import final

import keras

from mmkeras.training.step import Step, scaled_update, weights_of_encoders
from mmkeras.training.transfer import stages


@final
@keras.saving.register_keras_serializable(package="mmkeras")
class LearningRates(Step):
    """Let encoders learn more slowly than what is new, and their first stages more slowly than their last.

    `rate of a weight = rate of the optimizer * rates[modality] * decay^(stages behind it in its encoder)`: what a
    pretrained encoder knows in general, in its first stages, changes least. Fusion and heads learn at the optimizer's
    own rate. It works with any optimizer, as each weight goes that part of the way the optimizer sends it.

    ```python
    mm.training.unfreeze(task.encoders["image"])
    task.compile(keras.optimizers.AdamW(1e-3), step=mm.training.LearningRates({"image": 0.1}, decay=0.7))
    ```

    Args:
        rates: dict of factors by modality, 1 where there is none.
        decay: factor from each stage of an encoder (`mm.training.stages`) to the one before it.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((4,), 8)}, classes=2)
    >>> task.compile(step=mm.training.LearningRates({"features": 0.1}))
    >>> history = task.fit({"features": np.ones((4, 4))}, np.ones(4), verbose=0)

    References:
        Howard and Ruder 2018, Universal Language Model Fine-tuning for Text Classification.
    """

    def __init__(self, rates: dict | None = None, *, decay: float = 1.0):
        self.rates = dict(rates or {})
        wrong = {name: rate for name, rate in {**self.rates, "decay": decay}.items() if not rate >= 0}
        if wrong:
            raise ValueError(f"Rates are numbers from 0 on. Received: {wrong}")
        self.decay = decay

    def train(self, task, inner, *arguments):
        return scaled_update(task, inner, arguments, self.factors(task))

    def factors(self, task) -> list:
        """Factor of each trainable variable of a task, None for 1."""
        unknown = sorted(set(self.rates) - set(task.encoders))
        if unknown:
            raise ValueError(f"`rates` are for the modalities {sorted(task.encoders)}. Received: {unknown}")
        by_weight = {}
        for name, own in weights_of_encoders(task).items():
            for depth, layers in enumerate(reversed(stages(task.encoders[name]))):
                factor = self.rates.get(name, 1.0) * self.decay**depth
                by_weight |= {id(v): factor for layer in layers for v in layer.trainable_variables if id(v) in own}
        factors = [by_weight.get(id(variable), 1.0) for variable in task.trainable_variables]
        return [None if factor == 1.0 else factor for factor in factors]

    def get_config(self) -> dict:
        return {"rates": self.rates, "decay": self.decay}
