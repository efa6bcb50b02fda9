"""What was trained answers elsewhere as it does here: SavedModel, TFLite, ONNX, and what lies beside them."""

import errno
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import namedtuple

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.export import ExportError, LiteRunner, saved_model, tflite, to_onnx, to_saved_model, to_tflite
from mmkeras.export.c_api import ServedModel
from mmkeras.export.messages import read_warm_up
from mmkeras.export.placing import placed
from mmkeras.export.report import compare

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:.*have none of"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"),
]
SENTENCES = ["a dog runs", "the cat sat", "two dogs", "a bird", "one cat", "a dog sat"]
LABELS = ["dog", "cat", "dog", "bird", "cat", "dog"]


def jpeg(seed, side=24):
    from PIL import Image

    levels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), "uint8")
    data = io.BytesIO()
    Image.fromarray(levels.repeat(side // 4, 0).repeat(side // 4, 1)).save(data, "JPEG")
    return data.getvalue()


def records(**more):
    return [
        {"image": jpeg(row), "text": text, "label": label, **more}
        for row, (text, label) in enumerate(zip(SENTENCES, LABELS, strict=True))
    ]


def classifier():
    keras.utils.set_random_seed(1)
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((16, 16)),
        text=mm.preprocessing.Text(length=6),
        label=mm.preprocessing.Label(),
        optional=("text",),
    ).adapt(records())
    encoders = {
        "image": mm.encoders.vgg(1, 8, image_shape=(16, 16, 3)),
        "text": mm.encoders.lstm(pre["text"].num_tokens, 8),
    }
    return mm.models.MultimodalClassifier(
        encoders, classes=pre["label"].classes, optional=("text",), preprocessor=pre, name="pets"
    )


def captioner():
    keras.utils.set_random_seed(2)
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((16, 16)), text=mm.preprocessing.Text(length=6)
    ).adapt(records())
    decoder = mm.layers.LSTMDecoder(pre["text"].num_tokens, 16)
    task = mm.models.ImageCaptioner(mm.encoders.vgg(1, 8, image_shape=(16, 16, 3)), decoder, preprocessor=pre)
    # Words far apart from each other, and pictures that are told apart.
    task.set_weights([4 * weight for weight in task.get_weights()])
    return task


def numbers():
    return mm.models.MultimodalClassifier({"features": mm.encoders.features((6,), 8)}, classes=["cat", "dog"])


@pytest.fixture(scope="module")
def pets():
    return classifier()


