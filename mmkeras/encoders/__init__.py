"""Encoders: builder functions that return a functional `keras.Model`, one modality in, tokens out."""

from mmkeras.encoders.audio import conv1d_audio, spectrogram_cnn
from mmkeras.encoders.backbone import from_backbone
from mmkeras.encoders.bag_of_words import bag_of_words
from mmkeras.encoders.chain import chain
from mmkeras.encoders.contract import finish
from mmkeras.encoders.features import features
from mmkeras.encoders.graph import graph
from mmkeras.encoders.recurrent import gru, lstm
from mmkeras.encoders.resnet import resnet, resnet18, resnet34, resnet50, resnet101
from mmkeras.encoders.signal import signal
from mmkeras.encoders.time_distributed import time_distributed
from mmkeras.encoders.transformers import transformer_text, vision_transformer
from mmkeras.encoders.vgg import vgg, vgg16, vgg19
from mmkeras.encoders.word_vectors import learn_word_vectors, read_word_vectors

__all__ = [
    "bag_of_words",
    "chain",
    "conv1d_audio",
    "features",
    "finish",
    "from_backbone",
    "graph",
    "gru",
    "learn_word_vectors",
    "lstm",
    "read_word_vectors",
    "resnet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "signal",
    "spectrogram_cnn",
    "time_distributed",
    "transformer_text",
    "vgg",
    "vgg16",
    "vgg19",
    "vision_transformer",
]
