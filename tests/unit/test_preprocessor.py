"""One object prepares the records of a pipeline, of raw-record methods and of a server, and the three agree."""

import importlib.util
import json
import pickle
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.preprocessing import Audio, Features, Image, Label, Preprocessor, Signal, Text, Video

RNG = np.random.default_rng(0)
WORDS = ["a dog runs", "two cats sit", "a cat", "the dog and the cat sleep", "birds"]


def array_records(count=20):
    rng = np.random.default_rng(0)
    return mm.data.from_arrays(
        image=rng.integers(0, 256, (count, 9, 7, 3), dtype="uint8"),
        text=[WORDS[row % 5] for row in range(count)],
        signal=rng.normal(size=(count, 30, 2)).astype("float32"),
        features_face=rng.normal(size=(count, 4)).astype("float32"),
        label=["dog" if row % 3 else "cat" for row in range(count)],
    )


@pytest.fixture
def pre():
    return Preprocessor(
        image=Image((9, 7)),
        text=Text(length=6),
        signal=Signal(32),
        features_face=Features(),
        label=Label(),
        optional=("text", "signal"),
    ).adapt(array_records())


class TestCall:
    def test_keys_shapes_and_dtypes(self, pre):
        batch = pre(list(array_records(3)))
        assert {key: (value.shape, str(value.dtype)) for key, value in batch.items()} == {
            "image": ((3, 9, 7, 3), "float32"),
            "token_ids": ((3, 6), "int32"),
            "text_present": ((3,), "bool"),
            "signal": ((3, 32, 2), "float32"),
            "signal_present": ((3,), "bool"),
            "features_face": ((3, 4), "float32"),
        }
        np.testing.assert_array_equal(batch["image"][1], array_records(3)[1]["image"])

    def test_one_record_has_a_batch_axis_too(self, pre):
        record = array_records()[4]
        for key, value in pre(record).items():
            np.testing.assert_array_equal(value, pre([record])[key])

    def test_what_is_missing_is_zero_and_flagged(self, pre):
        records = list(array_records(3))
        records[1] = {**records[1], "text": None}
        del records[2]["signal"]
        batch = pre(records)
        assert batch["text_present"].tolist() == [True, False, True]
        assert batch["signal_present"].tolist() == [True, True, False]
        assert not batch["token_ids"][1].any()
        assert not batch["signal"][2].any()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"image": None}, r"Record 1, 'image': it is missing: fill it in, or name it in `optional`"),
            ({"image": "nowhere.png"}, r"Record 1, 'image': no such file: 'nowhere.png'"),
            ({"features_face": [1.0, float("nan"), 0, 0]}, r"Record 1, 'features_face': .*NaN"),
            ({"text": 7}, r"Record 1, 'text': "),
        ],
    )
    def test_bad_values_are_named(self, pre, change, reason):
        records = list(array_records(2))
        records[1] |= change
        with pytest.raises(ValueError, match=reason):
            pre(records)

    def test_no_records(self, pre):
        with pytest.raises(ValueError, match="At least one record"):
            pre([])

    def test_targets(self, pre):
        records = list(array_records(4))
        assert pre.targets(records).tolist() == [0, 1, 1, 0]
        both = Preprocessor(text=Text(length=3), label=Label(["cat", "dog"]), answer=Label(["a", "b"])).adapt(records)
        targets = both.targets([{"label": "dog", "answer": "a"}])
        assert {name: value.tolist() for name, value in targets.items()} == {"label": [1], "answer": [0]}
        assert Preprocessor(image=Image()).targets(records) is None


class TestAdapt:
    def test_a_shared_part_learns_from_both_modalities(self):
        words = Text(length=4)
        pre = Preprocessor(text=words, question=words)
        pre.adapt([{"text": "a dog", "question": "what colour"}, {"question": "how many"}])
        assert {"dog", "colour", "many"} <= set(words.vocabulary)
        assert pre.key("question") == "question_token_ids"

    def test_what_has_nothing_to_learn_is_left_alone(self):
        pre = Preprocessor(text=Text(vocabulary=["dog"], length=4), label=Label(["no", "yes"]))
        assert pre.adapt([{"text": "cat", "label": "no"}])["text"].vocabulary[-1] == "dog"

    def test_before_adapt(self):
        with pytest.raises(ValueError, match="adapt"):
            Preprocessor(text=Text())({"text": "a dog"})