@pytest.fixture(scope="module")
def pets_report(pets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "pets"
    return to_saved_model(pets, folder, records=records(), metrics={"accuracy": 0.5}, training_data=records())


@pytest.fixture(scope="module")
def pets_file(pets, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "pets.tflite"
    to_tflite(pets, path, records=records())
    return path


@pytest.fixture(scope="module")
def teller():
    return captioner()


def test_a_server_answers_files_as_the_task_does(pets, pets_report):
    """A picture's bytes and a sentence in, a name out; an empty string is what is absent."""
    model = ServedModel(pets_report.path)
    asked = records()[:3]
    texts = ["a dog runs", "", "two dogs"]
    found = model.run("classify", {"image_bytes": [record["image"] for record in asked], "text": texts})
    expected = pets.classify(
        [{"image": r["image"], "text": text or None} for r, text in zip(asked, texts, strict=True)]
    )
    assert found["label"].tolist() == [answer["label"].encode() for answer in expected]
    probabilities = np.array([list(answer["probabilities"].values()) for answer in expected])
    np.testing.assert_allclose(found["label_probabilities"], probabilities, atol=1e-6)
    np.testing.assert_allclose(found["label_score"], probabilities.max(axis=1), atol=1e-6)
    # Whether the text is there changes what is said of this picture.
    again = model.run("classify", {"image_bytes": [asked[1]["image"]], "text": ["the cat sat"]})
    assert np.abs(again["label_probabilities"][0] - probabilities[1]).max() > 1e-4


def test_signatures_are_what_a_client_expects(pets_report):
    signatures = ServedModel(pets_report.path).signatures
    assert set(signatures) == {"serving_default", "classify", "predict", "predict_missing"}
    assert signatures["serving_default"].inputs == {"image_bytes": ("string", (None,)), "text": ("string", (None,))}
    assert signatures["predict"].inputs == {
        "image": ("float32", (None, 16, 16, 3)),
        "token_ids": ("int32", (None, None)),
    }
    assert set(signatures["predict_missing"].inputs) == {"image", "token_ids", "text_present"}
    assert signatures["predict_missing"].inputs["text_present"] == ("bool", (None,))


def test_what_lies_beside_the_model(pets, pets_report):
    folder = pathlib.Path(pets_report.path)
    assert folder.name == "1"
    card = mm.export.read_card(folder)
    assert (card["task"], card["metrics"]) == ("MultimodalClassifier", {"accuracy": 0.5})
    assert card["training_data"] == {"records": 6, "keys": ["image", "label", "text"], "name": None}
    assert card["preprocessing"]["parts"]["text"]["config"]["vocabulary"] == pets.preprocessor["text"].vocabulary
    assert (folder / "assets/label_classes.txt").read_text().split() == ["bird", "cat", "dog"]
    warm_up = dict(read_warm_up(folder / "assets.extra/tf_serving_warmup_requests"))
    assert set(warm_up) == {"serving_default", "classify", "predict", "predict_missing"}
    model = ServedModel(folder)
    for name, request in warm_up.items():
        assert all(len(values) == 1 for values in model.run(name, request).values())


def test_versions_follow_each_other(pets_report, tmp_path):
    shutil.copytree(pathlib.Path(pets_report.path).parent, tmp_path / "pets")
    with pytest.raises(FileExistsError, match="another version or name"):
        to_saved_model(numbers(), tmp_path / "pets/1")
    before = (tmp_path / "pets/1/saved_model.pb").stat().st_mtime_ns
    report = to_saved_model(numbers(), tmp_path / "pets")
    assert pathlib.Path(report.path) == tmp_path / "pets/2"
    assert (tmp_path / "pets/1/saved_model.pb").stat().st_mtime_ns == before


def test_an_export_that_differs_leaves_nothing_behind(tmp_path, monkeypatch):
    """The comparison can fail, and what was there before stays."""
    (tmp_path / "pets/1").mkdir(parents=True)
    (tmp_path / "pets/1/kept").write_text("before")
    honest = saved_model.ask_saved_model

    def off(path, requests, **options):
        answers, times = honest(path, requests, **options)
        answers["predict"][0]["label"] = answers["predict"][0]["label"] + 0.01
        return answers, times

    monkeypatch.setattr(saved_model, "ask_saved_model", off)
    with pytest.raises(ExportError, match="'predict' is off by"):
        to_saved_model(numbers(), tmp_path / "pets/1", overwrite=True)
    assert [path.name for path in (tmp_path / "pets").iterdir()] == ["1"]
    assert (tmp_path / "pets/1/kept").read_text() == "before"


PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from mmkeras.export.placing import placed
from mmkeras.export.report import compare
with placed(sys.argv[2], overwrite=True) as aside:
    os.makedirs(aside)
    open(aside / "half", "w").write("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_end_of_the_process_leaves_the_old_version_whole(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/whole").write_text("old")
    # Placing needs no Keras, and the child comes up faster without.
    blocked = "import sys\nsys.modules['keras'] = None\n"
    child = subprocess.run([sys.executable, "-c", blocked + PROGRAM, str(ROOT), str(tmp_path / "1")], check=False)
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "1/whole").read_text() == "old"
    # What lies about is hidden, and no number: no server takes it for a version.
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path.name != "1")
    with placed(tmp_path / "1", overwrite=True) as aside:
        aside.mkdir()
        (aside / "whole").write_text("new")
    assert (tmp_path / "1/whole").read_text() == "new"


SWAP = """
import os, signal, sys
sys.modules["keras"] = None
sys.path.insert(0, sys.argv[1])
from mmkeras.export import placing
rename = os.rename
os.rename = lambda *paths: (rename(*paths), os.kill(os.getpid(), signal.SIGKILL))
with placing.placed(sys.argv[2], overwrite=True) as aside:
    os.makedirs(aside)
"""


def test_an_end_between_two_renames_is_mended_by_the_next_export(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/whole").write_text("old")
    child = subprocess.run([sys.executable, "-c", SWAP, str(ROOT), str(tmp_path / "1")], check=False)
    assert child.returncode == -signal.SIGKILL
    with pytest.raises(FileExistsError), placed(tmp_path / "1"):
        pass
    assert (tmp_path / "1/whole").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, pathlib.Path.touch])
def test_who_is_slower_replaces_nothing(make, tmp_path):
    """Two exports of one version: the second to end fails."""

    def slower():
        with placed(tmp_path / "1") as aside:
            make(aside)
            make(tmp_path / "1")
            first.append((tmp_path / "1").stat().st_ino)

    first = []
    with pytest.raises(FileExistsError):
        slower()
    assert (tmp_path / "1").stat().st_ino == first[0]


