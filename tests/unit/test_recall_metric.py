"""Recall at k in training: by hand, against `evaluate`, without state, and inside `fit`."""

import doctest

import keras
import numpy as np
import pytest

from mmkeras.metrics import RecallAtK
from mmkeras.retrieval import evaluate
from tests.conformance import checks

every_similarity = pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
CASES = [{}, {"k": 3, "buffer_size": 7, "dim": 4, "similarity": "euclidean", "name": "mine", "dtype": "float16"}]


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pairs(count, dim, noise=1.0, seed=0):
    first = floats(count, dim, seed=seed)
    return first, first + noise * floats(count, dim, seed=seed + 1)


def measure(metric, *batches):
    for batch in batches:
        metric.update_state(*batch)
    return float(metric.result())


def test_by_hand():
    """Queries along x, y and x + y; items along x, x and y. Ranks of their items: 1 or 2 (a tie counts), 3, 3."""
    first = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], "float32")
    second = np.array([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]], "float32")
    assert measure(RecallAtK(1), (first, second)) == 0.0
    assert measure(RecallAtK(2), (first, second)) == pytest.approx(1 / 3)
    # Items 0 and 1 belong together: nothing else is as near to query 0.
    assert measure(RecallAtK(1), (first, second, [5, 5, 8])) == pytest.approx(1 / 3)


def test_a_query_that_cannot_miss_does_not_count():
    """Four rows at k = 2; with groups 0, 0, 0, 1 the first three have one rival only, the last has three."""
    first, second = np.eye(4, dtype="float32"), np.eye(4, dtype="float32")
    assert measure(RecallAtK(4), (first, second)) == 0.0
    assert measure(RecallAtK(3), (first, second)) == 1.0
    assert measure(RecallAtK(2), (first, second[::-1].copy(), [0, 0, 0, 1])) == 0.0
    assert measure(RecallAtK(2), (first, second, [0, 0, 0, 1])) == 1.0
    assert measure(RecallAtK()) == 0.0


@every_similarity
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("groups", [None, 20])
def test_one_batch_equals_evaluate(similarity, k, groups):
    first, second = pairs(40, 8, noise=2.0)
    ids = None if groups is None else np.random.default_rng(0).integers(0, groups, 40)
    expected = evaluate(first, second, ids, ids, ks=(k,), similarity=similarity)[f"r@{k}"]
    assert 0 < expected < 1
    assert measure(RecallAtK(k, similarity=similarity), (first, second, ids)) == pytest.approx(expected)
    buffered = RecallAtK(k, similarity=similarity, buffer_size=50, dim=8)
    assert measure(buffered, (first, second, ids)) == pytest.approx(expected)


def test_batches_are_averaged_by_query():
    batches = [pairs(size, 8, noise=2.0, seed=size) for size in (7, 40)]
    expected = [measure(RecallAtK(3), batch) for batch in batches]
    assert measure(RecallAtK(3), *batches) == pytest.approx((7 * expected[0] + 40 * expected[1]) / 47)
    metric = RecallAtK(3)
    measure(metric, batches[0])
    metric.reset_state()
    assert measure(metric, batches[1]) == pytest.approx(expected[1])


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("size", [7, 90])
def test_a_buffer_does_not_depend_on_the_batch_size(size, given):
    """The newest 50 of 90 pairs are the pool, however they came."""
    first, second = pairs(90, 8, noise=2.0)
    groups = np.arange(90) // 2
    rows = [slice(start, start + size) for start in range(0, 90, size)]
    batches = [(first[row], second[row], *([groups[row]] if given else [])) for row in rows]
    metric = RecallAtK(2, buffer_size=50, dim=8)
    ids = groups[-50:] if given else None
    expected = evaluate(first[-50:], second[-50:], ids, ids, ks=(2,))["r@2"]
    assert measure(metric, *batches) == pytest.approx(expected)
    metric.reset_state()
    assert float(metric.result()) == 0.0
    assert measure(metric, batches[0]) == measure(RecallAtK(2, buffer_size=50, dim=8), batches[0])


@pytest.mark.parametrize("buffer_size", [None, 30])
@pytest.mark.parametrize("given", [False, True])
def test_pairs_that_are_not_valid_are_neither_queries_nor_items(buffer_size, given):
    first, second = pairs(40, 8, noise=2.0)
    valid = np.random.default_rng(0).random(40) < 0.6
    groups = np.arange(40) // 3 if given else None
    kept = groups[valid] if given else None
    expected = evaluate(first[valid], second[valid], kept, kept, ks=(2,))["r@2"]
    first[~valid], second[~valid] = np.nan, 1e30
    dim = None if buffer_size is None else 8
    metric = RecallAtK(2, buffer_size=buffer_size, dim=dim)
    assert measure(metric, (first, second, groups, valid)) == pytest.approx(expected)
    if buffer_size:
        metric.reset_state()
        halves = [
            [None if x is None else x[row] for x in (first, second, groups, valid)]
            for row in (slice(20), slice(20, 40))
        ]
        assert measure(metric, *halves) == pytest.approx(expected)


@every_similarity
@pytest.mark.parametrize("value", [0.0, 0.1, np.nan])
@pytest.mark.parametrize("side", ["both", "first", "second"])
def test_a_model_that_says_nothing_scores_nothing(similarity, value, side):
    first, second = pairs(20, 8)
    if side != "second":
        first = np.full_like(first, value)
    if side != "first":
        second = np.full_like(second, value)
    result = measure(RecallAtK(2, similarity=similarity), (first, second))
    if (side == "first" and value == 0.1) or (side == "first" and value == 0.0 and similarity == "euclidean"):
        # Every query asks the same; two items are its nearest.
        assert result == pytest.approx(2 / 20)
    else:
        assert result == 0.0


