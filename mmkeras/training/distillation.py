"""A student that learns from the answers of a teacher."""

from typing import final

import keras

from mmkeras.layers import ClassHead, NumberHead
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.groups import spread_product
from mmkeras.training.step import Step, with_loss


@final
@keras.saving.register_keras_serializable(package="mmkeras")
class Distillation(Step):
    """Train a task on the answers of another one beside the labels: a teacher that sees all teaches a student that sees
    less, or is smaller.

        loss = (1 - weight) * loss on labels + weight * T^2 * KL(teacher at T || student at T)

    where probabilities at temperature T are `p^(1/T)`, scaled to sum to one: what the teacher holds for possible says
    more than the label. Numbers are compared by their squared difference. Data hold the inputs of both; each takes its
    own and ignores the others. Served and saved, the student knows nothing of the teacher.

    ```python
    student = mm.models.MultimodalClassifier({"audio": mm.encoders.spectrogram_cnn()}, classes=teacher.classes)
    student.compile(step=mm.training.Distillation(teacher))
    student.fit(both_modalities, labels)
    ```

    Args:
        teacher: a trained task, which stays as it is; None only in a loaded task, which needs it again to go on.
        temperature: T.
        weight: how much the teacher counts, from 0 to 1.

    Example:

    >>> make = lambda **encoders: mm.models.MultimodalClassifier(encoders, classes=2)
    >>> teacher = make(features_face=mm.encoders.features((3,)), features_voice=mm.encoders.features((2,)))
    >>> student = make(features_voice=mm.encoders.features((2,)))
    >>> student.compile(step=mm.training.Distillation(teacher))
    >>> x = {"features_face": np.ones((4, 3)), "features_voice": np.ones((4, 2))}
    >>> history = student.fit(x, np.ones(4), verbose=0)

    References:
        Hinton et al. 2015, Distilling the Knowledge in a Neural Network.
        Gupta et al. 2016, Cross Modal Distillation for Supervision Transfer.
    """

    def __init__(self, teacher=None, *, temperature: float = 2.0, weight: float = 0.5):
        if not temperature > 0 or not 0 <= weight <= 1:
            raise ValueError(
                "`temperature` must be above 0 and `weight` from 0 to 1. "
                f"Received: temperature={temperature}, weight={weight}"
            )
        if teacher is not None and not isinstance(teacher, FusionTask):
            raise ValueError(f"`teacher` must be a task that answers by heads. Received: teacher={teacher!r}")
        self.teacher = teacher
        self.temperature = temperature
        self.weight = weight

    def train(self, task, inner, *arguments):
        shared = self._shared(task)

        def with_teacher(own, x, y, y_pred, sample_weight, training):
            labelled = own(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
            taught = keras.tree.map_structure(keras.ops.stop_gradient, dict(self.teacher(x, training=False)))
            weights = task.weights_of_samples(x, y, sample_weight)
            terms = [
                _mean(self._term(task.head(name), taught[name], y_pred[name]), weights.get(name)) for name in shared
            ]
            return (1.0 - self.weight) * labelled + self.weight * sum(terms)

        return with_loss(task, with_teacher, inner, arguments)

    def _shared(self, task):
        if self.teacher is None:
            raise ValueError(
                "The teacher is not saved with its student. To train on, compile again: "
                "task.compile(step=mm.training.Distillation(teacher)). Received: teacher=None"
            )
        if not isinstance(task, FusionTask):
            raise ValueError(f"Distillation is for tasks that answer by heads. Received: {type(task).__name__}")
        shared = [name for name in task.output if name in self.teacher.output]
        student, teacher = ({name: t.output[name].shape for name in shared} for t in (task, self.teacher))
        if not shared or student != teacher:
            raise ValueError(
                "Teacher and student must answer the same. Received: a student with "
                f"{student or list(task.output)} and a teacher with {teacher or list(self.teacher.output)}"
            )
        return shared

    def _term(self, head, teacher, student):
        """How far the student is from the teacher, one number per sample or step."""
        teacher, student = (keras.ops.cast(x, "float32") for x in (teacher, student))
        if not isinstance(head, ClassHead):
            squared = keras.ops.square(teacher - student)
            alone = isinstance(head, NumberHead) and head.dim is None
            return squared if alone else keras.ops.mean(squared, axis=-1)
        t, s = self._softened(head, teacher), self._softened(head, student)
        each = keras.ops.exp(t) * (t - s)
        if head.multi_label:
            each = keras.ops.mean(keras.ops.sum(each, axis=0), axis=-1)
        else:
            each = keras.ops.sum(each, axis=-1)
        return self.temperature**2 * each

    def _softened(self, head, p):
        """Logarithms of the probabilities at the temperature; of yes and no, stacked, for several labels."""
        p = keras.ops.clip(p, 1e-7, 1.0)
        if not head.multi_label:
            return keras.ops.log_softmax(keras.ops.log(p) / self.temperature, axis=-1)
        logits = (keras.ops.log(p) - keras.ops.log(keras.ops.clip(1.0 - p, 1e-7, 1.0))) / self.temperature
        return keras.ops.stack([-keras.ops.softplus(-logits), -keras.ops.softplus(logits)], axis=0)

    def get_config(self) -> dict:
        return {"temperature": self.temperature, "weight": self.weight}


def _mean(values, weights):
    if weights is None:
        return keras.ops.mean(values)
    weights = spread_product(keras.ops.ones_like(values), weights)
    return keras.ops.sum(values * weights) / keras.ops.maximum(keras.ops.sum(weights), 1e-6)
