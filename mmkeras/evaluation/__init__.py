"""Evaluation: the measures of the field, what modalities are worth, and how a model bears bad data."""

from mmkeras.evaluation.bleu import bleu
from mmkeras.evaluation.bootstrap import Interval, paired_bootstrap
from mmkeras.evaluation.caption_report import caption_report
from mmkeras.evaluation.cider import DocumentFrequencies, cider_d
from mmkeras.evaluation.classification import calibration_error, classification_report, confusion_matrix
from mmkeras.evaluation.compare import compare
from mmkeras.evaluation.confusion_picture import plot_confusion
from mmkeras.evaluation.contributions import contributions
from mmkeras.evaluation.controls import controls
from mmkeras.evaluation.predictions import Predictions, hide, predict_all
from mmkeras.evaluation.recognition import (
    Edits,
    character_error_rate,
    count_edits,
    recognition_report,
    word_error_rate,
)
from mmkeras.evaluation.regression import regression_report, sentiment_report
from mmkeras.evaluation.robustness import RobustnessCurves, robustness
from mmkeras.evaluation.rouge import rouge_l
from mmkeras.evaluation.sentence_controls import one_sentence, sentence_controls
from mmkeras.evaluation.sentences import caption_tokens, distinct_n, perplexity, word_accuracy
from mmkeras.evaluation.subsets import subsets
from mmkeras.evaluation.table import Table
from mmkeras.evaluation.vqa import normalize_answer, vqa_accuracy

__all__ = [
    "DocumentFrequencies",
    "Edits",
    "Interval",
    "Predictions",
    "RobustnessCurves",
    "Table",
    "bleu",
    "calibration_error",
    "caption_report",
    "caption_tokens",
    "character_error_rate",
    "cider_d",
    "classification_report",
    "compare",
    "confusion_matrix",
    "contributions",
    "controls",
    "count_edits",
    "distinct_n",
    "hide",
    "normalize_answer",
    "one_sentence",
    "paired_bootstrap",
    "perplexity",
    "plot_confusion",
    "predict_all",
    "recognition_report",
    "regression_report",
    "robustness",
    "rouge_l",
    "sentence_controls",
    "sentiment_report",
    "subsets",
    "vqa_accuracy",
    "word_accuracy",
    "word_error_rate",
]
