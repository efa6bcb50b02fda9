"""A Transformer that says a sentence about a context."""

import keras

from mmkeras.layers.decoder import Decoder
from mmkeras.layers.position_embedding import PositionEmbedding
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="mmkeras")
class TransformerDecoder(Decoder):
    """Causal Transformer blocks that attend over the words so far and over the context.

    `h_0 = s E(word) + position; h = block(h, context)` for each block; `logits = norm(h) E^T + b`. `s` is `sqrt(dim)`
    for words tied to the logits, whose table has the size that suits these, and 1 for others. Pre-norm; one word at a
    time it keeps the keys and values of the words before.

    Args:
        vocabulary_size: number of token ids, padding (0) included.
        dim: size of the tokens.
        num_layers: number of blocks.
        num_heads: number of heads of each attention.
        feedforward_dim: size of the hidden feed-forward layers; None takes 4 times `dim`.
        tied: whether the logits are made by the embeddings, transposed.
        dropout_rate: share of values dropped in training.

    Call arguments:
        token_ids: integer tensor (batch, time), padded on the right.
        context: tensor (batch, key, any size) or (batch, any size).
        context_mask: boolean tensor (batch, key); padding is not attended to.

    Output shape: logits (batch, time, vocabulary_size), of the word after each one; float32.

    Example:

    >>> logits = TransformerDecoder(50, 16, num_heads=2)(ops.ones((2, 5), "int32"), ops.ones((2, 9, 8)))
    >>> tuple(logits.shape)
    (2, 5, 50)

    References:
        Vaswani et al. 2017, Attention Is All You Need. Press and Wolf 2017, Using the Output Embedding.
    """

    def __init__(
        self,
        vocabulary_size,
        dim=256,
        *,
        num_layers=2,
        num_heads=4,
        feedforward_dim=None,
        tied=True,
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(vocabulary_size, dim, tied=tied, dropout_rate=dropout_rate, **kwargs)
        if num_layers < 1:
            raise ValueError(f"`num_layers` must be a positive integer. Received: num_layers={num_layers}")
        if num_heads < 1 or dim % num_heads:
            raise ValueError(
                f"`num_heads` must be a positive integer that divides `dim`. Received: num_heads={num_heads}, dim={dim}"
            )
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.feedforward_dim = feedforward_dim

    def build_decoder(self, context_dim):
        self._positions = PositionEmbedding(kind="sine", dtype=self.dtype_policy, name="positions")
        self._blocks = []
        for index in range(self.num_layers):
            block = TransformerBlock(
                self.num_heads,
                self.feedforward_dim,
                cross_attention=True,
                causal=True,
                dropout_rate=self.dropout_rate,
                dtype=self.dtype_policy,
                name=f"block_{index}",
            )
            block.build((None, None, self.dim), (None, None, context_dim))
            self._blocks.append(block)
        self._norm = self.sublayer(keras.layers.LayerNormalization, "norm", (None, None, self.dim))
        pass_trainable_on(self)

    def hidden(self, words, tokens, mask, training=None):
        x = self._positions(words)
        for block in self._blocks:
            x = block(x, tokens, context_mask=mask, training=training)
        return self._norm(x)

    def remember(self, context, context_mask=None):
        tokens, mask = self.tokens(context, context_mask)
        return {"blocks": [block.start(tokens, mask) for block in self._blocks], "mask": mask}

    def initial_state(self, memory, length):
        rows = keras.ops.shape(memory["mask"])[0]
        return {
            "caches": [block.cache(rows, length) for block in self._blocks],
            "attention": keras.ops.zeros_like(memory["mask"], dtype="float32"),
        }

    def step(self, token, index, state, memory):
        length = state["caches"][0]["key"].shape[1]
        place = keras.ops.take(self._positions.table(length, self.dim, self.compute_dtype), index, axis=0)
        x = self.embed(token)[:, None, :] + place
        caches = []
        for block, cache, own in zip(self._blocks, state["caches"], memory["blocks"], strict=True):
            x, cache, weights = block.step(x, index, cache, own, memory["mask"])
            caches.append(cache)
        attention = keras.ops.cast(keras.ops.mean(weights[:, :, 0], axis=1), "float32")
        return self.logits(self._norm(x)[:, 0]), {"caches": caches, "attention": attention}

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "feedforward_dim": self.feedforward_dim,
        }
