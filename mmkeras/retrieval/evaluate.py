"""The measures of retrieval, exact and in little memory."""

from collections.abc import Sequence

import numpy as np

from mmkeras.retrieval.embeddings import Embeddings, check_count
from mmkeras.retrieval.matches import Matches
from mmkeras.retrieval.ranking import Tally, match_ranks
from mmkeras.retrieval.scorer import Scorer

# 64 MB of scores, 16 MB of ranks, and no more arrays of ranks than cost as much.
_SCORES = 2**24
_RANKS = 2**21
_QUERIES = 2**13


def evaluate(
    queries,
    items,
    query_groups: Sequence | None = None,
    item_groups: Sequence | None = None,
    *,
    ks: Sequence[int] = (1, 5, 10),
    similarity: str = "cosine",
    chunk_size: int | None = None,
) -> dict[str, float]:
    """Score how well queries find the items that belong to them.

    An item matches a query if their group ids are equal; a query may have several matches (the captions of an
    image) or none. All items are ranked for each query, by counting rather than by sorting, a chunk of queries at a
    time: beside the embeddings, memory holds 64 MB of scores and a few numbers per row.

    A tie counts against the match. Items whose scores float32 cannot tell apart (nearer than 1e-6 of the vectors'
    lengths) are tied, so embeddings that are all equal, or all zero, come out last rather than first. A zero vector
    has a cosine of 0 with everything.

    Args:
        queries: array (queries, dim) of embeddings, any float type; scores are computed in float32.
        items: array (items, dim) of embeddings.
        query_groups: group id of each query, integers or strings; None for its row number.
        item_groups: group id of each item; None for its row number. Without groups, row i belongs to row i.
        ks: depths to report. Where `k` exceeds the number of items, all items are the top `k`.
        similarity: `"cosine"`, `"dot"`, or `"euclidean"` (the nearest is best).
        chunk_size: number of queries scored at once; None for as many as 64 MB of scores allow.

    Returns:
        Dict of averages over the queries that have a match:

        - `r@k`: share of queries with a match among the top k (the "recall at k" of image-text retrieval).
        - `precision@k`: matches among the top k, divided by k.
        - `recall@k`: matches among the top k, divided by the query's number of matches.
        - `median_rank`, `mean_rank`: rank of the first match, from 1 on.
        - `map`: mean average precision over the whole ranking.
        - `ndcg@k`: normalised discounted cumulative gain, a match gaining 1.
        - `num_queries`: how many queries were averaged; `num_without_match`: how many were left out.

    Example:

    >>> images = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> texts = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.6]])
    >>> results = evaluate(texts, images, query_groups=[0, 1, 1], ks=(1,))
    >>> round(results["r@1"], 3), results["median_rank"], round(results["mean_rank"], 3)
    (0.667, 1.0, 1.333)
    """
    items = Embeddings(items, "items")
    queries = Embeddings(queries, "queries", items.dim)
    matches = Matches(query_groups, item_groups, len(queries), len(items))
    scorer = Scorer(queries, items, similarity)
    tally = Tally(check_ks(ks))
    step = _chunk(matches.counts, len(items)) if chunk_size is None else check_count("chunk_size", chunk_size)
    room = np.empty((min(step, len(queries)), len(items)), "float32")
    for start in range(0, len(queries), step):
        stop = min(start + step, len(queries))
        scores = scorer.score(start, stop, out=room[: stop - start])
        ranks = []
        for row in np.flatnonzero(matches.counts[start:stop]):
            found = matches[start + row]
            ranks.append(match_ranks(scores[row], found, scorer.margins(start + row, found)))
        tally.add(ranks)
    return tally.result(len(queries))


