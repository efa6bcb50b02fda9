"""One file for an index: a NumPy archive with the vectors and the rest as JSON."""

import json
import os
import zipfile

import numpy as np

from mmkeras.retrieval.embeddings import Embeddings

SETTINGS = ("dim", "similarity", "backend", "approximate", "num_probes")
_FORMAT = 1
_TYPES = {
    "format": int,
    "dim": (int, type(None)),
    "similarity": str,
    "backend": str,
    "approximate": bool,
    "num_probes": int,
    "keys": list,
    "next": int,
}


def write(path: str | os.PathLike, vectors: np.ndarray, state: dict) -> None:
    """Write vectors and a state of JSON values; the file is whole or not there.

    Args:
        path: the file.
        vectors: float32 array (rows, dim).
        state: dict with `SETTINGS`, `"keys"` and `"next"`.
    """
    for row, key in enumerate(state["keys"]):
        if not _survives(key):
            raise ValueError(
                "An index can be saved if JSON can hold its keys: strings, numbers, lists, and dicts of them. "
                f"Received: {type(key).__name__} in row {row}, counted from 0: {str(key)[:80]}"
            )
    text = json.dumps({"format": _FORMAT, **state}).encode()
    part = f"{os.fspath(path)}.part"
    try:
        with open(part, "wb") as file:
            np.savez(file, vectors=vectors, state=np.frombuffer(text, "uint8"))
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def read(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, dict]:
    """Read and check what `write` wrote.

    Returns:
        The vectors, their lengths, and the state.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            vectors, state = archive["vectors"], json.loads(archive["state"].tobytes())
    except (KeyError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path!r} must be a file that `Index.save` wrote. Received: {error}") from error
    problem = _problem(vectors, state)
    if problem:
        raise ValueError(f"{path!r} must be a file that `Index.save` wrote. Received: {problem}")
    if not len(vectors):
        return vectors, np.empty(0, "float32"), state
    lengths = Embeddings(vectors, f"vectors of {path!r}", state["dim"]).lengths
    if state["similarity"] == "cosine" and np.any((lengths > 0) & (np.abs(lengths - 1) > 1e-3)):
        raise ValueError(f"{path!r} must hold vectors of length one for cosines. Received: other lengths")
    return vectors, lengths, state


def _survives(key):
    if key is None or isinstance(key, (str, int)):
        return True
    try:
        return bool(json.loads(json.dumps(key)) == key)
    except (TypeError, ValueError):
        return False


def _problem(vectors, state):
    """Say what is wrong with a file, or return None."""
    if not isinstance(state, dict) or set(state) != set(_TYPES):
        return "a state with other entries"
    for name, kind in _TYPES.items():
        if not isinstance(state[name], kind) or (isinstance(state[name], bool) and kind is not bool):
            return f"{name!r} of type {type(state[name]).__name__}"
    if state["format"] != _FORMAT:
        return f"format {state['format']}, made by another version"
    if vectors.dtype != np.float32 or vectors.shape != (len(state["keys"]), state["dim"] or 0):
        return f"{vectors.dtype} vectors of shape {vectors.shape} for {len(state['keys'])} keys"
    return None
