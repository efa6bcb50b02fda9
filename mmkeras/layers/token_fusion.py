"""The base of the fusions that keep tokens."""

import keras

from mmkeras import ops
from mmkeras.layers.fusion import Fusion, check_dim


class TokenFusion(Fusion):
    """Base of the fusions that mix token sequences of one size and return the joined sequence with its mask.

    It projects every encoding whose size is not `dim` and turns vectors into sequences of one token. A subclass
    calls `build_tokens` in `build` and `tokens` in `fuse`.

    Args:
        dim: size of the tokens; None takes the smallest size among the encodings.
    """

    def __init__(self, dim=None, **kwargs):
        super().__init__(**kwargs)
        check_dim(dim)
        self.dim = dim

    def build_tokens(self, encodings_shape, *, multiple_of=1):
        """Create the projections; return how many encodings there are and the size of their tokens.

        Where `dim` is None, the smallest size is rounded up to a multiple of `multiple_of`, the number of heads.
        """
        shapes = self.build_encodings(encodings_shape)
        dim = self.dim or -(-min(shape[-1] for shape in shapes) // multiple_of) * multiple_of
        if dim % multiple_of:
            raise ValueError(
                f"{type(self).__name__} splits its tokens among num_heads={multiple_of} heads, so `dim` must be a "
                f"multiple of that. Received: dim={dim}"
            )
        self._projections = [
            None if shape[-1] == dim else keras.layers.Dense(dim, dtype=self.dtype_policy, name=f"projection_{index}")
            for index, shape in enumerate(shapes)
        ]
        for projection, shape in zip(self._projections, shapes, strict=True):
            if projection is not None:
                projection.build(shape)
        return len(shapes), dim

    def tokens(self, encodings, presence, masks):
        """Return token sequences (batch, tokens, dim), and which tokens may be attended to (None for all)."""
        projected = [x if layer is None else layer(x) for x, layer in zip(encodings, self._projections, strict=True)]
        tokens = [self._sequence(x) for x in projected]
        allowed = ops.usable(presence)
        if allowed is not None:
            masks = [
                keras.ops.logical_and(ops.token_mask(x, mask), allowed[:, index : index + 1])
                for index, (x, mask) in enumerate(zip(tokens, masks, strict=True))
            ]
        return tokens, masks

    def compute_mask(self, encodings, previous_mask=None):
        encodings, _, masks = self.arrange(encodings, None, previous_mask)
        return ops.join_masks([self._sequence(x) for x in encodings], masks)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}

    def _sequence(self, x):
        return x[:, None] if len(x.shape) == 2 else x
