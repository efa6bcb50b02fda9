"""The base of the losses over pairs of embeddings."""

import keras
from keras import ops

from mmkeras.ops import directions


class PairLoss(keras.layers.Layer):
    """Base of the losses that compare every row of one modality with every row of another.

    It is a layer, so that it may own weights such as a temperature and is trained and saved with the task that holds
    it. It computes in float32 under every dtype policy. Subclass it for a loss of your own and write

        loss(self, first, second, positives, usable) -> scalar

    on float32 embeddings, normalised if asked for, and boolean matrices (first, second): which pairs belong
    together, and which take part (None for all).

    Rows of equal group belong together (five captions of one image share its group): they are positives of each
    other and never negatives. Without groups row i belongs to row i, and both modalities need as many rows.

    A row that is not valid (padding, or its modality is missing) takes no part, as anchor, positive or negative:
    whatever stands in it, NaN included, changes neither the value nor a gradient. Where nothing is left the loss is
    0 and its gradient zero. A zero vector scores 0 with everything and gets no gradient.

    Args:
        normalize: whether the embeddings are scaled to length one first.

    Call arguments:
        first: tensor (first, dim), embeddings of one modality.
        second: tensor (second, dim), embeddings of another.
        first_groups: integer tensor (first,), or None.
        second_groups: integer tensor (second,), or None.
        first_valid: boolean tensor (first,), or None for all.
        second_valid: boolean tensor (second,), or None for all.

    Output: scalar, float32.
    """

    def __init__(self, *, normalize=True, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.normalize = normalize

    def call(self, first, second, first_groups=None, second_groups=None, first_valid=None, second_valid=None):
        self._check_embeddings(first, second)
        first_valid = self._flat("first_valid", first_valid, first, "bool")
        second_valid = self._flat("second_valid", second_valid, second, "bool")
        first_groups = self._flat("first_groups", first_groups, first)
        second_groups = self._flat("second_groups", second_groups, second)
        first_groups, second_groups = self._groups(first, second, first_groups, second_groups)
        first, second = self._prepare(first, first_valid), self._prepare(second, second_valid)
        return self.compare(first, second, (first_groups, second_groups), (first_valid, second_valid))

    def compare(self, first, second, groups, valid):
        """Say which pairs belong together and which take part, and compare them by `loss`.

        Args:
            first: float32 tensor (first, dim), normalised if asked for.
            second: float32 tensor (second, dim).
            groups: pair of integer tensors (first,) and (second,).
            valid: pair of boolean tensors (first,) and (second,), None where all rows are valid.

        Returns:
            Scalar tensor.
        """
        positives = ops.equal(groups[0][:, None], groups[1][None, :])
        usable = None
        if any(flags is not None for flags in valid):
            first_valid, second_valid = (
                ops.ones((ops.shape(x)[0],), "bool") if flags is None else flags
                for x, flags in zip((first, second), valid, strict=True)
            )
            usable = ops.logical_and(first_valid[:, None], second_valid[None, :])
        return self.loss(first, second, positives, usable)

    def loss(self, first, second, positives, usable):
        """Compare two sets of embeddings; return a scalar."""
        raise NotImplementedError(f"{type(self).__name__} must define `loss`.")

    def compute_output_spec(self, first, second, *args, **kwargs):
        self._check_embeddings(first, second)
        return keras.KerasTensor((), "float32")

    def get_config(self):
        return {**super().get_config(), "normalize": self.normalize}

    def _prepare(self, embeddings, valid):
        embeddings = ops.cast(embeddings, "float32")
        if valid is not None:
            embeddings = ops.where(valid[:, None], embeddings, ops.zeros_like(embeddings))
        return directions(embeddings) if self.normalize else embeddings

    def _groups(self, first, second, first_groups, second_groups):
        if (first_groups is None) != (second_groups is None):
            raise ValueError(
                f"{type(self).__name__} needs the groups of both modalities, or of none. Received: "
                f"{'first' if second_groups is None else 'second'}_groups alone"
            )
        if first_groups is None:
            if None not in (first.shape[0], second.shape[0]) and first.shape[0] != second.shape[0]:
                raise ValueError(
                    f"{type(self).__name__} matches row i with row i unless groups say what belongs together: give "
                    "as many rows of both modalities, or `first_groups` and `second_groups`. "
                    f"Received: {first.shape[0]} and {second.shape[0]} rows"
                )
            # Where a graph does not know the sizes beforehand, it is the stack that fails when they differ.
            rows = ops.stack([ops.arange(ops.shape(first)[0]), ops.arange(ops.shape(second)[0])])
            first_groups, second_groups = rows[0], rows[1]
        return first_groups, second_groups

    def _check_embeddings(self, first, second):
        shapes = tuple(first.shape), tuple(second.shape)
        if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
            raise ValueError(
                f"{type(self).__name__} compares embeddings (rows, dim) of one dim; pool tokens and project to one "
                f"size first. Received: shapes {shapes[0]} and {shapes[1]}"
            )

    def _flat(self, name, values, embeddings, dtype=None):
        if values is None:
            return None
        values = ops.convert_to_tensor(values)
        sizes = {values.shape[0] if len(values.shape) == 1 else -1, embeddings.shape[0]} - {None}
        if -1 in sizes or len(sizes) > 1:
            raise ValueError(
                f"{type(self).__name__} takes one entry of `{name}` per row, {embeddings.shape[0]} in all. "
                f"Received: `{name}` of shape {tuple(values.shape)}"
            )
        return values if dtype is None else ops.cast(values, dtype)
