"""Several series in, a label for each step out."""

import functools

import keras
import numpy as np

from mmkeras import ops
from mmkeras.keys import PRESENT, presence_key
from mmkeras.layers import ClassHead
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.records import as_records, is_one

# A length to find out by whether an encoder keeps it.
_PROBE = 48


@keras.saving.register_keras_serializable(package="mmkeras")
class SequenceTagger(FusionTask):
    """Label every step of a series, each step seeing its neighbours.

    The utterances of a dialogue, by what is said, heard and seen at each; the words of a sentence; the moments of a
    recording. Step t of one modality belongs to step t of the others: they are fused step by step, a layer over time
    passes on what stands around, a head labels each step. An encoder that gives a vector says something about all
    steps, such as who is speaking. `compile()` needs no arguments.

    Labels are (batch, time), padded like the inputs: the zeros at the end of a series are padding, and no step of
    padding counts in the loss or in a metric.

    Args:
        encoders: dict of encoders by modality, each with one token per step, such as
            `mm.encoders.features((None, 100), 32)` or `mm.encoders.lstm(1000)`, or with a vector.
        fusion: a fusion layer; None takes `GatedFusion()`, or nothing for a single encoder.
        classes: number of classes, or the list of their names, which `tag` then answers with.
        context: a layer over time, (batch, time, dim) to (batch, time, ...); `"auto"` takes a bidirectional GRU of the
            same size, `mm.layers.SeriesSmoothing()` learns nothing; None labels each step by itself.
        multi_label: whether any number of classes may hold at once (sigmoid) instead of exactly one (softmax).
        hidden_dim: size of a hidden layer before the probabilities; None for none.
        dropout_rate: share of what the probabilities, and the layer over time, are made of dropped in training.
        optional: modalities that may be absent, from the whole series.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with `label`, probabilities (batch, time, classes).

    Example:

    >>> encoders = {
    ...     "features_text": mm.encoders.features((None, 10), 8),
    ...     "features_audio": mm.encoders.features((None, 6), 8),
    ... }
    >>> task = SequenceTagger(encoders, classes=["negative", "positive"])
    >>> x = {"features_text": np.ones((2, 5, 10)), "features_audio": np.ones((2, 5, 6))}
    >>> task.compile()
    >>> history = task.fit(x, np.ones((2, 5), int), verbose=0)
    >>> task.predict(x, verbose=0)["label"].shape
    (2, 5, 2)

    References:
        Poria et al. 2017, Context-Dependent Sentiment Analysis in User-Generated Videos.
    """

    _verb = "tag"
    _reduction = "mean_with_sample_weight"

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        classes,
        context="auto",
        multi_label=False,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        if isinstance(context, str) and context != "auto":
            raise ValueError(
                "`context` must be a layer over time that keeps its steps, such as "
                "keras.layers.Bidirectional(keras.layers.GRU(32, return_sequences=True)), 'auto' or None. "
                f"Received: context={context!r}"
            )
        head = ClassHead(classes, multi_label=multi_label, name="label")
        super().__init__(
            encoders,
            fusion,
            {"label": head},
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            steps=lambda fused: _with_context(fused, context, dropout_rate),
            **kwargs,
        )
        self.classes = head.classes
        self.context = context
        self.multi_label = multi_label
        self._series = [key for name in self.encoders for key in self._keys_of(name) if keeps_steps(name, encoders)]

    def default_metrics(self):
        # Keras' F-score knows no steps.
        return super().default_metrics()[:1]

    def targets(self, x, y):
        y, _ = super().targets(x, y)
        return y, None if y is None else {"label": keras.ops.cast(self._steps(x), "float32")}

    def endpoints(self):
        sources = [tensor for tensor in self.inputs if tensor.name in self._series or tensor.name.endswith(PRESENT)]
        there = _StepsThere(self, name="steps_there")({tensor.name: tensor for tensor in sources})
        model = keras.Model(self.inputs, {**self.output, "there": there}, name="tag")
        return {"tag": Endpoint(model, tuple(self.encoders), {"label": self.head("label").reply()})}

    def tag(self, records):
        """Label the steps of raw records (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            For one record a list with, for each step, what `MultimodalClassifier.classify` says of a sample; for a
            list of records a list of those.
        """
        tagged = []
        for record in as_records(self, records):
            # One at a time: series differ in length.
            x = self.prepare(record)
            self.notes_on(x)
            there = np.asarray(keras.ops.convert_to_numpy(self._steps(x)))[0]
            outputs = keras.ops.convert_to_numpy(self.predict_on_batch(x)["label"])[0]
            tagged.append(self.head("label").answers(outputs[there]))
        return tagged[0] if is_one(records) else tagged

    def _steps(self, x):
        """Which steps are no padding: those that hold something in any modality."""
        there = []
        for key in self._series:
            if key not in x:
                continue
            steps = ops.trailing_mask(keras.ops.convert_to_tensor(x[key]))
            flag = x.get(presence_key(self.modality_of(key)))
            # What stands in an empty slot is no step.
            there.append(steps if flag is None else keras.ops.logical_and(steps, ops.broadcast_flag(flag, steps)))
        return keras.ops.any(keras.ops.stack(_evened(there), axis=0), axis=0)

    def _complete(self, inputs):
        # What stands in for a series that no sample of the batch has is as short as can be.
        given, groups = super()._complete(inputs)
        if not isinstance(inputs, dict):
            return given, groups
        given = [
            x[:, :1] if tensor.name in self._series and tensor.name not in inputs else x
            for x, tensor in zip(given, self.inputs, strict=True)
        ]
        places = [place for place, tensor in enumerate(self.inputs) if tensor.name in self._series]
        for place, series in zip(places, _evened([given[place] for place in places]), strict=True):
            given[place] = series
        return given, groups

    def get_config(self):
        context = self.context
        return {
            **super().get_config(),
            "classes": self.classes,
            "context": context if isinstance(context, str) else keras.saving.serialize_keras_object(context),
            "multi_label": self.multi_label,
        }


