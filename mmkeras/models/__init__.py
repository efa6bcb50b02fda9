"""Tasks: what you train, save, ask and ship."""

from mmkeras.models.multimodal_classifier import MultimodalClassifier
from mmkeras.models.task import Task

__all__ = ["MultimodalClassifier", "Task"]
