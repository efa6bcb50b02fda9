"""Two modalities attend over each other."""

import keras

from mmkeras.layers.cross_modal_attention import CrossModalAttention
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class CoAttention(TokenFusion):
    """Attend in both directions at once: each of two modalities gathers from the other.

    `a' = a + attention(norm(a), b)` and `b' = b + attention(norm(b), a)`, both from the unattended tokens; the
    output holds the tokens of a' followed by those of b'. Encodings of different sizes are projected to `dim`.

    Padding gets no attention; an absent modality is not attended to, so the other keeps its own tokens. Where
    neither is present, each attends to what stands in the other's slot.

    Args:
        dim: size of the tokens; None takes the smaller size of the two, rounded up to a multiple of `num_heads`.
        num_heads: number of attention heads.
        gated: whether what was gathered passes a gate (see `CrossModalAttention`).
        dropout_rate: share of attention weights dropped in training.

    Call arguments:
        encodings: list or dict of two tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        return_weights: whether to return the attention of both directions too, structured like the encodings, each
            (batch, heads, own tokens, tokens of the other).

    Output shape: (batch, sum of tokens, dim), with the joined mask.

    Example:

    >>> tuple(CoAttention(num_heads=2)([ops.ones((2, 5, 8)), ops.ones((2, 3, 16))]).shape)
    (2, 8, 8)

    References:
        Lu et al. 2019, ViLBERT. Tan and Bansal 2019, LXMERT.
    """

    def __init__(self, dim=None, *, num_heads=4, gated=False, dropout_rate=0.0, **kwargs):
        super().__init__(dim, **kwargs)
        self.num_heads = num_heads
        self.gated = gated
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        count, dim = self.build_tokens(encodings_shape, multiple_of=self.num_heads)
        if count != 2:
            raise ValueError(f"CoAttention fuses exactly two encodings. Received: {count}")
        self._attentions = [
            CrossModalAttention(
                self.num_heads,
                gated=self.gated,
                dropout_rate=self.dropout_rate,
                dtype=self.dtype_policy,
                name=f"attention_{index}",
            )
            for index in range(count)
        ]
        for attention in self._attentions:
            attention.build((None, None, dim), (None, None, dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        tokens, masks = self.tokens(encodings, presence, masks)
        attended, scores = zip(
            *(
                self._attentions[own](
                    tokens[own],
                    tokens[other],
                    context_mask=masks[other],
                    return_attention_scores=True,
                    training=training,
                )
                for own, other in ((0, 1), (1, 0))
            ),
            strict=True,
        )
        return keras.ops.concatenate(attended, axis=1), scores

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "gated": self.gated,
            "dropout_rate": self.dropout_rate,
        }
