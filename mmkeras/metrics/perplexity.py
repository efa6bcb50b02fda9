"""Among how many words the model hesitates."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class Perplexity(keras.metrics.Metric):
    """`exp(mean of -log p(word))` over all words that count: 1 knows every word, the size of the vocabulary none.

    Args:
        name: name of the metric.
        dtype: dtype of the result.

    Example:

    >>> metric = Perplexity()
    >>> metric.update_state(ops.array([[1, 0]]), ops.zeros((1, 2, 4)))
    >>> round(float(metric.result()), 4)
    4.0
    """

    def __init__(self, name="perplexity", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._total = self.add_variable((), initializer="zeros", name="total")
        self._count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count words.

        Args:
            y_true: integer tensor (..., time).
            y_pred: logits (..., time, vocabulary).
            sample_weight: weights of the words, or None.
        """
        surprise = ops.sparse_categorical_crossentropy(ops.cast(y_true, "int32"), y_pred, from_logits=True)
        weight = ops.ones_like(surprise)
        if sample_weight is not None:
            # The weight of a sample is that of each of its words.
            given = ops.cast(sample_weight, surprise.dtype)
            weight = weight * ops.reshape(given, (*ops.shape(given), *[1] * (len(surprise.shape) - len(given.shape))))
        self._total.assign_add(ops.cast(ops.sum(surprise * weight), self._total.dtype))
        self._count.assign_add(ops.cast(ops.sum(weight), self._count.dtype))

    def result(self):
        """Return the perplexity, 1 where no word was seen."""
        return ops.exp(self._total / ops.maximum(self._count, 1e-9))
