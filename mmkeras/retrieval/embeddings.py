"""Embeddings at the door: checked once, then read block by block as float32."""

from collections.abc import Iterator
from typing import final

import numpy as np

SIMILARITIES = ("cosine", "dot", "euclidean")
# Two float32 dot products of the same vectors, summed in another order, differ by less than this share of the product
# of their lengths; scores that are nearer than that count as equal.
MARGIN = np.float32(1e-6)
_BLOCK = 2**22
_SHOWN = 5
# Squares and products of values beyond this leave float32.
_LARGEST_LENGTH = 1e18


@final
class Embeddings:
    """Checked vectors with their lengths; never copied as a whole.

    Args:
        values: array (rows, dim) of numbers.
        name: what the caller calls the array, for messages.
        dim: the size that the vectors must have, or None for any.

    Attributes:
        lengths: float32 array (rows,).
    """

    def __init__(self, values, name: str, dim: int | None = None):
        values = np.asarray(values)
        if values.ndim != 2 or (values.dtype.kind not in "fiu" and values.dtype.name != "bfloat16"):
            raise ValueError(
                f"`{name}` must be an array of numbers, (rows, dim). Received: {values.dtype} of shape {values.shape}"
            )
        if not values.size:
            raise ValueError(f"`{name}` must hold at least one vector. Received: shape {values.shape}")
        if dim is not None and values.shape[1] != dim:
            raise ValueError(f"`{name}` must have vectors of size {dim}. Received: shape {values.shape}")
        self.values = values
        self.name = name
        self.lengths = self._measure()

    def __len__(self):
        return len(self.values)

    @property
    def dim(self) -> int:
        return self.values.shape[1]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Some of the vectors as float32, without a copy where they are float32 already."""
        with np.errstate(over="ignore"):
            return np.asarray(self.values[start:stop], "float32")

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All vectors as float32, about 16 MB at a time, each block with its place."""
        step = max(1, _BLOCK // self.dim)
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            yield slice(start, stop), self.rows(start, stop)

    def mean(self) -> np.ndarray:
        """The mean vector."""
        return (sum(block.sum(axis=0, dtype="float64") for _, block in self.blocks()) / len(self)).astype("float32")

    def distances(self, center: np.ndarray) -> np.ndarray:
        """How far each vector is from `center`."""
        return np.concatenate([vector_lengths(block - center) for _, block in self.blocks()]).astype("float32")

    def unit(self, start: int, stop: int) -> np.ndarray:
        """Some of the vectors at length one; a zero vector stays zero."""
        return self.rows(start, stop) * inverse(self.lengths[start:stop])[:, None]

    def _measure(self):
        lengths = np.empty(len(self))
        for place, block in self.blocks():
            lengths[place] = vector_lengths(block)
        bad = np.flatnonzero(~np.isfinite(lengths))
        if len(bad):
            more = f", ... ({len(bad)} rows)" if len(bad) > _SHOWN else ""
            raise ValueError(
                f"`{self.name}` must be finite in float32; find out what made NaN or infinity, or leave those rows "
                f"out. Received: NaN or infinity in rows {', '.join(map(str, bad[:_SHOWN]))}{more}, counted from 0"
            )
        if lengths.max() > _LARGEST_LENGTH:
            raise ValueError(
                f"`{self.name}` must be shorter than {_LARGEST_LENGTH:.0e} for float32; scale the vectors down. "
                f"Received: length {lengths.max():.3g} in row {lengths.argmax()}, counted from 0"
            )
        return lengths.astype("float32")


def vector_lengths(block: np.ndarray) -> np.ndarray:
    """Length of each row; float64, because squares of small and large numbers leave float32."""
    block = block.astype("float64")
    return np.sqrt(np.einsum("ij,ij->i", block, block))


def inverse(lengths: np.ndarray) -> np.ndarray:
    """One over each length, zero for a length of zero."""
    # Below 1e-30, one over the length would leave float32.
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 1e-30)


def check_similarity(similarity: str) -> str:
    """Return `similarity`, or say what it may be."""
    if similarity not in SIMILARITIES:
        raise ValueError(f"`similarity` must be one of {SIMILARITIES}. Received: {similarity!r}")
    return similarity


def check_count(name: str, value: int) -> int:
    """Return a whole number of at least one, or say that it must be."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {value!r}")
    return int(value)
