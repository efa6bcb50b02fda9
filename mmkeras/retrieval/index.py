"""A set of embeddings that can be searched, kept and read again."""

from collections.abc import Iterable
from os import PathLike
from typing import Any, NamedTuple, final

import numpy as np

from mmkeras.retrieval import storage
from mmkeras.retrieval.embeddings import Embeddings, check_count, check_similarity, vector_lengths
from mmkeras.retrieval.search import Nearest
from mmkeras.retrieval.with_faiss import FaissNearest, import_faiss

BACKENDS = ("auto", "numpy", "faiss")
_GROWTH = 1.5


class Found(NamedTuple):
    """What a search found, best first: scores, and the keys of the items."""

    scores: np.ndarray
    keys: list[Any]


@final
class Index:
    """Search embeddings of one modality by embeddings of any other that shares their space.

    Search is exact unless `approximate`: matrix products in blocks, so that memory holds the vectors once and some
    tens of MB more. Equal items come in the order in which they were added. Scores are computed in float32; a higher
    one is nearer: the cosine, the dot product, or minus the squared distance.

    Args:
        dim: size of the embeddings; None takes it from the first that are added.
        similarity: `"cosine"` (a zero vector scores 0 with everything), `"dot"` or `"euclidean"`.
        backend: `"numpy"`, `"faiss"` (`pip install 'mmkeras[faiss]'`), or `"auto"`: NumPy where search is exact, since
            it is the faster one for batches of queries, faiss where it is approximate. Exact results are the same.
        approximate: whether to look only where neighbours are likely, in cells learned from the items at the first
            search after a change; sets below 10,000 items are searched exactly. For millions of items; needs faiss.
        num_probes: cells visited by approximate search, of about the square root of the number of items; more find
            more and take longer.

    Example:

    >>> index = Index().add(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), keys=["east.jpg", "north.jpg", "both.jpg"])
    >>> found = index.search(np.array([0.1, 2.0]), k=2)
    >>> found.keys, np.round(found.scores.astype(float), 2).tolist()
    (['north.jpg', 'both.jpg'], [1.0, 0.83])
    """

    def __init__(
        self,
        dim: int | None = None,
        *,
        similarity: str = "cosine",
        backend: str = "auto",
        approximate: bool = False,
        num_probes: int = 32,
    ):
        if backend not in BACKENDS:
            raise ValueError(f"`backend` must be one of {BACKENDS}. Received: {backend!r}")
        if approximate and backend == "numpy":
            raise ValueError("Approximate search needs `backend='faiss'` or `'auto'`. Received: backend='numpy'")
        if approximate or backend == "faiss":
            import_faiss()
        self.dim = None if dim is None else check_count("dim", dim)
        self.similarity = check_similarity(similarity)
        self.backend = backend
        self.approximate = bool(approximate)
        self.num_probes = check_count("num_probes", num_probes)
        self._vectors = np.empty((0, self.dim or 0), "float32")
        self._lengths = np.empty(0, "float32")
        self._keys = []
        self._next = 0
        self._search = None

    def __len__(self):
        return len(self._keys)

    def __repr__(self):
        size = "" if self.dim is None else f" of size {self.dim}"
        return f"<Index: {len(self):,} embeddings{size}, {self.similarity}>"

    def add(self, embeddings, keys: Iterable | None = None) -> "Index":
        """Add embeddings.

        Args:
            embeddings: array (rows, dim), any float type; copied.
            keys: what `search` is to return for each row: names, numbers, or records such as a `Records` collection.
                None numbers the rows in the order in which they were added, over all calls.

        Returns:
            The index itself.
        """
        embeddings = Embeddings(embeddings, "embeddings", self.dim)
        added = range(self._next, self._next + len(embeddings)) if keys is None else _listed(keys)
        if len(added) != len(embeddings):
            raise ValueError(
                f"`keys` must have one key for each of {len(embeddings)} embeddings. Received: {len(added)} keys"
            )
        self.dim = embeddings.dim
        start = len(self)
        self._reserve(start + len(embeddings))
        for place, block in embeddings.blocks():
            if self.similarity == "cosine":
                block = embeddings.unit(place.start, place.stop)
            self._vectors[start + place.start : start + place.stop] = block
            self._lengths[start + place.start : start + place.stop] = vector_lengths(block)
        self._keys.extend(added)
        self._next += len(embeddings)
        self._search = None
        return self

    def remove(self, keys: Iterable) -> int:
        """Remove all items with one of some keys; the others keep theirs.

        Args:
            keys: keys to remove, each in the index.

        Returns:
            How many items were removed.
        """
        keys = _listed(keys)
        try:
            wanted, unknown = set(keys), set(keys) - set(self._keys)
        except TypeError:  # Records cannot be hashed.
            wanted, unknown = keys, [key for key in keys if key not in self._keys]
        if unknown:
            raise ValueError(f"The index can remove only keys that it has. Received: {list(unknown)[:5]}")
        kept = [row for row, key in enumerate(self._keys) if key not in wanted]
        removed = len(self) - len(kept)
        self._vectors, self._lengths = self._vectors[kept], self._lengths[kept]
        self._keys = [self._keys[row] for row in kept]
        self._search = None
        return removed

    def search(self, queries, k: int = 10) -> Found:
        """Find the items nearest to each query.

        Args:
            queries: array (queries, dim), or one query (dim,).
            k: how many items to find; all of them where the index holds fewer.

        Returns:
            `Found(scores, keys)`, best first: float32 scores (queries, k) and a list of k keys for each query. For one
            query (dim,), scores (k,) and its list.
        """
        k = min(check_count("k", k), len(self))
        if not len(self):
            raise ValueError("The index must hold embeddings before it is searched: `add` some. Received: none")
        queries = np.asarray(queries)
        one = queries.ndim == 1
        queries = Embeddings(queries[None] if one else queries, "queries", self.dim)
        block = queries.unit if self.similarity == "cosine" else queries.rows
        scores, rows = self._searcher()(np.ascontiguousarray(block(0, len(queries))), k)
        keys = [[self._keys[row] for row in found] for found in rows.tolist()]
        return Found(scores[0], keys[0]) if one else Found(scores, keys)

    def save(self, path: str | PathLike) -> None:
        """Write the index to one file, a NumPy archive of vectors and JSON; nothing is pickled.

        Args:
            path: the file; replaced if it exists. Keys must be what JSON can hold: strings, numbers, lists, dicts.
        """
        settings = {name: getattr(self, name) for name in storage.SETTINGS}
        storage.write(path, self._vectors[: len(self)], {**settings, "keys": self._keys, "next": self._next})

    @classmethod
    def load(cls, path: str | PathLike, *, backend: str | None = None, approximate: bool | None = None) -> "Index":
        """Read an index that `save` wrote.

        Args:
            path: the file.
            backend: how to search; None as it was saved.
            approximate: whether to search approximately; None as it was saved.

        Returns:
            The index.
        """
        vectors, lengths, state = storage.read(path)
        settings = {name: state[name] for name in storage.SETTINGS}
        chosen = {"backend": backend, "approximate": approximate}
        index = cls(**settings | {name: value for name, value in chosen.items() if value is not None})
        index._vectors, index._lengths = vectors, lengths
        index._keys, index._next = state["keys"], state["next"]
        return index

    def _reserve(self, count):
        if count <= len(self._lengths):
            return
        # The first embeddings get what they need, later ones some room, so that adding one by one stays cheap.
        size = max(count, int(_GROWTH * len(self)))
        vectors, lengths = np.empty((size, self.dim), "float32"), np.empty(size, "float32")
        if len(self):
            vectors[: len(self)], lengths[: len(self)] = self._vectors[: len(self)], self._lengths[: len(self)]
        self._vectors, self._lengths = vectors, lengths

    def _searcher(self):
        if self._search is None:
            vectors, lengths = self._vectors[: len(self)], self._lengths[: len(self)]
            self._search = Nearest(vectors, lengths, euclidean=self.similarity == "euclidean")
            if self.approximate or self.backend == "faiss":
                num_probes = self.num_probes if self.approximate else None
                self._search = FaissNearest(self._search, num_probes=num_probes)
        return self._search


def _listed(keys):
    if isinstance(keys, (str, bytes)):
        raise ValueError(f"`keys` must be a list of keys, one for each row. Received: the string {keys!r}")
    return [key.item() if isinstance(key, np.generic) else key for key in keys]