@every_similarity
def test_what_float32_cannot_tell_apart_is_tied(similarity):
    """Items that differ in the last digit alone: without a margin, some match would be first."""
    second = floats(32) * (1 + 1.2e-7 * np.random.default_rng(0).integers(0, 4, (50, 32)))
    assert measure(RecallAtK(3, similarity=similarity), (floats(50, 32, seed=1), second)) == 0.0


def test_no_slot_is_written_twice(monkeypatch):
    """Which of two values stays in a slot is up to the backend."""
    written = []
    plain = keras.ops.scatter_update

    def spy(inputs, indices, updates):
        written.extend(np.asarray(indices)[:, 0].tolist())
        return plain(inputs, indices, updates)

    monkeypatch.setattr(keras.ops, "scatter_update", spy)
    RecallAtK(2, buffer_size=5, dim=4).update_state(*pairs(12, 4), None, np.arange(12) % 4 != 1)
    # Nine of twelve are valid and the newest five stay, in each of three arrays; the last slot takes the others.
    assert sorted(written) == sorted(3 * ([0, 1, 2, 3, 4] + 7 * [5]))


def test_one_nan_counts_against_its_query_only():
    first, second = pairs(20, 8, noise=0.0)
    first[3] = np.nan
    assert measure(RecallAtK(1), (first, second)) == pytest.approx(19 / 20)


@pytest.mark.parametrize("options", [{}, {"buffer_size": 30, "dim": 4}])
def test_without_state(options):
    """As JAX trains: variables go in and come out, nothing else changes."""
    metric, expected = RecallAtK(2, **options), RecallAtK(2, **options)
    state = metric.stateless_reset_state()
    batches = [pairs(8, 4, seed=seed) for seed in range(4)]
    for batch in batches:
        state = metric.stateless_update_state(state, *map(keras.ops.convert_to_tensor, batch))
    assert float(metric.result()) == 0.0
    assert 0 < measure(expected, *batches) < 1
    assert float(metric.stateless_result(state)) == pytest.approx(float(expected.result()))


class Aligned(keras.Model):
    """Two projections and a metric on both, as a joint embedding has it."""

    def __init__(self, metric):
        super().__init__()
        self.metric = metric
        self.first, self.second = keras.layers.Dense(4), keras.layers.Dense(4)

    def call(self, inputs):
        return self.first(inputs[0]), self.second(inputs[1])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred[0] - y_pred[1]))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.metric.update_state(*y_pred)
        return self.get_metrics_result()


@pytest.mark.parametrize("options", [{"k": 2}, {"k": 2, "buffer_size": 30, "dim": 4}])
def test_inside_fit(options):
    """The last batch is smaller; compiled steps trace it."""
    first, second = pairs(26, 4)
    model = Aligned(RecallAtK(**options))
    model.compile("sgd")
    x, y = (first, second), np.zeros(26)
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y)).history
    assert 0 < history["val_recall_at_2"][-1] <= 1
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)["recall_at_2"]
    embedded = model.predict(x, verbose=0)
    rows = [slice(None)] if "buffer_size" in options else [slice(start, start + 8) for start in range(0, 26, 8)]
    # The last two pairs alone cannot miss, so they do not count.
    expected = [evaluate(embedded[0][row], embedded[1][row], ks=(2,))["r@2"] for row in rows if row != slice(24, 32)]
    assert evaluated == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("options", CASES)
def test_config_survives_the_round_trip(options):
    checks.check_config(RecallAtK(**options))
    assert RecallAtK(5).name == "recall_at_5"


def test_docstring():
    checks.check_docstring(RecallAtK, checks.init_parameters(RecallAtK), with_example=True)
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(recurse=False).find(
        RecallAtK, globs={"RecallAtK": RecallAtK, "ops": keras.ops}
    ):
        runner.run(example)
    assert (runner.tries, runner.failures) == (3, 0)


def test_every_argument_is_tried_with_another_value():
    assert set(CASES[1]) == set(checks.init_parameters(RecallAtK))


def test_half_precision_embeddings():
    first, second = (x.astype("float16") for x in pairs(40, 8, noise=2.0))
    assert measure(RecallAtK(2), (first, second)) == pytest.approx(evaluate(first, second, ks=(2,))["r@2"])


BAD = {
    "k": ({"k": 0}, "`k`"),
    "k is None": ({"k": None}, "`k`"),
    "a flag": ({"k": True}, "`k`"),
    "buffer": ({"buffer_size": 0, "dim": 3}, "`buffer_size`"),
    "small buffer": ({"buffer_size": 10, "dim": 3}, "`buffer_size` must exceed `k`"),
    "no dim": ({"buffer_size": 20}, "`dim`.*needed"),
    "similarity": ({"similarity": "cos"}, "`similarity`.*'cos'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case):
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        RecallAtK(**options)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 4), (3, 5)), r"one size.*\(3, 4\), \(3, 5\)"),
        (((3,), (3, 5)), "`first`"),
        (((3, 4), (3, 4, 1)), "`second`"),
        (((3, 4), (2, 4)), r"one row.*\(3, 4\), \(2, 4\)"),
    ],
)
def test_bad_shapes_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        RecallAtK().update_state(*map(np.ones, shapes))
    with pytest.raises(ValueError, match=r"`first`.*\(batch, 7\)"):
        RecallAtK(buffer_size=20, dim=7).update_state(np.ones((3, 4)), np.ones((3, 4)))
