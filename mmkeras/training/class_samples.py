"""What a task answers to some records, and where it is wrong, for TensorBoard."""

from typing import final

import keras
import numpy as np

from mmkeras.evaluation import confusion_matrix, plot_confusion
from mmkeras.layers import ClassHead
from mmkeras.models import VisualQuestionAnswering
from mmkeras.training.summaries import (
    draw_samples,
    import_figure,
    in_words,
    picture_of,
    pictures_of,
    write_figure,
    write_table,
)

# A confusion of more classes cannot be read.
_MOST_CLASSES = 40
_BATCH = 64


@final
class ClassSamples:
    """Writes what classes are taken for what, and the surest of the wrong answers; of other answers the first ones.

    Args:
        task: a `FusionTask` with a preprocessor.
        records: raw records.
        num_samples: how many answers are shown.
    """

    def __init__(self, task, records, num_samples):
        import_figure("give no records")
        self._task = task
        self._records = records
        self._num_samples = num_samples
        self._modality = picture_of(task)
        # What cannot be read is said now, not after an epoch.
        task.prepare(records[:1])
        self._targets = [self._labels(task.preprocessor.targets(chunk)) for chunk in self._chunks()]

    def write(self):
        """Let the task answer, and write it to the writer and the step that are the default."""
        found = {name: [] for name in self._targets[0]}
        for number, (chunk, y) in enumerate(zip(self._chunks(), self._targets, strict=True)):
            x = self._task.prepare(chunk)
            outputs, weights = self._task.predict_on_batch(x), self._task.weights_of_samples(x, y)
            for name, labels in y.items():
                made = keras.ops.convert_to_numpy(outputs[name])
                weight = np.ones(labels.shape[:1]) if weights[name] is None else weights[name]
                known = keras.ops.convert_to_numpy(weight) > 0
                # A row for each sample, or for each step of it.
                places = np.argwhere(known)
                rows = number * _BATCH + places[:, 0]
                found[name].append((rows, labels[known], made[known]))
        for name, parts in found.items():
            rows, labels, made = (np.concatenate(values) for values in zip(*parts, strict=True))
            if len(rows):
                self._write_answers(name, rows, labels, made)

    def _write_answers(self, name, rows, labels, made):
        head = self._task.head(name)
        soft = isinstance(self._task, VisualQuestionAnswering) and self._task.soft
        if not isinstance(head, ClassHead) or (head.multi_label and not soft):
            shown = slice(self._num_samples)
            answered = [_plain(answer) for answer in head.answers(made[shown])]
            true = [_plain(answer) for answer in head.answers(np.asarray(labels[shown], "float32"))]
            self._write_samples(f"answers/{name}", rows[shown], answered, true)
            return
        given = made.argmax(axis=-1)
        true = labels.argmax(axis=-1) if soft else labels.astype(int)
        is_wrong = np.take_along_axis(labels, given[:, None], axis=1)[:, 0] <= 0 if soft else given != true
        self._write_confusion(name, np.where(is_wrong, true, given), given, head.names)
        sure = made.max(axis=-1)
        wrong = np.flatnonzero(is_wrong)
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")][: self._num_samples]
        if len(wrong) and self._task.output[name].shape[1:] == made.shape[1:]:
            answered = [f"{head.names[given[row]]} ({100 * sure[row]:.0f} %)" for row in wrong]
            self._write_samples(f"wrong/{name}", rows[wrong], answered, [head.names[true[row]] for row in wrong])

    def _write_confusion(self, name, true, given, names):
        confusion = confusion_matrix(true, given, len(names))
        if len(names) > _MOST_CLASSES:
            mistakes = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
            kept = np.sort(np.argsort(-mistakes, kind="stable")[:_MOST_CLASSES])
            # Shares of what remains of a class would mislead.
            figure = plot_confusion(confusion[np.ix_(kept, kept)], [names[index] for index in kept], normalize=False)
            figure.suptitle(f"the {_MOST_CLASSES} of {len(names)} classes with the most mistakes", fontsize="small")
        else:
            figure = plot_confusion(confusion, names)
        write_figure(f"confusion/{name}", figure)

    def _write_samples(self, name, rows, answered, true):
        """Write some answers under their pictures where there are any, else as a table."""
        records = [self._records[row] for row in rows]
        words = [in_words(record, self._task.encoders) for record in records]
        if self._modality is None:
            words = [known or f"record {row}" for known, row in zip(words, rows, strict=True)]
            write_table(name, ("answered", "is", "of"), zip(answered, true, words, strict=True))
            return
        notes = [f"is {is_true}\n{known}".strip() for is_true, known in zip(true, words, strict=True)]
        pictures = pictures_of(self._task, records, self._modality)
        write_figure(name, draw_samples(pictures, answered, notes))

    def _labels(self, targets):
        if targets is None:
            raise ValueError(
                "The answers to records are compared with their labels: give the task's preprocessor a `Label` part, "
                f"or TensorBoard no records. Received: parts {sorted(self._task.preprocessor.parts)}"
            )
        targets = targets if isinstance(targets, dict) else {next(iter(self._task.output)): targets}
        return {name: np.asarray(labels) for name, labels in targets.items() if name in self._task.output}

    def _chunks(self):
        for start in range(0, len(self._records), _BATCH):
            yield self._records[start : start + _BATCH]


def _plain(answer):
    """An answer of a head in a few words."""
    if isinstance(answer, dict):
        answer = answer["labels"] or "nothing"
    if isinstance(answer, list):
        return ", ".join(map(_plain, answer))
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)
