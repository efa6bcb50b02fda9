"""TF Serving's messages, made at run time by protobuf alone: requests, answers, and what warms a server up.

TensorFlow and `tensorflow-serving-api` have the same messages as generated code, which brings TensorFlow with it. These
have the same numbers of fields, so either side reads what the other wrote, and live in a pool of their own, so that the
names do not clash where TensorFlow is loaded too.
"""

import functools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmkeras.data.readers.framing import index_file
from mmkeras.export.packing import strings
from mmkeras.export.served_signatures import DTYPES, NUMBERS

# TF Serving does not load a model that has more.
MAX_WARM_UP_REQUESTS = 1000
# Message -> field -> number and type; `[]` is a list, `{}` a dict by names. Enumerations are numbers on the wire.
_MESSAGES = {
    "google.protobuf.Int64Value": {"value": (1, "int64")},
    "tensorflow.TensorShapeAxis": {"size": (1, "int64")},
    "tensorflow.TensorShapeProto": {"dim": (2, "tensorflow.TensorShapeAxis[]"), "unknown_rank": (3, "bool")},
    "tensorflow.TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "tensorflow.TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float[]"),
        "double_val": (6, "double[]"),
        "int_val": (7, "int32[]"),
        "string_val": (8, "bytes[]"),
        "scomplex_val": (9, "float[]"),
        "int64_val": (10, "int64[]"),
        "bool_val": (11, "bool[]"),
        "dcomplex_val": (12, "double[]"),
        "half_val": (13, "int32[]"),
        "uint32_val": (16, "uint32[]"),
        "uint64_val": (17, "uint64[]"),
    },
    "tensorflow.serving.ModelSpec": {
        "name": (1, "string"),
        "version": (2, "google.protobuf.Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "tensorflow.serving.PredictRequest": {
        "model_spec": (1, "tensorflow.serving.ModelSpec"),
        "inputs": (2, "tensorflow.TensorProto{}"),
        "output_filter": (3, "string[]"),
    },
    "tensorflow.serving.PredictResponse": {
        "outputs": (1, "tensorflow.TensorProto{}"),
        "model_spec": (2, "tensorflow.serving.ModelSpec"),
    },
    "tensorflow.serving.StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "tensorflow.serving.ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "tensorflow.serving.StatusProto"),
    },
    "tensorflow.serving.GetModelStatusRequest": {"model_spec": (1, "tensorflow.serving.ModelSpec")},
    "tensorflow.serving.GetModelStatusResponse": {
        "model_version_status": (1, "tensorflow.serving.ModelVersionStatus[]")
    },
    "tensorflow.serving.PredictLog": {
        "request": (1, "tensorflow.serving.PredictRequest"),
        "response": (2, "tensorflow.serving.PredictResponse"),
    },
    "tensorflow.serving.PredictionLog": {"predict_log": (6, "tensorflow.serving.PredictLog")},
}
# Where a server puts values one by one rather than as bytes in a row; the smaller whole numbers share `int_val`.
_VALUES = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "float16": "half_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}


@functools.cache
def message(name: str) -> type:
    """The class of a message.

    Args:
        name: its full name, such as `"tensorflow.serving.PredictRequest"`.

    Returns:
        The protobuf class.

    Example:

    >>> request = message("tensorflow.serving.PredictRequest")()
    >>> request.model_spec.name = "captioner"
    >>> request.SerializeToString()
    b'\\n\\x0b\\n\\tcaptioner'
    """
    from google.protobuf import message_factory

    if name not in _MESSAGES:
        raise ValueError(f"`name` must be one of {list(_MESSAGES)}. Received: {name!r}")
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def to_tensor(array: Any) -> Any:
    """An array as a TensorProto.

    Args:
        array: an array of numbers, bool, bytes or text, or a list of them; the numbers of lists become int32 and
            float32, as TensorFlow has it.

    Returns:
        The message.

    Example:

    >>> to_array(to_tensor([[1.5, 2.0]])), to_array(to_tensor(["a dog"]))
    (array([[1.5, 2. ]], dtype=float32), array([b'a dog'], dtype=object))
    """
    tensor = message("tensorflow.TensorProto")()
    given = array
    array = np.asarray(given)
    if array.dtype.kind in "OSU":
        array = strings(given)
    elif not isinstance(given, np.ndarray | np.generic) and array.dtype.kind in "if":
        array = np.asarray(given, "int32" if array.dtype.kind == "i" else "float32")
    name = "string" if array.dtype == object else array.dtype.name
    if name not in NUMBERS:
        raise ValueError(f"A tensor must have one of the types {list(NUMBERS)}. Received: {name}")
    tensor.dtype = NUMBERS[name]
    for size in array.shape:
        tensor.tensor_shape.dim.add().size = size
    if name == "string":
        tensor.string_val.extend(array.flat)
    else:
        tensor.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return tensor


def to_array(tensor: Any) -> np.ndarray:
    """A TensorProto as an array.

    Args:
        tensor: the message, with its values as bytes in a row or one by one.

    Returns:
        The array; strings as an object array of bytes.

    Example:

    >>> tensor = message("tensorflow.TensorProto")(dtype=3, int_val=[7])
    >>> tensor.tensor_shape.dim.add().size = 3  # The last value stands for those that follow.
    >>> to_array(tensor)
    array([7, 7, 7], dtype=int32)
    """
    shape = [axis.size for axis in tensor.tensor_shape.dim]
    name = DTYPES.get(tensor.dtype)
    if name is None:
        raise ValueError(f"A tensor must have a type that NumPy has. Received: TensorFlow's type {tensor.dtype}")
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, np.dtype(name).newbyteorder("<")).astype(name).reshape(shape)
    if name == "string":
        values = np.empty(len(tensor.string_val), object)
        values[:] = list(tensor.string_val)
    elif name == "float16":
        values = np.array(tensor.half_val, "uint16").view("float16")
    elif name.startswith("complex"):
        values = np.array(getattr(tensor, _VALUES[name]), "float32" if name == "complex64" else "float64").view(name)
    else:
        values = np.array(getattr(tensor, _VALUES.get(name, "int_val")), name)
    count = int(np.prod(shape))
    if len(values) < count:
        filler = values[-1:] if len(values) else np.array([b""], object) if name == "string" else np.zeros(1, name)
        values = np.concatenate([values, np.repeat(filler, count - len(values))])
    return values.reshape(shape)


