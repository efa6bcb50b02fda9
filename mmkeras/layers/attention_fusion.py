"""Token-level fusion: one Transformer over the tokens of all modalities."""

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_fusion import TokenFusion
from mmkeras.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionFusion(TokenFusion):
    """Put the tokens of all modalities in one sequence and let self-attention mix them.

    Each encoding is projected to `dim` where its size differs, marked by a learned modality embedding, joined
    with the others, and passed through `num_layers` Transformer blocks. Positions are the encoders' business.

    Padding gets no attention. An absent modality is not attended to; where nothing is present, every token is.

    Args:
        dim: size of the tokens; None takes the smallest size among the encodings, rounded up to a multiple of
            `num_heads`.
        num_layers: number of Transformer blocks.
        num_heads: number of attention heads.
        feedforward_dim: size of the hidden feed-forward layers; None takes 4 * dim.
        dropout_rate: share of values dropped in training.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, sum of tokens, dim), with the joined mask.

    Example:

    >>> tuple(AttentionFusion(num_heads=2)([ops.ones((2, 5, 8)), ops.ones((2, 4))]).shape)
    (2, 6, 4)
    """

    def __init__(self, dim=None, *, num_layers=1, num_heads=4, feedforward_dim=None, dropout_rate=0.0, **kwargs):
        super().__init__(dim, **kwargs)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.feedforward_dim = feedforward_dim
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        count, dim = self.build_tokens(encodings_shape, multiple_of=self.num_heads)
        self._modality = self.add_weight(
            shape=(count, dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="modality"
        )
        self._blocks = [
            TransformerBlock(
                self.num_heads,
                self.feedforward_dim,
                dropout_rate=self.dropout_rate,
                dtype=self.dtype_policy,
                name=f"block_{index}",
            )
            for index in range(self.num_layers)
        ]
        for block in self._blocks:
            block.build((None, None, dim))
        self._norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        self._norm.build((None, None, dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        tokens, masks = self.tokens(encodings, presence, masks)
        modality = keras.ops.convert_to_tensor(self._modality, dtype=tokens[0].dtype)
        joined = keras.ops.concatenate([x + modality[index] for index, x in enumerate(tokens)], axis=1)
        attended_mask = ops.join_masks(tokens, masks)
        for block in self._blocks:
            joined = block(joined, mask=attended_mask, training=training)
        return self._norm(joined), None

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "feedforward_dim": self.feedforward_dim,
            "dropout_rate": self.dropout_rate,
        }
