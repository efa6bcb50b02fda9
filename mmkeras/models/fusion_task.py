"""What tasks have in common that fuse modalities to one vector and predict from it."""

import keras
import numpy as np

from mmkeras.layers import GatedFusion, MatchRows, pooling_layer
from mmkeras.models.branches import check_encoders, check_fusion, encode_modalities
from mmkeras.models.task import Task
from mmkeras.preprocessing.preprocessor import Preprocessor


class FusionTask(Task):
    """Base of the tasks that predict from several modalities: encoders, a fusion, and heads on what it makes.

    A subclass makes its heads, layers from the fused vector (batch, dim) to an output each, and passes them on by the
    name of the output. With one encoder and no fusion the vector is the encoding, pooled.

    Args:
        encoders: dict of encoders by modality.
        fusion: a fusion layer; None takes `GatedFusion()`, or plain pooling for a single encoder.
        heads: dict of layers by the name of their output.
        hidden_dim: size of a hidden layer before the heads; None for none.
        dropout_rate: share of what the heads read dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.
        grouped: the modality that may come in groups, (batch, group, ...), several values for one of each other; then
            the outputs do too.
    """

    def __init__(
        self,
        encoders,
        fusion,
        heads,
        *,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        grouped=None,
        **kwargs,
    ):
        # === Layers ===
        encoders = check_encoders(encoders)
        fusion = check_fusion(fusion)
        if len(encoders) > 1 and fusion is None:
            fusion = GatedFusion(name="fusion")
        hidden = None if hidden_dim is None else keras.layers.Dense(hidden_dim, activation="relu", name="hidden")
        dropout = keras.layers.Dropout(dropout_rate, name="dropout")

        # === Functional model ===
        branches = encode_modalities(
            encoders, optional=optional, modality_dropout_rate=modality_dropout_rate, grouped=grouped
        )
        encodings, presence = branches.encodings, branches.presence
        if grouped is not None:
            like = encodings[grouped]
            encodings, presence = (
                {
                    name: x if name == grouped else MatchRows(name=f"{name}_{what}_of_{grouped}")([x, like])
                    for name, x in tensors.items()
                }
                for what, tensors in (("encoding", encodings), ("presence", presence))
            )
        if fusion is None:
            (fused,) = encodings.values()
        else:
            fused = fusion(encodings, presence=presence or None)
        if len(fused.shape) == 3:
            fused = pooling_layer("avg", name="pooling")(fused)
        if hidden is not None:
            fused = hidden(fused)
        fused = dropout(fused)
        super().__init__(inputs=branches.inputs, outputs={name: head(fused) for name, head in heads.items()}, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.fusion = fusion
        self.hidden_dim = hidden_dim
        self.dropout_rate = dropout_rate
        self.optional = tuple(optional)
        self.modality_dropout_rate = modality_dropout_rate
        self.preprocessor = preprocessor
        self._grouped = grouped
        self._target = next(iter(heads))
        self._own_loss = True

    def grouped_outputs(self, groups):
        if set(groups) - {self._grouped}:
            return super().grouped_outputs(groups)
        return {name: size for size in groups.values() for name in self.output_names}

    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        super().compile(optimizer, loss, metrics, **kwargs)
        self._own_loss = isinstance(loss, str) and loss == "auto"

    def fit(self, x=None, y=None, *args, **kwargs):
        # A loss of the user's own may know what to do with any label.
        labels = y.get(self._target) if isinstance(y, dict) else y
        if self._own_loss and isinstance(labels, list | np.ndarray):
            self._check_labels(np.asarray(labels))
        return super().fit(x, y, *args, **kwargs)

    def targets(self, x, y):
        return (y if y is None or isinstance(y, dict) else {self._target: y}), None

    @property
    def label_range(self):
        """Lowest and highest label that can be learned, None where any number can."""
        return None

    def _check_labels(self, labels):
        """Raise an error that names the row of a label that cannot be learned."""
        try:
            numbers = labels.astype("float64")
        except (TypeError, ValueError):
            numbers = np.full(labels.shape, np.nan)
        low, high = self.label_range or (-np.inf, np.inf)
        with np.errstate(invalid="ignore"):
            fine = (numbers >= low) & (numbers <= high)
        wrong = np.flatnonzero(~fine.reshape(len(labels), -1).all(axis=1))
        if len(wrong):
            expected = "numbers, none of them missing" if self.label_range is None else f"numbers in {low}..{high}"
            raise ValueError(
                f"Labels must be {expected}: row {wrong[0]} holds {labels[wrong[0]]!r}. Leave such samples out, or "
                "give class names to a Preprocessor with a `Label` part. "
                f"Received: {len(wrong)} such rows of {len(labels)}"
            )

    def _check_classes(self, classes):
        """Raise an error where the preprocessor numbers the classes otherwise."""
        part = self.preprocessor.parts.get(self._target) if isinstance(self.preprocessor, Preprocessor) else None
        known = getattr(part, "classes", None)
        if isinstance(known, list) and isinstance(classes, list) and known != classes:
            raise ValueError(
                f"The preprocessor numbers the classes of {self._target!r} as {known!r:.200}: give the task that list, "
                f"preprocessor[{self._target!r}].classes, or the part the order you want, Label(classes=...). "
                f"Received: {classes!r:.200}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "hidden_dim": self.hidden_dim,
            "dropout_rate": self.dropout_rate,
            "modality_dropout_rate": self.modality_dropout_rate,
        }
