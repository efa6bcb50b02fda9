"""The shared formulas, against loops and numbers worked out by hand."""

import itertools
import math

import keras
import numpy as np
import pytest

from mmkeras import ops
from tests.conformance.backend import array, gradients
from tests.conformance.cases import floats
from tests.unit import reference

tensor = keras.ops.convert_to_tensor
# Contiguous, empty, full, with a hole, valid on the right.
MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1]], dtype=bool)
POISON = pytest.mark.parametrize("poison", [3e38, -3e38, np.inf, np.nan])


class TestMaskedSoftmax:
    @pytest.mark.parametrize("scale", [1.0, 100.0])
    def test_equals_the_loop(self, scale):
        scores = scale * floats(5, 3, 5)
        weights = array(ops.masked_softmax(tensor(scores), tensor(MASK[:, None])))
        np.testing.assert_allclose(weights, reference.softmax(scores, MASK[:, None]), atol=1e-6)
        assert (weights[1] == 0).all()
        assert (weights[~np.broadcast_to(MASK[:, None], weights.shape)] == 0).all()

    def test_along_another_axis(self):
        scores = floats(4, 5, 3)
        weights = ops.masked_softmax(tensor(scores), tensor(MASK[:4, :, None]), axis=1)
        expected = reference.softmax(scores.swapaxes(1, 2), MASK[:4, None]).swapaxes(1, 2)
        np.testing.assert_allclose(array(weights), expected, atol=1e-6)

    @pytest.mark.parametrize("length", [1, 4])
    def test_without_mask(self, length):
        scores = floats(3, length)
        np.testing.assert_allclose(array(ops.masked_softmax(tensor(scores))), reference.softmax(scores), atol=1e-6)

    @POISON
    def test_forbidden_scores_never_count(self, poison):
        scores = floats(5, 5)
        poisoned = np.where(MASK, scores, np.float32(poison))
        expected = array(ops.masked_softmax(tensor(scores), tensor(MASK)))
        np.testing.assert_array_equal(array(ops.masked_softmax(tensor(poisoned), tensor(MASK))), expected)

    @pytest.mark.parametrize("constant", [-4096.0, 1024.0])
    def test_a_constant_changes_nothing(self, constant):
        """Whole numbers, so that adding the constant rounds nothing away: the results must be equal bit by bit."""
        scores = np.random.default_rng(0).integers(-5, 6, (5, 5)).astype("float32")
        expected = array(ops.masked_softmax(tensor(scores), tensor(MASK)))
        moved = array(ops.masked_softmax(tensor(scores + np.float32(constant)), tensor(MASK)))
        np.testing.assert_array_equal(moved, expected)
        assert expected[0].max() > 0

    @POISON
    def test_gradient(self, poison):
        """d(sum u w)/d(s_i) = w_i (u_i - sum_j u_j w_j); zero at forbidden positions and in empty rows."""
        scores, upstream = floats(5, 5), floats(5, 5, seed=1)
        poisoned = np.where(MASK, scores, np.float32(poison))
        _, _, (gradient,) = gradients(
            lambda x: keras.ops.sum(ops.masked_softmax(x[0], tensor(MASK)) * upstream), [], [poisoned]
        )
        weights = reference.softmax(scores, MASK)
        expected = weights * (upstream - (upstream * weights).sum(axis=-1, keepdims=True))
        np.testing.assert_allclose(gradient, expected, atol=1e-6)


