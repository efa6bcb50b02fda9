"""Batches without TensorFlow: a PyDataset over the NumPy side of the parts."""

import keras

from mmkeras.preprocessing.assembly import assemble, prepare_sample


class Batches(keras.utils.PyDataset):
    """Batches of prepared arrays, made by NumPy; see `Preprocessor.dataset`.

    A bad sample leaves a smaller batch and is named in `problems`.

    Args:
        preprocessor: the Preprocessor.
        read: a `UnitReader`.
        order: an `Order`.
        batch_size: number of samples in a batch.
        loading: a `Loading`.
    """

    def __init__(self, preprocessor, read, order, batch_size, loading):
        super().__init__()
        # Nothing readable is an error here, not in the middle of training.
        read.specs()
        self.preprocessor = preprocessor
        self.read = read
        self.order = order
        self.batch_size = batch_size
        self.loading = loading
        self.problems = read.problems
        self._told = 0
        self._epoch = loading.initial_epoch
        self._units = order(self._epoch)[loading.initial_step * batch_size :]

    def __len__(self):
        full = len(self._units) // self.batch_size
        return full if self.loading.drop_remainder else -(-len(self._units) // self.batch_size)

    def __getitem__(self, index):
        units = self._units[index * self.batch_size : (index + 1) * self.batch_size]
        samples = [sample for unit in units if (sample := self._sample(int(unit))) is not None]
        if self.loading.strict and self.problems:
            raise ValueError(f"{self.problems.task}, strict: {self.problems[0]}")
        if not samples:
            raise ValueError(f"None of the samples of a batch can be read: {self.problems[-1]}")
        x, y, weight = assemble(self.preprocessor, self.preprocessor.parts, samples, self.read)
        if y is None:
            return x
        return (x, y) if weight is None else (x, y, weight)

    def _sample(self, unit):
        wires = self.read(unit, self._epoch)
        try:
            return wires and prepare_sample(self.preprocessor, self.preprocessor.parts, wires)
        except ValueError as error:
            self.read.note(unit, error)
            return None

    def __iter__(self):
        yield from (self[index] for index in range(len(self)))
        self.on_epoch_end()

    def on_epoch_end(self):
        self.problems.warn(len(self.read), already=self._told, stacklevel=2)
        self._told = len(self.problems)
        self._epoch += 1
        self._units = self.order(self._epoch)
