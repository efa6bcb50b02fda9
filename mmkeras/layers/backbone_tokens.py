"""A network of another library inside our token and mask contract."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class BackboneTokens(keras.layers.Layer):
    """Run a network on padded sequences and set the mask of the tokens it returns.

    Networks of keras-hub take padding as an input and return tokens without a mask. This layer reads the padding
    off the trailing zeros of the sequence, feeds it under the network's own names (`padding_mask`, `segment_ids`
    where it has them) and marks the tokens.

    Args:
        network: functional `keras.Model` that returns tokens (batch, tokens, dim), or a dict with
            `sequence_output`.
        stride: how many input steps one token stands for.

    Call arguments:
        x: tensor (batch, time) of token ids, or (batch, time, ...), padded with zeros.

    Output shape: (batch, ceil(time / stride), dim), with a mask.

    Example:

    >>> token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    >>> network = keras.Model({"token_ids": token_ids}, keras.layers.Embedding(10, 4)(token_ids))
    >>> tuple(BackboneTokens(network)(ops.array([[3, 2, 0]])).shape)
    (1, 3, 4)
    """

    def __init__(self, network, *, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.stride = stride

    def call(self, x, training=None):
        if isinstance(self.network.input, dict):
            feeds = {
                "token_ids": x,
                "padding_mask": keras.ops.cast(ops.trailing_mask(x), "int32"),
                "segment_ids": keras.ops.zeros_like(x),
            }
            tokens = self.network({name: feeds[name] for name in self.network.input}, training=training)
        else:
            tokens = self.network(x, training=training)
        tokens = tokens["sequence_output"] if isinstance(tokens, dict) else tokens
        return ops.zero_padding(keras.ops.cast(tokens, self.compute_dtype), self.compute_mask(x))

    def compute_mask(self, x, previous_mask=None):
        return ops.stride_mask(ops.trailing_mask(x), self.stride)

    def compute_output_shape(self, x_shape):
        output = self.network.output
        dim = (output["sequence_output"] if isinstance(output, dict) else output).shape[-1]
        return (x_shape[0], None if x_shape[1] is None else -(-x_shape[1] // self.stride), dim)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "stride": self.stride,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "network": keras.saving.deserialize_keras_object(config["network"])})
