"""Graphs as dense adjacency matrices: who listens to whom."""

from keras import ops


def edge_mask(adjacency, mask=None, self_loops=True):
    """Tell which node listens to which: along edges and, with `self_loops`, to itself.

    Args:
        adjacency: tensor (batch, node, node); entry [i, j] is not zero where node i listens to node j.
        mask: boolean tensor (batch, node), true for nodes that are there; None for all.
        self_loops: whether each node listens to itself.

    Returns:
        Boolean tensor (batch, node, node), false in rows and columns of nodes that are not there.

    Example:

    >>> np.asarray(edge_mask(ops.array([[[0.0, 2.0], [0.0, 0.0]]]))).tolist()
    [[[True, True], [False, True]]]
    """
    edges = ops.not_equal(ops.cast(adjacency, "float32"), 0.0)
    if self_loops:
        edges = ops.logical_or(edges, ops.eye(ops.shape(adjacency)[-1], dtype="bool")[None])
    if mask is None:
        return edges
    mask = ops.cast(mask, "bool")
    return ops.logical_and(edges, ops.logical_and(mask[:, :, None], mask[:, None, :]))


def normalize_adjacency(adjacency, mask=None, self_loops=True, symmetric=True):
    """Divide each edge by the degrees of its nodes, so that sums over neighbours become averages.

    `D^(-1/2) A D^(-1/2)`, or `D^(-1) A` without `symmetric`, with D the sums of the rows of A. With self-loops the
    diagonal of A is set to 1 first. A node without neighbours keeps a row of zeros.

    Args:
        adjacency: tensor (batch, node, node) of weights that are not negative.
        mask: boolean tensor (batch, node), true for nodes that are there; None for all.
        self_loops: whether each node listens to itself.
        symmetric: whether both ends of an edge count, for edges that go both ways.

    Returns:
        Float32 tensor (batch, node, node).

    Example:

    >>> np.asarray(normalize_adjacency(ops.array([[[0.0, 3.0], [1.0, 0.0]]]), symmetric=False)).tolist()
    [[[0.25, 0.75], [0.5, 0.5]]]
    """
    adjacency = ops.cast(adjacency, "float32")
    size = ops.shape(adjacency)[-1]
    if self_loops:
        own = ops.eye(size, dtype="bool")[None]
        adjacency = ops.where(own, ops.ones_like(adjacency), adjacency)
    adjacency = ops.where(edge_mask(adjacency, mask, self_loops=False), adjacency, ops.zeros_like(adjacency))
    degrees = ops.sum(adjacency, axis=-1)
    inverse = ops.where(degrees > 0, 1.0 / ops.maximum(degrees, 1e-6), ops.zeros_like(degrees))
    if symmetric:
        inverse = ops.sqrt(inverse)
        return inverse[:, :, None] * adjacency * inverse[:, None, :]
    return inverse[:, :, None] * adjacency
