"""What `fit`, `evaluate` and `predict` are given, checked before Keras sees it."""

import warnings
from collections.abc import Mapping

import keras
import numpy as np

from mmkeras.keys import PRESENT, presence_key
from mmkeras.models.records import are_records
from mmkeras.preprocessing.text import Text

# So many samples tell whether pixels are in 0..1.
_SOME = 256


def check_given(task, x, y=None, *, learns=False, argument="x"):
    """What a task was given, lists of numbers as arrays; an error names the key, the row and the cure.

    Tensors pass as they are.

    Args:
        task: the task.
        x: its inputs.
        y: its targets, or None.
        learns: whether the task learns from them: then NaN is an error, and pixels in 0..1 are told of.
        argument: the name under which `x` was given.

    Returns:
        Inputs and targets.
    """
    if are_records(x):
        raise ValueError(
            f"`{argument}` takes arrays by the names of the inputs, or a dataset: give it pre.dataset(records), where "
            "`pre` is your Preprocessor; methods such as `predict_records` take records. Received: "
            f"a {type(x).__name__} of {len(x)} records with the keys {sorted(x[0])}"
        )
    if not isinstance(x, Mapping):
        _check_batched(task, x, argument)
        return x, y
    # Keras takes each number in a list for an array of its own.
    x = {name: np.asarray(value) if isinstance(value, list) else value for name, value in x.items()}
    y = {name: _as_array(value) for name, value in y.items()} if isinstance(y, Mapping) else _as_array(y)
    arrays = {name: value for name, value in x.items() if isinstance(value, np.ndarray)}
    for tensor in task.inputs:
        if tensor.name in arrays and not tensor.name.endswith(PRESENT):
            _check_array(task, tensor, arrays[tensor.name])
    flags = {presence_key(modality) for modality in task.optional}
    for name, array in arrays.items():
        is_own = name.endswith(PRESENT) and name.removesuffix(PRESENT) in task.encoders
        if is_own and name not in flags and not array.all():
            raise ValueError(
                f"{name!r} says that {int((~array.astype(bool)).sum())} samples lack what the task cannot do without: "
                f"build it with optional=({name.removesuffix(PRESENT)!r},). Received: flags of what is not optional"
            )
    labels = y if isinstance(y, Mapping) else {"y": y}
    targets = {name: value for name, value in labels.items() if isinstance(value, np.ndarray)}
    used = {name: array for name, array in arrays.items() if name in {tensor.name for tensor in task.inputs}}
    lengths = {name: len(array) for name, array in {**used, **targets}.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "All inputs and targets need one row per sample, the same number of them. Received: rows "
            + ", ".join(f"{length} of {name!r}" for name, length in lengths.items())
        )
    if learns:
        _check_values(task, used, x)
    return x, y


def check_compiled(task):
    """Raise an error where a task does not know yet how to learn."""
    if not task.compiled:
        raise ValueError(
            f"{type(task).__name__} is not compiled: call task.compile() first, which takes a sensible optimizer, loss "
            "and metrics, or give your own. Received: a task that was never compiled"
        )


def missing_inputs(task, missing, given):
    """The error of inputs that are not there."""
    wanted = [tensor.name for tensor in task.inputs]
    raw = sorted({task.modality_of(name) for name in missing} & set(given) - set(missing))
    unknown = sorted(set(given) - set(wanted))
    if raw:
        cure = f"a Preprocessor makes them of raw {raw}: pre.dataset(records), or pre(records)"
    elif unknown:
        cure = f"name the arrays as the inputs are, here {unknown}"
    else:
        cure = "add them, or build the task with what may be absent in `optional`"
    return ValueError(
        f"{type(task).__name__} '{task.name}' misses inputs {missing}; it takes {wanted}: {cure}. "
        f"Received: keys {sorted(given)}"
    )


def check_keys(task, row, record):
    """Raise an error where a record of a task without a preprocessor has keys that mean something else."""
    for modality in task.encoders:
        keys = task._keys_of(modality)
        if modality in record and modality not in keys:
            raise ValueError(
                f"Record {row} has {modality!r}, but without a preprocessor this task takes prepared arrays under "
                f"{keys}. Prepare it, or build the task with `preprocessor=`. Received: keys {sorted(record)}"
            )
    flags = {presence_key(modality) for modality in task.optional}
    unknown = sorted(key for key in record if key.endswith(PRESENT) and key not in flags)
    if unknown:
        raise ValueError(
            f"Record {row} has the presence flags {unknown}; only optional modalities have one, here "
            f"{sorted(flags)}. Received: keys {sorted(record)}"
        )


def check_fits(task, preprocessor):
    """Raise an error where a preprocessor makes other shapes, or more words, than the encoders of a task read."""
    for tensor in task.inputs:
        part = preprocessor.inputs.get(tensor.name)
        if part is None:
            continue
        # What makes several inputs has the shape of all of them together.
        made, read = tuple(part.shape) if len(part.kinds) == 1 else (), tuple(tensor.shape[1:])
        if len(made) == len(read) and any(a and b and a != b for a, b in zip(made, read, strict=True)):
            raise ValueError(
                f"The preprocessor makes {tensor.name!r} of shape {made}, and the encoder of "
                f"{task.modality_of(tensor.name)!r} reads {read}: build one of them in the size of the other. "
                f"Received: {part!r}"
            )
        # How many pieces the tokenizer of another model has, its backbone knows.
        is_adapted = isinstance(part, Text) and part.tokenizer is None and part.vocabulary is not None
        words, most = part.num_tokens if is_adapted else None, _vocabulary_of(task, tensor)
        if words and most and words > most:
            raise ValueError(
                f"The preprocessor numbers {words} words of {task.modality_of(tensor.name)!r}, and its encoder knows "
                f"{most}: build it with vocabulary_size=preprocessor[...].num_tokens. Received: {part!r}"
            )


