"""The base of tasks that put modalities into one space."""

import re
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from mmkeras.keys import PRESENT, presence_key
from mmkeras.metrics import RecallAtK
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.groups import repeat_rows
from mmkeras.models.joint_rows import Recalls, Rows
from mmkeras.models.records import is_one
from mmkeras.models.task import Task


class EmbeddingTask(Task):
    """Base of the tasks with one embedding per modality as outputs, under the modality's name.

    A subclass puts embeddings (batch, dim) of one dim into its outputs, computes its own loss in `compute_loss`, and
    sets `pairs`, the pairs of modalities whose rows belong together. Batches may come in the grouped form, one picture
    with the tokens of several captions.
    """

    similarity = "cosine"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._towers = _Towers()
        self._recalls = Recalls((), (), self.similarity)

    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        """Configure training.

        Args:
            optimizer: `"auto"` takes Adam at 1e-3.
            loss: leave it out: the task has its own.
            metrics: list of `mm.metrics.RecallAtK`, of which one is kept for each direction of each pair; `"auto"`
                takes recall at 1 within the batch, None nothing.
            **kwargs: whatever else `Task.compile` takes.
        """
        if loss not in ("auto", None):
            raise ValueError(
                f"{type(self).__name__} computes its own loss; say which when you build it. Received: loss={loss!r}"
            )
        metrics = [RecallAtK(1)] if metrics == "auto" else metrics or []
        if not all(isinstance(metric, RecallAtK) for metric in metrics):
            raise ValueError(
                f"{type(self).__name__} takes metrics that compare embeddings: a list of mm.metrics.RecallAtK. "
                f"Received: metrics={metrics}"
            )
        super().compile(optimizer, None, None, **kwargs)
        # Towers may have been traced without weights that are there now.
        self._towers = _Towers()
        self._recalls = Recalls(self.pairs, metrics, self.similarity)

    def get_compile_config(self):
        config = super().get_compile_config()
        metrics = [keras.saving.serialize_keras_object(metric) for metric in self._recalls.templates]
        return config and {**config, "metrics": metrics}

    @property
    def metrics(self):
        return [*super().metrics, *self._recalls.by_name.values()]

    def grouped_outputs(self, groups):
        names = {name: self.output_modality(name) for name in self.output}
        return {name: groups[modality] for name, modality in names.items() if modality in groups}

    def output_modality(self, name):
        """The modality from which an output is computed."""
        return name

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        sides = {name: self.rows(x, y, y_pred, name, sample_weight, first_of_group=True) for name in self.encoders}
        self._recalls.update(sides)
        return self.get_metrics_result()

    def embed(self, modality, records, *, batch_size=32):
        """Embed one modality of raw records.

        Args:
            modality: which.
            records: one record (a dict with that modality; it needs no other) or a list of them; or, in short, the
                raw values themselves: one path, string or array, or a list of them. Of several texts the first is
                taken: `records.unfold("text")` gives one record each.
            batch_size: how many records are prepared and embedded together.

        Returns:
            Array (records, dim), or (dim,) for one record. An optional modality that is absent gives zeros.
        """
        embeddings = self.encode(modality, records, outputs=(modality,), batch_size=batch_size)[modality]
        return embeddings[0] if is_one(records) else embeddings

    def encode(self, modality, records, *, outputs=None, batch_size=32):
        """Compute outputs that depend on one modality alone.

        Args:
            modality: which.
            records: what `embed` takes.
            outputs: names of the outputs; None for all of that modality.
            batch_size: how many records are prepared and encoded together.

        Returns:
            Dict of arrays with one row per record, as the task's outputs are named.
        """
        if modality not in self.encoders:
            raise ValueError(
                f"{type(self).__name__} embeds the modalities {sorted(self.encoders)}. Received: {modality!r}"
            )
        tower = self.tower(modality, outputs)
        records = [records] if is_one(records) else records
        if not len(records):
            raise ValueError("At least one record is needed. Received: an empty list")
        found = []
        for start in range(0, len(records), batch_size):
            chunk = [_as_record(modality, record) for record in records[start : start + batch_size]]
            try:
                batch = self.prepare(chunk, (modality,))
            except ValueError as error:
                raise ValueError(_renumbered(str(error), start)) from None
            outputs = tower.predict_on_batch([batch[tensor.name] for tensor in tower.inputs])
            found.append({name: ops.convert_to_numpy(x) for name, x in outputs.items()})
        return {name: _joined([outputs[name] for outputs in found]) for name in found[0]}

    def score(self, first, second, *, modalities=None, batch_size=32):
        """Compare raw records of two modalities, each with each.

        Args:
            first: one record or a list of them, such as `{"image": "dog.jpg"}`.
            second: one record or a list of them, such as `[{"text": "a dog"}, {"text": "a cat"}]`.
            modalities: which modality of `first` is compared with which of `second`; None where each holds one only.
            batch_size: how many records are prepared and embedded together.

        Returns:
            Array (first, second) of similarities, without the axis of a side that is a single record.
        """
        sides = self._sides(first, second, modalities)
        embeddings = [
            np.atleast_2d(self.embed(modality, records, batch_size=batch_size)) for modality, records in sides
        ]
        return without_single_sides(self.similarities(*embeddings), first, second)

    def similarities(self, first, second):
        """Compare arrays of embeddings, each with each, the way the task was trained.

        Args:
            first: array (first, dim).
            second: array (second, dim).

        Returns:
            Array (first, second): cosines, or dot products where the lengths count.
        """
        if self.similarity == "cosine":
            first, second = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (first, second))
        return first @ second.T

    def tower(self, modality, outputs=None):
        """The functional `keras.Model` from the inputs of one modality to outputs that depend on it alone.

        Args:
            modality: which.
            outputs: names of the outputs; None for all of that modality.
        """
        own = [name for name in self.output if self.output_modality(name) == modality]
        names = tuple(own if outputs is None else outputs)
        if (modality, names) not in self._towers.models:
            inputs = [tensor for tensor in self.inputs if self.modality_of(tensor.name) == modality]
            tower = keras.Model(inputs, {name: self.output[name] for name in names}, name=f"{modality}_tower")
            self._towers.models[modality, names] = tower
        return self._towers.models[modality, names]

    def endpoints(self):
        return {
            f"embed_{modality}": Endpoint(self.tower(modality, (modality,)), (modality,), {})
            for modality in self.encoders
        }

    def rows(self, x, y, y_pred, modality, sample_weight=None, *, first_of_group=False):
        """The rows of one modality in a batch: embeddings, groups and which of them count.

        Args:
            x: dict of inputs.
            y: integer tensor (batch,), equal for samples that belong together; None for one group per sample.
            y_pred: dict of outputs, (batch, dim) or (batch, group, dim).
            modality: which.
            sample_weight: tensor (batch,), 0 for samples that take no part; None for all.
            first_of_group: whether the first of each group stands for its sample.

        Returns:
            `Rows`, one for each embedding, or for each sample.
        """
        embeddings = y_pred[modality]
        groups = ops.arange(ops.shape(embeddings)[0], dtype="int32") if y is None else self._groups(y)
        valid = self._valid(x, modality)
        if sample_weight is not None:
            valid = _both(ops.convert_to_tensor(sample_weight) > 0, valid)
        if len(embeddings.shape) == 3 and first_of_group:
            valid = valid[:, 0] if valid is not None and len(valid.shape) == 2 else valid
            embeddings = embeddings[:, 0]
        elif len(embeddings.shape) == 3:
            groups = repeat_rows(groups, embeddings.shape[1])
            everywhere = ops.ones_like(embeddings[..., 0], "bool")
            valid = None if valid is None else ops.reshape(_both(valid, everywhere), (-1,))
            embeddings = ops.reshape(embeddings, (-1, embeddings.shape[-1]))
        return Rows(embeddings, groups, valid)

    def _groups(self, y):
        y = ops.convert_to_tensor(y)
        if "int" not in keras.backend.standardize_dtype(y.dtype) or (len(y.shape) > 1 and y.shape[1:] != (1,)):
            raise ValueError(
                f"{type(self).__name__} takes one integer per sample as target, equal for samples that belong "
                f"together, or none. Received: targets of shape {tuple(y.shape)} and dtype {y.dtype}"
            )
        return ops.cast(ops.reshape(y, (-1,)), "int32")

    def _valid(self, x, modality):
        """Which rows of a modality hold something: (batch,) or (batch, group), None where all do."""
        valid, keys = None, self._keys_of(modality)
        if not any(key in x for key in keys):
            rows = next(value for name, value in x.items() if not name.endswith(PRESENT))
            return ops.zeros((ops.shape(rows)[0],), "bool")
        if presence_key(modality) in x and modality in self.optional:
            valid = ops.cast(x[presence_key(modality)], "bool")
        for key in keys:
            if key.endswith("token_ids"):
                # An empty sentence, or an empty place in a group, is all padding.
                valid = _both(ops.any(ops.convert_to_tensor(x[key]) != 0, axis=-1), valid)
        return valid

    def _sides(self, first, second, modalities):
        if modalities is None:
            modalities = [self._only_modality(records) for records in (first, second)]
        return list(zip(modalities, (first, second), strict=True))

    def _only_modality(self, records):
        record = records if isinstance(records, Mapping) else next(iter(records), None)
        held = [name for name in self.encoders if isinstance(record, Mapping) and name in record]
        if len(held) != 1:
            raise ValueError(
                "Records to compare hold one modality each, such as {'text': 'a dog'}; where they hold more, say "
                f"which: modalities=({', '.join(map(repr, self.encoders))}). Received: {held or type(record).__name__}"
            )
        return held[0]


class _Towers:
    """Towers by modality, out of sight of Keras: they share all their layers with the task."""

    def __init__(self):
        self.models = {}


def _as_record(modality, record):
    return record if isinstance(record, Mapping) else {modality: record}


def _renumbered(message, start):
    """A message about a record of a chunk, with its number in the whole."""
    return re.sub(r"^Record (\d+)", lambda found: f"Record {int(found[1]) + start}", message)


def _joined(arrays):
    """One array of several batches; sequences that differ in length are padded with zeros."""
    if len({x.shape[1:] for x in arrays}) > 1:
        length = max(x.shape[1] for x in arrays)
        arrays = [np.pad(x, [(0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]) for x in arrays]
    return np.concatenate(arrays)


def without_single_sides(scores, first, second):
    scores = scores[:, 0] if is_one(second) else scores
    return scores[0] if is_one(first) else scores


def _both(flags, others):
    """Where both hold; flags are (batch,) or (batch, group), None for all."""
    if others is None:
        return flags
    rank = max(len(flags.shape), len(others.shape))
    return ops.logical_and(*(x if len(x.shape) == rank else x[:, None] for x in (flags, others)))
