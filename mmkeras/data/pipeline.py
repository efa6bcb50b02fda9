"""Building blocks of tf.data pipelines that read records in Python and decode them in the graph.

The stream is: order of an epoch -> chunks read in Python, in parallel -> single samples decoded in the graph, in
parallel -> batches. What fails is left out, found by its number at the end of the epoch, and handed to a callable.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# Records read by one call into Python: enough to make the call itself cheap, few enough to spread over workers.
_CHUNK = 32


class Wire(NamedTuple):
    """What one value looks like between Python and the graph: the name of its dtype, and its number of axes."""

    dtype: str
    rank: int


@dataclass(frozen=True)
class Loading:
    """How a dataset is read; `Preprocessor.dataset` takes each as an argument.

    Args:
        drop_remainder: leave out a last batch that is not full.
        deterministic: whether samples keep the order that the seed gives; without it batches may come a little faster.
        bucket_by: modality of variable length by which samples of like length are batched together.
        balance: key of which every value shall come equally often, by drawing with replacement; `"modalities"` does so
            for the patterns of present modalities.
        shard: (number of shards, index of this one), for several workers; shuffled shards have one length.
        initial_epoch: epoch whose order comes first, to resume training.
        initial_step: number of batches of that epoch to pass over, to resume within it.
        strict: raise at the first bad sample instead of skipping, counting and naming it.
        workers: how many chunks are read and samples decoded at once; the number of cores by default.
    """

    drop_remainder: bool = False
    deterministic: bool = True
    bucket_by: str | None = None
    balance: str | None = None
    shard: tuple[int, int] | None = None
    initial_epoch: int = 0
    initial_step: int = 0
    strict: bool = False
    workers: int | None = None

    def __post_init__(self):
        if self.shard is not None and not 0 <= self.shard[1] < self.shard[0]:
            raise ValueError(f"`shard` is (number of shards, index of this one). Received: shard={self.shard}")
        if min(self.initial_epoch, self.initial_step) < 0:
            raise ValueError(
                "`initial_epoch` and `initial_step` count from 0. "
                f"Received: {self.initial_epoch} and {self.initial_step}"
            )

    @property
    def num_workers(self) -> int:
        return self.workers or os.cpu_count() or 1


class Order:
    """The order of units in each epoch: shuffled, balanced and sharded by a seed, the same on every machine.

    Args:
        num_units: number of units (samples, or groups of them).
        seed: integer.
        shuffle: whether each epoch has an order of its own.
        loading: a `Loading`.
        weights: how often each unit shall come, relative to the others; None for exactly once.
    """

    def __init__(self, num_units, *, seed, shuffle, loading, weights=None):
        self.num_units = num_units
        self.seed = seed
        self.shuffle = shuffle
        self.loading = loading
        self.weights = None if weights is None else np.asarray(weights, "float64") / np.sum(weights)

    def __len__(self):
        count, index = self.loading.shard or (1, 0)
        # Shuffled shards are of one length, and what is left over is another each epoch; in order, nothing is left out.
        return self.num_units // count if self.shuffle else len(range(index, self.num_units, count))

    def __call__(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        order = np.arange(self.num_units)
        if self.weights is not None:
            order = rng.choice(self.num_units, self.num_units, p=self.weights)
        if self.shuffle:
            rng.shuffle(order)
        if self.loading.shard:
            count, index = self.loading.shard
            order = order[index::count][: len(self)]
        return order.astype("int64")


def balancing_weights(values) -> np.ndarray:
    """Weights by which every different value comes equally often."""
    _, kinds, counts = np.unique([repr(value) for value in values], return_inverse=True, return_counts=True)
    return 1.0 / (len(counts) * counts[kinds])


def record_stream(
    read: Callable[[int, int], Mapping[str, Any] | None],
    wires: Mapping[str, Wire],
    order: Order,
    loading: Loading,
    *,
    skip: int = 0,
):
    """Stream of samples as Python reads them: a tf.data.Dataset of dicts.

    Args:
        read: (unit, epoch) -> dict name -> bytes, list of bytes or array, None where missing; None for a bad sample.
        wires: name -> `Wire`, for every name that `read` gives.
        order: the order of units.
        loading: a `Loading`.
        skip: number of units of the first epoch to pass over.

    Returns:
        Dataset of dicts: `"unit"`, `"epoch"`, and for each name the value and, under name + "?", whether it is there.
    """
    import tensorflow as tf

    # There is nothing for AutoGraph to convert, and it warns about what it cannot read.
    as_it_is = tf.autograph.experimental.do_not_convert
    epochs = iter(range(loading.initial_epoch, 2**31))

    def begin(_):
        epoch = next(epochs)
        units = order(epoch)
        units = units[skip:] if epoch == loading.initial_epoch else units
        return units, np.full(len(units), epoch, "int64")

    dtypes = [tf.int64, tf.int64]
    for wire in wires.values():
        dtypes += [tf.bool, tf.as_dtype(wire.dtype)] + [tf.int64] * (wire.rank > 0)

    def read_chunk(units, epochs):
        samples = [(unit, epoch, read(int(unit), int(epoch))) for unit, epoch in zip(units, epochs, strict=True)]
        samples = [sample for sample in samples if sample[2] is not None]
        columns = [np.array([sample[n] for sample in samples], "int64") for n in (0, 1)]
        for name, wire in wires.items():
            columns += _pack([sample[2][name] for sample in samples], wire)
        return columns

    def chunk(units, epochs):
        flat = tf.numpy_function(read_chunk, [units, epochs], dtypes, name="read")
        sample = {"unit": flat.pop(0), "epoch": flat.pop(0)}
        for tensor in sample.values():
            tensor.set_shape((None,))
        for name, wire in wires.items():
            present, value = flat.pop(0), flat.pop(0)
            present.set_shape((None,))
            value.set_shape((None,) * (wire.rank + 1))
            sample |= {name + "?": present, name: value}
            if wire.rank:
                shape = flat.pop(0)
                shape.set_shape((None, wire.rank))
                sample[name + "#"] = shape
        return sample

    def unpack(sample):
        sizes = {name: sample.pop(name + "#") for name, wire in wires.items() if wire.rank}
        # Chunks are padded to one shape; each sample gets its own back.
        cut = {name: tf.slice(sample[name], tf.zeros_like(size), size) for name, size in sizes.items()}
        return {**sample, **cut}

    def epoch_of_units(zero):
        units, epoch = tf.numpy_function(begin, [zero], [tf.int64, tf.int64], name="begin_epoch")
        return tf.data.Dataset.from_tensor_slices((tf.ensure_shape(units, (None,)), tf.ensure_shape(epoch, (None,))))

    units = tf.data.Dataset.from_tensors(0).flat_map(as_it_is(epoch_of_units))
    large = any(wire.rank > 1 for wire in wires.values())
    chunks = units.batch(4 if large else _CHUNK).map(
        as_it_is(chunk), num_parallel_calls=loading.num_workers, deterministic=loading.deterministic
    )
    stream = chunks.unbatch()
    return stream.map(as_it_is(unpack)) if any(wire.rank for wire in wires.values()) else stream


def watched(dataset, batch_units: Callable, seen: Callable[[np.ndarray], None], finish: Callable[[], None]):
    """Dataset that tells Python which units passed, and when an epoch has ended.

    Args:
        dataset: dataset of batches.
        batch_units: batch -> tensor of its unit numbers, or whatever else `seen` wants to know.
        seen: called with that of each batch.
        finish: called at the end of each epoch.
    """
    import tensorflow as tf

    as_it_is = tf.autograph.experimental.do_not_convert

    def note(batch):
        def call(units):
            seen(units)
            return np.int64(0)

        with tf.control_dependencies([tf.numpy_function(call, [batch_units(batch)], tf.int64, name="seen")]):
            return tf.nest.map_structure(tf.identity, batch)

    def end(_):
        def call():
            finish()
            return False

        return tf.ensure_shape(tf.numpy_function(call, [], tf.bool, name="end_epoch"), ())

    def blank(_):
        return tf.nest.map_structure(lambda s: tf.zeros([n or 0 for n in s.shape], s.dtype), spec)

    # An element that never passes its filter, reached when all others have been given.
    spec = dataset.element_spec
    last = tf.data.Dataset.from_tensors(0).filter(as_it_is(end))
    last = last.map(as_it_is(blank))
    return dataset.map(as_it_is(note)).concatenate(last)


def _pack(values, wire):
    """Column of values as [present, padded array] and, for values with axes, [sizes]."""
    present = np.array([value is not None for value in values], bool)
    if wire.rank == 0:
        filler = b"" if wire.dtype == "string" else np.zeros((), wire.dtype)
        column = [filler if value is None else value for value in values]
        return [present, np.array(column, object if wire.dtype == "string" else wire.dtype)]
    given = [None if value is None else _as_array(value, wire) for value in values]
    sizes = np.array([(0,) * wire.rank if value is None else value.shape for value in given], "int64")
    sizes = sizes.reshape(len(values), wire.rank)
    # Never without elements: `unbatch` ends the process on such a tensor.
    room = np.maximum(sizes.max(axis=0, initial=0), 1)
    text = wire.dtype == "string"
    packed = np.full((len(values), *room), b"" if text else 0, object if text else wire.dtype)
    for row, value in enumerate(given):
        if value is not None:
            packed[(row, *map(slice, value.shape))] = value
    return [present, packed, sizes]


def _as_array(value, wire):
    if wire.dtype != "string":
        return np.asarray(value)
    array = np.empty(len(value), object)
    array[:] = value
    return array