class _StepsThere(keras.layers.Layer):
    """Which steps are no padding, as numbers; it lives as long as its model, and is never saved."""

    def __init__(self, task, **kwargs):
        super().__init__(**kwargs)
        # Not an attribute that Keras would track.
        self._task = (lambda: task,)

    def call(self, tensors):
        return keras.ops.cast(self._task[0]()._steps(tensors), "float32")

    def compute_output_spec(self, tensors):
        return keras.KerasTensor((None, None), "float32")

    def compute_mask(self, tensors, previous_mask=None):
        return None


def _with_context(fused, context, dropout_rate):
    if len(fused.shape) != 3:
        raise ValueError(
            "A step needs a label each, and the encoder gives one vector for the whole series: build it without "
            f"`pooling`. Received: an encoding of shape {fused.shape}"
        )
    if context is None:
        return fused
    if isinstance(context, str):
        gru = keras.layers.GRU(-(-fused.shape[-1] // 2), return_sequences=True, name="recurrent")
        context = keras.layers.Bidirectional(gru, name="context")
    made = context(keras.layers.Dropout(dropout_rate, name="context_dropout")(fused))
    if len(made.shape) != 3 or (None not in (made.shape[1], fused.shape[1]) and made.shape[1] != fused.shape[1]):
        raise ValueError(
            "`context` must keep the steps it is given (return_sequences=True). Received: a layer that makes "
            f"{made.shape} of {fused.shape}"
        )
    return made


def _evened(series):
    """Arrays or tensors (batch, time, ...) at the length of the longest, zeros at the end."""
    if len({x.shape[1] for x in series}) == 1 and series[0].shape[1] is not None:
        return series
    lengths = [keras.ops.shape(x)[1] for x in series]
    known = all(isinstance(length, int) for length in lengths)
    longest = max(lengths) if known else functools.reduce(keras.ops.maximum, lengths)
    return [
        keras.ops.concatenate(
            [x, keras.ops.zeros((keras.ops.shape(x)[0], longest - keras.ops.shape(x)[1], *x.shape[2:]), dtype=x.dtype)],
            axis=1,
        )
        for x in map(keras.ops.convert_to_tensor, series)
    ]


def keeps_steps(name, encoders):
    """Whether an encoder gives a token for each step of its input; an error for one that gives some other number."""
    encoder = encoders[name]
    if len(encoder.outputs[0].shape) == 2:
        return False
    sources = [
        keras.KerasTensor((1, source.shape[1] or _PROBE, *[size or _PROBE for size in source.shape[2:]]), source.dtype)
        for source in encoder.inputs
    ]
    made = encoder.compute_output_spec(sources if len(sources) > 1 else sources[0])
    given, steps = sources[0].shape[1], keras.tree.flatten(made)[0].shape[1]
    if given != steps:
        raise ValueError(
            f"The encoder of {name!r} makes {steps} tokens of {given} steps, and each step needs a label: take one "
            "without strides, or `pooling` for a vector that counts at all steps"
        )
    return True
