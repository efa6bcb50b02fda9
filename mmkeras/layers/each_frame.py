"""A network on every frame of a clip."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class EachFrame(keras.layers.Layer):
    """Run an encoder on every step of a sequence, all steps of all samples as one batch.

    `keras.layers.TimeDistributed` does the same, but drops the mask of the steps behind an operator, and a model saved
    with it exchanges samples and steps where both are open. Here frames and batch are folded together and unfolded
    again, the mask of the frames is that of the tokens, and tokens of padding are zero.

    An encoder that gives several tokens gives their mean. Steps of padding run through it too: where it has batch
    statistics, freeze it or give it clips of one length.

    Args:
        encoder: functional `keras.Model` of one input, from (batch, ...) to (batch, dim) or (batch, tokens, dim).
        rematerialize: whether to forget what it computes on the way and compute it again for the gradients: training
            takes less memory and more time. Not for an encoder that draws random numbers or counts batch statistics,
            which would differ the second time.

    Call arguments:
        frames: tensor (batch, frame, ...).

    Output shape: (batch, frame, dim), with the mask of the frames.

    Example:

    >>> layer = EachFrame(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3), pooling="avg"))
    >>> tuple(layer(ops.ones((2, 5, 8, 8, 3))).shape)
    (2, 5, 4)
    """

    def __init__(self, encoder, *, rematerialize=False, **kwargs):
        # Pixels are for the encoder to cast.
        super().__init__(autocast=False, **kwargs)
        check_encoder(encoder)
        if rematerialize and _keeps_state(encoder):
            raise ValueError(
                "`rematerialize` runs the encoder twice, and with dropout or batch statistics it would not do the same "
                f"again: build it without them, or freeze it. Received: encoder={encoder!r}"
            )
        self.encoder = encoder
        self.rematerialize = rematerialize

    def call(self, frames, training=None, mask=None):
        def encode(folded):
            vectors = self.encoder(folded, training=training)
            return vectors if len(vectors.shape) == 2 else keras.ops.mean(vectors, axis=1)

        shape = keras.ops.shape(frames)
        encode = keras.remat(encode) if self.rematerialize and training else encode
        vectors = encode(keras.ops.reshape(frames, (-1, *frames.shape[2:])))
        tokens = keras.ops.reshape(vectors, (shape[0], shape[1], vectors.shape[-1]))
        return ops.zero_padding(keras.ops.cast(tokens, self.compute_dtype), mask)

    def compute_mask(self, frames, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, frames_shape):
        return (*frames_shape[:2], self.encoder.output_shape[-1])

    def compute_output_spec(self, frames, training=None, mask=None):
        return keras.KerasTensor(self.compute_output_shape(frames.shape), self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "rematerialize": self.rematerialize,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})


def check_encoder(encoder):
    """Raise an error for anything but a functional model from one tensor to vectors or tokens."""
    if isinstance(encoder, keras.Model):
        inputs, outputs = (keras.tree.flatten(getattr(encoder, name, ())) for name in ("inputs", "outputs"))
        if len(inputs) == len(outputs) == 1 and len(outputs[0].shape) in (2, 3):
            return
    raise ValueError(
        "`encoder` must be a functional keras.Model from one input to vectors (batch, dim) or tokens (batch, tokens, "
        f"dim), such as mm.encoders.vgg(...). Received: encoder={encoder!r}"
    )


def _keeps_state(layer):
    """Whether training changes anything in a layer but its trained weights."""
    if isinstance(layer, keras.Model):
        return any(map(_keeps_state, layer.layers))
    return layer.trainable and bool(layer.non_trainable_variables)
