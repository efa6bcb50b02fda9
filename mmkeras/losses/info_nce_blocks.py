"""InfoNCE of large batches: a block of scores at a time, and the gradient written down."""

import math

from keras import ops

# Rows of scores that exist at once.
_ROWS = 256


def info_nce_by_blocks(first, second, groups, valid=(None, None), label_smoothing=0.0):
    """Compute `info_nce(first @ second^T, ...)` in memory that grows with the batch, not with its square.

    Automatic differentiation would keep some ten matrices of the size of the scores. Here scores are computed in
    blocks of rows, and again for the gradient: with w = 1 / (anchors * positives of the anchor), c the logarithm of the
    sum of exp over its negatives and S = sum over its positives of sigmoid(c - s_ip),

        d loss / d s_ip = -w * sigmoid(c - s_ip)        d loss / d s_in = w * S * exp(s_in - c)

    Args:
        first: float32 tensor (first, dim); scaled, if the scores are to be.
        second: float32 tensor (second, dim).
        groups: pair of integer tensors (first,) and (second,): rows of equal group belong together.
        valid: pair of boolean tensors (first,) and (second,), false for rows that take no part; None for all.
        label_smoothing: share of the target that is spread evenly.

    Returns:
        Scalar tensor.

    Example:

    >>> first, groups = ops.sqrt(ops.log(3.0)) * ops.eye(2), ops.arange(2)
    >>> bool(ops.isclose(info_nce_by_blocks(first, first, (groups, groups)), -ops.log(3.0 / 4.0)))
    True
    """
    rows = _Pairs(groups, valid, label_smoothing)
    columns = _Pairs(groups[::-1], valid[::-1], label_smoothing)

    @ops.custom_gradient
    def both_directions(first, second):
        by_row, row_count = _loss(first, second, rows)
        by_column, column_count = _loss(second, first, columns)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            d_first, d_second = _gradient(first, second, rows, upstream / (2.0 * row_count))
            by_column = _gradient(second, first, columns, upstream / (2.0 * column_count))
            return d_first + by_column[1], d_second + by_column[0]

        return (by_row / row_count + by_column / column_count) / 2.0, gradient

    return both_directions(first, second)


def _loss(anchors, others, pairs):
    """What the anchors cost, summed, and how many of them count, at least 1."""

    def add(block, total, count):
        scores = block(anchors) @ ops.transpose(others)
        positive, negative = pairs.of(block)
        own, smooth, against, counts = _per_anchor(scores, positive, negative, pairs.label_smoothing)
        terms = _sum(positive, ops.softplus(against - scores))
        if pairs.label_smoothing:
            partners = _sum(positive, scores)
            terms += pairs.label_smoothing * partners - smooth * (partners + own * _sum(negative, scores))
        counts = ops.where(block.fresh, counts, 0.0)
        return total + ops.sum(counts * terms / ops.maximum(own, 1.0)), count + ops.sum(counts)

    zero = ops.zeros((), anchors.dtype)
    total, count = _for_each_block(add, ops.shape(anchors)[0], (zero, zero))
    return total, ops.maximum(count, 1.0)


def _gradient(anchors, others, pairs, factor):
    """The gradients of `factor` times that sum with respect to the anchors and the others."""

    def add(block, d_anchors, d_others):
        rows = block(anchors)
        scores = rows @ ops.transpose(others)
        positive, negative = pairs.of(block)
        own, smooth, against, counts = _per_anchor(scores, positive, negative, pairs.label_smoothing)
        pull = ops.sigmoid(against - scores)
        push = _sum(positive, pull) * ops.exp(scores - against)
        if pairs.label_smoothing:
            pull, push = pull + smooth - pairs.label_smoothing, push - smooth * own
        weight = factor * ops.where(block.fresh, counts, 0.0) / ops.maximum(own, 1.0)
        d_scores = weight * ops.where(positive, -pull, ops.where(negative, push, 0.0))
        return block.add(d_anchors, d_scores @ others), d_others + ops.transpose(d_scores) @ rows

    return _for_each_block(add, ops.shape(anchors)[0], (ops.zeros_like(anchors), ops.zeros_like(others)))


class _Pairs:
    """Which pairs of anchors and others are positives and negatives, a block of anchors at a time."""

    def __init__(self, groups, valid, label_smoothing):
        self.groups, self.valid, self.label_smoothing = groups, valid, label_smoothing

    def of(self, block):
        positive = ops.equal(block(self.groups[0])[:, None], self.groups[1][None, :])
        negative = ops.logical_not(positive)
        if self.valid[0] is not None:
            anchors = block(self.valid[0])[:, None]
            positive, negative = ops.logical_and(anchors, positive), ops.logical_and(anchors, negative)
        if self.valid[1] is not None:
            others = self.valid[1][None, :]
            positive, negative = ops.logical_and(others, positive), ops.logical_and(others, negative)
        return positive, negative


def _per_anchor(scores, positives, negatives, label_smoothing):
    """Columns (anchors, 1): positives, smoothed share of a choice, log-sum-exp of the negatives, whether it counts."""
    own, others = (ops.sum(ops.cast(flags, scores.dtype), axis=1, keepdims=True) for flags in (positives, negatives))
    competitors = ops.where(negatives, scores, -math.inf)
    peak = ops.max(competitors, axis=1, keepdims=True)
    peak = ops.where(ops.isfinite(peak), peak, 0.0)
    # An anchor with any negative holds exp(0) = 1, so 0.5 only ever replaces the zero of one without.
    total = ops.sum(ops.exp(competitors - peak), axis=1, keepdims=True)
    against = peak + ops.log(ops.maximum(total, 0.5))
    counts = ops.cast(ops.logical_and(own > 0, others > 0), scores.dtype)
    return own, label_smoothing / (1.0 + others), against, counts


def _sum(flags, values):
    return ops.sum(ops.where(flags, values, 0.0), axis=1, keepdims=True)


class _Block:
    """Rows `start` to `start + size` of what it is called with; `fresh` (size, 1): those that no block before held."""

    def __init__(self, start, size, fresh):
        self.start, self.size, self.fresh = start, size, fresh

    def __call__(self, x):
        if len(x.shape) == 1:
            return ops.slice(x, (self.start,), (self.size,))
        return ops.slice(x, (self.start, 0), (self.size, ops.shape(x)[1]))

    def add(self, matrix, rows):
        return ops.slice_update(matrix, (self.start, 0), self(matrix) + rows)


def _for_each_block(function, rows, state):
    """Pass the state through `function(block, *state)`, block by block; the last one reaches back to be as long."""
    size = min(rows, _ROWS) if isinstance(rows, int) else ops.minimum(rows, _ROWS)

    def step(done, *state):
        start = ops.minimum(done, rows - size)
        fresh = (start + ops.arange(size) >= done)[:, None]
        return done + size, *function(_Block(start, size, fresh), *state)

    return ops.while_loop(lambda done, *_: done < rows, step, (ops.zeros((), "int32"), *state))[1:]
