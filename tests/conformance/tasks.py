"""The registry of tasks: how to make one, what to feed it, what it must hold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import mmkeras as mm
from tests.conformance.cases import BATCH, FLAGS, clip, floats, pixels, sentences


@dataclass(frozen=True)
class TaskCase:
    """A task with non-default arguments, its inputs and targets, and the exact number of its weight arrays."""

    make: Callable
    x: dict
    y: np.ndarray
    weights: int


def _image():
    return mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 16, 3))


def _text():
    return mm.encoders.lstm(20, 8, embedding_dim=6)


def _everything():
    return mm.models.MultimodalClassifier(
        {"image": _image(), "text": _text(), "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16)},
        mm.layers.GatedFusion(8),
        classes=["cat", "dog", "owl"],
        dropout_rate=0.1,
        optional=("image", "text", "audio"),
        modality_dropout_rate=0.2,
    )


def _tags():
    return mm.models.MultimodalClassifier(
        {"text": _text(), "features_face": mm.encoders.features((6,))},
        mm.layers.AttentionFusion(1, 2),
        classes=4,
        multi_label=True,
    )


def _shared():
    text = _text()
    return mm.models.MultimodalClassifier(
        {"text": text, "question": text, "image": _image()}, mm.layers.ConcatFusion(), classes=3, optional=("question",)
    )


_PRESENCE = {"image_present": FLAGS, "text_present": ~FLAGS, "audio_present": np.array([True, False, False])}

TASKS = {
    "MultimodalClassifier": TaskCase(
        _everything,
        {"image": pixels(), "token_ids": sentences(), "audio": clip(240), **_PRESENCE},
        np.array([0, 1, 2]),
        # Encoders, null embeddings, projection of the audio to 8, gates, head.
        3 + 4 + 6 + 3 + 2 + 2 + 2,
    ),
    "MultimodalClassifier/tags": TaskCase(
        _tags,
        {"token_ids": sentences(), "features_face": floats(BATCH, 6)},
        np.array([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype="float32"),
        # Encoders, projection of the text to 5... see AttentionFusion, head.
        4 + 2 + 2 + 1 + 15 + 2 + 2,
    ),
    "MultimodalClassifier/shared": TaskCase(
        _shared,
        {
            "image": pixels(),
            "token_ids": sentences(),
            "question_token_ids": sentences(seed=1),
            "question_present": FLAGS,
        },
        np.array([0, 1, 2]),
        4 + 3 + 1 + 2,
    ),
    "MultimodalClassifier/control": TaskCase(
        lambda: mm.models.MultimodalClassifier({"image": _image()}, classes=3),
        {"image": pixels()},
        np.array([0, 1, 2]),
        3 + 2,
    ),
}
# The base has no behaviour of its own to check.
TASKS_WITHOUT_CASE = {"Task"}
