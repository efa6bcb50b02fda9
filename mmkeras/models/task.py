"""The base of every task."""

import copy
import warnings

import keras
import numpy as np

from mmkeras.keys import PRESENT, prepared_key, presence_key
from mmkeras.models.configs import deserialized
from mmkeras.models.given import check_compiled, check_fits, check_given, check_keys, missing_inputs
from mmkeras.models.groups import constant_rows, fold, repeat_rows, spread_product, unfold
from mmkeras.models.learning import let_learn, revive_lora, what_learns
from mmkeras.models.records import are_records, as_records
from mmkeras.preprocessing.preprocessor import Preprocessor

# Height, width or length that stands in for an absent modality when nothing says how large it would be.
_FILLER_SIZE = 32


class Task(keras.Model):
    """Base of every task: a functional `keras.Model` that knows its encoders, its targets and raw records.

    A subclass builds its graph in the constructor (layers, functional model, config), calls
    `super().__init__(inputs, outputs)` with a list of named inputs and a dict of per-sample outputs, and says in
    `targets` what its loss compares, in `default_loss` and `default_metrics` what `compile()` takes. It sets
    `encoders`, `optional` and `preprocessor`, the arguments every task has.

    A task is fed dicts. Keys it does not use are ignored (JAX wants numbers in them), a missing one is an error, a
    missing flag means present, and an optional modality that is left out altogether is absent. It computes in the
    dtype policy under which it was built, `keras.config.set_dtype_policy`, also where it is loaded.
    """

    def __init__(self, *args, **kwargs):
        if "dtype" in kwargs:
            raise ValueError(
                "A task and its encoders compute in one dtype policy: set it by keras.config.set_dtype_policy before "
                f"building them. Received: dtype={kwargs['dtype']!r}"
            )
        super().__init__(*args, **kwargs)
        self._policy = keras.config.dtype_policy()

    # Keras checks inputs in `__call__`, and on JAX trains through `call` alone: both complete what they are given.
    def __call__(self, inputs, *args, **kwargs):
        inputs, groups = self._complete(inputs)
        groups = self.grouped_outputs(groups)
        return unfold(super().__call__(inputs, *args, **kwargs), groups)

    def call(self, inputs, training=None, mask=None):
        inputs, groups = self._complete(inputs)
        groups = self.grouped_outputs(groups)
        return unfold(super().call(inputs, training=training, mask=mask), groups)

    def compile(self, optimizer="auto", loss="auto", metrics="auto", *, step=None, **kwargs):
        """Configure training; everything left out gets a sensible default.

        Args:
            optimizer: `"auto"` takes Adam at 1e-3.
            loss: `"auto"` takes the task's own.
            metrics: `"auto"` takes the task's own, weighted by sample weights; with a loss of your own, accuracy in
                the form that fits it.
            step: a training step of `mm.training`, such as `GradientCache`, or a list of them, the first one
                outermost; None takes Keras' own.
            **kwargs: whatever else `keras.Model.compile` takes.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.Adam(1e-3)
        if metrics == "auto":
            metrics = None
            if "weighted_metrics" not in kwargs:
                kwargs["weighted_metrics"] = self.default_metrics() if loss == "auto" else ["accuracy"]
        if step is not None and keras.backend.backend() == "tensorflow":
            kwargs["jit_compile"] = False  # XLA takes no loops of unknown length there.
        self._compile_metrics = None  # Keras keeps those of the last time where there are none now.
        super().compile(
            optimizer=optimizer, loss=self.default_loss() if loss == "auto" else loss, metrics=metrics, **kwargs
        )
        self._step = step

    def make_train_function(self, force=False):
        revive_lora(self)
        return super().make_train_function(force=force)

    def train_step(self, *arguments):
        # Keras gives the batch, on JAX the state before it.
        train = super().train_step
        for step in reversed(self._step if isinstance(self._step, list | tuple) else [self._step]):
            train = train if step is None else step.around(self, train)
        return train(*arguments)

    def fit(self, x=None, y=None, *args, **kwargs):
        check_compiled(self)
        x, y = check_given(self, x, y, learns=True)
        val = kwargs.get("validation_data")
        is_pair = isinstance(val, tuple) or (isinstance(val, list) and 2 <= len(val) <= 3 and not are_records(val[1:]))
        checked = check_given(self, *(val[:2] if is_pair else (val,)), argument="validation_data")
        if is_pair:
            kwargs["validation_data"] = (*checked, *val[2:])
        if not type(x).__module__.startswith("tensorflow.python.data"):
            return super().fit(x, y, *args, **kwargs)
        # Keras warns that it does not shuffle a dataset whenever its own default is left as it is, and calls an epoch
        # interrupted that has fewer batches than the last, as where a broken sample was skipped (and named).
        kwargs.setdefault("shuffle", False)
        with warnings.catch_warnings():
            if kwargs.get("steps_per_epoch") is None:
                warnings.filterwarnings("ignore", "Your input ran out of data")
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        # `fit` has looked at its validation data before the first epoch.
        if not kwargs.get("_use_cached_eval_dataset"):
            check_compiled(self)
            x, y = check_given(self, x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        x, _ = check_given(self, x)
        return super().predict(x, *args, **kwargs)

    def default_loss(self):
        """Return the loss of `compile()`; None for a task that computes its own."""
        return None

    def default_metrics(self):
        """Return the list of metrics of `compile()`."""
        return []

    def targets(self, x, y):
        """Return what the loss and the metrics compare with the outputs, and its sample weight.

        Args:
            x: dict of inputs.
            y: targets as the data gave them, or None.

        Returns:
            Targets structured like the outputs, and a sample weight, a dict of them by output, or None.
        """
        return y, None

    def grouped_outputs(self, groups):
        """Say which outputs are grouped where inputs are, as (batch, group, ...).

        Args:
            groups: dict of group sizes by modality, empty where no input is grouped.

        Returns:
            Dict of group sizes by name of the output.
        """
        if groups:
            raise ValueError(
                f"{type(self).__name__} takes one value of each modality per sample. Received: groups of "
                f"{sorted(groups)}, one axis more than the inputs {[tensor.name for tensor in self.inputs]} have"
            )
        return {}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y, sample_weight = self._targets(x, y, sample_weight)
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y, sample_weight = self._targets(x, y, sample_weight)
        if y is None:
            return self.get_metrics_result()
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def get_metrics_result(self):
        compiled = self._compile_metrics
        if compiled is None or compiled.built:
            return super().get_metrics_result()
        # Compiled metrics never saw a target; the loss and whatever the task tracks itself remain.
        return {metric.name: metric.result() for metric in self.metrics if metric is not compiled}

    def prepare(self, records, modalities=None):
        """Turn raw records into a batch of inputs.

        With a preprocessor, records are raw (paths, bytes, strings, arrays). Without one they hold arrays under the
        names of the inputs, without a batch axis. An optional modality may be left out or None, or be declared absent
        by its flag.

        Args:
            records: one record (a dict) or a list of them; for a single modality its raw values will do.
            modalities: the modalities to prepare; None for all.

        Returns:
            Dict of arrays, each with a batch axis.
        """
        records = as_records(self, records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        if self.preprocessor is not None:
            return self.preprocessor(records) if modalities is None else self.preprocessor(records, modalities)
        for row, record in enumerate(records):
            check_keys(self, row, record)
        batch = {}
        for tensor in self.inputs:
            if modalities is not None and self.modality_of(tensor.name) not in modalities:
                continue
            if tensor.name.endswith(PRESENT):
                keys = self._keys_of(tensor.name.removesuffix(PRESENT))
                batch[tensor.name] = np.array(
                    [bool(r.get(tensor.name, True)) and all(r.get(key) is not None for key in keys) for r in records]
                )
            else:
                batch[tensor.name] = self._stack(records, tensor)
        return batch

    def predict_records(self, records, *, batch_size=32):
        """Predict for raw records, a batch at a time.

        Args:
            records: one record (a dict) or a list of them.
            batch_size: how many records are prepared and predicted together.

        Returns:
            Dict of arrays, one row per record.
        """
        records = as_records(self, records)
        batches = []
        for start in range(0, max(1, len(records)), batch_size):
            x = self.prepare(records[start : start + batch_size])
            batches.append({**self.predict_on_batch(x), **self.notes_on(x)})
        return {
            name: np.concatenate([keras.ops.convert_to_numpy(batch[name]) for batch in batches]) for name in batches[0]
        }

    def endpoints(self):
        """Return what the task can be asked where it is served, beyond `predict`: `mm.models.Endpoint`s by name."""
        return {}

    def notes_on(self, x):
        """Say what a user should know of the answers to a batch of raw records, as arrays with one row per record."""
        return {}

    @property
    def preprocessor(self):
        """What turns raw records into inputs, or None."""
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor):
        if isinstance(preprocessor, Preprocessor):
            missing = [key for key in self._input_modality if key not in preprocessor.inputs]
            if missing or set(preprocessor.optional) != set(self.optional):
                raise ValueError(
                    f"The preprocessor must make {sorted(self._input_modality)} and have the task's optional "
                    f"modalities, {sorted(self.optional)}. Received: one that makes {sorted(preprocessor.inputs)} with "
                    f"optional={sorted(preprocessor.optional)}"
                )
            check_fits(self, preprocessor)
        self._preprocessor = preprocessor

    def get_config(self):
        names = {}
        for modality, encoder in self.encoders.items():
            # One encoder under two keys stays one: the second key is saved as the name of the first.
            same = next((first for first, other in self.encoders.items() if other is encoder), modality)
            names[modality] = keras.saving.serialize_keras_object(encoder) if same == modality else same
        return {
            "name": self.name,
            "encoders": names,
            "optional": list(self.optional),
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
            # Not arguments, but state a task must not lose: what it computes in, and what learns.
            "dtype": keras.saving.serialize_keras_object(self._policy),
            "learning": what_learns(self),
        }

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)
        learning = config.pop("learning", None)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(keras.saving.deserialize_keras_object(config.pop("dtype", policy)))
        try:
            encoders = {}
            for modality, value in config.pop("encoders").items():
                same = isinstance(value, str)
                encoders[modality] = encoders[value] if same else keras.saving.deserialize_keras_object(value)
            task = cls(encoders, **{key: deserialized(value) for key, value in config.items()})
        finally:
            keras.config.set_dtype_policy(policy)
        if learning is not None:
            let_learn(task, **learning)
        return task

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras, on TensorFlow, averages the first batch over replicas to learn its shapes, and booleans have no mean.
        if iterator is not None and self.distribute_strategy.num_replicas_in_sync > 1:
            local = self.distribute_strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            data_batch, iterator = keras.tree.map_structure(lambda x: local(x)[0], next(batches)), None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        # The optimizer of a task that was never fitted has no state to read again.
        step = keras.saving.serialize_keras_object(self._step)
        return {**config, "step": step, "optimizer_built": self.optimizer.built}

    def compile_from_config(self, config):
        # Keras restores only models whose `compile` is its own; ours takes the same arguments.
        config = dict(config)
        built = config.pop("optimizer_built")
        self.compile(**keras.saving.deserialize_keras_object(config))
        if built:
            self.optimizer.build(self.trainable_variables)

    def _complete(self, inputs):
        """Inputs as a list in the model's order (Keras would sort the keys of a dict), and the sizes of groups."""
        if not isinstance(inputs, dict):
            return inputs, {}
        given = {name: np.asarray(x) if isinstance(x, list | tuple | int | float) else x for name, x in inputs.items()}
        absent = [modality for modality in self.optional if not any(key in given for key in self._keys_of(modality))]
        names = [tensor.name for tensor in self.inputs if not tensor.name.endswith(PRESENT)]
        missing = [name for name in names if name not in given and self._input_modality[name] not in absent]
        if missing or all(name not in given for name in names):
            raise missing_inputs(self, missing or names, inputs)
        like = given[next(name for name in names if name in given)]
        for tensor in self.inputs:
            modality = tensor.name.removesuffix(PRESENT)
            if tensor.name.endswith(PRESENT) and (modality in absent or tensor.name not in given):
                given[tensor.name] = constant_rows(like, (), modality not in absent, "bool")
            elif tensor.name not in given:
                shape = tuple(size or _FILLER_SIZE for size in tensor.shape[1:])
                given[tensor.name] = constant_rows(like, shape, 0, tensor.dtype)
        groups = {}
        for tensor in self.inputs:
            if len(given[tensor.name].shape) == len(tensor.shape) + 1:
                groups[self.modality_of(tensor.name)] = given[tensor.name].shape[1]
                given[tensor.name] = fold(given[tensor.name])
        for modality, size in groups.items():
            if modality in self.optional:
                given[presence_key(modality)] = repeat_rows(given[presence_key(modality)], size)
        if groups:  # Folding made tensors, and Keras takes no arrays beside them.
            given = {
                name: keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x for name, x in given.items()
            }
        return [given[tensor.name] for tensor in self.inputs], groups

    def _targets(self, x, y, sample_weight):
        y, own_weight = self.targets(x, y)
        if own_weight is None:
            return y, sample_weight
        if sample_weight is None:
            return y, own_weight
        if not isinstance(own_weight, dict):
            return y, spread_product(own_weight, sample_weight)
        given = sample_weight if isinstance(sample_weight, dict) else dict.fromkeys(own_weight, sample_weight)
        return y, {
            name: spread_product(own, given[name]) if given.get(name) is not None else own
            for name, own in own_weight.items()
        }

    def _keys_of(self, modality):
        return [prepared_key(modality, source.name) for source in self.encoders[modality].inputs]

    def modality_of(self, name):
        """The modality that an input belongs to, a presence flag too."""
        return name.removesuffix(PRESENT) if name.endswith(PRESENT) else self._input_modality[name]

    @property
    def _input_modality(self):
        return {key: modality for modality in self.encoders for key in self._keys_of(modality)}

    def _stack(self, records, tensor):
        values = [record.get(tensor.name) for record in records]
        given = [value for value in values if value is not None]
        if len(given) < len(values) and self._input_modality[tensor.name] not in self.optional:
            row = next(index for index, value in enumerate(values) if value is None)
            raise ValueError(
                f"Record {row} has no {tensor.name!r}, which {type(self).__name__} needs: add it, or build the task "
                f"with it in `optional`. Received: keys {sorted(records[row])}"
            )
        raw = [value for value in given if isinstance(value, str | bytes)]
        if raw:
            raise ValueError(
                f"{tensor.name!r} takes arrays; raw records need a task with `preprocessor=`. Received: {raw[0][:80]!r}"
            )
        arrays = [np.asarray(value) for value in given]
        shape = arrays[0].shape if arrays else tuple(size or _FILLER_SIZE for size in tensor.shape[1:])
        filler = np.zeros(shape)
        filled = [filler if value is None else np.asarray(value) for value in values]
        shapes = sorted({array.shape for array in filled})
        if len(shapes) > 1:
            raise ValueError(
                f"The arrays under {tensor.name!r} must have one shape to make a batch. Received: shapes {shapes}"
            )
        if len(shape) != len(tensor.shape) - 1:
            raise ValueError(
                f"{tensor.name!r} of one record has the shape {tuple(tensor.shape[1:])}, without a batch axis. "
                f"Received: shape {shape}"
            )
        return np.stack(filled).astype(tensor.dtype)
