"""Metrics for `compile` and for tasks, on `keras.ops`."""

from mmkeras.metrics.recall_at_k import RecallAtK

__all__ = ["RecallAtK"]