def test_a_card_of_another_file_is_refused(pets_file, tmp_path):
    for path in pets_file.parent.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "pets.tflite").write_bytes(pets_file.read_bytes() + b" ")
    with pytest.raises(ValueError, match="that of another file"):
        LiteRunner(tmp_path / "pets.tflite")


def test_files_of_others_are_not_replaced(tmp_path):
    (tmp_path / "t.json").write_text("annotations")
    with pytest.raises(FileExistsError, match=r"t\.json"):
        to_tflite(numbers(), tmp_path / "t.tflite")
    assert (tmp_path / "t.json").read_text() == "annotations"
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_what_is_off_is_seen_also_beside_other_words():
    """Another sentence may be said that is as likely; a less likely one is off, and what cannot be hides nothing."""
    ids = np.array([[[1, 2], [3, 4]]])

    def check(more, scores):
        expected = {"token_ids": ids, "scores": np.array([[-1.0, -1e9]], "float32")}
        return compare("beam", expected, {"token_ids": ids + more, "scores": np.array([scores], "float32")}, {}, {})

    assert check(0, [-1.001, -1e9]).relative_l2 == pytest.approx(1e-3, rel=0.1)
    assert check(0, [-1.0, -1e9]) == ("beam", 0, 0, 1, {})
    assert check(1, [-0.9, -5.0]) == ("beam", 0, 0, 0, {})
    assert check(1, [-1.5, -1e9]).relative_l2 == pytest.approx(0.5)
    for scores in ([-500.0, -1e9], [-1.0, -2.0], [np.nan, -1e9]):
        assert check(0, scores).relative_l2 > 100
    reply = {"label": {"kind": "class", "names": ["a", "b"]}}
    flipped = compare("classify", {"label": np.array([[0.4, 0.6]])}, {"label": np.array([[0.6, 0.4]])}, {}, reply)
    assert flipped.agreement == 0


def test_names_that_clash_are_refused():
    heads = {"mood": mm.layers.ClassHead(["sad", "glad"]), "mood_score": mm.layers.NumberHead()}
    task = mm.models.MultiTask({"features": mm.encoders.features((6,), 8)}, heads=heads)
    with pytest.raises(ValueError, match=r"rename the heads. Received: \['mood_score'\]"):
        to_saved_model(task, "nowhere")


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(OSError, match="bytes are needed, and 1,000 are free") as caught:
        to_saved_model(numbers(), tmp_path / "pets")
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "pets").iterdir()) == []


def test_sentences_of_a_server_and_of_a_phone_are_those_of_the_task(teller, tmp_path):
    """Greedy and beams, from JPEG bytes, by SavedModel and by TFLite."""
    pictures = [record["image"] for record in records()]
    # What is said about pictures is not needed to ship who says it.
    to_saved_model(teller, tmp_path / "teller", records=[{"image": picture} for picture in pictures])
    model = ServedModel(tmp_path / "teller/1")
    greedy = teller.generate(pictures)
    assert len(set(greedy)) > 1
    assert [text.decode() for text in model.run("generate", {"image_bytes": pictures})["text"]] == greedy
    beams = teller.generate(pictures, strategy=mm.generation.Beam(3, num_return=3))
    found = model.run("beam", {"image_bytes": pictures})
    assert [[text.decode() for text in row] for row in found["text"]] == beams
    assert found["scores"].shape == (6, 3)
    report = to_tflite(teller, tmp_path / "teller.tflite", records=records())
    assert report.operations["WHILE"] >= 2
    assert not [name for name in report.operations if name.startswith("custom ")]
    runner = LiteRunner(tmp_path / "teller.tflite")
    asked = [{"image": picture} for picture in pictures]
    assert [answer["text"] for answer in runner.ask(asked)] == greedy
    assert [answer["text"] for answer in runner.ask(asked, "beam")] == beams


CHILD = """
import json, pickle, sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
sys.path.insert(0, sys.argv[1])
import mmkeras as mm
records = pickle.load(sys.stdin.buffer)
answers = mm.export.LiteRunner(sys.argv[2]).ask(records)
print(json.dumps(answers))
"""


def test_a_machine_without_tensorflow_and_keras_answers(pets, pets_file):
    """Files and sentences in, names out, one modality missing."""
    import pickle

    asked = [{"image": r["image"], "text": r["text"]} for r in records()]
    asked[2]["text"] = None
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(ROOT), str(pets_file)],
        input=pickle.dumps(asked),
        capture_output=True,
        check=True,
    )
    answers = json.loads(child.stdout)
    for answer, expected in zip(answers, pets.classify(asked), strict=True):
        np.testing.assert_allclose(answer["label_probabilities"], list(expected["probabilities"].values()), atol=1e-5)
        assert answer["label"] == expected["label"]


