"""Weights of losses that change as training goes on."""

from collections.abc import Callable, Mapping
from typing import final

import keras

from mmkeras.models.multi_task import MultiTask


@final
class LossWeightSchedule(keras.callbacks.Callback):
    """Change how much the losses of a `MultiTask` count, epoch by epoch.

    ```python
    later = mm.training.LossWeightSchedule({"strength": lambda epoch: min(1.0, epoch / 5)})
    task.fit(batches, epochs=20, callbacks=[later])
    ```

    The logs hold the weights as `weight_<name>`.

    Args:
        schedule: dict of functions from the epoch, counted from 0, to the weight, by the name of the head; heads
            without one keep theirs.

    Example:

    >>> LossWeightSchedule({"strength": lambda epoch: 0.5**epoch}).weights(2)
    {'strength': 0.25}
    """

    def __init__(self, schedule: Mapping[str, Callable[[int], float]]):
        super().__init__()
        if not isinstance(schedule, Mapping) or not all(callable(weight) for weight in schedule.values()):
            raise ValueError(
                "`schedule` must be a dict of functions of the epoch by the name of the head. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = dict(schedule)

    def weights(self, epoch: int) -> dict[str, float]:
        """The scheduled weights of an epoch."""
        return {name: float(weight(epoch)) for name, weight in self.schedule.items()}

    def on_epoch_begin(self, epoch, logs=None):
        if not isinstance(self.model, MultiTask):
            raise ValueError(f"LossWeightSchedule is for a MultiTask. Received: {type(self.model).__name__}")
        self.model.assign_loss_weights(self.weights(epoch))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update({f"weight_{name}": value for name, value in self.weights(epoch).items()})
