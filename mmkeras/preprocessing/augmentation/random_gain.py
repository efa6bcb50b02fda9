"""Sound that is louder or softer."""

from mmkeras.preprocessing.augmentation.augmentation import AUDIO_FORMS, Augmentation, check_range, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class RandomGain(Augmentation):
    """Make clips louder or softer, but none so loud that it would be clipped.

    Args:
        decibels: (low, high) of the change.

    Call arguments:
        batch: float tensor (batch, sample) in -1..1.
        seed: int32 tensor (2,).

    Example:

    >>> clips = np.array([[0.1, -0.1], [0.8, 0.4]], "float32")
    >>> RandomGain(decibels=(20, 20))(clips, seed=(1, 2)).numpy().round(3).tolist()
    [[1.0, -1.0], [1.0, 0.5]]
    """

    forms = AUDIO_FORMS

    def __init__(self, decibels=(-6.0, 6.0)):
        self.decibels = check_range("decibels", decibels)

    def _augment(self, batch, seed):
        tf = require_tensorflow("RandomGain")
        gain = 10 ** (tf.cast(uniform(split(seed, 1), batch, *self.decibels), batch.dtype)[:, tf.newaxis] / 20)
        peak = tf.reduce_max(tf.abs(batch), axis=1, keepdims=True)
        # A clip that is above 1 already is at least not made louder.
        room = tf.maximum(tf.math.divide_no_nan(tf.ones_like(peak), peak), 1)
        return batch * tf.where(peak > 0, tf.minimum(gain, room), 1)

    def get_config(self):
        return {"decibels": list(self.decibels)}
