"""Search in a joint space, and the measures of how well it finds."""

from mmkeras.retrieval.evaluate import evaluate, evaluate_pair, evaluate_scores
from mmkeras.retrieval.evaluate_task import evaluate_task
from mmkeras.retrieval.index import Index
from mmkeras.retrieval.summary import Summary, select_frames, summarize
from mmkeras.retrieval.zero_shot import zero_shot

__all__ = [
    "Index",
    "Summary",
    "evaluate",
    "evaluate_pair",
    "evaluate_scores",
    "evaluate_task",
    "select_frames",
    "summarize",
    "zero_shot",
]
