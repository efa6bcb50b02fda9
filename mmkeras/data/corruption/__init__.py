"""Corruptors: raw values made worse by a severity from 0 to 1, for work on robustness."""

from mmkeras.data.corruption.audio import AudioBabble, AudioBandLimit, AudioClip, AudioNoise, Desync
from mmkeras.data.corruption.corrupt import corrupt
from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.corruption.image import ImageBlur, ImageJPEG, ImageLowRank, ImageNoise, ImageOcclusion
from mmkeras.data.corruption.missing import Missing
from mmkeras.data.corruption.signal import ChannelDrop, FeatureNoise, SignalNoise
from mmkeras.data.corruption.text import TextDrop, TextSwap, TextTypo
from mmkeras.data.corruption.video import FrameDrop

CORRUPTORS: dict[str, tuple[type[Corruptor], ...]] = {
    "image": (ImageBlur, ImageNoise, ImageOcclusion, ImageLowRank, ImageJPEG, Missing),
    "text": (TextTypo, TextDrop, TextSwap, Missing),
    "audio": (AudioNoise, AudioBabble, AudioClip, AudioBandLimit, Desync, Missing),
    "video": (FrameDrop, Missing),
    "signal": (SignalNoise, ChannelDrop, Missing),
    "features": (FeatureNoise, Missing),
}
"""The corruptors of each modality, all made by `Corruptor(severity)`: what a sweep goes through."""

__all__ = [
    "CORRUPTORS",
    "AudioBabble",
    "AudioBandLimit",
    "AudioClip",
    "AudioNoise",
    "ChannelDrop",
    "Corruptor",
    "Desync",
    "FeatureNoise",
    "FrameDrop",
    "ImageBlur",
    "ImageJPEG",
    "ImageLowRank",
    "ImageNoise",
    "ImageOcclusion",
    "Missing",
    "SignalNoise",
    "TextDrop",
    "TextSwap",
    "TextTypo",
    "corrupt",
]
