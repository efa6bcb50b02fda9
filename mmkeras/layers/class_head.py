"""Which class, which classes, or which grade."""

import numbers

import keras

from mmkeras.layers.head import Head
from mmkeras.layers.ordinal import Ordinal
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class ClassHead(Head):
    """Probabilities of classes: exactly one that holds (softmax), any number of them (sigmoid), or ordered ones.

    Labels are the number of the class, -1 where it is not known; with `multi_label` zeros and ones (or shares between
    them) for each class, NaN where they are not known.

    Args:
        classes: number of classes, or the list of their names.
        multi_label: whether any number of classes may hold at once.
        ordinal: whether the classes, exactly one of which holds, have an order from low to high (`mm.layers.Ordinal`).

    Call arguments:
        x: tensor (batch, ..., dim).

    Output shape: (batch, ..., classes).

    Example:

    >>> head = ClassHead(["cat", "dog"])
    >>> tuple(head(ops.zeros((3, 8))).shape), head.answers(np.array([[0.2, 0.8]]))[0]["label"]
    ((3, 2), 'dog')
    """

    def __init__(self, classes, *, multi_label=False, ordinal=False, **kwargs):
        super().__init__(**kwargs)
        self._num_classes = _num_classes(classes)
        if multi_label and ordinal:
            raise ValueError(
                "Classes that have an order exclude one another: choose `multi_label` or `ordinal`. Received: both"
            )
        self.classes = self._num_classes if isinstance(classes, numbers.Integral) else list(classes)
        self.multi_label = multi_label
        self.ordinal = ordinal

    def build(self, x_shape):
        if self.ordinal:
            self._layer = Ordinal(self._num_classes, dtype=self.dtype_policy, name="ordinal")
        else:
            activation = "sigmoid" if self.multi_label else "softmax"
            self._layer = keras.layers.Dense(
                self._num_classes, activation=activation, dtype=self.dtype_policy, name="dense"
            )
        self._layer.build(x_shape)
        pass_trainable_on(self)

    def call(self, x):
        return self._layer(x)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self._num_classes)

    @property
    def label_range(self):
        return 0, 1 if self.multi_label else self._num_classes - 1

    @property
    def names(self):
        """Names of the classes, their numbers where they have none."""
        return list(range(self.classes)) if isinstance(self.classes, int) else self.classes

    def default_loss(self, reduction="sum_over_batch_size"):
        if self.multi_label:
            return keras.losses.BinaryCrossentropy(reduction=reduction)
        return keras.losses.SparseCategoricalCrossentropy(reduction=reduction)

    def default_metrics(self):
        if self.multi_label:
            return [keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.F1Score("macro", 0.5, name="f1")]
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def known(self, labels):
        if self.multi_label:
            return keras.ops.logical_not(keras.ops.any(keras.ops.isnan(keras.ops.cast(labels, "float32")), axis=-1))
        if self._are_shares(labels):
            return keras.ops.logical_not(keras.ops.any(keras.ops.isnan(labels), axis=-1))
        return labels >= 0

    def as_outputs(self, labels):
        if self.multi_label or self._are_shares(labels):
            return labels
        return keras.ops.one_hot(keras.ops.cast(labels, "int32"), self._num_classes)

    @property
    def start(self):
        return 0.5 if self.multi_label else 1.0 / self._num_classes

    def answers(self, outputs):
        if outputs.ndim > 2:
            return [self.answers(row) for row in outputs]
        answers = []
        for row in outputs:
            by_class = {name: float(value) for name, value in zip(self.names, row, strict=True)}
            if self.multi_label:
                answer = {"labels": [name for name, value in by_class.items() if value >= 0.5]}
            else:
                answer = {"label": max(by_class, key=by_class.get)}
            answers.append({**answer, "probabilities": by_class})
        return answers

    def reply(self):
        return {"kind": "classes" if self.multi_label else "class", "names": [str(name) for name in self.names]}

    def _are_shares(self, labels):
        """Whether labels are ones and zeros already, for a loss of the user's own."""
        float_like = keras.backend.is_float_dtype(keras.backend.standardize_dtype(labels.dtype))
        return float_like and len(labels.shape) > 1 and labels.shape[-1] == self._num_classes

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "multi_label": self.multi_label,
            "ordinal": self.ordinal,
        }


def _num_classes(classes):
    if classes is None:
        raise ValueError(
            "`classes` must be a number or a list of names: a Label part knows them once its Preprocessor was adapted. "
            "Received: classes=None"
        )
    counted = isinstance(classes, numbers.Integral)
    count = int(classes) if counted else len(classes)
    names = () if counted else tuple(classes)
    if isinstance(classes, str) or count < 2 or len(set(names)) < len(names):
        raise ValueError(
            "`classes` must be a number of classes of at least 2, or a list of at least two different names. "
            f"Received: classes={classes!r}"
        )
    return count
