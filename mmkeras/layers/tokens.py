"""The last layer of every encoder."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class Tokens(keras.layers.Layer):
    """Hand over a token sequence as the encoder contract wants it: (batch, tokens, dim), padding zero, mask set.

    A feature map (batch, height, width, channel) becomes its positions row by row; a vector becomes one token. End
    an encoder of your own with it: convolutions, `TimeDistributed` and plain operators drop the mask on the way.

    Call arguments:
        x: tensor (batch, tokens, dim), (batch, height, width, dim) or (batch, dim).
        mask: boolean tensor (batch, tokens), or None.

    Output shape: (batch, tokens, dim).

    Example:

    >>> tuple(Tokens()(ops.ones((2, 7, 7, 16))).shape), tuple(Tokens()(ops.ones((2, 16))).shape)
    ((2, 49, 16), (2, 1, 16))
    """

    def build(self, x_shape):
        if len(x_shape) not in (2, 3, 4) or x_shape[-1] is None:
            raise ValueError(
                "Tokens expects (batch, tokens, dim), (batch, height, width, dim) or (batch, dim) with a known last "
                f"axis. Received: shape {tuple(x_shape)}"
            )

    def call(self, x, mask=None):
        if len(x.shape) == 2:
            return x[:, None]
        if len(x.shape) == 4:
            known = x.shape[1] is not None and x.shape[2] is not None
            return keras.ops.reshape(x, (-1, x.shape[1] * x.shape[2] if known else self._count(x), x.shape[-1]))
        return ops.zero_padding(x, mask)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask if len(x.shape) == 3 else None

    def _count(self, x):
        return keras.ops.shape(x)[1] * keras.ops.shape(x)[2]
