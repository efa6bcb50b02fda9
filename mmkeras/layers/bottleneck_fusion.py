"""Fusion through a bottleneck: a few shared tokens carry all that modalities tell each other."""

import itertools

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_fusion import TokenFusion
from mmkeras.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="mmkeras")
class BottleneckFusion(TokenFusion):
    """Let each modality attend to itself and to a few shared tokens, and nothing else.

    In each of `num_layers` layers the shared tokens join the tokens of every modality in a Transformer block of that
    modality, and become the mean of what the modalities made of them. Cost grows with the sum of the squared lengths,
    not with the square of their sum, and only what matters passes from one to the other.

    Use it for long sequences: video and sound. Padding gets no attention. An absent modality does not speak to the
    shared tokens; where nothing is present, all do.

    Args:
        dim: size of the tokens; None takes the smallest size among the encodings, rounded up to a multiple of
            `num_heads`.
        num_tokens: number of shared tokens.
        num_layers: number of layers.
        num_heads: number of attention heads.
        dropout_rate: share of values dropped in training.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, num_tokens, dim), the shared tokens.

    Example:

    >>> tuple(BottleneckFusion(num_tokens=3, num_heads=2)([ops.ones((2, 50, 8)), ops.ones((2, 20, 8))]).shape)
    (2, 3, 8)

    References:
        Nagrani et al. 2021, Attention Bottlenecks for Multimodal Fusion.
    """

    def __init__(self, dim=None, *, num_tokens=4, num_layers=2, num_heads=4, dropout_rate=0.0, **kwargs):
        super().__init__(dim, **kwargs)
        if min(num_tokens, num_layers, num_heads) < 1:
            raise ValueError(
                "`num_tokens`, `num_layers` and `num_heads` must be positive integers. "
                f"Received: num_tokens={num_tokens}, num_layers={num_layers}, num_heads={num_heads}"
            )
        self.num_tokens = num_tokens
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        count, dim = self.build_tokens(encodings_shape, multiple_of=self.num_heads)
        self._shared = self.add_weight(
            shape=(self.num_tokens, dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="shared"
        )
        self._blocks = [
            [
                TransformerBlock(
                    self.num_heads,
                    dropout_rate=self.dropout_rate,
                    dtype=self.dtype_policy,
                    name=f"block_{number}_{index}",
                )
                for index in range(count)
            ]
            for number in range(self.num_layers)
        ]
        for block in itertools.chain(*self._blocks):
            block.build((None, None, dim))
        self._norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        self._norm.build((None, None, dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        tokens, masks = self.tokens(encodings, presence, masks)
        shared = keras.ops.convert_to_tensor(self._shared, dtype=tokens[0].dtype)[None]
        rows = keras.ops.ones_like(tokens[0][:, :1, :1])
        shared = rows * shared  # (batch, num_tokens, dim)
        weights = self._weights(presence, len(tokens), shared.dtype)
        masks = [
            ops.join_masks([shared, x], [None, mask]) if mask is not None else None
            for x, mask in zip(tokens, masks, strict=True)
        ]
        for blocks in self._blocks:
            spoken = []
            for index, block in enumerate(blocks):
                joined = keras.ops.concatenate([shared, tokens[index]], axis=1)
                joined = block(joined, mask=masks[index], training=training)
                spoken.append(joined[:, : self.num_tokens])
                tokens[index] = joined[:, self.num_tokens :]
            shared = sum(weight * x for weight, x in zip(weights, spoken, strict=True))
        return self._norm(shared), None

    def compute_mask(self, encodings, previous_mask=None):
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout_rate": self.dropout_rate,
        }

    def _weights(self, presence, count, dtype):
        """What each modality counts in the mean: numbers, or tensors (batch, 1, 1)."""
        allowed = ops.usable(presence)
        if allowed is None:
            return [1.0 / count] * count
        flags = keras.ops.cast(allowed, dtype)
        weights = flags / keras.ops.sum(flags, axis=1, keepdims=True)
        return [weights[:, index, None, None] for index in range(count)]
