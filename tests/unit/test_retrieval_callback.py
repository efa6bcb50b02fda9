"""Retrieval on the whole validation set at the end of epochs: when, of which weights, and who sees it."""

import csv
import doctest
import inspect

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.retrieval import evaluate_task
from mmkeras.training import RetrievalCallback
from mmkeras.training import retrieval_callback as module
from tests.conformance import checks

NAMES = ("features_face", "features_voice")
WATCHED = "val_r@1_features_face_to_features_voice"


def data(rows=12):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(rows, 4)).astype("float32")
    return dict(zip(NAMES, (first, first @ rng.normal(size=(4, 3)).astype("float32")), strict=True))


def task(**compiling):
    made = mm.models.JointEmbedding({NAMES[0]: mm.encoders.features((4,)), NAMES[1]: mm.encoders.features((3,))}, dim=3)
    made.compile(**{"optimizer": keras.optimizers.Adam(0.05), "metrics": None, **compiling})
    return made


def fit(made, *callbacks, epochs=5, **options):
    return made.fit(data(), epochs=epochs, batch_size=4, callbacks=list(callbacks), verbose=0, **options)


@pytest.fixture
def scripted(monkeypatch):
    """What is measured, one value for each measurement; a list to fill."""
    values = []

    def measure(task, records, **options):
        assert options["ks"] == (1,)
        return {WATCHED.removeprefix("val_"): values.pop(0)}

    monkeypatch.setattr(module, "evaluate_task", measure)
    return values


class Reader(keras.callbacks.Callback):
    """Keeps the logs of each epoch, and what the model scores then."""

    def __init__(self):
        super().__init__()
        self.logs, self.scores, self.weights = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        self.weights.append([np.array(weight) for weight in self.model.get_weights()])
        self.scores.append(evaluate_task(self.model, mm.data.from_arrays(**data()), ks=(1, 3)))


def test_the_weights_of_the_epoch_are_measured_and_logged():
    made, reader = task(), Reader()
    found = RetrievalCallback(mm.data.from_arrays(**data()), ks=(1, 3))
    history = fit(made, found, reader, epochs=3, validation_data=data()).history
    assert list(found.results) == [0, 1, 2]
    assert found.results[0] != found.results[2]
    for epoch in range(3):
        assert found.results[epoch] == pytest.approx(reader.scores[epoch])
        logged = {key for key in reader.logs[epoch] if key not in ("loss", "val_loss")}
        assert logged == {
            f"val_{measure}_{a}_to_{b}"
            for measure in ("r@1", "r@3", "map", "median_rank")
            for a, b in (NAMES, NAMES[::-1])
        }
        for key in logged:
            assert history[key][epoch] == reader.logs[epoch][key] == found.results[epoch][key.removeprefix("val_")]
    assert found.results[2] == pytest.approx(evaluate_task(made, mm.data.from_arrays(**data()), ks=(1, 3)))


def test_the_arguments_of_the_evaluation():
    x = data()
    records = [{NAMES[0]: row, "label": index % 3} for index, row in enumerate(x[NAMES[0]])]
    records += [{NAMES[1]: row, "label": index % 3} for index, row in enumerate(x[NAMES[1]])]
    options = {"modalities": NAMES[::-1], "group_by": "label", "ks": (2, 4), "batch_size": 5}
    made, sizes = task(), []
    embed = made.embed

    def watched(modality, records, **options):
        sizes.append(len(records))
        return embed(modality, records, **options)

    made.embed = watched
    found = RetrievalCallback(iter(records), measures="precision", prefix="", **options)
    history = fit(made, found, epochs=2).history
    assert max(sizes) == 5
    expected = evaluate_task(made, records, **options)
    assert found.results[1] == pytest.approx(expected)
    # In the order that `modalities` gives.
    assert list(found.results[1]) == list(expected)
    wanted = {key for key in expected if key.startswith("precision@")}
    assert len(wanted) == 4
    assert set(history) == {"loss", *wanted}


