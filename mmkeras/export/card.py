"""What a shipped model is: the card that lies beside it, which everybody who asks it can read."""

import datetime
import importlib.metadata
import json
import pathlib

import numpy as np

import mmkeras.preprocessing
from mmkeras.preprocessing import Preprocessor, Text
from mmkeras.version import __version__

CARD = "model_card.json"
_FORMAT = 1


def card_of(task, signatures, requests, *, metrics=None, training_data=None):
    """The card of a task as plain data.

    Args:
        task: the task.
        signatures: dict name -> `ServedFunction`.
        requests: what `requests_of` gave for them: it says what the outputs are.
        metrics: dict of what was measured, by name.
        training_data: what it was trained on: a sentence, a dict, or records, whose number and keys are told.
    """
    return {
        "format": _FORMAT,
        "task": type(task).__name__,
        "name": task.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "num_weights": int(task.count_params()),
        "optional": list(task.optional),
        "signatures": {
            name: {
                "inputs": {key: _input(key, spec, signature) for key, spec in signature.specs.items()},
                "outputs": {key: _output(values) for key, values in requests[name][0][1].items()},
                "raw": signature.raw,
                "modalities": list(signature.endpoint.modalities),
                "replies": signature.endpoint.replies,
            }
            for name, signature in signatures.items()
        },
        "preprocessing": preprocessing_of(task.preprocessor),
        "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        "training_data": _told(training_data),
        "versions": {"mmkeras": __version__, **{name: _version(name) for name in ("tensorflow", "keras", "numpy")}},
    }


def preprocessing_of(preprocessor):
    """A Preprocessor as plain data that needs no Keras to be read; None where there is none."""
    if not isinstance(preprocessor, Preprocessor):
        return None
    parts = {}
    for name, part in preprocessor.parts.items():
        if getattr(mmkeras.preprocessing, type(part).__name__, None) is not type(part):
            raise ValueError(
                f"The part of {name!r} is none of mm.preprocessing, and nobody who asks the model could make it. "
                f"Received: {part!r:.100}"
            )
        parts[name] = {"class": type(part).__name__, "config": part.get_config()}
    return {"parts": parts, "optional": list(preprocessor.optional)}


def files_of(card, path, folder, prefix="", *, whole=False):
    """The files of a card: itself, and lists of words and classes as text, one per line.

    Args:
        card: what `card_of` gave; lists that have a file are named in it by that.
        path: path of the card.
        folder: where the other files go.
        prefix: what their names begin with.
        whole: whether the card holds the lists, too, and needs no other file.

    Returns:
        Dict path -> bytes, the card last.
    """
    path, folder, files = pathlib.Path(path), pathlib.Path(folder), {}
    card = json.loads(json.dumps(card, default=_plain))
    for name, part in ((card["preprocessing"] or {}).get("parts") or {}).items():
        for key in ("vocabulary", "classes"):
            values = part["config"].get(key)
            # A line break within a word would be two words.
            if isinstance(values, list) and all(isinstance(v, str) and "\n" not in v for v in values):
                file = folder / f"{prefix}{name}_{key}.txt"
                files[file] = "".join(value + "\n" for value in values).encode()
                if not whole:
                    part["config"][key] = {"file": file.relative_to(path.parent).as_posix()}
    return {**files, path: (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode()}


def read_card(path):
    """Read a card, and the files it names.

    Args:
        path: the card, or the folder of a SavedModel that holds one.

    Returns:
        Dict: `task`, `signatures`, `preprocessing`, `metrics`, `versions`, ...

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> report = mm.export.to_tflite(task, os.path.join(tempfile.mkdtemp(), "pets.tflite"))
    >>> read_card(report.path.replace(".tflite", ".json"))["signatures"]["classify"]["replies"]
    {'label': {'kind': 'class', 'names': ['cat', 'dog']}}
    """
    path = pathlib.Path(path)
    path = path / CARD if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(path)!r} is missing: a model that mm.export shipped has it beside it; copy both together"
        )
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"A model card is JSON. Received: {str(path)!r}, {error}") from None
    known = isinstance(card, dict) and card.get("format") == _FORMAT and {"signatures", "preprocessing"} <= set(card)
    if not known:
        raise ValueError(f"A model card is what mm.export wrote, in format {_FORMAT}. Received: {str(path)!r}")
    for part in ((card["preprocessing"] or {}).get("parts") or {}).values():
        for key, value in part["config"].items():
            if isinstance(value, dict) and set(value) == {"file"}:
                lines = _inside(path.parent, value["file"]).read_bytes().decode()
                part["config"][key] = lines.split("\n")[:-1]
    return card


def preprocessor_of(card, kind=Preprocessor):
    """The Preprocessor of a card, or None.

    Args:
        card: what `read_card` gave.
        kind: class of the Preprocessor.
    """
    if card["preprocessing"] is None:
        return None
    parts = {}
    for name, part in card["preprocessing"]["parts"].items():
        if part["class"] not in mmkeras.preprocessing.__all__:
            raise ValueError(f"A card names parts of mm.preprocessing. Received: {part['class']!r} for {name!r}")
        parts[name] = getattr(mmkeras.preprocessing, part["class"]).from_config(part["config"])
    return kind(optional=card["preprocessing"]["optional"], **parts)


def pieces_of(preprocessor):
    """Dict part -> what `Text.pieces` says of it."""
    parts = preprocessor.parts if isinstance(preprocessor, Preprocessor) else {}
    return {name: part.pieces for name, part in parts.items() if isinstance(part, Text)}


def _inside(folder, name):
    """A file that a card names, which must lie in the folder of the card."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"A card names files beside it only. Received: {name!r}")
    return file


def _input(key, spec, signature):
    """An input; `open` are the axes that vary by themselves, and that only the export has fixed."""
    shape = [size if size is None else int(size) for size in spec.shape]
    own = {tensor.name: tensor.shape for tensor in signature.endpoint.model.inputs}.get(key, ())
    open_axes = [axis for axis, size in enumerate(own) if axis and size is None]
    return {"shape": shape, "dtype": spec.dtype.name, "open": open_axes}


def _output(values):
    return {"shape": [None, *values.shape[1:]], "dtype": "string" if values.dtype == object else values.dtype.name}


def _told(training_data):
    if training_data is None or isinstance(training_data, (str, dict)):
        return training_data
    keys = sorted({key for record in training_data for key in record})
    return {"records": len(training_data), "keys": keys, "name": getattr(training_data, "name", None)}


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a card. Received: {value!r:.80}")
