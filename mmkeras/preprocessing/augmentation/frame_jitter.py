"""Clips that begin a little earlier or later, and stutter."""

from typing import ClassVar

from mmkeras.preprocessing.augmentation.augmentation import Augmentation, check_rate, lengths, split, uniform
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class FrameJitter(Augmentation):
    """Shift the frames of clips in time and repeat some in place of the next.

    A shift moves all frames of a clip by up to `shift` places; the first or last is repeated to fill the gap. A frame
    that is dropped shows the one before it. The length of a clip and its padding stay as they are.

    Args:
        shift: greatest number of places.
        drop_rate: probability that a frame is dropped, each on its own.

    Call arguments:
        batch: float tensor (batch, frame, height, width, 3), or features (batch, time, dim).
        seed: int32 tensor (2,).

    Example:

    >>> frames = np.arange(1, 6, dtype="float32").reshape(1, 5, 1, 1, 1)
    >>> FrameJitter(shift=0, drop_rate=1.0)(frames, seed=(1, 2)).numpy().ravel().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    forms: ClassVar[dict[int, str]] = {3: "(batch, time, dim)", 5: "(batch, frame, height, width, 3)"}

    def __init__(self, shift=2, drop_rate=0.1):
        if not isinstance(shift, int) or shift < 0:
            raise ValueError(f"`shift` must be a whole number of frames, 0 or more. Received: shift={shift!r}")
        check_rate("drop_rate", drop_rate)
        self.shift = shift
        self.drop_rate = drop_rate

    def _augment(self, batch, seed):
        tf = require_tensorflow("FrameJitter")
        seeds = split(seed, 2)
        length, valid = lengths(batch)
        num_frames = tf.shape(batch)[1]
        places = tf.range(num_frames)
        moved = tf.cast(tf.floor(uniform(seeds, batch, -self.shift, self.shift + 1.0)), "int32")
        source = tf.clip_by_value(places + moved[:, tf.newaxis], 0, tf.maximum(length - 1, 0)[:, tf.newaxis])
        kept = uniform(seeds, batch, shape=(num_frames,)) >= self.drop_rate
        # For each place the last one up to it that is kept: (batch, place, earlier place).
        earlier = kept[:, tf.newaxis, :] & (places <= places[:, tf.newaxis])
        shown = tf.reduce_max(tf.where(earlier, places, 0), axis=2)
        source = tf.where(valid, tf.gather(source, shown, batch_dims=1), places)
        return tf.gather(batch, source, batch_dims=1)

    def get_config(self):
        return {"shift": self.shift, "drop_rate": self.drop_rate}
