"""What tasks have in common that fuse modalities to one vector and predict from it."""

import keras
import numpy as np

from mmkeras.layers import ClassHead, GatedFusion, MatchRows, NumberHead, OrPrior, StepwiseFusion, pooling_layer
from mmkeras.models.branches import check_encoders, check_fusion, encode_modalities
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.groups import spread_product, where_known
from mmkeras.models.records import flag_empty
from mmkeras.models.task import Task
from mmkeras.preprocessing.preprocessor import Preprocessor


class FusionTask(Task):
    """Base of the tasks that predict from several modalities: encoders, a fusion, and heads on what it makes.

    With one encoder and no fusion what the heads read is the encoding. It is one vector per sample or, with `steps`,
    one for each step of the series that all modalities are.

    Where all modalities are optional, a row may have none of them: the answer is then the prior, the mean of all
    targets of the training set, and the methods on raw records say so (`is_prior`, and a warning).

    Args:
        encoders: dict of encoders by modality.
        fusion: a fusion layer; None takes `GatedFusion()`, or plain pooling for a single encoder.
        heads: dict of `mm.layers.Head`s by the name of their output.
        hidden_dim: size of a hidden layer before the heads; None for none.
        dropout_rate: share of what the heads read dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.
        grouped: the modality that may come in groups, (batch, group, ...), several values for one of each other; then
            the outputs do too.
        steps: None, or a function from what was fused at each step, (batch, time, dim), to what the heads read there.
        pooling: how a fusion that keeps tokens is pooled, each head on its own: `"avg"`, `"max"`, `"last"` or
            `"attention"`.
        at_tokens: names of heads that read each token of such a fusion.
    """

    # Name of what it does with raw records, and of the endpoint where it is served.
    _verb = "answer"
    # Whether -1 and NaN stand for labels that are not known.
    _labels_may_miss = False
    # Where a weight of 0 stands for padding, it is "mean_with_sample_weight".
    _reduction = "sum_over_batch_size"

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
        steps=None,
        pooling="avg",
        at_tokens=(),
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
        elif steps is not None:
            fused = StepwiseFusion(fusion, name="steps")(encodings, presence=presence or None)
        else:
            fused = fusion(encodings, presence=presence or None)
        fused = fused if steps is None else steps(fused)
        outputs = {}
        for name, head in heads.items():
            x = fused
            if steps is None and len(fused.shape) == 3 and name not in at_tokens:
                x = pooling_layer(pooling, name=f"{name}_pooling")(fused)
            x = x if hidden is None else hidden(x)
            outputs[name] = head(dropout(x))
        priors = {}
        if len(presence) == len(encoders):
            # A row may have nothing at all.
            priors = {name: OrPrior(head.start, name=f"{name}_or_prior") for name, head in heads.items()}
            outputs = {name: priors[name]([x, *presence.values()]) for name, x in outputs.items()}
        super().__init__(inputs=branches.inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.fusion = fusion
        self.hidden_dim = hidden_dim
        self.dropout_rate = dropout_rate
        self.optional = tuple(optional)
        self.modality_dropout_rate = modality_dropout_rate
        self.preprocessor = preprocessor
        self._heads = heads
        self._priors = priors
        self._grouped = grouped
        # What the fusion is given and what it makes of it, for those who look into it.
        self._encodings = dict(encodings)
        self._fused = fused
        self._own_loss = True
        for name, head in heads.items():
            self._check_classes(name, getattr(head, "classes", None))

    def grouped_outputs(self, groups):
        if set(groups) - {self._grouped}:
            return super().grouped_outputs(groups)
        return {name: size for size in groups.values() for name in self._heads}

    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        super().compile(optimizer, loss, metrics, **kwargs)
        self._own_loss = isinstance(loss, str) and loss == "auto"

    def get_compile_config(self):
        config = super().get_compile_config()
        return config and {**config, "own_loss": self._own_loss}

    def compile_from_config(self, config):
        super().compile_from_config({key: value for key, value in config.items() if key != "own_loss"})
        self._own_loss = config["own_loss"]

    def default_loss(self):
        return self._of_heads(lambda head: head.default_loss(self._reduction))

    def default_metrics(self):
        return self._of_heads(lambda head: head.default_metrics())

    def fit(self, x=None, y=None, *args, **kwargs):
        several = self._grouped is not None or any(len(x.shape) > 2 for x in self.outputs)
        if kwargs.get("class_weight") and several:
            raise ValueError(
                "Keras weighs one class per sample, and here a sample has several labels: give each its weight, "
                "sample_weight=np.vectorize(weights.get)(labels). Received: class_weight"
            )
        # A loss of the user's own may know what to do with any label.
        for name, head in self._heads.items():
            labels = y.get(name) if isinstance(y, dict) else y
            if self._own_loss and isinstance(labels, list | np.ndarray):
                self._check_labels(name, np.asarray(labels), head.label_range)
        return super().fit(x, y, *args, **kwargs)

    def targets(self, x, y):
        y = y if y is None or isinstance(y, dict) else {next(iter(self._heads)): y}
        if y is None or self._grouped is None:
            return y, None
        # In the shape of the labels, so that the weight of a sample is that of all in its group.
        known = {name: self._heads[name].known(keras.ops.convert_to_tensor(label)) for name, label in y.items()}
        return y, {name: keras.ops.ones_like(there, dtype="float32") for name, there in known.items()}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if y is None and self._own_loss:
            raise ValueError(
                f"{type(self).__name__} is compared with targets, `fit(x, y)` or a dataset of a Preprocessor that has "
                "a part for them. Received: y=None"
            )
        if training:
            self.learn_priors(x, y, sample_weight)
        return super().compute_loss(x, *self._with_axis(y, y_pred), sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, *self._with_axis(y, y_pred), sample_weight)

    def notes_on(self, x):
        if not self._priors:
            return {}
        answer = "the answer is the prior, what training saw on average (`is_prior`)"
        return {"is_prior": flag_empty(x, self.encoders, answer, stacklevel=5)}

    def head(self, name):
        """The head that makes an output."""
        return self._heads[name]

    def weights_of_samples(self, x, y, sample_weight=None):
        """Dict of the weights of samples or steps by output, None where all count alike."""
        _, weights = self._targets(x, y, sample_weight)
        return weights if isinstance(weights, dict) else dict.fromkeys(self._heads, weights)

    def learn_priors(self, x, y, sample_weight=None):
        """Count targets: what is answered where no modality is present."""
        if not self._priors or y is None:
            return
        weights = self.weights_of_samples(x, y, sample_weight)
        y, _ = self.targets(x, y)
        for name, prior in self._priors.items():
            if name not in y:
                continue
            head, labels, weight = self._heads[name], keras.ops.convert_to_tensor(y[name]), weights[name]
            known = head.known(labels)
            counted = keras.ops.cast(known, "float32")
            counted = counted if weight is None else spread_product(counted, weight)
            prior.learn(head.as_outputs(where_known(labels, known)), counted)

    def endpoints(self):
        replies = {name: head.reply() for name, head in self._heads.items()}
        return {self._verb: Endpoint(self, tuple(self.encoders), replies)}

    def heads_loss(self, x, y, y_pred, sample_weight=None):
        """Sum of the heads' own losses, apart from what training tracks and weighs.

        Args:
            x: dict of inputs.
            y: targets as the data gave them.
            y_pred: dict of outputs.
            sample_weight: weights of samples, or None.

        Returns:
            Scalar.
        """
        weights = self.weights_of_samples(x, y, sample_weight)
        y, _ = self.targets(x, y)
        y, y_pred = self._with_axis(y, y_pred)
        return sum(
            head.default_loss("mean_with_sample_weight")(y[name], y_pred[name], sample_weight=weights[name])
            for name, head in self._heads.items()
        )

    def _with_axis(self, y, y_pred):
        """Numbers with an axis of their own: losses and metrics take their mean over the last one."""
        alone = [name for name, head in self._heads.items() if isinstance(head, NumberHead) and head.dim is None]
        if y is None or not alone:
            return y, y_pred
        y, y_pred = dict(y if isinstance(y, dict) else {next(iter(self._heads)): y}), dict(y_pred)
        for name in alone:
            if name in y and len(y[name].shape) == len(y_pred[name].shape):
                y[name] = y[name][..., None]
            y_pred[name] = y_pred[name][..., None]
        return y, y_pred

    def _of_heads(self, function):
        if len(self._heads) == 1:
            return function(next(iter(self._heads.values())))
        return {name: function(head) for name, head in self._heads.items()}

    def _check_labels(self, name, labels, label_range):
        """Raise an error that names the row of a label that cannot be learned."""
        try:
            numbers = labels.astype("float64")
        except (TypeError, ValueError):
            numbers = np.full(labels.shape, np.nan)
        low, high = label_range or (-np.inf, np.inf)
        output = self.output[name] if isinstance(self.output, dict) else self.output
        head = self._heads[name]
        one_each = isinstance(head, ClassHead) and not head.multi_label and self._grouped is None
        if one_each and labels.shape[1:] == tuple(output.shape[1:]):
            raise ValueError(
                f"Labels of {name!r} are numbers of classes, one for each sample: labels.argmax(axis=-1), or build the "
                f"task with multi_label=True where several may hold. Received: labels of shape {labels.shape}"
            )
        with np.errstate(invalid="ignore"):
            fine = (numbers >= low) & (numbers <= high)
            if self._labels_may_miss:
                fine |= np.isnan(numbers) | ((numbers == -1) & (label_range is not None))
        wrong = np.flatnonzero(~fine.reshape(len(labels), -1).all(axis=1))
        if len(wrong):
            expected = "numbers, none of them missing" if label_range is None else f"numbers in {low}..{high}"
            held = np.asarray(labels[wrong[0]]).tolist()
            raise ValueError(
                f"Labels must be {expected}: row {wrong[0]} of {name!r} holds {held!r}. Leave such "
                "samples out, or give class names to a Preprocessor with a `Label` part. "
                f"Received: {len(wrong)} such rows of {len(labels)}"
            )

    def _check_classes(self, name, classes):
        """Raise an error where the preprocessor numbers the classes otherwise."""
        part = self.preprocessor.parts.get(name) if isinstance(self.preprocessor, Preprocessor) else None
        known = getattr(part, "classes", None)
        if isinstance(known, list) and isinstance(classes, list) and known != classes:
            raise ValueError(
                f"The preprocessor numbers the classes of {name!r} as {known!r:.200}: give the task that list, "
                f"preprocessor[{name!r}].classes, or the part the order you want, Label(classes=...). "
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
