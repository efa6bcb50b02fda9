"""Ordered classes and numbers: the layer against its formula, the tasks on data whose truth is known."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras import layers as L
from tests.conformance.backend import array, gradients
from tests.conformance.cases import floats
from tests.unit.reference import sigmoid, weights_of


class TestOrdinal:
    def test_equals_the_formula(self):
        layer, x = L.Ordinal(4), floats(5, 3)
        layer.build((5, 3))
        kernel, first, gaps = np.array([[1.0], [-2.0], [0.5]]), np.array([-0.5]), np.array([0.2, -3.0])
        layer.set_weights([first, gaps, kernel] if layer.weights[0].shape == (1,) else [kernel, first, gaps])
        assert set(weights_of(layer)) == {"score/kernel", "first", "gaps"}
        cuts = np.cumsum([-0.5, np.log1p(np.exp(0.2)), np.log1p(np.exp(-3.0))])
        above = sigmoid(x @ kernel - cuts)
        expected = -np.diff(np.concatenate([np.ones((5, 1)), above, np.zeros((5, 1))], axis=1), axis=1)
        np.testing.assert_allclose(array(layer(x)), expected, atol=1e-5)

    @pytest.mark.parametrize("units", [2, 3, 7])
    def test_starts_without_a_favourite(self, units):
        np.testing.assert_allclose(array(L.Ordinal(units)(np.zeros((1, 4), "float32")))[0], 1 / units, atol=1e-5)

    def test_probabilities_whatever_the_weights(self):
        layer = L.Ordinal(5)
        layer.build((8, 3))
        for weight in layer.weights:
            weight.assign(10 * floats(*weight.shape, seed=3))
        p = array(layer(floats(8, 3)))
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        assert p.min() >= 0

    def test_extreme_scores_have_finite_slopes(self):
        layer = L.Ordinal(3)
        layer.build((2, 1))
        loss = keras.losses.SparseCategoricalCrossentropy()
        value, by_weights, by_x = gradients(
            lambda x: loss(np.array([0, 2]), layer(x[0])),
            layer.trainable_variables,
            [np.array([[300.0], [-300.0]], "float32")],
        )
        assert np.isfinite([value, *np.concatenate([g.ravel() for g in [*by_weights, *by_x]])]).all()

    def test_bad_units(self):
        with pytest.raises(ValueError, match=r"`units` must be an integer of at least 2. Received: units=1"):
            L.Ordinal(1)


def graded(rows, seed):
    """Five grades of a hidden quality, told by two noisy views."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=rows)
    x = {
        f"features_{name}": (quality[:, None] + 0.3 * rng.normal(size=(rows, 3))).astype("float32")
        for name in ("left", "right")
    }
    return x, np.digitize(quality, [-0.84, -0.25, 0.25, 0.84]), quality.astype("float32")


def encoders():
    return {f"features_{name}": mm.encoders.features((3,), normalize=False) for name in ("left", "right")}


def test_grades_are_learned_in_their_order():
    keras.utils.set_random_seed(0)
    (x, grade, _), (x_test, grade_test, _) = graded(400, 0), graded(400, 1)
    task = mm.models.MultimodalClassifier(encoders(), mm.layers.ConcatFusion(), classes=list("EDCBA"), ordinal=True)
    task.compile(optimizer=keras.optimizers.Adam(0.05))
    task.fit(x, grade, epochs=15, verbose=0)
    answers = task.predict(x_test, verbose=0)["label"].argmax(axis=1)
    assert (answers == grade_test).mean() > 0.7
    assert np.abs(answers - grade_test).max() <= 1
    record = {"features_left": np.full(3, 3.0), "features_right": np.full(3, 3.0)}
    assert task.classify(record)["label"] == "A"
    assert task.classify({key: -value for key, value in record.items()})["label"] == "E"