def _as_array(value):
    # A list of arrays has one for each output.
    return np.asarray(value) if isinstance(value, list) and value and not hasattr(value[0], "shape") else value


def _check_batched(task, dataset, argument):
    """Raise an error where a dataset of TensorFlow gives samples, no batches."""
    spec = getattr(dataset, "element_spec", None)
    spec = spec[0] if isinstance(spec, tuple) else spec
    for tensor in task.inputs if isinstance(spec, Mapping) else ():
        shape, wanted = getattr(spec.get(tensor.name), "shape", None), tensor.shape[1:]
        # Keras adds a last axis of one.
        fewest = len(wanted) + (wanted[-1:] != (1,))
        if shape is not None and shape.rank is not None and shape.rank < fewest:
            raise ValueError(
                f"`{argument}` gives samples one by one: write dataset.batch(32), or let pre.dataset(records, 32) make "
                f"batches. Received: a dataset with {tensor.name!r} of shape {tuple(shape)}"
            )


def _check_array(task, tensor, array):
    name, wanted = tensor.name, tuple(tensor.shape[1:])
    expected = f"(batch, {', '.join('any' if size is None else str(size) for size in wanted)})"
    # What NumPy does not know itself, such as bfloat16, Keras may.
    if array.dtype.kind not in "fiubV":
        raise ValueError(
            f"{name!r} takes numbers of shape {expected}; raw values such as paths and sentences need a Preprocessor: "
            f"pre.dataset(records). Received: {array.dtype} of shape {array.shape}"
        )
    # Keras adds a last axis of one; one axis more is a group of values for one sample.
    if array.ndim == len(wanted) and wanted[-1:] == (1,):
        array = array[..., None]
    if array.ndim not in (len(wanted) + 1, len(wanted) + 2):
        cure = "a batch axis is missing: array[None] is a batch of one sample"
        if array.ndim == len(wanted) and wanted and wanted[-1] is not None and array.shape[-1] != wanted[-1]:
            cure = f"its last axis is missing: np.repeat(array[..., None], {wanted[-1]}, axis=-1)"
        raise ValueError(f"{name!r} takes the shape {expected}; {cure}. Received: shape {array.shape}")
    sizes = array.shape[array.ndim - len(wanted) :]
    if any(size is not None and size != given for size, given in zip(wanted, sizes, strict=True)):
        cure = "resize them, by a Preprocessor or before"
        if len(wanted) >= 3 and sizes[-3] == wanted[-1] != sizes[-1]:
            cure = "channels come last here: np.moveaxis(array, -3, -1)"
        raise ValueError(f"{name!r} takes the shape {expected}: {cure}. Received: shape {array.shape}")
    most = _vocabulary_of(task, tensor) if array.dtype.kind in "iu" and array.size else None
    if most and (array.max() >= most or array.min() < 0):
        row = int(np.argwhere((array >= most) | (array < 0))[0][0])
        raise ValueError(
            f"{name!r} takes ids of words in 0..{most - 1}, where 0 is padding: build the encoder for as many words as "
            f"the Text part has, `num_tokens`. Received: {int(array[row].max())} in row {row}"
        )


def _check_values(task, arrays, x):
    for tensor in task.inputs:
        array = arrays.get(tensor.name)
        if array is None or tensor.name.endswith(PRESENT) or array.dtype.kind != "f" or not array.size:
            continue
        modality = task.modality_of(tensor.name)
        # A sum is finite only where all are, and is much cheaper than looking at each.
        with np.errstate(invalid="ignore"):
            is_fine = np.isfinite(array.sum(dtype="float64"))
        if not is_fine:
            wrong = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            there = np.asarray(x.get(presence_key(modality), True)).reshape(-1).astype(bool)
            rows = np.flatnonzero(wrong & there)
            if len(rows):
                absent = f", or say that it is absent: {presence_key(modality)}" if modality in task.optional else ""
                raise ValueError(
                    f"{tensor.name!r} holds NaN or infinite values, which would ruin all weights: leave such samples "
                    f"out{absent}. Received: {len(rows)} such rows of {len(array)}, the first is row {rows[0]}"
                )
        is_picture = len(tensor.shape) >= 4 and tensor.shape[-1] == 3
        if is_picture and 0 < array[:_SOME].max() <= 1.0 and array[:_SOME].min() >= 0:
            warnings.warn(
                f"{tensor.name!r} holds pixels in 0..1, and encoders take 0..255, which they scale themselves: give "
                "them unscaled",
                stacklevel=4,
            )


def _vocabulary_of(task, tensor):
    """How many ids of words an encoder knows, or None."""
    if not tensor.dtype.startswith("int") or len(tensor.shape) != 2:
        return None
    encoder = task.encoders.get(task.modality_of(tensor.name))
    layers = [] if encoder is None else encoder._flatten_layers()
    sizes = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    # Of several tables, such as those of a backbone, none need be that of words.
    return sizes[0] if len(sizes) == 1 and len(encoder.inputs) == 1 else None
