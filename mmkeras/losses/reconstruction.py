"""Losses of autoencoders: the input again at the end, one code in the middle."""

import keras
from keras import ops

from mmkeras.losses.pairs import mean_where
from mmkeras.ops import directions

_DISTANCES = ("squared", "cosine")


def reconstruction(output, target, valid=None, distance="squared"):
    """Average over samples how far a reconstruction is from its target.

    `squared`: the mean squared error of a sample's entries. `cosine`: 1 - the cosine between the sample and its target,
    all entries as one vector, blind to scale.

    Args:
        output: tensor (batch, ...).
        target: tensor of the same shape.
        valid: boolean tensor (batch,), true for samples that take part, or (batch, time), true for steps that do and
            are then compared step by step; None for all samples.
        distance: `"squared"` or `"cosine"`.

    Returns:
        Scalar tensor, 0 where nothing takes part.

    Example:

    >>> float(reconstruction(ops.array([[1.0, 3.0], [9.0, 9.0]]), ops.zeros((2, 2)), ops.array([True, False])))
    5.0
    """
    output, target, valid = _rows(output, target, valid)
    if distance == "squared":
        distances = ops.mean(ops.square(output - target), axis=1)
    else:
        distances = 1.0 - ops.sum(directions(output) * directions(target), axis=1)
    return mean_where(distances, valid)


def agreement(first, second, valid=None):
    """Average over samples the squared distance between the codes of two modalities, `||first - second||^2`.

    Beside the reconstructions it makes two autoencoders share their code (a correspondence autoencoder): weigh it
    against them by hand, and give both gradients, for one of them alone collapses.

    Args:
        first: tensor (batch, ...), codes of one modality.
        second: tensor of the same shape, codes of the other.
        valid: boolean tensor (batch,), true for samples that have both modalities; None for all.

    Returns:
        Scalar tensor, 0 where nothing takes part.

    Example:

    >>> float(agreement(ops.array([[1.0, 3.0], [9.0, 9.0]]), ops.zeros((2, 2)), ops.array([True, False])))
    10.0
    """
    first, second, valid = _rows(first, second, valid)
    return mean_where(ops.sum(ops.square(first - second), axis=1), valid)


def _rows(first, second, valid):
    """Flatten to (row, entry) with a flag per row; rows that take no part become zero before any arithmetic."""
    _check_shapes(first, second, valid)
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    if valid is None:
        valid = ops.ones((ops.shape(first)[0],), "bool")
    valid = ops.reshape(ops.cast(valid, "bool"), (-1,))
    first, second = (ops.reshape(x, (ops.shape(valid)[0], -1)) for x in (first, second))
    first, second = (ops.where(valid[:, None], x, ops.zeros_like(x)) for x in (first, second))
    return first, second, valid


def _check_shapes(first, second, valid):
    shapes = tuple(first.shape), tuple(second.shape)
    if len(shapes[0]) != len(shapes[1]) or _differ(*shapes):
        raise ValueError(
            f"What is compared must have one shape, no axis of length one for many. Received: shapes {shapes[0]} and "
            f"{shapes[1]}"
        )
    if valid is not None and (len(valid.shape) > len(shapes[0]) or _differ(valid.shape, shapes[0])):
        raise ValueError(
            f"`valid` must have the first axes of what is compared, {shapes[0]}. Received: shape {tuple(valid.shape)}"
        )


def _differ(some, others):
    return any(None not in sizes and sizes[0] != sizes[1] for sizes in zip(some, others, strict=False))


@keras.saving.register_keras_serializable(package="mmkeras")
class Reconstruction(keras.layers.Layer):
    """Compare what an autoencoder gives back with what went in.

    `squared`: mean of `(output - target)^2` over the entries of a sample. `cosine`: `1 - cos(output, target)`, all
    entries as one vector. Averaged over samples, in float32 under every dtype policy. What stands in a sample (or
    step) that is not valid, NaN included, changes neither the value nor a gradient.

    Deep autoencoder embeddings add `agreement` between the codes of two modalities, or decode both modalities from the
    code of either.

    Args:
        distance: `"squared"` or `"cosine"`.

    Call arguments:
        output: tensor (batch, ...).
        target: tensor of the same shape.
        valid: boolean tensor (batch,) or (batch, time), or None for all.

    Output: scalar, float32.

    Example:

    >>> float(Reconstruction()(ops.array([[1.0, 3.0]]), ops.array([[1.0, 1.0]])))
    2.0

    References:
        Ngiam et al. 2011, Multimodal Deep Learning.
        Feng et al. 2014, Cross-modal Retrieval with Correspondence Autoencoder.
    """

    def __init__(self, distance="squared", **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if distance not in _DISTANCES:
            raise ValueError(f"`distance` must be one of {_DISTANCES}. Received: distance={distance!r}")
        self.distance = distance

    def call(self, output, target, valid=None):
        return reconstruction(output, target, valid, self.distance)

    def get_config(self):
        return {**super().get_config(), "distance": self.distance}
