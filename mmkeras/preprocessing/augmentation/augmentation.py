"""What every augmentation of the pipeline is."""

from typing import ClassVar

from mmkeras.preprocessing.part import Configured, require_tensorflow


class Augmentation(Configured):
    """Base of the augmentations: a batch of prepared tensors in, a changed one out, of the same shape
    unless `output_shape` says otherwise.

    They run inside tf.data, whatever backend Keras has, and on training data only: a model that holds none of them
    cannot run one by mistake. Each row of a batch has draws of its own, and equal seeds give equal batches.

    Attributes of a subclass:
        forms: the shapes it takes, by rank, in words.

    Call arguments:
        batch: tensor, or a dict of them.
        seed: int32 tensor (2,), as for `tf.random.stateless_uniform`.
    """

    forms: ClassVar[dict[int, str]] = {}

    def __call__(self, batch, seed):
        tf = require_tensorflow(type(self).__name__)
        batch = tf.convert_to_tensor(batch)
        if batch.shape.rank not in self.forms or not self._takes(batch.dtype):
            expected = " or ".join(self.forms.values())
            raise ValueError(
                f"{type(self).__name__} takes a batch {expected}. Received: shape {batch.shape}, dtype "
                f"{batch.dtype.name}"
            )
        changed = self._augment(batch, tf.convert_to_tensor(seed, "int32"))
        return tf.ensure_shape(tf.cast(changed, batch.dtype), self.output_shape(batch.shape))

    def output_shape(self, shape):
        """The shape of what comes out for a batch of some shape."""
        return shape

    def _takes(self, dtype):
        return dtype.is_floating

    def _augment(self, batch, seed):
        raise NotImplementedError


IMAGE_FORMS = {4: "(batch, height, width, 3)", 5: "(batch, frame, height, width, 3)"}
AUDIO_FORMS = {2: "(batch, sample)"}


def check_rate(name, value):
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a probability from 0 to 1. Received: {name}={value!r}")


def check_range(name, value, lowest=float("-inf"), highest=float("inf")):
    """A pair (low, high) as a tuple, refused where it is none or leaves what makes sense."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not lowest <= value[0] <= value[1] <= highest:
        limits = f" within {lowest}..{highest}" if lowest > float("-inf") else ""
        raise ValueError(f"`{name}` must be a pair (low, high){limits}. Received: {name}={value!r}")
    return tuple(value)


def uniform(seeds, batch, low=0.0, high=1.0, shape=()):
    """A uniform draw (batch, *shape) for each row of a batch, from the next of an iterator of seeds."""
    tf = require_tensorflow("Augmentation")
    return tf.random.stateless_uniform((tf.shape(batch)[0], *shape), next(seeds), low, high)


def split(seed, count):
    """Iterator over `count` seeds made of one."""
    tf = require_tensorflow("Augmentation")
    return iter(tf.unstack(tf.random.split(seed, count)))


def rows(values, batch):
    """Values (batch,) shaped to broadcast against the whole batch."""
    tf = require_tensorflow("Augmentation")
    return tf.reshape(values, (-1, *[1] * (batch.shape.rank - 1)))


def lengths(batch):
    """Number of steps (batch,) before the trailing zeros of each row, and which steps (batch, time) these are."""
    tf = require_tensorflow("Augmentation")
    filled = batch != 0
    if batch.shape.rank > 2:
        filled = tf.reduce_any(filled, axis=list(range(2, batch.shape.rank)))
    steps = tf.range(tf.shape(batch)[1])
    found = tf.reduce_max(tf.where(filled, steps + 1, 0), axis=1)
    return found, steps < found[:, tf.newaxis]
