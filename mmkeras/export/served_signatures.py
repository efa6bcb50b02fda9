"""The signatures of a SavedModel, read from its file by the standard library alone."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

# TensorFlow's numbers of the types that NumPy has too.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64"}
DTYPES |= {9: "int64", 10: "bool", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64"}
NUMBERS = {name: number for number, name in DTYPES.items()}


class Signature(NamedTuple):
    """What a signature takes and gives: dicts of key -> (dtype name, shape).

    An axis of open length is None in the shape, and a shape of open rank is None itself.

    Example:

    >>> signature = Signature({"text": ("string", (None,))}, {"scores": ("float32", (None, 3))})
    >>> signature.outputs["scores"]
    ('float32', (None, 3))
    """

    inputs: dict[str, tuple[str, tuple | None]]
    outputs: dict[str, tuple[str, tuple | None]]


class TensorNames(NamedTuple):
    """Where the inputs and outputs of a signature are in its graph: dicts of key -> name, such as `x:0`."""

    inputs: dict[str, str]
    outputs: dict[str, str]


def read_signatures(path: str | os.PathLike) -> dict[str, Signature]:
    """Read the signatures of a SavedModel; nothing is loaded, and TensorFlow need not be there.

    Args:
        path: the folder that holds `saved_model.pb`.

    Returns:
        Dict of name -> `Signature`.

    Example:

    >>> import tempfile
    >>> import tensorflow as tf
    >>> model, folder = tf.Module(), tempfile.mkdtemp()
    >>> model.double = tf.function(lambda x: {"twice": 2 * x}, input_signature=[tf.TensorSpec((None,), "float32", "x")])
    >>> tf.saved_model.save(model, folder, signatures={"double": model.double})
    >>> read_signatures(folder)
    {'double': Signature(inputs={'x': ('float32', (None,))}, outputs={'twice': ('float32', (None,))})}
    """
    return {name: signature for name, (signature, _) in read_with_names(path).items()}


def read_with_names(path: str | os.PathLike) -> dict[str, tuple[Signature, TensorNames]]:
    """Read signatures, and the places of their tensors in the graph.

    Args:
        path: the folder that holds `saved_model.pb`.

    Returns:
        Dict of name -> (`Signature`, `TensorNames`).

    Example:

    >>> import tempfile
    >>> import tensorflow as tf
    >>> model, folder = tf.Module(), tempfile.mkdtemp()
    >>> model.double = tf.function(lambda x: {"twice": 2 * x}, input_signature=[tf.TensorSpec((None,), "float32", "x")])
    >>> tf.saved_model.save(model, folder, signatures={"double": model.double})
    >>> read_with_names(folder)["double"][1].inputs
    {'x': 'double_x:0'}
    """
    file = pathlib.Path(path) / "saved_model.pb"
    if not file.is_file():
        raise ValueError(f"A SavedModel is a folder that holds saved_model.pb. Received: {os.fspath(path)}")
    try:
        return dict(_signatures(memoryview(file.read_bytes())))
    except (IndexError, StopIteration, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} must be a whole SavedModel. Received: a file that cannot be read") from error


def _signatures(model):
    # Numbers of fields: SavedModel has MetaGraphDef as 2; that has tags in 1.4, and SignatureDef in the map 5.
    for graph in _fields(model, 2):
        if b"serve" not in [bytes(tag) for information in _fields(graph, 1) for tag in _fields(information, 4)]:
            continue
        for name, signature in _map(graph, 5):
            # What the graph does when it is loaded is kept as a signature without inputs.
            if not name.startswith("__saved_model"):
                sides = [dict(_map(signature, side)) for side in (1, 2)]
                specs = [{key: _spec(tensor) for key, tensor in side.items()} for side in sides]
                names = [{key: _text(tensor, 1) for key, tensor in side.items()} for side in sides]
                yield name, (Signature(*specs), TensorNames(*names))


def _spec(tensor):
    """Dtype name and shape of a TensorInfo."""
    number = next(_fields(tensor, 2), 0)
    shape = next(_fields(tensor, 3), b"")
    sizes = [next(_fields(axis, 1), 0) for axis in _fields(shape, 2)]
    # A negative number is written as its complement to 2 ** 64.
    sizes = tuple(None if size >= 1 << 63 else size for size in sizes)
    return DTYPES.get(number, f"type {number}"), None if next(_fields(shape, 3), 0) else sizes


def _map(data, number) -> Iterator[tuple]:
    for entry in _fields(data, number):
        yield _text(entry, 1), next(_fields(entry, 2), b"")


def _text(data, number):
    return bytes(next(_fields(data, number), b"")).decode()


def _fields(data, number):
    """Values of one field of a protobuf message: views of bytes, or numbers."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        if key & 7 == 0:
            value, place = _varint(data, place)
        else:
            # Kinds 1 and 5 are numbers of 8 and 4 bytes; kind 2 says its length.
            length, place = _varint(data, place) if key & 7 == 2 else ({1: 8, 5: 4}.get(key & 7), place)
            value, place = data[place : place + length], place + length
            if place > len(data):
                raise IndexError(place)
        if key >> 3 == number:
            yield value


def _varint(data, place):
    number, shift = 0, 0
    while True:
        byte = data[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
