"""A task as a TFLite file of built-in operations, tried before the call returns."""

import collections
import contextlib
import hashlib
import os
import pathlib
import re
import sys
import tempfile

import keras
import numpy as np

from mmkeras.export import ask_tflite, conversion
from mmkeras.export.card import card_of, files_of
from mmkeras.export.conversion import QUANTIZATIONS
from mmkeras.export.functions import prepared_function
from mmkeras.export.placing import check_free, placed
from mmkeras.export.report import ExportError, ExportReport
from mmkeras.export.saved_model import DEFAULT_FOLDER, check_task, listed, save_functions
from mmkeras.export.verify import checks_of, requests_of, run_child, size_of
from mmkeras.models import Endpoint
from mmkeras.models.configs import float32_copy
from mmkeras.preprocessing import Preprocessor

# What converters say of operations that TFLite lacks: a list of names, or one by one.
_LACKS = (re.compile(r"'tf\.(\w+)' op"), re.compile(r"(?:Flex|Custom) ops: ([\w, ]+)"))
_WAYS_ROUND = {
    "BitwiseAnd": "take `keras.ops.top_k(x, 1)[1]` in place of `keras.ops.argmax`",
    "TensorListReserve": "give a fixed `batch`, such as batch=1",
    "Erfc": "take `gelu` with `approximate=True`",
    "CTCGreedyDecoder": "take `mm.generation.CTCGreedy`",
    "MaxPool3D": "pool by strides, or over frames and places one after the other",
}


def to_tflite(
    task,
    path=None,
    *,
    quantize=None,
    calibrate=None,
    batch=1,
    signatures=None,
    endpoints=None,
    records=None,
    shapes=None,
    metrics=None,
    training_data=None,
    tolerance=None,
    overwrite=False,
) -> ExportReport:
    """Export a task for phones and small machines, and prove that it answers there as it does here.

    The file takes prepared tensors; `mm.export.LiteRunner`, which needs neither TensorFlow nor Keras, makes them of
    raw pictures, sounds and texts by the card that lies beside the file (`captioner.json`; lists of words and classes
    lie there as text, too). Whole loops of generation are inside. It is made of TFLite's built-in operations only, run
    by LiteRT in a process of its own and compared with the model; where it differs too much the export fails and leaves
    what was there before.

    Args:
        task: the task, on the TensorFlow backend. One that computes in mixed precision is exported in float32.
        path: file to be; None takes `saved_models/<name of the task>.tflite`.
        quantize: None for float32; `"dynamic"` keeps weights in 8 bits, near a quarter of the size;
            `"float16"` in 16 bits; `"int8"` computes in 8 bits, too, by what it sees in `calibrate`.
        calibrate: raw records for `"int8"`, a hundred or so that are like those to come.
        batch: of how many samples a request is; None for any number, for which layers over time are unrolled.
        signatures: names of the endpoints to export; None for all.
        endpoints: dict of `mm.models.Endpoint`s by name; None takes `task.endpoints()`, or the task as it is.
        records: raw records to try it on, of which the first 256 count; None takes those to calibrate with, or makes
            some up.
        shapes: dict of shapes without batch by input, where neither encoders nor the preprocessor fix them.
        metrics: dict of what was measured, for the card.
        training_data: what it was trained on, for the card: a sentence, a dict, or the records.
        tolerance: the largest relative difference; None takes 0.001, for 16 bits 0.02, for 8 bits 0.1, and 0.35 for
            `"int8"`.
        overwrite: whether the file may exist.

    Returns:
        An `ExportReport`.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> report = to_tflite(task, os.path.join(tempfile.mkdtemp(), "pets.tflite"), quantize="dynamic")
    >>> [check.signature for check in report.checks], report.format
    (['classify'], 'tflite dynamic')
    """
    check_task(task)
    _check_arguments(quantize, calibrate, batch)
    task, endpoints = as_endpoints(task, endpoints, signatures)
    calibrate = listed(calibrate)
    records = calibrate if records is None else listed(records)
    target = pathlib.Path(DEFAULT_FOLDER, f"{task.name}.tflite") if path is None else pathlib.Path(path)
    if target.suffix != ".tflite":
        raise ValueError(f"`path` must end in .tflite. Received: {str(target)!r}")
    with _unrolled(task, batch, quantize):
        functions, sizes = fixed_functions(task, endpoints, batch, shapes, records)
    requests = requests_of(task, functions, records, batch=batch, shapes=sizes)
    kind = "tflite" if quantize is None else f"tflite {quantize}"
    beside = target.with_suffix(".json")
    check_free(beside, overwrite)
    with contextlib.ExitStack() as places:
        aside = places.enter_context(placed(target, overwrite=overwrite, size=4 * task.count_params()))
        samples = requests if calibrate is None else requests_of(task, functions, calibrate, batch=batch, shapes=sizes)
        _convert(task, functions, quantize, samples, aside)
        operations = ask_tflite.operations_of(aside)
        answers, times = ask(aside, requests)
        checks = checks_of(functions, requests, answers, times, kind, tolerance)
        card = card_of(task, functions, requests, metrics=metrics, training_data=training_data)
        card |= {"quantize": quantize, "batch": batch, "sha256": hashlib.sha256(aside.read_bytes()).hexdigest()}
        card |= {"checks": [check._asdict() for check in checks]}
        # What is entered last is put in place first: a file never stands beside the card of another one unnoticed.
        for path, data in files_of(card, beside, target.parent, f"{target.stem}.", whole=True).items():
            places.enter_context(placed(path, overwrite=overwrite)).write_bytes(data)
    return ExportReport(os.fspath(target), kind, size_of(target), operations, checks, [])


