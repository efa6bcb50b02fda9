"""Scores of some queries against all items."""

from typing import final

import numpy as np

from mmkeras.retrieval.embeddings import MARGIN, Embeddings, check_similarity, inverse, vector_lengths


@final
class Scorer:
    """Score blocks of queries against all items, in float32; a higher score is nearer.

    For `"euclidean"` the score is `q . x - |x| ** 2 / 2`, which orders items as their distance does. Both sides are
    moved so that the mean item is the origin: distances stay, and no digits are lost to an offset.

    Args:
        queries: `Embeddings`.
        items: `Embeddings` of the same size.
        similarity: `"cosine"`, `"dot"` or `"euclidean"`.
    """

    def __init__(self, queries: Embeddings, items: Embeddings, similarity: str):
        self.queries = queries
        self.items = items
        self.similarity = check_similarity(similarity)
        self._center = items.mean() if similarity == "euclidean" else np.float32(0)
        self._lengths = items.lengths
        if similarity == "euclidean":
            blocks = (vector_lengths(block - self._center) for _, block in items.blocks())
            self._lengths = np.concatenate(list(blocks)).astype("float32")

    def score(self, start: int, stop: int, out: np.ndarray) -> np.ndarray:
        """Score the queries from `start` to `stop` against all items.

        Args:
            start: first query.
            stop: the query after the last.
            out: float32 array (stop - start, items) that is filled and returned.
        """
        queries = self._rows(start, stop)
        for place, block in self.items.blocks():
            part = out[:, place]
            if self.similarity == "euclidean":
                np.matmul(queries, (block - self._center).T, out=part)
                part -= np.square(self._lengths[place]) / 2
            else:
                np.matmul(queries, block.T, out=part)
            if self.similarity == "cosine":
                part *= inverse(self._lengths[place])
        return out

    def margins(self, start: int, stop: int) -> "Margins":
        """How far rounding may move the scores of the queries from `start` to `stop`."""
        if self.similarity == "cosine":
            return Margins(np.full(stop - start, MARGIN), np.zeros(1, "float32"), None)
        lengths = vector_lengths(self._rows(start, stop)).astype("float32")
        if self.similarity == "dot":
            return Margins(np.zeros_like(lengths), MARGIN * lengths, self._lengths)
        return Margins(MARGIN * np.square(lengths), np.full_like(lengths, MARGIN), np.square(self._lengths))

    def _rows(self, start, stop):
        if self.similarity == "cosine":
            return self.queries.unit(start, stop)
        rows = self.queries.rows(start, stop)
        return rows - self._center if self.similarity == "euclidean" else rows
