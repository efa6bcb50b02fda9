"""What a classifier got right, class by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def confusion_matrix(labels: Any, predicted: Any, num_classes: int) -> np.ndarray:
    """Count how often samples of one class are taken for another.

    Args:
        labels: integers (sample,), the true classes.
        predicted: integers (sample,).
        num_classes: number of classes.

    Returns:
        Integer array (true class, predicted class).

    Example:

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    labels, predicted = _classes(labels, num_classes, "labels"), _classes(predicted, num_classes, "predicted")
    if labels.shape != predicted.shape:
        raise ValueError(
            f"`labels` and `predicted` need one entry per sample. Received: {len(labels)} and {len(predicted)} entries"
        )
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def calibration_error(correct: Any, confidence: Any, num_bins: int = 15) -> float:
    """Measure how far confidence is from accuracy: the expected calibration error.

    `sum over bins of (share of samples) * |accuracy - mean confidence|`, with bins of equal width over 0..1. 0 where of
    all answers given with 80 % confidence 80 % are right.

    Args:
        correct: booleans (sample,), whether an answer was right.
        confidence: numbers in 0..1 (sample,), the probability it was given.
        num_bins: number of bins.

    Returns:
        Number in 0..1.

    Example:

    >>> round(calibration_error([True, False, True, True], [0.9, 0.9, 0.6, 0.6]), 2)
    0.4

    References:
        Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    correct, confidence = np.asarray(correct, "float64"), np.asarray(confidence, "float64")
    if correct.shape != confidence.shape or correct.ndim != 1 or not len(correct):
        raise ValueError(
            "`correct` and `confidence` need one entry per sample, of one sample at least. "
            f"Received: shapes {correct.shape} and {confidence.shape}"
        )
    if num_bins < 1 or not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        raise ValueError(
            "`confidence` must lie in 0..1 and `num_bins` be a positive integer. "
            f"Received: confidence in {confidence.min()}..{confidence.max()}, num_bins={num_bins}"
        )
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, correct - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(correct))


def classification_report(labels: Any, probabilities: Any, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """Judge a classifier: accuracy, precision, recall and F1 by class and on average, and calibration.

    A class that is never predicted has precision 0, one that never occurs recall 0; F1 is then 0. Macro averages take
    every class that occurs or is predicted, so that a class absent from this split does not lower them.

    Args:
        labels: integers (sample,), or zeros and ones (sample, class) where any number of classes may hold.
        probabilities: numbers (sample, class). Of several labels, those of at least 0.5 are predicted.
        classes: names of the classes; None numbers them.

    Returns:
        Dict of numbers: `accuracy` (of several labels: the share of samples with all of them right),
        `balanced_accuracy` (mean recall of the classes that occur), `f1_macro`, `f1_micro`, `f1_weighted`,
        `calibration_error`, `num_samples`; with `by_class`, a dict by name of dicts with `precision`, `recall`, `f1`,
        `support` (how many samples have it) and `predicted` (how many were said to); and for single labels
        `confusion`, an array (true class, predicted class).

    Example:

    >>> report = classification_report([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], ["cat", "dog"])
    >>> round(report["accuracy"], 2), report["by_class"]["dog"]["recall"], report["confusion"].tolist()
    (0.67, 0.5, [[1, 0], [1, 1]])
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, "float64")
    if probabilities.ndim != 2 or not len(probabilities) or np.isnan(probabilities).any():
        raise ValueError(
            "`probabilities` must be numbers (sample, class) without NaN, of one sample at least. "
            f"Received: shape {probabilities.shape}, {int(np.isnan(probabilities).sum())} NaN"
        )
    num_classes = probabilities.shape[1]
    names = list(range(num_classes)) if classes is None else list(classes)
    if len(names) != num_classes:
        raise ValueError(f"`classes` needs {num_classes} names. Received: {len(names)}")
    if labels.shape == (len(probabilities),):
        predicted = probabilities.argmax(axis=1)
        confusion = confusion_matrix(labels, predicted, num_classes)
        right, support, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        correct, confidence = predicted == labels, probabilities.max(axis=1)
        extra = {"confusion": confusion}
    elif labels.shape == probabilities.shape:
        truth, predicted = labels.astype(bool), probabilities >= 0.5
        right, support, said = (x.sum(axis=0) for x in (truth & predicted, truth, predicted))
        correct, confidence = (predicted == truth).all(axis=1), np.maximum(probabilities, 1 - probabilities)
        extra = {}
    else:
        raise ValueError(
            "`labels` must be integers (sample,), or zeros and ones (sample, class) like `probabilities`. "
            f"Received: shapes {labels.shape} and {probabilities.shape}"
        )
    precision, recall = _ratio(right, said), _ratio(right, support)
    f1 = _ratio(2 * right, support + said)
    seen = support + said > 0
    each_correct = correct if extra else (predicted == truth).ravel()
    return {
        "num_samples": len(probabilities),
        "accuracy": float(correct.mean()),
        "balanced_accuracy": float(recall[support > 0].mean()) if support.any() else 0.0,
        "f1_macro": float(f1[seen].mean()) if seen.any() else 0.0,
        "f1_micro": float(2 * right.sum() / max(1, support.sum() + said.sum())),
        "f1_weighted": float((f1 * support).sum() / max(1, support.sum())),
        "calibration_error": calibration_error(each_correct, confidence.ravel()),
        "by_class": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
                "predicted": int(said[index]),
            }
            for index, name in enumerate(names)
        },
        **extra,
    }


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _classes(values, num_classes, name):
    values = np.asarray(values)
    whole = values.ndim == 1 and values.dtype.kind in "biuf" and not np.any(values.astype("float64") % 1)
    if not whole or (len(values) and not (values.min() >= 0 and values.max() < num_classes)):
        raise ValueError(
            f"`{name}` must be integers (sample,) in 0..{num_classes - 1}. Received: shape {values.shape}, dtype "
            f"{values.dtype}" + (f", values in {values.min()}..{values.max()}" if values.size else "")
        )
    return values.astype("int64")
