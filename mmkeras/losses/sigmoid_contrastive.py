"""The sigmoid loss: does this pair belong together, asked of every pair on its own."""

import math

import keras
from keras import ops

from mmkeras.losses.pair_loss import PairLoss
from mmkeras.losses.pairs import split
from mmkeras.ops import dot_similarity


def sigmoid_contrastive(logits, positives, usable=None):
    """Add up `-log sigmoid(z * logit)` over all pairs, z = 1 for positives and -1 for others, per row.

    The sum is divided by the number of rows that take part in any pair: `sum * (1 / rows + 1 / columns) / 2`, which
    for as many rows as columns is the sum over pairs divided by the batch size.

    Args:
        logits: tensor (first, second).
        positives: boolean tensor (first, second), true where two rows belong together.
        usable: boolean tensor (first, second), true where a pair takes part; None for all.

    Returns:
        Scalar tensor.

    Example:

    >>> bool(ops.isclose(sigmoid_contrastive(ops.zeros((2, 2)), ops.eye(2, dtype="bool")), 2.0 * ops.log(2.0)))
    True
    """
    logits, positives, negatives = split(logits, positives, usable)
    counted = ops.logical_or(positives, negatives)
    terms = ops.softplus(ops.where(positives, -logits, logits))
    total = ops.sum(ops.where(counted, terms, ops.zeros_like(terms)))
    rows, columns = (ops.sum(ops.cast(ops.any(counted, axis=axis), terms.dtype)) for axis in (1, 0))
    return total * (1.0 / ops.maximum(rows, 1.0) + 1.0 / ops.maximum(columns, 1.0)) / 2.0


@keras.saving.register_keras_serializable(package="mmkeras")
class SigmoidContrastive(PairLoss):
    """Decide for every pair on its own whether it belongs together.

    `-1/n * sum over all pairs of log sigmoid(z * (scale * s + bias))` on cosines s, z = 1 for positives and -1 for
    others. The scale (as its logarithm) and the bias are learned. No softmax ties the pairs together, so a small batch
    teaches as well as it can, and a pair may have any number of partners. The bias starts low because nearly all
    pairs are negative.

    Each pair counts by itself: a row without a negative, or without a positive, still contributes what it has.

    Args:
        temperature: where `1 / scale` starts.
        bias: where the bias starts.
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

    >>> loss = SigmoidContrastive(temperature=0.5, bias=-1.0)
    >>> expected = -ops.log(ops.sigmoid(2.0 - 1.0)) - ops.log(ops.sigmoid(1.0))
    >>> bool(ops.isclose(loss(ops.eye(2), ops.eye(2)), expected)), len(loss.trainable_weights)
    (True, 2)

    References:
        Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training (SigLIP).
    """

    def __init__(self, temperature=0.1, bias=-10.0, *, normalize=True, **kwargs):
        super().__init__(normalize=normalize, **kwargs)
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
        self.temperature = temperature
        self.bias = bias
        # Made here and not in `build`: an optimizer has to know them before the loss is first computed.
        self._log_scale = self._number("log_scale", -math.log(temperature))
        self._offset = self._number("bias", bias)

    def logits(self, scores):
        """Turn cosines into the log-odds that a pair belongs together."""
        return ops.exp(self._log_scale) * scores + self._offset

    def loss(self, first, second, positives, usable):
        return sigmoid_contrastive(self.logits(dot_similarity(first, second)), positives, usable)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "bias": self.bias}

    def _number(self, name, value):
        initializer = keras.initializers.Constant(value)
        return self.add_weight(shape=(), initializer=initializer, dtype="float32", autocast=False, name=name)