def test_runner_says_what_is_wrong(pets_file, tmp_path):
    runner = LiteRunner(pets_file)
    with pytest.raises(ValueError, match=r"can be asked \['classify'\]"):
        runner.ask(records(), "generate")
    with pytest.raises(ValueError, match="Record 1, 'image': it is missing"):
        runner.ask([records()[0], {"text": "a dog"}])
    with pytest.raises(ValueError, match=r"'image' has the shape \[1, 16, 16, 3\]"):
        runner.run({"image": np.zeros((1, 8, 8, 3)), "token_ids": np.zeros((1, 6)), "text_present": [True]})
    shutil.copy(pets_file, tmp_path / "alone.tflite")
    with pytest.raises(FileNotFoundError, match="copy both together"):
        LiteRunner(tmp_path / "alone.tflite")


def test_a_card_that_names_files_elsewhere_is_refused(pets_file, tmp_path):
    card = json.loads(pets_file.with_suffix(".json").read_text())
    card["preprocessing"]["parts"]["text"]["config"]["vocabulary"] = {"file": "../../secret.txt"}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="beside it only"):
        mm.export.read_card(tmp_path / "card.json")


@pytest.mark.parametrize("quantize", ["dynamic", "float16"])
def test_quantized_files_are_smaller_and_near(quantize, tmp_path):
    keras.utils.set_random_seed(0)
    task = mm.models.MultimodalClassifier(
        {"features": mm.encoders.features((64,), 256)}, hidden_dim=256, classes=["cat", "dog", "owl"]
    )
    plain = to_tflite(task, tmp_path / "plain.tflite")
    small = to_tflite(task, tmp_path / "small.tflite", quantize=quantize)
    assert small.num_bytes < {"dynamic": 0.30, "float16": 0.55}[quantize] * plain.num_bytes
    assert 0 < small.checks[0].relative_l2 < 0.05


@pytest.mark.slow
def test_calibration_sees_what_is_missing(pets, tmp_path):
    """Full int8, by records of which some lack a modality."""
    seen = [{**record, "text": None if row % 2 else record["text"]} for row, record in enumerate(4 * records())]
    report = to_tflite(pets, tmp_path / "pets.tflite", quantize="int8", calibrate=seen)
    assert report.format == "tflite int8"
    assert report.checks[0].relative_l2 < 0.35


def test_int8_of_a_loop_says_the_way_round(teller, tmp_path):
    with pytest.raises(ExportError, match='quantize="dynamic"'):
        to_tflite(teller, tmp_path / "t.tflite", quantize="int8", calibrate=records(), signatures="generate")
    assert list(tmp_path.iterdir()) == []


def test_any_number_of_samples(pets, tmp_path):
    """Layers over time are unrolled for it, and rolled again afterwards."""
    to_tflite(pets, tmp_path / "pets.tflite", batch=None, records=records())
    runner = LiteRunner(tmp_path / "pets.tflite")
    answers = runner.ask(records())
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in pets.classify(records())]
    layers = pets._flatten_layers(recursive=True, include_self=False)
    assert not any(layer.unroll for layer in layers if isinstance(layer, keras.layers.RNN))


@keras.saving.register_keras_serializable(package="test_export")
class Likeliest(keras.layers.Layer):
    """What TFLite cannot have."""

    def call(self, x):
        return x + keras.ops.cast(keras.ops.argmax(x, axis=-1, keepdims=True), x.dtype)


