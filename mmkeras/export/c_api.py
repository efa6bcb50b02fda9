"""Run a SavedModel as a server does: TensorFlow's C library by ctypes, no Python of TensorFlow, Keras or mmkeras.

This file and the two beside it that it uses import the standard library and NumPy only, and it runs as a script too:

    python c_api.py MODEL_DIR REQUESTS.npz ANSWERS.npz [--threads 1 2] [--repeats 30] [--rows 1] [--library FILE]

REQUESTS.npz holds arrays named `<signature>/<key>` as `pack` stores them; the answers come in the same form. A line of
JSON says the signatures, the median milliseconds of each request at numbers of threads, and what was imported.
"""

import argparse
import atexit
import ctypes
import functools
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, final

import numpy as np

# A process that runs this file as a script must not import the package, only the files beside this one.
if __package__:
    from mmkeras.export.packing import pack, strings, unpack
    from mmkeras.export.served_signatures import DTYPES, NUMBERS, read_with_names
else:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    from packing import pack, strings, unpack
    from served_signatures import DTYPES, NUMBERS, read_with_names

STRANGERS = ("tensorflow", "keras", "mmkeras")
# By Linux's and macOS's names; those that others link to come first.
_LIBRARIES = [f"libtensorflow_{part}.{end}" for part in ("framework", "cc") for end in ("so.2", "2.dylib")]
_STRING_SIZE = 24
# A request is timed no longer than that, seconds, once it was timed three times.
_ENOUGH = 0.5


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


