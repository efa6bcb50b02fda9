"""A SavedModel runs in TensorFlow's C library as it does in TensorFlow, here and in a process of its own."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.export import c_api
from mmkeras.export.c_api import ServedModel, pack, unpack
from mmkeras.export.packing import strings
from mmkeras.export.served_signatures import Signature, read_signatures
from tests.serving import small_model

pytestmark = pytest.mark.tensorflow
REQUESTS = dict(small_model.requests())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small_model.write(tmp_path_factory.mktemp("small") / "1")


@pytest.fixture(scope="module")
def model(path):
    with ServedModel(path) as model:
        yield model


@pytest.fixture(scope="module")
def expected(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return {
        name: {
            key: value.numpy()
            for key, value in loaded.signatures[name](**{key: tf.constant(value) for key, value in x.items()}).items()
        }
        for name, x in REQUESTS.items()
    }


def assert_same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)


def test_signatures(model, path):
    assert model.signatures == read_signatures(path)
    assert model.signatures == {
        "serving_default": Signature(
            {"x": ("float32", (None, 3)), "count": ("int32", (None,)), "flag": ("bool", (None,))},
            {"scores": ("float32", (None, 2)), "count": ("int32", (None,)), "flag": ("bool", (None,))},
        ),
        "say": Signature(
            {"text": ("string", (None,)), "image_bytes": ("string", (None,))},
            {
                "text": ("string", (None,)),
                "word": ("int64", (None,)),
                "twice_bytes": ("string", (None,)),
                "same_bytes": ("string", (None,)),
            },
        ),
        "shout": Signature({"text": ("string", (None, None))}, {"loud": ("string", (None, None))}),
    }


def test_signatures_are_those_that_tensorflow_reads(path):
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.dtypes import as_dtype

    graph = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]
    for name, signature in read_signatures(path).items():
        for side in ("inputs", "outputs"):
            theirs = {
                key: (
                    as_dtype(tensor.dtype).name,
                    tuple(None if d.size < 0 else d.size for d in tensor.tensor_shape.dim),
                )
                for key, tensor in getattr(graph.signature_def[name], side).items()
            }
            assert getattr(signature, side) == theirs


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_tensorflow_s(model, expected, name):
    assert_same(model.run(name, REQUESTS[name]), expected[name])


def test_lists_take_the_types_of_the_signature(model, expected):
    found = model.run("serving_default", {key: value.tolist() for key, value in REQUESTS["serving_default"].items()})
    assert_same(found, expected["serving_default"])
    assert model.run("shout", {"text": [["ä", b"dog"]]})["loud"].tolist() == [["ä".encode(), b"DOG"]]


def test_nothing_in_nothing_out(model):
    found = model.run("serving_default", {"x": np.zeros((0, 3), "float32"), "count": [], "flag": []})
    assert {key: value.shape for key, value in found.items()} == {"scores": (0, 2), "count": (0,), "flag": (0,)}
    assert model.run("say", {"text": [], "image_bytes": []})["text"].shape == (0,)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("speak", {}, r"has the signatures \['say', 'serving_default', 'shout'\]. Received: 'speak'"),
        ("shout", {}, r"'shout' takes the keys \['text'\]. Received: \[\]"),
        ("shout", {"text": [["a"]], "more": 1}, r"Received: \['more', 'text'\]"),
        ("shout", {"text": ["a"]}, r"Input shout/text must have the shape \(None, None\). Received: \(1,\)"),
        ("shout", {"text": [[1]]}, "Input shout/text: Strings must be text or bytes. Received: int 1"),
        ("serving_default", {"x": np.zeros((1, 3))}, "Input serving_default/x must be float32. Received: float64"),
        ("serving_default", {"x": [[1, 2]]}, r"the shape \(None, 3\). Received: \(1, 2\)"),
        ("serving_default", {"count": [1.5]}, "count must be int32. Received: float64"),
        ("serving_default", {"flag": [1]}, "flag must be bool. Received: int64"),
    ],
)
def test_bad_requests(model, name, inputs, message):
    if name == "serving_default":
        inputs = {**{key: value[:1] for key, value in REQUESTS[name].items()}, **inputs}
    with pytest.raises(ValueError, match=message):
        model.run(name, inputs)


def test_what_tensorflow_says(model):
    with pytest.raises(RuntimeError, match=r"could not run signature 'shout'.*at most 4 words"):
        model.run("shout", {"text": [["a"] * 5]})


def test_a_folder_without_a_model(tmp_path, path):
    with pytest.raises(ValueError, match=r"folder that holds saved_model\.pb"):
        ServedModel(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:-100])
    with pytest.raises(ValueError, match="must be a whole SavedModel"):
        ServedModel(tmp_path)
    shutil.copy(path / "saved_model.pb", tmp_path)
    with pytest.raises(RuntimeError, match=r"could not load the SavedModel.*It says: "):
        ServedModel(tmp_path)


def test_bad_arguments(path, tmp_path):
    with pytest.raises(ValueError, match=r"`threads` must be from 1 to 127\. Received: 0"):
        ServedModel(path, threads=0)
    with pytest.raises(RuntimeError, match="could not load the library of operations"):
        ServedModel(path, libraries=[tmp_path / "none.so"])


def test_without_tensorflow(monkeypatch):
    monkeypatch.setattr(c_api.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs TensorFlow's C library, .*Received: \[\] in \[\]"):
        c_api._Library()


def test_a_closed_model_says_so(path):
    model = ServedModel(path, threads=1)
    model.close()
    model.close()
    with pytest.raises(ValueError, match="must be open"):
        model.run("shout", {"text": [["a"]]})


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory as Linux tells it")
def test_requests_take_no_memory(path):
    """Twenty inputs of 6 MB, and outputs of 18 MB, leave less behind than either of them are: allocators keep some."""
    script = (
        "import sys; from c_api import ServedModel; model = ServedModel(sys.argv[1])\n"
        "def run(): model.run('say', {'text': [b'x' * 3_000_000] * 2, 'image_bytes': [b'y' * 3_000_000] * 2})\n"
        "def used(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "run(); run(); before = used()\n"
        "for _ in range(20): run()\n"
        "print((used() - before) // 1_000_000)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=os.path.dirname(c_api.__file__),
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(child.stdout) < 100


@pytest.mark.parametrize("isolated", [[], ["-I"]])
def test_a_child_process_of_this_file_alone(path, expected, tmp_path, isolated):
    asked, told = tmp_path / "requests.npz", tmp_path / "answers"
    np.savez(asked, **pack({f"{name}/{key}": value for name, x in REQUESTS.items() for key, value in x.items()}))
    command = [sys.executable, *isolated, c_api.__file__, str(path), str(asked), str(told)]
    command += ["--threads", "1", "2", "--repeats", "3", "--rows", "1"] if isolated else []
    environment = dict(os.environ)
    if isolated:
        # Nothing that the surroundings bring is imported, by the processes that are timed neither.
        (tmp_path / "numpy.py").write_text("raise SystemExit('not isolated')")
        environment["PYTHONPATH"] = str(tmp_path)
    child = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    report = json.loads(child.stdout)
    assert report["imported"] == []
    assert report["signatures"]["shout"] == {
        "inputs": {"text": ["string", [None, None]]},
        "outputs": {"loud": ["string", [None, None]]},
    }
    if isolated:
        assert {name: sorted(times) for name, times in report["milliseconds"].items()} == {
            name: ["1", "2"] for name in REQUESTS
        }
        assert all(0 < time < 1000 for times in report["milliseconds"].values() for time in times.values())
    else:
        assert report["milliseconds"] == {}
    with np.load(told, allow_pickle=False) as file:
        answers = unpack(file)
    for name, outputs in expected.items():
        assert_same({key.partition("/")[2]: answers[key] for key in answers if key.startswith(f"{name}/")}, outputs)


def test_a_child_process_fails_in_words(path, tmp_path):
    np.savez(tmp_path / "requests.npz", **pack({"speak/text": strings(["a"])}))
    command = [sys.executable, c_api.__file__, str(path), str(tmp_path / "requests.npz"), str(tmp_path / "answers.npz")]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert child.returncode != 0
    assert "has the signatures" in child.stderr.splitlines()[-1]


def test_packed_arrays_come_back(tmp_path):
    arrays = {
        "text": strings([["a", b"two\0\0"], [b"", bytes(range(256))]]),
        "scalar": strings("ä"),
        "none": strings([]),
        "no rows": np.empty((0, 4), object),
        "numbers": np.arange(6, dtype="int16").reshape(2, 3),
        "flag": np.array(True),
    }
    np.savez(tmp_path / "arrays.npz", **pack(arrays))
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as file:
        found = unpack(file)
    assert set(found) == set(arrays)
    for key, value in arrays.items():
        assert found[key].dtype == value.dtype
        assert found[key].shape == value.shape
        assert found[key].tolist() == value.tolist()
