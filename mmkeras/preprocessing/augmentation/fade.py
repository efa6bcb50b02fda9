"""Sound that swells at its beginning and dies away at its end."""

from mmkeras.preprocessing.augmentation.augmentation import AUDIO_FORMS, Augmentation, check_range, split, uniform
from mmkeras.preprocessing.augmentation.augmentation import lengths as lengths_of
from mmkeras.preprocessing.augmentation.waveforms import tensorflow_io_audio
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered

_SHAPES = ("linear", "logarithmic", "exponential")


@registered
class Fade(Augmentation):
    """Fade clips in and out, over lengths drawn for each.

    Args:
        share: (low, high) of each fade's length, as a share of the clip's own length.
        shape: `"linear"`, `"logarithmic"` or `"exponential"`.

    Call arguments:
        batch: float tensor (batch, sample), with zeros behind shorter clips, which stay zeros.
        seed: int32 tensor (2,).

    Example:

    >>> clips = np.ones((1, 5), "float32")
    >>> Fade(share=(0.6, 0.6))(clips, seed=(1, 2)).numpy().tolist()
    [[0.0, 0.5, 1.0, 0.5, 0.0]]
    """

    forms = AUDIO_FORMS

    def __init__(self, share=(0.0, 0.1), shape="linear"):
        if shape not in _SHAPES:
            raise ValueError(f"`shape` must be one of {_SHAPES}. Received: shape={shape!r}")
        self.share = check_range("share", share, 0.0, 1.0)
        self.shape = shape

    def _augment(self, batch, seed):
        tf = require_tensorflow("Fade")
        fade = tensorflow_io_audio().fade
        seeds = split(seed, 2)
        lengths, _ = lengths_of(batch)

        def drawn():
            share = uniform(seeds, batch, *self.share)
            return tf.cast(tf.round(share * tf.cast(lengths, "float32")), "int32")

        def one(arguments):
            clip, length, fade_in, fade_out = arguments
            sound = fade(tf.cast(clip[:length], "float32"), fade_in, fade_out, self.shape)
            return tf.pad(sound, [[0, tf.shape(clip)[0] - length]])

        # The operation takes one clip at a time: its first axis is time.
        return tf.map_fn(one, (batch, lengths, drawn(), drawn()), fn_output_signature="float32")

    def get_config(self):
        return {"share": list(self.share), "shape": self.shape}