# Result and arguments of each function: p pointer, s string, i int, l 64-bit number, v nothing.
_FUNCTIONS = """
    NewStatus:p DeleteStatus:vp GetCode:ip Message:sp NewGraph:p DeleteGraph:vp GraphOperationByName:pps
    NewSessionOptions:p SetConfig:vpslp DeleteSessionOptions:vp LoadSessionFromSavedModel:pppspippp
    CloseSession:vpp DeleteSession:vpp SessionRun:vppppippipipp LoadLibrary:psp
    AllocateTensor:pipil DeleteTensor:vp TensorType:ip NumDims:ip Dim:lpi TensorByteSize:lp TensorData:pp
    StringInit:vp StringCopy:vpsl StringGetDataPointer:pp StringGetSize:lp
"""
_TYPES = {"p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int, "l": ctypes.c_int64, "v": None}


class _Library:
    """TensorFlow's C functions as methods, by their names without `TF_`."""

    def __init__(self):
        # Finding a package does not import it.
        spec = importlib.util.find_spec("tensorflow")
        folders = [pathlib.Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
        found = [folder / name for folder in folders for name in _LIBRARIES if (folder / name).is_file()]
        if len(found) < 2:
            raise ImportError(
                "Running a SavedModel needs TensorFlow's C library, of `pip install tensorflow` on Linux or macOS. "
                f"Received: {[path.name for path in found]} in {[str(folder) for folder in folders]}"
            )
        # Not as global symbols: those crash extension modules that are imported later, NumPy's own included.
        handles = [ctypes.CDLL(str(path)) for path in found]
        for function in _FUNCTIONS.split():
            name, types = function.split(":")
            call = getattr(handles[-1], f"TF_{name}")
            call.restype, *call.argtypes = (_TYPES[kind] for kind in types)
            setattr(self, name, call)

    def checked(self, name, *arguments, doing):
        """Call a function whose last argument is a status; RuntimeError with TensorFlow's message."""
        status = self.NewStatus()
        try:
            result = getattr(self, name)(*arguments, status)
            if self.GetCode(status):
                message = " ".join(self.Message(status).decode(errors="replace").split())
                raise RuntimeError(f"TensorFlow could not {doing}. It says: {message}")
            return result
        finally:
            self.DeleteStatus(status)

    def tensor(self, array, number):
        """A new tensor with the values of an array."""
        size = array.size * _STRING_SIZE if array.dtype == object else array.nbytes
        tensor = self.AllocateTensor(number, (ctypes.c_int64 * array.ndim)(*array.shape), array.ndim, size)
        data = self.TensorData(tensor)
        if array.dtype == object:
            for row, value in enumerate(array.flat):
                self.StringInit(data + row * _STRING_SIZE)
                self.StringCopy(data + row * _STRING_SIZE, value, len(value))
        elif size:
            ctypes.memmove(data, array.ctypes.data, size)
        return tensor

    def array(self, tensor):
        """The values of a tensor, copied."""
        shape = [self.Dim(tensor, axis) for axis in range(self.NumDims(tensor))]
        dtype = DTYPES.get(number := self.TensorType(tensor))
        if dtype is None:
            raise ValueError(f"An output must have a type that NumPy has. Received: TensorFlow's type {number}")
        array = np.empty(shape, object if dtype == "string" else dtype)
        data = self.TensorData(tensor)
        if dtype == "string":
            flat = array.reshape(-1)
            for row in range(array.size):
                place = data + row * _STRING_SIZE
                flat[row] = ctypes.string_at(self.StringGetDataPointer(place), self.StringGetSize(place))
        elif array.size:
            ctypes.memmove(array.ctypes.data, data, array.nbytes)
        return array


@functools.cache
def _library():
    """The library, loaded once in a process."""
    return _Library()


@final
class ServedModel:
    """A SavedModel in TensorFlow's C library, as a model server has it.

    Nothing of TensorFlow's Python is needed or imported, so what runs here runs in TF Serving, which wraps the same
    library: variables, tables and files of the folder are loaded, signatures run, and nothing else is there.

    Args:
        path: the folder that holds `saved_model.pb`.
        threads: how many threads an operation may use, and how many operations may run at once; None as TensorFlow
            likes. The first model of a process decides for the later ones.
        libraries: files of operations that TensorFlow itself does not have, such as those of tensorflow_text.

    Attributes:
        signatures: dict of name -> `Signature`.

    Example:

    >>> import tempfile
    >>> import tensorflow as tf
    >>> model, folder = tf.Module(), tempfile.mkdtemp()
    >>> model.double = tf.function(lambda x: {"twice": 2 * x}, input_signature=[tf.TensorSpec((None,), "float32", "x")])
    >>> tf.saved_model.save(model, folder, signatures={"double": model.double})
    >>> with ServedModel(folder) as served:
    ...     served.run("double", {"x": [1.0, 2.5]})
    {'twice': array([2., 5.], dtype=float32)}
    """

    def __init__(self, path: str | os.PathLike, *, threads: int | None = None, libraries: Iterable = ()):
        found = read_with_names(path)
        self.path = os.fspath(path)
        self.signatures = {name: signature for name, (signature, _) in found.items()}
        self._names = {name: names for name, (_, names) in found.items()}
        self._library = library = _library()
        for file in libraries:
            library.checked("LoadLibrary", os.fsencode(file), doing=f"load the library of operations {file}")
        options, graph = library.NewSessionOptions(), library.NewGraph()
        try:
            if threads is not None:
                if not 1 <= threads < 128:
                    raise ValueError(f"`threads` must be from 1 to 127. Received: {threads}")
                # Fields 2 and 5 of ConfigProto: threads within an operation, and of operations at once.
                config = bytes([2 << 3, threads, 5 << 3, threads])
                library.checked("SetConfig", options, config, len(config), doing="set the number of threads")
            tags = (ctypes.c_char_p * 1)(b"serve")
            arguments = options, None, os.fsencode(path), tags, 1, graph, None
            session = library.checked("LoadSessionFromSavedModel", *arguments, doing=f"load the SavedModel {self.path}")
        except BaseException:
            library.DeleteGraph(graph)
            raise
        finally:
            library.DeleteSessionOptions(options)
        self._graph, self._session = graph, session
        self._close = weakref.finalize(self, _close, library, session, graph)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Free the model; it frees itself when it is forgotten."""
        self._close()

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Answer one request.

        Args:
            signature: its name.
            inputs: dict of key -> array of the signature's type and rank; lists and numbers take its type. Strings:
                text, bytes, lists or arrays of them.

        Returns:
            Dict of key -> array; strings are object arrays of bytes.
        """
        arrays = self._checked(signature, inputs)
        specs, names = self.signatures[signature].outputs, self._names[signature]
        library, tensors = self._library, []
        results = (ctypes.c_void_p * len(specs))()
        try:
            for key, array in arrays.items():
                tensors.append(library.tensor(array, NUMBERS[self.signatures[signature].inputs[key][0]]))
            fed, asked = self._outputs([names.inputs[key] for key in arrays]), self._outputs(names.outputs.values())
            values = (ctypes.c_void_p * len(tensors))(*tensors)
            arguments = self._session, None, fed, values, len(tensors), asked, results, len(specs), None, 0, None
            library.checked("SessionRun", *arguments, doing=f"run signature {signature!r} of {self.path}")
            return {key: library.array(tensor) for key, tensor in zip(names.outputs, results, strict=True)}
        finally:
            for tensor in [*tensors, *filter(None, results)]:
                library.DeleteTensor(tensor)

    def _checked(self, signature, inputs):
        """Inputs as arrays that fit a signature."""
        if not self._close.alive:
            raise ValueError(f"A model must be open to answer. Received: {self.path}, closed before")
        if signature not in self.signatures:
            raise ValueError(f"The model has the signatures {sorted(self.signatures)}. Received: {signature!r}")
        specs = self.signatures[signature].inputs
        if set(inputs) != set(specs):
            raise ValueError(f"Signature {signature!r} takes the keys {sorted(specs)}. Received: {sorted(inputs)}")
        return {key: _array(value, *specs[key], f"{signature}/{key}") for key, value in inputs.items()}

    def _outputs(self, names):
        """Places in the graph, such as `serving_default_text:0`, as the library wants them."""
        places = []
        for name in names:
            operation, _, index = name.partition(":")
            found = self._library.GraphOperationByName(self._graph, operation.encode()) if index else None
            if not found:
                raise ValueError(f"A signature must be of dense tensors of the graph. Received: {name!r}")
            places.append(_Output(found, int(index)))
        return (_Output * len(places))(*places)


def _close(library, session, graph):
    library.checked("CloseSession", session, doing="close a model")
    library.checked("DeleteSession", session, doing="free a model")
    library.DeleteGraph(graph)


def _array(value, dtype, shape, name):
    """One input as an array that fits."""
    if dtype not in NUMBERS:
        raise ValueError(f"Input {name} must have a type that NumPy has. Received: a model that wants {dtype}")
    if dtype == "string":
        try:
            array = strings(value)
        except ValueError as error:
            raise ValueError(f"Input {name}: {error}") from None
    else:
        array = np.asarray(value)
        typed = isinstance(value, np.ndarray | np.generic)
        if array.dtype != dtype and (typed or (array.size and not np.can_cast(array.dtype, dtype, "same_kind"))):
            raise ValueError(f"Input {name} must be {dtype}. Received: {array.dtype}")
        array = np.asarray(array, dtype, order="C")
    if shape is not None and (
        len(shape) != array.ndim or any(size not in (None, got) for size, got in zip(shape, array.shape, strict=True))
    ):
        raise ValueError(f"Input {name} must have the shape {shape}. Received: {array.shape}")
    return array


def main(arguments: list[str] | None = None) -> None:
    """Answer the requests of a file, time them, and print one line of JSON."""
    parser = argparse.ArgumentParser(description="Run a SavedModel as a server does.")
    parser.add_argument("model")
    parser.add_argument("requests")
    parser.add_argument("answers")
    parser.add_argument("--library", action="append", default=[], help="operations to load first")
    parser.add_argument("--threads", type=int, nargs="*", default=[], help="time every request at these numbers")
    parser.add_argument("--repeats", type=int, default=30, help="how often each request is timed at most")
    parser.add_argument("--rows", type=int, help="time only the first rows of each request")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    requests = {}
    with np.load(given.requests, allow_pickle=False) as file:
        for name, array in unpack(file).items():
            requests.setdefault(name.partition("/")[0], {})[name.partition("/")[2]] = array
    # The first session of a process decides how many threads there are: this one has the first number, and each other
    # number a process of its own, which warms up meanwhile and is timed when this one is done.
    isolated = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *isolated, __file__, *(arguments or sys.argv[1:]), "--alone"]
    others = {} if given.alone else {threads: _started([*command, str(threads)]) for threads in given.threads[1:]}
    own = given.alone or (given.threads[0] if given.threads else None)
    model = ServedModel(given.model, threads=own, libraries=given.library)
    if given.alone is not None:
        for name, inputs in requests.items():
            model.run(name, _few(model, name, inputs, given))
        sys.stdin.readline()
        print(json.dumps(_timed(model, requests, given)))
        return
    answers = {
        f"{name}/{key}": array for name, inputs in requests.items() for key, array in model.run(name, inputs).items()
    }
    # NumPy would add an ending to a name.
    with open(given.answers, "wb") as file:
        np.savez(file, **pack(answers))
    timed = {} if own is None else {name: {own: median} for name, median in _timed(model, requests, given).items()}
    for threads, process in others.items():
        told, _ = process.communicate("go\n")
        if process.returncode:
            raise RuntimeError(f"Timing with {threads} threads failed: the process ended with {process.returncode}")
        for name, median in json.loads(told).items():
            timed[name][threads] = median
    imported = [name for name in STRANGERS if name in sys.modules]
    signatures = {name: signature._asdict() for name, signature in model.signatures.items()}
    print(json.dumps({"signatures": signatures, "milliseconds": timed, "imported": imported}))


def _started(command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Where this process fails, nothing is left behind that waits.
    atexit.register(process.kill)
    return process


def _few(model, name, inputs, given):
    """The first rows of a request, as many as are timed."""
    if not given.rows:
        return inputs
    specs = model.signatures[name].inputs
    return {k: v[: given.rows] if (specs[k][1] or (None,))[0] is None else v for k, v in inputs.items()}


def _timed(model, requests, given):
    """Median milliseconds of each request."""
    return {name: _milliseconds(model, name, inputs, given) for name, inputs in requests.items()}


def _milliseconds(model, name, inputs, given):
    inputs, times = _few(model, name, inputs, given), []
    # The first two warm up.
    for _ in range(given.repeats + 2):
        start = time.perf_counter()
        model.run(name, inputs)
        times.append(time.perf_counter() - start)
        if len(times) >= 5 and sum(times[2:]) > _ENOUGH:
            break
    return round(1000 * statistics.median(times[2:]), 4)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
