"""When a clip decided, and where frames and sound looked."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, final

import keras
import numpy as np

from mmkeras.data.media.figure import import_figure
from mmkeras.layers import TimelineFusion
from mmkeras.models import VideoAudioModel

_THUMBNAILS = 12


@final
class ClipExplanation(NamedTuple):
    """Why a clip was answered as it was.

    Attributes:
        label: the answer.
        probability: how sure the task is of it.
        frame_importance: array (frame,): by how much the probability falls where a frame, and its neighbours by half,
            show the mean of the clip instead; None without frames.
        sound_importance: array (part,): the same where a part of the sound is silent; None without sound.
        attention: array (frame, sound token): where each frame looked in the sound, the mean over heads; None where
            the task has one stream or no attention.
        frames: the frames, (frame, height, width, 3); None without.
        audio: the sound, (sample,), or what else the encoder of sound is given; None without.

    Example:

    >>> why = ClipExplanation("crash", 0.9, np.array([0.0, 0.5]), None, None, None, None)
    >>> len(why.plot().axes)
    1
    """

    label: Any
    probability: float
    frame_importance: np.ndarray | None
    sound_importance: np.ndarray | None
    attention: np.ndarray | None
    frames: np.ndarray | None
    audio: np.ndarray | None

    def plot(self) -> Any:
        """Draw all of it over one axis of time: frames, what decided, the sound, and where frames looked in it.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig("clip.png")` saves it.
        """
        figure_class = import_figure()
        rows = {
            "frames": (self.frames is not None and self.frames.ndim == 4, 1.2),
            "seen": (self.frame_importance is not None, 0.8),
            "sound": (self.audio is not None and self.audio.ndim == 1, 0.8),
            "heard": (self.sound_importance is not None, 0.8),
            "looked": (self.attention is not None, 2.0),
        }
        shown = [name for name, (there, _) in rows.items() if there]
        figure = figure_class(figsize=(9, 0.6 + 1.3 * sum(rows[name][1] for name in shown)), layout="constrained")
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=[rows[name][1] for name in shown])[:, 0]
        for name, axis in zip(shown, axes, strict=True):
            getattr(self, f"_draw_{name}")(axis)
            axis.set_xlim(0, 1)
            axis.set_xticks([])
        axes[-1].set_xlabel("time")
        figure.suptitle(f"{self.label} ({100 * self.probability:.0f} %)")
        return figure

    def _draw_frames(self, axis):
        chosen = np.linspace(0, len(self.frames) - 1, min(_THUMBNAILS, len(self.frames))).round().astype(int)
        strip = np.concatenate([self.frames[index] for index in chosen], axis=1)
        axis.imshow(np.clip(strip, 0, 255).astype("uint8"), extent=(0, 1, 0, 1), aspect="auto")
        axis.set_yticks([])

    def _draw_seen(self, axis):
        _bars(axis, self.frame_importance, "frames that\ndecided")

    def _draw_sound(self, axis):
        axis.plot(np.linspace(0, 1, len(self.audio)), self.audio, linewidth=0.4, color="0.3")
        axis.set_ylabel("sound")
        axis.set_yticks([])

    def _draw_heard(self, axis):
        _bars(axis, self.sound_importance, "sound that\ndecided")

    def _draw_looked(self, axis):
        axis.imshow(self.attention.T, extent=(0, 1, 0, 1), aspect="auto", origin="lower", cmap="magma")
        axis.set_ylabel("where frames\nlooked in the sound")
        axis.set_yticks([])


def explain_clip(task: VideoAudioModel, record: Mapping[str, Any], *, head: str | None = None) -> ClipExplanation:
    """Find the frames and the parts of the sound that decided, and where frames looked in the sound.

    What decides is found by hiding: a frame gives way to the mean of all, a part of the sound to silence, and the
    probability of the answer falls or does not. It says what this answer hung on, not what is true.

    Args:
        task: a task with an answer about clips.
        record: a raw clip, or its inputs without a preprocessor.
        head: which of several answers; None takes the first.

    Returns:
        `ClipExplanation`.

    Example:

    >>> encoders = {
    ...     "video": mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3))),
    ...     "audio": mm.encoders.conv1d_audio(4, (16, 16)),
    ... }
    >>> task = mm.models.VideoAudioModel(encoders, classes=["calm", "crash"])
    >>> clip = {"frames": np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 3)), "audio": np.ones(2560) / 2}
    >>> why = explain_clip(task, clip)
    >>> why.frame_importance.shape, why.attention.shape
    ((5,), (5, 10))
    """
    if not isinstance(task, VideoAudioModel) or not task.classes:
        raise ValueError(f"`task` must be a VideoAudioModel with `classes`. Received: {task!r}")
    head = next(iter(task.classes)) if head is None else head
    if head not in task.classes or not hasattr(task.head(head), "names"):
        raise ValueError(f"`head` must name an answer of classes, among {list(task.classes)}. Received: head={head!r}")
    x = task.prepare(dict(record))
    before = np.asarray(keras.ops.convert_to_numpy(task.predict_on_batch(x)[head]))[0]
    best = int(before.argmax())
    importance, given = {}, {}
    for modality in ("video", "audio"):
        keys = task._keys_of(modality) if modality in task.encoders else []
        present = not keys or bool(np.all(x.get(f"{modality}_present", True)))
        given[modality] = np.asarray(x[keys[0]])[0] if keys and present else None
        importance[modality] = None
        if given[modality] is not None:
            after = []
            for hidden in _hidden(given[modality], modality):
                outputs = task.predict_on_batch({**x, keys[0]: hidden[None]})
                after.append(float(keras.ops.convert_to_numpy(outputs[head])[0, best]))
            importance[modality] = float(before[best]) - np.array(after)
    return ClipExplanation(
        task.head(head).names[best],
        float(before[best]),
        importance["video"],
        importance["audio"],
        None if given["video"] is None or given["audio"] is None else _attention(task, x),
        given["video"],
        given["audio"],
    )


def _hidden(value, modality, num_parts=16):
    """A series with one part of it hidden, each in turn."""
    there = np.flatnonzero(value.reshape(len(value), -1).any(axis=1))
    length = int(there[-1]) + 1 if len(there) else len(value)
    if modality == "video":
        filler, parts = value[:length].mean(axis=0), [(index, index + 1) for index in range(len(value))]
    else:
        edges = np.linspace(0, length, min(num_parts, length) + 1).astype(int)
        parts = list(itertools.pairwise(edges))
        # Silence that is no padding: of a spectrogram what is lowest in it.
        filler = np.full(value.shape[1:], 1e-6 if value.ndim == 1 else value[:length].min(), value.dtype)
    for begin, end in parts:
        hidden = value.copy()
        if begin < length:
            hidden[begin:end] = filler
            if modality == "video":
                for beside in (begin - 1, end):
                    if 0 <= beside < length:
                        hidden[beside] = (hidden[beside] + filler) / 2
        yield hidden


def _attention(task, x):
    """Where frames looked in the sound, (frame, token), or None."""
    fusion = task.fusion
    if not isinstance(fusion, TimelineFusion) or not fusion.num_heads or len(task._encodings) != 2:
        return None
    encode = keras.Model(task.inputs, task._encodings)
    given = [keras.ops.convert_to_tensor(x[tensor.name], dtype=tensor.dtype) for tensor in task.inputs]
    _, scores = fusion(encode(given, training=False), return_attention_scores=True, training=False)
    return None if scores["video"] is None else keras.ops.convert_to_numpy(scores["video"])[0].astype("float32").mean(0)


def _bars(axis, values, label):
    edges = np.arange(len(values)) / len(values)
    axis.bar(edges, values, width=1 / len(values), align="edge", color=np.where(values > 0, "tab:green", "tab:red"))
    axis.axhline(0, color="0.6", linewidth=0.6)
    axis.set_ylabel(label)
