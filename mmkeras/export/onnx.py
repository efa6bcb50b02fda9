"""A task as an ONNX file, where Keras' exporter can say it, tried before the call returns."""

import contextlib
import io
import os
import pathlib
import re
import statistics
import time
import warnings

import keras

from mmkeras.export.placing import placed
from mmkeras.export.report import ExportError, ExportReport
from mmkeras.export.saved_model import DEFAULT_FOLDER, check_task, listed
from mmkeras.export.tflite import as_endpoints, fixed_functions
from mmkeras.export.verify import checks_of, requests_of, size_of

_REPEATS = 20
# How ONNX Runtime names what it does not know: the node and its operation.
_NODE = re.compile(r'In Node, \("([^"]+)", (\w+),')


def to_onnx(
    task,
    path=None,
    *,
    signature=None,
    endpoints=None,
    batch=1,
    records=None,
    shapes=None,
    tolerance=None,
    overwrite=False,
) -> ExportReport:
    """Export one endpoint of a task as an ONNX file, if ONNX has the operations, and prove that it answers the same.

    Best effort: Keras' exporter reports success also where ONNX Runtime then cannot load the file (spectrograms within
    the model, exact gelu), so it is loaded and compared before the call returns, and what cannot be is said. It takes
    prepared tensors of fixed shapes; an output that has the name of an input ends in `_output`. It needs
    `pip install 'mmkeras[onnx]'`.

    Args:
        task: the task, on the TensorFlow backend.
        path: file to be; None takes `saved_models/<name of the task>.onnx`.
        signature: name of the endpoint; None takes the first.
        endpoints: dict of `mm.models.Endpoint`s by name; None takes `task.endpoints()`.
        batch: of how many samples a request is.
        records: raw records to try it on; None makes some up.
        shapes: dict of shapes without batch by input, where neither encoders nor the preprocessor fix them.
        tolerance: the largest relative difference; None takes 0.001.
        overwrite: whether the file may exist.

    Returns:
        An `ExportReport`.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> report = to_onnx(task, os.path.join(tempfile.mkdtemp(), "pets.onnx"))
    >>> [check.signature for check in report.checks], report.checks[0].relative_l2 < 1e-5
    (['classify'], True)
    """
    check_task(task)
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("ONNX needs three more packages: pip install 'mmkeras[onnx]'") from error
    records = listed(records)
    task, endpoints = as_endpoints(task, endpoints, signature and [signature])
    name = next(iter(endpoints))
    target = pathlib.Path(DEFAULT_FOLDER, f"{task.name}.onnx") if path is None else pathlib.Path(path)
    if target.suffix != ".onnx":
        raise ValueError(f"`path` must end in .onnx. Received: {str(target)!r}")
    functions, sizes = fixed_functions(task, {name: endpoints[name]}, batch, shapes, records)
    requests = requests_of(task, functions, records, batch=batch, shapes=sizes)
    with placed(target, overwrite=overwrite, size=4 * task.count_params()) as aside:
        # Keras looks at the ending.
        written = aside.with_suffix(".onnx")
        try:
            _write(functions[name], written)
            session = onnxruntime.InferenceSession(os.fspath(written), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ExportError(f"{name!r} cannot be an ONNX file, because {_reason(error)}") from error
        else:
            os.replace(written, aside)
        finally:
            written.unlink(missing_ok=True)
        answers, taken = _asked(session, requests[name], functions[name])
        checks = checks_of(functions, requests, {name: answers}, {name: {1: taken}}, "onnx", tolerance)
        operations = _operations(aside)
    return ExportReport(os.fspath(target), "onnx", size_of(target), operations, checks, [])


def _write(function, path):
    """One function as a model of its own, which Keras' exporter takes."""
    specs = [keras.InputSpec(shape=tuple(s.shape), dtype=s.dtype.name, name=n) for n, s in function.specs.items()]
    inputs = [keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name=spec.name) for spec in specs]
    model = keras.Model(inputs, _Function(function)(dict(zip(function.specs, inputs, strict=True))))
    silent = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False, input_signature=specs if len(specs) == 1 else [specs])


class _Function(keras.layers.Layer):
    """A function of tensors as a layer."""

    def __init__(self, function):
        super().__init__(autocast=False)
        self._function = function

    def call(self, tensors):
        return {_output(name, self._function): x for name, x in self._function.function(**tensors).items()}


def _output(name, function):
    """Name of an output: ONNX has one space of names for inputs and outputs."""
    return f"{name}_output" if name in function.specs else name


def _asked(session, rows, function):
    """Answers, and the median milliseconds of one."""
    own = {_output(name, function): name for name in rows[0][1]}
    names = [own.get(output.name, output.name) for output in session.get_outputs()]
    answers = [dict(zip(names, session.run(None, request), strict=True)) for request, _ in rows]
    taken = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        session.run(None, rows[0][0])
        taken.append(1000 * (time.perf_counter() - started))
    return answers, round(statistics.median(taken), 4)


def _operations(path):
    import onnx

    counts = {}
    for node in onnx.load(path).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def _reason(error):
    found = _NODE.search(str(error))
    if found:
        return f"ONNX Runtime has no {found[2]}, of {found[1].rpartition('PartitionedCall/')[2]!r}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
