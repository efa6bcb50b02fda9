"""The triplet loss: what belongs together scores higher than what does not, by a margin."""

import keras
from keras import ops

from mmkeras.losses.pair_loss import PairLoss
from mmkeras.losses.pairs import mean_over_rows, split
from mmkeras.ops import dot_similarity

_NEGATIVES = ("hardest", "all")


def triplet(scores, positives, usable=None, margin=0.2, negatives="hardest"):
    """Hinge `max(0, margin + s_n - s_p)` of positives p against negatives n, in both directions.

    For an anchor i with positives P and negatives N:

        hardest:  mean over p in P of max over n in N of max(0, margin + s_in - s_ip)
        all:      mean over p in P of sum over n in N of max(0, margin + s_in - s_ip)

    averaged over the anchors that have both, rows as anchors and columns as anchors in equal parts.

    Args:
        scores: tensor (first, second) of similarities.
        positives: boolean tensor (first, second), true where two rows belong together.
        usable: boolean tensor (first, second), true where a pair takes part; None for all.
        margin: by how much a positive has to lead.
        negatives: `"hardest"` or `"all"`.

    Returns:
        Scalar tensor.

    Example:

    >>> scores = ops.array([[0.5, 0.25], [0.75, 0.5]])
    >>> float(triplet(scores, ops.eye(2, dtype="bool"), margin=0.25))
    0.25
    """
    hinges = _hardest if negatives == "hardest" else _all
    scores, positives, others = split(scores, positives, usable)
    by_direction = [
        mean_over_rows(hinges(scores, positives, others, margin, axis), positives, others, axis) for axis in (1, 0)
    ]
    return (by_direction[0] + by_direction[1]) / 2.0


def _hardest(scores, positives, negatives, margin, axis):
    """The hinge of each positive against the highest negative of its row."""
    lowest = ops.stop_gradient(ops.min(scores, axis=axis, keepdims=True))
    highest = ops.max(ops.where(negatives, scores, lowest), axis=axis, keepdims=True)
    return ops.relu(margin + highest - scores)


def _all(scores, positives, negatives, margin, axis):
    """The sum of hinges of each positive over all negatives of its row, without a (first, second, second) cube.

    Along a row sorted downwards by the score, that of positives less the margin, exactly the negatives before a
    positive are within the margin: their scores and their number, summed up to there, give the sum of its hinges.
    """
    if axis == 0:
        scores, positives, negatives = (ops.transpose(x) for x in (scores, positives, negatives))
    levels = ops.where(positives, scores - margin, scores)
    order = ops.argsort(-levels, axis=1)
    counted = ops.take_along_axis(ops.cast(negatives, scores.dtype), order, axis=1)
    levels = ops.take_along_axis(levels, order, axis=1)
    hinges = ops.cumsum(counted * levels, axis=1) - ops.cumsum(counted, axis=1) * levels
    # Back to where each pair stood.
    hinges = ops.take_along_axis(hinges, ops.argsort(order, axis=1), axis=1)
    return ops.transpose(hinges) if axis == 0 else hinges


@keras.saving.register_keras_serializable(package="mmkeras")
class Triplet(PairLoss):
    """Rank what belongs together above what does not, by a margin, in both directions.

    `max(0, margin + s_n - s_p)` on the cosines of a positive and a negative of the same anchor: `"hardest"` takes the
    highest negative of the batch (VSE++), `"all"` adds up all of them (VSE). The hardest negatives give the better
    ranking in the end and are slow, at times too slow, to leave the start; `"all"` is the safe choice for an encoder
    from scratch.

    An anchor without a positive or without a negative contributes nothing. Several positives of one anchor are
    averaged.

    Args:
        margin: by how much a positive has to lead.
        negatives: `"hardest"` or `"all"`.
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

    >>> image, text = ops.array([[1.0, 0.0], [0.0, 1.0]]), ops.array([[0.0, 1.0], [0.0, 1.0]])
    >>> round(float(Triplet(0.2)(image, text)), 6)
    0.4

    References:
        Kiros et al. 2014, Unifying Visual-Semantic Embeddings with Multimodal Neural Language Models.
        Faghri et al. 2018, VSE++: Improving Visual-Semantic Embeddings with Hard Negatives.
    """

    def __init__(self, margin=0.2, negatives="hardest", *, normalize=True, **kwargs):
        super().__init__(normalize=normalize, **kwargs)
        if margin < 0:
            raise ValueError(f"`margin` must not be negative. Received: margin={margin}")
        if negatives not in _NEGATIVES:
            raise ValueError(f"`negatives` must be one of {_NEGATIVES}. Received: negatives={negatives!r}")
        self.margin = margin
        self.negatives = negatives

    def loss(self, first, second, positives, usable):
        return triplet(dot_similarity(first, second), positives, usable, self.margin, self.negatives)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "negatives": self.negatives}
