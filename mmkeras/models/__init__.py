"""Tasks: what you train, save, ask and ship."""

from mmkeras.models.autoencoder_embedding import AutoencoderEmbedding
from mmkeras.models.embedding_task import EmbeddingTask
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.image_captioner import ImageCaptioner
from mmkeras.models.joint_embedding import JointEmbedding
from mmkeras.models.multi_task import MultiTask
from mmkeras.models.multimodal_classifier import MultimodalClassifier
from mmkeras.models.multimodal_regressor import MultimodalRegressor
from mmkeras.models.sentence_parts import Sentence
from mmkeras.models.sentence_task import SentenceTask
from mmkeras.models.sequence_tagger import SequenceTagger
from mmkeras.models.task import Task
from mmkeras.models.transcriber import Transcriber
from mmkeras.models.translator import Translator
from mmkeras.models.video_audio_model import VideoAudioModel
from mmkeras.models.video_captioner import VideoCaptioner
from mmkeras.models.visual_question_answering import VisualQuestionAnswering

__all__ = [
    "AutoencoderEmbedding",
    "EmbeddingTask",
    "Endpoint",
    "FusionTask",
    "ImageCaptioner",
    "JointEmbedding",
    "MultiTask",
    "MultimodalClassifier",
    "MultimodalRegressor",
    "Sentence",
    "SentenceTask",
    "SequenceTagger",
    "Task",
    "Transcriber",
    "Translator",
    "VideoAudioModel",
    "VideoCaptioner",
    "VisualQuestionAnswering",
]
