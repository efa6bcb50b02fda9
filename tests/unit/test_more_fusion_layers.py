"""Products, modulation and bottlenecks: fusions against NumPy versions of their formulas."""

import keras
import numpy as np
import pytest

from mmkeras import layers as L
from tests.conformance.backend import array, gradients, mask_of
from tests.conformance.cases import floats
from tests.conformance.checks import WithMask
from tests.unit import reference
from tests.unit.reference import below, dense
from tests.unit.test_fusion_layers import FIRST, H1, H2, H3, SECOND, TOKENS, TOKENS_MASK, build, close, weights_of

tensor = keras.ops.convert_to_tensor
VECTOR = floats(4, 8)
ASKED = {"image": TOKENS, "question": VECTOR}
PAIR = [TOKENS, floats(4, 2, 6, seed=4)]


class TestBilinearFusion:
    def expected(self, layer, vectors, flags=None):
        """Sum over rank of the product of the present factors, less one, one entry at a time."""
        weights = weights_of(layer)
        factors = [1 + dense(weights, f"factor_{index}", x) for index, x in enumerate(vectors)]
        fused = np.zeros((4, layer.dim))
        for row, entry, rank in np.ndindex(4, layer.dim, layer.rank):
            product = 1.0
            for index, factor in enumerate(factors):
                if flags is None or flags[row, index] or not flags[row].any():
                    product *= factor[row, entry * layer.rank + rank]
            fused[row, entry] += product - 1
        return fused

    @pytest.mark.parametrize("vectors", [[H1, VECTOR], [H1, VECTOR, H3]], ids=["two", "three"])
    def test_equals_the_formula(self, vectors):
        layer = build(L.BilinearFusion(5, rank=3, normalize=False), vectors)
        close(layer(vectors), self.expected(layer, vectors), atol=1e-3)

    def test_without_its_linear_part_it_is_the_bilinear_map(self):
        """(1 + a)(1 + b) - (1 + a) - (1 + b) + 1 = ab: the form h1^T T h2 of a tensor of that rank."""
        layer = build(L.BilinearFusion(1, rank=2, normalize=False), [H1, H2])
        zero, nothing = np.zeros_like(H1), np.ones(4, bool)
        layer.set_weights([w * (w.ndim > 1) for w in layer.get_weights()])
        both, first, second = (
            array(layer([a, b], presence=[tensor(nothing), tensor(nothing)]))
            for a, b in ((H1, H2), (H1, zero), (zero, H2))
        )
        weights = weights_of(layer)
        form = sum(np.outer(weights["factor_0/kernel"][:, r], weights["factor_1/kernel"][:, r]) for r in range(2))
        close(both - first - second, np.einsum("ni,ij,nj->n", H1, form, H2)[:, None], atol=1e-3)

    def test_an_absent_modality_is_a_factor_of_one(self):
        layer = build(L.BilinearFusion(5, rank=3, normalize=False), [H1, H2, H3])
        flags = np.stack([FIRST, SECOND, ~FIRST & SECOND], axis=1)
        output = layer([H1, H2, H3], presence=[tensor(flags[:, index]) for index in range(3)])
        close(output, self.expected(layer, [H1, H2, H3], flags), atol=1e-3)

    def test_evened_out(self):
        layer = build(L.BilinearFusion(5, rank=3), [H1, H2])
        fused = self.expected(layer, [H1, H2])
        roots = np.sign(fused) * np.sqrt(np.abs(fused))
        close(layer([H1, H2]), roots / np.sqrt((roots**2).mean(axis=1, keepdims=True)), atol=0.02)
        np.testing.assert_allclose((array(layer([H1, H2])) ** 2).mean(axis=1), 1, atol=1e-3)

    def test_nothing_in_nothing_out(self):
        """A fused vector of zeros stays zeros and has finite slopes."""
        layer = L.BilinearFusion(5)
        layer.build([(4, 6), (4, 6)])
        zeros = np.zeros((4, 6), "float32")
        value, _, slopes = gradients(lambda x: keras.ops.sum(layer(x)), [], [zeros, zeros])
        assert value == 0
        assert all(np.isfinite(slope).all() for slope in slopes)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match=r"`rank` must be a positive integer. Received: rank=0"):
            L.BilinearFusion(rank=0)
        with pytest.raises(ValueError, match=r"BilinearFusion needs at least two encodings. Received: shapes \[\(4, 6"):
            L.BilinearFusion()([H1])


def modulated(weights, x, condition):
    """One layer of `FiLMFusion`, tokens (batch, tokens, dim)."""
    hidden = dense(weights, "hidden", reference.layer_norm(weights, "norm", x))
    scale, shift = np.split(dense(weights, "film/modulation", condition), 2, axis=-1)
    return x + dense(weights, "output", np.maximum((1 + scale[:, None]) * hidden + shift[:, None], 0))


