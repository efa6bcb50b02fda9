"""Several answers from shared encoders."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats


def make(loss_weights=None, **options):
    heads = {"kind": mm.layers.ClassHead(["a", "b", "c"]), "size": mm.layers.NumberHead(), "tags": tags()}
    return mm.models.MultiTask(
        {"features": mm.encoders.features((4,), 8)}, heads=heads, loss_weights=loss_weights, **options
    )


def tags():
    return mm.layers.ClassHead(2, multi_label=True)


X = {"features": floats(4, 4)}
Y = {
    "kind": np.array([0, 2, 1, 1]),
    "size": np.array([0.5, -1.0, 2.0, 0.0], "float32"),
    "tags": np.array([[0, 1], [1, 1], [0, 0], [1, 0]], "float32"),
}


def parts(task, x=X, y=Y):
    """Losses by hand, each over the labels that are there."""
    p = {name: array(values).astype("float64") for name, values in task(x).items()}
    kind, size, tags = y["kind"], y["size"], y["tags"]
    hot = ~np.isnan(tags).any(axis=1)
    return {
        "kind": -np.log(p["kind"][np.arange(4), kind])[kind >= 0].mean(),
        "size": np.nanmean((p["size"] - size) ** 2),
        "tags": -(tags * np.log(p["tags"]) + (1 - tags) * np.log(1 - p["tags"]))[hot].mean(),
    }


@pytest.mark.parametrize(
    ("loss_weights", "factors"),
    [(None, {"kind": 1, "size": 1, "tags": 1}), ({"size": 0.5, "tags": 0.0}, {"kind": 1, "size": 0.5, "tags": 0})],
)
def test_loss_is_the_weighted_sum(loss_weights, factors):
    task = make(loss_weights)
    task.compile()
    logs = task.evaluate(X, Y, verbose=0, return_dict=True)
    expected = parts(task)
    assert logs["loss"] == pytest.approx(sum(factors[name] * value for name, value in expected.items()), abs=1e-5)
    for name, value in expected.items():
        assert logs[f"{name}_loss"] == pytest.approx(value, abs=1e-5)


def test_learned_weights_follow_the_formula():
    task = make("learned")
    task.compile()
    noise = {"kind": 0.5, "size": -1.0, "tags": 0.2}
    for weight in task.weights:
        if "log_variance" in weight.path:
            weight.assign(next(value for name, value in noise.items() if name in weight.path))
    expected = sum(np.exp(-noise[n]) * value + np.log1p(np.exp(noise[n])) for n, value in parts(task).items())
    assert task.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == pytest.approx(expected, abs=1e-5)
    assert task.loss_weight_values() == {n: pytest.approx(np.exp(-s)) for n, s in noise.items()}


def test_a_noisy_answer_comes_to_count_less():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype("float32")
    y = {
        "kind": (x[:, 0] > 0).astype(int),
        "size": rng.normal(size=256).astype("float32") * 5,
        "tags": (x[:, 1:3] > 0).astype("float32"),
    }
    task = make("learned")
    task.compile(keras.optimizers.Adam(0.02))
    task.fit({"features": x}, y, epochs=15, verbose=0)
    weights = task.loss_weight_values()
    assert weights["size"] < 0.5 < weights["kind"]


def test_labels_that_are_not_known_teach_nothing():
    unknown = {
        "kind": np.array([0, -1, 1, -1]),
        "size": np.array([np.nan, -1.0, 2.0, np.nan], "float32"),
        "tags": np.array([[0, 1], [np.nan, np.nan], [0, 0], [1, 0]], "float32"),
    }
    task = make()
    task.compile(keras.optimizers.SGD(0.1))
    logs = task.evaluate(X, unknown, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(sum(parts(task, X, unknown).values()), abs=1e-5)
    task.fit(X, unknown, verbose=0)
    assert all(np.isfinite(array(weight.value)).all() for weight in task.weights)
    # A batch without a single label moves nothing.
    before = [array(weight.value) for weight in task.weights]
    nothing = {
        "kind": np.full(4, -1),
        "size": np.full(4, np.nan, "float32"),
        "tags": np.full((4, 2), np.nan, "float32"),
    }
    task.train_on_batch(X, nothing)
    for old, weight in zip(before, task.weights, strict=True):
        np.testing.assert_array_equal(array(weight.value), old)


def test_whole_numbers_and_columns_are_labels_too():
    """Integers as tables give them, and one label per row in a column."""
    task = make()
    task.compile()
    y = {"kind": Y["kind"], "size": np.array([3, 4, 5, 6]), "tags": Y["tags"].astype(int)}
    columns = {**y, "kind": y["kind"][:, None], "size": y["size"][:, None]}
    assert np.isfinite(task.fit(X, y, batch_size=3, verbose=0).history["loss"]).all()
    one = task.evaluate(X, y, sample_weight=np.ones(4), verbose=0, return_dict=True)
    task.compile()
    other = task.evaluate(X, columns, sample_weight=np.ones((4, 1)), verbose=0, return_dict=True)
    assert one == pytest.approx(other, abs=1e-6)


def test_losses_of_ones_own_and_weights_of_samples():
    task = make()
    task.compile(
        loss={"kind": "sparse_categorical_crossentropy", "size": "mae", "tags": keras.losses.BinaryFocalCrossentropy()}
    )
    logs = task.evaluate(X, Y, sample_weight=np.array([1.0, 0, 0, 0]), verbose=0, return_dict=True)
    p = array(task(X)["size"])
    assert logs["size_loss"] == pytest.approx(abs(p[0] - Y["size"][0]), abs=1e-5)


def test_schedule_changes_weights_by_epoch():
    task = make({"size": 1.0})
    task.compile()
    schedule = mm.training.LossWeightSchedule({"size": lambda epoch: 0.5**epoch})
    history = task.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule]).history
    assert history["weight_size"] == [1.0, 0.5, 0.25]
    assert task.loss_weight_values()["size"] == 0.25


def test_saved_with_its_weights_of_losses(tmp_path):
    task = make("learned")
    task.compile()
    task.assign_loss_weights({"tags": 0.25})
    task.fit(X, Y, verbose=0)
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    assert loaded.loss_weight_values() == task.loss_weight_values()
    loaded.fit(X, Y, verbose=0)


def test_from_records_with_gaps_to_answers():
    records = [
        {"features": row, "kind": kind, "size": size}
        for row, kind, size in zip(X["features"], ["a", None, "c", "b"], [1.0, 2.0, None, float("nan")], strict=True)
    ]
    pre = mm.preprocessing.Preprocessor(
        features=mm.preprocessing.Features(),
        kind=mm.preprocessing.Label(may_miss=True),
        size=mm.preprocessing.Label(regression=True, may_miss=True),
    ).adapt(records)
    np.testing.assert_array_equal(pre.targets(records)["kind"], [0, -1, 2, 1])
    np.testing.assert_array_equal(pre.targets(records)["size"], [1.0, 2.0, np.nan, np.nan])
    task = mm.models.MultiTask(
        {"features": mm.encoders.features((4,), 8)},
        heads={"kind": mm.layers.ClassHead(pre["kind"].classes), "size": mm.layers.NumberHead()},
        preprocessor=pre,
    )
    task.compile()
    data = pre.dataset(records, 2, strict=True)
    assert np.isfinite(task.fit(data, verbose=0).history["loss"][0])
    answer = task.answer(records[1])
    assert answer["kind"]["label"] in "abc"
    assert isinstance(answer["size"], float)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mm.models.MultiTask({"features": mm.encoders.features((4,))}, heads={}), "`heads` must be a dict"),
        (lambda: make({"weight": 1.0}), r"`loss_weights` must be a dict by the names of the heads.*\['weight'\]"),
        (lambda: make("free"), r"Received: \['free'\]"),
        (lambda: make().compile(loss_weights={"size": 1.0}), r"The weights of the losses belong to the task"),
        (lambda: make().compile(loss={"size": "mae"}), r"Each head needs a loss"),
        (lambda: make().assign_loss_weights({"size": -1.0}), r"Weights of losses are numbers from 0 on"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"kind": Y["kind"], "size": Y["size"]}, r"Labels must be a dict by the names of the heads"),
        ({**Y, "kind": np.array([0, 3, 1, 1])}, r"row 1 of 'kind' holds .*3"),
    ],
)
def test_bad_labels(labels, message):
    task = make()
    task.compile()
    with pytest.raises(ValueError, match=message):
        task.fit(X, labels, verbose=0)
