"""A record as a `tf.train.Example`, and back."""

import json
import os

import numpy as np

from mmkeras.data.media.image import read_bytes
from mmkeras.data.readers.common import holds_files

# The feature that says what Python made of the others, which a list of bytes or floats alone does not tell.
_KINDS = "mmkeras/kinds"


def to_example(record) -> bytes:
    """Serialised `tf.train.Example` of a record; a ValueError that names the key of a value it cannot hold.

    Text and bytes, integers and floats are features under their own keys, as other readers expect them; an array is
    its bytes. Files of pictures, sounds and clips are embedded. A nested value's items are features `key/item`.
    """
    train = import_tensorflow("Writing TFRecord files").train
    features, kinds = {}, {}
    for key, value in record.items():
        try:
            kinds[key] = _encode(key, _embedded(value) if holds_files(key) else value, features, train)
        except ValueError as error:
            raise ValueError(f"[{key}]: {error}") from error
    features[_KINDS] = _bytes_feature([json.dumps(kinds).encode()], train)
    return train.Example(features=train.Features(feature=features)).SerializeToString()


def from_example(data: bytes) -> dict:
    """Record of a serialised `tf.train.Example`, by this package or another.

    Of others, each feature is a list of bytes, integers or floats, or the value itself where it has one only.
    """
    train = import_tensorflow("Reading TFRecord files").train
    # The library of TensorFlow's messages, which comes with it.
    from google.protobuf.message import DecodeError

    try:
        example = train.Example.FromString(data)
    except DecodeError as error:
        raise ValueError(f"not a tf.train.Example: {error}") from error
    features = {key: _values(feature) for key, feature in sorted(example.features.feature.items())}
    if _KINDS not in features:
        return {key: values if len(values) > 1 else next(iter(values), None) for key, values in features.items()}
    kinds = json.loads(features[_KINDS][0])
    return {key: _decode(key, kind, features) for key, kind in kinds.items()}


def import_tensorflow(what):
    """Import TensorFlow or say what needs it."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(f"{what} needs TensorFlow: pip install tensorflow") from error
    return tensorflow


def _values(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def _embedded(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_embedded, value))
    return read_bytes(value) if isinstance(value, (str, os.PathLike)) else value


def _encode(key, value, features, train):
    """Put a value into the features; returns its kind, which `_decode` understands."""
    if value is None:
        return "none"
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.hasobject:
            raise ValueError(f"expected an array of numbers. Received: dtype {value.dtype}")
        _store(key, _bytes_feature([value.tobytes()], train), features)
        # Types that NumPy does not know by itself, such as bfloat16, have only a name.
        dtype = value.dtype.str if np.dtype(value.dtype.str) == value.dtype else value.dtype.name
        return {"array": [dtype, list(value.shape), isinstance(value, np.generic)]}
    if isinstance(value, dict):
        return {"dict": {item: _encode(f"{key}/{item}", each, features, train) for item, each in value.items()}}
    if isinstance(value, (list, tuple)):
        kind = _plain_kind(value[0]) if value else None
        if kind and isinstance(value, list) and all(type(item) is type(value[0]) for item in value):
            return {"list": _put(key, kind, value, features, train)}
        kinds = [_encode(f"{key}/{item}", each, features, train) for item, each in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "items": kinds}
    kind = _plain_kind(value)
    if kind is None:
        raise ValueError(f"expected text, bytes, numbers, arrays or lists of them. Received: {type(value).__name__}")
    return _put(key, kind, [value], features, train)


def _plain_kind(value):
    return {str: "str", bytes: "bytes", bool: "bool", int: "int", float: "float"}.get(type(value))


def _put(key, kind, values, features, train):
    """Store values of one plain type; floats that the format rounds are kept in full in the kind."""
    if kind in ("str", "bytes"):
        values = [value.encode("utf-8", "surrogatepass") if kind == "str" else value for value in values]
        _store(key, _bytes_feature(values, train), features)
        return kind
    if kind == "float":
        with np.errstate(over="ignore"):
            rounded = np.array(values, dtype="float32")
        _store(key, train.Feature(float_list=train.FloatList(value=rounded)), features)
        return kind if rounded.tolist() == values else {"float": values}
    _store(key, train.Feature(int64_list=train.Int64List(value=map(int, values))), features)
    return kind


def _store(key, feature, features):
    if key in features:
        raise ValueError("the name is also that of an item of another value. Expected another name")
    features[key] = feature


def _decode(key, kind, features):
    if kind == "none":
        return None
    if isinstance(kind, str):
        return _plain(kind, features[key])[0]
    ((form, content),) = kind.items()
    if form == "float":
        return content[0]
    if form == "list":
        return content["float"] if isinstance(content, dict) else _plain(content, features[key])
    if form == "array":
        dtype, shape, is_scalar = content
        array = np.frombuffer(bytearray(features[key][0]), dtype=dtype).reshape(shape)
        return array[()] if is_scalar else array
    if form == "dict":
        return {item: _decode(f"{key}/{item}", each, features) for item, each in content.items()}
    items = [_decode(f"{key}/{item}", each, features) for item, each in enumerate(content)]
    return tuple(items) if form == "tuple" else items


def _plain(kind, values):
    if kind == "str":
        return [value.decode("utf-8", "surrogatepass") for value in values]
    return [bool(value) for value in values] if kind == "bool" else values


def _bytes_feature(values, train):
    return train.Feature(bytes_list=train.BytesList(value=values))
