"""The losses over pairs: numbers worked out by hand, loops in NumPy, and what must not matter."""

import functools
import math

import keras
import numpy as np
import pytest

from mmkeras import losses
from tests.conformance.backend import array, gradients
from tests.conformance.cases import floats
from tests.conformance.checks import check_config, check_docstring, init_parameters
from tests.unit import loss_references as reference

tensor = keras.ops.convert_to_tensor
DIAGONAL = tensor(np.eye(3, dtype=bool))
# Settings under which every hinge and every softmax has something to do.
LOSSES = {
    "margin": (lambda **o: losses.MarginContrastive(2.5, **o), (reference.margin_contrastive, {"margin": 2.5})),
    "hardest": (lambda **o: losses.Triplet(0.5, **o), (reference.triplet_hardest, {"margin": 0.5})),
    "all": (lambda **o: losses.Triplet(0.5, "all", **o), (reference.triplet_all, {"margin": 0.5})),
    "info_nce": (lambda **o: losses.InfoNCE(0.5, **o), (reference.info_nce, {"temperature": 0.5})),
    "smoothed": (
        lambda **o: losses.InfoNCE(0.3, False, label_smoothing=0.1, max_scale=50.0, **o),
        (reference.info_nce, {"temperature": 0.3, "label_smoothing": 0.1}),
    ),
    "sigmoid": (
        lambda **o: losses.SigmoidContrastive(0.5, -1.0, **o),
        (reference.sigmoid_contrastive, {"temperature": 0.5, "bias": -1.0}),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
ROWS, COLUMNS = floats(4, 3), floats(7, 3, seed=1)
GROUPS = {"first_groups": np.array([5, 5, 2, 9]), "second_groups": np.array([2, 5, 7, 5, 2, 9, 7])}
VALID = {
    "first_valid": np.array([True, True, True, False]),
    "second_valid": np.array([True, True, True, False, True, True, True]),
}
CASES = {
    "rows": (ROWS, COLUMNS[:4], {}),
    "valid rows": (ROWS, COLUMNS[:4], {"first_valid": VALID["first_valid"], "second_valid": VALID["second_valid"][:4]}),
    "one side valid": (ROWS, COLUMNS[:4], {"second_valid": VALID["second_valid"][:4]}),
    "groups": (ROWS, COLUMNS, GROUPS),
    "valid groups": (ROWS, COLUMNS, {**GROUPS, **VALID}),
    "all one group": (ROWS, COLUMNS, {"first_groups": np.zeros(4, int), "second_groups": np.zeros(7, int)}),
    "nothing in common": (ROWS, COLUMNS, {"first_groups": np.zeros(4, int), "second_groups": np.ones(7, int)}),
}
every_case = pytest.mark.parametrize("case", CASES)


def make(name, **options):
    return LOSSES[name][0](**options)


def slow(name, first, second, **options):
    function, settings = LOSSES[name][1]
    return function(reference.Pairs(first, second, **options), **settings)


def measure(loss, first, second, **options):
    """Value, gradients by the weights, gradients by the embeddings."""
    return gradients(lambda x: loss(*x, **options), loss.trainable_variables, [first, second])


@every_loss
@every_case
def test_value_equals_the_loops(name, case):
    first, second, options = CASES[case]
    value = make(name)(first, second, **options)
    assert (tuple(value.shape), keras.backend.standardize_dtype(value.dtype)) == ((), "float32")
    assert float(value) == pytest.approx(slow(name, first, second, **options), rel=2e-5, abs=1e-6)


@every_loss
@pytest.mark.parametrize("case", ["rows", "valid groups"])
def test_gradients_equal_the_slopes_of_the_loops(name, case):
    first, second, options = CASES[case]
    _, _, by_inputs = measure(make(name), first, second, **options)
    expected = reference.slopes(functools.partial(slow, name, **options), [first, second])
    assert np.abs(expected[0]).max() > 0.01
    for actual, slope in zip(by_inputs, expected, strict=True):
        np.testing.assert_allclose(actual, slope, atol=2e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_scores_may_be_computed_a_block_of_rows_at_a_time(case, rows, monkeypatch):
    """Three rows do not divide four or seven, so that the last block holds rows of the one before."""
    first, second, options = CASES[case]
    whole = measure(make("info_nce"), first, second, **options)
    monkeypatch.setattr("mmkeras.losses.info_nce_blocks._ROWS", rows)
    blocks = measure(make("info_nce"), first, second, **options)
    for actual, expected in zip(keras.tree.flatten(blocks), keras.tree.flatten(whole), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_learned_numbers_get_the_slopes_of_the_loops():
    """By the logarithm of the scale, and by the bias."""
    _, by_weights, _ = measure(make("info_nce"), ROWS, COLUMNS, **GROUPS)
    pairs = reference.Pairs(ROWS, COLUMNS, **GROUPS)
    (slope,) = reference.slopes(lambda x: reference.info_nce(pairs, math.exp(-x[0])), [[math.log(2.0)]])
    np.testing.assert_allclose(by_weights, slope, rtol=1e-4)
    _, by_weights, _ = measure(make("sigmoid"), ROWS, COLUMNS, **GROUPS)
    (slope,) = reference.slopes(
        lambda x: reference.sigmoid_contrastive(pairs, math.exp(-x[0]), x[1]), [[math.log(2.0), -1.0]]
    )
    np.testing.assert_allclose(by_weights, slope, rtol=1e-4)


def test_margin_by_hand():
    """Diagonal (0.5 + 0.25 + 0) / 3; hinges 0.8, 0, 0, 0.5, 0.25, 0 over six."""
    distances = tensor(np.array([[0.5, 0.2, 1.5], [2.0, 0.25, 0.5], [0.75, 3.0, 0.0]], "float32"))
    assert float(losses.margin_contrastive(distances, DIAGONAL)) == pytest.approx(0.25 + 1.55 / 6)
    # d^2 is 0, 4 / 2, 2: matches 0 and 2, the others 4 and 2 within a margin of 3: (0 + 2) / 2 + (0 + 1) / 2.
    first, second = np.array([[2.0, 0.0], [0.0, 3.0]], "float32"), np.array([[1.0, 0.0], [-1.0, 0.0]], "float32")
    assert float(losses.MarginContrastive(3.0)(first, second)) == pytest.approx(1.5)
    # As they are: 1, 9 / 13, 10, hence (1 + 10) / 2.
    assert float(losses.MarginContrastive(3.0, normalize=False)(first, second)) == pytest.approx(5.5)


SCORES = tensor(np.array([[0.9, 0.5, 0.8], [0.1, 0.6, 0.7], [0.4, 0.2, 0.3]], "float32"))


def test_triplet_by_hand():
    """Margin 0.2. Hardest: rows 0.1, 0.3, 0.3, columns 0, 0.1, 0.7. All: rows 0.1, 0.3, 0.4, columns 0, 0.1, 1.3."""
    assert float(losses.triplet(SCORES, DIAGONAL)) == pytest.approx((0.7 + 0.8) / 6)
    assert float(losses.triplet(SCORES, DIAGONAL, negatives="all")) == pytest.approx((0.8 + 1.4) / 6)
    # Without the last row and the last column nothing is within the margin: 0.2 + 0.5 - 0.9 and 0.2 + 0.5 - 0.6.
    usable = tensor(np.outer([True, True, False], [True, True, False]))
    for negatives in ("hardest", "all"):
        value = losses.triplet(SCORES, DIAGONAL, usable, negatives=negatives)
        assert float(value) == pytest.approx(0.1 / 4, abs=1e-6)


def test_info_nce_by_hand():
    """Odds: each positive against the negatives of its row, then of its column."""
    scores = tensor(np.log([[3.0, 1.0], [2.0, 4.0]]).astype("float32"))
    value = losses.info_nce(scores, tensor(np.eye(2, dtype=bool)))
    assert float(value) == pytest.approx(-math.log(3 / 4 * 4 / 6 * 3 / 5 * 4 / 5) / 4)
    scores = tensor(np.log([[2.0, 6.0, 1.0], [1.0, 2.0, 4.0]]).astype("float32"))
    value = losses.info_nce(scores, tensor(np.array([[True, True, False], [False, False, True]])))
    rows = (math.log(3 / 2) + math.log(7 / 6)) / 2 + math.log(7 / 4)
    columns = math.log(3 / 2) + math.log(8 / 6) + math.log(5 / 4)
    assert float(value) == pytest.approx((rows / 2 + columns / 3) / 2)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_info_nce_is_the_cross_entropy_of_keras(label_smoothing):
    scores = 4 * floats(6, 6)
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    expected = (float(entropy(np.eye(6), scores)) + float(entropy(np.eye(6), scores.T))) / 2
    actual = losses.info_nce(tensor(scores), tensor(np.eye(6, dtype=bool)), label_smoothing=label_smoothing)
    assert float(actual) == pytest.approx(expected, rel=1e-5)


def test_info_nce_holds_large_scores():
    """log(1 + exp(-2000)) and log(1 + exp(2000)): no exponential may overflow."""
    scores = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], "float32")
    same = tensor(np.eye(2, dtype=bool))
    for sign, expected in ((1, 0.0), (-1, 2000.0)):
        value, _, (slope,) = gradients(lambda x: losses.info_nce(x[0], same), [], [sign * scores])
        assert value == pytest.approx(expected)
        assert np.isfinite(slope).all()


def test_sigmoid_by_hand():
    """Odds 3 and 1/3 for the matches, even for the others: (log 4/3 + log 4 + 2 log 2) / 2 rows."""
    logits = tensor(np.array([[math.log(3), 0.0], [0.0, -math.log(3)]], "float32"))
    value = losses.sigmoid_contrastive(logits, tensor(np.eye(2, dtype=bool)))
    assert float(value) == pytest.approx(math.log(64 / 3) / 2)
    # One row, two columns: log 4/3 + log 2, per row and per column in equal parts.
    value = losses.sigmoid_contrastive(logits[:1], tensor(np.array([[True, False]])))
    assert float(value) == pytest.approx(math.log(8 / 3) * (1 + 1 / 2) / 2)
    loss = losses.SigmoidContrastive()
    assert [w.name for w in loss.weights] == ["log_scale", "bias"]
    np.testing.assert_allclose([float(w.value) for w in loss.weights], [math.log(10), -10.0], rtol=1e-6)


FUNCTIONS = {
    "margin": lambda s, p, u=None: losses.margin_contrastive(2.0 - s, p, u, margin=3.0),
    "hardest": lambda s, p, u=None: losses.triplet(s, p, u),
    "all": lambda s, p, u=None: losses.triplet(s, p, u, negatives="all"),
    "info_nce": lambda s, p, u=None: losses.info_nce(s, p, u, label_smoothing=0.1),
    "sigmoid": losses.sigmoid_contrastive,
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@every_function
def test_a_second_caption_of_an_image_is_no_negative(function):
    """Raising its score to the image must never raise the loss; as a stranger's it would."""
    scores = np.array([[0.5, 0.5, 0.4], [0.2, 0.2, 0.6]], "float32")
    for groups, sign in ([0, 0, 1], -1), ([0, 2, 1], 1):
        positives = tensor(np.equal.outer([0, 1], groups))
        _, _, (slope,) = gradients(lambda x, p=positives: function(x[0], p), [], [scores])
        assert sign * slope[0, 1] > 0


@pytest.mark.parametrize("name", ["margin", "hardest"])
def test_every_caption_twice_is_the_same_as_once(name):
    once = make(name)(ROWS, COLUMNS[:4])
    twice = np.concatenate([COLUMNS[:4], COLUMNS[:4]])
    groups = {"first_groups": np.arange(4), "second_groups": np.tile(np.arange(4), 2)}
    assert float(make(name)(ROWS, twice, **groups)) == pytest.approx(float(once), rel=1e-5)


@every_function
@pytest.mark.parametrize("poison", [np.nan, np.inf, -3e38])
def test_what_stands_at_unusable_pairs_never_counts(function, poison):
    usable = np.outer(VALID["first_valid"], VALID["second_valid"])
    positives = np.equal.outer(GROUPS["first_groups"], GROUPS["second_groups"])
    scores = floats(4, 7)
    poisoned = np.where(usable, scores, np.float32(poison))
    results = [
        gradients(lambda x: function(x[0], tensor(positives), tensor(usable)), [], [x]) for x in (scores, poisoned)
    ]
    assert results[0][0] == results[1][0] > 0
    np.testing.assert_array_equal(results[0][2], results[1][2])
    assert (results[1][2][0][~usable] == 0).all()


@every_loss
def test_rows_that_are_not_valid_never_count(name):
    """NaN in them changes no value and no gradient; the loops never saw them."""
    loss = make(name)
    options = {**GROUPS, **VALID}
    value, by_weights, by_inputs = measure(loss, ROWS, COLUMNS, **options)
    poisoned = [np.where(v[:, None], x, np.nan) for x, v in zip((ROWS, COLUMNS), VALID.values(), strict=True)]
    after, poisoned_weights, poisoned_inputs = measure(loss, *poisoned, **options)
    assert after == value > 0
    np.testing.assert_array_equal(by_weights, poisoned_weights)
    for slope, poisoned_slope, valid in zip(by_inputs, poisoned_inputs, VALID.values(), strict=True):
        np.testing.assert_array_equal(poisoned_slope, slope)
        assert (slope[~valid] == 0).all()
        assert np.abs(slope[valid]).max() > 0


@every_loss
def test_the_order_of_rows_never_counts(name):
    rows, columns = np.random.default_rng(0).permutation(4), np.random.default_rng(1).permutation(7)
    options = {**GROUPS, **VALID}
    moved = {key: x[rows if key.startswith("first") else columns] for key, x in options.items()}
    expected = float(make(name)(ROWS, COLUMNS, **options))
    assert float(make(name)(ROWS[rows], COLUMNS[columns], **moved)) == pytest.approx(expected, rel=1e-5)


@every_loss
def test_both_modalities_count_alike(name):
    options = {**GROUPS, **VALID}
    swapped = {
        key.replace("first", "x").replace("second", "first").replace("x", "second"): options[key] for key in options
    }
    expected = float(make(name)(ROWS, COLUMNS, **options))
    assert float(make(name)(COLUMNS, ROWS, **swapped)) == pytest.approx(expected, rel=1e-5)


ONES = np.ones((4, 3), "float32")
ODD = {
    "all equal": (ONES, ONES, {}),
    "opposite": (ONES, -ONES, {}),
    "all zero": (0 * ONES, 0 * ONES, {}),
    "one zero": (ROWS * np.array([[1], [0], [1], [1]], "float32"), COLUMNS[:4], {}),
    "tiny": (ROWS * 1e-30, COLUMNS[:4], {}),
    "huge": (ROWS * 1e30, COLUMNS[:4], {}),
    "one row": (ROWS[:1], COLUMNS[:1], {}),
    "one image, many captions": (ROWS, COLUMNS, {**GROUPS, "first_valid": np.arange(4) == 1}),
    "nothing valid": (ROWS, COLUMNS, {**GROUPS, "first_valid": np.zeros(4, bool)}),
    "one pair valid": (ROWS, ROWS, {"first_valid": np.arange(4) == 2, "second_valid": np.arange(4) == 2}),
}


@every_loss
@pytest.mark.parametrize("case", ODD)
def test_odd_batches_are_harmless(name, case):
    """The value is that of the loops; gradients are finite and of an ordinary size, not 1e6 at a zero vector."""
    first, second, options = ODD[case]
    value, by_weights, by_inputs = measure(make(name), first, second, **options)
    seen = (first, second) if case != "tiny" else (0 * first, second)
    assert value == pytest.approx(slow(name, *seen, **options), rel=1e-4, abs=1e-6)
    for gradient in [*by_weights, *by_inputs]:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 100
    if case == "nothing valid":
        assert value == 0
        assert all((gradient == 0).all() for gradient in [*by_weights, *by_inputs])


@every_loss
def test_ranking_losses_need_both_kinds_and_pair_losses_do_not(name):
    value = float(make(name)(ROWS[:1], COLUMNS[:1]))
    assert (value > 0) == (name in ("margin", "sigmoid"))


@every_loss
def test_scale_of_the_embeddings(name):
    loss, raw = make(name), make(name, normalize=False)
    scaled = ROWS * np.array([[0.01], [1], [3], [500]], "float32")
    assert float(loss(scaled, COLUMNS[:4])) == pytest.approx(float(loss(ROWS, COLUMNS[:4])), rel=1e-5)
    units = [reference.unit(x).astype("float32") for x in (ROWS, COLUMNS[:4])]
    assert float(raw(*units)) == pytest.approx(float(loss(*units)), rel=1e-5)
    assert float(raw(2 * units[0], units[1])) != pytest.approx(float(loss(*units)), rel=1e-2)


@every_loss
def test_config_and_docstring(name):
    check_config(make(name))
    check_config(make(name, normalize=False))
    check_docstring(type(make(name)), init_parameters(type(make(name))))


@every_loss
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16"])
def test_float32_under_every_policy(name, policy):
    loss = make(name, dtype=policy)
    first, second = (keras.ops.cast(x, "bfloat16") for x in (ROWS, COLUMNS))
    value = loss(first, second, **GROUPS)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert all(w.dtype == "float32" for w in loss.weights)
    assert float(value) == pytest.approx(slow(name, array(first), array(second), **GROUPS), rel=2e-5)


@every_loss
def test_saved_with_the_model_that_holds_it(name, tmp_path):
    inputs = [keras.Input((3,), name="first"), keras.Input((3,), name="second")]
    model = keras.Model(inputs, make(name)(*inputs))
    for weight in model.weights:
        weight.assign(0.7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    data = [ROWS, COLUMNS[:4]]
    assert float(loaded(data)) == float(model(data))
    assert len(loaded.weights) == {"info_nce": 1, "sigmoid": 2}.get(name, 0)


class Embedding(keras.Model):
    """Two projections and losses over them: the least that trains."""

    def __init__(self, pair_losses, adversarial):
        super().__init__()
        self.first, self.second = keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")
        self.pair_losses, self.adversarial = pair_losses, adversarial

    def build(self, shapes):
        self.first.build(shapes["a"])
        self.second.build(shapes["b"])
        self.adversarial.build({"a": (None, 4), "b": (None, 4)})

    def call(self, x):
        return {"a": self.first(x["a"]), "b": self.second(x["b"])}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        options = {"first_groups": x["group"], "second_groups": x["group"], "first_valid": x["valid"]}
        total = self.adversarial(y_pred, {"a": x["valid"]})
        return total + sum(loss(y_pred["a"], y_pred["b"], **options) for loss in self.pair_losses)


def test_all_train_in_a_graph_of_unknown_batch_size():
    """The last batch is a single row."""
    data = {"a": floats(9, 5), "b": floats(9, 6), "group": np.array([0, 0, 1, 2, 3, 4, 5, 5, 6])}
    data["valid"] = np.arange(9) != 2
    model = Embedding([make(name) for name in LOSSES], losses.Adversarial(8))
    model.build({key: x.shape for key, x in data.items()})
    model.compile(keras.optimizers.Adam(0.02))
    before = [array(w.value).copy() for w in model.trainable_variables]
    assert len(before) == 4 + 4 + 1 + 2
    history = model.fit(data, batch_size=4, shuffle=False, verbose=0, epochs=6).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert 0 < np.abs(array(variable.value) - value).max() < 10, variable.path


def test_the_scale_stops_at_its_maximum():
    """The weight itself stops, as CLIP's does: the first step down takes it off the maximum."""
    loss = losses.InfoNCE(0.5, max_scale=3.0)
    optimizer = keras.optimizers.SGD(1.0)
    for step, scale in ((-0.25, 2.0 * math.exp(0.25)), (-5.0, 3.0), (math.log(3.0), 1.0)):
        optimizer.apply([tensor(np.float32(step))], loss.trainable_variables)
        assert float(loss.scale) == pytest.approx(scale, rel=1e-5)


def test_a_fixed_scale_has_no_weight():
    loss = losses.InfoNCE(0.25, False)
    assert (float(loss.scale), loss.weights) == (4.0, [])


@pytest.mark.parametrize(("name", "count"), [("info_nce", 1), ("sigmoid", 2)])
def test_frozen(name, count):
    assert [w.trainable for w in make(name, trainable=False).weights] == [False] * count


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make("all")(ROWS, COLUMNS), r"or `first_groups` and `second_groups`. Received: 4 and 7 rows"),
        (lambda: make("all")(ROWS, COLUMNS, first_groups=np.zeros(4)), r"both modalities.*first_groups alone"),
        (lambda: make("all")(ROWS, ROWS, second_groups=np.zeros(4)), r"both modalities.*second_groups alone"),
        (lambda: make("all")(ROWS, floats(4, 5)), r"of one dim.*\(4, 3\) and \(4, 5\)"),
        (lambda: make("all")(floats(4, 2, 3), ROWS), r"pool tokens.*\(4, 2, 3\)"),
        (lambda: make("all")(ROWS, ROWS, first_valid=np.ones(3)), r"`first_valid` per row, 4.*shape \(3,\)"),
        (lambda: make("all")(ROWS, ROWS, second_valid=np.ones((4, 1))), r"`second_valid` per row.*\(4, 1\)"),
        (lambda: make("all")(ROWS, ROWS, np.ones(5), np.ones(4)), r"`first_groups` per row, 4.*\(5,\)"),
        (lambda: losses.MarginContrastive(0), "`margin` must be positive. Received: margin=0"),
        (lambda: losses.Triplet(-0.1), "`margin` must not be negative. Received: margin=-0.1"),
        (lambda: losses.Triplet(0.1, "semi"), r"`negatives` must be one of.*Received: negatives='semi'"),
        (lambda: losses.InfoNCE(0), "`temperature` must be positive.*Received: temperature=0"),
        (lambda: losses.InfoNCE(0.001), "no smaller than 1 / max_scale.*temperature=0.001"),
        (lambda: losses.InfoNCE(label_smoothing=1.0), "`label_smoothing` must lie.*label_smoothing=1.0"),
        (lambda: losses.SigmoidContrastive(-1), "`temperature` must be positive. Received: temperature=-1"),
    ],
)  # fmt: skip
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()


@pytest.mark.tensorflow
def test_a_graph_of_unknown_sizes_refuses_unequal_rows():
    import tensorflow as tf

    rows = tf.TensorSpec((None, 3))
    graph = tf.function(losses.InfoNCE(), input_signature=[rows, rows])
    assert float(graph(ROWS, ROWS)) == pytest.approx(float(losses.InfoNCE()(ROWS, ROWS)), rel=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(ROWS, COLUMNS)


def test_a_loss_of_your_own():
    class Distance(losses.PairLoss):
        def loss(self, first, second, positives, usable):
            return keras.ops.sum(keras.ops.where(positives, first @ keras.ops.transpose(second), 0.0))

    assert float(Distance()(3 * ONES, ONES)) == pytest.approx(4.0)
    with pytest.raises(NotImplementedError, match="PairLoss must define `loss`"):
        losses.PairLoss()(ONES, ONES)
