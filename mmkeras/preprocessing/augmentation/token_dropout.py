"""Sentences with words made unknown."""

from typing import ClassVar

from mmkeras.preprocessing.augmentation.augmentation import Augmentation, check_rate, split
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class TokenDropout(Augmentation):
    """Replace tokens by the unknown one, so that a model learns not to lean on any one word.

    Args:
        rate: probability that a token is replaced, each on its own.
        unknown: id put in its place.
        keep: ids that are never replaced: padding, start and end.

    Call arguments:
        batch: integer tensor (batch, time) or (batch, group, time).
        seed: int32 tensor (2,).

    Example:

    >>> TokenDropout(1.0)(np.array([[2, 7, 9, 3, 0]], "int32"), seed=(1, 2)).numpy().tolist()
    [[2, 1, 1, 3, 0]]
    """

    forms: ClassVar[dict[int, str]] = {2: "(batch, time) of whole numbers", 3: "(batch, group, time) of them"}

    def __init__(self, rate=0.1, unknown=1, keep=(0, 2, 3)):
        check_rate("rate", rate)
        self.rate = rate
        self.unknown = unknown
        self.keep = tuple(keep)

    def _takes(self, dtype):
        return dtype.is_integer

    def _augment(self, batch, seed):
        tf = require_tensorflow("TokenDropout")
        replaced = tf.random.stateless_uniform(tf.shape(batch), next(split(seed, 1))) < self.rate
        for token in self.keep:
            replaced &= batch != token
        return tf.where(replaced, tf.cast(self.unknown, batch.dtype), batch)

    def get_config(self):
        return {"rate": self.rate, "unknown": self.unknown, "keep": list(self.keep)}
