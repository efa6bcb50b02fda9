"""Sixty-four bits in the place of a value: equal values have equal hashes, and nothing of the value stays."""

import hashlib
import os
from typing import Any

import numpy as np

# Rows that stand for all where records are recognised, and elements that stand for an array there.
_FINGERPRINT_ROWS = 64
_FINGERPRINT_ELEMENTS = 256


def value_hash(value: Any, elements: int | None = None) -> int:
    """Hash of a raw value by its content; of a path by its name.

    Args:
        value: string, bytes, number, array, None, or a list, tuple or dict of them.
        elements: how many elements of an array and items of a list count; all by default.
    """
    digest = hashlib.blake2b(digest_size=8)
    _feed(digest, value, elements)
    return int.from_bytes(digest.digest(), "little", signed=True)


def file_hash(path: str) -> int:
    """Hash of the bytes of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8))
    return int.from_bytes(digest.digest(), "little", signed=True)


def fingerprint(records) -> str:
    """Short name of a collection, made from its length and from records spread over it."""
    rows = np.unique(np.linspace(0, len(records) - 1, _FINGERPRINT_ROWS).astype("int64")) if len(records) else []
    digest = hashlib.blake2b(str(len(records)).encode(), digest_size=8)
    for row in rows:
        try:
            _feed(digest, records[int(row)], _FINGERPRINT_ELEMENTS)
        except Exception as error:
            # A record that cannot be read is named by the report; here it is as good a mark as any.
            digest.update(repr(error).encode(errors="replace"))
    return digest.hexdigest()


def combine(*hashes: np.ndarray) -> np.ndarray:
    """Hash of each row of several int64 arrays, their order counting."""
    total = np.zeros(np.shape(hashes[0]), "uint64")
    with np.errstate(over="ignore"):
        for position, column in enumerate(hashes):
            total = mix(total + mix(np.asarray(column).astype("uint64") + np.uint64(position + 1)))
    return total.astype("int64")


def mix(numbers):
    """Spread every bit of uint64 numbers over all others (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _feed(digest, value, elements):
    # The name of the type and a length before every value: no two different values give the same bytes.
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        value = value.tolist()
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
        digest.update(b"text %d " % len(value) + value)
    elif isinstance(value, bytes):
        digest.update(b"bytes %d " % len(value) + (value if elements is None else value[:elements] + value[-elements:]))
    elif isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype} {value.shape} ".encode())
        digest.update((value if elements is None else value.flat[:elements]).tobytes())
    elif isinstance(value, dict):
        digest.update(b"dict %d " % len(value))
        for key in sorted(value, key=str):
            _feed(digest, str(key), elements)
            _feed(digest, value[key], elements)
    elif isinstance(value, (list, tuple)):
        digest.update(b"list %d " % len(value))
        for item in value[:elements]:
            _feed(digest, item, elements)
    elif value is None or isinstance(value, (bool, int, float, complex)):
        digest.update(f"{value!r} ".encode())
    else:
        # The representation of any other object may hold its address, which differs in the next process.
        digest.update(f"{type(value).__name__} ".encode())
