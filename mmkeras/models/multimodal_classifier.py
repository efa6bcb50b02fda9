"""Several modalities in, a label out."""

import numbers

import keras

from mmkeras.layers import Ordinal
from mmkeras.models.fusion_task import FusionTask


@keras.saving.register_keras_serializable(package="mmkeras")
class MultimodalClassifier(FusionTask):
    """Classify samples that are seen, heard, read or measured, with any fusion in the slot.

    Each modality has an encoder, the fusion makes one representation of their encodings, a dense head makes
    probabilities of it. With a single encoder it is a unimodal classifier: the control that says whether fusion
    helped at all. `compile()` needs no arguments.

    A modality in `optional` may be absent from any sample, in training and when served: give the flag
    `<modality>_present`, or leave the modality out of a record. What stands in the empty slot, NaN included, never
    matters.

    Args:
        encoders: dict of encoders by modality.
        fusion: a fusion layer; None takes `GatedFusion()`, or plain pooling for a single encoder.
        classes: number of classes, or the list of their names, which `classify` then answers with.
        multi_label: whether any number of classes may hold at once (sigmoid) instead of exactly one (softmax).
        ordinal: whether the classes, exactly one of which holds, have an order from low to high (`mm.layers.Ordinal`).
        hidden_dim: size of a hidden layer before the probabilities, which additive fusions need
            where modalities only tell something together; None for none.
        dropout_rate: share of what the probabilities are made of dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with `label`, probabilities (batch, classes).

    Example:

    >>> task = MultimodalClassifier(
    ...     {"image": mm.encoders.vgg(2, 8, image_shape=(16, 16, 3)), "text": mm.encoders.lstm(50, 8)},
    ...     mm.layers.GatedFusion(8),
    ...     classes=["cat", "dog"],
    ... )
    >>> x = {"image": np.zeros((4, 16, 16, 3)), "token_ids": np.ones((4, 5), "int32")}
    >>> task.compile()
    >>> history = task.fit(x, np.array([0, 1, 0, 1]), verbose=0)
    >>> task.predict(x, verbose=0)["label"].shape
    (4, 2)
    """

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        classes,
        multi_label=False,
        ordinal=False,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        num_classes = _num_classes(classes)
        if multi_label and ordinal:
            raise ValueError(
                "Classes that have an order exclude one another: choose `multi_label` or `ordinal`. Received: both"
            )
        # Probabilities stay float32 under mixed precision: that is what a server should answer with.
        if ordinal:
            head = Ordinal(num_classes, dtype="float32", name="label")
        else:
            activation = "sigmoid" if multi_label else "softmax"
            head = keras.layers.Dense(num_classes, activation=activation, dtype="float32", name="label")
        super().__init__(
            encoders,
            fusion,
            {"label": head},
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            **kwargs,
        )
        self.classes = num_classes if isinstance(classes, numbers.Integral) else list(classes)
        self.multi_label = multi_label
        self.ordinal = ordinal
        self._check_classes(self.classes)

    def default_loss(self):
        if self.multi_label:
            return keras.losses.BinaryCrossentropy()
        return keras.losses.SparseCategoricalCrossentropy()

    def default_metrics(self):
        if self.multi_label:
            return [keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.F1Score("macro", 0.5, name="f1")]
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    @property
    def label_range(self):
        return 0, 1 if self.multi_label else (self.classes if isinstance(self.classes, int) else len(self.classes)) - 1

    def classify(self, records):
        """Classify raw records (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            For one record a dict with `label` (its most probable class; for a multi-label task `labels`, all with
            at least even odds) and `probabilities` by class; for a list of records a list of such dicts.
        """
        probabilities = self.predict_records(records)["label"]
        names = list(range(self.classes)) if isinstance(self.classes, int) else self.classes
        answers = []
        for row in probabilities:
            by_class = {name: float(value) for name, value in zip(names, row, strict=True)}
            if self.multi_label:
                answer = {"labels": [name for name, value in by_class.items() if value >= 0.5]}
            else:
                answer = {"label": max(by_class, key=by_class.get)}
            answers.append({**answer, "probabilities": by_class})
        return answers[0] if isinstance(records, dict) else answers

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "multi_label": self.multi_label,
            "ordinal": self.ordinal,
        }


def _num_classes(classes):
    counted = isinstance(classes, numbers.Integral)
    count = int(classes) if counted else len(classes)
    names = () if counted else tuple(classes)
    if isinstance(classes, str) or count < 2 or len(set(names)) < len(names):
        raise ValueError(
            "`classes` must be a number of classes of at least 2, or a list of at least two different names. "
            f"Received: classes={classes!r}"
        )
    return count
