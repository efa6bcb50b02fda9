"""Layers: attention across modalities, fusion, absence, and what encoders are built from.

Taken from Keras as they are: LSTM, GRU, Bidirectional, Embedding, MultiHeadAttention, convolutions and
normalisations.
"""

from mmkeras.layers.add_channel import AddChannel
from mmkeras.layers.align_steps import AlignSteps
from mmkeras.layers.attention_fusion import AttentionFusion
from mmkeras.layers.attention_pooling import AttentionPooling
from mmkeras.layers.backbone_tokens import BackboneTokens
from mmkeras.layers.bilinear_fusion import BilinearFusion
from mmkeras.layers.bottleneck_fusion import BottleneckFusion
from mmkeras.layers.class_head import ClassHead
from mmkeras.layers.co_attention import CoAttention
from mmkeras.layers.concat_fusion import ConcatFusion
from mmkeras.layers.conv_block import ConvBlock
from mmkeras.layers.cross_modal_attention import CrossModalAttention
from mmkeras.layers.ctc_head import CTCHead
from mmkeras.layers.decoder import Decoder
from mmkeras.layers.each_frame import EachFrame
from mmkeras.layers.film import FiLM
from mmkeras.layers.film_fusion import FiLMFusion
from mmkeras.layers.flatten_frequency import FlattenFrequency
from mmkeras.layers.frozen_statistics import FrozenStatistics
from mmkeras.layers.fused_batch_normalization import FusedBatchNormalization
from mmkeras.layers.fused_group_normalization import FusedGroupNormalization
from mmkeras.layers.fusion import Fusion
from mmkeras.layers.gated_fusion import GatedFusion
from mmkeras.layers.graph_attention import GraphAttention
from mmkeras.layers.graph_convolution import GraphConvolution
from mmkeras.layers.graph_fusion import GraphFusion
from mmkeras.layers.head import Head
from mmkeras.layers.log_mel_spectrogram import LogMelSpectrogram
from mmkeras.layers.lstm_decoder import LSTMDecoder
from mmkeras.layers.match_rows import MatchRows
from mmkeras.layers.modality_dropout import ModalityDropout
from mmkeras.layers.null_embedding import NullEmbedding
from mmkeras.layers.number_head import NumberHead
from mmkeras.layers.or_prior import OrPrior
from mmkeras.layers.ordinal import Ordinal
from mmkeras.layers.own_words import OwnWords
from mmkeras.layers.padding_mask import PaddingMask
from mmkeras.layers.pixel_scaling import PixelScaling
from mmkeras.layers.position_embedding import PositionEmbedding
from mmkeras.layers.projection_head import ProjectionHead
from mmkeras.layers.series_smoothing import SeriesSmoothing
from mmkeras.layers.stepwise_fusion import StepwiseFusion
from mmkeras.layers.timeline_fusion import TimelineFusion
from mmkeras.layers.token_fusion import TokenFusion
from mmkeras.layers.token_pooling import TokenPooling, pooling_layer
from mmkeras.layers.tokens import Tokens
from mmkeras.layers.transformer_block import TransformerBlock
from mmkeras.layers.transformer_decoder import TransformerDecoder
from mmkeras.layers.unit_length import UnitLength
from mmkeras.layers.vector_fusion import VectorFusion
from mmkeras.layers.weighted_fusion import WeightedFusion
from mmkeras.layers.whisper_scaling import WhisperScaling
from mmkeras.layers.zero_absent import ZeroAbsent

__all__ = [
    "AddChannel",
    "AlignSteps",
    "AttentionFusion",
    "AttentionPooling",
    "BackboneTokens",
    "BilinearFusion",
    "BottleneckFusion",
    "CTCHead",
    "ClassHead",
    "CoAttention",
    "ConcatFusion",
    "ConvBlock",
    "CrossModalAttention",
    "Decoder",
    "EachFrame",
    "FiLM",
    "FiLMFusion",
    "FlattenFrequency",
    "FrozenStatistics",
    "FusedBatchNormalization",
    "FusedGroupNormalization",
    "Fusion",
    "GatedFusion",
    "GraphAttention",
    "GraphConvolution",
    "GraphFusion",
    "Head",
    "LSTMDecoder",
    "LogMelSpectrogram",
    "MatchRows",
    "ModalityDropout",
    "NullEmbedding",
    "NumberHead",
    "OrPrior",
    "Ordinal",
    "OwnWords",
    "PaddingMask",
    "PixelScaling",
    "PositionEmbedding",
    "ProjectionHead",
    "SeriesSmoothing",
    "StepwiseFusion",
    "TimelineFusion",
    "TokenFusion",
    "TokenPooling",
    "Tokens",
    "TransformerBlock",
    "TransformerDecoder",
    "UnitLength",
    "VectorFusion",
    "WeightedFusion",
    "WhisperScaling",
    "ZeroAbsent",
    "pooling_layer",
]
