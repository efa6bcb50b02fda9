"""What is explained: one number that a task gives for one record."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras.interpret.probing import replaced
from mmkeras.keys import PRESENT, presence_key
from mmkeras.layers import ClassHead
from mmkeras.models import EmbeddingTask, FusionTask, SentenceTask, SequenceTagger, VideoAudioModel
from mmkeras.models.records import as_record
from mmkeras.preprocessing import Preprocessor, Text


class Explained:
    """A number that a task gives for a record, as a function of the inputs.

    A subclass sets `answer` and says what the number is in `scores`, and in `evidence` the like without bounds: the
    odds of a class, whose gradients do not vanish where the task is sure.

    Attributes:
        answer: class name, number, sentence or similarity.
        modalities: those that the record has.
        x: dict of arrays with one row.
        keys: dict modality -> the key of its input.
        kinds: dict modality -> what it is: `"image"`, `"token_ids"`, ...
    """

    def __init__(self, task, record, modalities):
        self.task = task
        x = task.prepare(record, tuple(modalities))
        self.x = {}
        for tensor in task.inputs:
            if tensor.name in x:
                value = np.asarray(x[tensor.name])
                if value.ndim != len(tensor.shape):
                    raise ValueError(
                        f"One value of {task.modality_of(tensor.name)!r} is explained at a time. Received: "
                        f"{tensor.name!r} of shape {value.shape[1:]}"
                    )
                self.x[tensor.name] = value
        self.keys = {name: task._keys_of(name)[0] for name in modalities}
        self.kinds = {name: task.encoders[name].inputs[0].name for name in modalities}
        self.modalities = []
        for name in modalities:
            if np.all(self.x.get(presence_key(name), True)):
                self.modalities.append(name)
            else:
                # Whatever stands in an empty slot.
                self.x |= {key: np.zeros_like(self.x[key]) for key in task._keys_of(name)}

    def scores(self, x):
        """The number for each row of a dict of tensors."""
        raise NotImplementedError

    def evidence(self, x):
        return self.scores(x)

    def words(self):
        """Dict of the words of each text, marks included and padding left out, where they are known."""
        parts = self.task.preprocessor.parts if isinstance(self.task.preprocessor, Preprocessor) else {}
        found = {}
        for name in self.modalities:
            if self.kinds[name] == "token_ids" and isinstance(parts.get(name), Text):
                found[name] = [_word(parts[name], token) for token in self.tokens(name)]
        return found

    def tokens(self, modality):
        """Token ids of a text, without padding."""
        return np.trim_zeros(self.x[self.keys[modality]][0], "b").tolist()

    def shown(self):
        """Dict of what was given of each modality, as prepared."""
        return {name: self.x[self.keys[name]][0] for name in self.modalities}

    def rows(self, count):
        """The inputs in as many rows."""
        return {name: np.repeat(value, count, axis=0) for name, value in self.x.items()}


def explain(task: Any, record: Any, output: str | None = None, target: Any = None, step: int | None = None):
    """Find out which number to explain, and of what."""
    for base, explained in ((FusionTask, _OfHead), (SentenceTask, _OfSentence), (EmbeddingTask, _OfPair)):
        if isinstance(task, base):
            if base is not FusionTask and (output, step) != (None, None):
                raise ValueError(
                    f"{type(task).__name__} gives one answer, with no `output` and no `step` to choose. "
                    f"Received: output={output!r}, step={step!r}"
                )
            return explained(
                task, as_record(task, record), *((output, target, step) if base is FusionTask else (target,))
            )
    raise ValueError(
        "`task` must answer with classes or numbers, say sentences, or compare embeddings: a MultimodalClassifier, "
        f"MultimodalRegressor, MultiTask, ImageCaptioner, JointEmbedding or another of their kind. Received: {task!r}"
    )


class _OfHead(Explained):
    """The probability of a class, or a number."""

    def __init__(self, task, record, output, target, step):
        super().__init__(task, record, task.encoders)
        names = list(task.output)
        if output is None and len(names) == 1:
            (output,) = names
        if output not in names:
            raise ValueError(f"`output` must name one of the answers, {names}. Received: output={output!r}")
        self._output = output
        self._head = head = task.head(output)
        frames = (task.frame_classes or {}) if isinstance(task, VideoAudioModel) else {}
        values = self._values(self.x)
        self._step = None
        if isinstance(task, SequenceTagger) or output in frames:
            if step is None or not 0 <= step < values.shape[1]:
                raise ValueError(
                    f"{output!r} is an answer at each step: say at which, `step` in 0..{values.shape[1] - 1}. "
                    f"Received: step={step!r}"
                )
            self._step = int(step)
        elif step is not None:
            raise ValueError(f"{output!r} is one answer, not one at each step. Received: step={step!r}")
        values = np.asarray(ops.convert_to_numpy(self._at_step(values)))[0]
        self._index = None
        if isinstance(head, ClassHead):
            self._index = int(values.argmax()) if target is None else _place(target, head.names)
            self.answer = head.names[self._index]
        elif values.ndim:
            if target is None and values.size > 1:
                raise ValueError(f"{output!r} is several numbers: say which, `target` in 0..{values.size - 1}")
            self._index = _place(0 if target is None else target, list(range(values.size)))
            self.answer = float(values[self._index])
        else:
            if target is not None:
                raise ValueError(f"{output!r} is a number, with no `target` to choose. Received: target={target!r}")
            self.answer = float(values)

    def scores(self, x):
        values = self._at_step(self._values(x))
        return values if self._index is None else values[:, self._index]

    def evidence(self, x):
        head = self._head
        if not isinstance(head, ClassHead):
            return self.scores(x)
        if head.ordinal:
            share = ops.clip(self.scores(x), 1e-6, 1 - 1e-6)
            return ops.log(share) - ops.log(1 - share)
        with replaced(head._layer, "activation", keras.activations.linear):
            logits = self._at_step(self._values(x))
        own = logits[:, self._index]
        if head.multi_label:
            return own
        others = ops.concatenate([logits[:, : self._index], logits[:, self._index + 1 :]], axis=-1)
        return own - ops.logsumexp(others, axis=-1)

    def _values(self, x):
        return self.task(_tensors(x), training=False)[self._output]

    def _at_step(self, values):
        return values if self._step is None else values[:, self._step]


class _OfSentence(Explained):
    """The log-probability of a sentence."""

    def __init__(self, task, record, target):
        super().__init__(task, record, task.encoders)
        self.answer = task.generate(record) if target is None else target
        if not isinstance(self.answer, str | list | tuple | np.ndarray):
            raise ValueError(f"`target` must be a sentence, in words or as token ids. Received: target={target!r}")
        sentence = self.answer
        if task.preprocessor is None:
            if isinstance(sentence, str):
                raise ValueError(f"Without a preprocessor a sentence is given as token ids. Received: {sentence!r:.80}")
            sentence = [word for word in np.asarray(sentence).tolist() if word not in (0, task.start_id, task.end_id)]
            sentence = np.array([task.start_id, *sentence, task.end_id], "int32")
        name = task.sentence if task.preprocessor is not None else task._key
        self._ids = np.asarray(task.prepare({name: sentence}, (task.sentence,))[task._key])

    def scores(self, x):
        x = _tensors(x)
        rows = next(iter(x.values())).shape[0]
        ids = ops.convert_to_tensor(np.repeat(self._ids, rows, axis=0))
        logits = self.task({**x, self.task._key: ids}, training=False)[self.task.sentence][:, :-1]
        said = ops.one_hot(self._ids[0, 1:], logits.shape[-1], dtype="float32")
        said = said * ops.convert_to_tensor((self._ids[0, 1:] > 0).astype("float32"))[:, None]
        return ops.sum(ops.log_softmax(ops.cast(logits, "float32")) * said[None], axis=(1, 2))


class _OfPair(Explained):
    """The similarity of two modalities."""

    def __init__(self, task, record, target):
        if target is not None:
            raise ValueError(
                f"{type(task).__name__} compares the two modalities of the record: there is no `target` to choose. "
                f"Received: target={target!r}"
            )
        raw = task.preprocessor is not None
        held = [
            name
            for name in task.encoders
            if record.get(name if raw else task._keys_of(name)[0]) is not None and record.get(name + PRESENT, True)
        ]
        if len(held) != 2:
            raise ValueError(
                f"The record must have two of {list(task.encoders)}, whose similarity is explained. Received: {held}"
            )
        super().__init__(task, record, held)
        self.answer = float(ops.convert_to_numpy(self.scores(self.x))[0])

    def scores(self, x):
        x, embeddings = _tensors(x), []
        for name in self.keys:
            tower = self.task.tower(name, (name,))
            rows = x[self.keys[name]].shape[0]
            flags = {presence_key(name): ops.ones((rows,), "bool")}
            given = [x[tensor.name] if tensor.name in x else flags[tensor.name] for tensor in tower.inputs]
            embeddings.append(ops.cast(tower(given, training=False)[name], "float32"))
        if self.task.similarity == "cosine":
            embeddings = [ops.normalize(embedding, axis=-1) for embedding in embeddings]
        return ops.sum(embeddings[0] * embeddings[1], axis=-1)


def _tensors(x):
    return {name: ops.convert_to_tensor(value) for name, value in x.items()}


def _place(target, names):
    """Number of a class given by its name or its number."""
    if target in names:
        return names.index(target)
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if whole and 0 <= target < len(names) and not all(isinstance(name, int) for name in names):
        return int(target)
    raise ValueError(f"`target` must be one of {names!r:.200}, or its number. Received: target={target!r}")


def _word(part, token):
    marks = {part.start_id: "[START]", part.end_id: "[END]"}
    return marks.get(token) or part.decode([token]) or f"[{token}]"
