"""Features computed once: the same as computed anew, and what stands in the way is said."""

import pathlib
import pickle

import numpy as np
import pytest

import mmkeras as mm
from tests.unit.media_files import make_clip


class Encode:
    """Two numbers per record, and how often they were asked for."""

    def __init__(self, bad=()):
        self.seen, self.bad = [], set(bad)

    def __call__(self, batch):
        self.seen += [record["id"] for record in batch]
        wrong = [record["id"] for record in batch if record["id"] in self.bad]
        if wrong:
            raise ValueError(f"clip {wrong[0]} is broken")
        return np.array([[record["id"], 2.0 * record["id"]] for record in batch], "float32")


def _until(last, bad):
    """An encoder that is cut off where it is asked for a record."""
    encode = Encode(bad)

    def see(batch):
        if any(record["id"] >= last for record in batch):
            raise RuntimeError("cut off")
        return encode(batch)

    return see


def clips(count=10):
    return [{"video": f"clip{index}.mp4", "id": index, "label": index % 2} for index in range(count)]


def test_values_stand_in_the_records_and_are_computed_once(tmp_path):
    encode = Encode()
    cached = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=encode)
    assert encode.seen == list(range(10))
    np.testing.assert_array_equal([record["video"] for record in cached], [[index, 2 * index] for index in range(10)])
    assert cached[3]["label"] == 1
    again = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=encode)
    assert len(encode.seen) == 10
    np.testing.assert_array_equal(again[7]["video"], cached[7]["video"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cached))[7]["video"], cached[7]["video"])
    train, _ = cached.split(0.5, seed=0)
    assert train[0]["video"].shape == (2,)


def test_goes_on_where_it_was_cut_off(tmp_path):
    class Stop(Exception):
        pass

    def cut_off(batch):
        if batch[0]["id"] >= 8:
            raise Stop
        return Encode()(batch)

    with pytest.raises(Stop):
        mm.data.cache_features(clips(), tmp_path, batch_size=4, video=cut_off)
    encode = Encode()
    cached = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=encode)
    assert encode.seen == [8, 9]
    np.testing.assert_array_equal([record["video"][0] for record in cached], np.arange(10))


def test_a_broken_record_is_left_out_and_named(tmp_path):
    with pytest.warns(UserWarning, match=r"skipped 2 of 10.*record 2.*clip 2 is broken"):
        cached = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=Encode(bad=[2, 9]))
    assert [record["id"] for record in cached] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert [int(record["video"][0]) for record in cached] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert len(cached.problems) == 2
    with pytest.raises(ValueError, match=r"strict.*clip 2"):
        mm.data.cache_features(clips(), tmp_path / "strict", strict=True, video=Encode(bad=[2]))
    with pytest.raises(ValueError, match="None of the records"):
        mm.data.cache_features(clips(2), tmp_path / "none", video=Encode(bad=[0, 1]))


def test_what_was_mended_is_computed_on_the_next_call(tmp_path):
    with pytest.warns(UserWarning, match="clip 2 is broken"):
        mm.data.cache_features(clips(), tmp_path, batch_size=4, video=Encode(bad=[2]))
    encode = Encode()
    cached = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=encode)
    assert encode.seen == [2]
    np.testing.assert_array_equal([record["video"][0] for record in cached], np.arange(10))
    # One is tried again though another with its number in it fails beside it.
    folder = tmp_path / "later"
    with pytest.raises(RuntimeError, match="cut off"):
        mm.data.cache_features(clips(14), folder, batch_size=4, video=_until(8, bad=[1]))
    with pytest.warns(UserWarning, match="skipped 1 of 14: records, record 12"):
        cached = mm.data.cache_features(clips(14), folder, batch_size=4, video=Encode(bad=[12]))
    assert [record["id"] for record in cached] == [index for index in range(14) if index != 12]
    # Nor does a function that was wrong spoil the folder.
    with pytest.raises(ValueError, match="None of the records"):
        mm.data.cache_features(clips(), tmp_path / "wrong", video=Encode(bad=range(10)))
    assert len(mm.data.cache_features(clips(), tmp_path / "wrong", video=Encode())) == 10


def test_the_first_broken_record_ends_a_strict_run(tmp_path):
    encode = Encode(bad=[1])
    with pytest.raises(ValueError, match="record 1"):
        mm.data.cache_features(clips(), tmp_path, batch_size=4, strict=True, video=encode)
    assert max(encode.seen) == 3


def test_paths_and_arrays_are_told_apart(tmp_path):
    for index, value in enumerate((pathlib.Path, lambda name: np.frombuffer(name.encode(), "uint8"), str.encode)):
        first, second = ([{"id": 0, "video": value(name)}] for name in ("a.mp4", "b.mp4"))
        mm.data.cache_features(first, tmp_path / str(index), video=Encode())
        with pytest.raises(ValueError, match="other records"):
            mm.data.cache_features(second, tmp_path / str(index), video=Encode())


