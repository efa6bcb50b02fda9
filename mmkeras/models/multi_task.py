"""Several modalities in, several answers out."""

import keras

from mmkeras.layers import ClassHead, Head
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.groups import where_known
from mmkeras.models.loss_weights import LossWeights
from mmkeras.models.records import is_one
from mmkeras.ops import num_replicas


@keras.saving.register_keras_serializable(package="mmkeras")
class MultiTask(FusionTask):
    """Learn several things about a sample at once, by heads on shared encoders and one fusion.

    What is learned for one answer helps the others where they have something in common. A sample need not have all
    labels: -1 for a class and NaN for a number (or for zeros and ones) stand for one that is not known, and teach
    nothing. `compile()` needs no arguments.

    Args:
        encoders: dict of encoders by modality.
        fusion: a fusion layer; None takes `GatedFusion()`, or plain pooling for a single encoder.
        heads: dict of `mm.layers.ClassHead`, `mm.layers.NumberHead` or other heads, by the name of the answer.
        loss_weights: how much the loss of each head counts: a dict of numbers by name, 1 where there is none; None
            for all alike; `"learned"` to learn it from how noisy each turns out to be. `mm.training.
            LossWeightSchedule` changes them while training runs.
        hidden_dim: size of a hidden layer before the heads; None for none.
        dropout_rate: share of what the heads read dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with what each head makes, under its name.

    Example:

    >>> heads = {"emotion": mm.layers.ClassHead(["sad", "glad"]), "strength": mm.layers.NumberHead(low=0, high=1)}
    >>> task = MultiTask({"features": mm.encoders.features((4,), 8)}, heads=heads, loss_weights="learned")
    >>> task.compile()
    >>> x = {"features": np.ones((3, 4))}
    >>> history = task.fit(x, {"emotion": np.array([0, 1, -1]), "strength": np.array([0.2, np.nan, 0.9])}, verbose=0)
    >>> sorted(task.predict(x, verbose=0)), sorted(history.history)[:2]
    (['emotion', 'strength'], ['emotion_accuracy', 'emotion_loss'])

    References:
        Caruana 1997, Multitask Learning.
    """

    _labels_may_miss = True
    _reduction = "mean_with_sample_weight"

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        heads,
        loss_weights=None,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        if not isinstance(heads, dict) or not heads or not all(isinstance(head, Head) for head in heads.values()):
            raise ValueError(
                "`heads` must be a dict of heads by the name of the answer, such as "
                f"{{'emotion': mm.layers.ClassHead(['sad', 'glad'])}}. Received: heads={heads!r:.300}"
            )
        learned = loss_weights == "learned"
        given = {} if learned or loss_weights is None else loss_weights
        unknown = sorted(set(given) - set(heads)) if isinstance(given, dict) else [given]
        if unknown:
            raise ValueError(
                f"`loss_weights` must be a dict by the names of the heads, {sorted(heads)}, 'learned' or None. "
                f"Received: {unknown}"
            )
        super().__init__(
            encoders,
            fusion,
            heads,
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            **kwargs,
        )
        self.heads = dict(heads)
        self.loss_weights = loss_weights
        self._weigh = LossWeights({name: given.get(name, 1.0) for name in heads}, learned=learned, name="loss_weights")
        self._loss_of = {}
        self._loss_trackers = {name: keras.metrics.Mean(name=f"{name}_loss") for name in heads}

    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        if kwargs.get("loss_weights") is not None:
            raise ValueError(
                "The weights of the losses belong to the task, which may learn or schedule them: "
                "MultiTask(..., loss_weights=...), or `assign_loss_weights`. Received: compile(loss_weights=...)"
            )
        if metrics == "auto":
            metrics = None
            kwargs.setdefault("weighted_metrics", self.default_metrics())
        super().compile(optimizer, loss, metrics, **kwargs)
        losses = self.default_loss() if self._own_loss else loss
        losses = losses if isinstance(losses, dict) else dict.fromkeys(self.heads, losses)
        if set(losses) != set(self.heads):
            raise ValueError(f"Each head needs a loss: {sorted(self.heads)}. Received: losses for {sorted(losses)}")
        self._loss_of = {name: _as_loss(own) for name, own in losses.items()}

    def default_loss(self):
        return {name: head.default_loss(self._reduction) for name, head in self.heads.items()}

    def default_metrics(self):
        return {name: head.default_metrics() for name, head in self.heads.items()}

    def targets(self, x, y):
        if y is None:
            return None, None
        if not isinstance(y, dict) or set(self.heads) - set(y):
            raise ValueError(
                f"Labels must be a dict by the names of the heads, {sorted(self.heads)}; -1 or NaN stand for one that "
                f"is not known. Received: {sorted(y) if isinstance(y, dict) else type(y).__name__}"
            )
        labels, weights = {}, {}
        for name, head in self.heads.items():
            label = keras.ops.convert_to_tensor(y[name])
            # One label each, also where they stand in a column.
            counted = isinstance(head, ClassHead) and not head.multi_label
            if len(label.shape) > len(self.output[name].shape) - counted and label.shape[-1] == 1:
                label = label[..., 0]
            known = head.known(label)
            labels[name] = where_known(label, known)
            weights[name] = keras.ops.cast(known, "float32")
        return labels, weights

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:
            self.learn_priors(x, y, sample_weight)
        y, sample_weight = self._targets(x, y, sample_weight)
        y, y_pred = self._with_axis(y, y_pred)
        losses = {}
        for name, loss in self._loss_of.items():
            losses[name] = loss(y[name], y_pred[name], sample_weight=sample_weight[name])
            self._loss_trackers[name].update_state(losses[name], sample_weight=keras.ops.sum(sample_weight[name]))
        # Penalties of weights count once, however many replicas there are.
        return self._weigh(losses) + sum(self.losses) / num_replicas()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y, sample_weight = self._targets(x, y, sample_weight)
        if y is None:
            return self.get_metrics_result()
        return keras.Model.compute_metrics(self, x, *self._with_axis(y, y_pred), sample_weight=sample_weight)

    def assign_loss_weights(self, weights):
        """Change how much the losses of heads count from now on: a dict of numbers by name."""
        self._weigh.assign(weights)

    def loss_weight_values(self):
        """How much the loss of each head counts now, as a dict of numbers: what was given, times what was learned."""
        return self._weigh.values()

    def answer(self, records):
        """Answer about raw records (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            For one record a dict with the answer of each head: what `MultimodalClassifier.classify` says for classes,
            a number for numbers; for a list of records a list of such dicts.
        """
        outputs = self.predict_records(records)
        by_name = {name: head.answers(outputs[name]) for name, head in self.heads.items()}
        rows = [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)]
        return rows[0] if is_one(records) else rows

    def get_config(self):
        return {
            **super().get_config(),
            "heads": {name: keras.saving.serialize_keras_object(head) for name, head in self.heads.items()},
            "loss_weights": self.loss_weights,
        }


def _as_loss(loss):
    loss = keras.losses.get(loss)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss)


class _FunctionLoss(keras.losses.Loss):
    """A loss function as a loss."""

    def __init__(self, function):
        super().__init__(name="loss", reduction="mean_with_sample_weight")
        self._function = function

    def call(self, y_true, y_pred):
        return self._function(y_true, y_pred)
