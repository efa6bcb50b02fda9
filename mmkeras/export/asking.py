"""One way to ask a model, however it was kept: a task, a SavedModel or a TFLite file."""

import os
import pathlib
from collections.abc import Callable
from typing import Any, final

import numpy as np

from mmkeras.export.c_api import ServedModel
from mmkeras.export.card import pieces_of, preprocessor_of, read_card
from mmkeras.export.lite_runner import LiteRunner, Runner, modalities_of, stacked
from mmkeras.export.replies import in_words, plain
from mmkeras.export.wire import served


def encoder_of(card: str | os.PathLike | dict) -> Callable[[list, str], dict[str, Any]]:
    """Give a client what it needs to be asked with raw records: `RestClient(..., encode=encoder_of(...))`.

    Args:
        card: folder of the SavedModel, path of its card, or the card itself.

    Returns:
        A function of a list of records and the name of a raw signature that gives the tensors of a request.

    Example:

    >>> pre = mm.preprocessing.Preprocessor(text=mm.preprocessing.Text(vocabulary=["dog", "cat"], length=4))
    >>> encoder = mm.encoders.lstm(pre["text"].num_tokens, 4)
    >>> task = mm.models.MultimodalClassifier({"text": encoder}, classes=["pet", "none"], preprocessor=pre)
    >>> report = mm.export.to_saved_model(task, os.path.join(tempfile.mkdtemp(), "pets"))
    >>> encoder_of(report.path)([{"text": "a dog"}], "classify")["text"].tolist()
    [b'a dog']
    """
    card = card if isinstance(card, dict) else read_card(card)
    preprocessor = preprocessor_of(card)

    def encode(records, signature):
        spec = card["signatures"].get(signature)
        raw = sorted(name for name, known in card["signatures"].items() if known["raw"])
        if spec is None or not spec["raw"]:
            raise ValueError(f"Raw records are taken by {raw}. Received: signature={signature!r}")
        return served(preprocessor, records, spec["modalities"])

    return encode


@final
class SavedModelRunner(Runner):
    """Ask a model that `mm.export.to_saved_model` shipped, as a server would: by TensorFlow's C library.

    Args:
        path: the folder of one version, or that of all, of which the latest counts.
        threads: how many threads it may use; None as TensorFlow likes.

    Attributes:
        card: what the model is, as plain data.
        signatures: names of what it can be asked, the first being the usual one.
        modalities: names of what records may hold.

    Example:

    >>> pre = mm.preprocessing.Preprocessor(text=mm.preprocessing.Text(vocabulary=["dog", "cat"], length=4))
    >>> encoder = mm.encoders.lstm(pre["text"].num_tokens, 4)
    >>> task = mm.models.MultimodalClassifier({"text": encoder}, classes=["pet", "none"], preprocessor=pre)
    >>> report = mm.export.to_saved_model(task, os.path.join(tempfile.mkdtemp(), "pets"))
    >>> SavedModelRunner(report.path).ask({"text": "a dog"})["label"] == task.classify({"text": "a dog"})["label"]
    True
    """

    def __init__(self, path: str | os.PathLike, *, threads: int | None = None):
        path = version_of(path)
        self.card = read_card(path)
        specs = self.card["signatures"]
        # Without preprocessing it takes prepared arrays.
        self.signatures = [name for name, spec in specs.items() if spec["raw"]] or list(specs)
        self.modalities = modalities_of(self.card)
        self._encode = encoder_of(self.card)
        self._model = ServedModel(path, threads=threads)

    def _answers(self, records, name):
        spec = self.card["signatures"][name]
        if spec["raw"]:
            answer = self._model.run(name, self._encode(records, name))
        else:
            x = stacked(records, spec)
            answer = in_words(self._model.run(name, x), spec["replies"], pieces_of(preprocessor_of(self.card)))
        return [plain(answer, row) for row in range(len(records))]


@final
class TaskRunner(Runner):
    """Ask a task itself, as `LiteRunner` asks its file.

    Args:
        task: a task.

    Attributes:
        signatures: names of what it can be asked, the first being the usual one.
        modalities: names of what records may hold.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> TaskRunner(task).ask({"features": np.ones(6)})["label"] in ("cat", "dog")
    True
    """

    def __init__(self, task):
        self.task = task
        self._endpoints = task.endpoints()
        self.signatures = list(self._endpoints)
        self.modalities = sorted({name for endpoint in self._endpoints.values() for name in endpoint.modalities})

    def _names(self):
        return self._endpoints

    def _answers(self, records, name):
        import keras

        endpoint = self._endpoints[name]
        x = self.task.prepare(records, endpoint.modalities)
        sources = endpoint.model.inputs
        x |= {t.name: np.zeros((len(records), *t.shape[1:]), t.dtype) for t in sources if t.name in endpoint.zeros}
        outputs = endpoint.model.predict_on_batch([x[tensor.name] for tensor in sources])
        outputs = {key: keras.ops.convert_to_numpy(values) for key, values in outputs.items()}
        told = in_words(outputs, endpoint.replies, pieces_of(self.task.preprocessor))
        return [plain(told, row) for row in range(len(records))]


def open_model(path: str | os.PathLike):
    """Something with `ask` and `signatures` for whatever lies at a path.

    Args:
        path: a `.tflite` file, a `.keras` file, or the folder of a SavedModel: one version, or all of them, of which
            the latest counts.
    """
    path = pathlib.Path(path)
    if path.suffix == ".tflite":
        return LiteRunner(path)
    if path.is_dir():
        return SavedModelRunner(path)
    return TaskRunner(load_task(path))


def version_of(path):
    """The folder of one version: the latest of those in a folder, or the folder itself."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return path
    versions = [one.parent for one in path.glob("*/saved_model.pb") if one.parent.name.isdecimal()]
    if not versions:
        raise FileNotFoundError(
            f"A SavedModel has a file saved_model.pb, in it or in its versions. Received: {str(path)!r}"
        )
    return max(versions, key=lambda version: int(version.name))


def load_task(path):
    """A task from a `.keras` file, in Keras' safe mode: nothing in the file is run."""
    import keras

    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no such model. Received: {str(path)!r}")
    if path.suffix != ".keras":
        raise ValueError(f"A model is a .keras or .tflite file or the folder of a SavedModel. Received: {str(path)!r}")
    try:
        task = keras.saving.load_model(path, safe_mode=True)
    except TypeError as error:
        raise ValueError(f"{str(path)!r} holds a class that is not known here: {str(error).splitlines()[0]}") from None
    if not callable(getattr(task, "endpoints", None)):
        raise ValueError(
            f"A model to be asked is a task of mm.models. Received: {type(task).__name__} in {str(path)!r}"
        )
    return task
