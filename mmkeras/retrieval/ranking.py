"""Ranks by counting, and the measures of the field from ranks."""

from typing import final

import numpy as np

# Up to here, comparing all scores with each match beats sorting them once; measured at 25,000 and 100,000 items.
_FEW = 8


def match_ranks(scores: np.ndarray, matches: np.ndarray, margins: np.ndarray | float = 0) -> np.ndarray:
    """Rank the matching items of one query, best first, without sorting the other items.

    The i-th best match has rank `i + (other items that score no less)`: a tie counts against the match, so a model
    that gives every item the same score ranks its matches last.

    Args:
        scores: scores of all items, (items,).
        matches: which of them match, at least one.
        margins: how much less than each match another item may score and still count as tied.

    Returns:
        Ascending int64 array, one rank from 1 on for each match.
    """
    found = scores[matches]
    limits = np.sort(found - margins)[::-1] if len(found) > 1 else found - margins
    if len(limits) <= _FEW:
        ahead = np.array([np.count_nonzero(scores >= limit) for limit in limits])
    else:
        ahead = len(scores) - np.searchsorted(np.sort(scores), limits, side="left")
    own = len(found) - np.searchsorted(np.sort(found), limits, side="left")
    return ahead - own + np.arange(1, len(found) + 1)


@final
class Tally:
    """Sum up the ranks of many queries.

    Args:
        ks: depths at which hits are counted.
    """

    def __init__(self, ks: tuple[int, ...]):
        self._ks = ks
        self._first = []
        self._sums = dict.fromkeys(
            ["map", *(f"{name}@{k}" for k in ks for name in ("precision", "recall", "ndcg"))], 0.0
        )

    def add(self, ranks: list[np.ndarray]) -> None:
        """Count the ranks of the matches of some queries, one ascending array each."""
        if not ranks:
            return
        counts = np.array([len(each) for each in ranks])
        starts = np.cumsum(counts) - counts
        ranks = np.concatenate(ranks)
        order = np.arange(len(ranks)) - np.repeat(starts, counts) + 1
        self._first.append(ranks[starts])
        self._sums["map"] += float((np.add.reduceat(order / ranks, starts) / counts).sum())
        for k in self._ks:
            within = ranks <= k
            found = np.add.reduceat(within.astype("int64"), starts)
            gains = np.add.reduceat(within / np.log2(1 + ranks), starts)
            best = np.cumsum(1 / np.log2(1 + np.arange(1, min(k, counts.max()) + 1)))
            self._sums[f"precision@{k}"] += float(found.sum() / k)
            self._sums[f"recall@{k}"] += float((found / counts).sum())
            self._sums[f"ndcg@{k}"] += float((gains / best[np.minimum(counts, k) - 1]).sum())

    def result(self, num_queries: int) -> dict[str, float]:
        """Average over the queries that were counted, and say how many of `num_queries` were not."""
        first = np.concatenate(self._first)
        results = {f"r@{k}": float(np.mean(first <= k)) for k in self._ks}
        results |= {"median_rank": float(np.median(first)), "mean_rank": float(np.mean(first))}
        results |= {name: total / len(first) for name, total in self._sums.items()}
        return results | {"num_queries": len(first), "num_without_match": num_queries - len(first)}