class TestRegressor:
    def test_learns_a_number(self):
        keras.utils.set_random_seed(0)
        (x, _, quality), (x_test, _, truth) = graded(400, 0), graded(400, 1)
        task = mm.models.MultimodalRegressor(encoders(), mm.layers.ConcatFusion())
        task.compile(optimizer=keras.optimizers.Adam(0.05))
        history = task.fit(x, quality, epochs=15, verbose=0).history
        assert set(history) == {"loss", "mae"}
        predicted = task.predict(x_test, verbose=0)["label"]
        assert mm.evaluation.regression_report(truth, predicted)["correlation"] > 0.97

    @pytest.mark.parametrize(("dim", "expected"), [(None, float), (2, list)])
    def test_estimate(self, dim, expected):
        task = mm.models.MultimodalRegressor(encoders(), dim=dim)
        record = {"features_left": np.ones(3), "features_right": np.ones(3)}
        answer = task.estimate(record)
        assert isinstance(answer, expected)
        assert task.estimate([record, record]) == [answer, answer]
        assert task.predict(task.prepare(record), verbose=0)["label"].shape == ((1,) if dim is None else (1, 2))

    def test_a_loaded_task_checks_labels_too(self, tmp_path):
        task = mm.models.MultimodalRegressor(encoders(), mm.layers.ConcatFusion())
        task.compile()
        x = {key: floats(4, 3) for key in encoders()}
        task.fit(x, np.arange(4), verbose=0)
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        with pytest.raises(ValueError, match=r"row 1 of 'label' holds .*nan"):
            loaded.fit(x, np.array([1.0, np.nan, 2.0, 3.0]), verbose=0)

    def test_weights_of_samples_count(self):
        task = mm.models.MultimodalRegressor(encoders(), mm.layers.ConcatFusion())
        task.compile()
        x, y = {key: floats(4, 3, seed=2) for key in encoders()}, np.array([1.0, 2.0, 3.0, 4.0])
        error = (array(task(x)["label"]) - y) ** 2
        for weights in ([1.0, 0, 0, 0], [0, 0, 2.0, 1.0]):
            found = task.evaluate(x, y, sample_weight=np.array(weights), verbose=0, return_dict=True)
            assert found["loss"] == pytest.approx((error * weights).mean(), abs=1e-4)
            assert found["mae"] == pytest.approx(np.average(error**0.5, weights=weights), abs=1e-4)

    def test_bounds_hold(self):
        task = mm.models.MultimodalRegressor(encoders(), mm.layers.ConcatFusion(), low=-3, high=3)
        task.get_layer("label").set_weights([100 * floats(6, 1), floats(1)])
        answers = task.predict({key: 100 * floats(20, 3, seed=2) for key in encoders()}, verbose=0)["label"]
        assert answers.min() >= -3
        assert answers.max() <= 3
        assert answers.max() - answers.min() > 5.9

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dim": 0}, "`dim` must be a positive integer or None. Received: dim=0"),
            ({"low": 1.0}, "Give both bounds, `low` below `high`, or neither. Received: low=1.0, high=None"),
            ({"low": 1.0, "high": 1.0}, "Give both bounds"),
        ],
    )
    def test_bad_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            mm.models.MultimodalRegressor(encoders(), **options)


class TestBadLabels:
    X = {"features_left": floats(3, 3), "features_right": floats(3, 3, seed=1)}  # noqa: RUF012, a constant

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0.0, np.nan, 1.0], "numbers in 0..1: row 1 of 'label' holds .*nan.*Received: 1 such rows of 3"),
            ([0, 1, 2], "numbers in 0..1: row 2 of 'label' holds .*2.*Received: 1 such rows of 3"),
            (["cat", "dog", "cat"], "row 0 of 'label' holds .*cat.*give class names to a Preprocessor"),
        ],
    )
    def test_of_a_classifier(self, labels, message):
        task = mm.models.MultimodalClassifier(encoders(), classes=2)
        task.compile()
        with pytest.raises(ValueError, match=message):
            task.fit(self.X, np.array(labels), verbose=0)

    def test_of_a_regressor(self):
        task = mm.models.MultimodalRegressor(encoders())
        task.compile()
        with pytest.raises(ValueError, match=r"row 2 of 'label' holds .*nan"):
            task.fit(self.X, np.array([0.0, 1.0, np.nan]), verbose=0)

    def test_a_loss_of_your_own_may_take_any(self):
        task = mm.models.MultimodalClassifier(encoders(), classes=2)
        task.compile(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=-1))
        task.fit(self.X, np.array([0, 1, -1]), verbose=0)

    def test_classes_in_another_order_than_the_preprocessor_has_them(self):
        """`Label` sorts what it learns: "low" would be read as 1 and answered as the second of the task's list."""
        pre = mm.preprocessing.Preprocessor(
            features_left=mm.preprocessing.Features(), label=mm.preprocessing.Label()
        ).adapt(mm.data.from_arrays(features_left=floats(3, 3), label=["low", "middle", "high"]))
        left = {"features_left": mm.encoders.features((3,))}
        with pytest.raises(ValueError, match=r"classes of 'label' as \['high', 'low', 'middle'\].*Received"):
            mm.models.MultimodalClassifier(left, classes=["low", "middle", "high"], ordinal=True, preprocessor=pre)

    def test_two_kinds_at_once(self):
        with pytest.raises(ValueError, match=r"choose `multi_label` or `ordinal`. Received: both"):
            mm.models.MultimodalClassifier(encoders(), classes=3, multi_label=True, ordinal=True)
