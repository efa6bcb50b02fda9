"""Pairwise similarity between two sets of vectors."""

from keras import ops


def unit(x, axis=-1):
    """Scale vectors to length one; a zero vector stays zero, with a finite gradient.

    Args:
        x: tensor of vectors.
        axis: the axis that holds a vector.

    Returns:
        Tensor shaped like `x`.

    Example:

    >>> np.round(np.asarray(unit(ops.array([[3.0, 4.0], [0.0, 0.0]]))).astype(float), 6).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    # 1e-12 under the root keeps the gradient of a zero vector finite; float16 would round it away.
    epsilon = 1e-12 if x.dtype != "float16" else 1e-6
    return x * ops.rsqrt(ops.maximum(squares, epsilon))


def directions(x):
    """Scale vectors to length one, at any scale; a vector of (nearly) zero stays zero and gets no gradient.

    The gradient of a direction grows as the vector shrinks: at a zero vector it is anything between nothing and
    infinity, and one such row would drown the rest of the batch.

    Args:
        x: tensor (rows, dim).

    Returns:
        Tensor (rows, dim).

    Example:

    >>> np.round(np.asarray(directions(ops.array([[3e30, 0.0], [0.0, 0.0]]))).astype(float), 6).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True))
    zero = largest < 1e-6
    # A direction does not depend on the scale, so the gradient is right although the scale counts as a constant.
    return unit(ops.where(zero, ops.zeros_like(x), x) / ops.where(zero, ops.ones_like(largest), largest))


def dot_similarity(a, b):
    """Dot product of every row of `a` with every row of `b`.

    Args:
        a: tensor (rows, dim).
        b: tensor (columns, dim).

    Returns:
        Tensor (rows, columns).

    Example:

    >>> np.asarray(dot_similarity(ops.array([[1.0, 2.0]]), ops.array([[3.0, 4.0], [0.0, 1.0]]))).tolist()
    [[11.0, 2.0]]
    """
    return ops.matmul(a, ops.transpose(b))


def cosine_similarity(a, b):
    """Cosine of the angle between every row of `a` and every row of `b`; 0 against a zero vector.

    Args:
        a: tensor (rows, dim).
        b: tensor (columns, dim).

    Returns:
        Tensor (rows, columns).

    Example:

    >>> np.asarray(cosine_similarity(ops.array([[2.0, 0.0]]), ops.array([[3.0, 0.0], [0.0, 5.0]]))).tolist()
    [[1.0, 0.0]]
    """
    return dot_similarity(unit(a), unit(b))


def squared_distance(a, b):
    """Squared Euclidean distance between every row of `a` and every row of `b`, never negative.

    Args:
        a: tensor (rows, dim).
        b: tensor (columns, dim).

    Returns:
        Tensor (rows, columns).

    Example:

    >>> np.asarray(squared_distance(ops.array([[0.0, 0.0]]), ops.array([[3.0, 4.0]]))).tolist()
    [[25.0]]
    """
    squares = ops.sum(ops.square(a), axis=-1)[:, None] + ops.sum(ops.square(b), axis=-1)[None, :]
    return ops.maximum(squares - 2.0 * dot_similarity(a, b), 0.0)
