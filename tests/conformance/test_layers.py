"""Every layer keeps every promise."""

import pytest

from tests.conformance import checks
from tests.conformance.cases import LAYERS

every_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
masked = {name: case for name, case in LAYERS.items() if case.masked}
every_masked_layer = pytest.mark.parametrize("case", masked.values(), ids=masked)


@every_layer
def test_config_survives_the_round_trip(case):
    checks.check_config(case.make())


@every_layer
def test_symbolic_equals_eager(case):
    checks.check_symbolic(case)


@every_layer
def test_weights_are_exact_and_all_trained(case):
    checks.check_weights(case)


@every_layer
def test_mixed_precision(case):
    checks.check_mixed_precision(case)


@every_masked_layer
def test_padding_never_matters(case):
    checks.check_mask_invariance(case)


@every_masked_layer
def test_a_row_of_padding_is_harmless(case):
    checks.check_empty_row(case)


def test_every_init_argument_is_tried_with_another_value():
    tried = {}
    for case in LAYERS.values():
        layer = case.make()
        for name, default in checks.init_parameters(type(layer)).items():
            key = (type(layer).__name__, name)
            tried[key] = tried.get(key, False) or getattr(layer, name) != default
    assert [key for key, other in tried.items() if not other] == []
