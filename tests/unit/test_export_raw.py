"""Every kind of raw value reaches a served model as it reaches the task: clips, sounds, series, graphs, absent ones."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.export import SavedModelRunner, encoder_of, served, to_saved_model
from mmkeras.export.replies import in_words, plain

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"),
]


def record(seed):
    rng = np.random.default_rng(seed)
    return {
        "video": rng.integers(0, 256, (5, 16, 16, 3), "uint8"),
        "audio": (0.3 * rng.normal(size=700)).clip(-1, 1).astype("float32"),
        "signal": rng.normal(size=(9 + seed, 2)).astype("float32"),
        "graph": {"nodes": rng.normal(size=(3, 4)).tolist(), "edges": [[0, 1], [1, 2]]},
        "features_face": rng.normal(size=6).astype("float32"),
        "question": ["what is it?", "who is there"][seed % 2],
        "label": ["yes", "no"][seed % 2],
    }


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """One task of all kinds, each optional, and its SavedModel."""
    keras.utils.set_random_seed(0)
    part, encoders = mm.preprocessing, mm.encoders
    train = [record(seed) for seed in range(4)]
    pre = part.Preprocessor(
        video=part.Video(4, (16, 16)),
        audio=part.Audio(1000, seconds=0.7),
        signal=part.Signal(12),
        graph=part.Graph(5),
        features_face=part.Features(),
        question=part.Text(length=6),
        label=part.Label(),
        optional=("video", "audio", "signal", "graph", "features_face", "question"),
    ).adapt(train)
    still = encoders.vgg(1, 4, convolutions=1, image_shape=(16, 16, 3), pooling="avg")
    task = mm.models.MultimodalClassifier(
        {
            "video": encoders.time_distributed(still),
            "audio": encoders.conv1d_audio(4, (8, 2), first_kernel_size=16),
            "signal": encoders.signal(2, 4),
            "graph": encoders.graph(pre["graph"].node_dim, 4, 1),
            "features_face": encoders.features((6,), 4),
            "question": encoders.lstm(pre["question"].num_tokens, 4),
        },
        mm.layers.ConcatFusion(),
        classes=pre["label"].classes,
        optional=pre.optional,
        preprocessor=pre,
    )
    # Untrained heads hardly tell samples apart.
    task.head("label").set_weights([20 * weight for weight in task.head("label").get_weights()])
    report = to_saved_model(task, tmp_path_factory.mktemp("kinds") / "task", records=train)
    return task, report, train


def test_each_kind_counts_and_travels(shipped):
    """Leaving out any one of them changes the answer, and the served answer is the task's."""
    task, report, train = shipped
    runner = SavedModelRunner(report.path)
    asked = [train[0], *({**train[0], name: None} for name in task.optional)]
    answers = runner.ask(asked)
    # Sound travels in 16 bits.
    expected = [list(answer["probabilities"].values()) for answer in task.classify(asked)]
    found = [answer["label_probabilities"] for answer in answers]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    for name, row in zip(task.optional, found[1:], strict=True):
        assert np.abs(np.array(row) - found[0]).max() > 1e-4, name


def test_what_travels_is_named_by_the_key_table(shipped):
    _, report, train = shipped
    request = encoder_of(report.path)(train[:2], "classify")
    kinds = {key: (values.dtype.kind, values.shape) for key, values in request.items()}
    assert kinds["frames_bytes"] == ("O", (2, 4))
    assert kinds["audio_bytes"] == ("O", (2,))
    assert request["audio_bytes"][0][:4] == b"RIFF"
    # The shorter series is padded.
    assert kinds["signal"] == ("f", (2, 10, 2))
    assert kinds["nodes"] == ("f", (2, 3, 4))
    assert kinds["adjacency"] == ("f", (2, 3, 3))
    assert kinds["features_face"] == ("f", (2, 6))
    assert kinds["signal_present"] == ("b", (2,))
    assert request["question"].tolist() == [b"what is it?", b"who is there"]
    absent = encoder_of(report.path)([{"video": train[0]["video"]}], "classify")
    assert absent["audio_bytes"].tolist() == [b""]
    assert not absent["signal_present"][0]


def test_mistakes_name_the_record(shipped):
    task, report, train = shipped
    with pytest.raises(ValueError, match="Record 1, 'features_face': expected features"):
        served(task.preprocessor, [train[0], {**train[1], "features_face": np.ones(5)}], ("features_face",))
    with pytest.raises(ValueError, match=r"Raw records are taken by \['classify', 'serving_default'\]"):
        encoder_of(report.path)(train, "predict")


def test_words_of_outputs():
    outputs = {
        "tags": np.array([[0.9, 0.2, 0.5]], "float32"),
        # Behind the end nothing is said.
        "token_ids": np.array([[[4, 5, 3, 4], [5, 0, 0, 0]]]),
        "scores": np.array([[0.5, 0.25]], "float32"),
    }
    replies = {
        "tags": {"kind": "classes", "names": ["a", "b", "c"]},
        "token_ids": {"kind": "sentence", "name": "text", "part": "text"},
    }
    pieces = {"text": ([b"", b"[UNK]", b"", b"", b"two", b"dogs"], b" ", False, 3)}
    answer = in_words(outputs, replies, pieces)
    assert plain(answer, 0) == {
        "tags": ["a", "", "c"],
        "tags_probabilities": pytest.approx([0.9, 0.2, 0.5]),
        "text": ["two dogs", "dogs"],
        "scores": [0.5, 0.25],
    }
