"""Reconstruction, agreement and adversarial alignment: numbers worked out by hand, and what must not matter."""

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
ROWS, FLAGS = floats(4, 3), np.array([True, True, True, False])


@pytest.mark.parametrize(
    "loss",
    [
        losses.Reconstruction("cosine"),
        losses.Adversarial(8, 0.5, normalize=False),
        losses.GradientReversal(0.5),
    ],
)
def test_config_and_docstring(loss):
    check_config(loss)
    check_docstring(type(loss), init_parameters(type(loss)))


def test_frozen():
    loss = losses.Adversarial(8, trainable=False)
    loss.build([(None, 3), (None, 3)])
    assert [w.trainable for w in loss.weights] == [False] * 4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_float32_under_every_policy(policy):
    rows = keras.ops.cast(ROWS, "bfloat16")
    for value in (losses.Reconstruction(dtype=policy)(rows, ROWS), losses.Adversarial(8, dtype=policy)([rows, ROWS])):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_reconstruction_by_hand():
    """Squared: rows (1 + 4 + 9 + 16) / 4 and 0. Cosine: 1 - 24/25, and a zero vector has no direction."""
    output = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 5.0], [5.0, 5.0]], [[np.nan] * 2] * 2], "float32")
    target = np.array([np.zeros((2, 2)), np.full((2, 2), 5.0), np.ones((2, 2))], "float32")
    valid = np.array([True, True, False])
    value, _, (slope, _) = gradients(lambda x: losses.reconstruction(*x, valid), [], [output, target])
    assert value == pytest.approx(7.5 / 2)
    np.testing.assert_allclose(slope[0], output[0] * 2 / 4 / 2)
    assert (slope[1:] == 0).all()
    # Step by step: of the first sample the second step, of the second sample both: (9 + 16) / 2 over three.
    steps = np.array([[False, True], [True, True], [False, False]])
    assert float(losses.Reconstruction()(output, target, steps)) == pytest.approx(12.5 / 3)
    cosine = losses.Reconstruction("cosine")
    pair = np.array([[3.0, 4.0], [1.0, 0.0]], "float32"), np.array([[8.0, 6.0], [0.0, 0.0]], "float32")
    value, _, slopes = gradients(lambda x: cosine(*x), [], list(pair))
    assert value == pytest.approx((1 - 48 / 50 + 1) / 2)
    assert all(np.abs(slope).max() < 1 for slope in slopes)
    assert float(losses.Reconstruction()(pair[0][:, 0], pair[1][:, 0])) == pytest.approx((25 + 1) / 2)


def test_agreement_by_hand():
    """||(1, 2) - (3, 5)||^2 = 13, and the second row has one modality only."""
    first, second = np.array([[1.0, 2.0], [np.nan, 0.0]], "float32"), np.array([[3.0, 5.0], [9.0, 9.0]], "float32")
    value, _, (slope, _) = gradients(lambda x: losses.agreement(*x, np.array([True, False])), [], [first, second])
    assert value == pytest.approx(13.0)
    np.testing.assert_allclose(slope, [[-4.0, -6.0], [0.0, 0.0]])
    value, _, slopes = gradients(lambda x: losses.agreement(*x, np.zeros(2, bool)), [], [first, second])
    assert value == 0
    assert all((slope == 0).all() for slope in slopes)


@pytest.mark.parametrize("strength", [0.0, 1.0, 0.3])
def test_gradient_reversal(strength):
    x, upstream = floats(3, 4), floats(3, 4, seed=1)
    layer = losses.GradientReversal(strength)
    np.testing.assert_array_equal(array(layer(x)), x)
    _, _, (slope,) = gradients(lambda t: keras.ops.sum(layer(t[0]) * upstream), [], [x])
    np.testing.assert_allclose(slope, -strength * upstream, rtol=1e-6)


def test_adversarial_by_hand():
    """First modality -log 3/4; second: valid rows -log 1/2 and -log 1/4; the third has none and is left out."""
    logits = [
        tensor(np.log([[3.0, 0.5, 0.5]]).astype("float32")),
        tensor(np.log([[1.0, 2.0, 1.0], [1.0, 1.0, 2.0], [9.0, 1.0, 1.0]]).astype("float32")),
        tensor(np.ones((2, 3), "float32")),
    ]
    valid = [None, np.array([True, True, False]), np.zeros(2, bool)]
    assert float(losses.adversarial(logits, valid)) == pytest.approx((math.log(4 / 3) + math.log(8) / 2) / 2)
    assert float(losses.adversarial(logits[1:], [np.zeros(3, bool), np.zeros(2, bool)])) == 0


