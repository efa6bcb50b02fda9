"""Search in a joint space, and the measures of how well it finds."""

from mmkeras.retrieval.evaluate import evaluate, evaluate_pair, evaluate_scores
from mmkeras.retrieval.evaluate_task import evaluate_task
from mmkeras.retrieval.index import Index
from mmkeras.retrieval.zero_shot import zero_shot

__all__ = ["Index", "evaluate", "evaluate_pair", "evaluate_scores", "evaluate_task", "zero_shot"]
