"""What is said, without a mark where anything begins."""

import keras
import numpy as np
import pytest

import mmkeras as mm

SENTENCES = ["one", "pan", "a b", "eel"]


def spelled(sentence, seed=0):
    """A series in which each character stands for two steps, with a pause behind it."""
    x = 0.05 * np.random.default_rng([seed, *map(ord, sentence)]).standard_normal((24, 7)).astype("float32")
    for place, character in enumerate(sentence):
        bits = [int(bit) for bit in f"{ord(character) % 64:06b}"]
        x[4 * place + 1 : 4 * place + 3] += np.array([*bits, 1], "float32")
    return {"features_face": x, "text": sentence}


def records(count, seed=0):
    return [spelled(SENTENCES[row % 4], seed + row) for row in range(count)]


def make(**options):
    keras.utils.set_random_seed(0)
    text = mm.preprocessing.Text(split="character", mark_ends=False, length=6)
    parts = {"features_face": mm.preprocessing.Features(24), "text": text}
    pre = mm.preprocessing.Preprocessor(**parts, **options.pop("pre", {})).adapt(records(4))
    encoder = mm.encoders.features((24, 7), 32)
    return mm.models.Transcriber({"features_face": encoder}, preprocessor=pre, **options)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """What is said on unseen records while a task learns."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    folder = tmp_path_factory.mktemp("logs") if on_tensorflow else None
    return mm.training.SentenceCallback(records(8, seed=3000), every=20, num_samples=3, log_dir=folder)


@pytest.fixture(scope="module")
def trained(heard):
    task = make()
    task.compile(keras.optimizers.Adam(2e-2))
    task.fit(task.preprocessor.dataset(records(48), 8), epochs=45, callbacks=[heard], verbose=0)
    return task


def test_learns_to_spell(trained):
    unseen = records(8, seed=1000)
    plain = [record["features_face"] for record in unseen]
    assert trained.transcribe(plain) == [record["text"] for record in unseen]
    assert trained.transcribe(unseen, num_beams=5) == [record["text"] for record in unseen]
    best = trained.transcribe(unseen[0], num_beams=5, num_return=2)
    assert best[0] == "one"
    assert len(best) == 2


def test_a_saved_one_says_the_same(trained, tmp_path):
    trained.save(tmp_path / "task.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    unseen = records(4, seed=2000)
    assert loaded.transcribe(unseen) == trained.transcribe(unseen)
    data = trained.preprocessor.dataset(unseen, 4, shuffle=False)
    assert loaded.evaluate(data, verbose=0) == pytest.approx(trained.evaluate(data, verbose=0), rel=1e-4)


@pytest.mark.slow
def test_the_decoding_model_sees_what_was_learned_last():
    task = make()
    task.compile(keras.optimizers.Adam(1e-2))
    model = task.decoding()
    x = task.prepare(records(2))
    before = keras.ops.convert_to_numpy(model.predict_on_batch([x["features_face"]])["log_probabilities"])
    task.fit(task.preprocessor.dataset(records(8), 8), epochs=3, verbose=0)
    after = keras.ops.convert_to_numpy(task.decoding().predict_on_batch([x["features_face"]])["log_probabilities"])
    assert task.decoding() is model
    assert np.abs(after - before).min() > 1e-3


def test_without_a_preprocessor_it_says_ids():
    encoder = mm.encoders.features((24, 7), 8)
    task = mm.models.Transcriber({"features_face": encoder}, vocabulary_size=5)
    task.compile()
    x = {"features_face": np.ones((2, 24, 7)), "token_ids": np.array([[1, 2, 0], [3, 0, 0]])}
    assert np.isfinite(task.fit(x, verbose=0).history["loss"][0])
    said = task.transcribe({"features_face": np.ones((24, 7))})
    assert all(isinstance(word, int) and 0 < word < 5 for word in said)


def test_error_rates_are_measured_while_it_learns(trained, heard):
    said, true = trained.transcribe(heard.records), [record["text"] for record in heard.records]
    assert list(heard.results) == [0, 19, 39, 44]
    assert heard.results[44] == mm.evaluation.recognition_report(said, true)
    assert heard.samples == said[:3]
    history = trained.history.history
    assert history["val_word_error_rate"][0] > 0.9
    assert history["val_word_error_rate"][-1] == mm.evaluation.word_error_rate(said, true) < 0.3
    # Between measurements, what was measured last.
    for name in ("word_error_rate", "character_error_rate"):
        expected = [heard.results[epoch][name] for epoch in (0, 19, 39, 44)]
        assert history[f"val_{name}"] == np.repeat(expected, (19, 20, 5, 1)).tolist()


@pytest.mark.parametrize(
    ("held", "options", "message"),
    [
        (records(2), {"measures": ("bleu_4",)}, "for a Transcriber must name some of.*word_error_rate"),
        ([{**records(1)[0], "text": ["one", "won"]}], {}, "compared with one sentence.*won"),
        (records(2), {"measures": ("accuracy",)}, "of .*for a Transcriber"),
        (records(2), {"measures": ()}, "`measures`"),
    ],
)
def test_what_cannot_be_measured_is_said(held, options, message):
    task = make()
    task.compile()
    with pytest.raises(ValueError, match=message):
        task.fit(task.preprocessor(records(2)), callbacks=[mm.training.SentenceCallback(held, **options)], verbose=0)


@pytest.mark.tensorflow
def test_samples_are_written_for_tensorboard(trained, heard):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = EventAccumulator(str(heard.log_dir), size_guidance={"tensors": 0}).Reload()
    assert {"val_word_error_rate", "val_character_error_rate", "sentences"} <= set(written.Tags()["tensors"])
    text = written.Tensors("sentences")[-1].tensor_proto.string_val[0].decode()
    assert [f"| {heard.samples[row]} | {SENTENCES[row]} |" in text for row in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: mm.models.Transcriber({"text": mm.encoders.lstm(9)}), "needs no encoder"),
        (lambda: mm.models.Transcriber(mm.encoders.conv1d_audio(4, (4,))), "How many ids there are"),
        (lambda: make(vocabulary_size=3), "of at least"),
        (lambda: make(fusion=mm.layers.ConcatFusion()), "must keep tokens"),
        (lambda: make().transcribe([]), "At least one record"),
        (
            lambda: mm.models.Transcriber(
                mm.encoders.conv1d_audio(4, (4,)),
                preprocessor=mm.preprocessing.Preprocessor(
                    audio=mm.preprocessing.Audio(8000, seconds=1.0), text=mm.preprocessing.Text(vocabulary=["a"])
                ),
            ),
            "mark_ends=False",
        ),
    ],
)
def test_what_does_not_fit_is_said(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_what_is_said_must_be_given_to_learn():
    task = make()
    task.compile()
    with pytest.raises(ValueError, match="'token_ids', or be given as `y`"):
        task.fit({"features_face": np.ones((2, 24, 7))}, verbose=0)
