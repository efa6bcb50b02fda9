"""Accuracy where people disagree."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class SoftAccuracy(keras.metrics.Mean):
    """Mean of the share that the targets give to the class that was answered.

    Use it with targets that say how far each class holds, such as `mm.preprocessing.Label(votes=3)` makes of the
    answers of ten people: an answer that three gave is right, one that one gave is worth a third.

    Args:
        name: name of the metric.
        dtype: dtype of its value.

    Example:

    >>> metric = SoftAccuracy()
    >>> metric.update_state(np.array([[1.0, 0.0], [0.3, 1.0]]), np.array([[0.9, 0.1], [0.6, 0.5]]))
    >>> round(float(metric.result()), 2)
    0.65
    """

    def __init__(self, name="soft_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        shares, outputs = keras.ops.convert_to_tensor(y_true), keras.ops.convert_to_tensor(y_pred)
        answered = keras.ops.argmax(outputs, axis=-1)
        found = keras.ops.take_along_axis(shares, answered[..., None], axis=-1)[..., 0]
        return super().update_state(found, sample_weight=sample_weight)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}
