"""What happens while a task trains: steps beyond Keras' own, and measures of the whole set."""

from mmkeras.training.retrieval_callback import RetrievalCallback
from mmkeras.training.steps import GradientCache

__all__ = ["GradientCache", "RetrievalCallback"]
