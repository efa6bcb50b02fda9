"""The base of the fusions that work on one vector per modality."""

import keras

from mmkeras.layers.fusion import Fusion, check_dim
from mmkeras.layers.token_pooling import pooling_layer


class VectorFusion(Fusion):
    """Base of the fusions that need one vector of one size per modality.

    It pools token sequences to vectors (padding left out) and projects every encoding whose size is not `dim`, so
    that no encoder has to match another. A subclass calls `build_vectors` in `build` and `vectors` in `fuse`.

    Args:
        dim: size every encoding is brought to; None takes the smallest among them.
        pooling: how a token sequence becomes a vector: `"avg"`, `"max"`, `"last"` or `"attention"`.
    """

    def __init__(self, dim=None, *, pooling="avg", **kwargs):
        super().__init__(**kwargs)
        check_dim(dim)
        pooling_layer(pooling)
        self.dim = dim
        self.pooling = pooling

    def build_vectors(self, encodings_shape, dim):
        """Create the pooling and projection layers for encodings of these shapes; None as `dim` projects nothing."""
        shapes = self.build_encodings(encodings_shape)
        self._poolings = [
            pooling_layer(self.pooling, dtype=self.dtype_policy) if len(shape) == 3 else None for shape in shapes
        ]
        self._projections = [
            None
            if dim in (None, shape[-1])
            else keras.layers.Dense(dim, dtype=self.dtype_policy, name=f"projection_{index}")
            for index, shape in enumerate(shapes)
        ]
        for shape, pooling, projection in zip(shapes, self._poolings, self._projections, strict=True):
            if pooling is not None:
                pooling.build(shape)
            if projection is not None:
                projection.build((shape[0], shape[-1]))
        return shapes

    def smallest_dim(self, encodings_shape):
        """Resolve `dim`: the one given, or the smallest size among the encodings."""
        if self.dim is not None:
            return self.dim
        return min(shape[-1] for shape in self.build_encodings(encodings_shape))

    def vectors(self, encodings, masks):
        """Return one vector (batch, dim) per encoding."""
        pooled = [
            x if pooling is None else pooling(x, mask=mask)
            for x, mask, pooling in zip(encodings, masks, self._poolings, strict=True)
        ]
        return [x if layer is None else layer(x) for x, layer in zip(pooled, self._projections, strict=True)]

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "pooling": self.pooling}
