"""The base of what stands at the end of a task."""

import keras


class Head(keras.layers.Layer):
    """Base of the heads: from what a task made of a sample to an answer, and what that answer is compared with.

    Use `ClassHead` or `NumberHead`, or subclass it for an answer of your own. Heads compute in float32, also under
    mixed precision: that is what a server should answer with.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    @property
    def label_range(self):
        """Lowest and highest label that can be learned, None where any number can."""
        return None

    def default_loss(self, reduction="sum_over_batch_size"):
        """Return the loss of `compile()`.

        Args:
            reduction: Keras' own, or `"mean_with_sample_weight"` where samples or steps of weight 0 stand for nothing
                at all, such as padding.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `default_loss`.")

    def default_metrics(self):
        """Return the list of metrics of `compile()`."""
        return []

    def known(self, labels):
        """Say which labels are there: a boolean tensor (batch,) or (batch, time).

        Args:
            labels: tensor of labels, as the loss takes them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `known`.")

    def as_outputs(self, labels):
        """Labels in the form of outputs, such as zeros and a one for the number of a class."""
        return labels

    @property
    def start(self):
        """What to answer before anything was learned: a number that stands for all of an output."""
        return 0.0

    def answers(self, outputs):
        """Turn outputs (batch, ...) into a list of plain Python answers."""
        return outputs.tolist()

    def reply(self):
        """Say how outputs are put in words where a task is served, as plain data (see `mm.models.Endpoint`)."""
        return {"kind": "numbers"}

    def compute_mask(self, x, previous_mask=None):
        return previous_mask
