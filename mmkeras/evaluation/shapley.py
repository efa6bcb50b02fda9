"""What each of several players adds, on average over all orders in which they could come."""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any


def subsets_of(names: Iterable[str]) -> list[frozenset]:
    """All sets of names, the empty one first and all of them last.

    Example:

    >>> [sorted(names) for names in subsets_of(["image", "text"])]
    [[], ['image'], ['text'], ['image', 'text']]
    """
    names = list(names)
    return [frozenset(kept) for count in range(len(names) + 1) for kept in itertools.combinations(names, count)]


def shapley_values(worth: Mapping[frozenset, Any]) -> dict[str, Any]:
    """Shapley values: together they make `worth` of all less `worth` of none.

        value_i = sum over S without i of  |S|! (n - |S| - 1)! / n!  *  (worth(S + i) - worth(S))

    Args:
        worth: a number, or an array, for each of `subsets_of(names)`.

    Returns:
        Dict of numbers or arrays by name.

    Example:

    >>> sets = subsets_of(["image", "text"])
    >>> shapley_values(dict(zip(sets, [0.0, 1.0, 0.0, 3.0])))
    {'image': 2.0, 'text': 1.0}

    References:
        Shapley 1953, A Value for n-Person Games.
    """
    everything = max(worth, key=len)
    total = len(everything)
    values = dict.fromkeys(sorted(everything), 0.0)
    for kept in worth:
        for name in everything - kept:
            share = math.factorial(len(kept)) * math.factorial(total - len(kept) - 1) / math.factorial(total)
            values[name] = values[name] + share * (worth[kept | {name}] - worth[kept])
    return values
