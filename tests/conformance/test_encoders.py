"""Every encoder keeps the contract: a named input, tokens and mask out, padding without effect, weights trained."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance import checks
from tests.conformance.backend import array, gradients, mask_of
from tests.conformance.cases import BATCH, ENCODERS

every_encoder = pytest.mark.parametrize("case", ENCODERS.values(), ids=ENCODERS)
light = {name: case for name, case in ENCODERS.items() if not case.heavy}
every_light_encoder = pytest.mark.parametrize("case", light.values(), ids=light)
# All end in the same pooling: each with one kind in the ordinary tier, with all in the slow one.
POOLED = [
    pytest.param(case, pooling, marks=[pytest.mark.slow] if (row + column) % 4 else [], id=f"{name}-{pooling}")
    for row, (name, case) in enumerate(light.items())
    for column, pooling in enumerate(("avg", "max", "last", "attention"))
]
padded = {name: case for name, case in ENCODERS.items() if case.padded}
every_padded_encoder = pytest.mark.parametrize("case", padded.values(), ids=padded)


def with_padding(x, steps):
    if isinstance(x, dict):
        adjacency = np.pad(x["adjacency"], [(0, 0), (0, steps), (0, steps)], constant_values=1.0)
        return {"nodes": with_padding(x["nodes"], steps), "adjacency": adjacency}
    return np.concatenate([x, np.zeros((x.shape[0], steps, *x.shape[2:]), x.dtype)], axis=1)


@every_encoder
def test_contract(case):
    encoder = case.make()
    assert {source.name for source in encoder.inputs} <= {key.prepared for key in mm.keys.TABLE}
    assert len(encoder.inputs) == (len(case.inputs) if isinstance(case.inputs, dict) else 1)
    tokens = encoder(case.inputs)
    assert tuple(tokens.shape) == case.tokens
    assert np.isfinite(array(tokens)).all()
    assert (mask_of(tokens) is not None) == case.padded
    assert len(encoder.weights) == case.weights
    assert len(encoder.trainable_weights) == (case.trained or case.weights)


@pytest.mark.parametrize(("case", "pooling"), POOLED)
def test_pooling(case, pooling):
    encoder = case.make(pooling=pooling, name="mine")
    assert encoder.name == "mine"
    vector = encoder(case.inputs)
    assert tuple(vector.shape) == (BATCH, case.tokens[-1])
    assert np.isfinite(array(vector)).all()


@every_padded_encoder
def test_more_padding_changes_nothing(case):
    if case.fixed_length:
        pytest.skip("the backbone reads one length only")
    encoder = case.make()
    before = encoder(case.inputs)
    after = encoder(with_padding(case.inputs, 3))
    assert not mask_of(before)[1].all()
    assert (mask_of(after).sum(axis=1) == mask_of(before).sum(axis=1)).all()
    np.testing.assert_allclose(
        array(after)[:, : case.tokens[1]][mask_of(before)], array(before)[mask_of(before)], atol=1e-5
    )
    assert (array(after)[~mask_of(after)] == 0).all()


@every_padded_encoder
def test_a_row_of_padding_is_harmless(case):
    encoder = case.make()
    x = keras.tree.map_structure(np.copy, case.inputs)
    for values in keras.tree.flatten(x):
        values[0] = 0
    tokens = encoder(x)
    assert np.isfinite(array(tokens)).all()
    assert not mask_of(tokens)[0].any()
    _, by_weights, _ = gradients(lambda _: keras.ops.sum(keras.ops.square(encoder(x))), encoder.trainable_variables, [])
    assert all(g is None or np.isfinite(g).all() for g in by_weights)


@every_light_encoder
def test_every_weight_is_trained(case):
    encoder = case.make()
    ramp = np.sin(np.arange(np.prod(case.tokens), dtype="float32")).reshape(case.tokens)
    _, by_weights, _ = gradients(lambda _: keras.ops.sum(encoder(case.inputs) * ramp), encoder.trainable_variables, [])
    if all("key/bias" not in v.path for v in encoder.trainable_variables):
        checks.check_gradients(encoder.trainable_variables, by_weights)
    else:
        # A key bias shifts all scores of a query alike: softmax does not see it, in whoever's attention layer.
        for variable, gradient in zip(encoder.trainable_variables, by_weights, strict=True):
            assert gradient is not None
            assert "key/bias" in variable.path or np.abs(gradient).max() > 0, variable.path


@every_light_encoder
def test_config_survives_the_round_trip(case):
    encoder = case.make()
    clone = keras.Model.from_config(encoder.get_config())
    clone.set_weights(encoder.get_weights())
    np.testing.assert_allclose(array(clone(case.inputs)), array(encoder(case.inputs)), atol=1e-6)


@every_light_encoder
def test_mixed_precision(case):
    reference = case.make()
    expected = array(reference(case.inputs))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = case.make()
    finally:
        keras.config.set_dtype_policy("float32")
    encoder.set_weights(reference.get_weights())
    output = encoder(case.inputs)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    np.testing.assert_allclose(array(output), expected, atol=0.05 * (1 + np.abs(expected).max()))


def test_two_encoders_from_one_builder_and_one_name():
    first, second = (ENCODERS["lstm"].make(name="same") for _ in range(2))
    task = mm.models.MultimodalClassifier({"text": first, "question": second}, classes=2)
    x = {"token_ids": ENCODERS["lstm"].inputs, "question_token_ids": ENCODERS["lstm"].inputs}
    assert task(x)["label"].shape == (BATCH, 2)
    assert task.encoders["text"].name == task.encoders["question"].name == "same"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in ENCODERS.items() if case.heavy])
def test_every_weight_of_a_classic_is_trained(name):
    case = ENCODERS[name]
    encoder = case.make()
    ramp = np.sin(np.arange(np.prod(case.tokens), dtype="float32")).reshape(case.tokens)
    _, by_weights, _ = gradients(
        lambda _: keras.ops.sum(encoder(case.inputs, training=True) * ramp), encoder.trainable_variables, []
    )
    assert all(np.isfinite(gradient).all() for gradient in by_weights)
    checks.check_gradients(encoder.trainable_variables, by_weights)