class TestConfig:
    def test_round_trip_keeps_everything_learned(self, pre):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(pre))
        records = list(array_records(3))
        for key, value in pre(records).items():
            np.testing.assert_array_equal(again(records)[key], value)
        assert again["label"].classes == ["cat", "dog"]
        assert again.optional == pre.optional

    def test_a_shared_part_stays_one(self):
        words = Text(vocabulary=["dog"])
        pre = Preprocessor(text=words, question=words)
        again = Preprocessor.from_config(pre.get_config())
        assert again["text"] is again["question"]

    def test_pickle(self, pre):
        records = list(array_records(2))
        pre(records)
        again = pickle.loads(pickle.dumps(pre))
        np.testing.assert_array_equal(again(records)["token_ids"], pre(records)["token_ids"])

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: Preprocessor(), "at least one part"),
            (lambda: Preprocessor(text=keras.layers.Dense(1)), "Parts are objects such as"),
            (
                lambda: Preprocessor(text=Text(), optional=("audio",)),
                r"here \['text'\]. Received: optional=\('audio',\)",
            ),
            (lambda: Preprocessor(label=Label()), "`optional` names modalities|input"),
        ],
    )
    def test_bad_arguments(self, make, reason):
        with pytest.raises(ValueError, match=reason):
            make()

    def test_unknown_part(self, pre):
        with pytest.raises(KeyError, match="No part for 'audio'; there are"):
            pre["audio"]


class TestTask:
    def task(self, pre, **arguments):
        encoders = {
            "text": mm.encoders.lstm(20, 8),
            "image": mm.encoders.vgg(1, 4, image_shape=(9, 7, 3)),
        }
        return mm.models.MultimodalClassifier(encoders, classes=["cat", "dog"], preprocessor=pre, **arguments)

    def pre(self):
        return Preprocessor(image=Image((9, 7)), text=Text(length=6), label=Label(), optional="text").adapt(
            array_records()
        )

    def test_a_task_learns_from_the_dataset_and_answers_raw_records(self):
        pre = self.pre()
        task = self.task(pre, optional=("text",))
        task.compile()
        task.fit(pre.dataset(array_records(), 4, seed=1), epochs=1, verbose=0)
        records = [*array_records(2), {"image": array_records()[0]["image"]}]
        assert [set(answer["probabilities"]) for answer in task.classify(records)] == [{"cat", "dog"}] * 3

    @pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
    def test_saved_with_the_task_it_answers_where_tensorflow_is_not(self, tmp_path):
        pre = self.pre()
        task = self.task(pre, optional=("text",))
        task.save(tmp_path / "task.keras")
        record = {"image": np.full((9, 7, 3), 90, "uint8"), "text": "a dog and a bird"}
        probabilities = task.classify(record)["probabilities"]
        program = f"""
            import importlib.abc, json, sys
            class Blocked(importlib.abc.MetaPathFinder):
                def find_spec(self, name, path=None, target=None):
                    if name.split(".")[0] in ("tensorflow", "tensorflow_text"):
                        raise ImportError(name)
            sys.meta_path.insert(0, Blocked())
            import keras, numpy as np
            import mmkeras as mm
            task = keras.saving.load_model({str(tmp_path / "task.keras")!r})
            print(task.preprocessor["text"].encode("a dog").tolist())
            record = {{"image": np.full((9, 7, 3), 90, "uint8"), "text": "a dog and a bird"}}
            print(json.dumps(task.classify(record)["probabilities"]))
        """
        finished = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env={"KERAS_BACKEND": "jax", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr[-2000:]
        lines = finished.stdout.strip().splitlines()
        assert lines[0] == str(pre["text"].encode("a dog").tolist())
        answered = json.loads(lines[1])
        np.testing.assert_allclose(list(answered.values()), list(probabilities.values()), atol=1e-5)

    def test_a_preprocessor_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match=r"optional modalities, \[\]. Received: .*optional=\['text'\]"):
            self.task(self.pre())
        with pytest.raises(
            ValueError, match=r"must make \['image', 'token_ids'\].*Received: one that makes \['image'\]"
        ):
            mm.models.MultimodalClassifier(
                {**self.task(None).encoders}, classes=["cat", "dog"], preprocessor=Preprocessor(image=Image((9, 7)))
            )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Records whose values are files: a JPEG, a wav at another rate, a clip's frames as pictures."""
    pil = pytest.importorskip("PIL.Image")
    soundfile = pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("files")
    records = []
    for row in range(6):
        picture, sound = folder / f"{row}.jpg", folder / f"{row}.wav"
        scene = RNG.integers(0, 256, (6, 8, 3), dtype="uint8")
        pil.fromarray(scene).resize((60 + row, 50)).save(picture, quality=90)
        time = np.arange(3000 + 400 * row) / 11025
        soundfile.write(sound, 0.4 * np.sin(2 * np.pi * (300 + 50 * row) * time), 11025)
        frames = []
        for frame in range(3):
            frames.append(str(folder / f"{row}_{frame}.png"))
            pil.fromarray(np.roll(scene, frame, axis=1)).save(frames[-1])
        records.append(
            {"image": str(picture), "audio": str(sound), "video": frames, "text": WORDS[row % 5], "label": row % 2}
        )
    records[3]["audio"] = None
    records[4]["text"] = None
    return records


