"""How far numbers are off, and what that means for sentiment."""

from typing import Any

import numpy as np


def regression_report(truth: Any, predicted: Any) -> dict[str, float]:
    """Judge predicted numbers.

    Args:
        truth: numbers (sample,).
        predicted: numbers (sample,).

    Returns:
        Dict with `mae` (mean absolute error), `rmse` (root mean squared error), `correlation` (Pearson's; 0 where
        one side is constant), `r2` (share of the variance explained; 0 where the truth is constant) and `num_samples`.

    Example:

    >>> report = regression_report([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    >>> report["mae"], round(report["correlation"], 6), report["r2"]
    (0.5, 1.0, 0.625)
    """
    truth, predicted = _columns(truth, predicted)
    error = predicted - truth
    spread = np.square(truth - truth.mean()).sum()
    varied, both = np.ptp(truth) > 0, np.ptp(truth) > 0 and np.ptp(predicted) > 0
    covariance = np.mean((truth - truth.mean()) * (predicted - predicted.mean()))
    return {
        "num_samples": len(truth),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "correlation": float(covariance / (truth.std() * predicted.std())) if both else 0.0,
        "r2": float(1 - np.square(error).sum() / spread) if varied else 0.0,
    }


def sentiment_report(truth: Any, predicted: Any, limit: int = 3) -> dict[str, float]:
    """Judge predicted sentiment, numbers from -limit (negative) to limit (positive), by the field's measures.

    `accuracy_2` and `f1_2` come in the two forms that papers mix up: whether a sentiment is negative or not, over all
    samples (`..._negative`), and negative or positive, over the samples whose true sentiment is not 0
    (`..._polar`). F1 is the mean of both classes weighted by how often they occur. `accuracy_7` (for a limit of 3)
    rounds both sides to whole numbers within the limit.

    Args:
        truth: numbers (sample,).
        predicted: numbers (sample,).
        limit: the largest sentiment.

    Returns:
        Dict with the keys of `regression_report` and `accuracy_2_negative`, `f1_2_negative`, `accuracy_2_polar`,
        `f1_2_polar` and `accuracy_<2 * limit + 1>`.

    Example:

    >>> report = sentiment_report([-2.0, 0.0, 1.4], [-1.6, -0.2, 0.9])
    >>> round(report["accuracy_2_negative"], 2), report["accuracy_2_polar"], report["accuracy_7"]
    (0.67, 1.0, 1.0)
    """
    truth, predicted = _columns(truth, predicted)
    report = regression_report(truth, predicted)
    polar = truth != 0
    for form, rows, side in (
        ("negative", np.ones(len(truth), bool), lambda x: x >= 0),
        ("polar", polar, lambda x: x > 0),
    ):
        expected, actual = side(truth[rows]), side(predicted[rows])
        report[f"accuracy_2_{form}"] = float((expected == actual).mean()) if rows.any() else 0.0
        report[f"f1_2_{form}"] = _weighted_f1(expected, actual)
    whole = [np.clip(np.rint(x), -limit, limit) for x in (truth, predicted)]
    report[f"accuracy_{2 * limit + 1}"] = float((whole[0] == whole[1]).mean())
    return report


def _weighted_f1(truth, predicted):
    total = 0.0
    for value in (False, True):
        right = np.sum((truth == value) & (predicted == value))
        occurs, said = np.sum(truth == value), np.sum(predicted == value)
        total += occurs * 2 * right / max(1, occurs + said)
    return float(total / max(1, len(truth)))


def _columns(truth, predicted):
    truth, predicted = (np.asarray(x, "float64") for x in (truth, predicted))
    truth, predicted = (x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x for x in (truth, predicted))
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        raise ValueError(
            "`truth` and `predicted` need one number per sample, of one sample at least. "
            f"Received: shapes {truth.shape} and {predicted.shape}"
        )
    broken = {"truth": np.isnan(truth), "predicted": np.isnan(predicted)}
    rows = {name: int(np.flatnonzero(flags)[0]) for name, flags in broken.items() if flags.any()}
    if rows:
        raise ValueError(f"Numbers are needed to compare. Received: NaN, first at row {rows}")
    return truth, predicted
