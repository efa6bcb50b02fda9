"""Bilinear fusion: what one modality says, times what another says."""

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.vector_fusion import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class BilinearFusion(VectorFusion):
    """Multiply one vector per modality, in low rank: every product of their entries can count.

    With a factor `f_m = 1 + W_m h_m + b_m` of size (dim, rank) for each modality,

        h = sum over rank of (product over m of f_m - 1)

    which for two modalities is `W_1 h_1 + W_2 h_2 + (W_1 h_1) * (W_2 h_2)`, summed over the rank: the full bilinear map
    `h_1^T T h_2` with a tensor T of this rank, and both modalities by themselves. With `normalize` each entry is then
    replaced by its signed square root and the vector brought to a root mean square of 1, as products are few large
    numbers among many small ones.

    Use it where an answer depends on a combination (is the thing in the picture the thing in the question?). An absent
    modality has the factor 1, so that the others stay as they are; where nothing is present, all count.

    Args:
        dim: size of the fused vector; None takes the smallest size among the encodings.
        rank: how many products are summed for each entry.
        pooling: how a token sequence becomes a vector: `"avg"`, `"max"`, `"last"` or `"attention"`.
        normalize: whether to take signed square roots and scale.
        dropout_rate: share of the products dropped in training.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, dim).

    Example:

    >>> tuple(BilinearFusion(6, rank=2)([ops.ones((2, 8)), ops.ones((2, 5, 4))]).shape)
    (2, 6)

    References:
        Yu et al. 2017, Multi-modal Factorized Bilinear Pooling with Co-Attention Learning for VQA.
        Liu et al. 2018, Efficient Low-rank Multimodal Fusion with Modality-Specific Factors.
    """

    def __init__(self, dim=None, *, rank=4, pooling="avg", normalize=True, dropout_rate=0.0, **kwargs):
        super().__init__(dim, pooling=pooling, **kwargs)
        if rank < 1:
            raise ValueError(f"`rank` must be a positive integer. Received: rank={rank}")
        self.rank = rank
        self.normalize = normalize
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        self._dim = self.smallest_dim(encodings_shape)
        shapes = self.build_vectors(encodings_shape, None)
        if len(shapes) < 2:
            raise ValueError(f"BilinearFusion needs at least two encodings. Received: shapes {encodings_shape}")
        self._factors = [
            keras.layers.Dense(self._dim * self.rank, dtype=self.dtype_policy, name=f"factor_{index}")
            for index in range(len(shapes))
        ]
        for factor, shape in zip(self._factors, shapes, strict=True):
            factor.build((None, shape[-1]))
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        allowed = ops.usable(presence)
        product = 1.0
        for index, vector in enumerate(self.vectors(encodings, masks)):
            factor = self._factors[index](vector)
            if allowed is not None:
                factor = keras.ops.where(allowed[:, index : index + 1], factor, keras.ops.zeros_like(factor))
            product = product * (1.0 + factor)
        product = self._dropout(product - 1.0, training=training)
        fused = keras.ops.sum(keras.ops.reshape(product, (-1, self._dim, self.rank)), axis=2)
        return _evened(fused) if self.normalize else fused, None

    def get_config(self):
        return {
            **super().get_config(),
            "rank": self.rank,
            "normalize": self.normalize,
            "dropout_rate": self.dropout_rate,
        }


def _evened(x):
    """Signed square roots, linear near zero where their slope would be infinite, at a root mean square of 1."""
    wide = keras.ops.cast(x, "float32")
    roots = wide / keras.ops.sqrt(keras.ops.abs(wide) + 1e-3)
    scale = keras.ops.rsqrt(keras.ops.mean(keras.ops.square(roots), axis=-1, keepdims=True) + 1e-6)
    return keras.ops.cast(roots * scale, x.dtype)
