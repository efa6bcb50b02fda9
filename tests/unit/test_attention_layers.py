"""The attention layers against NumPy versions of their formulas, and against Keras' own attention."""

import keras
import numpy as np
import pytest

from mmkeras import layers as L
from tests.conformance.backend import array, mask_of
from tests.conformance.cases import floats
from tests.conformance.checks import WithMask
from tests.unit import reference
from tests.unit.reference import randomize, weights_of

tensor = keras.ops.convert_to_tensor
QUERY, CONTEXT = floats(3, 4, 8), floats(3, 5, 12)
# Everything, two padded, nothing.
CONTEXT_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=bool)


def close(actual, expected, atol=2e-5):
    np.testing.assert_allclose(array(actual), expected, atol=atol)


def attention_layer(query=QUERY, context=CONTEXT, **options):
    layer = L.CrossModalAttention(2, **options)
    layer.build(query.shape, context.shape)
    return randomize(layer)


class TestCrossModalAttention:
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"gated": True},
            {"residual": False},
            {"normalize": False},
            {"head_dim": 3},
            {"gated": True, "residual": False, "normalize": False, "head_dim": 5},
        ],
        ids=str,
    )
    def test_equals_the_formula(self, options, masked):
        layer = attention_layer(**options)
        mask = CONTEXT_MASK if masked else None
        output, scores = layer(
            QUERY, CONTEXT, context_mask=None if mask is None else tensor(mask), return_attention_scores=True
        )
        expected, expected_scores = reference.cross_modal_attention(
            weights_of(layer), QUERY, CONTEXT, 2, mask=mask, residual=options.get("residual", True)
        )
        assert tuple(scores.shape) == (3, 2, 4, 5)
        close(scores, expected_scores)
        close(output, expected)

    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_the_attention_of_keras(self, masked, causal):
        """Without residual, norms and gate; Keras' key bias stays zero, softmax would not see it."""
        context = CONTEXT[:, :4]
        layer = attention_layer(context=context, residual=False, normalize=False, head_dim=3)
        theirs = keras.layers.MultiHeadAttention(2, 3)
        theirs.build(QUERY.shape, context.shape)
        ours = weights_of(layer)
        for variable in theirs.weights:
            name = "/".join(variable.path.split("/")[-2:]).replace("attention_output", "output")
            value = np.zeros(variable.shape) if name == "key/bias" else ours[name].reshape(variable.shape)
            variable.assign(value)
        # The row without any context is left out: there Keras attends to padding.
        mask = tensor(CONTEXT_MASK[:2, :4]) if masked else None
        options = {"use_causal_mask": causal, "return_attention_scores": True}
        expected, expected_scores = theirs(
            QUERY[:2],
            context[:2],
            attention_mask=None if mask is None else keras.ops.repeat(mask[:, None], 4, axis=1),
            **options,
        )
        output, scores = layer(QUERY[:2], context[:2], context_mask=mask, **options)
        close(scores, array(expected_scores), atol=1e-5)
        close(output, array(expected), atol=1e-5)

    @pytest.mark.parametrize("gated", [False, True])
    def test_attention_over_nothing_is_the_query(self, gated):
        """Bit by bit, whatever stands in the context."""
        layer = attention_layer(gated=gated)
        context = np.where(CONTEXT_MASK[..., None], CONTEXT, np.float32(1e6))
        output, scores = layer(QUERY, context, context_mask=tensor(CONTEXT_MASK), return_attention_scores=True)
        np.testing.assert_array_equal(array(output)[2], QUERY[2])
        assert (array(scores)[2] == 0).all()
        assert np.abs(array(output)[:2] - QUERY[:2]).max() > 0.1

    def test_a_query_that_may_see_nothing_is_left_alone(self):
        """With two keys for four queries, the last of each beside the other, the first two queries see none."""
        layer = attention_layer()
        output, scores = layer(QUERY, CONTEXT[:, :2], use_causal_mask=True, return_attention_scores=True)
        assert (array(scores)[:, :, :2] == 0).all()
        assert (array(scores)[:, :, 2:].sum(axis=-1) > 0.99).all()
        np.testing.assert_array_equal(array(output)[:, :2], QUERY[:, :2])

    @pytest.mark.parametrize("time", [1, 2, 3])
    def test_the_future_never_counts(self, time):
        layer = attention_layer(context=QUERY)
        changed = QUERY.copy()
        changed[:, time] += floats(8)
        before = array(layer(QUERY, QUERY, use_causal_mask=True))
        after = array(layer(QUERY, changed, use_causal_mask=True))
        np.testing.assert_array_equal(after[:, :time], before[:, :time])
        assert (np.abs(after - before)[:, time:].max(axis=(0, 2)) > 1e-3).all()
        expected = reference.cross_modal_attention(weights_of(layer), QUERY, changed, 2, causal=True)[0]
        close(after, expected)

    def test_an_open_and_a_closed_gate(self):
        """A gate bias of 30 lets everything through, one of -30 nothing: sigmoid(30) = 1 - 1e-13."""
        layer, plain = attention_layer(gated=True), attention_layer()
        plain.set_weights(layer.get_weights()[: len(plain.weights)])
        outputs = []
        for bias in (30.0, -30.0):
            layer._gate_dense.set_weights([np.zeros((16, 8)), np.full(8, bias)])
            outputs.append(array(layer(QUERY, CONTEXT)))
        close(outputs[0], array(plain(QUERY, CONTEXT)))
        close(outputs[1], QUERY)

    def test_dropout_is_for_training(self):
        layer = attention_layer(dropout_rate=0.5)
        expected = array(layer(QUERY, CONTEXT))
        np.testing.assert_array_equal(array(layer(QUERY, CONTEXT, training=False)), expected)
        assert np.abs(array(layer(QUERY, CONTEXT, training=True)) - expected).max() > 1e-3

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.CrossModalAttention(0), r"`num_heads`.*num_heads=0"),
            (lambda: L.CrossModalAttention(3)(QUERY, CONTEXT), r"8.*num_heads=3.*Received: query of shape \(3, 4, 8\)"),
            (lambda: L.CrossModalAttention(2)(QUERY[:, 0], CONTEXT), r"Received: shapes \(3, 8\) and \(3, 5, 12\)"),
            (lambda: L.CrossModalAttention(2)(QUERY, CONTEXT[:, 0]), r"Received: shapes \(3, 4, 8\) and \(3, 12\)"),
        ],
        ids=["no heads", "uneven heads", "query rank", "context rank"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestTransformerBlock:
    MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)

    def block(self, **options):
        block = L.TransformerBlock(2, 12, **options)
        block.build(QUERY.shape, *([CONTEXT.shape] if block.cross_attention else []))
        return randomize(block)

    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("masked", [False, True])
    def test_self_attention(self, masked, causal):
        block = self.block(causal=causal)
        mask = self.MASK if masked else None
        output = block(QUERY, mask=None if mask is None else tensor(mask))
        close(output, reference.transformer_block(weights_of(block), QUERY, 2, mask=mask, causal=causal), atol=5e-5)

    @pytest.mark.parametrize("masked", [False, True])
    def test_cross_attention(self, masked):
        block = self.block(cross_attention=True, causal=True)
        query, context = tensor(QUERY), tensor(CONTEXT)
        if masked:
            query, context = WithMask()([query, tensor(self.MASK)]), WithMask()([context, tensor(CONTEXT_MASK)])
        expected = reference.transformer_block(
            weights_of(block),
            QUERY,
            2,
            context=CONTEXT,
            causal=True,
            mask=self.MASK if masked else None,
            context_mask=CONTEXT_MASK if masked else None,
        )
        output = block(query, context)
        close(output, expected, atol=5e-5)
        np.testing.assert_array_equal(mask_of(output), self.MASK if masked else None)

    def test_a_causal_block_never_sees_the_future(self):
        block = self.block(causal=True)
        changed = QUERY.copy()
        changed[:, 2] += floats(8)
        before, after = array(block(QUERY)), array(block(changed))
        np.testing.assert_array_equal(after[:, :2], before[:, :2])
        assert np.abs(after - before)[:, 3].max() > 1e-3

    def test_the_default_hidden_size_is_four_times_that_of_the_tokens(self):
        block = L.TransformerBlock(2)
        block.build(QUERY.shape)
        assert weights_of(block)["hidden/kernel"].shape == (8, 32)

    def test_the_activation_is_used(self):
        block = self.block(activation="linear")
        weights = weights_of(block)
        weights["output/kernel"] = np.zeros_like(weights["output/kernel"])
        weights["output/bias"] = np.zeros_like(weights["output/bias"])
        attended = reference.transformer_block(weights, QUERY, 2)
        weights = weights_of(block)
        hidden = reference.dense(weights, "hidden", reference.layer_norm(weights, "feedforward_norm", attended))
        close(block(QUERY), attended + reference.dense(weights, "output", hidden), atol=5e-5)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.TransformerBlock(2, cross_attention=True)(QUERY), "needs a `context`.*Received: .*None"),
            (lambda: L.TransformerBlock(2)(QUERY, CONTEXT), r"takes no `context`.*Received: .*\(3, 5, 12\)"),
        ],
        ids=["context missing", "context too many"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestAttentionPooling:
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize(("num_heads", "hidden_dim"), [(1, None), (3, 5)])
    def test_equals_the_formula(self, num_heads, hidden_dim, masked):
        layer = L.AttentionPooling(num_heads, hidden_dim=hidden_dim)
        layer.build(CONTEXT.shape)
        randomize(layer)
        mask = CONTEXT_MASK if masked else None
        pooled, scores = layer(CONTEXT, mask=None if mask is None else tensor(mask), return_attention_scores=True)
        weights = weights_of(layer)
        logits = np.tanh(reference.dense(weights, "hidden", CONTEXT)) @ weights["scores/kernel"]
        expected = np.zeros((3, 12))
        size = 12 // num_heads
        for b, head in np.ndindex(3, num_heads):
            shares = reference.softmax(logits[b, :, head], None if mask is None else mask[b])
            np.testing.assert_allclose(array(scores)[b, head], shares, atol=1e-6)
            for token in range(5):
                part = slice(head * size, (head + 1) * size)
                expected[b, part] += shares[token] * CONTEXT[b, token, part]
        assert weights["hidden/kernel"].shape == (12, hidden_dim or 12)
        close(pooled, expected)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.AttentionPooling(0), r"`num_heads`.*num_heads=0"),
            (lambda: L.AttentionPooling(5)(CONTEXT), r"num_heads=5.*Received: shape \(3, 5, 12\)"),
            (lambda: L.AttentionPooling()(CONTEXT[:, 0]), r"Received: shape \(3, 12\)"),
        ],
        ids=["no heads", "uneven heads", "rank"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()