def test_sound_stays_that_of_the_file_where_it_has_one(tmp_path):
    for name, sound in (("loud", "aac"), ("silent", None)):
        (tmp_path / f"{name}.mp4").write_bytes(make_clip(sound=sound, frames=5))
    films = [{"id": index, "video": str(tmp_path / f"{name}.mp4")} for index, name in enumerate(("loud", "silent"))]
    loud, silent = mm.data.cache_features(films, tmp_path / "cache", video=Encode())
    assert loud["audio"] == films[0]["video"]
    assert "audio" not in silent


def test_half_precision_is_kept_in_full(tmp_path):
    import ml_dtypes

    cached = mm.data.cache_features(clips(2), tmp_path, video=lambda b: Encode()(b).astype(ml_dtypes.bfloat16))
    assert cached[1]["video"].dtype == "float32"


def test_another_set_or_version_is_an_error(tmp_path):
    mm.data.cache_features(clips(), tmp_path, video=Encode(), version="first")
    with pytest.raises(ValueError, match=r"something else.*version"):
        mm.data.cache_features(clips(), tmp_path, video=Encode(), version="second")
    with pytest.raises(ValueError, match=r"something else.*records"):
        mm.data.cache_features(clips()[::-1], tmp_path, video=Encode(), version="first")
    with pytest.raises(ValueError, match=r"something else.*names"):
        mm.data.cache_features(clips(), tmp_path, audio=Encode(), version="first")


def test_what_the_function_must_give_is_said(tmp_path):
    with pytest.raises(TypeError, match="one row for each of 10"):
        mm.data.cache_features(clips(), tmp_path / "a", video=lambda batch: np.zeros(3))
    with pytest.raises(ValueError, match="one shape for all"):
        mm.data.cache_features(
            clips(), tmp_path / "b", batch_size=5, video=lambda b: np.zeros((len(b), b[0]["id"] + 1))
        )
    with pytest.raises(ValueError, match="a function"):
        mm.data.cache_features(clips(), tmp_path / "c")


def test_a_model_trained_on_features_is_one_on_frames(tmp_path):
    """What stands behind a frozen encoder is learned from features, and answers the same from frames."""
    frames = mm.preprocessing.Preprocessor(video=mm.preprocessing.Video(3, (8, 8)))
    rng = np.random.default_rng(0)
    films = [{"video": rng.integers(0, 255, (3, 8, 8, 3)).astype("uint8"), "label": row % 2} for row in range(6)]
    encoder = mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), 3)
    encoder.trainable = False

    def see(batch):
        return encoder.predict_on_batch(frames(batch)["frames"])

    seen = mm.data.cache_features(films, tmp_path, video=see)
    features = mm.preprocessing.Features(3, normalize=None)
    pre = mm.preprocessing.Preprocessor(video=features, label=mm.preprocessing.Label(2)).adapt(seen)
    head = mm.encoders.features((3, 4), 6)
    light = mm.models.VideoAudioModel({"video": head}, classes=2, pooling="attention", preprocessor=pre)
    light.compile()
    light.fit(pre.dataset(seen, 3), epochs=2, verbose=0)
    whole = mm.preprocessing.Preprocessor(video=frames["video"], label=pre["label"])
    task = mm.training.replace_encoders(light, whole, video=mm.encoders.chain(encoder, head))
    expected = light.predict_records(list(seen))["label"]
    np.testing.assert_allclose(task.predict_records(films)["label"], expected, atol=1e-5)


def test_what_is_shared_or_frozen_stays_so():
    shared, other = mm.encoders.features((6,), 4), mm.encoders.features((5,), 4)
    shared.get_layer("dense").trainable = False
    task = mm.models.MultimodalClassifier({"left": shared, "right": shared, "features": other}, classes=2)
    made = mm.training.replace_encoders(task, features=mm.encoders.features((7,), 4))
    assert made.encoders["left"] is made.encoders["right"]
    assert len(made.weights) == len(task.weights)
    assert [w.trainable for w in made.encoders["left"].weights] == [w.trainable for w in shared.weights]
    frozen = mm.encoders.features((8,), 5, pooling="avg")
    frozen.trainable = False
    made = mm.training.replace_encoders(task, features=mm.encoders.chain(frozen, mm.encoders.features((5,), 4)))
    trained = sum(weight.trainable for weight in made.encoders["features"].weights)
    assert trained == len(mm.encoders.features((5,), 4).trainable_weights)


def test_only_encoders_that_fit_are_replaced():
    task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,), 4)}, classes=2)
    with pytest.raises(ValueError, match=r"must give what the old one gives, \(None, 1, 4\)"):
        mm.training.replace_encoders(task, features=mm.encoders.features((6,), 5))
    with pytest.raises(ValueError, match="to be replaced"):
        mm.training.replace_encoders(task, image=mm.encoders.features((6,), 4))
    with pytest.raises(ValueError, match="Behind another encoder"):
        mm.encoders.chain(mm.encoders.features((6,), 4), mm.encoders.vgg(1, 4))
