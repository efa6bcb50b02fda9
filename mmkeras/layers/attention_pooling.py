"""Pooling that learns which tokens matter."""

import keras

from mmkeras import ops
from mmkeras.layers.inputs import check_batch
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionPooling(keras.layers.Layer):
    """Pool a token sequence to a vector by learned attention.

    Each head scores every token, `scores = tanh(X W) v`, and the output is the sum of tokens weighted by
    `softmax(scores)`; with several heads each one weighs its own slice of the dimensions. Padding gets no weight;
    a row that is all padding pools to zeros.

    Args:
        num_heads: number of heads; must divide the size of the tokens.
        hidden_dim: size of the scoring layer; None takes the size of the tokens.

    Call arguments:
        tokens: tensor (batch, tokens, dim).
        mask: boolean tensor (batch, tokens), or None.
        return_attention_scores: whether to return the weights (batch, heads, tokens) as a second output.

    Output shape: (batch, dim).

    Example:

    >>> tuple(AttentionPooling(num_heads=2)(ops.ones((2, 5, 8))).shape)
    (2, 8)

    References:
        Yang et al. 2016, Hierarchical Attention Networks for Document Classification.
    """

    def __init__(self, num_heads=1, *, hidden_dim=None, **kwargs):
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(f"`num_heads` must be a positive integer. Received: num_heads={num_heads}")
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim

    def build(self, tokens_shape):
        if len(tokens_shape) != 3 or tokens_shape[-1] is None or tokens_shape[-1] % self.num_heads:
            raise ValueError(
                f"AttentionPooling expects tokens (batch, tokens, dim) with dim divisible by "
                f"num_heads={self.num_heads}. Received: shape {tuple(tokens_shape)}"
            )
        dim = tokens_shape[-1]
        self._hidden = keras.layers.Dense(
            self.hidden_dim or dim, activation="tanh", dtype=self.dtype_policy, name="hidden"
        )
        self._hidden.build(tokens_shape)
        self._scores = keras.layers.Dense(self.num_heads, use_bias=False, dtype=self.dtype_policy, name="scores")
        self._scores.build((*tokens_shape[:-1], self.hidden_dim or dim))
        pass_trainable_on(self)

    def call(self, tokens, mask=None, return_attention_scores=False):
        check_batch(self, {"tokens": tokens})
        tokens = ops.zero_padding(tokens, mask)
        scores = keras.ops.transpose(self._scores(self._hidden(tokens)), (0, 2, 1))  # (batch, head, token)
        weights = ops.masked_softmax(scores, None if mask is None else keras.ops.cast(mask, "bool")[:, None, :])
        head_dim = tokens.shape[-1] // self.num_heads
        split = keras.ops.reshape(tokens, (-1, keras.ops.shape(tokens)[1], self.num_heads, head_dim))
        pooled = keras.ops.einsum("bht,bthd->bhd", weights, split)
        pooled = keras.ops.reshape(pooled, (-1, tokens.shape[-1]))
        return (pooled, weights) if return_attention_scores else pooled

    def compute_mask(self, tokens, previous_mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "hidden_dim": self.hidden_dim}
