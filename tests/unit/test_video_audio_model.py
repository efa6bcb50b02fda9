"""Clips with their sound: what happens when, who makes it, and what is missing."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats

# Small series stand in for frames and sound: what they are encoded by is the encoders' own matter.
STEPS, SOUNDS = 8, 24


def _series(name, steps, dim):
    x = keras.Input((steps, dim), name=name)
    return keras.Model(x, keras.layers.Dense(8)(mm.layers.PaddingMask()(x)))


def make(fusion=None, streams=("video", "audio"), **options):
    keras.utils.set_random_seed(0)
    encoders = {"video": _series("frames", STEPS, 2), "audio": _series("audio", SOUNDS, 1)}
    options = (
        options if "classes" in options or "frame_classes" in options else {"classes": ["left", "right"], **options}
    )
    return mm.models.VideoAudioModel({name: encoders[name] for name in streams}, fusion, **options)


def flashes(rows, seed=0):
    """Two lamps flash twice each, at different moments; at each flash of one of them there is a click."""
    rng = np.random.default_rng(seed)
    frames, audio = np.full((rows, STEPS, 2), 0.1, "float32"), np.full((rows, SOUNDS, 1), 0.1, "float32")
    source = rng.integers(2, size=rows)
    for row in range(rows):
        moments = rng.permutation(STEPS)[:4].reshape(2, 2)
        for lamp in range(2):
            frames[row, moments[lamp], lamp] = 1.0
        audio[row, 3 * moments[source[row]] + 1] = 1.0
    return {"frames": frames, "audio": audio}, source


@pytest.fixture(scope="module")
def matched():
    task = make(mm.layers.TimelineFusion(dim=16))
    task.compile(keras.optimizers.Adam(1e-2))
    task.fit(*flashes(512), epochs=12, batch_size=64, verbose=0)
    return task


def _accuracy(task, x, y):
    return float((array(task(x)["label"]).argmax(axis=1) == y).mean())


def test_learns_what_is_only_in_both_at_the_same_time(matched):
    x, y = flashes(256, seed=1)
    assert _accuracy(matched, x, y) >= 0.97
    # Sound of other clips, and sound that comes late.
    others = {**x, "audio": np.roll(x["audio"], 1, axis=0)}
    assert 0.35 < _accuracy(matched, others, y) < 0.65
    late = {**x, "audio": np.roll(x["audio"], 6, axis=1)}
    assert _accuracy(matched, late, y) < 0.75


def test_one_stream_alone_answers_too():
    task = make(streams=("video",))
    x = {"frames": floats(3, STEPS, 2)}
    assert array(task(x)["label"]).shape == (3, 2)
    task = make(streams=("audio",), frame_classes=3)
    assert array(task({"audio": floats(3, SOUNDS, 1)})["frame_label"]).shape == (3, SOUNDS, 3)


def test_frames_of_padding_count_nowhere():
    task = make(frame_classes=["no", "yes"])
    task.compile()
    x = {"frames": np.abs(floats(3, STEPS, 2)) + 0.1, "audio": floats(3, SOUNDS, 1)}
    x["frames"][1, 5:] = 0
    y = np.array([[0, 1] * 4] * 3)
    y[2, 0] = -1
    other = y.copy()
    other[1, 5:] = 1 - other[1, 5:]
    logs = [task.evaluate(x, labels, verbose=0, return_dict=True) for labels in (y, other)]
    assert logs[0] == logs[1]
    p = array(task(x)["frame_label"])
    there = np.ones((3, STEPS), bool)
    there[1, 5:] = there[2, 0] = False
    expected = -np.log(np.take_along_axis(p, np.maximum(y, 0)[..., None], axis=-1)[..., 0])[there].mean()
    assert logs[0]["loss"] == pytest.approx(expected, abs=1e-5)
    assert [len(tags) for tags in task.tag([{key: value[row] for key, value in x.items()} for row in range(3)])] == [
        STEPS,
        5,
        STEPS,
    ]


def test_what_stands_behind_the_fusion_sees_no_padding():
    """A clip of five frames answers the same, however many frames of padding follow."""
    keras.utils.set_random_seed(0)
    encoders = {
        "video": mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3))),
        "audio": mm.encoders.conv1d_audio(4, (16, 16)),
    }
    rng = np.random.default_rng(0)
    frames, audio = rng.uniform(10, 255, (1, 5, 8, 8, 3)), rng.normal(0, 0.3, (1, 2560))
    longer = np.concatenate([frames, np.zeros((1, 4, 8, 8, 3))], axis=1), np.pad(audio, [(0, 0), (0, 2560)])
    for context in ("lstm", "transformer", None):
        for pooling in ("avg", "attention"):
            fusion = mm.layers.TimelineFusion(context=context)
            task = mm.models.VideoAudioModel(encoders, fusion, classes=3, pooling=pooling)
            short, padded = (array(task({"frames": x, "audio": y})["label"]) for x, y in ((frames, audio), longer))
            np.testing.assert_allclose(padded, short, atol=1e-5)


@pytest.mark.slow
def test_the_sound_alone_is_told_step_by_step_where_there_is_no_picture():
    task = make(frame_classes=["no", "yes"], optional=("video",))
    (tags, seen) = task.tag(
        [{"audio": floats(1, SOUNDS, 1)[0]}, {"frames": np.ones((STEPS, 2)), "audio": np.ones((24, 1))}]
    )
    assert len(tags) == len(seen) == STEPS


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        (mm.layers.NumberHead(), floats(3, STEPS)),
        (mm.layers.NumberHead(2), floats(3, STEPS, 2)),
        (mm.layers.ClassHead(3, multi_label=True), (floats(3, STEPS, 3) > 0).astype("float32")),
    ],
    ids=["number", "numbers", "labels"],
)
def test_frames_may_have_numbers_and_several_labels(head, labels):
    task = make(frame_classes={"each": head}, optional=("video",))
    task.compile()
    x = {"frames": np.abs(floats(3, STEPS, 2)), "audio": np.abs(floats(3, SOUNDS, 1))}
    found = task.evaluate(x, labels, verbose=0, return_dict=True)
    assert np.isfinite(list(found.values())).all()
    if isinstance(head, mm.layers.NumberHead):
        answers = array(task(x)["each"])
        assert found["mae"] == pytest.approx(float(np.abs(answers - labels).mean()), rel=1e-4)
    # The picture may be left out altogether.
    assert np.isfinite(task.evaluate({"audio": x["audio"]}, labels, verbose=0, return_dict=True)["loss"])


def test_a_still_picture_lasts_as_long_as_the_sound_and_no_longer():
    rates = {"video": 4, "audio": 12}
    task = make(mm.layers.TimelineFusion(dim=16, rates=rates), frame_classes=2, optional=("video", "audio"))
    frames, audio = np.zeros((STEPS, 2)), np.ones((SOUNDS, 1))
    frames[0] = 1
    audio[6:] = 0
    # Six sounds at 12 per second are two frames at 4.
    assert len(task.tag({"frames": frames, "audio": audio})) == 2
    assert len(task.tag({"audio": audio})) == 2
    assert len(task.tag({"frames": frames})) == 1


def test_a_clip_of_nothing_is_answered_by_the_prior():
    task = make(optional=("video", "audio"))
    with pytest.warns(UserWarning, match="none of"):
        assert task.classify({})["is_prior"]


def test_views_are_averaged():
    video = mm.preprocessing.Video(2, (8, 8))
    pre = mm.preprocessing.Preprocessor(video=video)
    still = mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), 2)
    task = mm.models.VideoAudioModel({"video": still}, classes=2, preprocessor=pre)
    record = {"video": np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3)).astype("uint8")}
    # Two parts of six frames each; two views take a quarter and three quarters of the way through each.
    expected = [
        array(task({"frames": record["video"][None, [first, first + 6]].astype("float32")})["label"])
        for first in (1, 4)
    ]
    found = task.predict_records(record, views=2)["label"]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-5)
    assert task.classify(record, views=2)["label"] in (0, 1)
    assert task.preprocessor is pre


def test_several_answers_come_by_name():
    task = make(classes={"place": ["left", "right"], "loudness": mm.layers.NumberHead(low=0, high=1)})
    answer = task.classify({"frames": np.ones((STEPS, 2)), "audio": np.ones((SOUNDS, 1))})
    assert set(answer) == {"place", "loudness"}
    assert answer["place"]["label"] in ("left", "right")


def test_what_decided_is_what_happens_at_once(matched):
    x, _ = flashes(12, seed=3)
    found = []
    for row in range(12):
        why = mm.interpret.explain_clip(matched, {"frames": x["frames"][row], "audio": x["audio"][row]})
        assert why.probability > 0.5
        assert why.frame_importance.shape == (STEPS,)
        assert why.attention.shape == (STEPS, SOUNDS)
        np.testing.assert_allclose(why.attention.sum(axis=1), 1, atol=1e-4)
        clicks = set((np.flatnonzero(x["audio"][row, :, 0] == 1) // 3).tolist())
        found.append(int(np.argmax(why.frame_importance)) in clicks)
    # Hiding a click's frame shows; the other lamp's flashes are the rest of the evidence.
    assert np.mean(found) > 0.6
    assert len(why.plot().axes) >= 3


def test_one_stream_is_explained_too():
    task = make(streams=("video",))
    why = mm.interpret.explain_clip(task, {"frames": np.ones((STEPS, 2))})
    assert why.sound_importance is None
    assert why.attention is None
    with pytest.raises(ValueError, match="head='what'"):
        mm.interpret.explain_clip(task, {"frames": np.ones((STEPS, 2))}, head="what")
    with pytest.raises(ValueError, match="VideoAudioModel with `classes`"):
        mm.interpret.explain_clip(make(frame_classes=2), {"frames": np.ones((STEPS, 2))})


def test_its_parts_serve_a_captioner(matched):
    task = mm.models.VideoCaptioner(matched.encoders, fusion=matched.fusion, units=8, vocabulary_size=20)
    x, _ = flashes(2)
    assert len(task.generate({"frames": x["frames"][0], "audio": x["audio"][0]}, max_length=4)) <= 4


@pytest.mark.slow
def test_its_parts_find_by_sentences_what_is_only_in_both_at_the_same_time(matched):
    frames, audio = keras.Input((STEPS, 2), name="frames"), keras.Input((SOUNDS, 1), name="audio")
    fused = matched.fusion({"video": matched.encoders["video"](frames), "audio": matched.encoders["audio"](audio)})
    clip = mm.encoders.finish([frames, audio], fused, pooling="avg")
    clip.trainable = False
    task = mm.models.JointEmbedding({"clip": clip, "text": mm.encoders.bag_of_words(4, 8)}, dim=8)
    task.compile(keras.optimizers.Adam(1e-2), metrics=None)
    sentences = np.array([[1, 2], [1, 3]])
    x, y = flashes(256)
    inputs = {"clip_frames": x["frames"], "clip_audio": x["audio"], "token_ids": sentences[y]}
    task.fit(inputs, y, batch_size=32, epochs=8, verbose=0)

    asked = task.embed("text", [{"token_ids": ids} for ids in sentences])
    unseen, y = flashes(128, seed=2)
    found = []
    for sound in (unseen["audio"], np.roll(unseen["audio"], 1, axis=0)):
        rows = zip(unseen["frames"], sound, strict=True)
        rows = [{"clip_frames": seen, "clip_audio": heard} for seen, heard in rows]
        clips = task.embed("clip", rows, batch_size=128)
        found.append(mm.retrieval.evaluate_pair(asked, clips, [0, 1], y, names=("text", "clip"), ks=(1, 10)))
    together, others = found
    assert together["r@1_clip_to_text"] >= 0.95
    assert together["precision@10_text_to_clip"] >= 0.95
    assert 0.35 < others["r@1_clip_to_text"] < 0.65


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: make(classes=None), "A clip, each frame, or both need an answer"),
        (lambda: make(classes={"a": 2}, frame_classes={"a": 2}), r"of a name of its own.*\['a'\]"),
        (lambda: make(classes="left"), "a number of classes, a list of names"),
        (lambda: make(mm.layers.ConcatFusion(), frame_classes=2), "needs a TimelineFusion"),
        (lambda: make(frame_classes=2).classify({"frames": np.ones((8, 2)), "audio": np.ones((24, 1))}), "`classes`"),
        (lambda: make().tag({"frames": np.ones((8, 2)), "audio": np.ones((24, 1))}), "`frame_classes`"),
        (lambda: mm.models.VideoAudioModel(mm.encoders.features((4,)), frame_classes=2), "`encoders` must be a dict"),
        (lambda: make().classify({"frames": np.ones((8, 2)), "audio": np.ones((24, 1))}, views=2), "a preprocessor"),
    ],
)
def test_what_does_not_fit_is_said(act, message):
    with pytest.raises(ValueError, match=message):
        act()
