"""From an encoding to a joint space."""

import keras

from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_pooling import pooling_layer


@keras.saving.register_keras_serializable(package="mmkeras")
class ProjectionHead(keras.layers.Layer):
    """Map an encoding to a vector of the size that all modalities share.

    Linear, `W h + b`; with `hidden_dim` a residual network, `norm(W h + b + W2 gelu(W1 h + b1) + b2)`, for encoders
    that are frozen or large beside the joint space. Token sequences are pooled first; padding never counts.

    Args:
        dim: size of the output.
        hidden_dim: size of the hidden layer; None for a linear head.
        pooling: `"avg"`, `"max"`, `"last"` or `"attention"`, for encodings that are token sequences.
        dropout_rate: share of the pooled encoding, and of the hidden layer, dropped in training.

    Call arguments:
        encoding: tensor (batch, tokens, dim) or (batch, dim).
        mask: boolean tensor (batch, tokens), or None.

    Output shape: (batch, dim).

    Example:

    >>> tuple(ProjectionHead(8, hidden_dim=32)(ops.ones((2, 5, 16))).shape)
    (2, 8)

    References:
        Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations.
    """

    def __init__(self, dim=256, hidden_dim=None, *, pooling="avg", dropout_rate=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in {"dim": dim, "hidden_dim": hidden_dim}.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.pooling = pooling
        self.dropout_rate = dropout_rate
        self._pool = pooling_layer(pooling, name="pooling", dtype=self.dtype_policy)

    def build(self, encoding_shape):
        if len(encoding_shape) not in (2, 3) or encoding_shape[-1] is None:
            raise ValueError(
                "ProjectionHead expects an encoding (batch, tokens, dim) or (batch, dim) with a known last axis. "
                f"Received: shape {tuple(encoding_shape)}"
            )
        if len(encoding_shape) == 3:
            self._pool.build(encoding_shape)
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        self._linear = self._layer("linear", keras.layers.Dense, encoding_shape[-1], self.dim)
        if self.hidden_dim is not None:
            self._hidden = self._layer("hidden", keras.layers.Dense, encoding_shape[-1], self.hidden_dim)
            self._output = self._layer("output", keras.layers.Dense, self.hidden_dim, self.dim)
            self._norm = self._layer("norm", keras.layers.LayerNormalization, self.dim)
        pass_trainable_on(self)

    def call(self, encoding, mask=None, training=None):
        pooled = self._pool(encoding, mask=mask) if len(encoding.shape) == 3 else encoding
        pooled = self._dropout(pooled, training=training)
        projected = self._linear(pooled)
        if self.hidden_dim is None:
            return projected
        hidden = self._dropout(keras.ops.gelu(self._hidden(pooled), approximate=True), training=training)
        return self._norm(projected + self._output(hidden))

    def compute_mask(self, encoding, previous_mask=None):
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "hidden_dim": self.hidden_dim,
            "pooling": self.pooling,
            "dropout_rate": self.dropout_rate,
        }

    def _layer(self, name, layer_class, size, *arguments):
        layer = layer_class(*arguments, dtype=self.dtype_policy, name=name)
        layer.build((None, size))
        return layer
