"""Search by faiss, for those who have it: exact, or approximate for large sets."""

from typing import final

import numpy as np

from mmkeras.retrieval.search import Nearest

# Below this many items, visiting all of them is quick.
_FEWEST = 10_000
# Candidates beyond the k asked for, so that a tie at the border is seen.
_BEYOND = 16
# Vectors that each cell is learned from; faiss asks for 39 at least.
_PER_CELL = 64


def import_faiss():
    """Import faiss, or say how to get it."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError("Searching by faiss needs the package faiss-cpu: pip install 'mmkeras[faiss]'") from error
    return faiss


@final
class FaissNearest:
    """`Nearest` with candidates from faiss.

    Faiss proposes; the proposals are scored once more, so that scores and ties are those of the NumPy search. Where
    more items are tied than were proposed, or fewer than k were, the query is searched again exactly.

    Args:
        nearest: the exact search.
        num_probes: cells visited in approximate search, of about the square root of the number of items; None for
            exact search.
    """

    def __init__(self, nearest: Nearest, *, num_probes: int | None = None):
        self._faiss = import_faiss()
        self._nearest = nearest
        self._metric = self._faiss.METRIC_L2 if nearest.euclidean else self._faiss.METRIC_INNER_PRODUCT
        self._cells = None
        if num_probes is not None and len(nearest.vectors) >= _FEWEST:
            self._cells = self._learn(num_probes)

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search for float32 queries (queries, dim); k is at most the number of items."""
        count = min(k + _BEYOND, len(self._nearest.vectors))
        if self._cells is None:
            _, proposed = self._faiss.knn(queries, self._nearest.vectors, count, self._metric)
        else:
            _, proposed = self._cells.search(queries, count)
        scores, rows = np.empty((len(queries), k), "float32"), np.empty((len(queries), k), "int64")
        again = []
        for query, candidates in enumerate(proposed):
            # Faiss fills up with -1 where the cells it visited hold too few.
            candidates = candidates[candidates >= 0]
            found, order = self._nearest.best(queries[query], candidates, len(candidates))
            if len(found) < k or (self._cells is None and self._is_open(queries[query], found, k)):
                again.append(query)
            else:
                scores[query], rows[query] = found[:k], order[:k]
        if again:
            scores[again], rows[again] = self._nearest(queries[again], k)
        return scores, rows

    def _is_open(self, query, found, k):
        """Whether an item that was not proposed may be among the k best."""
        slack = 2 * self._nearest.slack(query, self._nearest.lengths.max())
        return len(found) < len(self._nearest.vectors) and found[-1] >= found[k - 1] - slack

    def _learn(self, num_probes):
        vectors = self._nearest.vectors
        dim = vectors.shape[1]
        num_cells = int(np.sqrt(len(vectors)))
        flat = self._faiss.IndexFlatL2(dim) if self._nearest.euclidean else self._faiss.IndexFlatIP(dim)
        cells = self._faiss.IndexIVFFlat(flat, dim, num_cells, self._metric)
        cells.cp.max_points_per_centroid = _PER_CELL
        cells.nprobe = min(num_probes, num_cells)
        sample = np.random.default_rng(0).choice(len(vectors), min(len(vectors), _PER_CELL * num_cells), replace=False)
        cells.train(vectors[np.sort(sample)])
        cells.add(vectors)
        return cells
