"""Scores of some queries against all items."""

from typing import final

import numpy as np

from mmkeras.retrieval.embeddings import MARGIN, Embeddings, check_similarity, inverse


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
        # With the offset gone, lengths are what rounding is relative to.
        moved = similarity == "euclidean"
        self._query_lengths = queries.distances(self._center) if moved else queries.lengths
        self._item_lengths = items.distances(self._center) if moved else items.lengths

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
                part -= np.square(self._item_lengths[place]) / 2
            else:
                np.matmul(queries, block.T, out=part)
            if self.similarity == "cosine":
                part *= inverse(self._item_lengths[place])
        return out

    def margins(self, query: int, items: np.ndarray) -> np.ndarray:
        """How far rounding may move the score of one query with each of some items."""
        if self.similarity == "cosine":
            return MARGIN
        query_length, item_lengths = self._query_lengths[query], self._item_lengths[items]
        if self.similarity == "dot":
            return MARGIN * query_length * item_lengths
        return MARGIN * (np.square(query_length) + np.square(item_lengths))

    def _rows(self, start, stop):
        if self.similarity == "cosine":
            return self.queries.unit(start, stop)
        rows = self.queries.rows(start, stop)
        return rows - self._center if self.similarity == "euclidean" else rows
