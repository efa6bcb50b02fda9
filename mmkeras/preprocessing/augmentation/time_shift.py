"""Sound that comes earlier or later."""

from mmkeras.preprocessing.augmentation.augmentation import (
    AUDIO_FORMS,
    Augmentation,
    check_rate,
    lengths,
    split,
    uniform,
)
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class TimeShift(Augmentation):
    """Shift clips in time, with silence where nothing is left.

    Args:
        share: greatest shift to either side, as a share of the clip's own length.

    Call arguments:
        batch: float tensor (batch, sample), with zeros behind shorter clips, which stay zeros.
        seed: int32 tensor (2,).

    Example:

    >>> clips = np.array([[0.25, 0.5, 0.75, 1.0, 0.0, 0.0]], "float32")
    >>> TimeShift(share=0.5)(clips, seed=(0, 8)).numpy().tolist()
    [[0.0, 0.0, 0.25, 0.5, 0.0, 0.0]]
    """

    forms = AUDIO_FORMS

    def __init__(self, share=0.1):
        check_rate("share", share)
        self.share = share

    def _augment(self, batch, seed):
        tf = require_tensorflow("TimeShift")
        length, valid = lengths(batch)
        most = self.share * tf.cast(length, "float32")
        shift = tf.cast(tf.round(uniform(split(seed, 1), batch, -1.0, 1.0) * most), "int32")
        source = tf.range(tf.shape(batch)[1]) - shift[:, tf.newaxis]
        inside = valid & (source >= 0) & (source < length[:, tf.newaxis])
        return tf.where(inside, tf.gather(batch, tf.where(inside, source, 0), batch_dims=1), 0)

    def get_config(self):
        return {"share": self.share}
