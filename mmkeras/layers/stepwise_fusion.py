"""Any fusion, at every step of a series."""

import keras

from mmkeras.layers.fusion import Fusion


@keras.saving.register_keras_serializable(package="mmkeras")
class StepwiseFusion(Fusion):
    """Fuse series of equal length step by step, with any fusion: `h_t = fusion(x1_t, ..., xN_t)`.

    Use it where step t of one modality belongs to step t of the others: the utterances of a dialogue as words, voice
    and face, the moments of a recording. A vector (batch, dim) counts at every step, such as who is speaking. A
    fusion that returns tokens is averaged over them. What an absent modality holds stands at every step.

    Args:
        fusion: a fusion layer.

    Call arguments:
        encodings: list or dict of tensors (batch, time, dim), of one length, or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        return_weights: whether to return the weights of the fusion too, each (batch, time, dim) or (batch, time, 1).

    Output shape: (batch, time, dim), with a mask: a step counts where it does in any modality.

    Example:

    >>> fusion = StepwiseFusion(mm.layers.GatedFusion(4))
    >>> tuple(fusion({"text": ops.ones((2, 7, 8)), "audio": ops.ones((2, 7, 6)), "speaker": ops.ones((2, 5))}).shape)
    (2, 7, 4)
    """

    def __init__(self, fusion, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(fusion, Fusion) or isinstance(fusion, StepwiseFusion):
            raise ValueError(
                f"`fusion` must be a fusion layer, such as mm.layers.GatedFusion(). Received: fusion={fusion!r}"
            )
        self.fusion = fusion

    def build(self, encodings_shape):
        shapes = self.build_encodings(encodings_shape)
        lengths = {shape[1] for shape in shapes if len(shape) == 3}
        if not lengths or len(lengths - {None}) > 1:
            raise ValueError(
                "StepwiseFusion needs at least one series (batch, time, dim), and all series of one length. "
                f"Received: encodings of shapes {encodings_shape}"
            )
        if not self.fusion.built:
            self.fusion.build(self.restore([(None, shape[-1]) for shape in shapes]))

    def call(self, encodings, presence=None, encodings_mask=None, mask=None, training=None, return_weights=False):
        masks = mask if encodings_mask is None else encodings_mask
        encodings, presence, _ = self.arrange(encodings, presence, masks)
        series = next(x for x in encodings if len(x.shape) == 3)
        length = keras.ops.shape(series)[1]
        # (batch, time, dim) -> (batch * time, dim)
        steps = [
            keras.ops.reshape(x, (-1, x.shape[-1])) if len(x.shape) == 3 else keras.ops.repeat(x, length, axis=0)
            for x in encodings
        ]
        flags = [None if flag is None else keras.ops.repeat(flag, length, axis=0) for flag in presence]
        steps = self.restore(steps)
        flags = None if all(flag is None for flag in flags) else self.restore(flags)
        fused = self.fusion(steps, presence=flags, training=training)
        fused = keras.ops.mean(fused, axis=1) if len(fused.shape) == 3 else fused
        fused = keras.ops.cast(fused, self.compute_dtype)  # The fusion may have a dtype policy of its own.
        if not return_weights:
            return self._unfold(fused, length)
        _, weights = self.fusion(steps, presence=flags, training=training, return_weights=True)
        # They may be the same for all rows, and come once.
        rows = keras.ops.zeros_like(fused[:, :1])
        return self._unfold(fused, length), keras.tree.map_structure(lambda x: self._unfold(x + rows, length), weights)

    def compute_mask(self, encodings, previous_mask=None):
        encodings, _, masks = self.arrange(encodings, None, previous_mask)
        masks = [mask for x, mask in zip(encodings, masks, strict=True) if len(x.shape) == 3]
        if any(mask is None for mask in masks):
            return None
        return keras.ops.any(keras.ops.stack(masks, axis=1), axis=1)

    def get_config(self):
        return {**super().get_config(), "fusion": keras.saving.serialize_keras_object(self.fusion)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "fusion": keras.saving.deserialize_keras_object(config["fusion"])})

    def _unfold(self, x, length):
        return keras.ops.reshape(x, (-1, length, *x.shape[1:]))
