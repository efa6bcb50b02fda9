"""`Preprocessor.dataset`: records -> batches, through tf.data or, without TensorFlow, through NumPy."""

import numpy as np

from mmkeras.data.pipeline import Loading, Order, Wire, balancing_weights, record_stream, watched
from mmkeras.data.problems import Problems
from mmkeras.keys import presence_key
from mmkeras.preprocessing.augmented import augmenter
from mmkeras.preprocessing.caching import CacheNote
from mmkeras.preprocessing.features import Features
from mmkeras.preprocessing.label import Label
from mmkeras.preprocessing.reading import PartError, UnitReader, graph_failure, wire_of
from mmkeras.preprocessing.signal import Signal
from mmkeras.preprocessing.text import Text

_BUCKET_SAMPLE = 256
_NUM_BUCKETS = 6


def make_dataset(preprocessor, records, batch_size, *, shuffle, seed, cache, augment, group_by, group_size, loading):
    """See `Preprocessor.dataset`."""
    loading = _loading(loading)
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size}")
    if not len(records):
        raise ValueError(f"There is nothing to read. Received: {records!r}")
    if cache and (loading.initial_epoch or loading.initial_step):
        raise ValueError(
            "`cache` keeps no order to resume in: leave out `initial_epoch` and `initial_step`, or the cache. "
            f"Received: cache={cache!r}, initial_epoch={loading.initial_epoch}, initial_step={loading.initial_step}"
        )
    if group_size is not None and group_size < 1:
        raise ValueError(f"`group_size` must be at least 1. Received: group_size={group_size}")
    if (group_by is not None) and not group_size:
        raise ValueError(f"`group_by` needs `group_size`, the number of texts of a sample. Received: {group_size}")
    problems = Problems(f"dataset of {records.name}")
    with_tensorflow = _has_tensorflow()
    units = None if group_by is None else _groups(records, group_by, group_size, seed if shuffle else None)
    read = UnitReader(
        preprocessor.parts,
        preprocessor.optional,
        records,
        units=units,
        group_size=group_size,
        shuffle=shuffle,
        seed=seed,
        problems=problems,
        pick_text=group_size is None and not with_tensorflow,
    )
    weights = None if loading.balance is None else _weights(preprocessor, records, units, loading.balance)
    # A cache keeps the order in which it was filled; it is shuffled behind the cache.
    order = Order(len(read), seed=seed, shuffle=shuffle and not cache, loading=loading, weights=weights)
    if not with_tensorflow:
        if augment or cache or loading.bucket_by:
            raise ImportError("`augment`, `cache` and `bucket_by` need TensorFlow: install it")
        # Made of Keras, without which single records can be prepared all the same.
        from mmkeras.preprocessing.batches import Batches

        return Batches(preprocessor, read, order, batch_size, loading)
    plan = _Plan(preprocessor, read, order, batch_size, shuffle, seed, loading)
    return plan.dataset(cache, augment)


