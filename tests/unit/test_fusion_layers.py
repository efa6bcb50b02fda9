"""The fusion layers against NumPy versions of their formulas."""

import keras
import numpy as np
import pytest

from mmkeras import layers as L
from tests.conformance.backend import array, mask_of
from tests.conformance.cases import floats
from tests.conformance.checks import WithMask
from tests.unit import reference
from tests.unit.reference import below, dense, randomize, sigmoid, weights_of

tensor = keras.ops.convert_to_tensor
# Both, the first, the second, neither.
FIRST, SECOND = np.array([True, True, False, False]), np.array([True, False, True, False])
H1, H2, H3 = floats(4, 6), floats(4, 6, seed=1), floats(4, 6, seed=2)
WIDE = floats(4, 10)
TOKENS = floats(4, 3, 6)
TOKENS_MASK = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=bool)


def close(actual, expected, atol=2e-5):
    np.testing.assert_allclose(array(actual), expected, atol=atol)


def build(layer, encodings):
    """Build for these arrays and give every weight a value."""
    named = isinstance(encodings, dict)
    layer.build({name: x.shape for name, x in encodings.items()} if named else [x.shape for x in encodings])
    return randomize(layer)


class TestGatedFusion:
    @pytest.mark.parametrize("per_dimension", [True, False])
    def test_two(self, per_dimension):
        """h = g * h1 + (1 - g) * h2 with g = sigmoid(W [h1; h2] + b)."""
        layer = build(L.GatedFusion(per_dimension=per_dimension), [H1, H2])
        fused, gates = layer([H1, H2], return_weights=True)
        gate = sigmoid(dense(weights_of(layer), "gate", np.concatenate([H1, H2], axis=1)))
        assert gate.shape == (4, 6 if per_dimension else 1)
        close(gates[0], gate)
        close(gates[1], 1 - gate)
        close(fused, gate * H1 + (1 - gate) * H2)

    @pytest.mark.parametrize("per_dimension", [True, False])
    def test_three(self, per_dimension):
        layer = build(L.GatedFusion(per_dimension=per_dimension), [H1, H2, H3])
        fused, gates = layer([H1, H2, H3], return_weights=True)
        logits = dense(weights_of(layer), "gate", np.concatenate([H1, H2, H3], axis=1)).reshape(4, 3, -1)
        expected = reference.softmax(logits.swapaxes(1, 2)).swapaxes(1, 2)
        for index in range(3):
            close(gates[index], expected[:, index])
        close(fused, sum(expected[:, index] * h for index, h in enumerate((H1, H2, H3))))

    def test_two_of_three_are_the_same_as_two(self):
        """softmax(a, b) = (sigmoid(a - b), 1 - sigmoid(a - b)): the third is absent and read by no gate."""
        three, two = build(L.GatedFusion(), [H1, H2, H3]), build(L.GatedFusion(), [H1, H2])
        kernel, bias = (array(w.value) for w in three.weights)
        kernel[12:] = 0
        three.set_weights([kernel, bias])
        two.set_weights([kernel[:12, :6] - kernel[:12, 6:12], bias[:6] - bias[6:12]])
        absent = tensor(np.zeros(4, bool))
        fused, gates = three([H1, H2, H3], presence=[None, None, absent], return_weights=True)
        expected, expected_gates = two([H1, H2], return_weights=True)
        close(fused, array(expected))
        close(gates[0], array(expected_gates[0]))
        assert (array(gates[2]) == 0).all()

    def test_absence_decides_the_gate(self):
        """Both: the gate. One: that one alone, exactly. Neither: the gate again, over what stands in the slots."""
        layer = build(L.GatedFusion(), [H1, H2])
        free = array(layer([H1, H2]))
        fused = array(layer([H1, H2], presence=[tensor(FIRST), tensor(SECOND)]))
        close(fused[[0, 3]], free[[0, 3]])
        close(fused[1:3], np.stack([H1[1], H2[2]]), atol=1e-6)

    def test_projection_only_where_sizes_differ(self):
        encodings = {"text": H1, "image": WIDE}
        layer = build(L.GatedFusion(), encodings)
        weights = weights_of(layer)
        assert sorted(weights) == ["gate/bias", "gate/kernel", "projection_0/bias", "projection_0/kernel"]
        image = dense(weights, "projection_0", WIDE)
        gate = sigmoid(dense(weights, "gate", np.concatenate([image, H1], axis=1)))
        fused, gates = layer(encodings, return_weights=True)
        assert sorted(gates) == ["image", "text"]
        close(gates["image"], gate)
        close(gates["text"], 1 - gate)
        close(fused, gate * image + (1 - gate) * H1)
        assert len(build(L.GatedFusion(8), encodings).weights) == 6

    @pytest.mark.parametrize("pooling", ["avg", "max", "last"])
    def test_tokens_are_pooled_without_their_padding(self, pooling):
        layer = build(L.GatedFusion(pooling=pooling), [TOKENS, H1])
        pooled = array(L.TokenPooling(pooling)(tensor(TOKENS), mask=tensor(TOKENS_MASK)))
        gate = sigmoid(dense(weights_of(layer), "gate", np.concatenate([pooled, H1], axis=1)))
        expected = gate * pooled + (1 - gate) * H1
        close(layer([WithMask()([tensor(TOKENS), tensor(TOKENS_MASK)]), tensor(H1)]), expected)


