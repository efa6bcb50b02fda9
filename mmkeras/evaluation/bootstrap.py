"""How sure a difference is."""

from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and the interval that holds it with the confidence asked for.

    Example:

    >>> print(Interval(0.25, 0.1, 0.4))
    0.250 [0.100, 0.400]
    """

    mean: float
    low: float
    high: float

    def __str__(self):
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def paired_bootstrap(
    first: Any, second: Any, *, confidence: float = 0.95, num_draws: int = 2000, seed: int = 0
) -> Interval:
    """Bound by how much one system is better than another on the same samples.

    Samples are drawn with replacement, both systems' scores of a sample together, so that what is hard for both does
    not blur their difference. With scores of several seeds, (seed, sample), what another training would change is added
    by the t distribution of the mean over seeds; with one seed the interval knows of the samples alone. 0 outside of
    the interval: a difference at that confidence.

    Args:
        first: scores of one system, numbers (sample,) or (seed, sample): 0 or 1 for right or wrong, an error, ...
        second: scores of the other, of the same shape.
        confidence: share of the draws that the interval holds.
        num_draws: number of draws.
        seed: integer; the same seed gives the same interval.

    Returns:
        `Interval(mean, low, high)` of first - second.

    Example:

    >>> interval = paired_bootstrap([1, 1, 1, 0] * 50, [0, 1, 1, 0] * 50)
    >>> interval.mean, bool(0.15 < interval.low < 0.25 < interval.high < 0.35)
    (0.25, True)
    """
    first, second = (np.atleast_2d(np.asarray(scores, "float64")) for scores in (first, second))
    if first.shape != second.shape or first.ndim != 2 or not first.size or not 0 < confidence < 1:
        raise ValueError(
            "Scores of the same samples are needed from both, (sample,) or (seed, sample), and a `confidence` between "
            f"0 and 1. Received: shapes {first.shape} and {second.shape}, confidence={confidence}"
        )
    difference = first - second
    if np.isnan(difference).any():
        raise ValueError(f"Scores must be numbers. Received: {int(np.isnan(difference).sum())} NaN")
    seeds, samples = difference.shape
    rng = np.random.default_rng(seed)
    each = difference.mean(axis=0)
    means = np.array([each[rng.integers(samples, size=samples)].mean() for _ in range(num_draws)])
    if seeds > 1:
        spread = difference.mean(axis=1).std(ddof=1) / np.sqrt(seeds)
        means += spread * rng.standard_t(seeds - 1, size=num_draws)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(difference.mean()), float(low), float(high))
