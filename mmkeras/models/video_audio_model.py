"""A clip with its sound in, what happens in it out."""

import numbers

import keras
import numpy as np

from mmkeras import ops
from mmkeras.keys import presence_key
from mmkeras.layers import ClassHead, Head, TimelineFusion
from mmkeras.models.branches import check_encoders
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.multi_task import MultiTask
from mmkeras.models.records import as_records, is_one
from mmkeras.models.sequence_tagger import keeps_steps
from mmkeras.preprocessing.preprocessor import Preprocessor
from mmkeras.preprocessing.video import Video

_LABEL, _FRAME_LABEL = "label", "frame_label"


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoAudioModel(MultiTask):
    """Say what happens in clips with sound: an answer about each clip, about each of its frames, or both.

    Frames and sound are encoded apart, look at one another around the same moment, and are fused on one time line
    (`mm.layers.TimelineFusion`); a head reads all of it, pooled, or each of its steps. Any number of answers may be
    learned at once, and a label may be missing, -1 for a class and NaN for a number. `compile()` needs no arguments.

    Args:
        encoders: dict of encoders by modality: `video` as `mm.encoders.time_distributed` makes them, `audio` such as
            `mm.encoders.conv1d_audio`, both without pooling; one alone will do.
        fusion: a fusion layer; None takes `TimelineFusion()`.
        classes: what a clip may be: a number of classes, the list of their names, a head such as
            `mm.layers.NumberHead()`, or a dict of these by the name of the answer; None for no answer about clips.
        frame_classes: the same about each frame. Labels are (batch, frame).
        pooling: how the steps of a clip become what its answers are made of, each answer on its own: `"avg"`,
            `"attention"`, `"max"` or `"last"`.
        loss_weights: how much the loss of each answer counts; see `MultiTask`.
        hidden_dim: size of a hidden layer before the heads; None for none.
        dropout_rate: share of what the heads read dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: those of the encoders under their prepared keys, such as `frames` and `audio`, and `<modality>_present` for
    each optional one.

    Output: dict with `label`, probabilities (batch, classes), and `frame_label`, (batch, frame, classes), or what each
    head makes under the name it has in a dict.

    Example:

    >>> encoders = {
    ...     "video": mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3))),
    ...     "audio": mm.encoders.conv1d_audio(4, (16, 16)),
    ... }
    >>> task = VideoAudioModel(encoders, classes=["calm", "crash"])
    >>> clip = {"frames": np.zeros((5, 8, 8, 3)), "audio": np.zeros(4000)}
    >>> sorted(task.classify(clip))
    ['label', 'probabilities']

    References:
        Afouras et al. 2018, Deep Audio-Visual Speech Recognition. Tian et al. 2018, Audio-Visual Event Localization.
    """

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        classes=None,
        frame_classes=None,
        pooling="avg",
        loss_weights=None,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        clip_heads = _heads(classes, _LABEL, "classes")
        frame_heads = _heads(frame_classes, _FRAME_LABEL, "frame_classes")
        both = sorted(set(clip_heads) & set(frame_heads))
        if both or not (clip_heads or frame_heads):
            raise ValueError(
                "A clip, each frame, or both need an answer, each of a name of its own: `classes`, `frame_classes`. "
                f"Received: {both or None}"
            )
        fusion = TimelineFusion(dropout_rate=dropout_rate, name="fusion") if fusion is None else fusion
        encoders = check_encoders(encoders)
        if frame_heads:
            if not isinstance(fusion, TimelineFusion):
                raise ValueError(f"`frame_classes` needs a TimelineFusion, which keeps frames. Received: {fusion!r}")
            line = fusion.time_line([name for name, encoder in encoders.items() if len(encoder.output_shape) == 3])
            keeps_steps(line, encoders)
        super().__init__(
            encoders,
            fusion,
            heads={**clip_heads, **frame_heads},
            loss_weights=loss_weights,
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            pooling=pooling,
            at_tokens=tuple(frame_heads),
            **kwargs,
        )
        self.classes = clip_heads or None
        self.frame_classes = frame_heads or None
        self.pooling = pooling
        self._clip_heads, self._frame_heads = list(clip_heads), list(frame_heads)
        self._line = self._keys_of(line)[0] if frame_heads else None
        self._step_model = None

    def default_metrics(self):
        # Keras' F-score knows no steps.
        metrics = super().default_metrics()
        return {name: own[:1] if name in self._frame_heads else own for name, own in metrics.items()}

    def targets(self, x, y):
        if y is not None and not isinstance(y, dict) and len(self.heads) == 1:
            y = {next(iter(self.heads)): y}
        y, weights = super().targets(x, y)
        if y is not None and self._frame_heads:
            for name in self._frame_heads:
                weights[name] = weights[name] * keras.ops.cast(self._labelled(x, weights[name]), "float32")
        return y, weights

    def classify(self, records, *, views=1):
        """Say what happens in raw clips (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them, such as `{"video": "clip.mp4"}`.
            views: from how many different moments frames are taken, the answers being averaged.

        Returns:
            For one record what `MultimodalClassifier.classify` says, or a dict of that by the name of the answer where
            there are several, and `is_prior` where all modalities are optional; for a list of records a list of those.
        """
        outputs = self.predict_records(records, views=views)
        return self._answers(outputs, self._clip_heads, is_one(records))

    def tag(self, records, *, batch_size=32):
        """Say what happens in each frame of raw clips.

        Args:
            records: one record (a dict) or a list of them.
            batch_size: how many records are prepared and predicted together.

        Returns:
            For one record a list with what `classify` says of each of its frames; for a list of records a list of
            those.
        """
        one, names, rows = is_one(records), self._frame_heads, []
        if not names:
            raise ValueError("This task says nothing about frames: build it with `frame_classes`")
        records = as_records(self, records)
        for start in range(0, max(1, len(records)), batch_size):
            x = self.prepare(records[start : start + batch_size])
            self.notes_on(x)
            outputs = self.predict_on_batch(x)
            outputs = {name: keras.ops.convert_to_numpy(outputs[name]) for name in names}
            for row, there in enumerate(self._steps(x)):
                rows.append(self._answers({name: outputs[name][row][there] for name in names}, names, False))
        return rows[0] if one else rows

    def predict_records(self, records, *, batch_size=32, views=1):
        """Predict for raw records, a batch at a time; see `Task.predict_records`.

        Args:
            records: one record (a dict) or a list of them.
            batch_size: how many records are prepared and predicted together.
            views: from how many different moments frames are taken, the outputs being averaged.
        """
        if views == 1:
            return super().predict_records(records, batch_size=batch_size)
        usual = self.preprocessor
        if not isinstance(usual, Preprocessor) or views < 1:
            raise ValueError(f"`views` must be a positive integer, and needs a preprocessor. Received: views={views}")
        outputs = []
        try:
            for view in range(views):
                self._preprocessor = _at_moment(usual, (view + 0.5) / views)
                outputs.append(super().predict_records(records, batch_size=batch_size))
        finally:
            self._preprocessor = usual
        return {name: np.mean([output[name] for output in outputs], axis=0) for name in outputs[0]}

    def endpoints(self):
        found = {}
        for verb, names in (("classify", self._clip_heads), ("tag", self._frame_heads)):
            if names:
                outputs = {name: self.output[name] for name in names}
                if verb == "tag":
                    outputs["there"] = _StepsThere(name="steps_there")(self._fused)
                replies = {name: self.head(name).reply() for name in names}
                found[verb] = Endpoint(keras.Model(self.inputs, outputs, name=verb), tuple(self.encoders), replies)
        return found

    def get_config(self):
        config = super().get_config()
        heads = config.pop("heads")
        return {
            **config,
            "classes": {name: heads[name] for name in self._clip_heads} or None,
            "frame_classes": {name: heads[name] for name in self._frame_heads} or None,
            "pooling": self.pooling,
        }

    def _steps(self, x):
        """Which steps of the time line a batch has, (batch, step)."""
        if self._step_model is None:
            model = keras.Model(self.inputs, _StepsThere(name="steps_there")(self._fused))
            # Not an attribute that Keras would track, and save with the task.
            self._step_model = (lambda: model,)
        model = self._step_model[0]()
        given = [self._complete(x)[0][index] for index in range(len(model.inputs))]
        return keras.ops.convert_to_numpy(model.predict_on_batch(given)) > 0

    def _labelled(self, x, labels):
        """Which steps a label may stand at, as far as the input tells, (batch, step)."""
        if self._line not in x:
            return keras.ops.ones_like(labels, dtype="bool")
        steps = ops.trailing_mask(keras.ops.convert_to_tensor(x[self._line]))
        if len(self.encoders) == 1:
            return steps
        alone = keras.ops.sum(keras.ops.cast(steps, "int32"), axis=1) < 2
        flag = x.get(presence_key(self.modality_of(self._line)))
        if flag is not None:
            alone = keras.ops.logical_or(alone, keras.ops.logical_not(keras.ops.cast(flag, "bool")))
        # What stands still, or is not there at all, has as many steps as the others last.
        return keras.ops.logical_or(steps, alone[:, None])

    def _answers(self, outputs, names, one):
        by_name = {name: self.head(name).answers(outputs[name]) for name in names}
        if not by_name:
            raise ValueError("This task says nothing about clips as a whole: build it with `classes`")
        if len(by_name) == 1:
            (rows,) = by_name.values()
        else:
            rows = [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)]
        if "is_prior" in outputs:
            rows = [{**row, "is_prior": bool(flag)} for row, flag in zip(rows, outputs["is_prior"], strict=True)]
        return rows[0] if one else rows


