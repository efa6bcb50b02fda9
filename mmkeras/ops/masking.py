"""Pooling over masked sequences, and masks themselves."""

from keras import ops


def _as_weights(mask, x):
    return ops.cast(mask, x.dtype)[..., None]


def masked_mean(x, mask=None):
    """Average the valid tokens of each row; zeros for a row without any.

    Args:
        x: tensor (batch, time, dim).
        mask: boolean tensor (batch, time), true where a token is valid; None for all.

    Returns:
        Tensor (batch, dim).

    Example:

    >>> np.asarray(masked_mean(ops.array([[[2.0], [4.0], [9.0]]]), ops.array([[True, True, False]]))).tolist()
    [[3.0]]
    """
    if mask is None:
        return ops.mean(x, axis=1)
    total = ops.sum(ops.where(ops.cast(mask, "bool")[..., None], x, ops.zeros_like(x)), axis=1)
    return total / ops.maximum(ops.sum(_as_weights(mask, x), axis=1), 1)


def masked_max(x, mask=None):
    """Take the largest value of each dimension over the valid tokens; zeros for a row without any.

    Args:
        x: tensor (batch, time, dim).
        mask: boolean tensor (batch, time), or None.

    Returns:
        Tensor (batch, dim).

    Example:

    >>> np.asarray(masked_max(ops.array([[[-2.0], [-4.0], [9.0]]]), ops.array([[True, True, False]]))).tolist()
    [[-2.0]]
    """
    if mask is None:
        return ops.max(x, axis=1)
    mask = ops.cast(mask, "bool")[..., None]
    floor = ops.stop_gradient(ops.min(ops.where(mask, x, ops.zeros_like(x)), axis=1, keepdims=True))
    largest = ops.max(ops.where(mask, x, floor), axis=1)
    return ops.where(ops.any(mask, axis=1), largest, ops.zeros_like(largest))


def last_valid(x, mask=None):
    """Take the last valid token of each row; zeros for a row without any.

    Args:
        x: tensor (batch, time, dim).
        mask: boolean tensor (batch, time), valid on the left; None for all.

    Returns:
        Tensor (batch, dim).

    Example:

    >>> np.asarray(last_valid(ops.array([[[2.0], [4.0], [9.0]]]), ops.array([[True, True, False]]))).tolist()
    [[4.0]]
    """
    if mask is None:
        return x[:, -1]
    mask = ops.cast(mask, "int32")
    after = ops.sum(mask, axis=1, keepdims=True) - ops.cumsum(mask, axis=1)
    chosen = ops.logical_and(ops.equal(mask, 1), ops.equal(after, 0))
    return ops.sum(ops.where(chosen[..., None], x, ops.zeros_like(x)), axis=1)


def zero_padding(x, mask=None):
    """Set padded tokens to zero, so that what follows cannot read them.

    Args:
        x: tensor (batch, time, ...).
        mask: boolean tensor (batch, time), or None for no change.

    Returns:
        Tensor shaped like `x`.

    Example:

    >>> np.asarray(zero_padding(ops.array([[[2.0], [9.0]]]), ops.array([[True, False]]))).tolist()
    [[[2.0], [0.0]]]
    """
    if mask is None:
        return x
    mask = ops.cast(mask, "bool")
    mask = ops.reshape(mask, (*ops.shape(mask), *([1] * (len(x.shape) - 2))))
    return ops.where(mask, x, ops.zeros_like(x))


def trailing_mask(x):
    """Tell content from padding where padding is written as trailing zeros.

    Zeros between content stay valid; only the run of zeros that reaches the end of a row is padding.

    Args:
        x: tensor (batch, time, ...).

    Returns:
        Boolean tensor (batch, time).

    Example:

    >>> np.asarray(trailing_mask(ops.array([[3.0, 0.0, 1.0, 0.0]]))).tolist()
    [[True, True, True, False]]
    """
    filled = x != 0
    if len(x.shape) > 2:
        filled = ops.any(filled, axis=tuple(range(2, len(x.shape))))
    filled = ops.cast(filled, "int32")
    before = ops.cumsum(filled, axis=1) - filled
    return before < ops.sum(filled, axis=1, keepdims=True)


def stride_mask(mask, stride):
    """Follow a mask through a strided layer whose output token i is centred on input token i * stride.

    Args:
        mask: boolean tensor (batch, time), valid on the left; or None.
        stride: how many input tokens one output token steps over.

    Returns:
        Boolean tensor (batch, ceil(time / stride)), or None.

    Example:

    >>> np.asarray(stride_mask(ops.array([[True, True, True, False, False]]), 2)).tolist()
    [[True, True, False]]
    """
    return None if mask is None else mask[:, ::stride]


def usable(presence):
    """Say which modalities of each sample may be used: those that are present, or all where none is.

    Args:
        presence: list with one boolean tensor (batch,) per modality, None where a modality is always present.

    Returns:
        Boolean tensor (batch, modality), or None when every modality is always present.

    Example:

    >>> flags = ops.array([True, False, False]), ops.array([True, True, False])
    >>> np.asarray(usable(flags)).tolist()
    [[True, True], [False, True], [True, True]]
    """
    given = [flag for flag in presence if flag is not None]
    if not given:
        return None
    always = ops.ones_like(given[0], dtype="bool")
    flags = ops.stack([always if flag is None else ops.cast(flag, "bool") for flag in presence], axis=1)
    return ops.logical_or(flags, ops.logical_not(ops.any(flags, axis=1, keepdims=True)))


def broadcast_flag(flag, x):
    """Shape a per-sample flag so that it broadcasts against `x`.

    Args:
        flag: tensor (batch,).
        x: tensor (batch, ...).

    Returns:
        Boolean tensor (batch, 1, ...).

    Example:

    >>> tuple(broadcast_flag(ops.array([True, False]), ops.zeros((2, 5, 8))).shape)
    (2, 1, 1)
    """
    if None not in (flag.shape[0], x.shape[0]) and flag.shape[0] != x.shape[0]:
        raise ValueError(
            f"A presence flag is needed for each sample, {x.shape[0]} in all. Received: flags of shape "
            f"{tuple(flag.shape)}"
        )
    return ops.reshape(ops.cast(flag, "bool"), (-1, *([1] * (len(x.shape) - 1))))
