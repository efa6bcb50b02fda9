"""From frames to characters or words whose places nobody marked."""

import keras

# Certain enough, and small enough to survive int8.
_NEVER = -60.0


@keras.saving.register_keras_serializable(package="mmkeras")
class CTCHead(keras.layers.Dense):
    """Logits of what is said in each frame, for `keras.losses.CTC`: id 0, the blank, says nothing.

    Ids are those of a `Text` part without marks (`mark_ends=False`), where 0 is padding, so that its rows are targets
    as they are. Frames of padding say nothing for certain, so that loss and decoding need to know no lengths: the
    logits carry no mask.

    Args:
        vocabulary_size: number of token ids, the blank (0) included.

    Call arguments:
        tokens: tensor (batch, time, dim).

    Output shape: (batch, time, vocabulary_size), float32.

    Example:

    >>> logits = CTCHead(5)(ops.ones((2, 7, 4)), mask=ops.zeros((2, 7), "bool"))
    >>> float(keras.losses.CTC()(ops.zeros((2, 3), "int32"), logits)) < 1e-6
    True

    References:
        Graves et al. 2006, Connectionist Temporal Classification.
    """

    def __init__(self, vocabulary_size, **kwargs):
        if vocabulary_size < 2:
            raise ValueError(
                "`vocabulary_size` must be at least 2: the blank and a word. "
                f"Received: vocabulary_size={vocabulary_size}"
            )
        super().__init__(vocabulary_size, **kwargs)
        if self.activation is not keras.activations.linear:
            raise ValueError(f"CTCHead gives logits, without activation. Received: activation={self.activation!r}")
        self.vocabulary_size = vocabulary_size
        self.supports_masking = True

    def call(self, tokens, mask=None, training=None):
        logits = keras.ops.cast(super().call(tokens), "float32")
        if mask is None:
            return logits
        nothing = keras.ops.one_hot(0, self.vocabulary_size, dtype="float32") * -_NEVER + _NEVER
        return keras.ops.where(keras.ops.expand_dims(mask, -1), logits, nothing)

    def compute_mask(self, tokens, previous_mask=None):
        return None

    def compute_output_spec(self, tokens, mask=None, training=None):
        return keras.KerasTensor((*tokens.shape[:-1], self.vocabulary_size), "float32")

    def get_config(self):
        config = super().get_config()
        del config["units"]
        return {**config, "vocabulary_size": self.vocabulary_size}