@pytest.mark.parametrize("normalize", [True, False])
def test_adversarial_equals_the_formula_and_reverses_its_gradient(normalize):
    embeddings = {"b": floats(4, 3), "a": floats(2, 3, seed=1)}
    loss = losses.Adversarial(5, 0.25, normalize=normalize)
    loss.build({key: x.shape for key, x in embeddings.items()})
    for variable in loss.weights:
        variable.assign(floats(*variable.shape, seed=3))
    w1, b1, w2, b2 = (array(w.value).astype("float64") for w in loss.weights)

    def entropy(b, a):
        total = 0.0
        for column, rows in enumerate((a, b)):
            for row in reference.unit(rows) if normalize else rows:
                hidden = row @ w1 + b1
                logits = np.where(hidden > 0, hidden, 0.2 * hidden) @ w2 + b2
                total -= (logits[column] - np.log(np.exp(logits).sum())) / len(rows) / 2
        return total

    value, by_weights, by_inputs = gradients(
        lambda x: loss(dict(zip(embeddings, x, strict=True))), loss.trainable_variables, list(embeddings.values())
    )
    assert value == pytest.approx(entropy(*embeddings.values()), rel=1e-5)
    for gradient, slope in zip(by_inputs, reference.slopes(entropy, embeddings.values()), strict=True):
        np.testing.assert_allclose(gradient, -0.25 * slope, atol=1e-5)
    # The discriminator itself goes down its slope: shifting the logits of "a" against "b".
    b2[0] += 1e-4
    assert (entropy(*embeddings.values()) - value) / 1e-4 == pytest.approx(float(by_weights[3][0]), abs=0.01)


@pytest.mark.parametrize("valid", [{"a": np.array([True, False, True])}, [np.array([True, False, True]), None]])
def test_adversarial_ignores_rows_that_are_not_valid(valid):
    loss = losses.Adversarial(5)
    a, b = floats(3, 4), floats(3, 4, seed=1)
    poisoned = np.where(np.array([True, False, True])[:, None], a, np.nan)

    def run(a):
        pair = (lambda x: dict(zip("ab", x, strict=True))) if isinstance(valid, dict) else list
        loss(pair([a, b]))
        return gradients(lambda x: loss(pair(x), valid), loss.trainable_variables, [a, b])

    value, by_weights, by_inputs = run(a)
    after, poisoned_weights, poisoned_inputs = run(poisoned)
    assert after == value
    for some, other in zip([*by_weights, *by_inputs], [*poisoned_weights, *poisoned_inputs], strict=True):
        np.testing.assert_array_equal(some, other)
    assert (by_inputs[0][1] == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.Reconstruction("l1"), "`distance` must be one of.*Received: distance='l1'"),
        (lambda: losses.Reconstruction()(ROWS, ROWS[:, :1]), r"one shape.*\(4, 3\) and \(4, 1\)"),
        (lambda: losses.Reconstruction()(ROWS, ROWS[:1]), r"one shape.*\(4, 3\) and \(1, 3\)"),
        (lambda: losses.agreement(ROWS, ROWS, np.ones(2)), r"`valid` must have the first axes.*shape \(2,\)"),
        (lambda: losses.GradientReversal(-1), "`strength` must not be negative. Received: strength=-1"),
        (lambda: losses.Adversarial(0), "`hidden_dim` must be a positive integer. Received: hidden_dim=0"),
        (lambda: losses.Adversarial()([ROWS]), r"at least two embeddings.*\[\(4, 3\)\]"),
        (lambda: losses.Adversarial()([ROWS, floats(4, 5)]), r"of one dim.*\(4, 5\)"),
        (lambda: losses.Adversarial()({"a": ROWS, "b": ROWS}, {"c": FLAGS}), r"\['a', 'b'\]. Received"),
        (lambda: losses.Adversarial()([ROWS, ROWS], [FLAGS]), "a list of 2. Received"),
    ],
)  # fmt: skip
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()
