"""The registry of tasks: how to make one, what to feed it, what it must hold."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

import mmkeras as mm
from tests.conformance.cases import BATCH, FLAGS, clip, floats, pixels, scene, sentences


@dataclass(frozen=True)
class TaskCase:
    """A task with non-default arguments, its inputs and targets, and the exact number of its weight arrays.

    `y` is None for a task that compares its modalities with each other; `metric` is what `fit` logs by default.
    """

    make: Callable
    x: dict
    y: np.ndarray | dict | None
    weights: int
    metric: str = "accuracy"


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
        mm.layers.AttentionFusion(num_layers=1, num_heads=2),
        classes=4,
        multi_label=True,
        hidden_dim=5,
    )


def _shared():
    text = _text()
    return mm.models.MultimodalClassifier(
        {"text": text, "question": text, "image": _image()}, mm.layers.ConcatFusion(), classes=3, optional=("question",)
    )


def _joint():
    return mm.models.JointEmbedding(
        {"image": _image(), "text": _text(), "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16)},
        mm.losses.SigmoidContrastive(0.2, -1.0),
        dim=6,
        hidden_dim=5,
        pooling="max",
        dropout_rate=0.1,
        pairs=[("text", "image"), ("audio", "image")],
        alignment=mm.losses.Adversarial(4),
        optional=("audio",),
    )


def _matched():
    return mm.models.JointEmbedding(
        {"image": _image(), "text": _text()}, mm.losses.InfoNCE(0.2), dim=6, matcher=mm.layers.CoAttention(num_heads=2)
    )


def _plain_distance():
    return mm.models.JointEmbedding(
        {"image": _image(), "text": _text()}, mm.losses.MarginContrastive(2.0, normalize=False), dim=6
    )


def _autoencoder():
    code = keras.Input((5,), name="code")
    return mm.models.AutoencoderEmbedding(
        {"image": _image(), "text": _text(), "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16)},
        {"audio": keras.Model(code, keras.layers.Dense(240, name="samples")(code))},
        dim=5,
        hidden_dim=6,
        pooling="max",
        distance="cosine",
        agreement_weight=0.5,
        cross_weight=2.0,
        pairs=[("text", "image"), ("audio", "image")],
        optional=("audio",),
    )


def _views():
    face, voice = mm.encoders.features((6,)), mm.encoders.features((4, 3))
    return mm.models.AutoencoderEmbedding(
        {"features_face": face, "features_voice": voice}, dim=5, optional=("features_face", "features_voice")
    )


def _grades():
    return mm.models.MultimodalClassifier(
        {"text": _text(), "features_face": mm.encoders.features((6,))},
        mm.layers.BilinearFusion(4, rank=2),
        classes=["low", "middle", "high"],
        ordinal=True,
    )


def _numbers():
    return mm.models.MultimodalRegressor(
        {"text": _text(), "graph": mm.encoders.graph(5, 8, 1)},
        mm.layers.FiLMFusion(by="text", num_layers=1),
        dim=2,
        low=-3.0,
        high=3.0,
        dropout_rate=0.1,
        optional=("graph",),
    )


def _asked():
    return mm.models.VisualQuestionAnswering(
        {"image": _image(), "question": mm.encoders.lstm(20, 8, embedding_dim=6, pooling="last")},
        answers=["yes", "no", "red"],
        hidden_dim=5,
        optional=("image",),
    )


def _several():
    return mm.models.MultiTask(
        {"text": _text(), "features_face": mm.encoders.features((6,))},
        mm.layers.ConcatFusion(),
        heads={
            "emotion": mm.layers.ClassHead(["sad", "glad", "calm"]),
            "strength": mm.layers.NumberHead(low=0.0, high=1.0),
            "tags": mm.layers.ClassHead(4, multi_label=True),
        },
        loss_weights="learned",
        hidden_dim=7,
        dropout_rate=0.1,
        optional=("text",),
        modality_dropout_rate=0.1,
    )


def _weighted():
    heads = {"label": mm.layers.ClassHead(3, ordinal=True), "place": mm.layers.NumberHead(2)}
    return mm.models.MultiTask({"text": _text()}, heads=heads, loss_weights={"place": 0.5})


def _said():
    return mm.models.SequenceTagger(
        {"text": _text(), "features_face": mm.encoders.features((None, 6), 5), "image": _still()},
        mm.layers.ConcatFusion(),
        classes=["negative", "positive"],
        context=keras.layers.LSTM(7, return_sequences=True),
        hidden_dim=6,
        dropout_rate=0.1,
        optional=("features_face",),
        modality_dropout_rate=0.2,
    )


def _seen_and_heard():
    return mm.models.VideoAudioModel(
        {
            "video": mm.encoders.time_distributed(_image()),
            "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16),
        },
        mm.layers.TimelineFusion(num_heads=2, window=2.0),
        classes={"event": ["calm", "crash"], "strength": mm.layers.NumberHead(low=0.0, high=1.0)},
        frame_classes=["nothing", "bounce", "break"],
        pooling="attention",
        hidden_dim=6,
        dropout_rate=0.1,
        optional=("video", "audio"),
        modality_dropout_rate=0.2,
    )


def _spoken():
    return mm.models.Transcriber(
        {
            "video": mm.encoders.time_distributed(_image()),
            "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16),
        },
        mm.layers.TimelineFusion(mm.layers.ConcatFusion(), num_heads=2, context=None),
        vocabulary_size=9,
        dropout_rate=0.1,
        optional=("audio",),
        modality_dropout_rate=0.2,
    )


def _film():
    """Frames, two of padding in the second row, and their sound."""
    frames = np.stack([pixels(seed=seed) for seed in range(4)], axis=1)
    frames[1, 2:] = 0
    return {"frames": frames, "audio": clip(320)}


def _still():
    return mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 16, 3), pooling="avg")


def _steps():
    """A label for each step, three steps in the second row."""
    x = {"token_ids": sentences(), "features_face": floats(BATCH, 6, 6), "image": pixels()}
    x["features_face"][1, 4:] = 0
    return x


def _captioned():
    return mm.models.ImageCaptioner(
        _image(),
        mm.layers.LSTMDecoder(20, 8, dim=6, dropout_rate=0.1),
        start_id=5,
        end_id=7,
        sampling_rate=0.2,
        optional=("image",),
        modality_dropout_rate=0.2,
    )


def _described():
    return mm.models.ImageCaptioner(
        {"image": _image(), "features_tags": mm.encoders.features((6,))},
        mm.layers.TransformerDecoder(20, 8, num_layers=1, num_heads=2),
        optional=("image", "features_tags"),
    )


def _filmed():
    return mm.models.VideoCaptioner(
        mm.encoders.time_distributed(_still(), 4),
        mm.layers.LSTMDecoder(20, 8, attention="multi_head", num_heads=2, tied=True),
    )


def _translated():
    return mm.models.Translator(
        {"text": _text(), "image": _image()},
        mm.layers.LSTMDecoder(20, 8),
        fusion=mm.layers.CoAttention(num_heads=2),
        optional=("image",),
    )


_PRESENCE = {"image_present": FLAGS, "text_present": ~FLAGS, "audio_present": np.array([True, False, False])}

TASKS = {
    "AutoencoderEmbedding": TaskCase(
        _autoencoder,
        {"image": pixels(), "token_ids": sentences(), "audio": clip(240), "audio_present": FLAGS},
        None,
        # Encoders, heads (linear, hidden, output, norm), decoders: four layers of the image, logits, samples.
        3 + 4 + 6 + 3 * 8 + 8 + 2 + 2,
        "recall_at_1_text_to_image",
    ),
    "AutoencoderEmbedding/views": TaskCase(
        _views,
        {
            "features_face": floats(BATCH, 6),
            "features_voice": floats(BATCH, 4, 3),
            "features_face_present": FLAGS,
            "features_voice_present": ~FLAGS | FLAGS[::-1],
        },
        None,
        # Encoders, linear heads, decoders of two dense layers.
        2 + 2 + 2 * 2 + 2 * 4,
        "recall_at_1_features_face_to_features_voice",
    ),
    "ImageCaptioner": TaskCase(
        _captioned,
        {"image": pixels(), "token_ids": sentences(), "image_present": FLAGS},
        None,
        # Encoder, null embedding, places, decoder (embedding, words, layer and its start, attention, output), rate.
        3 + 1 + 1 + 1 + 2 + 5 + 4 + 2 + 1,
    ),
    "ImageCaptioner/transformer": TaskCase(
        _described,
        {
            "image": pixels(),
            "token_ids": sentences(),
            "features_tags": floats(BATCH, 6),
            "image_present": FLAGS,
            "features_tags_present": ~FLAGS,
        },
        None,
        # Encoders, null embeddings, places, fusion, decoder (embedding, bias, a block, norm).
        3 + 2 + 2 * 1 + 1 + 20 + 1 + 1 + 4 * 2 + 2 * 7 + 4 + 2,
        "perplexity",
    ),
    "MultimodalClassifier": TaskCase(
        _everything,
        {"image": pixels(), "token_ids": sentences(), "audio": clip(240), **_PRESENCE},
        np.array([0, 1, 2]),
        # Encoders, null embeddings, projection of the audio to 8, gates, head, prior.
        3 + 4 + 6 + 3 + 2 + 2 + 2 + 2,
    ),
    "MultimodalClassifier/tags": TaskCase(
        _tags,
        {"token_ids": sentences(), "features_face": floats(BATCH, 6)},
        np.array([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype="float32"),
        # Encoders, projection of the text to 5... see AttentionFusion, hidden layer, head.
        4 + 2 + 2 + 1 + 15 + 2 + 2 + 2,
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
    "MultimodalClassifier/ordinal": TaskCase(
        _grades,
        {"token_ids": sentences(), "features_face": floats(BATCH, 6)},
        np.array([0, 1, 2]),
        # Encoders, factors, scale and thresholds.
        4 + 2 + 2 * 2 + 3,
    ),
    "MultiTask": TaskCase(
        _several,
        {"token_ids": sentences(), "features_face": floats(BATCH, 6), "text_present": FLAGS},
        {
            "emotion": np.array([0, 1, -1]),
            "strength": np.array([0.2, np.nan, 0.9], "float32"),
            "tags": np.array([[0, 1, 1, 0], [1, 0, 0, 0], [np.nan] * 4], "float32"),
        },
        # Encoders, null embedding, hidden layer, heads, weights given and learned.
        4 + 2 + 1 + 2 + 3 * 2 + 3 * 2,
        "emotion_accuracy",
    ),
    "MultiTask/weighted": TaskCase(
        _weighted,
        {"token_ids": sentences()},
        {"label": np.array([0, 1, 2]), "place": floats(BATCH, 2)},
        # Encoder, heads, weights given.
        4 + 3 + 2 + 2,
        "place_mae",
    ),
    "MultimodalRegressor": TaskCase(
        _numbers,
        {"token_ids": sentences(), **scene(), "graph_present": FLAGS},
        floats(BATCH, 2),
        # Encoders, null embedding, a modulated layer, norm, head.
        4 + 6 + 1 + 8 + 2 + 2,
        "mae",
    ),
    "SequenceTagger": TaskCase(
        _said,
        {**_steps(), "features_face_present": FLAGS},
        np.array([[0, 1, 0, 1, 1, 0], [1, 0, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1]]),
        # Encoders, null embedding, layer over time, hidden layer, head.
        4 + 4 + 3 + 1 + 3 + 2 + 2,
    ),
    "SequenceTagger/words": TaskCase(
        lambda: mm.models.SequenceTagger({"text": _text()}, classes=3, multi_label=True, context=None),
        {"token_ids": sentences()},
        (floats(BATCH, 6, 3) > 0).astype("float32"),
        4 + 2,
    ),
    "Transcriber": TaskCase(
        _spoken,
        {**_film(), "audio_present": FLAGS},
        # As many steps as frames: two in the second row.
        np.array([[1, 2, 0], [3, 0, 0], [4, 8, 0]]),
        # Encoders, null embedding, fusion, head.
        3 + 6 + 1 + 27 + 2,
        "loss",
    ),
    "VideoAudioModel": TaskCase(
        _seen_and_heard,
        {**_film(), "video_present": FLAGS, "audio_present": np.roll(FLAGS, 1)},
        {
            "event": np.array([0, 1, -1]),
            "strength": np.array([0.2, np.nan, 0.9], "float32"),
            "frame_label": np.array([[0, 1, 2, 1], [1, 0, 0, 0], [2, 1, 0, -1]]),
        },
        # Encoders, null embeddings, fusion, poolings, hidden layer, heads and their priors, weights of losses.
        3 + 6 + 2 + 35 + 2 * 3 + 2 + 3 * 2 + 3 * 2 + 3,
        "event_accuracy",
    ),
    "VideoAudioModel/frames": TaskCase(
        lambda: mm.models.VideoAudioModel({"video": mm.encoders.time_distributed(_image())}, frame_classes=3),
        {"frames": _film()["frames"]},
        np.array([[0, 1, 2, 1], [1, 0, 0, 0], [2, 1, 0, 2]]),
        # Encoder, fusion of one, head, weight of the loss.
        3 + 8 + 2 + 1,
    ),
    "Translator": TaskCase(
        _translated,
        {
            "token_ids": sentences(),
            "target_token_ids": sentences(seed=1),
            "image": pixels(),
            "image_present": FLAGS,
        },
        None,
        # Encoders, null embedding, places, fusion, decoder.
        4 + 3 + 1 + 1 + 2 * 11 + 1 + 2 + 5 + 4 + 2,
        "perplexity",
    ),
    "VideoCaptioner": TaskCase(
        _filmed,
        {"frames": np.stack([pixels(seed=seed) for seed in range(4)], axis=1), "token_ids": sentences()},
        None,
        # Encoder, places, decoder (embedding, bias, layer and its start, attention).
        3 + 1 + 1 + 1 + 5 + 11,
    ),
    "VisualQuestionAnswering": TaskCase(
        _asked,
        {"image": pixels(), "question_token_ids": sentences(), "image_present": FLAGS},
        np.array([0, 1, 2]),
        # Encoders, null embedding, two modulated layers, norm, hidden layer, head.
        3 + 4 + 1 + 2 * 8 + 2 + 2 + 2,
    ),
    "VisualQuestionAnswering/soft": TaskCase(
        lambda: mm.models.VisualQuestionAnswering(
            {"image": _image(), "question": mm.encoders.lstm(20, 8, embedding_dim=6)}, answers=["yes", "no"], soft=True
        ),
        {"image": pixels(), "question_token_ids": sentences()},
        np.array([[1, 0.3], [0, 1], [0.6, 0.6]], "float32"),
        3 + 4 + 2 * 8 + 2 + 2,
    ),
    "JointEmbedding": TaskCase(
        _joint,
        {"image": pixels(), "token_ids": sentences(), "audio": clip(240), "audio_present": FLAGS},
        None,
        # Encoders, heads (linear, hidden, output, norm), scale and bias, discriminator.
        3 + 4 + 6 + 3 * 8 + 2 + 4,
        "recall_at_1_text_to_image",
    ),
    "JointEmbedding/matcher": TaskCase(
        _matched,
        {"image": pixels(), "token_ids": sentences()},
        np.array([0, 1, 2]),
        # Encoders, heads, temperature; two attentions (two norms, query, key, value, output); hidden layer, answer.
        3 + 4 + 2 * 2 + 1 + 2 * (2 * 2 + 7) + 2 * 2,
        "recall_at_1_image_to_text",
    ),
    "JointEmbedding/distance": TaskCase(
        _plain_distance,
        {"image": pixels(), "token_ids": sentences()},
        np.array([0, 1, 1]),
        3 + 4 + 2 * 2,
        "recall_at_1_image_to_text",
    ),
}
# The bases have no behaviour of their own to check.
TASKS_WITHOUT_CASE = {"Endpoint", "EmbeddingTask", "FusionTask", "Sentence", "SentenceTask", "Task"}
