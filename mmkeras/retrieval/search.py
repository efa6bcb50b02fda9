"""Exact nearest neighbours: matrix products in blocks, and nothing sorted that need not be."""

from typing import final

import numpy as np

from mmkeras.retrieval.embeddings import MARGIN

_QUERIES = 512
# Scores held at once, 16 MB, and the least and most items per product.
_SCORES = 2**22
_FIRST, _MOST = 2**10, 2**16
# Candidates kept beyond the k asked for, where more are tied.
_SPARE = 1024


@final
class Nearest:
    """Find for each query the items of highest score, ties in order of their rows.

    Scores of a matrix product differ in the last digits with an item's place in the block. So items that may be among
    the k best are gathered first, all that rounding allows, and scored once more, each alone, to decide.

    Args:
        vectors: float32 array (items, dim).
        lengths: float32 array (items,), the lengths of the vectors.
        euclidean: score by minus the squared distance instead of the dot product.
    """

    def __init__(self, vectors: np.ndarray, lengths: np.ndarray, *, euclidean: bool = False):
        self.vectors = vectors
        self.lengths = lengths
        self.euclidean = euclidean

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search for float32 queries (queries, dim); k is at most the number of items.

        Returns:
            Float32 scores and int64 rows, (queries, k), best first.
        """
        scores, rows = np.empty((len(queries), k), "float32"), np.empty((len(queries), k), "int64")
        for start in range(0, len(queries), _QUERIES):
            block = queries[start : start + _QUERIES]
            for query, candidates in enumerate(self._candidates(block, k), start):
                scores[query], rows[query] = self.best(queries[query], candidates, k)
        return scores, rows

    def best(self, query: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Score some rows for one query and return the k best."""
        scores = np.empty(len(rows), "float32")
        for start in range(0, len(rows), _MOST):
            vectors = self.vectors[rows[start : start + _MOST]]
            if self.euclidean:
                vectors -= query
                part = 0 - np.einsum("ij,ij->i", vectors, vectors)
            else:
                part = np.einsum("ij,j->i", vectors, query)
            scores[start : start + _MOST] = part
        order = np.lexsort((rows, -scores))[:k]
        return scores[order], rows[order]

    def slack(self, query: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """How far rounding may move the score of one query with vectors of some lengths."""
        own = np.sqrt(query @ query)
        return MARGIN * (own * own + np.square(lengths)) if self.euclidean else MARGIN * own * lengths

    def _candidates(self, queries, k):
        """Rows that may be among the k best of each query."""
        found = [_Candidates(self, query, k) for query in queries]
        limits = np.full(len(queries), -np.inf, "float32")
        most = int(np.clip(_SCORES // len(queries), _FIRST, _MOST))
        room = np.empty((len(queries), most), "float32")
        start, step = 0, _FIRST
        while start < len(self.vectors):
            stop = min(start + step, len(self.vectors))
            scores = np.matmul(queries, self.vectors[start:stop].T, out=room[:, : stop - start])
            if self.euclidean:
                scores -= np.square(self.lengths[start:stop]) / 2
            # On the flat array: the search of a table is several times slower.
            places = np.flatnonzero(scores >= limits[:, None])
            rows = places % (stop - start)
            ends = np.searchsorted(places, np.arange(len(queries) + 1) * (stop - start))
            for query in np.flatnonzero(np.diff(ends)):
                mine = rows[ends[query] : ends[query + 1]]
                found[query].add(scores[query, mine], mine + start)
            longest = self.lengths[stop : stop + most].max(initial=0)
            limits = np.array([each.limit(longest) for each in found], "float32")
            # Few scores come through once some are known, so the blocks can grow.
            start, step = stop, min(2 * step, most)
        return [each.rows for each in found]


class _Candidates:
    """Rows that may be among the k best of one query, in ascending order."""

    def __init__(self, nearest, query, k):
        self._nearest = nearest
        self._query = query
        self._k = k
        self._scores = np.empty(0, "float32")
        self._floor = -np.inf
        self.rows = np.empty(0, "int64")

    def limit(self, longest):
        """The least score at which a vector no longer than `longest` may still be among the k best."""
        return self._floor - self._nearest.slack(self._query, longest)

    def add(self, scores, rows):
        scores, rows = np.concatenate([self._scores, scores]), np.concatenate([self.rows, rows])
        if len(rows) > self._k:
            slack = self._nearest.slack(self._query, self._nearest.lengths[rows])
            place = len(rows) - self._k
            self._floor = np.partition(scores - slack, place)[place]
            kept = scores + slack >= self._floor
            if np.count_nonzero(kept) > self._k + _SPARE:
                # More are tied than are worth deciding between: those before the others stay, in order of their rows.
                sure = scores - slack > np.partition(scores + slack, place)[place]
                tied = kept & ~sure
                kept = sure | (tied & (np.cumsum(tied) <= self._k + _SPARE - np.count_nonzero(sure)))
            scores, rows = scores[kept], rows[kept]
        self._scores, self.rows = scores, rows
