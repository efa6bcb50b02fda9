"""The helpers are worth something: each check fails on a layer that breaks its promise."""

import keras
import numpy as np
import pytest

from tests.conformance import checks
from tests.conformance.cases import BATCH, LayerCase, floats

TOKENS = {"tokens": floats(BATCH, 6, 8)}


@keras.saving.register_keras_serializable(package="mmkeras_broken")
class Broken(keras.layers.Layer):
    """Forgets an init argument, reads padding, hides a weight, computes in float32, divides by nothing."""

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, tokens_shape):
        self.used = self.add_weight(shape=(tokens_shape[-1],), initializer="ones", name="used")
        self.unused = self.add_weight(shape=(2,), name="unused")

    def call(self, tokens, mask=None):
        total = keras.ops.cumsum(keras.ops.cast(tokens, "float32"), axis=1) * self.used
        if mask is None:
            return total
        weights = keras.ops.cast(mask, "float32")
        share = keras.ops.sum(weights, axis=1)[:, None, None]
        return keras.ops.sum(keras.ops.cast(tokens, "float32"), axis=1, keepdims=True) + total / share

    def compute_mask(self, tokens, previous_mask=None):
        return previous_mask


@keras.saving.register_keras_serializable(package="mmkeras")
class Misshapen(keras.layers.Layer):
    """Declares a shape it does not return."""

    def call(self, tokens):
        return tokens

    def compute_output_shape(self, tokens_shape):
        return (*tokens_shape[:-1], 99)


CASE = LayerCase(lambda: Broken(2.0), TOKENS, masked=("tokens",), weights=2)


@pytest.mark.parametrize(
    "check",
    [
        lambda: checks.check_config(Broken(2.0)),
        lambda: checks.check_mask_invariance(CASE),
        lambda: checks.check_empty_row(CASE),
        lambda: checks.check_weights(CASE),
        lambda: checks.check_weights(LayerCase(CASE.make, TOKENS, weights=3)),
        lambda: checks.check_mixed_precision(CASE),
        lambda: checks.check_symbolic(LayerCase(Misshapen, TOKENS)),
        lambda: checks.check_docstring(Broken, ["scale"]),
        lambda: checks.check_docstring(keras.layers.Dense, ["units"]),
        lambda: checks.check_gradients([keras.Variable(1.0)], [None]),
        lambda: checks.check_gradients([keras.Variable(1.0)], [np.zeros(1)]),
    ],
    ids=[
        "config", "mask", "empty row", "gradient", "count", "mixed precision", "symbolic", "no docstring",
        "wrong docstring", "no gradient", "zero gradient",
    ],
)  # fmt: skip
def test_a_broken_subject_is_caught(check):
    with pytest.raises(AssertionError):
        check()
