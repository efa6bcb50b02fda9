"""What a task says, while it trains."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import keras

from mmkeras.evaluation import caption_report, recognition_report
from mmkeras.evaluation.recognition import RATES
from mmkeras.evaluation.sentence_controls import MEASURES, references_of
from mmkeras.models import SentenceTask, Transcriber
from mmkeras.retrieval.embeddings import check_count
from mmkeras.training.sentence_samples import write_sentences
from mmkeras.training.summaries import import_figure, import_summary, picture_of

# What is logged of captions and translations, and of what was recognised.
_OF_CAPTIONS = ("bleu_4", "rouge_l", "cider_d")
_OF_TRANSCRIPTS = ("word_error_rate", "character_error_rate")


@final
class SentenceCallback(keras.callbacks.Callback):
    """Let a captioner, translator or transcriber speak on a validation set as epochs end, and log how well.

    Accuracy and perplexity see the next word after true ones, and CTC all ways to say a sentence; this sees the
    sentences themselves. Put it before the callbacks that read its values:

    ```python
    said = mm.training.SentenceCallback(val, every=2, log_dir="logs")
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="val_cider_d", mode="max", save_best_only=True)
    task.fit(pre.dataset(train), epochs=20, callbacks=[said, best])
    ```

    It speaks after the first epoch, after every `every`-th, and after the last; the epochs between repeat the values
    before them. Of a `Transcriber` it logs how much was recognised wrongly: there less is better (`mode="min"`).

    Args:
        records: the validation records, with what people said.
        every: number of epochs from one measurement to the next.
        num_beams: how many beams say the sentences.
        measures: which measures are logged, of `mm.evaluation.caption_report`, or of `recognition_report` for a
            `Transcriber`; None takes BLEU-4, ROUGE-L and CIDEr-D, or the error rates of words and of characters.
        prefix: what their names in the logs begin with.
        log_dir: folder for TensorBoard, where samples appear as text and, with pictures, as images; None for none.
            `mm.training.TensorBoard` shows more of them, and where the decoder looked.
        num_samples: how many samples appear there.
        batch_size: how many records are described together.

    Attributes:
        results: dict from epoch, counted from 0, to the whole report of it.
        samples: the first sentences of the last measurement.

    Example:

    >>> text = mm.preprocessing.Text(vocabulary=["dog", "cat"], length=4)
    >>> pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((8, 8)), text=text)
    >>> task = mm.models.ImageCaptioner(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), units=4, preprocessor=pre)
    >>> task.compile()
    >>> records = [{"image": np.zeros((8, 8, 3), "uint8"), "text": word} for word in ("dog", "cat")]
    >>> callback = SentenceCallback(records, measures=("bleu_1",))
    >>> history = task.fit(pre(records), callbacks=[callback], verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'loss', 'perplexity', 'val_bleu_1']
    """

    def __init__(
        self,
        records: Iterable[Mapping],
        *,
        every: int = 1,
        num_beams: int = 1,
        measures: Sequence[str] | None = None,
        prefix: str = "val_",
        log_dir: Any = None,
        num_samples: int = 8,
        batch_size: int = 64,
    ):
        super().__init__()
        measures = (measures,) if isinstance(measures, str) else measures
        if measures is not None and (not measures or set(measures) - {*MEASURES, *RATES}):
            raise ValueError(
                f"`measures` must name some of {MEASURES}, or of {RATES} for a Transcriber. "
                f"Received: measures={measures!r}"
            )
        self.records = list(records)
        self.every = check_count("every", every)
        self.num_beams = check_count("num_beams", num_beams)
        self.measures = None if measures is None else tuple(measures)
        self.prefix = prefix
        self.log_dir = log_dir
        self.num_samples = check_count("num_samples", num_samples)
        self.batch_size = check_count("batch_size", batch_size)
        if not self.records:
            raise ValueError("At least one record is needed. Received: none")
        self.results = {}
        self.samples = []
        self._chosen = self.measures
        self._logged = {}
        self._writer = None

    def on_train_begin(self, logs=None):
        task = self.model
        if not isinstance(task, SentenceTask | Transcriber):
            raise ValueError(f"SentenceCallback is for tasks that say sentences. Received: {type(task).__name__}")
        if task.preprocessor is None:
            raise ValueError(
                "SentenceCallback speaks about raw records: build the task with `preprocessor=`. Received: None"
            )
        known, usual = (RATES, _OF_TRANSCRIPTS) if isinstance(task, Transcriber) else (MEASURES, _OF_CAPTIONS)
        self._chosen = usual if self.measures is None else self.measures
        if set(self._chosen) - set(known):
            raise ValueError(
                f"`measures` for a {type(task).__name__} must name some of {known}. Received: measures={self.measures}"
            )
        self._references = references_of(self.records, task.sentence)
        if isinstance(task, Transcriber) and any(len(said) > 1 for said in self._references):
            raise ValueError(
                f"What is recognised is compared with one sentence, and a record has several under {task.sentence!r}: "
                f"keep the true one. Received: {next(said for said in self._references if len(said) > 1)!r:.120}"
            )
        if self.log_dir is not None:
            import_summary("give log_dir=None")
            if picture_of(task) is not None:
                import_figure("give log_dir=None")
        self.results, self._logged = {}, {}

    def on_epoch_end(self, epoch, logs=None):
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        if not self.results or (epoch + 1) % self.every == 0 or is_last:
            said, found = self._measured()
            self.results[epoch] = found
            self.samples = said[: self.num_samples]
            self._logged = {self.prefix + name: found[name] for name in self._chosen}
            if self.log_dir is not None:
                self._write(epoch)
        if logs is not None:
            logs.update(self._logged)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _measured(self):
        """The sentences of all records, and how good they are."""
        if isinstance(self.model, Transcriber):
            said = self.model.transcribe(self.records, self.num_beams, batch_size=self.batch_size)
            return said, recognition_report(said, [true for (true,) in self._references])
        said = self.model.generate(self.records, self.num_beams, batch_size=self.batch_size)
        return said, caption_report(said, self._references)

    def _write(self, epoch):
        summary = import_summary("give log_dir=None")
        self._writer = self._writer or summary.create_file_writer(str(self.log_dir))
        with self._writer.as_default(step=epoch), summary.record_if(True):
            for name, value in self._logged.items():
                summary.scalar(name, value)
            shown = self.records[: self.num_samples]
            told = [said[0] for said in self._references[: self.num_samples]]
            write_sentences(self.model, shown, self.samples, told)
            self._writer.flush()
