"""One number, and one number per sample, for what a task is for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mmkeras.evaluation.classification import classification_report
from mmkeras.evaluation.predictions import Predictions
from mmkeras.evaluation.regression import regression_report

SCORES = ("accuracy", "f1_macro", "mae", "rmse", "correlation")


def score(found: Predictions, name: str | Callable = "accuracy") -> float:
    """Score predictions by the name of a measure.

    Args:
        found: what `predict_all` returned.
        name: `"accuracy"` (of several labels: the mean over labels), `"f1_macro"`, `"mae"`, `"rmse"`, `"correlation"`,
            or a function `(targets, outputs) -> number`.

    Returns:
        Number.

    Example:

    >>> score(Predictions(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), np.ones(2)))
    0.5
    """
    if callable(name):
        return float(name(found.targets, found.outputs))
    if name == "f1_macro":
        return classification_report(found.targets, found.outputs)["f1_macro"]
    if name == "correlation":
        return regression_report(found.targets, found.outputs)["correlation"]
    each = sample_scores(found, name)
    mean = float(np.average(each, weights=found.weights))
    return mean**0.5 if name == "rmse" else mean


def sample_scores(found: Predictions, name: str | Callable = "accuracy") -> np.ndarray:
    """Score each sample: right or wrong, or by how much off.

    Example:

    >>> sample_scores(Predictions(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), np.ones(2))).tolist()
    [1.0, 0.0]
    """
    if name in ("mae", "rmse"):
        error = np.abs(found.outputs.reshape(len(found.outputs), -1) - found.targets.reshape(len(found.targets), -1))
        return np.mean(error if name == "mae" else error**2, axis=1)
    if name != "accuracy":
        raise ValueError(f"A measure is needed that each sample has, 'accuracy', 'mae' or 'rmse'. Received: {name!r}")
    targets, outputs = found.targets, found.outputs
    if outputs.ndim == 2 and targets.shape == (len(outputs), 1) and outputs.shape[1] > 1:
        targets = targets[:, 0]
    if outputs.ndim == 2 and targets.ndim == 1:
        return (outputs.argmax(axis=-1) == targets).astype("float64")
    if outputs.ndim == 2 and targets.shape == outputs.shape:
        return ((outputs >= 0.5) == (targets >= 0.5)).mean(axis=1)
    raise ValueError(
        "Accuracy compares probabilities (sample, class) with classes (sample,) or zeros and ones (sample, class); "
        f"numbers take 'mae', 'rmse' or 'correlation'. Received: outputs of shape {outputs.shape}, targets of shape "
        f"{targets.shape}"
    )


def check_score(name: Any) -> None:
    """Raise an error that lists the measures unless this is one."""
    if not callable(name) and name not in SCORES:
        raise ValueError(f"`score` must be one of {SCORES}, or a function. Received: score={name!r}")
