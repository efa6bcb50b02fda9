"""A task as a SavedModel: raw values in, answers out, tried as a server would before the call returns."""

import collections
import contextlib
import io
import logging
import os
import pathlib

import keras

from mmkeras.data import Records
from mmkeras.export.card import CARD, card_of, files_of
from mmkeras.export.functions import functions_of, resources_of
from mmkeras.export.messages import write_warm_up
from mmkeras.export.placing import next_version, placed
from mmkeras.export.report import ExportReport
from mmkeras.export.verify import ask_saved_model, checks_of, requests_of, size_of
from mmkeras.models import Task
from mmkeras.preprocessing import Preprocessor

DEFAULT_FOLDER = "saved_models"
# So many records say how near an artefact is, and how long what varies may be.
TRIED = 256
_WARM_UP = "assets.extra/tf_serving_warmup_requests"


def to_saved_model(
    task,
    path=None,
    *,
    endpoints=None,
    records=None,
    raw="auto",
    metrics=None,
    training_data=None,
    tolerance=None,
    overwrite=False,
) -> ExportReport:
    """Export a task for TF Serving, and prove that it answers there as it does here.

    The folder holds, beside the model, `model_card.json` (what it is, what it takes, how it was measured), lists of
    words and classes as assets, and requests by which a server warms up. Its signatures:

    | name | takes | gives |
    |---|---|---|
    | `classify`, `generate`, `beam`, `embed_image`, ... | raw values | names of classes, sentences, numbers |
    | the same and `_prepared`, and `predict` | prepared tensors, all there | outputs of the network |
    | `predict_missing` | the same, with flags of what is there | outputs of the network |
    | `serving_default` | what the first of these takes | |

    Raw values are named by the key table: `image_bytes`, `text`, `audio_bytes`, `frames_bytes`, ...

    In raw signatures an empty string is absent. Before the call returns, the artefact is loaded by TensorFlow's C
    library in a process without Keras and mmkeras, asked by every signature, and compared with the model; where it
    differs the export fails and leaves what was there before. It is written aside and renamed at the end.

    Args:
        task: the task, on the TensorFlow backend.
        path: folder to be, `saved_models/captioner/1` with a version, or without one for the next; None takes
            `saved_models/<name of the task>`.
        endpoints: dict of `mm.models.Endpoint`s by name; None takes `task.endpoints()`.
        records: raw records to try it on and to warm it up with, of which the first 256 count; None makes some up, of
            noise. Optional modalities are tried absent, too.
        raw: whether there are signatures for raw values; `"auto"` leaves them out where a graph cannot make the
            inputs by TensorFlow's own operations, and says so in the report.
        metrics: dict of what was measured, for the card.
        training_data: what it was trained on, for the card: a sentence, a dict, or the records.
        tolerance: the largest relative difference; None takes 1e-4.
        overwrite: whether the version may exist.

    Returns:
        An `ExportReport`.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> report = to_saved_model(task, os.path.join(tempfile.mkdtemp(), "pets"))
    >>> [check.signature for check in report.checks], os.path.basename(report.path)
    (['serving_default', 'predict'], '1')
    """
    check_task(task)
    records = listed(records)
    endpoints = task.endpoints() if endpoints is None else endpoints
    signatures, notes = _signatures(task, endpoints, raw)
    path = pathlib.Path(DEFAULT_FOLDER, task.name) if path is None else pathlib.Path(path)
    target = path if path.name.isdecimal() else path / str(next_version(path))
    requests = requests_of(task, signatures, records)
    with placed(target, overwrite=overwrite, size=4 * task.count_params()) as aside:
        operations, libraries = save_functions(task, signatures, aside)
        card = card_of(task, signatures, requests, metrics=metrics, training_data=training_data)
        answers, times = ask_saved_model(aside, requests, libraries=libraries)
        checks = checks_of(signatures, requests, answers, times, "saved_model", tolerance)
        card |= {"checks": [check._asdict() for check in checks]}
        for folder in ((aside / _WARM_UP).parent, aside / "assets"):
            folder.mkdir(exist_ok=True)
        for file, data in files_of(card, aside / CARD, aside / "assets").items():
            file.write_bytes(data)
        first = {name: {key: value[:1] for key, value in rows[0][0].items()} for name, rows in requests.items()}
        write_warm_up(aside / _WARM_UP, list(first.items()))
    return ExportReport(os.fspath(target), "saved_model", size_of(target), operations, checks, notes)


