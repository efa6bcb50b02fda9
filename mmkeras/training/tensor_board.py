"""Watch a task learn, in TensorBoard."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, final

import keras

from mmkeras.evaluation.fitting import is_dataset
from mmkeras.models import EmbeddingTask, FusionTask, SentenceTask, Task, Transcriber
from mmkeras.retrieval.embeddings import check_count
from mmkeras.training.class_samples import ClassSamples
from mmkeras.training.embedding_samples import EmbeddingSamples
from mmkeras.training.hyper_parameters import check_hyper_parameters, read_hyper_parameters, write_end, write_start
from mmkeras.training.sentence_samples import SentenceSamples
from mmkeras.training.summaries import import_summary
from mmkeras.training.task_graph import write_task_graph

_WITHOUT = "leave this callback out"


@final
class TensorBoard(keras.callbacks.TensorBoard):
    """Write for TensorBoard what Keras' own callback writes, and what a task makes of some records.

    Numbers, histograms and profiles are Keras'. A graph of the task's layers and its hyper-parameters come with any
    task, so that the HPARAMS tab compares runs in folders beside one another. With `records` it shows, after the first
    epoch, after every `every`-th and after the last:

    | task | what is shown |
    |---|---|
    | captioners, translators, `Transcriber` | what it says and people said, with pictures, and where it looked |
    | `JointEmbedding` and its like | all modalities in one space, with thumbnails, in the projector |
    | classifiers, questions, `MultiTask`, clips | what is taken for what, and the surest of the wrong answers |
    | others with heads, such as numbers | answers beside the truth |

    ```python
    shown = mm.training.TensorBoard("logs/lstm", val, every=2, hyper_parameters={"batch_size": 64})
    task.fit(pre.dataset(train, 64), validation_data=pre.dataset(val, 64), epochs=20, callbacks=[shown])
    ```

    Then `tensorboard --logdir logs`. Put it behind callbacks that measure, such as `SentenceCallback` and
    `RetrievalCallback`: their numbers are written too. Writing needs TensorFlow, on JAX as well, and pictures need
    matplotlib. Whatever else `keras.callbacks.TensorBoard` takes, such as `histogram_freq` and `profile_batch`, may be
    given by name.

    Args:
        log_dir: the folder of this run.
        records: raw validation records, for a task with a preprocessor; None for none.
        every: number of epochs from one look at the records to the next.
        num_samples: how many sentences, pictures and answers are shown. Classes are counted on all records, the
            projector takes up to a thousand.
        hyper_parameters: dict of numbers, strings and bools by name, beside what can be read off the task: the kinds of
            its parts, its size, its optimizer.

    Example:

    >>> callback = TensorBoard("logs", every=5, hyper_parameters={"batch_size": 64})
    >>> callback.log_dir, callback.every
    ('logs', 5)
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        records: Iterable[Mapping] | None = None,
        *,
        every: int = 1,
        num_samples: int = 8,
        hyper_parameters: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(os.fspath(log_dir), **kwargs)
        self.records = None if records is None else _checked(records)
        self.every = check_count("every", every)
        self.num_samples = check_count("num_samples", num_samples)
        self.hyper_parameters = check_hyper_parameters(hyper_parameters)
        self._samples = None
        self._writer = None
        self._ended, self._shown = None, None

    def set_model(self, model):
        import_summary(_WITHOUT)
        super().set_model(model)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._ended, self._shown = None, None
        self._samples = None if self.records is None else self._samples_of(self.model)
        summary = import_summary(_WITHOUT)
        self._writer = summary.create_file_writer(self.log_dir)
        with self._writer.as_default(step=0), summary.record_if(True):
            write_start({**read_hyper_parameters(self.model, self.params.get("epochs")), **self.hyper_parameters})
            if self.write_graph and isinstance(self.model, Task):
                write_task_graph(self.model)
        self._writer.flush()

    def on_epoch_end(self, epoch, logs=None):
        # Where Keras writes some batches only, it would write the numbers of an epoch only if it ends at one of them.
        with import_summary(_WITHOUT).record_if(True):
            super().on_epoch_end(epoch, logs)
        self._ended = epoch
        is_last = epoch + 1 == self.params.get("epochs")
        if self._shown is None or (epoch + 1) % self.every == 0 or is_last:
            self._show()

    def on_train_end(self, logs=None):
        # Training may have stopped early.
        if self._ended != self._shown:
            self._show()
        with self._writer.as_default(step=0), import_summary(_WITHOUT).record_if(True):
            write_end()
        self._writer.close()
        super().on_train_end(logs)

    def _show(self):
        self._shown = self._ended
        if self._samples is not None:
            with self._writer.as_default(step=self._ended), import_summary(_WITHOUT).record_if(True):
                self._samples.write()
            self._writer.flush()

    def _samples_of(self, task):
        """What is shown of the records, or an error that says why nothing can be."""
        if not isinstance(task, SentenceTask | Transcriber | EmbeddingTask | FusionTask):
            raise ValueError(
                "Records are shown of tasks that say sentences, embed, or answer; give TensorBoard no records. "
                f"Received: {type(task).__name__}"
            )
        if task.preprocessor is None:
            raise ValueError(
                "TensorBoard shows raw records: build the task with `preprocessor=`, or give no records. Received: "
                f"{type(task).__name__} with preprocessor=None"
            )
        if isinstance(task, SentenceTask | Transcriber):
            return SentenceSamples(task, self.records, self.num_samples)
        if isinstance(task, EmbeddingTask):
            return EmbeddingSamples(task, self.records, self.log_dir)
        return ClassSamples(task, self.records, self.num_samples)


def _checked(records):
    """Raw records as a list, or an error that says what they are."""
    if isinstance(records, Mapping | str | bytes) or is_dataset(records) or not isinstance(records, Iterable):
        raise ValueError(
            "`records` must be raw records, a dict for each sample, such as `mm.data.read_folder` gives, and no "
            f"batches or arrays. Received: {type(records).__name__}"
        )
    records = list(records)
    if not records:
        raise ValueError("At least one record is needed, or `records=None`. Received: an empty list")
    wrong = next((record for record in records if not isinstance(record, Mapping)), None)
    if wrong is not None:
        raise ValueError(
            f"`records` must be dicts, one for each sample. Received: {type(wrong).__name__} {wrong!r:.60}"
        )
    return records
