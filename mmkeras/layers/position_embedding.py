"""Where a token stands in its sequence."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class PositionEmbedding(keras.layers.Layer):
    """Add to each token what stands for its position.

    `"learned"` holds one vector per position up to `max_length`; `"sine"` computes
    `sin(position / 10000^(2i/dim))` and the cosine, for any length. keras-hub has both as separate layers that
    return the embedding alone; this one adds it, keeps the mask and does not import keras-hub.

    Args:
        max_length: longest sequence; needed for `"learned"`.
        kind: `"learned"` or `"sine"`.

    Call arguments:
        tokens: tensor (batch, tokens, dim); the mask passes on.

    Output shape: the shape of the tokens.

    Example:

    >>> tuple(PositionEmbedding(16)(ops.zeros((2, 5, 8))).shape)
    (2, 5, 8)
    """

    def __init__(self, max_length=None, *, kind="learned", **kwargs):
        super().__init__(**kwargs)
        if kind not in ("learned", "sine"):
            raise ValueError(f"`kind` must be 'learned' or 'sine'. Received: kind={kind!r}")
        if kind == "learned" and not max_length:
            raise ValueError(f"`max_length` is needed for learned positions. Received: max_length={max_length}")
        self.max_length = max_length
        self.kind = kind

    def build(self, tokens_shape):
        if len(tokens_shape) != 3 or tokens_shape[-1] is None:
            raise ValueError(
                f"PositionEmbedding expects tokens (batch, tokens, dim). Received: shape {tuple(tokens_shape)}"
            )
        if self.kind == "sine":
            return
        self._check_length(tokens_shape[1])
        self._positions = self.add_weight(
            shape=(self.max_length, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )

    def call(self, tokens):
        if self.kind == "learned":
            self._check_length(tokens.shape[1])
        return tokens + self.table(keras.ops.shape(tokens)[1], tokens.shape[-1], tokens.dtype)[None]

    def table(self, length, dim, dtype):
        """What stands for the first positions.

        Args:
            length: number of positions.
            dim: size of the tokens.
            dtype: data type.

        Returns:
            Tensor (length, dim).
        """
        if self.kind == "learned":
            return keras.ops.convert_to_tensor(self._positions, dtype=dtype)[:length]
        return keras.ops.cast(ops.sine_waves(keras.ops.arange(length), dim), dtype)

    def compute_mask(self, tokens, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length, "kind": self.kind}

    def _check_length(self, length):
        if length is not None and length > self.max_length:
            raise ValueError(
                f"PositionEmbedding has max_length={self.max_length} positions. Received: {length} tokens; "
                "raise `max_length`, cut the sequence, or use kind='sine'."
            )
