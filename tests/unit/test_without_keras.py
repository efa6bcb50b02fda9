"""Where neither Keras nor TensorFlow is installed, the same parts make the same arrays out of the same raw values."""

import io
import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

import mmkeras as mm
from mmkeras.preprocessing import Audio, Features, Graph, Image, Label, Preprocessor, Signal, Text, Video
from tests.unit.media_files import make_clip

ROOT = pathlib.Path(__file__).parents[2]
WORDS = "A dog's ball, “rolling”", "zwei Hunde 🐕 und ein Ball", ""

# Prepares records by parts built from their configs, and says what came along with the package.
PROGRAM = """
import json, pickle, sys

sys.modules["keras"] = sys.modules["tensorflow"] = None
before = set(sys.modules)
import mmkeras as mm

brought = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
classes_and_configs, records = pickle.load(sys.stdin.buffer)
parts = {
    modality: getattr(mm.preprocessing, name).from_config(json.loads(config))
    for modality, (name, config) in classes_and_configs.items()
}
batches = []
for record in records:
    batches.append({})
    for modality, part in parts.items():
        prepared = part.array(part.read(record[modality])).astype(part.dtype)
        for kind, value in part.by_kind(prepared).items():
            batches[-1][mm.keys.prepared_key(modality, kind)] = value
refused = []
for attempt in (
    lambda: mm.models,
    lambda: mm.preprocessing.Text.from_config({"tokenizer": {"object": {}}}),
    lambda: parts["text"].graph("a dog"),
):
    try:
        attempt()
    except (AttributeError, ImportError) as error:
        refused.append(str(error))
together = mm.preprocessing.Preprocessor(**parts)(records)
pickle.dump((mm.__all__, brought, batches, together, refused), sys.stdout.buffer)
"""


def picture(form, size, **options):
    pil = pytest.importorskip("PIL.Image")
    scene = pil.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype="uint8"))
    buffer = io.BytesIO()
    scene.resize(size[::-1]).save(buffer, form, **options)
    return buffer.getvalue()


def sound(form, rate):
    soundfile = pytest.importorskip("soundfile")
    samples = 0.4 * np.sin(np.arange(rate // 2)[:, np.newaxis] * [0.1, 0.13])
    # No frequency is as silent as the rounding of float32.
    samples += np.random.default_rng(0).normal(0, 0.02, samples.shape)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form)
    return buffer.getvalue()


def make_records(folder):
    rng = np.random.default_rng(1)
    # More than twice as large as wanted and without thinned colours: decoders of JPEG then round alike.
    jpeg = picture("JPEG", (90, 130), quality=95, subsampling=0)
    (folder / "picture.jpg").write_bytes(jpeg)
    (folder / "sound.wav").write_bytes(sound("WAV", 11025))
    arrays = rng.integers(0, 256, (9, 37, 23, 3), dtype="uint8")
    images = str(folder / "picture.jpg"), picture("PNG", (33, 50)), arrays[0]
    videos = make_clip(), [jpeg, images[1]], arrays
    waves = rng.uniform(-0.5, 0.5, (4000, 2))
    sounds = str(folder / "sound.wav"), sound("FLAC", 8000), (waves, 22050)
    graphs = (
        {"nodes": ["C", "O", "C"], "edges": [(0, 1, 2.0), (1, 2)]},
        '{"nodes": ["O"], "edges": []}',
        {"nodes": [["C", "O"], "N"], "adjacency": np.eye(2)},
    )
    return [
        {
            "image": images[row],
            "video": videos[row],
            "text": WORDS[row],
            "audio": sounds[row],
            "speech": sounds[row],
            "signal": rng.normal(3.0, 2.0, (200 + row, 2)),
            "heartbeat": rng.normal(size=300),
            "features": rng.normal(5.0, 2.0, (4,)),
            "features_face": rng.normal(5.0, 2.0, (5 + row, 3)),
            "graph": graphs[row],
            "label": "dog" if row else "cat",
        }
        for row in range(3)
    ]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    pytest.importorskip("av")
    return make_records(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def pre(records):
    return Preprocessor(
        image=Image((40, 56), fit="pad"),
        video=Video(3, (24, 40), fit="crop"),
        text=Text(length=7),
        audio=Audio(8000, seconds=0.6),
        speech=Audio(8000, seconds=0.4, output="log_mel", num_mels=20, trim_db=30),
        signal=Signal(210, sample_rate=100, band=(2, 30)),
        heartbeat=Signal(normalize="window"),
        features=Features(),
        features_face=Features(6),
        graph=Graph(3),
        label=Label(),
    ).adapt(records)


@pytest.fixture(scope="module")
def child(pre, records):
    """What the program answers; one process for all tests."""
    inputs = {name: part for name, part in pre.parts.items() if part.kind is not None}
    given = {name: (type(part).__name__, json.dumps(part.get_config())) for name, part in inputs.items()}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=pickle.dumps((given, records)), capture_output=True, cwd=ROOT
    )
    assert finished.returncode == 0, finished.stderr.decode()[-3000:]
    return pickle.loads(finished.stdout)


def test_what_is_there(child):
    names, brought, _, _, _ = child
    assert set(names) <= set(mm.__all__)
    assert {"data", "keys", "preprocessing"} <= set(names)
    assert not {"encoders", "layers", "models"} & set(names)
    # Nothing that a small machine lacks.
    assert {name for name in brought if "cython" not in name} == {"mmkeras", "numpy"}


def test_the_same_arrays(child, pre, records):
    _, _, batches, together, _ = child
    # Pictures and sound are sums of float32 numbers, in whatever order.
    tolerances = {"image": 1, "frames": 1, "audio": 1e-5, "speech_spectrogram": 1e-5}
    for row, (record, got) in enumerate(zip(records, batches, strict=True)):
        expected = pre(record)
        assert set(got) == set(expected)
        for key, value in expected.items():
            assert got[key].dtype == value.dtype
            np.testing.assert_allclose(got[key], value[0], rtol=0, atol=tolerances.get(key, 0), err_msg=key)
            room = tuple(map(slice, got[key].shape))
            np.testing.assert_array_equal(together[key][row][room], got[key], err_msg=key)
    for key in ("image", "frames"):
        differing = [got[key] != pre(record)[key][0] for record, got in zip(records, batches, strict=True)]
        assert np.mean([each.mean() for each in differing]) < 0.02
        assert all(got[key].std() > 10 for got in batches)


def test_what_is_not_there_is_named(child):
    room, tokenizer, graph = child[-1]
    assert "mmkeras.models is not there" in room
    assert "Install keras" in room
    assert "pip install keras-nlp" in tokenizer
    assert "needs TensorFlow" in graph
