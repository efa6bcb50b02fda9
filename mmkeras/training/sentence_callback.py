"""What a task says, while it trains."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np

from mmkeras.evaluation import caption_report
from mmkeras.evaluation.sentence_controls import MEASURES, references_of
from mmkeras.models import SentenceTask
from mmkeras.retrieval.embeddings import check_count


@final
class SentenceCallback(keras.callbacks.Callback):
    """Let a captioner or translator speak on a validation set as epochs end, and log how well.

    Accuracy and perplexity see the next word after true ones; this sees the sentences themselves. Put it before the
    callbacks that read its values:

    ```python
    said = mm.training.SentenceCallback(val, every=2, log_dir="logs")
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="val_cider_d", mode="max", save_best_only=True)
    task.fit(pre.dataset(train), epochs=20, callbacks=[said, best])
    ```

    It speaks after the first epoch, after every `every`-th, and after the last; the epochs between repeat the values
    before them.

    Args:
        records: the validation records, with what people said.
        every: number of epochs from one measurement to the next.
        num_beams: how many beams say the sentences.
        measures: which measures of `mm.evaluation.caption_report` are logged.
        prefix: what their names in the logs begin with.
        log_dir: folder for TensorBoard, where samples appear as text and, with pictures, as images; None for none.
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
        measures: Sequence[str] = ("bleu_4", "rouge_l", "cider_d"),
        prefix: str = "val_",
        log_dir: Any = None,
        num_samples: int = 8,
        batch_size: int = 64,
    ):
        super().__init__()
        measures = (measures,) if isinstance(measures, str) else tuple(measures)
        if not measures or set(measures) - set(MEASURES):
            raise ValueError(f"`measures` must name some of {MEASURES}. Received: measures={measures!r}")
        self.records = list(records)
        self.every = check_count("every", every)
        self.num_beams = check_count("num_beams", num_beams)
        self.measures = measures
        self.prefix = prefix
        self.log_dir = log_dir
        self.num_samples = check_count("num_samples", num_samples)
        self.batch_size = check_count("batch_size", batch_size)
        if not self.records:
            raise ValueError("At least one record is needed. Received: none")
        self.results = {}
        self.samples = []
        self._logged = {}
        self._writer = None

    def on_train_begin(self, logs=None):
        if not isinstance(self.model, SentenceTask):
            raise ValueError(f"SentenceCallback is for tasks that say sentences. Received: {type(self.model).__name__}")
        if self.model.preprocessor is None:
            raise ValueError(
                "SentenceCallback speaks about raw records: build the task with `preprocessor=`. Received: None"
            )
        self._references = references_of(self.records, self.model.sentence)
        self.results, self._logged = {}, {}

    def on_epoch_end(self, epoch, logs=None):
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        if not self.results or (epoch + 1) % self.every == 0 or is_last:
            task = self.model
            said = task.generate(self.records, self.num_beams, batch_size=self.batch_size)
            found = caption_report(said, self._references)
            self.results[epoch] = found
            self.samples = said[: self.num_samples]
            self._logged = {self.prefix + name: found[name] for name in self.measures}
            if self.log_dir is not None:
                self._write(epoch)
        if logs is not None:
            logs.update(self._logged)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, epoch):
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError("Writing for TensorBoard needs TensorFlow: install it, or give log_dir=None.") from error
        self._writer = self._writer or tf.summary.create_file_writer(str(self.log_dir))
        task = self.model
        with self._writer.as_default(step=epoch):
            for name, value in self._logged.items():
                tf.summary.scalar(name, value)
            lines = ["| said | people said |", "| --- | --- |"]
            for pair in zip(self.samples, (said[0] for said in self._references), strict=False):
                cells = [sentence.replace("|", "\\|").replace("\n", " ") for sentence in pair]
                lines.append(f"| {' | '.join(cells)} |")
            tf.summary.text("sentences", "\n".join(lines))
            if "image" in task.encoders:
                pictures = task.prepare(self.records[: self.num_samples], ("image",))["image"]
                tf.summary.image("pictures", np.clip(pictures / 255.0, 0, 1), max_outputs=self.num_samples)
            self._writer.flush()
