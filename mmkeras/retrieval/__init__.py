"""Search in a joint space, and the measures of how well it finds."""

from mmkeras.retrieval.evaluate import evaluate, evaluate_pair, evaluate_scores
from mmkeras.retrieval.index import Index
from mmkeras.retrieval.zero_shot import zero_shot

__all__ = ["Index", "evaluate", "evaluate_pair", "evaluate_scores", "zero_shot"]
