"""From raw records to batches: one object for the pipeline, raw-record methods and exported signatures."""

from mmkeras.data.records import Records
from mmkeras.keys import prepared_key
from mmkeras.preprocessing.assembly import assemble, prepare_sample
from mmkeras.preprocessing.dataset import make_dataset
from mmkeras.preprocessing.part import Part
from mmkeras.preprocessing.reading import PartError, UnitReader, graph_failure, wire_of
from mmkeras.preprocessing.serving import serve, serving_signature
from mmkeras.registration import registered


@registered
class Preprocessor:
    """Turn raw records into what a task reads; it travels inside the task's `.keras` file.

    It holds one part per modality and is used in three places that therefore cannot differ: `dataset` makes the
    batches that train a task, calling it on records makes the batches behind `classify`, `generate` and the like, and
    `graph` is what an exported signature runs. Vocabularies and statistics live in its config. Where TensorFlow is not
    installed, NumPy prepares the same arrays.

    Args:
        optional: modalities that a record may lack. Each gets a flag, `<modality>_present`; the missing value is zeros.
        **parts: modality -> part: `image=Image((224, 224))`, `text=Text(8000)`, `label=Label()`. A part under two
            modalities learns from both. `Label` parts make targets, all others inputs. With `audio` but no `"audio"`
            in a record, the sound track of its `"video"` is taken.

    Example:

    >>> records = mm.data.from_arrays(text=["a dog", "a cat", "two dogs"], label=["one", "one", "two"])
    >>> pre = Preprocessor(text=mm.preprocessing.Text(length=5), label=mm.preprocessing.Label()).adapt(records)
    >>> pre([records[0], records[2]])["token_ids"].tolist()
    [[2, 4, 6, 3, 0], [2, 8, 7, 3, 0]]
    >>> pre["label"].classes
    ['one', 'two']
    """

    def __init__(self, *, optional=(), **parts):
        if not parts:
            raise ValueError("A Preprocessor needs at least one part, such as `image=Image()`. Received: none")
        wrong = sorted(name for name, part in parts.items() if not isinstance(part, Part))
        if wrong:
            raise ValueError(f"Parts are objects such as `Image()`. Received: {[(n, parts[n]) for n in wrong]}")
        optional = (optional,) if isinstance(optional, str) else tuple(optional)
        inputs = [name for name, part in parts.items() if part.kind is not None]
        unknown = [name for name in optional if name not in inputs]
        if unknown or not inputs:
            raise ValueError(f"`optional` names modalities with a part, here {inputs}. Received: optional={optional}")
        self.parts = parts
        self.optional = optional
        self._functions = {}

    def __getitem__(self, modality):
        if modality not in self.parts:
            raise KeyError(f"No part for {modality!r}; there are {list(self.parts)}")
        return self.parts[modality]

    def __repr__(self):
        return f"Preprocessor({', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"

    @property
    def inputs(self):
        """Dict of the parts that make inputs, by prepared key."""
        return {prepared_key(name, kind): part for name, part in self.parts.items() for kind in part.kinds}

    def key(self, modality):
        """Prepared key of a modality, the first if it has several: `"text"` -> `"token_ids"`."""
        part = self[modality]
        return modality if part.kind is None else prepared_key(modality, part.kind)

    def by_key(self, modality, prepared):
        """Dict prepared key -> array or tensor, from what the part of a modality prepared."""
        part = self[modality]
        if part.kind is None:
            return {modality: prepared}
        return {prepared_key(modality, kind): value for kind, value in part.by_kind(prepared).items()}

    def adapt(self, records):
        """Learn vocabularies, classes and statistics; returns the Preprocessor itself.

        Args:
            records: the records to train on, and no others.
        """
        done = []
        self._functions = {}
        for part in self.parts.values():
            if type(part).adapt is Part.adapt or any(part is other for other in done):
                continue
            names = [name for name, other in self.parts.items() if other is part]
            # A fixed vocabulary or list of classes needs no adapting: the part says so itself.
            if part.needs_adapting:
                try:
                    part.adapt(_values(records, names))
                except ValueError as error:
                    keys = sorted({str(key) for record in records for key in record})
                    raise ValueError(f"{' and '.join(map(repr, names))} of records with {keys}: {error}") from error
            done.append(part)
        return self

    def __call__(self, records, modalities=None):
        """Turn records into a batch of inputs.

        Args:
            records: one record (a dict) or a list of them.
            modalities: the modalities to prepare; None for all. Records need no others.

        Returns:
            Dict of NumPy arrays, each with a batch axis, also for one record.
        """
        wanted = list(self.parts) if modalities is None else modalities
        parts = {name: self[name] for name in wanted if self[name].kind is not None}
        return assemble(self, parts, self._samples(records, parts))[0]

    def targets(self, records):
        """Targets of records, as the dataset gives them: an array, a dict of them by name, or None without labels."""
        parts = {name: part for name, part in self.parts.items() if part.kind is None}
        return assemble(self, parts, self._samples(records, parts))[1]

    def dataset(
        self,
        records,
        batch_size=32,
        *,
        shuffle=True,
        seed=0,
        cache=None,
        augment=None,
        group_by=None,
        group_size=None,
        **loading,
    ):
        """Make a dataset of batches for `fit`, `evaluate` and `predict`.

        A bad sample (a missing or broken file, an unknown label) is skipped, counted and named: in a warning at the
        end of the epoch and in the dataset's `problems`; `strict=True` raises instead. A record whose text is a list
        gives one of its texts, another each epoch if shuffled, else the first.

        Args:
            records: `Records` or a list of dicts.
            batch_size: number of samples in a batch.
            shuffle: whether each epoch has an order of its own; take False for `predict`.
            seed: integer; the same seed gives the same batches.
            cache: `"memory"`, or a path of files to be written, to keep what was read and decoded; random choices
                that happen while reading, such as frames of a video, then stay as they are.
            augment: dict modality -> augmentation, or a list of them: Keras layers or `mm.preprocessing` ones.
            group_by: key whose equal values make one sample in the grouped form: one image with many texts.
            group_size: number of texts (and labels) in a sample of the grouped form.
            **loading: see `mm.data.Loading`: `drop_remainder`, `bucket_by`, `balance`, `shard`, `initial_epoch`,
                `initial_step`, `strict`, `deterministic`, `workers`.

        Returns:
            A `tf.data.Dataset` of x, or (x, y[, sample_weight]) with a `Label` part; where TensorFlow is not
            installed a `keras.utils.PyDataset` of the same batches.
        """
        return make_dataset(
            self,
            records if isinstance(records, Records) else Records(list(records)),
            batch_size,
            shuffle=shuffle,
            seed=seed,
            cache=cache,
            augment=augment,
            group_by=group_by,
            group_size=group_size,
            loading=loading,
        )

    def graph(self, inputs, modalities=None):
        """Turn a batch of served tensors into a batch of inputs, inside a TensorFlow graph.

        Args:
            inputs: dict of the tensors that `signature` names. An empty string is a missing value.
            modalities: the modalities to prepare; None for all.

        Returns:
            Dict of tensors by prepared key, with the flags of optional modalities.
        """
        return serve(self, inputs, modalities)

    def signature(self, modalities=None):
        """Dict of the `tf.TensorSpec` that `graph` takes, by serving key."""
        return serving_signature(self, modalities)

    def get_config(self):
        import keras

        parts = {}
        for name, part in self.parts.items():
            same = next(first for first, other in self.parts.items() if other is part)
            parts[name] = keras.saving.serialize_keras_object(part) if same == name else same
        return {"parts": parts, "optional": list(self.optional)}

    @classmethod
    def from_config(cls, config):
        import keras

        parts = {}
        for name, value in config["parts"].items():
            parts[name] = parts[value] if isinstance(value, str) else keras.saving.deserialize_keras_object(value)
        return cls(optional=config["optional"], **parts)

    def __getstate__(self):
        return {**self.__dict__, "_functions": {}}

    def _samples(self, records, parts):
        records = [records] if isinstance(records, dict) else list(records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        read = UnitReader(parts, self.optional, records)
        samples = []
        for row, record in enumerate(records):
            try:
                samples.append(prepare_sample(self, parts, read.wires([record])))
            except PartError as error:
                file = read.file(row, error.modality)
                received = f". Received: {file!r}" if file and file not in str(error) else ""
                raise ValueError(f"Record {row}, {error.modality!r}: {error}{received}") from None
        return samples

    def prepared(self, name, wire):
        """Prepared array of one sample's wire form: by the graph, or by NumPy where TensorFlow is not installed."""
        part = self[name]
        try:
            import tensorflow as tf
        except ImportError:
            try:
                return part.array(wire).astype(part.dtype)
            except ValueError as error:
                raise PartError(name, str(error)) from None
        spec = wire_of(wire)
        if (name, spec) not in self._functions:
            signature = [tf.TensorSpec((None,) * spec.rank, spec.dtype)]
            self._functions[name, spec] = tf.function(part.graph, input_signature=signature)
        try:
            return self._functions[name, spec](tf.constant(wire, spec.dtype)).numpy().astype(part.dtype)
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise PartError(name, graph_failure(error)) from None


def _values(records, names):
    for record in records:
        for name in names:
            value = record.get(name)
            if value is not None:
                yield value
