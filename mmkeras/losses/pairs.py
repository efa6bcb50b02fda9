"""What the losses over pairs share: which pairs count, and how their terms are averaged."""

from keras import ops


def split(matrix, positives, usable=None):
    """Tell positive from negative pairs, and silence the pairs that take no part.

    Args:
        matrix: tensor (first, second) of scores or distances; what stands at unusable pairs never counts.
        positives: boolean tensor (first, second), true where two rows belong together.
        usable: boolean tensor (first, second), true where a pair takes part; None for all.

    Returns:
        The matrix, zero at unusable pairs, and the boolean matrices of positive and of negative pairs.

    Example:

    >>> matrix, positives, negatives = split(ops.ones((1, 2)), ops.array([[True, False]]), ops.array([[True, False]]))
    >>> np.asarray(matrix).tolist(), np.asarray(positives).tolist(), np.asarray(negatives).tolist()
    ([[1.0, 0.0]], [[True, False]], [[False, False]])
    """
    positives = ops.cast(positives, "bool")
    negatives = ops.logical_not(positives)
    if usable is None:
        return matrix, positives, negatives
    usable = ops.cast(usable, "bool")
    matrix = ops.where(usable, matrix, ops.zeros_like(matrix))
    return matrix, ops.logical_and(usable, positives), ops.logical_and(usable, negatives)


def mean_where(values, flags, axis=None):
    """Average the values that are flagged; 0 where none is.

    Args:
        values: tensor.
        flags: boolean tensor of the same shape.
        axis: the axis to average over; None for all.

    Returns:
        Tensor without the axis.

    Example:

    >>> float(mean_where(ops.array([1.0, 5.0, 9.0]), ops.array([True, True, False])))
    3.0
    """
    total = ops.sum(ops.where(flags, values, ops.zeros_like(values)), axis=axis)
    return total / ops.maximum(ops.sum(ops.cast(flags, values.dtype), axis=axis), 1.0)


def mean_over_rows(terms, positives, negatives, axis):
    """Average terms over the positives of each row, then over the rows that have positives and negatives.

    Args:
        terms: tensor (first, second), one term per positive pair.
        positives: boolean tensor (first, second).
        negatives: boolean tensor (first, second).
        axis: the axis along which a row lies: 1 for rows of the first modality, 0 for rows of the second.

    Returns:
        Scalar tensor, 0 where no row counts.

    Example:

    >>> terms, positives = ops.array([[4.0, 9.0], [9.0, 2.0]]), ops.array([[True, False], [False, True]])
    >>> float(mean_over_rows(terms, positives, ops.logical_not(positives), 1))
    3.0
    """
    counts = ops.logical_and(ops.any(positives, axis=axis), ops.any(negatives, axis=axis))
    return mean_where(mean_where(terms, positives, axis), counts)