def evaluate_pair(
    first,
    second,
    first_groups: Sequence | None = None,
    second_groups: Sequence | None = None,
    *,
    names: tuple[str, str] = ("first", "second"),
    ks: Sequence[int] = (1, 5, 10),
    similarity: str = "cosine",
    chunk_size: int | None = None,
) -> dict[str, float]:
    """Score retrieval in both directions.

    Args:
        first: array (rows, dim) of embeddings.
        second: array (rows, dim) of embeddings.
        first_groups: group id of each row of `first`; None for its row number.
        second_groups: group id of each row of `second`; None for its row number.
        names: what the two sides are called.
        ks: depths to report.
        similarity: `"cosine"`, `"dot"` or `"euclidean"`.
        chunk_size: number of queries scored at once; None for as many as 64 MB of scores allow.

    Returns:
        Dict with every key of `evaluate` twice, such as `r@10_image_to_text` and `r@10_text_to_image`.

    Example:

    >>> images, texts = np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.6]])
    >>> results = evaluate_pair(images, texts, second_groups=[0, 1, 1], names=("image", "text"), ks=(1,))
    >>> results["r@1_image_to_text"], round(results["r@1_text_to_image"], 3)
    (1.0, 0.667)
    """
    names = tuple(names)
    if len(names) != 2 or names[0] == names[1] or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`names` must be two different strings. Received: {names}")
    sides = (first, first_groups), (second, second_groups)
    results = {}
    for (queries, query_groups), (items, item_groups), suffix in (
        (*sides, "_to_".join(names)),
        (*sides[::-1], "_to_".join(names[::-1])),
    ):
        found = evaluate(queries, items, query_groups, item_groups, ks=ks, similarity=similarity, chunk_size=chunk_size)
        results |= {f"{name}_{suffix}": value for name, value in found.items()}
    return results


def evaluate_scores(scores, relevance=None, *, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """Score a ready matrix of scores, such as one that a re-ranking model made.

    Ties count against the match here too; scores are compared as they are.

    Args:
        scores: array (queries, items) of numbers, higher is better. Items that were not re-ranked may hold
            `-np.inf`.
        relevance: boolean array (queries, items), true where an item matches; None where item i matches query i.
            From groups: `query_groups[:, None] == item_groups`.
        ks: depths to report.

    Returns:
        Dict with the keys of `evaluate`.

    Example:

    >>> results = evaluate_scores([[0.9, 0.2], [0.8, 0.3]], ks=(1,))
    >>> results["r@1"], results["mean_rank"], results["map"]
    (0.5, 1.5, 0.75)
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.dtype.kind not in "fiu" or not scores.size:
        raise ValueError(
            f"`scores` must be an array of numbers, (queries, items). Received: {scores.dtype} of shape {scores.shape}"
        )
    if relevance is None and scores.shape[0] != scores.shape[1]:
        raise ValueError(
            "Without `relevance`, item i matches query i, so there must be as many of both. Received: scores of shape "
            f"{scores.shape}"
        )
    relevance = None if relevance is None else _check_relevance(np.asarray(relevance), scores.shape)
    tally = Tally(check_ks(ks))
    ranks, held = [], 0
    for row, row_scores in enumerate(scores):
        if np.isnan(row_scores).any():
            raise ValueError(f"`scores` must not be NaN. Received: NaN in row {row}, counted from 0")
        matches = np.array([row]) if relevance is None else np.flatnonzero(relevance[row])
        if len(matches):
            ranks.append(match_ranks(row_scores, matches))
            held += len(matches)
        if held > _RANKS or len(ranks) > _QUERIES:
            tally.add(ranks)
            ranks, held = [], 0
    tally.add(ranks)
    return tally.result(len(scores))


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Return depths as a tuple, or say what they may be."""
    ks = tuple(check_count("ks", k) for k in ks)
    if not ks:
        raise ValueError(f"`ks` must name at least one depth. Received: {ks}")
    return ks


def _check_relevance(relevance, shape):
    if relevance.shape != shape:
        raise ValueError(f"`relevance` must have the shape of `scores`, {shape}. Received: {relevance.shape}")
    if relevance.dtype != bool and not np.isin(relevance, (0, 1)).all():
        raise ValueError(f"`relevance` must be true or false everywhere. Received: {relevance.dtype} with other values")
    if not relevance.any():
        raise ValueError("No query has a matching item. Received: `relevance` that is false everywhere")
    return relevance


def _chunk(counts, num_items):
    return max(1, min(_SCORES // num_items, _RANKS // counts.max(), _QUERIES))
