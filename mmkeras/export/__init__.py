"""Shipping: SavedModel, TFLite and what serves them, each proven before the call returns."""

from mmkeras.export.asking import SavedModelRunner, TaskRunner, encoder_of
from mmkeras.export.c_api import ServedModel
from mmkeras.export.card import read_card
from mmkeras.export.client import GrpcClient, RestClient
from mmkeras.export.lite_runner import LiteRunner
from mmkeras.export.messages import read_warm_up
from mmkeras.export.report import Check, ExportError, ExportReport
from mmkeras.export.served_signatures import Signature, read_signatures
from mmkeras.export.serving import ServingConfig, serving_config
from mmkeras.export.wire import served
from mmkeras.registration import keras

__all__ = [
    "Check",
    "ExportError",
    "ExportReport",
    "GrpcClient",
    "LiteRunner",
    "RestClient",
    "SavedModelRunner",
    "ServedModel",
    "ServingConfig",
    "Signature",
    "TaskRunner",
    "encoder_of",
    "read_card",
    "read_signatures",
    "read_warm_up",
    "served",
    "serving_config",
]

# Asking a model needs no Keras; shipping one does.
if keras is not None:
    from mmkeras.export.onnx import to_onnx
    from mmkeras.export.saved_model import to_saved_model
    from mmkeras.export.tflite import to_tflite

    __all__ += ["to_onnx", "to_saved_model", "to_tflite"]