@pytest.mark.tensorflow
@pytest.mark.parametrize("cut", [3, 20, 100, 400, -40])
def test_a_cut_picture_is_named_everywhere(tmp_path, cut):
    pil = pytest.importorskip("PIL.Image")
    path = tmp_path / "cut.jpg"
    pil.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype="uint8")).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    pre = Preprocessor(image=Image((8, 8)))
    with pytest.raises(ValueError, match=r"Record 1, 'image': it cannot be decoded: .*cut.jpg'"):
        pre([{"image": whole}, {"image": str(path)}])
    dataset = pre.dataset([{"image": whole}] * 3 + [{"image": str(path)}], 4)
    # Files and bytes are one wire form.
    with pytest.warns(UserWarning, match=r"record 3 \(.*cut.jpg\) \[image\]: it cannot be decoded: .+"):
        assert sum(len(x["image"]) for x in dataset) == 3


@pytest.mark.tensorflow
@pytest.mark.parametrize("output", ["waveform", "log_mel"])
def test_pipeline_call_and_exported_signature_agree(files, output, tmp_path):
    import tensorflow as tf

    pre = Preprocessor(
        image=Image((20, 24), fit="crop"),
        audio=Audio(8000, seconds=0.5, output=output),
        video=Video(4, (6, 8)),
        text=Text(length=6),
        label=Label([0, 1]),
        optional=("audio", "text"),
    ).adapt(files)
    called = pre(files)
    (piped, labels) = next(iter(pre.dataset(files, 6, shuffle=False)))

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.resources = pre["text"].resources

        @tf.function(input_signature=[pre.signature()])
        def __call__(self, inputs):
            return pre.graph(inputs)

    module = Served()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    requests = {
        "image_bytes": [pre["image"].read(record["image"]) for record in files],
        "audio_bytes": [b"" if r["audio"] is None else pre["audio"].read(r["audio"]) for r in files],
        "frames_bytes": [pre["video"].frames_bytes(record["video"]) for record in files],
        "text": [(record["text"] or "").encode() for record in files],
    }
    answered = served(**{key: tf.constant(value) for key, value in requests.items()})
    assert set(called) == set(piped) == set(answered)
    assert called["audio_present"].tolist() == [True, True, True, False, True, True]
    for key, value in called.items():
        tolerance = 1e-6 if value.dtype.kind == "f" else 0
        for other in (piped, answered):
            assert str(other[key].dtype.name) == str(value.dtype)
            np.testing.assert_allclose(other[key].numpy(), value, rtol=0, atol=tolerance, err_msg=key)
    assert labels.numpy().tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.tensorflow
def test_a_clip_brings_its_sound(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        pictures, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16000)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * number, "uint8"), format="rgb24")
            container.mux(pictures.encode(frame))
        samples = (0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype("float32")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(pictures.encode())
        container.mux(sound.encode())
    pre = Preprocessor(video=Video(4, (16, 16)), audio=Audio(16000, seconds=2.0))
    batch = pre({"video": str(path)})
    assert batch["frames"].shape == (1, 4, 16, 16, 3)
    assert 0.2 < np.sqrt(np.mean(batch["audio"][0, 4000:28000] ** 2)) < 0.5
    only_sound = Preprocessor(audio=Audio(16000, seconds=2.0))({"video": str(path)})
    np.testing.assert_allclose(only_sound["audio"], batch["audio"], atol=1e-6)