class TestWeightedFusion:
    @pytest.mark.parametrize("weights", [[3, 1, 4], {"c": 4, "a": 3, "b": 1}], ids=["list", "dict"])
    def test_fixed(self, weights):
        encodings = {"b": H2, "a": H1, "c": H3} if isinstance(weights, dict) else [H1, H2, H3]
        layer = L.WeightedFusion(fixed_weights=weights)
        fused, shares = layer(encodings, return_weights=True)
        close(fused, (3 * H1 + H2 + 4 * H3) / 8)
        assert layer.weights == []
        shares = [shares[name] for name in "abc"] if isinstance(weights, dict) else shares
        np.testing.assert_allclose([array(share).item() for share in shares], [3 / 8, 1 / 8, 4 / 8], atol=1e-6)

    def test_the_present_share_what_the_absent_leave(self):
        """Weights 3 : 1 : 4; without the third 3/4 and 1/4, the third alone 1, none at all 3/8, 1/8, 4/8."""
        flags = np.array([[True, True, True], [True, True, False], [False, False, True], [False, False, False]])
        presence = [tensor(flags[:, index]) for index in range(3)]
        fused, shares = L.WeightedFusion(fixed_weights=[3, 1, 4])([H1, H2, H3], presence=presence, return_weights=True)
        expected = np.array([[3 / 8, 1 / 8, 4 / 8], [3 / 4, 1 / 4, 0], [0, 0, 1], [3 / 8, 1 / 8, 4 / 8]])
        close(np.concatenate([array(share) for share in shares], axis=1), expected, atol=1e-6)
        close(fused, sum(expected[:, index : index + 1] * h for index, h in enumerate((H1, H2, H3))))

    def test_learned_weights_start_equal_and_can_move(self):
        layer = L.WeightedFusion()
        close(layer([H1, H2, H3]), (H1 + H2 + H3) / 3)
        layer.weights[0].assign(np.log([2.0, 1.0, 1.0]))
        close(layer([H1, H2, H3]), (2 * H1 + H2 + H3) / 4)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: L.WeightedFusion(fixed_weights=[1, 0]),
                r"`fixed_weights` must be positive.*fixed_weights=\[1, 0\]",
            ),
            (
                lambda: L.WeightedFusion(fixed_weights=[1, 2])([H1, H2, H3]),
                r"one weight per encoding, 3.*fixed_weights=\[1, 2\]",
            ),
            (lambda: L.WeightedFusion(fixed_weights=[])([H1, H2]), r"one weight per encoding, 2.*fixed_weights=\[\]"),
            (
                lambda: L.WeightedFusion(fixed_weights={"a": 1, "b": 2})([H1, H2]),
                r"the encodings are a list. Received: fixed_weights=\{'a': 1",
            ),
            (
                lambda: L.WeightedFusion(fixed_weights=[1, 2])({"a": H1, "c": H2}),
                r"a dict of weights for a dict of encodings",
            ),
            (
                lambda: L.WeightedFusion(fixed_weights={"a": 1, "b": 2})({"a": H1, "c": H2}),
                r"the encodings are \['a', 'c'\]. Received: .*'b': 2",
            ),
        ],
        ids=["zero", "too few", "none", "dict for list", "list for dict", "other keys"],
    )
    def test_bad_weights(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestConcatFusion:
    def test_a_list_keeps_its_order(self):
        close(L.ConcatFusion()([H2, WIDE, H1]), np.concatenate([H2, WIDE, H1], axis=1), atol=0)

    def test_a_dict_goes_by_its_sorted_keys(self):
        encodings = {"text": H1, "audio": WIDE, "image": H2}
        close(L.ConcatFusion()(encodings), np.concatenate([WIDE, H2, H1], axis=1), atol=0)

    def test_presence_changes_nothing(self):
        presence = [tensor(FIRST), tensor(SECOND)]
        np.testing.assert_array_equal(
            array(L.ConcatFusion()([H1, H2], presence=presence)), array(L.ConcatFusion()([H1, H2]))
        )

    def test_projected_to_one_size(self):
        layer = build(L.ConcatFusion(6), [H1, WIDE])
        projected = dense(weights_of(layer), "projection_1", WIDE)
        close(layer([H1, WIDE]), np.concatenate([H1, projected], axis=1))
        assert len(layer.weights) == 2


ENCODINGS = {"text": TOKENS, "image": H1, "audio": floats(4, 2, 8)}


class TestAttentionFusion:
    def fuse(self, layer, presence=None, masked=False, **changes):
        encodings = {name: tensor(x) for name, x in {**ENCODINGS, **changes}.items()}
        if masked:
            encodings["text"] = WithMask()([encodings["text"], tensor(TOKENS_MASK)])
        presence = None if presence is None else {name: tensor(flag) for name, flag in presence.items()}
        return layer(encodings, presence=presence)

    def test_order_of_tokens_and_modality_embedding(self):
        """Without blocks what is left is norm(projected tokens + modality embedding): audio, image, text."""
        layer = build(L.AttentionFusion(num_layers=0, num_heads=1), ENCODINGS)
        weights = weights_of(layer)
        audio = dense(weights, "projection_0", ENCODINGS["audio"])
        tokens = [audio, H1[:, None], TOKENS]
        joined = np.concatenate([x + weights["modality"][index] for index, x in enumerate(tokens)], axis=1)
        output = self.fuse(layer, masked=True)
        close(output, reference.layer_norm(weights, "norm", joined))
        np.testing.assert_array_equal(mask_of(output), np.concatenate([np.ones((4, 3), bool), TOKENS_MASK], axis=1))

    @pytest.mark.parametrize("present", [None, FIRST], ids=["always", "sometimes"])
    def test_equals_the_formula(self, present):
        layer = build(L.AttentionFusion(num_layers=2, num_heads=3, dim=6, feedforward_dim=5), ENCODINGS)
        weights = weights_of(layer)
        assert weights["block_1/hidden/kernel"].shape == (6, 5)
        audio = dense(weights, "projection_0", ENCODINGS["audio"])
        tokens = [audio, H1[:, None], TOKENS]
        joined = np.concatenate([x + weights["modality"][index] for index, x in enumerate(tokens)], axis=1)
        mask = np.concatenate([np.ones((4, 3), bool), TOKENS_MASK], axis=1)
        if present is not None:
            mask[:, :2] &= present[:, None]
        for index in range(2):
            joined = reference.transformer_block(below(weights, f"block_{index}"), joined, 3, mask=mask)
        output = self.fuse(layer, None if present is None else {"audio": present}, masked=True)
        close(output, reference.layer_norm(weights, "norm", joined), atol=1e-4)

    def test_an_absent_modality_is_not_attended_to(self):
        layer = build(L.AttentionFusion(num_layers=1, num_heads=2), ENCODINGS)
        presence = {"audio": FIRST, "text": np.ones(4, bool)}
        before = array(self.fuse(layer, presence))
        after = array(self.fuse(layer, presence, audio=floats(4, 2, 8, seed=9)))
        # Where it is present its values do reach the others.
        assert (np.abs(after - before)[FIRST, 2:].max(axis=(1, 2)) > 1e-3).all()
        np.testing.assert_allclose(after[~FIRST, 2:], before[~FIRST, 2:], atol=1e-6)

    def test_where_nothing_is_present_everything_counts(self):
        layer = build(L.AttentionFusion(num_layers=1, num_heads=2), ENCODINGS)
        nothing = dict.fromkeys(ENCODINGS, np.zeros(4, bool))
        close(self.fuse(layer, nothing), array(self.fuse(layer)), atol=1e-6)


class TestCoAttention:
    A, B = floats(4, 3, 6), floats(4, 2, 10)
    A_MASK = TOKENS_MASK

    @pytest.mark.parametrize("gated", [False, True])
    def test_equals_attention_both_ways(self, gated):
        """Both from the unattended tokens; the wider of the two is projected."""
        layer = build(L.CoAttention(num_heads=2, gated=gated), {"a": self.A, "b": self.B})
        weights = weights_of(layer)
        b = dense(weights, "projection_1", self.B)
        presence = {"a": tensor(FIRST), "b": tensor(SECOND)}
        a_mask = self.A_MASK & (FIRST | ~SECOND)[:, None]
        b_mask = np.broadcast_to((SECOND | ~FIRST)[:, None], (4, 2))
        a_own, b_own = below(weights, "attention_0"), below(weights, "attention_1")
        expected_a, scores_a = reference.cross_modal_attention(a_own, self.A, b, 2, mask=b_mask)
        expected_b, scores_b = reference.cross_modal_attention(b_own, b, self.A, 2, mask=a_mask)
        encodings = {"b": tensor(self.B), "a": WithMask()([tensor(self.A), tensor(self.A_MASK)])}
        output, scores = layer(encodings, presence=presence, return_weights=True)
        close(output, np.concatenate([expected_a, expected_b], axis=1))
        close(scores["a"], scores_a)
        close(scores["b"], scores_b)
        assert ("attention_0/gate/kernel" in weights) == gated

    def test_equals_two_cross_modal_attentions(self):
        layer = build(L.CoAttention(num_heads=2), [self.A, H1])
        outputs = []
        for index, (query, context) in enumerate([(self.A, H1[:, None]), (H1[:, None], self.A)]):
            attention = L.CrossModalAttention(2)
            attention.build(query.shape, context.shape)
            attention.set_weights(list(below(weights_of(layer), f"attention_{index}").values()))
            outputs.append(array(attention(query, context)))
        close(layer([self.A, H1]), np.concatenate(outputs, axis=1), atol=1e-6)

    def test_without_the_other_its_own_tokens_stay(self):
        layer = build(L.CoAttention(num_heads=2), [self.A, H1])
        output = array(layer([self.A, H1], presence=[None, tensor(SECOND)]))
        np.testing.assert_array_equal(output[~SECOND, :3], self.A[~SECOND])
        assert np.abs(output[SECOND, :3] - self.A[SECOND]).max() > 0.1


@keras.saving.register_keras_serializable(package="tests")
class _Mean(L.Fusion):
    """A fusion of one's own, as the base describes it."""

    def build(self, encodings_shape):
        self.shapes = self.build_encodings(encodings_shape)

    def call(self, encodings, presence=None):
        encodings, flags, masks = self.arrange(encodings, presence, None)
        self.seen = flags, masks
        return keras.ops.mean(keras.ops.stack(encodings), axis=0), self.restore(range(len(encodings)))


class TestBase:
    def test_a_fusion_of_your_own(self):
        layer = _Mean()
        fused, restored = layer({"b": H2, "a": H1}, presence={"b": tensor(SECOND)})
        close(fused, (H1 + H2) / 2)
        assert restored == {"a": 0, "b": 1}
        assert layer.shapes == [(4, 6), (4, 6)]
        flags, masks = layer.seen
        assert flags[0] is None
        assert array(flags[1]).tolist() == SECOND.tolist()
        assert masks == [None, None]
        assert _Mean()([H1, H2])[1] == [0, 1]

    @pytest.mark.parametrize(
        "make", [L.ConcatFusion, L.GatedFusion, L.WeightedFusion, L.AttentionFusion, L.CoAttention]
    )
    @pytest.mark.parametrize(
        ("encodings", "presence", "message"),
        [
            ([H1, floats(4, 2, 2, 6)], None, r"each \(batch, tokens, dim\) or \(batch, dim\).*\(4, 2, 2, 6\)"),
            ([H1, H2], {"a": FIRST}, r"`presence` in the structure of the encodings.*Received: presence=\{'a'"),
            (
                {"a": H1, "b": H2},
                [FIRST, SECOND],
                r"`presence` in the structure of the encodings.*Received: presence=\[",
            ),
            ({"a": H1, "b": H2}, {"c": FIRST}, r"Expected keys among \['a', 'b'\]. Received: \['c'\]"),
            ([H1, H2], [FIRST], r"one presence flag \(or None\) per encoding, 2 in all. Received: 1"),
        ],
        ids=["rank", "dict for list", "list for dict", "unknown key", "too few flags"],
    )
    def test_bad_encodings_and_presence(self, make, encodings, presence, message):
        presence = keras.tree.map_structure(tensor, presence) if presence is not None else None
        layer = make(num_heads=2) if make in (L.AttentionFusion, L.CoAttention) else make()
        with pytest.raises(ValueError, match=f"(?s){layer.__class__.__name__}.*{message}"):
            layer([tensor(x) for x in encodings] if isinstance(encodings, list) else encodings, presence=presence)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.GatedFusion(0), "`dim` must be a positive integer or None. Received: dim=0"),
            (
                lambda: L.FiLMFusion("question"),
                "is given by name, such as `by=` or `fixed_weights=`. Received: dim='question'",
            ),
            (
                lambda: L.WeightedFusion([3, 1]),
                "is given by name, such as `by=` or `fixed_weights=`. Received: dim=.3, 1.",
            ),
            (lambda: L.AttentionFusion(dim=-1), "`dim` must be a positive integer or None. Received: dim=-1"),
            (lambda: L.ConcatFusion(pooling="mean"), "`pooling` must be.*Received: pooling='mean'"),
            (lambda: L.GatedFusion()([H1]), r"at least two encodings. Received: shapes \[\(4, 6\)\]"),
            (lambda: L.CoAttention(num_heads=2)([H1, H2, H3]), "exactly two encodings. Received: 3"),
            (lambda: L.ConcatFusion().build([(4, 6), (4, None)]), r"last axis.*Received: .*\(4, None\)"),
            (lambda: L.ConcatFusion().build([]), r"Received: encodings of shapes \[\]"),
        ],
        ids=[
            "dim",
            "a modality",
            "weights",
            "token dim",
            "pooling",
            "one gated",
            "three attending",
            "unknown size",
            "nothing",
        ],
    )
    def test_bad_arguments(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()
