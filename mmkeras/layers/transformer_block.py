"""A Transformer block that can also look at another modality."""

import keras

from mmkeras.layers.cross_modal_attention import CrossModalAttention
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class TransformerBlock(keras.layers.Layer):
    """Self-attention, optional cross-attention, feed-forward; pre-norm, each with its residual.

    `x = x + self_attention(norm(x)); x = x + cross_attention(norm(x), norm(context)); x = x + mlp(norm(x))`.

    Padding gets no attention; a context that is all padding or absent adds nothing. The block keeps the mask.

    Args:
        num_heads: number of heads of both attentions.
        feedforward_dim: size of the hidden feed-forward layer; None takes 4 times the size of the tokens.
        cross_attention: whether the block attends over a `context`.
        causal: whether a token must not see later ones.
        activation: activation of the feed-forward layer; None takes gelu in its tanh form, the one that every
            export target has.
        dropout_rate: share of attention weights, and of values after each part, dropped in training.

    Call arguments:
        tokens: tensor (batch, tokens, dim).
        context: tensor (batch, key, any size); needed exactly with `cross_attention`.
        mask: boolean tensor (batch, tokens), filled in by Keras without context.
        tokens_mask: the same, filled in by Keras with a context.
        context_mask: boolean tensor (batch, key), or None.

    Output shape: (batch, tokens, dim).

    Example:

    >>> tuple(TransformerBlock(num_heads=2)(ops.ones((2, 5, 8))).shape)
    (2, 5, 8)
    """

    def __init__(
        self,
        num_heads=8,
        feedforward_dim=None,
        *,
        cross_attention=False,
        causal=False,
        activation=None,
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.feedforward_dim = feedforward_dim
        self.cross_attention = cross_attention
        self.causal = causal
        self.activation = None if activation is None else keras.activations.get(activation)
        self.dropout_rate = dropout_rate

    def build(self, tokens_shape, context_shape=None):
        if self.cross_attention != (context_shape is not None):
            wanted = "needs a `context`" if self.cross_attention else "takes no `context` without cross_attention=True"
            raise ValueError(f"TransformerBlock {wanted}. Received: context of shape {context_shape}")
        self._dim = tokens_shape[-1]
        options = {"dropout_rate": self.dropout_rate, "dtype": self.dtype_policy}
        self._self_attention = CrossModalAttention(
            self.num_heads, residual=False, normalize=False, name="self_attention", **options
        )
        self._self_attention.build(tokens_shape, tokens_shape)
        self._self_norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="self_norm")
        self._self_norm.build(tokens_shape)
        if self.cross_attention:
            self._cross_attention = CrossModalAttention(self.num_heads, name="cross_attention", **options)
            self._cross_attention.build(tokens_shape, context_shape)
        self._feedforward_norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="feedforward_norm")
        self._feedforward_norm.build(tokens_shape)
        hidden_dim = self.feedforward_dim or 4 * tokens_shape[-1]
        self._hidden_dense = keras.layers.Dense(hidden_dim, dtype=self.dtype_policy, name="hidden")
        self._hidden_dense.build(tokens_shape)
        self._output_dense = keras.layers.Dense(tokens_shape[-1], dtype=self.dtype_policy, name="output")
        self._output_dense.build((*tokens_shape[:-1], hidden_dim))
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        self._activation = (
            (lambda x: keras.ops.gelu(x, approximate=True)) if self.activation is None else self.activation
        )
        pass_trainable_on(self)

    def call(self, tokens, context=None, mask=None, tokens_mask=None, context_mask=None, training=None):
        tokens_mask = mask if tokens_mask is None else tokens_mask
        normed = self._self_norm(tokens)
        attended = self._self_attention(
            normed,
            normed,
            query_mask=tokens_mask,
            context_mask=tokens_mask,
            use_causal_mask=self.causal,
            training=training,
        )
        tokens = tokens + self._dropout(attended, training=training)
        if self.cross_attention:
            tokens = self._cross_attention(
                tokens, context, query_mask=tokens_mask, context_mask=context_mask, training=training
            )
        return self._feedforward(tokens, training)

    def start(self, context=None, context_mask=None):
        """Prepare decoding, one token at a time.

        Args:
            context: tensor (batch, key, any size); needed exactly with `cross_attention`.
            context_mask: boolean tensor (batch, key), or None.

        Returns:
            Dict of what `step` needs of the context, one row per sample.
        """
        if not self.cross_attention:
            return {}
        key, value = self._cross_attention.project(context, context_mask)
        return {"key": key, "value": value}

    def cache(self, rows, length):
        """Room for the keys and values of as many tokens.

        Args:
            rows: number of rows.
            length: the most tokens a row will have.

        Returns:
            Dict of two tensors (rows, length, head, dim).
        """
        zeros = keras.ops.zeros((rows, length, self.num_heads, self._dim // self.num_heads), dtype=self.compute_dtype)
        return {"key": zeros, "value": zeros}

    def step(self, token, index, cache, memory, context_mask=None):
        """Pass one token after those before it.

        Args:
            token: tensor (batch, 1, dim).
            index: its place, an integer scalar.
            cache: what `cache` or the step before gave.
            memory: what `start` gave.
            context_mask: boolean tensor (batch, key), or None.

        Returns:
            The token passed on, the new cache, and the cross-attention weights (batch, head, 1, key) or None.
        """
        normed = self._self_norm(token)
        places = keras.ops.arange(cache["key"].shape[1])
        here, before = (places == index)[None, :, None, None], (places <= index)[None, None, None, :]
        new = dict(zip(("key", "value"), self._self_attention.project(normed), strict=True))
        cache = {name: keras.ops.where(here, new[name], cache[name]) for name in new}
        attended, _ = self._self_attention.attend(normed, cache["key"], cache["value"], mask=before)
        token = token + attended
        weights = None
        if self.cross_attention:
            mask = None if context_mask is None else context_mask[:, None, None, :]
            token, weights = self._cross_attention.attend(token, memory["key"], memory["value"], mask=mask)
        return self._feedforward(token, training=False), cache, weights

    def compute_mask(self, tokens, previous_mask=None):
        return previous_mask

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "feedforward_dim": self.feedforward_dim,
            "cross_attention": self.cross_attention,
            "causal": self.causal,
            "activation": None if self.activation is None else keras.activations.serialize(self.activation),
            "dropout_rate": self.dropout_rate,
        }

    def _feedforward(self, tokens, training):
        hidden = self._activation(self._hidden_dense(self._feedforward_norm(tokens)))
        return tokens + self._dropout(self._output_dense(hidden), training=training)
