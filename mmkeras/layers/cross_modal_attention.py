"""One modality attends over another."""

import keras

from mmkeras import ops
from mmkeras.layers.inputs import check_batch
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class CrossModalAttention(keras.layers.Layer):
    """Let every token of one modality gather what it needs from another.

    Multi-head attention, `softmax(Q K^T / sqrt(d)) V` with Q from the query and K, V from the context, wrapped in
    a pre-norm residual: `output = query + gate * attention(norm(query), context)`. It differs from
    `keras.layers.MultiHeadAttention` in what a multimodal model needs of it: query and context may differ in size,
    both masks arrive by themselves, a context that is all padding or absent leaves the query untouched (never NaN,
    never a bias), and an optional gate lets the model close the door on a context that does not help.

    Args:
        num_heads: number of heads.
        head_dim: size of each head; None takes query size / num_heads.
        gated: whether to scale what was gathered by `sigmoid(W [query; gathered] + b)`, dimension by dimension.
        residual: whether to add the query to what was gathered.
        normalize: whether to apply layer normalisation to query and context first.
        dropout_rate: share of attention weights dropped in training.

    Call arguments:
        query: tensor (batch, query, dim).
        context: tensor (batch, key, any size).
        query_mask: boolean tensor (batch, query); passed on to the output, padded queries are still computed.
        context_mask: boolean tensor (batch, key); padding gets no weight.
        use_causal_mask: whether a query must not see later keys; the last query sees the last key.
        return_attention_scores: whether to return the weights (batch, heads, query, key) as a second output.

    Output shape: (batch, query, dim), the shape of the query.

    Example:

    >>> words, regions = ops.ones((2, 7, 16)), ops.ones((2, 49, 32))
    >>> tuple(CrossModalAttention(num_heads=4)(words, regions).shape)
    (2, 7, 16)

    References:
        Vaswani et al. 2017, Attention Is All You Need. Lu et al. 2019, ViLBERT.
    """

    def __init__(
        self, num_heads=8, head_dim=None, *, gated=False, residual=True, normalize=True, dropout_rate=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(f"`num_heads` must be a positive integer. Received: num_heads={num_heads}")
        if not 0.0 <= dropout_rate < 1.0:
            raise ValueError(f"`dropout_rate` must lie in [0, 1). Received: dropout_rate={dropout_rate}")
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.gated = gated
        self.residual = residual
        self.normalize = normalize
        self.dropout_rate = dropout_rate

    def build(self, query_shape, context_shape=None):
        context_shape = query_shape if context_shape is None else context_shape
        if len(query_shape) != 3 or len(context_shape) != 3 or None in (query_shape[-1], context_shape[-1]):
            raise ValueError(
                "CrossModalAttention expects query (batch, query, dim) and context (batch, key, dim) with known "
                f"sizes. Received: shapes {tuple(query_shape)} and {tuple(context_shape)}"
            )
        dim = query_shape[-1]
        if self.head_dim is None and dim % self.num_heads:
            raise ValueError(
                f"The size of the query, {dim}, must be divisible by num_heads={self.num_heads}; or give `head_dim`. "
                f"Received: query of shape {tuple(query_shape)}"
            )
        self._head_dim = self.head_dim or dim // self.num_heads
        inner_dim = self.num_heads * self._head_dim
        self._query_norm = (
            self._layer("query_norm", keras.layers.LayerNormalization, query_shape) if self.normalize else None
        )
        self._context_norm = (
            self._layer("context_norm", keras.layers.LayerNormalization, context_shape) if self.normalize else None
        )
        self._query_dense = self._layer("query", keras.layers.Dense, (None, dim), inner_dim)
        self._key_dense = self._layer("key", keras.layers.Dense, (None, context_shape[-1]), inner_dim, use_bias=False)
        self._value_dense = self._layer("value", keras.layers.Dense, (None, context_shape[-1]), inner_dim)
        self._output_dense = self._layer("output", keras.layers.Dense, (None, inner_dim), dim)
        self._gate_dense = (
            self._layer("gate", keras.layers.Dense, (*query_shape[:-1], 2 * dim), dim, activation="sigmoid")
            if self.gated
            else None
        )
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        pass_trainable_on(self)

    def call(
        self,
        query,
        context,
        query_mask=None,
        context_mask=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        check_batch(self, {"query": query, "context": context})
        mask = ops.attention_mask(
            keras.ops.shape(query)[1], keras.ops.shape(context)[1], context_mask=context_mask, causal=use_causal_mask
        )
        output, scores = self.attend(query, *self.project(context, context_mask), mask=mask, training=training)
        return (output, scores) if return_attention_scores else output

    def project(self, context, context_mask=None):
        """Project a context to what queries attend over: for decoding, which asks the same context again and again.

        Args:
            context: tensor (batch, key, any size).
            context_mask: boolean tensor (batch, key), or None.

        Returns:
            Keys and values, two tensors (batch, key, head, dim).
        """
        normed = ops.zero_padding(self._context_norm(context) if self.normalize else context, context_mask)
        return self._heads(self._key_dense, normed), self._heads(self._value_dense, normed)

    def attend(self, query, key, value, *, mask=None, training=None):
        """Gather from projected keys and values.

        Args:
            query: tensor (batch, query, dim).
            key: tensor (batch, key, head, dim), as `project` makes it.
            value: tensor of the same shape.
            mask: boolean tensor that broadcasts to (batch, head, query, key), or None.
            training: whether to drop attention weights.

        Returns:
            The output of the layer and the attention weights (batch, head, query, key).
        """
        normed = self._query_norm(query) if self.normalize else query
        scores = ops.attention_scores(self._heads(self._query_dense, normed), key, mask)
        dropped = self._dropout(scores, training=training) if self.dropout_rate else scores
        gathered = keras.ops.einsum("bhqk,bkhd->bqhd", dropped, value)
        gathered = self._output_dense(keras.ops.reshape(gathered, (-1, self.num_heads * self._head_dim)))
        gathered = keras.ops.reshape(gathered, (-1, keras.ops.shape(query)[1], query.shape[-1]))
        if mask is not None:
            something = keras.ops.any(mask, axis=-1)[:, 0, :, None]  # (batch or 1, query or 1, 1)
            gathered = keras.ops.where(something, gathered, keras.ops.zeros_like(gathered))
        if self.gated:
            gathered = gathered * self._gate_dense(keras.ops.concatenate([query, gathered], axis=-1))
        return query + gathered if self.residual else gathered, scores

    def compute_mask(self, query, previous_mask=None):
        return previous_mask

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "gated": self.gated,
            "residual": self.residual,
            "normalize": self.normalize,
            "dropout_rate": self.dropout_rate,
        }

    def _layer(self, name, layer_class, shape, *args, **kwargs):
        layer = layer_class(*args, **kwargs, dtype=self.dtype_policy, name=name)
        layer.build(shape)
        return layer

    def _heads(self, dense, x):
        # Matrices multiply faster than stacks of them, on JAX by a tenth of the whole layer.
        flat = dense(keras.ops.reshape(x, (-1, x.shape[-1])))
        return keras.ops.reshape(flat, (-1, keras.ops.shape(x)[1], self.num_heads, self._head_dim))
