"""Augmentation of prepared batches, in the pipeline and nowhere else."""

from mmkeras.preprocessing.augmentation.add_noise import AddNoise
from mmkeras.preprocessing.augmentation.augmentation import Augmentation
from mmkeras.preprocessing.augmentation.drop_modality import DropModality
from mmkeras.preprocessing.augmentation.fade import Fade
from mmkeras.preprocessing.augmentation.frame_jitter import FrameJitter
from mmkeras.preprocessing.augmentation.random_colour import RandomColour
from mmkeras.preprocessing.augmentation.random_crop import RandomCrop
from mmkeras.preprocessing.augmentation.random_erasing import RandomErasing
from mmkeras.preprocessing.augmentation.random_flip import RandomFlip
from mmkeras.preprocessing.augmentation.random_gain import RandomGain
from mmkeras.preprocessing.augmentation.spec_augment import SpecAugment
from mmkeras.preprocessing.augmentation.time_shift import TimeShift
from mmkeras.preprocessing.augmentation.token_dropout import TokenDropout
from mmkeras.preprocessing.augmentation.trim import Trim

__all__ = [
    "AddNoise",
    "Augmentation",
    "DropModality",
    "Fade",
    "FrameJitter",
    "RandomColour",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGain",
    "SpecAugment",
    "TimeShift",
    "TokenDropout",
    "Trim",
]