def test_an_operation_that_tflite_lacks_is_named_with_its_layer(tmp_path):
    source = keras.Input((6,), name="features")
    encoder = keras.Model(source, Likeliest(name="likeliest")(source))
    task = mm.models.MultimodalClassifier({"features": encoder}, classes=["cat", "dog"])
    with pytest.raises(ExportError, match=r"(?s)BitwiseAnd.*likeliest.*top_k"):
        to_tflite(task, tmp_path / "t.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_vector_of_another_size_is_no_shorter_series(tmp_path):
    to_tflite(numbers(), tmp_path / "t.tflite")
    with pytest.raises(ValueError, match=r"'features' of one record has the shape \[6\]"):
        LiteRunner(tmp_path / "t.tflite").ask({"features": np.ones(8)})


def test_lengths_that_nothing_fixes_are_asked_for(tmp_path):
    task = mm.models.MultimodalClassifier({"text": mm.encoders.lstm(20, 8)}, classes=["cat", "dog"])
    with pytest.raises(ValueError, match="how large 'token_ids' is"):
        to_tflite(task, tmp_path / "t.tflite")
    report = to_tflite(task, tmp_path / "t.tflite", shapes={"token_ids": (7,)})
    runner = LiteRunner(report.path)
    # What is shorter is padded.
    short = runner.ask({"token_ids": np.array([3, 4, 5])})["label_probabilities"]
    expected = task.predict({"token_ids": np.array([[3, 4, 5]])}, verbose=0)["label"]
    np.testing.assert_allclose(short, expected[0], atol=1e-5)


def test_mixed_precision_ships_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        task = numbers()
    finally:
        keras.config.set_dtype_policy("float32")
    report = to_tflite(task, tmp_path / "t.tflite")
    served = to_saved_model(task, tmp_path / "t")
    x = np.random.default_rng(0).normal(size=(1, 6)).astype("float32")
    answers = [LiteRunner(report.path).run({"features": x}), ServedModel(served.path).run("predict", {"features": x})]
    assert all(answer["label"].dtype == "float32" for answer in answers)
    np.testing.assert_allclose(answers[0]["label"], answers[1]["label"], atol=0.02)


def test_onnx_runs_and_is_compared(pets, tmp_path):
    report = to_onnx(pets, tmp_path / "pets.onnx", records=records())
    assert report.checks[0].relative_l2 < 1e-4
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(tmp_path / "pets.onnx"))
    assert {source.name for source in session.get_inputs()} == {"image", "token_ids", "text_present"}
    # What is named alike on both sides has one name there.
    towers = {name: mm.encoders.features((6,)) for name in ("features_a", "features_b")}
    report = to_onnx(mm.models.JointEmbedding(towers, dim=4), tmp_path / "joint.onnx", signature="embed_features_b")
    session = onnxruntime.InferenceSession(report.path)
    assert [output.name for output in session.get_outputs()] == ["features_b_output"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int4"}, "`quantize` must be one of"),
        ({"quantize": "int8"}, "give `calibrate`"),
        ({"batch": 0}, "`batch` must be a positive integer or None"),
        ({"signatures": "generate"}, "A signature must be one of"),
        ({"path": "pets.lite"}, r"must end in \.tflite"),
    ],
)
def test_bad_arguments(arguments, message, pets, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_tflite(pets, **{"path": tmp_path / "p.tflite", **arguments})


def test_only_tasks_are_exported(pets, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"`model\.export`"):
        to_saved_model(keras.Sequential(), tmp_path / "m")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for export in (to_saved_model, to_tflite):
        with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
            export(pets, tmp_path / "m.tflite")


def test_a_file_with_code_in_it_is_not_loaded(tmp_path):
    """Keras' safe mode stands: what could run code of a stranger is refused."""
    source = keras.Input((6,), name="features")
    encoder = keras.Model(source, keras.layers.Lambda(lambda x: x + 1)(source))
    task = mm.models.MultimodalClassifier({"features": encoder}, classes=["cat", "dog"])
    task.save(tmp_path / "task.keras")
    with pytest.raises(ValueError, match="safe"):
        keras.saving.load_model(tmp_path / "task.keras")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/mmkeras_evil.txt"])
def test_a_file_that_reaches_outside_writes_nothing(name, tmp_path, monkeypatch):
    """Names in a `.keras` file that lead out of it are never followed."""
    numbers().save(tmp_path / "task.keras")
    with zipfile.ZipFile(tmp_path / "task.keras", "a") as archive:
        archive.writestr(name, "evil")
        archive.writestr(f"assets/{name}", "evil")
    # What is unpacked goes into a folder of this one.
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a/b"))
    with pytest.warns(UserWarning, match="invalid path"):
        keras.saving.load_model(tmp_path / "task.keras")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not pathlib.Path("/tmp/mmkeras_evil.txt").exists()


def test_tflite_process_knows_neither_tensorflow_nor_keras(pets_file, pets, monkeypatch):
    functions, sizes = tflite.fixed_functions(pets, pets.endpoints(), 1, None, records())
    requests = tflite.requests_of(pets, functions, records(), batch=1, shapes=sizes)
    told = []
    honest = tflite.run_child
    monkeypatch.setattr(tflite, "run_child", lambda *arguments: told.append(honest(*arguments)) or told[0])
    answers, times = tflite.ask(pets_file, requests, repeats=2)
    assert told[0]["imported"] == []
    assert len(answers["classify"]) == 6
    assert set(times["classify"]) == {1, 2}
