"""What a task said of some records, for TensorBoard."""

from typing import final

import keras

from mmkeras.evaluation.sentence_controls import references_of
from mmkeras.interpret.attention_picture import attention_grid, plot_attention
from mmkeras.models import Transcriber
from mmkeras.training.summaries import (
    draw_samples,
    import_figure,
    picture_of,
    pictures_of,
    reads,
    write_figure,
    write_table,
)


@final
class SentenceSamples:
    """Writes what a task says of the first records: beside what people said, under pictures, and where it looked.

    Args:
        task: a `SentenceTask` or a `Transcriber` with a preprocessor.
        records: raw records.
        num_samples: how many of them are shown.
    """

    def __init__(self, task, records, num_samples):
        self._task = task
        self._records = list(records[:num_samples])
        self._told = [told[0] for told in references_of(self._records, task.sentence)]
        # What cannot be read is said now, not after an epoch.
        task.prepare(self._records[:1], tuple(task.encoders))
        self._modality = picture_of(task)
        self._grid = None
        if self._modality is not None:
            import_figure("give no records")
            self._grid = _grid(task, self._records[0], self._modality)

    def write(self):
        """Let the task speak, and write it to the writer and the step that are the default."""
        if self._grid is None:
            speak = self._task.transcribe if isinstance(self._task, Transcriber) else self._task.generate
            write_sentences(self._task, self._records, speak(self._records), self._told)
            return
        sentences = self._task.generate(self._records, return_attention=True)
        pictures = write_sentences(self._task, self._records, [sentence.text for sentence in sentences], self._told)
        for number, (picture, sentence) in enumerate(zip(pictures, sentences, strict=True)):
            write_figure(f"attention/{number}", plot_attention(picture, sentence, grid=self._grid))


def write_sentences(task, records, said, told):
    """Write a table of sentences and, where records can be looked at, their pictures; return the pictures or None."""
    write_table("sentences", ("said", "people said"), zip(said, told, strict=True))
    modality = picture_of(task)
    if modality is None:
        return None
    pictures = pictures_of(task, records, modality)
    write_figure("pictures", draw_samples(pictures, said, told))
    return pictures


def _grid(task, record, modality):
    """Rows and columns of what a decoder looks at, None where it does not attend to the cells of one picture."""
    if isinstance(task, Transcriber) or len(task.encoders) > 1 or not reads(task.encoders[modality], "image"):
        return None
    tokens = task.encoders[modality].output_shape
    if len(tokens) != 3 or tokens[1] in (None, 1) or not _attends(task.decoder, tokens[-1]):
        return None
    (picture,) = pictures_of(task, [record], modality)
    return attention_grid(tokens[1], picture.shape)


def _attends(decoder, context_dim):
    """Whether a decoder looks at its context while it speaks."""
    memory = decoder.remember(keras.ops.zeros((1, 1, context_dim), decoder.compute_dtype))
    return "attention" in decoder.initial_state(memory, 1)