def predict_request(inputs: Mapping[str, Any], signature: str = "serving_default", **model: Any) -> Any:
    """A request to a signature.

    Args:
        inputs: dict of key -> array.
        signature: its name.
        **model: `name` of the model and, at most one of them, `version` or `label`; None is as if not given.

    Returns:
        The PredictRequest.

    Example:

    >>> request = predict_request({"text": ["a dog"]}, "classify", name="classifier", version=2)
    >>> request.model_spec.version.value, to_array(request.inputs["text"]).tolist()
    (2, [b'a dog'])
    """
    request = message("tensorflow.serving.PredictRequest")()
    fill_model(request.model_spec, **model)
    request.model_spec.signature_name = signature
    for key, array in inputs.items():
        request.inputs[key].CopyFrom(to_tensor(array))
    return request


def fill_model(spec: Any, name: str = "", version: int | None = None, label: str | None = None) -> None:
    """Say in a ModelSpec which model is meant.

    Args:
        spec: the message; changed.
        name: name of the model.
        version: number of its version; None leaves the choice to the server.
        label: label of its version instead.

    Example:

    >>> spec = message("tensorflow.serving.ModelSpec")()
    >>> fill_model(spec, "classifier", label="stable")
    >>> spec.name, spec.version_label
    ('classifier', 'stable')
    """
    spec.name = name
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def write_warm_up(path: str | os.PathLike, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write the requests that a server answers for itself before it says that it is ready.

    The first requests to a model are slow; these are sent while it loads. TF Serving looks for them in
    `assets.extra/tf_serving_warmup_requests` of a SavedModel.

    Args:
        path: the file; its folder is made if need be.
        requests: pairs of a signature's name and a dict of key -> array.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "assets.extra", "tf_serving_warmup_requests")
    >>> write_warm_up(path, [("classify", {"text": ["a dog"]})])
    >>> [signature for signature, _ in read_warm_up(path)]
    ['classify']
    """
    from tensorflow import io

    requests = list(requests)
    if len(requests) > MAX_WARM_UP_REQUESTS:
        raise ValueError(f"A server takes at most {MAX_WARM_UP_REQUESTS} requests. Received: {len(requests)}")
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    with io.TFRecordWriter(os.fspath(path)) as writer:
        for signature, inputs in requests:
            log = message("tensorflow.serving.PredictionLog")()
            log.predict_log.request.CopyFrom(predict_request(inputs, signature))
            writer.write(log.SerializeToString(deterministic=True))


def read_warm_up(path: str | os.PathLike) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Read what `write_warm_up` wrote; TensorFlow is not needed.

    Args:
        path: the file.

    Returns:
        List of pairs of a signature's name and a dict of key -> array.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "tf_serving_warmup_requests")
    >>> write_warm_up(path, [("classify", {"text": ["a dog"]})])
    >>> read_warm_up(path)
    [('classify', {'text': array([b'a dog'], dtype=object)})]
    """
    spans, trouble = index_file(os.fspath(path))
    if trouble:
        raise ValueError(f"{os.fspath(path)} must be a whole TFRecord file. Received: {trouble}")
    data = pathlib.Path(path).read_bytes()
    found = []
    for start, stop in spans.tolist():
        request = message("tensorflow.serving.PredictionLog").FromString(data[start:stop]).predict_log.request
        inputs = {key: to_array(tensor) for key, tensor in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    return found


@functools.cache
def _pool():
    """A pool of the messages, a file for each package."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    kinds = descriptor_pb2.FieldDescriptorProto
    pool, files = descriptor_pool.DescriptorPool(), {}
    for full, fields in _MESSAGES.items():
        package, _, name = full.rpartition(".")
        if package not in files:
            files[package] = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
            files[package].dependency.extend(other for other in files if other != package)
        made = files[package].message_type.add(name=name)
        for key, (number, kind) in fields.items():
            field = made.field.add(name=key, number=number, label=kinds.LABEL_OPTIONAL)
            if kind.endswith(("[]", "{}")):
                field.label = kinds.LABEL_REPEATED
            if kind.endswith("{}"):
                entry = made.nested_type.add(name=f"{key.title()}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
                value = entry.field.add(name="value", number=2, label=kinds.LABEL_OPTIONAL)
                _set_type(value, kind[:-2], kinds)
                kind = f"{full}.{entry.name}[]"
            _set_type(field, kind.removesuffix("[]"), kinds)
        if name == "ModelSpec":
            # Only one of the two is kept, the last that was set.
            made.oneof_decl.add(name="version_choice")
            for field in made.field:
                if field.name in ("version", "version_label"):
                    field.oneof_index = 0
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _set_type(field, kind, kinds):
    if "." in kind:
        field.type, field.type_name = kinds.TYPE_MESSAGE, f".{kind}"
    else:
        field.type = getattr(kinds, f"TYPE_{kind.upper()}")
