"""Early fusion: vectors side by side."""

import keras

from mmkeras.layers.sublayers import pass_trainable_on
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
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        return keras.ops.concatenate(self.vectors(encodings, masks), axis=-1), None
