"""Answers of an exported TFLite file, on a machine that has neither TensorFlow nor Keras."""

import abc
import hashlib
import os
import pathlib
from typing import Any, final

import numpy as np

from mmkeras.export.ask_tflite import interpreter_of
from mmkeras.export.card import pieces_of, preprocessor_of, read_card
from mmkeras.export.replies import in_words, plain
from mmkeras.keys import PRESENT
from mmkeras.preprocessing import Preprocessor
from mmkeras.preprocessing.reading import PartError


class Runner(abc.ABC):
    """Base of what answers raw records: it has `signatures`, names of what it can be asked, the usual one first."""

    signatures = ()

    def ask(self, records: dict | list, signature: str | None = None) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer raw records.

        Args:
            records: one record (a dict) or a list of them; for a model without preprocessing, of prepared arrays under
                the names of inputs. A missing modality may be left out if it is optional. Where an export fixed the
                length of series, they are padded with zeros, or cut.
            signature: what to ask, one of `signatures`; None for the first.

        Returns:
            A dict of plain values for one record: names of classes with their `_score` and `_probabilities`, sentences
            with their `scores`, numbers; for a list of records a list of those.
        """
        name = self._known(signature)
        one = isinstance(records, dict)
        records = [records] if one else list(records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        answers = self._answers(records, name)
        return answers[0] if one else answers

    @abc.abstractmethod
    def _answers(self, records, name):
        """A list of answers to a list of records."""

    def _names(self):
        """All that it can be asked, `signatures` among them."""
        return self.card["signatures"]

    def _known(self, signature):
        name = next(iter(self.signatures), None) if signature is None else signature
        if name not in self._names():
            raise ValueError(f"This model can be asked {self.signatures}. Received: signature={name!r}")
        return name


@final
class LiteRunner(Runner):
    """Ask a model that `mm.export.to_tflite` shipped: raw pictures, sounds and texts in, answers out.

    It needs NumPy and LiteRT (`pip install ai-edge-litert`), Pillow for pictures, PyAV for clips and soundfile for
    compressed sound; where Keras is not installed, `import mmkeras` has this and little else. Raw values are prepared
    by the card beside the file, in NumPy: pictures may differ by a level from those of the training pipeline, for
    decoders round differently.

    Args:
        path: the `.tflite` file; its card, with the same name and `.json`, lies beside it.
        threads: how many threads it may use.

    Attributes:
        card: what the model is, as plain data.
        signatures: names of what it can be asked, the first being the usual one.
        modalities: names of what records may hold.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((6,))}, classes=["cat", "dog"])
    >>> report = mm.export.to_tflite(task, os.path.join(tempfile.mkdtemp(), "pets.tflite"))
    >>> answer = LiteRunner(report.path).ask({"features": np.ones(6)})
    >>> answer["label"] in ("cat", "dog"), len(answer["label_probabilities"])
    (True, 2)
    """

    def __init__(self, path: str | os.PathLike, *, threads: int = 1):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"There is no such file. Received: {str(path)!r}")
        self.card = read_card(self.path.with_suffix(".json"))
        if self.card.get("sha256") != hashlib.sha256(self.path.read_bytes()).hexdigest():
            raise ValueError(
                "The card beside the file is that of another file: copy both together, or export again. "
                f"Received: {str(path)!r}"
            )
        self.signatures = list(self.card["signatures"])
        self.modalities = modalities_of(self.card)
        self._preprocessor = preprocessor_of(self.card, _InNumPy)
        self._pieces = pieces_of(self._preprocessor)
        self._interpreter = interpreter_of(path, threads)
        self._runners = {}

    def _answers(self, records, name):
        spec = self.card["signatures"][name]
        size = self.card["batch"] or len(records)
        x = self._inputs(records, spec)
        answers = []
        for start in range(0, len(records), size):
            # A batch of fixed size is filled up by the last record.
            rows = np.minimum(np.arange(start, start + size), len(records) - 1)
            outputs = self.run({key: values[rows] for key, values in x.items()}, name)
            told = in_words(outputs, spec["replies"], self._pieces)
            answers += [plain(told, row) for row in range(min(size, len(records) - start))]
        return answers

    def run(self, inputs: dict[str, np.ndarray], signature: str | None = None) -> dict[str, np.ndarray]:
        """Outputs for a batch of prepared tensors.

        Args:
            inputs: dict of arrays by the names that the card says, of those shapes and dtypes.
            signature: what to ask; None for the first.
        """
        name = self._known(signature)
        if name not in self._runners:
            self._runners[name] = self._interpreter.get_signature_runner(name)
        specs = self.card["signatures"][name]["inputs"]
        if set(inputs) != set(specs):
            raise ValueError(f"{name!r} takes {sorted(specs)}. Received: {sorted(inputs)}")
        fed = {}
        for key, values in inputs.items():
            values, shape = np.asarray(values), specs[key]["shape"]
            wrong = [size for size, own in zip(shape, values.shape, strict=False) if size not in (None, own)]
            if wrong or values.ndim != len(shape):
                raise ValueError(f"{key!r} has the shape {shape} in {name!r}. Received: {values.shape}")
            fed[key] = values.astype(specs[key]["dtype"])
        return self._runners[name](**fed)

    def _inputs(self, records, spec):
        if self._preprocessor is not None:
            x = self._preprocessor(records, spec["modalities"])
        else:
            x = stacked(records, spec)
        return {key: self._fitted(key, x[key], own) for key, own in spec["inputs"].items()}

    def _fitted(self, key, values, own):
        """Values at the size that the export fixed, where they may be shorter or longer."""
        shape = own["shape"][1:]
        wrong = [axis for axis in range(1, values.ndim) if axis not in own["open"]]
        if len(shape) != values.ndim - 1 or any(values.shape[axis] != shape[axis - 1] for axis in wrong):
            raise ValueError(f"{key!r} of one record has the shape {shape}. Received: {values.shape[1:]}")
        return fitted(values, shape)


def modalities_of(card):
    """Names of what records may hold: modalities, or inputs where there is no preprocessing."""
    specs = card["signatures"].values()
    if card["preprocessing"] is None:
        return sorted({key for spec in specs for key in spec["inputs"]})
    return sorted({name for spec in specs for name in spec["modalities"]})


def stacked(records, spec):
    """A batch of records of prepared arrays, by the inputs that a card says; a missing flag means present."""
    flags = {key: True for key in spec["inputs"] if key.endswith(PRESENT)}
    records = [{**flags, **record} for record in records]
    for row, record in enumerate(records):
        missing = sorted(set(spec["inputs"]) - set(record))
        if missing:
            raise ValueError(
                f"Record {row} has no {missing[0]!r}; this model has no preprocessing and takes arrays under "
                f"{sorted(spec['inputs'])}. Received: {sorted(record)}"
            )
    return {
        key: np.stack([np.asarray(record[key]) for record in records]).astype(own["dtype"])
        for key, own in spec["inputs"].items()
    }


def fitted(values, shape):
    """Values (batch, ...) cut, or padded with zeros on the right, to a shape without batch."""
    if values.shape[1:] == tuple(shape):
        return values
    found = np.zeros((len(values), *shape), values.dtype)
    room = tuple(slice(min(size, own)) for size, own in zip(shape, values.shape[1:], strict=True))
    found[(slice(None), *room)] = values[(slice(None), *room)]
    return found


class _InNumPy(Preprocessor):
    """A Preprocessor that leaves TensorFlow alone, also where it is installed."""

    def prepared(self, name, wire):
        try:
            return self[name].array(wire).astype(self[name].dtype)
        except (ValueError, OSError) as error:
            raise PartError(name, str(error)) from None
