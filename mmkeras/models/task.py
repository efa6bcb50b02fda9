"""The base of every task."""

import keras
import numpy as np

from mmkeras.keys import PRESENT

# Height, width or length that stands in for an absent modality when nothing says how large it would be.
_FILLER_SIZE = 32


class Task(keras.Model):
    """Base of every task: a functional `keras.Model` that knows its encoders, its targets and raw records.

    A subclass builds its graph in the constructor (layers, functional model, config), calls
    `super().__init__(inputs, outputs)` with a list of named inputs and a dict of per-sample outputs, and says in
    `targets` what its loss compares. It is fed dicts: keys it does not use are ignored, a missing one is an error,
    a missing presence flag means present.

    Subclasses set `encoders`, `optional` and `preprocessor`, the arguments every task has.
    """

    # Keras checks inputs in `__call__`, and on JAX trains through `call` alone: both complete what they are given.
    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._complete(inputs), *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(self._complete(inputs), training=training, mask=mask)

    def targets(self, x, y):
        """Return what the loss and the metrics compare with the outputs, and its sample weight.

        Args:
            x: dict of inputs.
            y: targets as the data gave them, or None.

        Returns:
            Targets structured like the outputs, and a sample weight or None.
        """
        return y, None

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y, sample_weight = self._targets(x, y, sample_weight)
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y, sample_weight = self._targets(x, y, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def prepare(self, records):
        """Turn raw records into a batch of inputs.

        With a preprocessor, records are raw (paths, bytes, strings, arrays). Without one they hold arrays under the
        names of the inputs, without a batch axis. An optional modality may be left out or None.

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            Dict of arrays, each with a batch axis.
        """
        records = [records] if isinstance(records, dict) else list(records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        if self.preprocessor is not None:
            return self.preprocessor(records)
        batch = {}
        for tensor in self.inputs:
            if tensor.name.endswith(PRESENT):
                modality = tensor.name.removesuffix(PRESENT)
                keys = self._keys_of(modality)
                batch[tensor.name] = np.array([all(r.get(key) is not None for key in keys) for r in records])
            else:
                batch[tensor.name] = self._stack(records, tensor)
        return batch

    def get_config(self):
        names = {}
        for modality, encoder in self.encoders.items():
            # One encoder under two keys stays one: the second key is saved as the name of the first.
            same = next((first for first, other in self.encoders.items() if other is encoder), modality)
            names[modality] = keras.saving.serialize_keras_object(encoder) if same == modality else same
        return {
            "name": self.name,
            "trainable": self.trainable,
            "encoders": names,
            "optional": list(self.optional),
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        encoders = {}
        for modality, value in config.pop("encoders").items():
            same = isinstance(value, str)
            encoders[modality] = encoders[value] if same else keras.saving.deserialize_keras_object(value)
        parts = {
            key: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
            for key, value in config.items()
        }
        return cls(encoders, **parts)

    def compile_from_config(self, config):
        # Keras restores only models whose `compile` is its own; ours takes the same arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def _complete(self, inputs):
        if not isinstance(inputs, dict):
            return inputs
        missing = [tensor.name for tensor in self.inputs if tensor.name not in inputs]
        required = [name for name in missing if not name.endswith(PRESENT)]
        if required:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' misses inputs {required}; it takes "
                f"{[tensor.name for tensor in self.inputs]}. Received: keys {sorted(inputs)}"
            )
        given = {tensor.name: inputs[tensor.name] for tensor in self.inputs if tensor.name not in missing}
        present = _always(next(iter(given.values())))
        return {tensor.name: given.get(tensor.name, present) for tensor in self.inputs}

    def _targets(self, x, y, sample_weight):
        y, own_weight = self.targets(x, y)
        if own_weight is None:
            return y, sample_weight
        return y, own_weight if sample_weight is None else own_weight * sample_weight

    def _keys_of(self, modality):
        return [name for name in self._input_modality if self._input_modality[name] == modality]

    @property
    def _input_modality(self):
        names = iter(tensor.name for tensor in self.inputs)
        return {next(names): modality for modality, encoder in self.encoders.items() for _ in encoder.inputs}

    def _stack(self, records, tensor):
        values = [record.get(tensor.name) for record in records]
        given = [np.asarray(value) for value in values if value is not None]
        absent = self._input_modality[tensor.name] in self.optional
        if len(given) < len(values) and not absent:
            row = next(index for index, value in enumerate(values) if value is None)
            raise ValueError(
                f"Record {row} has no {tensor.name!r}, which {type(self).__name__} needs: add it, or build the task "
                f"with it in `optional`. Received: keys {sorted(records[row])}"
            )
        fallback = tuple(size or _FILLER_SIZE for size in tensor.shape[1:])
        filler = np.zeros(given[0].shape if given else fallback)
        filled = [filler if value is None else value for value in values]
        shapes = sorted({np.shape(value) for value in filled})
        if len(shapes) > 1:
            raise ValueError(
                f"The arrays under {tensor.name!r} must have one shape to make a batch. Received: shapes {shapes}"
            )
        return np.stack(filled).astype(tensor.dtype)


def _always(x):
    """A true flag for each sample of `x`, an array if it is one and a tensor otherwise."""
    first = x[(slice(None), *[0] * (len(x.shape) - 1))]
    return np.ones_like(first, dtype="bool") if isinstance(x, np.ndarray) else keras.ops.ones_like(first, dtype="bool")
