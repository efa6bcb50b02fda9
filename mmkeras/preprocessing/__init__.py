"""Preprocessing: raw records -> arrays, one part per modality, and the Preprocessor that holds them."""

from mmkeras.preprocessing.audio import Audio
from mmkeras.preprocessing.augmentation import (
    AddNoise,
    Augmentation,
    DropModality,
    Fade,
    FrameJitter,
    RandomColour,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGain,
    SpecAugment,
    TimeShift,
    TokenDropout,
    Trim,
)
from mmkeras.preprocessing.features import Features
from mmkeras.preprocessing.graph import Graph
from mmkeras.preprocessing.image import Image
from mmkeras.preprocessing.label import Label
from mmkeras.preprocessing.part import Part
from mmkeras.preprocessing.preprocessor import Preprocessor
from mmkeras.preprocessing.signal import Signal
from mmkeras.preprocessing.text import Text
from mmkeras.preprocessing.video import Video

__all__ = [
    "AddNoise",
    "Audio",
    "Augmentation",
    "DropModality",
    "Fade",
    "Features",
    "FrameJitter",
    "Graph",
    "Image",
    "Label",
    "Part",
    "Preprocessor",
    "RandomColour",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGain",
    "Signal",
    "SpecAugment",
    "Text",
    "TimeShift",
    "TokenDropout",
    "Trim",
    "Video",
]