def check_task(task):
    """Raise an error unless something is a task that can be exported here."""
    if not isinstance(task, Task):
        raise ValueError(
            "What is exported is a task of mm.models; other Keras models have `model.export`. "
            f"Received: {type(task).__name__}"
        )
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Exporting needs the TensorFlow backend: save the task by `task.save('task.keras')`, and load it in a "
            f"process with KERAS_BACKEND=tensorflow. Received: backend {keras.backend.backend()!r}"
        )


def listed(records):
    """A list of records to try a model on, of one or several, the first ones of many; None stays None."""
    if records is None:
        return None
    records = [records] if isinstance(records, dict) else records
    records = list(records[:TRIED]) if isinstance(records, (list, Records)) else list(records)[:TRIED]
    if not records:
        raise ValueError("`records` must hold at least one record, or be None. Received: none")
    return records


def save_functions(task, signatures, path, *, track=True):
    """Write a SavedModel of signatures; the operations they are made of, and files of foreign ones.

    Args:
        task: the task.
        signatures: dict name -> `ServedFunction`.
        path: folder to be.
        track: whether raw signatures are among them, whose tables must be saved too.
    """
    import tensorflow as tf

    module, functions, known = tf.Module(), {}, {}
    modalities = {name for s in signatures.values() if s.raw for name in s.endpoint.modalities}
    module.resources = resources_of(task.preprocessor, sorted(modalities)) if track else []
    for name, signature in signatures.items():
        if id(signature) not in known:
            function = tf.function(signature.function, autograph=False)
            known[id(signature)] = function.get_concrete_function(**signature.specs)
        functions[name] = known[id(signature)]
    held = {id(variable): variable for function in functions.values() for variable in function.variables}
    module.held = list(held.values())
    with contextlib.redirect_stdout(io.StringIO()), _quiet():
        tf.saved_model.save(module, os.fspath(path), signatures=functions)
    counts = collections.Counter(
        node.op for function in known.values() for graph in _graphs(function) for node in graph.node
    )
    return dict(sorted(counts.items())), _foreign_libraries(counts)


@contextlib.contextmanager
def _quiet():
    """Keep TensorFlow from telling, where Python is interactive, of a folder that is renamed afterwards."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _graphs(function):
    definition = function.graph.as_graph_def()
    yield definition
    for inner in definition.library.function:
        yield _Nodes(inner.node_def)


class _Nodes:
    """The nodes of a function within a graph."""

    def __init__(self, node):
        self.node = node


def _foreign_libraries(operations):
    """Files of the operations of TensorFlow Text, if there are any: a server must have them."""
    import tensorflow as tf

    builtin = {name for name in operations if hasattr(tf.raw_ops, name)}
    if builtin == set(operations):
        return []
    try:
        import tensorflow_text
    except ImportError:
        return []
    folder = pathlib.Path(tensorflow_text.__file__).parent
    return sorted(map(os.fspath, folder.rglob("*.so")))


def _signatures(task, endpoints, raw):
    """The signatures of a task, without those for raw values where a server could not run them."""
    if raw not in (True, False, "auto"):
        raise ValueError(f"`raw` must be True, False or 'auto'. Received: raw={raw!r}")
    if task.preprocessor is None and raw is True:
        raise ValueError("Raw values need a preprocessor: build the task with `preprocessor=`. Received: raw=True")
    notes = [] if task.preprocessor is not None else ["no raw signatures: the task has no preprocessor"]
    if task.preprocessor is not None and raw == "auto":
        reason = _why_not_raw(task.preprocessor)
        raw = reason is None
        notes += [] if reason is None else [f"no raw signatures: {reason}"]
    return functions_of(task, endpoints, raw=bool(raw)), notes


def _why_not_raw(preprocessor):
    """Why a plain server could not prepare raw values, or None."""
    for name, part in preprocessor.parts.items() if isinstance(preprocessor, Preprocessor) else ():
        tokenizer = getattr(part, "tokenizer", None)
        if tokenizer is not None:
            return (
                f"the tokenizer of {name!r} needs the operations of TensorFlow Text, which a plain server lacks; "
                "`raw=True` makes them for a server that has them"
            )
    return None
