"""Attention over masked sequences."""

import math

from keras import ops


def masked_softmax(scores, mask=None, axis=-1):
    """Softmax over the positions a mask allows; zero everywhere in a row that allows none.

    `weights = mask * exp(scores - max) / sum(mask * exp(scores - max))`, with the maximum taken over allowed
    positions only. What stands at a forbidden position never reaches the result, however large it is. No large
    negative constant enters the graph, so the tensor keeps the range an int8 converter has to cover.

    Args:
        scores: tensor of logits.
        mask: boolean tensor that broadcasts to `scores`, true where a position counts; None for all.
        axis: the axis that sums to one.

    Returns:
        Tensor of the shape and dtype of `scores`.

    Example:

    >>> np.asarray(masked_softmax(ops.array([[1.0, 1.0, 9.0]]), ops.array([[True, True, False]]))).tolist()
    [[0.5, 0.5, 0.0]]
    """
    if mask is None:
        return ops.ones_like(scores) if scores.shape[axis] == 1 else ops.softmax(scores, axis=axis)
    mask = ops.broadcast_to(mask, ops.shape(scores))
    floor = ops.stop_gradient(ops.min(ops.where(mask, scores, ops.zeros_like(scores)), axis=axis, keepdims=True))
    shifted = ops.where(mask, scores, floor)
    shifted = shifted - ops.stop_gradient(ops.max(shifted, axis=axis, keepdims=True))
    weights = ops.exp(shifted) * ops.cast(mask, scores.dtype)
    total = ops.sum(weights, axis=axis, keepdims=True)
    # A row with any allowed position holds exp(0) = 1, so 0.5 only ever replaces the zero of an empty row.
    return weights / ops.maximum(total, 0.5)


def attention_scores(query, key, mask=None):
    """Attention weights head by head, `softmax(Q K^T / sqrt(d))`.

    Args:
        query: tensor (batch, query, head, dim).
        key: tensor (batch, key, head, dim).
        mask: boolean tensor that broadcasts to (batch, head, query, key), true where attention is allowed.

    Returns:
        Tensor (batch, head, query, key); zero where nothing may be attended to.

    Example:

    >>> x = ops.ones((2, 5, 4, 8))
    >>> tuple(attention_scores(x, x).shape)
    (2, 4, 5, 5)
    """
    query = query * (1.0 / math.sqrt(query.shape[-1]))
    return masked_softmax(ops.einsum("bqhd,bkhd->bhqk", query, key), mask)


def dot_product_attention(query, key, value, mask=None):
    """Scaled dot-product attention, `softmax(Q K^T / sqrt(d)) V`, head by head.

    Args:
        query: tensor (batch, query, head, dim).
        key: tensor (batch, key, head, dim).
        value: tensor (batch, key, head, value_dim).
        mask: boolean tensor that broadcasts to (batch, head, query, key), true where attention is allowed.

    Returns:
        The attended values (batch, query, head, value_dim), zero where nothing may be attended to, and the
        attention weights (batch, head, query, key).

    Example:

    >>> x = ops.ones((2, 5, 4, 8))
    >>> attended, weights = dot_product_attention(x, x, x)
    >>> tuple(attended.shape), tuple(weights.shape)
    ((2, 5, 4, 8), (2, 4, 5, 5))
    """
    weights = attention_scores(query, key, mask)
    return ops.einsum("bhqk,bkhd->bqhd", weights, value), weights


def attention_mask(query_length, key_length, *, context_mask=None, causal=False):
    """Combine a key padding mask and causality into one mask for `dot_product_attention`.

    Args:
        query_length: number of queries.
        key_length: number of keys; with `causal`, query i sees keys up to i + key_length - query_length.
        context_mask: boolean tensor (batch, key), or None.
        causal: whether queries must not see later keys.

    Returns:
        Boolean tensor that broadcasts to (batch, head, query, key), or None when everything is allowed.

    Example:

    >>> np.asarray(attention_mask(2, 2, causal=True)).tolist()
    [[[[True, False], [True, True]]]]
    """
    mask = None
    if context_mask is not None:
        mask = ops.cast(context_mask, "bool")[:, None, None, :]
    if causal:
        rows = ops.arange(query_length)[:, None] + (key_length - query_length)
        allowed = (rows >= ops.arange(key_length)[None, :])[None, None]
        mask = allowed if mask is None else ops.logical_and(mask, allowed)
    return mask
