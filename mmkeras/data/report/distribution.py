"""The distribution of many numbers in little memory."""

from collections import Counter
from typing import Any, final

import numpy as np

# Different values that are kept as they are; with more of them, three digits of each are kept.
_EXACT = 2048
_BINS = 24
# Few different values are shown one by one.
_FEW = 12


@final
class Distribution:
    """Counts numbers as they come; exact while they take few values, else to three digits.

    Example:

    >>> lengths = Distribution()
    >>> for length in (5, 7, 7, 30):
    ...     lengths.add(length)
    >>> summary = lengths.summary()
    >>> summary["median"], summary["mean"], summary["counts"]
    (7, 12.25, [1, 2, 1])
    """

    def __init__(self):
        self.counts = Counter()
        self.count = 0
        self.total = 0.0
        self.least = np.inf
        self.most = -np.inf
        self.is_exact = True

    def add(self, number: float) -> None:
        """Count one number."""
        self.count += 1
        self.total += number
        self.least = min(self.least, number)
        self.most = max(self.most, number)
        self.counts[number if self.is_exact else _three_digits(number)] += 1
        if self.is_exact and len(self.counts) > _EXACT:
            self.is_exact = False
            exact, self.counts = self.counts, Counter()
            for value, count in exact.items():
                self.counts[_three_digits(value)] += count

    def summary(self) -> dict[str, Any]:
        """What is worth knowing, as plain numbers: extremes, mean, quantiles and a histogram.

        `edges` are those of the bins of `counts`, one more than there are bins; or there are `values` in their place,
        as many as counts, where few values occur.
        """
        values = np.array(sorted(self.counts), "float64")
        counts = np.array([self.counts[value] for value in sorted(self.counts)], "int64")
        below = np.cumsum(counts)
        quantiles = [values[np.searchsorted(below, share * self.count)] for share in (0.05, 0.5, 0.95)]
        found = {
            "count": self.count,
            "least": _plain(self.least),
            "most": _plain(self.most),
            "mean": _plain(self.total / self.count),
            **dict(zip(("5%", "median", "95%"), map(_plain, quantiles), strict=True)),
        }
        if len(values) <= _FEW:
            return {**found, "values": [_plain(value) for value in values], "counts": counts.tolist()}
        edges = _edges(values, quantiles)
        bins, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=counts)
        return {**found, "edges": [_plain(edge) for edge in edges], "counts": bins.astype("int64").tolist()}


def _edges(values, quantiles):
    least, most = values[0], values[-1]
    if least > 0 and most > 20 * quantiles[1]:
        # A long tail would leave all the rest in one bin.
        return np.geomspace(least, most, _BINS + 1)
    if (values == np.round(values)).all():
        width = max(1, int(np.ceil((most - least + 1) / _BINS)))
        return np.arange(least, most + width + 1, width) - 0.5
    return np.linspace(least, most, _BINS + 1)


def _three_digits(number):
    return float(f"{number:.3g}")


def _plain(number):
    number = float(f"{float(number):.10g}")
    return int(number) if number.is_integer() else number
