"""Features computed once: the same as computed anew, and what stands in the way is said."""

import pickle

import numpy as np
import pytest

import mmkeras as mm


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


def clips(count=10):
    return [{"video": f"clip{index}.mp4", "id": index, "label": index % 2} for index in range(count)]


def test_values_stand_in_the_records_and_are_computed_once(tmp_path):
    encode = Encode()
    cached = mm.data.cache_features(clips(), tmp_path, batch_size=4, video=encode)
    assert encode.seen == list(range(10))
    np.testing.assert_array_equal([record["video"] for record in cached], [[index, 2 * index] for index in range(10)])
    # The sound of a file is still that of the file.
    assert cached[3]["audio"] == "clip3.mp4"
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


def test_only_encoders_that_fit_are_replaced():
    task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,), 4)}, classes=2)
    with pytest.raises(ValueError, match=r"must give what the old one gives, \(None, 1, 4\)"):
        mm.training.replace_encoders(task, features=mm.encoders.features((6,), 5))
    with pytest.raises(ValueError, match="to be replaced"):
        mm.training.replace_encoders(task, image=mm.encoders.features((6,), 4))
    with pytest.raises(ValueError, match="Behind another encoder"):
        mm.encoders.chain(mm.encoders.features((6,), 4), mm.encoders.vgg(1, 4))
