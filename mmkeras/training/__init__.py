"""What happens while a task trains: steps beyond Keras' own, transfer, and measures of the whole set."""

from mmkeras.training.class_weights import class_weights
from mmkeras.training.distillation import Distillation
from mmkeras.training.learning_rates import LearningRates
from mmkeras.training.loss_weight_schedule import LossWeightSchedule
from mmkeras.training.modality_balance import ModalityBalance
from mmkeras.training.replace_encoders import replace_encoders
from mmkeras.training.retrieval_callback import RetrievalCallback
from mmkeras.training.sampling_rate_schedule import SamplingRateSchedule
from mmkeras.training.sentence_callback import SentenceCallback
from mmkeras.training.step import Step
from mmkeras.training.steps import GradientCache
from mmkeras.training.tensor_board import TensorBoard
from mmkeras.training.transfer import add_lora, freeze, stages, unfreeze
from mmkeras.training.unimodal_losses import UnimodalLosses

__all__ = [
    "Distillation",
    "GradientCache",
    "LearningRates",
    "LossWeightSchedule",
    "ModalityBalance",
    "RetrievalCallback",
    "SamplingRateSchedule",
    "SentenceCallback",
    "Step",
    "TensorBoard",
    "UnimodalLosses",
    "add_lora",
    "class_weights",
    "freeze",
    "replace_encoders",
    "stages",
    "unfreeze",
]