def ask(path, requests, repeats=20):
    """Answers of a TFLite file, by LiteRT in a process that imports neither TensorFlow nor Keras.

    Args:
        path: the file.
        requests: dict name -> list of (request, answer).
        repeats: how often each signature is timed at most.

    Returns:
        Dict name -> list of answers, and dict name -> milliseconds by number of threads.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, told = (os.path.join(folder, name) for name in ("requests.npz", "answers.npz"))
        np.savez(asked, **_flat({name: [request for request, _ in rows] for name, rows in requests.items()}))
        command = [sys.executable, "-P", ask_tflite.__file__, os.fspath(path), asked, told, str(repeats)]
        told_of = run_child(command, "running the file by LiteRT")
        answers = {name: [{} for _ in rows] for name, rows in requests.items()}
        with np.load(told, allow_pickle=False) as arrays:
            for name in arrays.files:
                signature, row, key = name.split("/", 2)
                answers[signature][int(row)][key] = arrays[name]
    if told_of["imported"]:
        raise ExportError(f"The process that asked must be a stranger. Received: it imported {told_of['imported']}")
    times = {name: {int(n): value for n, value in timed.items()} for name, timed in told_of["milliseconds"].items()}
    return answers, times


def _convert(task, functions, quantize, requests, path):
    with tempfile.TemporaryDirectory() as folder:
        # Several signatures in one SavedModel; tables of strings would be dragged along, and there are none.
        operations, _ = save_functions(task, functions, os.path.join(folder, "model"), track=False)
        saved = os.path.join(folder, "model")
        try:
            if quantize == "int8":
                samples = os.path.join(folder, "calibration.npz")
                np.savez(samples, **_flat({name: [request for request, _ in rows] for name, rows in requests.items()}))
                command = [sys.executable, "-P", conversion.__file__, saved, os.fspath(path), quantize, samples]
                try:
                    run_child([*command, *functions], "calibration for int8")
                except ExportError as error:
                    raise ExportError(_died(str(error), operations)) from error
            else:
                path.write_bytes(conversion.convert(saved, list(functions), quantize))
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(_explained(str(error), functions, operations)) from error


def _died(message, operations):
    """What to do where calibration ended its process."""
    if "signal" in message and any(name.endswith("While") for name in operations):
        return (
            f"{message}: it does not survive loops, and saying sentences is one. The way round: "
            'quantize="dynamic", which keeps weights in 8 bits, too'
        )
    return message


def _explained(message, functions, operations):
    """Which operation TFLite lacks, which layer it comes from, and the way round."""
    lacking = {name.strip() for rule in _LACKS for found in rule.findall(message) for name in found.split(",")}
    lacking = {name.removeprefix("Flex") for name in lacking if name.strip()}
    if not lacking:
        return f"TFLite's converter failed: {message.strip()[:400]}"
    layers = collections.defaultdict(list)
    for function in functions.values():
        for name, operation in _places(function):
            if operation in lacking:
                layers[operation].append(name.rpartition("/")[0])
    told = []
    for name in sorted(lacking):
        where = sorted(set(layers[name]))[:3]
        told.append(f"`{name}`" + (f" of {', '.join(map(repr, where))}" if where else ""))
    ways = [_WAYS_ROUND[name] for name in sorted(lacking) if name in _WAYS_ROUND]
    cure = "; ".join(ways) or "build the task without that layer, or serve it as a SavedModel"
    return f"TFLite lacks what this task is made of: {', '.join(told)}. The way round: {cure}"


def _places(function):
    """Name and operation of every node of a function, and of those within it."""
    import tensorflow as tf

    graph = tf.function(function.function, autograph=False).get_concrete_function(**function.specs).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for inner in definition.library.function for node in inner.node_def)]
    return [(node.name, node.op) for node in nodes]


def _check_arguments(quantize, calibrate, batch):
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"`quantize` must be one of {QUANTIZATIONS}. Received: quantize={quantize!r}")
    if quantize == "int8" and not calibrate:
        raise ValueError(
            '`quantize="int8"` needs to see what comes: give `calibrate`, a hundred records or so. '
            f"Received: calibrate={calibrate!r}"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"`batch` must be a positive integer or None. Received: batch={batch}")


def as_endpoints(task, endpoints, signatures):
    """A task that computes in float32, and those of its endpoints that are asked for."""
    if task._policy.compute_dtype != "float32":
        if endpoints is not None:
            raise ValueError(
                "`endpoints` are of a task in mixed precision, and this format computes in float32: give names in "
                f"place of them. Received: a task in {task._policy.name!r}"
            )
        task = float32_copy(task)
    found = task.endpoints() if endpoints is None else dict(endpoints)
    found = found or {"predict": Endpoint(task, tuple(task.encoders), {})}
    if signatures is None:
        return task, found
    names = [signatures] if isinstance(signatures, str) else list(signatures)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        raise ValueError(f"A signature must be one of {sorted(found)}. Received: {names}")
    return task, {name: found[name] for name in names}


def fixed_functions(task, endpoints, batch, shapes, records):
    """Functions of endpoints by name whose inputs have fixed shapes, and these, without batch, by name and input."""
    functions = {
        name: prepared_function(endpoint, shapes=_fixed_shapes(task, endpoint, batch, shapes, records))
        for name, endpoint in endpoints.items()
    }
    return functions, {
        name: {key: tuple(spec.shape)[1:] for key, spec in function.specs.items()}
        for name, function in functions.items()
    }


def _fixed_shapes(task, endpoint, batch, shapes, records):
    """Shape of each input of an endpoint, all of it fixed but for a batch of any size."""
    shapes = shapes or {}
    known = task.preprocessor.inputs if isinstance(task.preprocessor, Preprocessor) else {}
    prepared = None if records is None else task.prepare(records, endpoint.modalities)
    found = {}
    for tensor in endpoint.model.inputs:
        name, shape = tensor.name, tuple(tensor.shape[1:])
        if name in shapes:
            shape = tuple(shapes[name])
        elif None in shape and name in known and len(known[name].kinds) == 1 and None not in known[name].shape:
            shape = tuple(known[name].shape)
        elif None in shape and prepared is not None and name in prepared:
            shape = prepared[name].shape[1:]
        if None in shape and name not in endpoint.zeros:
            raise ValueError(
                f"TFLite needs to know how large {name!r} is: give the preprocessor's part a length, or "
                f"shapes={{{name!r}: ...}}, or `records` of which the longest counts. Received: shape {shape}"
            )
        found[name] = (batch, *shape)
    return found


def _flat(rows_by_name):
    return {
        f"{name}/{row}/{key}": values
        for name, rows in rows_by_name.items()
        for row, request in enumerate(rows)
        for key, values in request.items()
    }


@contextlib.contextmanager
def _unrolled(task, batch, quantize):
    """Layers over time without loops, for as long as the task is traced, where TFLite cannot have them as such."""
    layers = []
    if batch is None or quantize == "int8":
        found = task._flatten_layers(recursive=True, include_self=False)
        layers = [layer for layer in found if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    for layer in layers:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in layers:
            layer.unroll = False
