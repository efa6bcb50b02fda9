"""How a task was built and trained, for the HPARAMS tab of TensorBoard."""

import numbers
from collections.abc import Mapping

import keras
import numpy as np


def check_hyper_parameters(given):
    """Return hyper-parameters as a dict of plain Python values, or raise an error that says what they may be."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(
            "`hyper_parameters` must be a dict of numbers, strings and bools by name, or None. "
            f"Received: hyper_parameters={given!r:.120}"
        )
    wrong = {
        name: value
        for name, value in given.items()
        if not isinstance(name, str) or not isinstance(value, numbers.Real | str | np.bool_)
    }
    if wrong:
        raise ValueError(
            "`hyper_parameters` must be numbers, strings or bools by name, for TensorBoard compares runs by them. "
            f"Received: {wrong!r:.200}"
        )
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}


def read_hyper_parameters(model, num_epochs=None):
    """What can be read off a compiled model: its parts, its size and its optimizer, as a dict of plain values."""
    found = {"task": type(model).__name__, "num_weights": model.count_params()}
    encoders = getattr(model, "encoders", {})
    if encoders:
        found["modalities"] = ", ".join(encoders)
    for modality, encoder in encoders.items():
        # Keras numbers what has no name of its own: two runs of one program would seem to differ.
        if not encoder.name.startswith("functional"):
            found[f"{modality}_encoder"] = encoder.name
    for name in ("fusion", "decoder", "objective"):
        part = getattr(model, name, None)
        if part is not None:
            found[name] = type(part).__name__
    if isinstance(model.loss, keras.losses.Loss):
        found["loss"] = type(model.loss).__name__
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    config = optimizer.get_config()
    found["optimizer"] = type(optimizer).__name__
    if isinstance(config.get("learning_rate"), dict):
        found["learning_rate_schedule"] = config["learning_rate"]["class_name"]
    if "learning_rate" in config:
        # 0.001, not the nearest float32 to it.
        found["learning_rate"] = float(f"{float(keras.ops.convert_to_tensor(optimizer.learning_rate)):.6g}")
    if config.get("weight_decay") is not None:
        found["weight_decay"] = float(config["weight_decay"])
    if num_epochs is not None:
        found["num_epochs"] = num_epochs
    return found


def write_start(values):
    """Write hyper-parameters to the writer that is the default."""
    from tensorboard.plugins.hparams import summary_v2

    summary_v2.hparams(values)


def write_end():
    """Write that training has come to its end to the writer that is the default."""
    import tensorflow as tf
    from tensorboard.plugins.hparams import api_pb2, summary

    message = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
    tf.summary.experimental.write_raw_pb(message.SerializeToString(), step=0)
