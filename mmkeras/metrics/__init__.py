"""Metrics for `compile` and for tasks, on `keras.ops`."""

from mmkeras.metrics.perplexity import Perplexity
from mmkeras.metrics.recall_at_k import RecallAtK
from mmkeras.metrics.soft_accuracy import SoftAccuracy

__all__ = [
    "Perplexity",
    "RecallAtK",
    "SoftAccuracy",
]
