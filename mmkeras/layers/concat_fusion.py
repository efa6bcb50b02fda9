"""Early fusion: vectors side by side."""

import keras

from mmkeras.layers.vector_fusion import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class ConcatFusion(VectorFusion):
    """Concatenate one vector per modality: `h = [h1; h2; ...; hN]`.

    The plainest fusion and a baseline for every other one. A fixed slot must hold something: an absent modality
    contributes what stands in its slot, in a task the learned null embedding. `presence` therefore changes nothing
    here.

    Args:
        dim: size each encoding is projected to first; None keeps every size as it is.
        pooling: how a token sequence becomes a vector: `"avg"`, `"max"`, `"last"` or `"attention"`.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, sum of sizes).

    Example:

    >>> tuple(ConcatFusion()([ops.ones((2, 5, 8)), ops.ones((2, 4))]).shape)
    (2, 12)
    """

    def build(self, encodings_shape):
        self.build_vectors(encodings_shape, self.dim)

    def call(self, encodings, presence=None, encodings_mask=None, mask=None):
        masks = mask if encodings_mask is None else encodings_mask
        vectors, _ = self.vectors(encodings, presence, masks)
        return keras.ops.concatenate(vectors, axis=-1)
