"""How surprising the next word is."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class WordCrossEntropy(keras.losses.Loss):
    """Cross-entropy of words given by their ids, with label smoothing.

    `loss = (1 - s) * -log p(word) + s * mean over the vocabulary of -log p`, from logits. No one-hot targets exist, so
    smoothing costs no memory where `keras.losses.CategoricalCrossentropy` would. Tasks that say sentences take it by
    default and give padding the weight 0.

    Args:
        label_smoothing: s, from 0 up to 1.
        reduction: as in every Keras loss; the default is the mean over words that count.
        name: name of the loss.
        dtype: dtype of the computation, as in every Keras loss.

    Call arguments:
        y_true: integer tensor (..., time).
        y_pred: logits (..., time, vocabulary).

    Example:

    >>> float(WordCrossEntropy()(ops.array([[1]]), ops.array([[[0.0, 0.0]]])))
    0.6931471824645996

    References:
        Szegedy et al. 2016, Rethinking the Inception Architecture.
    """

    def __init__(
        self, label_smoothing=0.0, *, reduction="mean_with_sample_weight", name="word_cross_entropy", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must lie in [0, 1). Received: label_smoothing={label_smoothing}")
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        if not self.label_smoothing:
            return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        word = ops.take_along_axis(y_pred, y_true[..., None], axis=-1)[..., 0]
        others = ops.mean(y_pred, axis=-1)
        return ops.logsumexp(y_pred, axis=-1) - (1.0 - self.label_smoothing) * word - self.label_smoothing * others

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
