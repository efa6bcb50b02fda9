"""The base of every fusion layer."""

import numbers

import keras

from mmkeras.layers.inputs import check_batch


class Fusion(keras.layers.Layer):
    """Base of the layers that fit a fusion slot: several encodings in, one representation out.

    Subclass it for a fusion of your own (or `VectorFusion`, `TokenFusion`, which do more of the work): call
    `build_encodings` in `build` and write

        fuse(self, encodings, presence, masks, training) -> fused, weights

    on three lists of equal length, one entry per encoding in a fixed order, None where there is nothing. `weights` is
    a list that says how much each modality counted, or None where the fusion has no such thing.

    Encodings come as a list, or as a dict by modality (taken in the order of its sorted keys). Each is a token
    sequence (batch, tokens, dim) or a vector (batch, dim), which counts as a sequence of one token.

    Presence says which encodings are real: a dict or list like the encodings, of boolean (batch,) tensors; a
    missing entry or None means always present. What stands in an absent slot must be finite and must not depend on
    the filler in the input; `NullEmbedding` sees to both, and every task uses it.

    Masks arrive by themselves. Keras passes them as `mask` where the encodings are the only tensor argument and as
    `encodings_mask` where presence is given too, hence the two arguments.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        encodings_mask: list or dict of boolean tensors (batch, tokens), filled in by Keras.
        mask: the same, filled in by Keras when `presence` is None.
        return_weights: whether to return the weights too, structured like the encodings.
    """

    def call(self, encodings, presence=None, encodings_mask=None, mask=None, training=None, return_weights=False):
        masks = mask if encodings_mask is None else encodings_mask
        fused, weights = self.fuse(*self.arrange(encodings, presence, masks), training)
        if not return_weights:
            return fused
        if weights is None:
            raise ValueError(f"{type(self).__name__} has no weights to show. Received: return_weights=True")
        return fused, self.restore(weights)

    def fuse(self, encodings, presence, masks, training):
        """Fuse lists of encodings, presence flags and masks; return what was fused, and weights or None."""
        raise NotImplementedError(f"{type(self).__name__} must define `fuse`.")

    def compute_mask(self, encodings, previous_mask=None):
        return None

    def build_encodings(self, encodings_shape):
        """Check the shapes of the encodings and return them as a list; call it first in `build`."""
        self._names = sorted(encodings_shape) if isinstance(encodings_shape, dict) else None
        shapes = [tuple(shape) for shape in self._ordered(encodings_shape)]
        if not shapes or any(len(shape) not in (2, 3) for shape in shapes):
            raise ValueError(
                f"{type(self).__name__} fuses a list or dict of encodings, each (batch, tokens, dim) or (batch, dim). "
                f"Received: encodings of shapes {encodings_shape}"
            )
        if any(shape[-1] is None for shape in shapes):
            raise ValueError(
                f"{type(self).__name__} needs the last axis of every encoding to be known. "
                f"Received: encodings of shapes {encodings_shape}"
            )
        return shapes

    def arrange(self, encodings, presence, masks):
        """Return encodings, presence flags and masks as lists in one order, None where there is nothing."""
        ordered = self._ordered(encodings)
        names = self._names or [f"encodings[{index}]" for index in range(len(ordered))]
        check_batch(self, dict(zip(names, ordered, strict=True)))
        return ordered, self._flags(presence, len(ordered)), self._masks(masks, len(ordered))

    def restore(self, values):
        """Give a list, one value per encoding, the structure the encodings came in."""
        return list(values) if self._names is None else dict(zip(self._names, values, strict=True))

    def _ordered(self, structure):
        if isinstance(structure, dict):
            return [structure[name] for name in sorted(structure)]
        return list(structure)

    def _flags(self, presence, count):
        if presence is None:
            return [None] * count
        if isinstance(presence, dict) != (self._names is not None):
            raise ValueError(
                f"{type(self).__name__} expects `presence` in the structure of the encodings (a dict for a dict, a "
                f"list for a list). Received: presence={presence}"
            )
        if isinstance(presence, dict):
            unknown = sorted(set(presence) - set(self._names))
            if unknown:
                raise ValueError(
                    f"{type(self).__name__} got presence flags for modalities it does not fuse. "
                    f"Expected keys among {self._names}. Received: {unknown}"
                )
            return [presence.get(name) for name in self._names]
        if len(presence) != count:
            raise ValueError(
                f"{type(self).__name__} expects one presence flag (or None) per encoding, {count} in all. "
                f"Received: {len(presence)}"
            )
        return list(presence)

    def _masks(self, masks, count):
        return [None] * count if masks is None else self._ordered(masks)


def check_dim(dim):
    """Raise an error where the size of what is fused is none; all else that fusions take is given by name."""
    if dim is not None and not isinstance(dim, numbers.Integral):
        raise ValueError(
            "`dim` must be a positive integer or None; what else a fusion takes is given by name, such as `by=` or "
            f"`fixed_weights=`. Received: dim={dim!r}"
        )
    if dim is not None and dim < 1:
        raise ValueError(f"`dim` must be a positive integer or None. Received: dim={dim}")
