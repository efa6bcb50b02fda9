"""Ask an artefact, in a process of its own that knows nothing of Keras, and compare its answers with the model's."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np

from mmkeras.export import c_api
from mmkeras.export.card import pieces_of
from mmkeras.export.lite_runner import fitted
from mmkeras.export.replies import in_words
from mmkeras.export.report import ExportError, compare
from mmkeras.export.samples import sample_inputs, sample_records
from mmkeras.export.wire import received, served
from mmkeras.keys import PRESENT
from mmkeras.preprocessing import Preprocessor

# How many samples an artefact is tried on where no records are given.
SAMPLES = 4
# Of so many samples Keras computes the outputs at once.
_ROWS = 32
# Largest relative difference that other kernels and another precision make, and the least share of samples whose ids,
# classes and words must be the same; near ties may fall otherwise, and do where weights have a few bits only.
TOLERANCES = {
    "saved_model": (1e-4, 0.99),
    "tflite": (1e-3, 0.98),
    "tflite float16": (2e-2, 0.75),
    "tflite dynamic": (0.1, None),
    "tflite int8": (0.35, None),
    "onnx": (1e-3, 0.98),
}


def requests_of(task, signatures, records=None, *, batch=None, shapes=None):
    """Requests for every signature, and what Keras answers to them.

    Args:
        task: the task.
        signatures: dict name -> `ServedFunction`.
        records: list of records; None makes some up.
        batch: None, or of how many rows a request must be.
        shapes: None, or dict name -> shapes without batch by input, to which values are cut or padded with zeros.

    Returns:
        Dict name -> list of (request, answer), each a dict of arrays.
    """
    pieces, found, answers, prepared = pieces_of(task.preprocessor), {}, {}, {}
    for name, signature in signatures.items():
        endpoint = signature.endpoint
        request, x = _question(task, signature, records, prepared)
        x = _sized(x, None if shapes is None else shapes[name], batch)
        rows = len(next(iter(x.values())))
        x |= {key: np.full((rows, *shape), value) for key, (shape, value) in _constants(signature).items()}
        known = id(endpoint.model), tuple(sorted(signature.constants)), signature.raw
        if known not in answers:
            answers[known] = _by_keras(endpoint.model, x, rows)
        answer = in_words(answers[known], endpoint.replies, pieces) if signature.raw else answers[known]
        request |= {key: x[key] for key in signature.specs if key not in request}
        step = rows if batch is None else batch
        found[name] = [
            tuple({key: values[start : start + step] for key, values in side.items()} for side in (request, answer))
            for start in range(0, rows, step)
        ]
    return found


def ask_saved_model(path, requests, *, libraries=(), repeats=20):
    """Answers of a SavedModel, by TensorFlow's C library in a process that imports no Python of TensorFlow.

    Args:
        path: its folder.
        requests: dict name -> list of (request, answer).
        libraries: files of operations to load first.
        repeats: how often each signature is timed at most, with one row.

    Returns:
        Dict name -> list of answers, and dict name -> milliseconds by number of threads.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, told = (os.path.join(folder, name) for name in ("requests.npz", "answers.npz"))
        packed = {
            f"{name}/{key}": value for name, ((request, _),) in requests.items() for key, value in request.items()
        }
        np.savez(asked, **c_api.pack(packed))
        command = [sys.executable, "-P", c_api.__file__, os.fspath(path), asked, told, "--repeats", str(repeats)]
        command += ["--threads", "1", "2", "--rows", "1", *(word for file in libraries for word in ("--library", file))]
        told_of = run_child(command, "asking the SavedModel as a server does")
        answers = {}
        with np.load(told, allow_pickle=False) as file:
            for name, array in c_api.unpack(file).items():
                signature, _, key = name.partition("/")
                answers.setdefault(signature, {})[key] = array
    if told_of["imported"]:
        raise ExportError(f"The process that asked must be a stranger. Received: it imported {told_of['imported']}")
    times = {name: {int(n): value for n, value in timed.items()} for name, timed in told_of["milliseconds"].items()}
    return {name: [answer] for name, answer in answers.items()}, times


def checks_of(signatures, requests, answers, milliseconds, kind, tolerance=None):
    """Compare answers; an `ExportError` where they are beyond tolerance.

    Args:
        signatures: dict name -> `ServedFunction`.
        requests: dict name -> list of (request, answer of Keras).
        answers: dict name -> list of answers.
        milliseconds: dict name -> milliseconds by number of threads.
        kind: key of `TOLERANCES`.
        tolerance: the largest relative difference, None for the usual one.
    """
    limit, least = TOLERANCES[kind] if tolerance is None else (tolerance, None)
    checks = []
    for name, asked in requests.items():
        expected, found = (_joined(rows) for rows in ([answer for _, answer in asked], answers[name]))
        replies = {} if signatures[name].raw else signatures[name].endpoint.replies
        check = compare(name, expected, found, milliseconds.get(name, {}), replies)
        checks.append(check)
        if not check.relative_l2 <= limit:
            wrong = f"is off by {check.relative_l2:.3g} (relative), and {limit:g} is allowed"
        elif least is not None and check.agreement is not None and check.agreement < least:
            wrong = (
                f"gives the same answer for {100 * check.agreement:.1f} % of samples, and {100 * least:g} % are asked"
            )
        else:
            continue
        raise ExportError(
            f"What was exported does not answer as the model does: {name!r} {wrong}. Nothing was left behind. Give "
            "`records` that are like those it was trained on; a `tolerance` if this is near enough for you, which then "
            "alone counts; or report it"
        )
    return checks