class TestAttention:
    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize(("queries", "keys"), [(5, 5), (2, 5), (5, 3)])
    def test_mask_equals_the_loop(self, queries, keys, masked, causal):
        context_mask = MASK[:, :keys] if masked else None
        mask = ops.attention_mask(
            queries, keys, context_mask=None if context_mask is None else tensor(context_mask), causal=causal
        )
        if not masked and not causal:
            assert mask is None
            return
        mask = np.broadcast_to(array(mask), (5, 1, queries, keys))
        for b, q, k in np.ndindex(5, queries, keys):
            # The last query stands beside the last key.
            later = causal and k > q + keys - queries
            assert mask[b, 0, q, k] == ((not masked or context_mask[b, k]) and not later)

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_the_loop(self, masked):
        query, key, value = floats(5, 3, 2, 4), floats(5, 5, 2, 4, seed=1), floats(5, 5, 2, 6, seed=2)
        mask = MASK[:, None, None] if masked else None
        attended, weights = ops.dot_product_attention(
            *map(tensor, (query, key, value)), None if mask is None else tensor(mask)
        )
        expected, expected_weights = reference.attention(query, key, value, mask)
        np.testing.assert_allclose(array(weights), expected_weights, atol=1e-6)
        np.testing.assert_allclose(array(attended), expected, atol=1e-5)
        scores = ops.attention_scores(tensor(query), tensor(key), None if mask is None else tensor(mask))
        np.testing.assert_array_equal(array(scores), array(weights))
        if masked:
            assert (array(attended)[1] == 0).all()

    def test_by_hand(self):
        """Scores 2 * ln(3) / sqrt(4) = ln 3 and 0 give weights 3/4 and 1/4, and values 8 and 4 give 7."""
        query = np.array([2.0, 0.0, 0.0, 0.0], "float32").reshape(1, 1, 1, 4)
        key = np.zeros((1, 2, 1, 4), "float32")
        key[0, 0, 0, 0] = math.log(3.0)
        value = np.array([8.0, 4.0], "float32").reshape(1, 2, 1, 1)
        attended, weights = ops.dot_product_attention(tensor(query), tensor(key), tensor(value))
        np.testing.assert_allclose(array(weights).ravel(), [0.75, 0.25], atol=1e-6)
        np.testing.assert_allclose(array(attended).ravel(), [7.0], atol=1e-5)


def _loop_pool(name, x, mask):
    pooled = np.zeros((x.shape[0], x.shape[2]))
    for row in range(x.shape[0]):
        tokens = [token for token, valid in zip(x[row], mask[row], strict=True) if valid]
        if tokens:
            pooled[row] = {"mean": np.mean(tokens, axis=0), "max": np.max(tokens, axis=0), "last": tokens[-1]}[name]
    return pooled


POOLS = {"mean": ops.masked_mean, "max": ops.masked_max, "last": ops.last_valid}


class TestPooling:
    # Far from zero on either side, so that a zero that slips in shows.
    @pytest.mark.parametrize("offset", [-10.0, 0.0, 10.0])
    @pytest.mark.parametrize("name", POOLS)
    def test_equals_the_loop(self, name, offset):
        x = floats(5, 5, 3) + np.float32(offset)
        np.testing.assert_allclose(array(POOLS[name](tensor(x), tensor(MASK))), _loop_pool(name, x, MASK), atol=1e-5)
        full = np.ones_like(MASK)
        np.testing.assert_allclose(array(POOLS[name](tensor(x))), _loop_pool(name, x, full), atol=1e-5)

    @POISON
    @pytest.mark.parametrize("name", POOLS)
    def test_padding_never_counts(self, name, poison):
        x = floats(5, 5, 3)
        poisoned = np.where(MASK[..., None], x, np.float32(poison))
        _, _, (gradient,) = gradients(
            lambda y: keras.ops.sum(POOLS[name](y[0], tensor(MASK)) * floats(5, 3)), [], [poisoned]
        )
        np.testing.assert_allclose(
            array(POOLS[name](tensor(poisoned), tensor(MASK))), _loop_pool(name, x, MASK), atol=1e-6
        )
        assert np.isfinite(gradient).all()
        assert (gradient[~MASK] == 0).all()
        assert (gradient[MASK].any(axis=-1)).sum() >= 4

    def test_gradient_of_the_maximum(self):
        """It goes to the largest valid token of each dimension alone, below zero too."""
        x = np.array([[[-3.0, 1.0], [-2.0, 0.5], [9.0, 9.0]]], "float32")
        mask = tensor(np.array([[True, True, False]]))
        upstream = np.array([2.0, 3.0], "float32")
        _, _, (gradient,) = gradients(lambda y: keras.ops.sum(ops.masked_max(y[0], mask) * upstream), [], [x])
        np.testing.assert_array_equal(gradient, [[[0.0, 3.0], [2.0, 0.0], [0.0, 0.0]]])

    @pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3), (5, 5, 3, 2)])
    def test_zero_padding(self, shape):
        x = floats(*shape)
        x[~MASK] = np.nan
        zeroed = array(ops.zero_padding(tensor(x), tensor(MASK)))
        assert (zeroed[~MASK] == 0).all()
        np.testing.assert_array_equal(zeroed[MASK], x[MASK])
        np.testing.assert_array_equal(array(ops.zero_padding(tensor(x))), x)


