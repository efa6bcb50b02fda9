"""Which items belong to which query."""

from collections.abc import Sequence
from typing import final

import numpy as np


@final
class Matches:
    """The items of each query's group, found without a table of all pairs.

    Args:
        query_groups: group id of each query, integers or strings; None for the row number.
        item_groups: group id of each item, likewise.
        num_queries: how many queries there are.
        num_items: how many items there are.

    Attributes:
        counts: number of matching items of each query.
    """

    def __init__(self, query_groups: Sequence | None, item_groups: Sequence | None, num_queries: int, num_items: int):
        if query_groups is None and item_groups is None and num_queries != num_items:
            raise ValueError(
                "Without groups, row i of the queries belongs to row i of the items, so there must be as many of both; "
                f"give `query_groups` and `item_groups`. Received: {num_queries} queries, {num_items} items"
            )
        queries = _ids("query_groups", query_groups, num_queries)
        items = _ids("item_groups", item_groups, num_items)
        if queries.dtype.kind != items.dtype.kind:
            raise ValueError(
                "Group ids must be of one kind on both sides: an integer never equals a string. Received: "
                f"{queries.dtype} for the queries, {items.dtype} for the items{_numbered(query_groups, item_groups)}"
            )
        self._order = np.argsort(items, kind="stable")
        ordered = items[self._order]
        self._starts = np.searchsorted(ordered, queries, side="left")
        self.counts = np.searchsorted(ordered, queries, side="right") - self._starts
        if not self.counts.any():
            raise ValueError(
                "No query has a matching item: the two sides share no group id. Received: ids such as "
                f"{queries[0]!s} for the queries, {items[0]!s} for the items"
            )

    def __getitem__(self, query):
        start = self._starts[query]
        return self._order[start : start + self.counts[query]]


def _numbered(query_groups, item_groups):
    missing = [name for name, ids in (("query_groups", query_groups), ("item_groups", item_groups)) if ids is None]
    return f"; `{missing[0]}` is missing, so row numbers stand in" if missing else ""


def _ids(name, groups, count):
    if groups is None:
        return np.arange(count)
    ids = np.asarray(groups)
    if ids.dtype == object and all(isinstance(value, str) for value in ids.ravel()):
        ids = ids.astype(str)
    if ids.dtype.kind not in "iuUS":
        raise ValueError(f"`{name}` must be integers or strings. Received: {ids.dtype}, such as {ids.ravel()[:1]}")
    if ids.shape != (count,):
        raise ValueError(f"`{name}` must have one id for each of {count} rows. Received: shape {ids.shape}")
    return ids.astype("int64") if ids.dtype.kind in "iu" else ids
