"""No modality learns at the cost of another."""

import functools
import numbers
from typing import final

import keras

from mmkeras.models.fusion_task import FusionTask
from mmkeras.training.step import Step, scaled_update, weights_of_encoders


@final
@keras.saving.register_keras_serializable(package="mmkeras")
class ModalityBalance(Step):
    """Slow down the encoder of a modality that answers well alone, so that the others catch up.

    Where one modality is easy, the loss is low before the encoders of the others have learned anything, and they stop
    there. With `s_m = exp(-loss)` of the task where only modality m belongs to the sample and the others come from
    other samples of the batch,

        ratio_m = s_m / mean of the other s        factor_m = 1 - tanh(strength * max(0, ratio_m - 1))

    and the encoder of m learns at `factor_m` times the rate of the optimizer, whatever optimizer that is. The logs of
    `fit` hold the factors as `rate_<modality>`: how much each modality leads. Measuring costs a forward pass of `rows`
    samples for each modality.

    Args:
        strength: how hard a leading modality is slowed down; 0 for not at all.
        rows: how many samples of the batch are measured.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,), 4), "features_voice": mm.encoders.features((2,), 4)}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2)
    >>> task.compile(step=mm.training.ModalityBalance())
    >>> x = {"features_face": np.ones((8, 3)), "features_voice": np.ones((8, 2))}
    >>> sorted(task.fit(x, np.ones(8), verbose=0).history)[2:]
    ['rate_features_face', 'rate_features_voice']

    References:
        Peng et al. 2022, Balanced Multimodal Learning via On-the-fly Gradient Modulation. There the scores are parts
        of a linear head and gradients are scaled; here any fusion is measured, and the update is scaled, since
        optimizers such as Adam undo the scale of a gradient.
    """

    def __init__(self, strength: float = 1.0, *, rows: int = 16):
        if not strength >= 0:
            raise ValueError(f"`strength` must be a number from 0 on. Received: strength={strength}")
        if not isinstance(rows, numbers.Integral) or rows < 2:
            raise ValueError(f"`rows` must be an integer of at least 2. Received: rows={rows}")
        self.strength = strength
        self.rows = int(rows)

    def train(self, task, inner, *arguments):
        if not isinstance(task, FusionTask) or len(task.encoders) < 2:
            raise ValueError(
                "ModalityBalance is for tasks that fuse two modalities or more. Received: "
                f"{type(task).__name__} with {sorted(task.encoders)}"
            )
        x, y, weight = keras.utils.unpack_x_y_sample_weight(arguments[-1])
        if keras.backend.backend() == "jax":
            trainable, non_trainable = arguments[0][:2]
            values = zip(
                [*task.trainable_variables, *task.non_trainable_variables], [*trainable, *non_trainable], strict=True
            )
            with keras.StatelessScope(values):
                rates = self._rates(task, x, y, weight)
        else:
            rates = self._rates(task, x, y, weight)
        owners = {key: name for name, keys in weights_of_encoders(task).items() for key in keys}
        factors = [rates.get(owners.get(id(variable))) for variable in task.trainable_variables]
        made = scaled_update(task, inner, arguments, factors)
        told = {f"rate_{name}": rate for name, rate in rates.items()}
        return ({**made[0], **told}, made[1]) if isinstance(made, tuple) else {**made, **told}

    def _rates(self, task, x, y, weight):
        cut = lambda leaf: None if leaf is None else keras.ops.convert_to_tensor(leaf)[: self.rows]  # noqa: E731
        x = {name: cut(leaf) for name, leaf in x.items()}
        y, weight = (keras.tree.map_structure(cut, part) for part in (y, weight))
        losses, names = {}, {tensor.name for tensor in task.inputs}
        for name in task.encoders:
            moved = {
                key: keras.ops.roll(leaf, 1, axis=0) if key in names and task.modality_of(key) != name else leaf
                for key, leaf in x.items()
            }
            y_pred = task(moved, training=False)
            losses[name] = keras.ops.stop_gradient(task.heads_loss(x, y, y_pred, weight))
        # The same ratios, and none of them lost where losses are large.
        least = functools.reduce(keras.ops.minimum, losses.values())
        scores = {name: keras.ops.exp(least - loss) for name, loss in losses.items()}
        rates = {}
        for name, score in scores.items():
            others = [other for key, other in scores.items() if key != name]
            ratio = score / keras.ops.maximum(sum(others) / len(others), 1e-6)
            rates[name] = 1.0 - keras.ops.tanh(self.strength * keras.ops.relu(ratio - 1.0))
        return rates

    def get_config(self) -> dict:
        return {"strength": self.strength, "rows": self.rows}