def run_child(command, doing):
    """Run a child process that prints one line of JSON; an `ExportError` with its last words where it fails."""
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        words = (child.stderr.strip() or child.stdout.strip() or "no message").splitlines()
        died = f"it was ended by signal {-child.returncode}" if child.returncode < 0 else words[-1]
        raise ExportError(f"{doing} failed: {died}")
    return json.loads(child.stdout.strip().splitlines()[-1])


def size_of(path):
    """Bytes of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def _question(task, signature, records, prepared):
    """What is sent of records as strings and numbers, and the inputs of the model; `prepared` keeps batches."""
    modalities, request = signature.endpoint.modalities, {}
    if signature.raw:
        records = records or sample_records(task.preprocessor, modalities, SAMPLES)
        # What may be absent is tried so.
        absent = [name for name in modalities if name in task.optional]
        records = [*records, *({**records[0], name: None} for name in absent)]
        request = served(task.preprocessor, records, modalities)
        records = received(task.preprocessor, request, records, modalities)
    if records is None:
        return request, _inputs(task, signature, None)
    # The task as it is reads sentences that are to be said, too.
    wanted = None if signature.endpoint.model is task and not signature.raw else modalities
    if (wanted, signature.raw) not in prepared:
        filled = records if wanted is not None else _with_sentences(task, records)
        prepared[wanted, signature.raw] = task.prepare(filled, wanted)
    return request, _inputs(task, signature, prepared[wanted, signature.raw])


def _with_sentences(task, records):
    """Records with sentences made up where they have none that a task would say about them."""
    if not isinstance(task.preprocessor, Preprocessor):
        return records
    parts = task.preprocessor.parts.items()
    said = [name for name, part in parts if part.kind is not None and name not in task.encoders]
    (made_up,) = sample_records(task.preprocessor, said, 1)
    return [{**made_up, **record} for record in records]


def _sized(x, shapes, batch):
    """Inputs of given shapes, in whole requests, of which rows fill up the last."""
    if shapes is not None:
        x = {key: fitted(value, shapes.get(key, value.shape[1:])) for key, value in x.items()}
    if batch is not None:
        rows = len(next(iter(x.values())))
        x = {key: value[np.arange(-(-rows // batch) * batch) % rows] for key, value in x.items()}
    return x


def _inputs(task, signature, batch):
    """Inputs of the model behind a signature, of prepared records or made up."""
    model = signature.endpoint.model
    needed = [tensor.name for tensor in model.inputs if tensor.name not in signature.constants]
    x = sample_inputs(task, model, SAMPLES) if batch is None else dict(batch)
    rows = len(next(iter(x.values())))
    rng = np.random.default_rng(0)
    for tensor in model.inputs:
        if tensor.name.endswith(PRESENT) and tensor.name in needed and not signature.raw and rows > 1:
            # Some of each modality are absent, whatever stands in their place.
            x[tensor.name] = np.asarray(x.get(tensor.name, np.ones(rows, bool))) & (rng.uniform(0, 1, rows) < 0.7)
        elif tensor.name in needed and tensor.name not in x:
            x[tensor.name] = rng.uniform(0, 1, (rows, *tensor.shape[1:])).astype(tensor.dtype)
    if signature.raw:
        return x
    # Where it takes no flags, all modalities must be there.
    there = np.ones(rows, bool)
    for key in signature.constants:
        if key.endswith(PRESENT):
            there &= np.asarray(x.get(key, there), bool)
    return {key: values[there] for key, values in x.items()} if there.any() else sample_inputs(task, model, SAMPLES)


def _constants(signature):
    shapes = {tensor.name: (tensor.shape[1:], tensor.dtype) for tensor in signature.endpoint.model.inputs}
    return {key: (shapes[key][0], np.array(value, shapes[key][1])) for key, value in signature.constants.items()}


def _by_keras(model, x, rows):
    """Outputs of a model, step by step, as no artefact computes, and without compiling what is asked once."""
    found = []
    for start in range(0, rows, _ROWS):
        part = [keras.ops.convert_to_tensor(x[t.name][start : start + _ROWS], t.dtype) for t in model.inputs]
        found.append({key: _plain(values) for key, values in model(part, training=False).items()})
    return _joined(found)


def _plain(values):
    values = np.asarray(keras.ops.convert_to_numpy(values))
    return values if values.dtype.kind in "biu" else values.astype("float32")


def _joined(rows):
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