@keras.saving.register_keras_serializable(package="mmkeras")
class _StepsThere(keras.layers.Layer):
    """The mask of tokens, as numbers."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, tokens, mask=None):
        return keras.ops.cast(ops.token_mask(tokens, mask), "float32")

    def compute_mask(self, tokens, previous_mask=None):
        return None

    def compute_output_spec(self, tokens, mask=None):
        return keras.KerasTensor(tokens.shape[:2], "float32")


def _heads(classes, name, argument):
    """Dict of heads from what a user may give."""
    if classes is None:
        return {}
    given = classes if isinstance(classes, dict) else {name: classes}
    wrong = [key for key, value in given.items() if not isinstance(value, (Head, numbers.Integral, list, tuple))]
    if wrong or not given:
        raise ValueError(
            f"`{argument}` must be a number of classes, a list of names, a head, or a dict of these. "
            f"Received: {argument}={classes!r:.200}"
        )
    return {key: value if isinstance(value, Head) else ClassHead(value, name=key) for key, value in given.items()}


def _at_moment(preprocessor, moment):
    """A Preprocessor that takes frames at another moment of each part of a clip."""
    parts = {}
    for name, part in preprocessor.parts.items():
        parts[name] = Video.from_config({**part.get_config(), "moment": moment}) if isinstance(part, Video) else part
    if all(parts[name] is part for name, part in preprocessor.parts.items()):
        raise ValueError("`views` are of clips: the preprocessor has no Video part")
    return Preprocessor(optional=preprocessor.optional, **parts)