class TestMasks:
    def test_trailing_mask(self):
        x = np.array([[3, 0, -1, 0], [0, 0, 0, 0], [0, 0, 0, 2], [5, 0, 0, 0]], dtype="int32")
        expected = [[True, True, True, False], [False] * 4, [True] * 4, [True, False, False, False]]
        assert array(ops.trailing_mask(tensor(x))).tolist() == expected
        # Values that cancel out are content all the same.
        tokens = np.stack([x, -x], axis=-1).astype("float32")
        assert array(ops.trailing_mask(tensor(tokens))).tolist() == expected

    @pytest.mark.parametrize("length", [1, 6, 7, 8])
    @pytest.mark.parametrize("stride", [1, 2, 3])
    def test_stride_mask_keeps_what_is_centred_on_content(self, length, stride):
        mask = np.arange(length)[None] < np.arange(length + 1)[:, None]
        strided = array(ops.stride_mask(tensor(mask), stride))
        assert strided.shape == (length + 1, math.ceil(length / stride))
        for row, step in np.ndindex(strided.shape):
            assert strided[row, step] == (step * stride < row)

    def test_stride_mask_of_nothing(self):
        assert ops.stride_mask(None, 2) is None

    def test_token_mask(self):
        assert array(ops.token_mask(tensor(floats(5, 5, 2)), tensor(MASK.astype("int32")))).tolist() == MASK.tolist()
        for shape in [(2, 3), (2, 3, 4), (2, 3, 4, 5)]:
            assert array(ops.token_mask(tensor(np.full(shape, np.nan, "float32")))).tolist() == [[True] * 3] * 2

    def test_join_masks(self):
        sequences = [tensor(floats(5, length, 2)) for length in (2, 5, 1)]
        joined = array(ops.join_masks(sequences, [None, tensor(MASK), tensor(~MASK[:, :1])]))
        np.testing.assert_array_equal(joined, np.concatenate([np.ones((5, 2), bool), MASK, ~MASK[:, :1]], axis=1))
        assert ops.join_masks(sequences, [None] * 3) is None

    def test_usable(self):
        flags = np.array(list(itertools.product([False, True], repeat=3)))
        usable = array(ops.usable([tensor(flags[:, index]) for index in range(3)]))
        for row, given in zip(usable, flags, strict=True):
            assert row.tolist() == (given.tolist() if given.any() else [True] * 3)

    def test_usable_beside_one_that_is_always_there(self):
        """The one without a flag is never left alone, so an empty row does not arise."""
        flag = np.array([True, False])
        assert array(ops.usable([None, tensor(flag)])).tolist() == [[True, True], [True, False]]
        assert array(ops.usable([tensor(flag.astype("int32")), None])).tolist() == [[True, True], [False, True]]
        assert ops.usable([None, None]) is None

    @pytest.mark.parametrize("rank", [1, 2, 4])
    def test_broadcast_flag(self, rank):
        flag = array(ops.broadcast_flag(tensor(np.array([1, 0], "int32")), tensor(floats(2, *([3] * (rank - 1))))))
        assert flag.shape == (2, *([1] * (rank - 1)))
        assert flag.dtype == bool
        assert flag.ravel().tolist() == [True, False]


