"""Arrays that go from one process to another in a file without pickle, strings included."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def strings(values: Any) -> np.ndarray:
    """Strings as TensorFlow has them: an object array of bytes, of the shape of the values.

    Args:
        values: text, bytes, a list of them, nested or not, or an array. NumPy's own strings of fixed size lose zeros
            at their ends; bytes in lists and object arrays keep them.

    Returns:
        The array; text becomes UTF-8.

    Example:

    >>> strings(["a dog", b"two\\0"])
    array([b'a dog', b'two\\x00'], dtype=object)
    """
    given = np.array(values, dtype=object)
    array = np.empty(given.shape, object)
    for place, value in np.ndenumerate(given):
        if not isinstance(value, str | bytes):
            raise ValueError(f"Strings must be text or bytes. Received: {type(value).__name__} {value!r:.80}")
        array[place] = value.encode() if isinstance(value, str) else bytes(value)
    return array


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays as `np.savez` can store them without pickle: strings become their bytes in a row, and their lengths.

    Args:
        arrays: dict of arrays; those of strings may be object arrays of bytes or text.

    Returns:
        A dict that `unpack` turns back.

    Example:

    >>> packed = pack({"text": strings(["a dog", b"two\\0"])})
    >>> packed["text#bytes"].tobytes(), packed["text#lengths"].tolist()
    (b'a dogtwo\\x00', [5, 4])
    """
    packed = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.kind not in "OSU":
            packed[name] = array
            continue
        values = strings(array)
        packed[f"{name}#bytes"] = np.frombuffer(b"".join(values.flat), "uint8")
        packed[f"{name}#lengths"] = np.array([len(value) for value in values.flat], "int64").reshape(values.shape)
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn back what `pack` made.

    Args:
        packed: a dict of arrays, or an open `.npz` file.

    Returns:
        The dict of arrays; strings are object arrays of bytes.

    Example:

    >>> unpack(pack({"text": strings([["a dog"], [b"two\\0"]])}))["text"].tolist()
    [[b'a dog'], [b'two\\x00']]
    """
    arrays = {}
    for key in packed:
        name, mark, part = key.rpartition("#")
        if not mark:
            arrays[key] = packed[key]
        elif part == "lengths":
            lengths, data = packed[key], packed[f"{name}#bytes"].tobytes()
            ends = np.cumsum(lengths.ravel()).tolist()
            array = np.empty(lengths.size, object)
            array[:] = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            arrays[name] = array.reshape(lengths.shape)
    return arrays
