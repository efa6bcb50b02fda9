"""Gated fusion: the sample decides how much each modality counts."""

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.vector_fusion import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class GatedFusion(VectorFusion):
    """Mix one vector per modality by gates computed from all of them.

    Two modalities: `g = sigmoid(W [h1; h2] + b)`, `h = g * h1 + (1 - g) * h2`, dimension by dimension. N modalities:
    `g = softmax(W [h1; ...; hN] + b)` over the modalities and `h = sum g_i * h_i`; for two this is the same thing.

    Use it when modalities differ in reliability from sample to sample. An absent modality gets a gate of exactly
    zero and the others share the rest; where nothing is present, the gates mix what stands in the slots.

    Args:
        dim: size of the fused vector; None takes the smallest size among the encodings.
        pooling: how a token sequence becomes a vector: `"avg"`, `"max"`, `"last"` or `"attention"`.
        per_dimension: one gate per dimension; False makes one gate per modality.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        return_weights: whether to return the gates too, structured like the encodings, each (batch, dim), or
            (batch, 1) without `per_dimension`.

    Output shape: (batch, dim).

    Example:

    >>> fused, gates = GatedFusion()([ops.ones((2, 8)), ops.ones((2, 8))], return_weights=True)
    >>> tuple(fused.shape), bool(ops.all(ops.isclose(gates[0] + gates[1], 1.0)))
    ((2, 8), True)

    References:
        Arevalo et al. 2017, Gated Multimodal Units for Information Fusion.
    """

    def __init__(self, dim=None, *, pooling="avg", per_dimension=True, **kwargs):
        super().__init__(dim, pooling=pooling, **kwargs)
        self.per_dimension = per_dimension

    def build(self, encodings_shape):
        dim = self.smallest_dim(encodings_shape)
        self._count = len(self.build_vectors(encodings_shape, dim))
        if self._count < 2:
            raise ValueError(f"GatedFusion needs at least two encodings. Received: shapes {encodings_shape}")
        self._gate_dim = dim if self.per_dimension else 1
        num_gates = 1 if self._count == 2 else self._count
        self._gate = keras.layers.Dense(num_gates * self._gate_dim, dtype=self.dtype_policy, name="gate")
        self._gate.build((None, self._count * dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        vectors = self.vectors(encodings, masks)
        logits = self._gate(keras.ops.concatenate(vectors, axis=-1))
        if self._count == 2:
            first = self._first_gate(logits, presence)
            return vectors[1] + first * (vectors[0] - vectors[1]), [first, 1.0 - first]
        gates = self._all_gates(logits, presence)
        return sum(gate * vector for gate, vector in zip(gates, vectors, strict=True)), gates

    def get_config(self):
        return {**super().get_config(), "per_dimension": self.per_dimension}

    def _first_gate(self, logits, presence):
        gate = keras.ops.sigmoid(logits)
        allowed = ops.usable(presence)
        if allowed is None:
            return gate
        flags = keras.ops.cast(allowed, gate.dtype)
        # Both there: the gate. Only the first: 1. Only the second: 0.
        return keras.ops.where(keras.ops.all(allowed, axis=1, keepdims=True), gate, flags[:, :1])

    def _all_gates(self, logits, presence):
        logits = keras.ops.reshape(logits, (-1, self._count, self._gate_dim))
        allowed = ops.usable(presence)
        gates = ops.masked_softmax(logits, None if allowed is None else allowed[..., None], axis=1)
        return [gates[:, index] for index in range(self._count)]