class TestSequence:
    @pytest.mark.parametrize("steps", [-7, -5, -2, -1, 0, 1, 3, 5, 7])
    @pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3)])
    def test_shift(self, shape, steps):
        x = np.arange(1, np.prod(shape) + 1, dtype="int32").reshape(shape)
        shifted = array(ops.shift(tensor(x), steps, fill_value=-1))
        for time in range(5):
            source = time - steps
            np.testing.assert_array_equal(shifted[:, time], x[:, source] if 0 <= source < 5 else -1)

    def test_shift_there_and_back(self):
        """What falls off the edge is gone; the rest returns."""
        x = np.array([[5, 6, 7]], dtype="int32")
        assert array(ops.shift(tensor(x))).tolist() == [[0, 5, 6]]
        assert array(ops.shift(ops.shift(tensor(x)), -1)).tolist() == [[5, 6, 0]]

    def test_pack(self):
        x = floats(5, 5, 2)
        packed, mask = (array(y) for y in ops.pack(tensor(np.where(MASK[..., None], x, np.nan)), tensor(MASK)))
        for row in range(5):
            tokens = [token for token, valid in zip(x[row], MASK[row], strict=True) if valid]
            assert mask[row].tolist() == [True] * len(tokens) + [False] * (5 - len(tokens))
            np.testing.assert_array_equal(packed[row, : len(tokens)], np.reshape(tokens, (-1, 2)))
            assert (packed[row, len(tokens) :] == 0).all()


def _loop_pairs(function, a, b):
    return np.array([[function(x, y) for y in b.astype("float64")] for x in a.astype("float64")])


class TestSimilarity:
    A, B = floats(4, 6), floats(3, 6, seed=1)

    def test_dot(self):
        expected = _loop_pairs(lambda x, y: sum(x * y), self.A, self.B)
        np.testing.assert_allclose(array(ops.dot_similarity(tensor(self.A), tensor(self.B))), expected, atol=1e-5)

    def test_cosine(self):
        expected = _loop_pairs(lambda x, y: sum(x * y) / math.sqrt(sum(x * x) * sum(y * y)), self.A, self.B)
        for scale in (1e-3, 1.0, 1e6):
            actual = array(ops.cosine_similarity(tensor(np.float32(scale) * self.A), tensor(self.B)))
            np.testing.assert_allclose(actual, expected, atol=1e-6)

    def test_squared_distance(self):
        expected = _loop_pairs(lambda x, y: sum((x - y) ** 2), self.A, self.B)
        np.testing.assert_allclose(array(ops.squared_distance(tensor(self.A), tensor(self.B))), expected, atol=1e-4)

    def test_squared_distance_is_never_negative(self):
        x = 100.0 * floats(40, 8)
        distance = array(ops.squared_distance(tensor(x), tensor(x * np.float32(1 + 1e-7))))
        assert (distance >= 0).all()
        assert np.diag(distance).max() < 0.1

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_unit(self, dtype):
        x = np.array([[3.0, 4.0], [0.0, 0.0], [-0.06, 0.08]], "float32")
        actual = array(ops.unit(keras.ops.cast(x, dtype)))
        np.testing.assert_allclose(
            actual, [[0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]], atol=1e-6 if dtype == "float32" else 0.01
        )
        np.testing.assert_allclose(array(ops.unit(tensor(x[:, ::-1].T), axis=0)).T, array(ops.unit(tensor(x)))[:, ::-1])

    def test_a_zero_vector(self):
        """Its cosine is zero with everything, and its gradient is a number."""
        a = self.A.copy()
        a[1] = 0
        assert (array(ops.cosine_similarity(tensor(a), tensor(self.B)))[1] == 0).all()
        for function in (ops.cosine_similarity, ops.squared_distance):
            _, _, by_inputs = gradients(lambda x, f=function: keras.ops.sum(f(x[0], x[1])), [], [a, a])
            assert all(np.isfinite(gradient).all() for gradient in by_inputs)

    def test_gradient_of_unit(self):
        """d(u . x/|x|)/dx = (u - (u . n) n) / |x|, n = x/|x|; x = (3, 4), u = (1, 0): (16, -12) / 125."""
        _, _, (gradient,) = gradients(
            lambda x: keras.ops.sum(ops.unit(x[0]) * np.array([1.0, 0.0])), [], [np.array([[3.0, 4.0]], "float32")]
        )
        np.testing.assert_allclose(gradient, [[16 / 125, -12 / 125]], atol=1e-6)
