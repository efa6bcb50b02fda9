"""What stands in the place of a modality that is not there."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class NullEmbedding(keras.layers.Layer):
    """Replace the encoding of an absent modality by one learned token.

    `output = present ? encoding : null`. In an absent row every position holds the null embedding and only the
    first counts, so absence is one token, however long the sequence. Nothing of the filler passes, NaN included;
    gradients do not reach it either.

    Call arguments:
        inputs: list of the encoding, (batch, tokens, dim) or (batch, dim), and its presence, boolean (batch,).
        mask: list of the encoding's mask (batch, tokens) or None, and None.

    Output shape: the shape of the encoding; token sequences carry a mask.

    Example:

    >>> encoding, present = ops.ones((2, 4, 8)), ops.array([True, False])
    >>> output = NullEmbedding()([encoding, present])
    >>> bool(ops.all(output[0] == 1.0)), bool(ops.all(output[1] == output[1, 0]))
    (True, True)
    """

    def build(self, inputs_shape):
        if len(inputs_shape) != 2 or len(inputs_shape[0]) not in (2, 3) or inputs_shape[0][-1] is None:
            raise ValueError(
                "NullEmbedding expects [encoding, presence] of shapes (batch, tokens, dim) or (batch, dim), and "
                f"(batch,). Received: shapes {inputs_shape}"
            )
        self._null = self.add_weight(
            shape=(inputs_shape[0][-1],), initializer=keras.initializers.RandomNormal(stddev=0.02), name="null"
        )

    def call(self, inputs, mask=None):
        encoding, present = inputs
        null = keras.ops.convert_to_tensor(self._null, dtype=encoding.dtype)
        return keras.ops.where(ops.broadcast_flag(present, encoding), encoding, null)

    def compute_mask(self, inputs, previous_mask=None):
        encoding, present = inputs
        if len(encoding.shape) == 2:
            return None
        mask = None if previous_mask is None else previous_mask[0]
        if mask is None and isinstance(encoding, keras.KerasTensor):
            # While the graph is built, an encoder shows no mask yet: one of all tokens would be kept for good by what
            # stands behind.
            return None
        # Not `==`, which compares symbolic tensors as Python objects.
        first = keras.ops.equal(keras.ops.cumsum(keras.ops.cast(ops.token_mask(encoding), "int32"), axis=1), 1)
        return keras.ops.where(ops.broadcast_flag(present, encoding)[..., 0], ops.token_mask(encoding, mask), first)
