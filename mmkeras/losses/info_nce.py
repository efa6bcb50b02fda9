"""InfoNCE: find the partner among everything in the batch."""

import math

import keras
from keras import ops

from mmkeras.losses.info_nce_blocks import info_nce_by_blocks
from mmkeras.losses.pair_loss import PairLoss
from mmkeras.losses.pairs import mean_over_rows, split


def info_nce(scores, positives, usable=None, label_smoothing=0.0):
    """Softmax cross-entropy of each positive against the negatives of its row, in both directions.

    For an anchor i with positives P and negatives N:

        mean over p in P of  -log(exp(s_ip) / (exp(s_ip) + sum over n in N of exp(s_in)))
                           = softplus(log(sum over n in N of exp(s_in)) - s_ip)

    averaged over the anchors that have both, rows as anchors and columns as anchors in equal parts. Positives do not
    compete with each other. With one positive per row this is the cross-entropy of classifying row i as i.

    Label smoothing aims at `1 - a + a / K` for the positive and `a / K` for each negative, K = 1 + |N|, which adds
    `a * (s_ip - mean of the K scores)`.

    Args:
        scores: tensor (first, second) of logits: similarities divided by the temperature.
        positives: boolean tensor (first, second), true where two rows belong together.
        usable: boolean tensor (first, second), true where a pair takes part; None for all.
        label_smoothing: share a of the target that is spread evenly.

    Returns:
        Scalar tensor.

    Example:

    >>> scores = ops.log(ops.array([[3.0, 1.0], [1.0, 3.0]]))
    >>> bool(ops.isclose(info_nce(scores, ops.eye(2, dtype="bool")), -ops.log(3.0 / 4.0)))
    True
    """
    scores, positives, negatives = split(scores, positives, usable)
    by_direction = [
        mean_over_rows(_terms(scores, negatives, label_smoothing, axis), positives, negatives, axis) for axis in (1, 0)
    ]
    return (by_direction[0] + by_direction[1]) / 2.0


def _terms(scores, negatives, label_smoothing, axis):
    competitors = ops.where(negatives, scores, -math.inf)
    peak = ops.stop_gradient(ops.max(competitors, axis=axis, keepdims=True))
    peak = ops.where(ops.isfinite(peak), peak, ops.zeros_like(peak))
    total = ops.sum(ops.exp(competitors - peak), axis=axis, keepdims=True)
    # A row with any negative holds exp(0) = 1, so 0.5 only ever replaces the zero of a row without.
    terms = ops.softplus(peak + ops.log(ops.maximum(total, 0.5)) - scores)
    if not label_smoothing:
        return terms
    count = 1.0 + ops.sum(ops.cast(negatives, scores.dtype), axis=axis, keepdims=True)
    others = ops.sum(ops.where(negatives, scores, ops.zeros_like(scores)), axis=axis, keepdims=True)
    return terms + label_smoothing * (scores - (scores + others) / count)


class _AtMost(keras.constraints.Constraint):
    """Hold a weight at or below a value after each step of the optimizer."""

    def __init__(self, value):
        self.value = value

    def __call__(self, w):
        return ops.minimum(w, self.value)


@keras.saving.register_keras_serializable(package="mmkeras")
class InfoNCE(PairLoss):
    """Find each row's partner among all rows of the other modality, by a softmax over the batch.

    `-log(exp(s_p / t) / (exp(s_p / t) + sum over negatives of exp(s_n / t)))` on cosines s, averaged over positives,
    rows and both directions. Larger batches make a harder and better question. The scale `1 / t` is learned as its
    logarithm and held at `max_scale`, as CLIP does.

    A row without a positive or without a negative contributes nothing.

    Args:
        temperature: t, where it starts if it is learned.
        learn_temperature: whether t is learned.
        label_smoothing: share of the target spread evenly over the positive and its negatives.
        max_scale: the largest scale that training may reach.
        normalize: whether the embeddings are scaled to length one first.

    Call arguments:
        first: tensor (first, dim), embeddings of one modality.
        second: tensor (second, dim), embeddings of another.
        first_groups: integer tensor (first,), or None: row i belongs to row i.
        second_groups: integer tensor (second,), or None.
        first_valid: boolean tensor (first,), or None for all.
        second_valid: boolean tensor (second,), or None for all.

    Output: scalar, float32.

    Example:

    >>> loss = InfoNCE(temperature=0.5)
    >>> bool(ops.isclose(loss(ops.eye(2), ops.eye(2)), ops.log(1.0 + ops.exp(-2.0)))), len(loss.trainable_weights)
    (True, 1)

    References:
        van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding.
        Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision (CLIP).
    """

    def __init__(
        self,
        temperature=0.07,
        learn_temperature=True,
        *,
        label_smoothing=0.0,
        max_scale=100.0,
        normalize=True,
        **kwargs,
    ):
        super().__init__(normalize=normalize, **kwargs)
        if temperature <= 0 or (learn_temperature and temperature * max_scale < 1):
            raise ValueError(
                "`temperature` must be positive, and no smaller than 1 / max_scale where it is learned. Received: "
                f"temperature={temperature}, learn_temperature={learn_temperature}, max_scale={max_scale}"
            )
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"`label_smoothing` must lie in [0, 1). Received: label_smoothing={label_smoothing}")
        self.temperature = temperature
        self.learn_temperature = learn_temperature
        self.label_smoothing = label_smoothing
        self.max_scale = max_scale
        if learn_temperature:
            # Made here and not in `build`: an optimizer has to know it before the loss is first computed.
            self._log_scale = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(-math.log(temperature)),
                constraint=_AtMost(math.log(max_scale)),
                dtype="float32",
                autocast=False,
                name="log_scale",
            )

    @property
    def scale(self):
        """What cosines are multiplied by: `1 / t`, a scalar tensor."""
        if not self.learn_temperature:
            return ops.convert_to_tensor(1.0 / self.temperature, "float32")
        return ops.exp(self._log_scale)

    def compare(self, first, second, groups, valid):
        return info_nce_by_blocks(self.scale * first, second, groups, valid, self.label_smoothing)

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "learn_temperature": self.learn_temperature,
            "label_smoothing": self.label_smoothing,
            "max_scale": self.max_scale,
        }
