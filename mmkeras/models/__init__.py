"""Tasks: what you train, save, ask and ship."""

from mmkeras.models.autoencoder_embedding import AutoencoderEmbedding
from mmkeras.models.embedding_task import EmbeddingTask
from mmkeras.models.joint_embedding import JointEmbedding
from mmkeras.models.multimodal_classifier import MultimodalClassifier
from mmkeras.models.task import Task

__all__ = ["AutoencoderEmbedding", "EmbeddingTask", "JointEmbedding", "MultimodalClassifier", "Task"]
