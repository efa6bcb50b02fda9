"""From a token sequence to a vector."""

import keras

from mmkeras import ops
from mmkeras.layers.attention_pooling import AttentionPooling

_POOLS = {"avg": ops.masked_mean, "max": ops.masked_max, "last": ops.last_valid}


@keras.saving.register_keras_serializable(package="mmkeras")
class TokenPooling(keras.layers.Layer):
    """Pool a token sequence to a vector without weights.

    Use `AttentionPooling` where the layer should learn which tokens matter. Padding never counts; a row that is
    all padding pools to zeros.

    Args:
        mode: `"avg"`, `"max"` or `"last"` (the last valid token: the state of a forward recurrent layer).

    Call arguments:
        tokens: tensor (batch, tokens, dim).
        mask: boolean tensor (batch, tokens), or None.

    Output shape: (batch, dim).

    Example:

    >>> tuple(TokenPooling("max")(ops.ones((2, 5, 8))).shape)
    (2, 8)
    """

    def __init__(self, mode="avg", **kwargs):
        super().__init__(**kwargs)
        if mode not in _POOLS:
            raise ValueError(f"`mode` must be one of {sorted(_POOLS)}. Received: mode={mode!r}")
        self.mode = mode

    def build(self, tokens_shape):
        if len(tokens_shape) != 3:
            raise ValueError(f"TokenPooling expects tokens (batch, tokens, dim). Received: shape {tuple(tokens_shape)}")

    def call(self, tokens, mask=None):
        return _POOLS[self.mode](tokens, mask)

    def compute_mask(self, tokens, previous_mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


def pooling_layer(pooling, name=None, *, dtype=None):
    """Make the layer that a `pooling=` argument names.

    Args:
        pooling: `"avg"`, `"max"`, `"last"` or `"attention"`.
        name: name of the layer.
        dtype: dtype policy of the layer.

    Returns:
        A `TokenPooling` or an `AttentionPooling`.

    Example:

    >>> type(pooling_layer("attention")).__name__
    'AttentionPooling'
    """
    if pooling == "attention":
        return AttentionPooling(name=name, dtype=dtype)
    if pooling not in _POOLS:
        raise ValueError(f"`pooling` must be 'avg', 'max', 'last' or 'attention'. Received: pooling={pooling!r}")
    return TokenPooling(pooling, name=name, dtype=dtype)
