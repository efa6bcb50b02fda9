"""Recall at k while a model trains."""

import keras
from keras import ops

from mmkeras.ops import cosine_similarity, dot_similarity, squared_distance

SIMILARITIES = ("cosine", "dot", "euclidean")
# Scores of equal vectors differ in float32's last digits; nearer than this share of their lengths counts as tied.
_MARGIN = 1e-6


@keras.saving.register_keras_serializable(package="mmkeras")
class RecallAtK(keras.metrics.Metric):
    """Share of queries with a match among the k nearest items, from pairs seen in training or evaluation.

    Row i of `first` asks for row i of `second` among a pool of rows of `second`; swap the two for the other
    direction. **The value depends on the size of the pool**: by chance it is about `k / pool`. So compare values only
    of equal pools, and report `mm.retrieval.evaluate` on the whole set. A query that cannot miss, because fewer than
    k items of the pool belong to others, is left out; where all are, the result is 0.

    - `buffer_size=None`: the pool is the batch. Cheap, and good for watching one run; another batch size gives
      another number. Every query counts alike, those of a smaller last batch too.
    - `buffer_size=n`: the pool is the newest n pairs since the last reset, whatever the batch size, and all of them
      are queries. With n pairs or fewer in the validation set, the value at the end of validation is exact. In
      training, the older embeddings come from older weights. Each reading costs an (n, n) matrix of scores, and
      `model.fit` reads at every step. On several replicas it holds those of the first.

    A tie counts as a miss, as does NaN: a model that maps all to one point scores 0 where a pool exceeds k.

    Args:
        k: how many of the nearest items may hold the match.
        buffer_size: number of pairs in the pool; None for the batch.
        dim: size of the embeddings; needed with `buffer_size` only.
        similarity: `"cosine"`, `"dot"` or `"euclidean"`.
        name: name of the metric; None for `recall_at_<k>`.
        dtype: dtype of its state.

    Call arguments:
        first: tensor (batch, dim), the queries.
        second: tensor (batch, dim), the items.
        groups: integer tensor (batch,), not negative; rows of equal group match one another, such as captions of one
            image. None where each row matches its own alone.
        valid: boolean tensor (batch,), false for pairs that are neither queries nor items, such as those with a
            modality missing; None for all.

    Example:

    >>> metric = RecallAtK(k=1)
    >>> metric.update_state(ops.array([[1.0, 0.0], [0.0, 1.0]]), ops.array([[0.9, 0.1], [0.8, -0.2]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, k=10, *, buffer_size=None, dim=None, similarity="cosine", name=None, dtype=None):
        for argument, value in {"k": k, "buffer_size": buffer_size, "dim": dim}.items():
            whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
            if not whole and (argument == "k" or value is not None):
                raise ValueError(f"`{argument}` must be a whole number of at least 1. Received: {argument}={value!r}")
        if similarity not in SIMILARITIES:
            raise ValueError(f"`similarity` must be one of {SIMILARITIES}. Received: {similarity!r}")
        if buffer_size is not None and dim is None:
            raise ValueError("`dim`, the size of the embeddings, is needed with `buffer_size`. Received: dim=None")
        if buffer_size is not None and buffer_size <= k:
            raise ValueError(f"`buffer_size` must exceed `k`. Received: buffer_size={buffer_size}, k={k}")
        super().__init__(name=f"recall_at_{k}" if name is None else name, dtype=dtype)
        self.k = k
        self.buffer_size = buffer_size
        self.dim = dim
        self.similarity = similarity
        if buffer_size is None:
            self._hits = self.add_variable((), "zeros", name="hits")
            self._queries = self.add_variable((), "zeros", name="queries")
        else:
            # One slot more than pairs: where rows go that are not kept.
            shape = (buffer_size + 1, dim)
            only = {"aggregation": "only_first_replica"}
            self._first = self.add_variable(shape, "zeros", name="first", **only)
            self._second = self.add_variable(shape, "zeros", name="second", **only)
            self._groups = self.add_variable(shape[:1], "zeros", dtype="int32", name="groups", **only)
            self._seen = self.add_variable((), "zeros", dtype="int32", name="seen", **only)

    def update_state(self, first, second, groups=None, valid=None):
        first, second = ops.cast(first, self.dtype), ops.cast(second, self.dtype)
        for name, x in {"first": first, "second": second}.items():
            if len(x.shape) != 2 or (self.dim is not None and x.shape[1] != self.dim):
                size = "dim" if self.dim is None else self.dim
                raise ValueError(f"`{name}` must have shape (batch, {size}). Received: shape {tuple(x.shape)}")
        for axis, what in enumerate(("one row for each pair", "one size")):
            if None not in (first.shape[axis], second.shape[axis]) and first.shape[axis] != second.shape[axis]:
                raise ValueError(
                    f"`first` and `second` must have {what}. Received: shapes {tuple(first.shape)}, "
                    f"{tuple(second.shape)}"
                )
        rows = ops.arange(ops.shape(first)[0], dtype="int32")
        valid = ops.ones_like(rows, dtype="bool") if valid is None else ops.cast(valid, "bool")
        if self.buffer_size is None:
            groups = rows if groups is None else ops.cast(groups, "int32")
            hits, queries = self._count(first, second, groups, valid)
            self._hits.assign_add(hits)
            self._queries.assign_add(queries)
        else:
            self._store(first, second, groups, valid)

    def result(self):
        if self.buffer_size is None:
            hits, queries = ops.convert_to_tensor(self._hits), ops.convert_to_tensor(self._queries)
        else:
            pool = [ops.convert_to_tensor(x)[:-1] for x in (self._first, self._second, self._groups)]
            hits, queries = self._count(*pool, ops.arange(self.buffer_size, dtype="int32") < self._seen)
        return hits / ops.maximum(queries, 1)

    def get_config(self):
        return {
            **super().get_config(),
            "k": self.k,
            "buffer_size": self.buffer_size,
            "dim": self.dim,
            "similarity": self.similarity,
        }

    def _count(self, first, second, groups, valid):
        """Count the queries that have a match among their k nearest items, and all that could have missed."""
        squares = [ops.sum(ops.square(x), axis=1) for x in (first, second)]
        if self.similarity == "cosine":
            scores, slack = cosine_similarity(first, second), _MARGIN
        elif self.similarity == "dot":
            scores = dot_similarity(first, second)
            slack = _MARGIN * ops.sqrt(squares[0][:, None] * squares[1][None])
        else:
            scores = -squared_distance(first, second)
            slack = 2 * _MARGIN * (squares[0][:, None] + squares[1][None])
        equal = groups[:, None] == groups[None]  # (query, item)
        matches, others = ops.logical_and(equal, valid[None]), ops.logical_and(ops.logical_not(equal), valid[None])
        best = ops.max(ops.where(matches, scores - slack, -3e38), axis=1, keepdims=True)
        # "Not below" rather than "at least", so that NaN on either side is ahead of the match.
        ahead = ops.logical_and(others, ops.logical_not(scores < best))
        found = ops.sum(ops.cast(ahead, "int32"), axis=1) < self.k
        counted = ops.logical_and(valid, ops.sum(ops.cast(others, "int32"), axis=1) >= self.k)
        return tuple(ops.sum(ops.cast(x, self.dtype)) for x in (ops.logical_and(found, counted), counted))

    def _store(self, first, second, groups, valid):
        numbers = self._seen + ops.cumsum(ops.cast(valid, "int32")) - 1
        seen = self._seen + ops.sum(ops.cast(valid, "int32"))
        # Negative numbers, which no given group has, for rows that match themselves alone.
        groups = -1 - numbers if groups is None else ops.cast(groups, "int32")
        # The newest rows only, so that no slot is written twice.
        kept = ops.logical_and(valid, numbers >= seen - self.buffer_size)
        slots = ops.where(kept, numbers % self.buffer_size, self.buffer_size)[:, None]
        for variable, values in ((self._first, first), (self._second, second), (self._groups, groups)):
            variable.assign(ops.scatter_update(variable, slots, values))
        self._seen.assign(seen)