def test_epochs_between_repeat_what_was_measured(scripted, tmp_path):
    """Measured after epochs 1, 3, 6 and the last, 8; the best, 0.5, is that of epoch 3."""
    scripted += [0.1, 0.5, 0.4, 0.2]
    found = RetrievalCallback([], ks=(1,), every=3)
    file = str(tmp_path / "{epoch}.weights.h5")
    best = keras.callbacks.ModelCheckpoint(
        file, monitor=WATCHED, mode="max", save_best_only=True, save_weights_only=True
    )
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = fit(task(), found, best, log, epochs=8).history
    assert history[WATCHED] == [0.1, 0.1, 0.5, 0.5, 0.5, 0.4, 0.4, 0.2]
    assert list(found.results) == [0, 2, 5, 7]
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["1.weights.h5", "3.weights.h5"]
    with open(tmp_path / "log.csv", newline="") as rows:
        assert [float(row[WATCHED]) for row in csv.DictReader(rows)] == history[WATCHED]


def test_early_stopping_counts_epochs(scripted):
    scripted += [0.5, 0.4, 0.6, 0.6, 0.5, 0.9]
    found = RetrievalCallback([], ks=(1,), every=2)
    stop = keras.callbacks.EarlyStopping(WATCHED, mode="max", patience=4, restore_best_weights=True)
    reader, made = Reader(), task()
    history = fit(made, found, stop, reader, epochs=20).history
    # Epochs 1, 2, 4, 6, 8 are measured; the best comes with 4, and 8 ends it.
    assert history[WATCHED] == [0.5, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6, 0.5]
    for weight, kept in zip(made.get_weights(), reader.weights[3], strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_each_fit_starts_anew(scripted):
    scripted += [0.1, 0.2, 0.3, 0.4]
    found, made = RetrievalCallback([], ks=(1,), every=10), task()
    assert fit(made, found, epochs=3).history[WATCHED] == [0.1, 0.1, 0.2]
    assert fit(made, found, epochs=6, initial_epoch=3).history[WATCHED] == [0.3, 0.3, 0.4]
    assert list(found.results) == [3, 5]


def test_averaged_weights_are_measured_behind_the_swap():
    """With one step an epoch the average is a_1 = w_1, then a_n = 0.8 a_n-1 + 0.2 w_n."""
    before, after = Reader(), Reader()
    found = RetrievalCallback(mm.data.from_arrays(**data()), ks=(1, 3))
    made = task(optimizer=keras.optimizers.Adam(0.3, use_ema=True, ema_momentum=0.8))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    made.fit(data(), epochs=4, batch_size=12, callbacks=[before, swap, found, after], verbose=0)
    averages = before.weights[0]
    for epoch in range(4):
        averages = [0.8 * old + 0.2 * new for old, new in zip(averages, before.weights[epoch], strict=True)]
        for average, weight in zip(averages, after.weights[epoch], strict=True):
            np.testing.assert_allclose(average, weight, rtol=1e-4, atol=1e-5)
        assert found.results[epoch] == pytest.approx(after.scores[epoch])
    assert any(found.results[epoch] != before.scores[epoch] for epoch in range(4))
    assert found.results[3] == pytest.approx(evaluate_task(made, mm.data.from_arrays(**data()), ks=(1, 3)))


def test_a_model_without_embeddings_is_refused_before_training():
    x = data()
    made = mm.models.MultimodalClassifier(
        {name: mm.encoders.features((x[name].shape[1],)) for name in NAMES}, classes=2
    )
    made.compile()
    weights = made.get_weights()
    with pytest.raises(ValueError, match=r"mm\.models\.JointEmbedding\. Received: MultimodalClassifier"):
        made.fit(x, np.zeros(12), callbacks=[RetrievalCallback(mm.data.from_arrays(**x))], verbose=0)
    for weight, old in zip(made.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_unknown_modalities_are_refused_before_training(scripted):
    with pytest.raises(ValueError, match=r"among \['features_face', 'features_voice'\]"):
        fit(task(), RetrievalCallback([], ks=(1,), modalities=("image", "text")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every` must be a whole number"),
        ({"ks": ()}, "`ks` must name"),
        ({"batch_size": 2.5}, "`batch_size` must be"),
        ({"measures": ()}, "`measures` must name some of"),
        ({"measures": ("r@1",)}, r"'median_rank'.*Received: measures=\('r@1',\)"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RetrievalCallback([], **options)


def test_docstring():
    checks.check_docstring(RetrievalCallback, checks.init_parameters(RetrievalCallback), with_example=True)
    names = {"mm": mm, "np": np, "RetrievalCallback": RetrievalCallback}
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(RetrievalCallback), names, "example", None, None)
    assert doctest.DocTestRunner().run(example).failed == 0