class _Plan:
    """The pipeline of one dataset."""

    def __init__(self, preprocessor, read, order, batch_size, shuffle, seed, loading):
        self.preprocessor = preprocessor
        self.read = read
        self.order = order
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.loading = loading
        self.grouped = read.group_size is not None
        self.wires, self.seen_shapes = read.specs()
        # Units that were read and have not come out of the graph, by epoch: an epoch may be left in the middle.
        self.waiting = {}
        self.epoch = None
        self.told = 0
        self.cached = False
        self.note = None

    def dataset(self, cache, augment):
        import tensorflow as tf

        as_it_is = tf.autograph.experimental.do_not_convert
        self.cached = bool(cache)
        skip = self.loading.initial_step * self.batch_size
        samples = record_stream(self._read, self.wires, self.order, self.loading, skip=skip)
        samples = samples.map(
            as_it_is(self._decode),
            num_parallel_calls=self.loading.num_workers,
            deterministic=self.loading.deterministic,
        )
        samples = samples.ignore_errors(log_warning=False)
        if cache and cache != "memory":
            arrangement = (self.read.group_size, self.loading.shard, self.loading.balance, self.seed)
            units = None if self.read.units is None else [list(map(int, unit)) for unit in self.read.units[:100]]
            self.note = CacheNote(str(cache), self.preprocessor, self.read.records, (arrangement, units))
            self.note.check(self.read.problems)
            self.note.write(self.read.problems)
            self.told = len(self.read.problems)
        if cache:
            # Watched before the cache: only the first epoch reads.
            samples = watched(samples.batch(1), self._units, self._seen, self._finish).unbatch()
            samples = samples.cache("" if cache == "memory" else str(cache))
            if self.shuffle:
                buffer = len(self.order) if cache == "memory" else min(len(self.order), 4096)
                samples = samples.shuffle(buffer, self.seed, reshuffle_each_iteration=True)
        if self._picks:
            seeds = tf.data.Dataset.random(self.seed, rerandomize_each_iteration=True)
            samples = tf.data.Dataset.zip(samples, seeds).map(as_it_is(self._pick))
        batches = self._batched(samples)
        if not cache:
            batches = watched(batches, self._units, self._seen, self._finish)
        if augment:
            numbers = tf.data.Dataset.random(self.seed + 1, rerandomize_each_iteration=True)
            batches = tf.data.Dataset.zip(batches, numbers)
            batches = batches.map(as_it_is(self._numbered), num_parallel_calls=self.loading.num_workers)
            batches = augmenter(self.preprocessor, augment)(batches)
        else:
            batches = batches.map(as_it_is(self._finished), num_parallel_calls=self.loading.num_workers)
        batches = batches.map(as_it_is(self._structured)).prefetch(2)
        batches.problems = self.read.problems
        if not (self.loading.bucket_by or self.loading.initial_step):
            # Progress bars want to know it. `assert_cardinality` would turn a skipped sample into an error.
            count = self._num_batches()
            batches.cardinality = lambda: tf.constant(count, tf.int64)
        return batches

    def _num_batches(self):
        full = len(self.order) // self.batch_size
        return full if self.loading.drop_remainder else -(-len(self.order) // self.batch_size)

    @property
    def _picks(self):
        return not self.grouped and any(isinstance(part, Text) for part in self.preprocessor.parts.values())

    def _read(self, unit, epoch):
        wires = self.read(unit, epoch)
        for modality, wire in (wires or {}).items():
            if wire is not None and wire_of(wire) != self.wires[modality]:
                held = f"the first records hold {_words(self.wires[modality])}, this one {_words(wire_of(wire))}"
                self.read.note(unit, PartError(modality, held))
                return None
        if self.loading.strict and wires is not None and not self._is_readable(unit, wires):
            return None
        if wires is not None:
            self.waiting.setdefault(epoch, set()).add(unit)
        return wires

    def _units(self, batch):
        import tensorflow as tf

        return tf.stack([batch["unit"], batch["epoch"]])

    def _is_readable(self, unit, wires):
        """Whether the graph of each part takes its wire form; noted if not."""
        for modality, part in self.preprocessor.parts.items():
            shape = self._sample_shape(modality, part)
            if self._is_list(part):
                shape = (None, *shape[1:])  # Lists are brought to the size of the group later.
            reason = wires[modality] is not None and _failure(part, wires[modality], shape)
            if reason:
                self.read.note(unit, PartError(modality, reason))
                return False
        return True

    def _decode(self, sample):
        import tensorflow as tf

        prepared = {"unit": sample["unit"], "epoch": sample["epoch"]}
        for modality, part in self.preprocessor.parts.items():
            there, wire = sample[modality + "?"], sample[modality]
            shape = self._sample_shape(modality, part)
            if modality in self.preprocessor.optional:
                filler = tf.zeros(part.filler_shape(shape), part.storage_dtype)
                value = tf.cond(there, lambda p=part, w=wire: self._value(p, w), lambda f=filler: f)
            else:
                value = self._value(part, wire)
            prepared[modality] = tf.ensure_shape(value, shape)
            prepared[modality + "?"] = there
            if isinstance(part, Label) and self.read.units is not None:
                count = tf.shape(wire)[0]
                prepared["weight"] = tf.cast(tf.range(self.read.group_size) < count, "float32")
        return prepared

    def _value(self, part, wire):
        import tensorflow as tf

        value = part.graph(wire)
        if isinstance(part, Text) and value.shape.rank == len(part.shape):
            # Token ids as they are: one text.
            value = value[tf.newaxis]
        return self._fit_group(value) if self.grouped and self._is_list(part) else value

    def _sample_shape(self, modality, part):
        if self._is_list(part):
            return (self.read.group_size, *part.shape)
        if isinstance(part, (Features, Signal)) and part.shape[-1] is None and self.seen_shapes.get(modality):
            # A model must know how many channels there are, also where the part has learned nothing.
            return (*part.shape[:-1], self.seen_shapes[modality][-1])
        if isinstance(part, Label) and self.wires[modality].rank > len(part.shape):
            # A label for each step, or several numbers.
            return (None,) * self.wires[modality].rank
        return part.shape

    def _is_list(self, part):
        """Whether a sample holds several values of this part: texts always, labels where records are grouped."""
        return isinstance(part, Text) or (isinstance(part, Label) and self.read.units is not None)

    def _fit_group(self, value):
        import tensorflow as tf

        size = self.read.group_size
        value = value[:size]
        room = [[0, size - tf.shape(value)[0]]] + [[0, 0]] * (value.shape.rank - 1)
        return tf.pad(value, room)

    def _pick(self, sample, number):
        """One of several texts, by the seed of the sample or, behind a cache, by a number of its own."""
        import tensorflow as tf

        for modality, part in self.preprocessor.parts.items():
            if not isinstance(part, Text):
                continue
            texts = sample[modality]
            seed = [number, 0] if self.cached else [self.seed + sample["epoch"], sample["unit"]]
            choice = tf.random.stateless_uniform((), seed, maxval=tf.shape(texts)[0], dtype=tf.int32)
            ids = texts[choice if self.shuffle else 0]
            if part.shape[0] is None:
                # The longest of the texts padded the others.
                ids = ids[: tf.reduce_max(tf.where(ids != 0, tf.range(1, tf.size(ids) + 1), 1))]
            sample[modality] = tf.ensure_shape(ids, part.shape)
        return sample

    def _batched(self, samples):
        import tensorflow as tf

        drop = self.loading.drop_remainder
        if self.loading.bucket_by is not None:
            boundaries = self._boundaries(samples)
            return samples.bucket_by_sequence_length(
                lambda sample: self._length(sample),
                boundaries,
                [self.batch_size] * (len(boundaries) + 1),
                drop_remainder=drop,
            )
        spec = samples.element_spec
        if any(None in s.shape for s in tf.nest.flatten(spec)):
            return samples.padded_batch(self.batch_size, drop_remainder=drop)
        return samples.batch(self.batch_size, drop_remainder=drop)

    def _length(self, sample):
        import tensorflow as tf

        modality = self.loading.bucket_by
        part = self.preprocessor[modality]
        value = sample[modality]
        if isinstance(part, Text):
            return tf.math.count_nonzero(tf.reshape(value, (-1,)), dtype="int32")
        return tf.shape(value)[0]

    def _boundaries(self, samples):
        modality = self.loading.bucket_by
        shape = self.preprocessor[modality].shape
        if not shape or shape[0] is not None:
            raise ValueError(
                f"`bucket_by` batches samples of like length; {modality!r} has the fixed shape {shape}. Build its part "
                "without a length"
            )
        lengths = [int(self._length(sample)) for sample in samples.take(_BUCKET_SAMPLE)]
        cuts = np.quantile(lengths, np.linspace(0, 1, _NUM_BUCKETS + 1)[1:-1])
        return sorted({int(cut) + 1 for cut in cuts})

    def _numbered(self, batch, number):
        """A finished batch and the seed of its augmentation, that of its first sample where no cache lies between."""
        import tensorflow as tf

        first = tf.stack([self.seed + batch["epoch"][0], batch["unit"][0]])
        return self._finished(batch), tf.stack([number, 0]) if self.cached else first

    def _finished(self, batch):
        """Keys and dtypes of the model, from modalities and storage dtypes."""
        import tensorflow as tf

        named = {}
        for modality, part in self.preprocessor.parts.items():
            named |= self.preprocessor.by_key(modality, tf.cast(batch[modality], part.dtype))
            if modality in self.preprocessor.optional:
                named[presence_key(modality)] = batch[modality + "?"]
        if "weight" in batch:
            named["weight"] = batch["weight"]
        return named

    def _structured(self, batch):
        labels = [name for name, part in self.preprocessor.parts.items() if part.kind is None]
        y = {name: batch.pop(name) for name in labels}
        weight = batch.pop("weight", None)
        if not y:
            return batch
        y = next(iter(y.values())) if len(y) == 1 else y
        return (batch, y) if weight is None else (batch, y, weight)

    def _seen(self, units):
        units, epochs = units.tolist()
        self.epoch = epochs[0]
        self.waiting.setdefault(self.epoch, set()).difference_update(units)
        self._raise_if_strict()
        # Keras stops at the last batch without asking for another; one that is not full is the last.
        if len(units) < self.batch_size and not (self.cached or self.loading.bucket_by):
            self._finish()

    def _finish(self):
        """Find out why units that were read did not come through the graph, and say all that was skipped."""
        # Where not one batch came through, every epoch so far is at its end.
        ended = [epoch for epoch in list(self.waiting) if self.epoch is None or epoch <= self.epoch]
        left = [self.waiting.pop(epoch) for epoch in ended]
        for unit in sorted(left[-1] if left else ()):
            wires = self.read(unit, 0)
            if wires is not None and self._is_readable(unit, wires) and not self.loading.drop_remainder:
                self.read.note(unit, ValueError("it was lost on its way through the pipeline"))
        self._raise_if_strict()
        if self.note is not None:
            self.note.write(self.read.problems)
        told, self.told = self.told, len(self.read.problems)
        self.read.problems.warn(len(self.read), already=told, stacklevel=2)

    def _raise_if_strict(self):
        if self.loading.strict and self.read.problems:
            raise ValueError(f"{self.read.problems.task}, strict: {self.read.problems[0]}")


def _failure(part, wire, shape):
    """Why the graph of a part fails on a wire form, or None."""
    import tensorflow as tf

    try:
        prepared = part.graph(tf.constant(wire))
        if len(shape) == prepared.shape.rank and not prepared.shape.is_compatible_with(shape):
            return f"its prepared shape {tuple(prepared.shape)} is not {shape}, that of the first records"
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        return graph_failure(error)
    return None


def _has_tensorflow():
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        return False
    return True


def _loading(arguments):
    try:
        return Loading(**arguments)
    except TypeError:
        known = list(Loading.__dataclass_fields__)
        unknown = sorted(set(arguments) - set(known))
        raise ValueError(f"`dataset` has no arguments {unknown}; besides its own it takes {known}") from None


def _groups(records, key, size, seed):
    """Row numbers of the records that share a value, in lots of at most `size`."""
    rows = {}
    for row, value in enumerate(records.column(key)):
        rows.setdefault(row if value is None else str(value), []).append(row)
    rng = None if seed is None else np.random.default_rng(seed)
    units = []
    for group in rows.values():
        group = np.asarray(group) if rng is None else rng.permutation(group)
        units += [group[start : start + size] for start in range(0, len(group), size)]
    return units


def _weights(preprocessor, records, units, key):
    if units is not None:
        raise ValueError("`balance` and `group_by` exclude each other. Received both")
    if key == "modalities":
        names = [name for name, part in preprocessor.parts.items() if part.kind is not None]
        return balancing_weights([tuple(record.get(name) is not None for name in names) for record in records])
    return balancing_weights(records.column(key))


def _words(wire: Wire):
    if wire.dtype == "string":
        return "a list of files or texts" if wire.rank else "a file"
    return f"an array of {wire.dtype} with {wire.rank} axes"
