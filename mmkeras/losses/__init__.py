"""Losses of joint embedding: each a pure function, and a layer that owns what is learned."""

from mmkeras.losses.adversarial import Adversarial, adversarial
from mmkeras.losses.gradient_reversal import GradientReversal
from mmkeras.losses.info_nce import InfoNCE, info_nce
from mmkeras.losses.margin_contrastive import MarginContrastive, margin_contrastive
from mmkeras.losses.pair_loss import PairLoss
from mmkeras.losses.reconstruction import Reconstruction, agreement, reconstruction
from mmkeras.losses.sigmoid_contrastive import SigmoidContrastive, sigmoid_contrastive
from mmkeras.losses.triplet import Triplet, triplet
from mmkeras.losses.word_cross_entropy import WordCrossEntropy

__all__ = [
    "Adversarial",
    "GradientReversal",
    "InfoNCE",
    "MarginContrastive",
    "PairLoss",
    "Reconstruction",
    "SigmoidContrastive",
    "Triplet",
    "WordCrossEntropy",
    "adversarial",
    "agreement",
    "info_nce",
    "margin_contrastive",
    "reconstruction",
    "sigmoid_contrastive",
    "triplet",
]
