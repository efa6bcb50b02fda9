"""The margin loss: pairs together, all others a margin apart."""

import keras
from keras import ops

from mmkeras.losses.pair_loss import PairLoss
from mmkeras.losses.pairs import mean_where, split
from mmkeras.ops import squared_distance


def margin_contrastive(distances, positives, usable=None, margin=1.0):
    """Average `d^2` over the pairs that match and `max(0, margin - d^2)` over those that do not; add both.

    The classic form averages over a data set of drawn pairs, half of them matches: (mean over matches + mean over
    the others) / 2. In a batch of n samples matches are one pair in n, and one average over all n^2 pairs would let
    them fade as the batch grows. So each kind is averaged on its own, as if it had been drawn equally often, and the
    half, a mere learning rate, is left out.

    With labels instead of a batch's pairs, give a column of distances and a column of labels.

    Args:
        distances: tensor (first, second) of squared distances.
        positives: boolean tensor (first, second), true where two rows belong together.
        usable: boolean tensor (first, second), true where a pair takes part; None for all.
        margin: squared distance beyond which a pair that does not match costs nothing.

    Returns:
        Scalar tensor.

    Example:

    >>> distances, matches = ops.array([[0.5], [0.25], [4.0]]), ops.array([[True], [False], [False]])
    >>> float(margin_contrastive(distances, matches))
    0.875
    """
    distances, positives, negatives = split(distances, positives, usable)
    return mean_where(distances, positives) + mean_where(ops.relu(margin - distances), negatives)


@keras.saving.register_keras_serializable(package="mmkeras")
class MarginContrastive(PairLoss):
    """Pull pairs together until they coincide, push all others apart until they are a margin away.

    `loss = mean over matching pairs of d^2 + mean over the others of max(0, margin - d^2)`, with d^2 the squared
    Euclidean distance. Between embeddings of length one `d^2 = 2 - 2 cos`, from 0 to 4, and 2 at a right angle.

    Every pair of the batch is used, and each counts by itself: a pair without others around it is still pulled
    together. `margin_contrastive` takes pairs with explicit labels.

    Args:
        margin: squared distance beyond which a pair that does not match costs nothing.
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

    >>> image, text = ops.array([[1.0, 0.0], [0.0, 1.0]]), ops.array([[1.0, 0.0], [0.0, -1.0]])
    >>> float(MarginContrastive(3.0)(image, text))
    3.0

    References:
        Hadsell et al. 2006, Dimensionality Reduction by Learning an Invariant Mapping.
    """

    def __init__(self, margin=1.0, *, normalize=True, **kwargs):
        super().__init__(normalize=normalize, **kwargs)
        if margin <= 0:
            raise ValueError(f"`margin` must be positive. Received: margin={margin}")
        self.margin = margin

    def loss(self, first, second, positives, usable):
        return margin_contrastive(squared_distance(first, second), positives, usable, self.margin)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}
