"""Several modalities in, a label out."""

import keras

from mmkeras.layers import ClassHead
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.records import is_one


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

    _verb = "classify"

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
        head = ClassHead(classes, multi_label=multi_label, ordinal=ordinal, name="label")
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
        self.classes = head.classes
        self.multi_label = multi_label
        self.ordinal = ordinal

    def classify(self, records):
        """Classify raw records (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            For one record a dict with `label` (its most probable class; for a multi-label task `labels`, all with
            at least even odds) and `probabilities` by class, and where all modalities are optional `is_prior`, whether
            the record has none of them; for a list of records a list of such dicts.
        """
        found = self.predict_records(records)
        answers = self.head("label").answers(found["label"])
        if "is_prior" in found:
            answers = [
                {**answer, "is_prior": bool(flag)} for answer, flag in zip(answers, found["is_prior"], strict=True)
            ]
        return answers[0] if is_one(records) else answers

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "multi_label": self.multi_label,
            "ordinal": self.ordinal,
        }
