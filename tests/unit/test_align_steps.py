"""Series of different rates on one time line."""

import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, mask_of
from tests.conformance.cases import floats

AlignSteps = mm.layers.AlignSteps


def ramp(steps, rows=1):
    """Time itself: the value of each token is the middle of its share of a span of 1."""
    return np.tile(((np.arange(steps) + 0.5) / steps).astype("float32")[None, :, None], (rows, 1, 1))


@pytest.mark.parametrize(("tokens", "steps"), [(40, 10), (10, 40), (30, 12), (7, 7)])
def test_a_step_gets_what_is_at_its_time(tokens, steps):
    found = array(AlignSteps()(floats(1, steps, 2), ramp(tokens)))[0, :, 0]
    slower = 1 / min(tokens, steps)
    inside = (ramp(steps)[0, :, 0] > slower) & (ramp(steps)[0, :, 0] < 1 - slower)
    np.testing.assert_allclose(found[inside], ramp(steps)[0, inside, 0], atol=1e-3)
    assert (np.diff(found) >= -1e-6).all()


def test_equal_series_are_left_alone():
    tokens = floats(2, 6, 3)
    np.testing.assert_allclose(array(AlignSteps()(floats(2, 6, 2), tokens)), tokens, atol=1e-6)


def test_padding_on_either_side_changes_nothing():
    like, tokens = floats(1, 4, 2), floats(1, 10, 3)
    alone = array(AlignSteps()(like, tokens))
    longer = [np.pad(x, [(0, 0), (0, more), (0, 0)], constant_values=7.0) for x, more in ((like, 3), (tokens, 5))]
    masks = [np.arange(x.shape[1])[None] < count for x, count in zip(longer, (4, 10), strict=True)]
    found = array(AlignSteps()(*longer, like_mask=masks[0], tokens_mask=masks[1]))
    np.testing.assert_allclose(found[:, :4], alone, atol=1e-5)
    np.testing.assert_array_equal(found[:, 4:], 0)
    like = mm.layers.PaddingMask()(np.array([[[1.0], [2.0], [0.0]]], "float32"))
    assert array(mask_of(AlignSteps()(like, tokens))).tolist() == [[True, True, False]]


def test_nothing_to_align_is_zeros():
    found = array(AlignSteps()(floats(2, 4, 2), floats(2, 5, 3), tokens_mask=np.array([[False] * 5, [True] * 5])))
    np.testing.assert_array_equal(found[0], 0)
    assert np.abs(found[1]).min() > 0


def test_rates_are_those_of_clocks():
    """At 4 tokens a second and 2 steps a second, step j is over tokens 2j and 2j + 1, however long the series are."""
    tokens = np.arange(8, dtype="float32")[None, :, None]
    found = array(AlignSteps((4, 2))(floats(1, 6, 2), tokens))[0, :, 0]
    np.testing.assert_allclose(found[1:3], [2.5, 4.5], atol=1e-5)
    # Beyond the end of the tokens, the mean around the last: (2 * 7 + 6) / 3.
    np.testing.assert_allclose(found[4:], 20 / 3, atol=1e-5)


@pytest.mark.parametrize("rates", [(1,), (0, 3), (25, -1), 25])
def test_bad_rates(rates):
    with pytest.raises(ValueError, match="`rates` must be two numbers above 0"):
        AlignSteps(rates)