class TestFiLM:
    @pytest.mark.parametrize("shape", [(4, 6), (4, 3, 6), (4, 2, 3, 6)])
    def test_equals_the_formula(self, shape):
        x = floats(*shape)
        layer = L.FiLM()
        layer.build(shape, VECTOR.shape)
        reference.randomize(layer)
        scale, shift = np.split(dense(weights_of(layer), "modulation", VECTOR), 2, axis=1)
        middle = [1] * (len(shape) - 2)
        close(layer(x, VECTOR), (1 + scale.reshape(4, *middle, 6)) * x + shift.reshape(4, *middle, 6))

    def test_keeps_the_mask(self):
        output = L.FiLM()(WithMask()([tensor(TOKENS), tensor(TOKENS_MASK)]), VECTOR)
        np.testing.assert_array_equal(mask_of(output), TOKENS_MASK)

    def test_bad_shapes(self):
        with pytest.raises(ValueError, match=r"FiLM modulates x .* by one vector per sample.*Received: x of shape"):
            L.FiLM()(TOKENS, TOKENS)


class TestFiLMFusion:
    def test_the_question_modulates_the_picture(self):
        layer = build(L.FiLMFusion(by="question", num_layers=2, dim=6), ASKED)
        weights = weights_of(layer)
        condition = dense(weights, "projection_1", VECTOR)
        x = TOKENS
        for number in range(2):
            x = modulated(below(weights, f"modulated_0_{number}"), x, condition)
        close(layer(ASKED), reference.layer_norm(weights, "norm", x), atol=1e-4)

    def test_each_by_all_others(self):
        layer = build(L.FiLMFusion(num_layers=1), [TOKENS, H1, H2])
        weights = weights_of(layer)
        lengths = TOKENS_MASK.sum(axis=1, keepdims=True)
        mean = (TOKENS * TOKENS_MASK[..., None]).sum(axis=1) / lengths
        conditions = [(H1 + H2) / 2, (mean + H2) / 2, (mean + H1) / 2]
        expected = [
            modulated(below(weights, f"modulated_{index}_0"), x, condition)
            for index, (x, condition) in enumerate(zip([TOKENS, H1[:, None], H2[:, None]], conditions, strict=True))
        ]
        output = layer([WithMask()([tensor(TOKENS), tensor(TOKENS_MASK)]), tensor(H1), tensor(H2)])
        close(output, reference.layer_norm(weights, "norm", np.concatenate(expected, axis=1)), atol=1e-4)
        np.testing.assert_array_equal(mask_of(output), np.concatenate([TOKENS_MASK, np.ones((4, 2), bool)], axis=1))

    def test_an_absent_question_is_a_condition_of_zeros(self):
        layer = build(L.FiLMFusion(by="question", num_layers=1, dim=6), ASKED)
        output = array(layer(ASKED, presence={"question": tensor(FIRST)}))
        other = array(layer({**ASKED, "question": 1 + VECTOR}, presence={"question": tensor(FIRST)}))
        np.testing.assert_array_equal(output[~FIRST], other[~FIRST])
        assert (np.abs(output - other)[FIRST].max(axis=(1, 2)) > 1e-3).all()
        weights = weights_of(layer)
        plain = modulated(below(weights, "modulated_0_0"), TOKENS, np.zeros((4, 6)))
        close(output[~FIRST], reference.layer_norm(weights, "norm", plain)[~FIRST], atol=1e-4)

    def test_by_must_be_there(self):
        with pytest.raises(ValueError, match=r"`by` must be one of \['image', 'question'\] or None. Received: by='x"):
            L.FiLMFusion(by="x")(ASKED)


class TestBottleneckFusion:
    @pytest.mark.parametrize("present", [None, FIRST], ids=["always", "sometimes"])
    def test_equals_the_formula(self, present):
        layer = build(L.BottleneckFusion(num_tokens=2, num_layers=2, num_heads=3), PAIR)
        weights = weights_of(layer)
        shared = np.repeat(weights["shared"][None], 4, axis=0)
        tokens = list(PAIR)
        flags = np.stack([np.ones(4, bool) if present is None else present, np.ones(4, bool)], axis=1)
        masks = [np.concatenate([np.ones((4, 2), bool), TOKENS_MASK & flags[:, :1]], axis=1), np.ones((4, 4), bool)]
        for number in range(2):
            spoken = []
            for index in range(2):
                block = below(weights, f"block_{number}_{index}")
                joined = np.concatenate([shared, tokens[index]], axis=1)
                joined = reference.transformer_block(block, joined, 3, mask=masks[index])
                spoken.append(joined[:, :2])
                tokens[index] = joined[:, 2:]
            share = flags / flags.sum(axis=1, keepdims=True)
            shared = sum(share[:, index, None, None] * x for index, x in enumerate(spoken))
        encodings = [WithMask()([tensor(TOKENS), tensor(TOKENS_MASK)]), tensor(PAIR[1])]
        presence = None if present is None else [tensor(present), None]
        output = layer(encodings, presence=presence)
        close(output, reference.layer_norm(weights, "norm", shared), atol=1e-4)
        assert mask_of(output) is None

    def test_bad_arguments(self):
        with pytest.raises(
            ValueError, match=r"must be positive integers. Received: num_tokens=0, num_layers=2, num_heads=4"
        ):
            L.BottleneckFusion(num_tokens=0)
