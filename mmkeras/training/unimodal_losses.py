"""Every modality answers for itself."""

from collections.abc import Mapping
from typing import final

import keras

from mmkeras.keys import presence_key
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.groups import constant_rows, spread_product
from mmkeras.training.step import Step, with_loss


@final
@keras.saving.register_keras_serializable(package="mmkeras")
class UnimodalLosses(Step):
    """Ask the task, on each batch, for the answer of every modality alone too.

        loss = loss of all modalities + sum over m of  weight_m * loss of the heads where only m is present

    Where modalities are fused before the loss, each encoder learns only what the others have left unexplained; with a
    loss of its own it learns all that it can tell. Use it where modalities say the same thing, each of them unsurely,
    and where some will be missing: unlike modality dropout it costs the answer of all of them no sample. Every
    modality is one more pass, forward and backward. The terms added are the heads' own losses, whatever `compile` took.

    All modalities must be `optional` in the task, which is how the others are taken away. A sample that lacks m does
    not count in the loss of m.

    Args:
        weights: a number for all modalities, or a dict of numbers by modality, which may leave out some.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,), 4), "features_voice": mm.encoders.features((2,), 4)}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2, optional=encoders)
    >>> task.compile(step=mm.training.UnimodalLosses(0.5))
    >>> x = {"features_face": np.ones((8, 3)), "features_voice": np.ones((8, 2))}
    >>> history = task.fit(x, np.ones(8), verbose=0)

    References:
        Wang et al. 2020, What Makes Training Multi-Modal Classification Networks Hard? There each modality has a head
        of its own, and the weights follow from how fast each overfits.
    """

    def __init__(self, weights: float | Mapping[str, float] = 1.0):
        numbers = list(weights.values()) if isinstance(weights, Mapping) else [weights]
        if not numbers or not all(isinstance(x, int | float) and x >= 0 for x in numbers):
            raise ValueError(
                "`weights` must be a number from 0 on, or a dict of such numbers by modality. "
                f"Received: weights={weights!r}"
            )
        self.weights = dict(weights) if isinstance(weights, Mapping) else weights

    def train(self, task, inner, *arguments):
        weights = self._by_modality(task)

        def with_each_alone(own, x, y, y_pred, sample_weight, training):
            total = own(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
            for name, weight in weights.items():
                total = total + weight * self._loss_alone(task, name, x, y, sample_weight)
            return total

        return with_loss(task, with_each_alone, inner, arguments)

    def _loss_alone(self, task, name, x, y, sample_weight):
        names = {tensor.name for tensor in task.inputs}
        fed = [key for key in x if key in names]
        own = [key for key in fed if task.modality_of(key) == name]
        present = constant_rows(x[fed[0]], (), bool(own), "bool")
        present = x.get(presence_key(name), present)
        others = {presence_key(other): keras.ops.zeros_like(present) for other in task.encoders if other != name}
        y_pred = task({**x, **others, presence_key(name): present}, training=True)
        there = keras.ops.cast(present, "float32")
        weights = {
            output: there if weight is None else spread_product(weight, there)
            for output, weight in task.weights_of_samples(x, y, sample_weight).items()
        }
        return task.heads_loss(x, y, y_pred, weights)

    def _by_modality(self, task):
        if not isinstance(task, FusionTask) or len(task.encoders) < 2 or set(task.optional) != set(task.encoders):
            raise ValueError(
                "UnimodalLosses takes modalities away, so it is for tasks that fuse two or more, each of which may "
                f"be missing: optional={tuple(task.encoders)}. Received: {type(task).__name__} with "
                f"optional={getattr(task, 'optional', ())}"
            )
        if not isinstance(self.weights, dict):
            return dict.fromkeys(task.encoders, self.weights)
        unknown = sorted(set(self.weights) - set(task.encoders))
        if unknown:
            raise ValueError(
                f"`weights` must name modalities of the task, among {sorted(task.encoders)}. Received: {unknown}"
            )
        return self.weights

    def get_config(self) -> dict:
        return {"weights": self.weights}
