"""Sound without the quiet around it."""

from mmkeras.preprocessing.augmentation.augmentation import AUDIO_FORMS, Augmentation, check_rate, split, uniform
from mmkeras.preprocessing.augmentation.waveforms import tensorflow_io_audio
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class Trim(Augmentation):
    """Cut the quiet before and after the sound of clips, which then begin at once; zeros fill up behind.

    Args:
        decibels: what lies this far below a clip's peak, or further, is quiet.
        rate: probability that a clip is trimmed.

    Call arguments:
        batch: float tensor (batch, sample), with zeros behind shorter clips.
        seed: int32 tensor (2,).

    Example:

    >>> clips = np.array([[0.001, 0.0, -0.5, 0.25, 0.002, 0.0]], "float32")
    >>> Trim(rate=1.0)(clips, seed=(1, 2)).numpy().tolist()
    [[-0.5, 0.25, 0.0, 0.0, 0.0, 0.0]]
    """

    forms = AUDIO_FORMS

    def __init__(self, decibels=40.0, rate=0.5):
        if not decibels > 0:
            raise ValueError(f"`decibels` must be a positive distance from the peak. Received: decibels={decibels!r}")
        check_rate("rate", rate)
        self.decibels = decibels
        self.rate = rate

    def _augment(self, batch, seed):
        tf = require_tensorflow("Trim")
        # The operation sees positive values only.
        loudness = tf.abs(batch)
        quiet = tf.reduce_max(loudness, axis=1, keepdims=True) * 10 ** (-self.decibels / 20)
        ends = tf.cast(tensorflow_io_audio().trim(loudness, axis=1, epsilon=quiet), "int32")
        start, stop = ends[:, :1], ends[:, 1:]
        source = tf.range(tf.shape(batch)[1]) + start
        inside = source < stop
        trimmed = tf.where(inside, tf.gather(batch, tf.where(inside, source, 0), batch_dims=1), 0)
        return tf.where(uniform(split(seed, 1), batch)[:, tf.newaxis] < self.rate, trimmed, batch)

    def get_config(self):
        return {"decibels": self.decibels, "rate": self.rate}
