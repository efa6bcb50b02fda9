"""How many of its own words a decoder reads, as training goes on."""

from collections.abc import Callable
from typing import final

import keras

from mmkeras.models import SentenceTask


@final
class SamplingRateSchedule(keras.callbacks.Callback):
    """Change the share of its own words that a captioner or translator reads, epoch by epoch (scheduled sampling).

    Early on its own words are noise; later they are what it will read when it speaks. The task needs a
    `sampling_rate=` above 0, which the schedule replaces:

    ```python
    task = mm.models.ImageCaptioner(encoder, sampling_rate=0.25, preprocessor=pre)
    more = mm.training.SamplingRateSchedule(lambda epoch: min(0.25, 0.05 * epoch))
    task.fit(batches, epochs=20, callbacks=[more])
    ```

    The logs hold it as `sampling_rate`.

    Args:
        schedule: function from the epoch, counted from 0, to the probability.

    Example:

    >>> SamplingRateSchedule(lambda epoch: 0.1 * epoch).rate(2)
    0.2

    References:
        Bengio et al. 2015, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks.
    """

    def __init__(self, schedule: Callable[[int], float]):
        super().__init__()
        if not callable(schedule):
            raise ValueError(f"`schedule` must be a function of the epoch. Received: schedule={schedule!r}")
        self.schedule = schedule

    def rate(self, epoch: int) -> float:
        """The scheduled rate of an epoch."""
        return float(self.schedule(epoch))

    def on_epoch_begin(self, epoch, logs=None):
        if not isinstance(self.model, SentenceTask):
            raise ValueError(
                f"SamplingRateSchedule is for tasks that say sentences. Received: {type(self.model).__name__}"
            )
        self.model.assign_sampling_rate(self.rate(epoch))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["sampling_rate"] = self.rate(epoch)
