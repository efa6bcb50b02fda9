"""Graph convolution: each node becomes an average of its neighbours."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class GraphConvolution(keras.layers.Layer):
    """Average each node with its neighbours and transform: `H' = activation(A_norm H W + b)`.

    `A_norm = D^(-1/2) (A + I) D^(-1/2)`, or `D^(-1) (A + I)` without `symmetric`, for an A whose diagonal is zero.
    The weights of the edges say how much a neighbour counts. Nodes that are masked (padding) are nobody's neighbours.

    Args:
        units: size of the new nodes.
        activation: an activation, or None.
        self_loops: whether a node counts among its own neighbours.
        symmetric: whether edges go both ways.

    Call arguments:
        nodes: tensor (batch, node, dim).
        adjacency: tensor (batch, node, node) of weights that are not negative; row i holds what node i listens to.
        nodes_mask: boolean tensor (batch, node), filled in by Keras.

    Output shape: (batch, node, units), with the mask of the nodes.

    Example:

    >>> tuple(GraphConvolution(4, "relu")(ops.ones((2, 5, 8)), ops.ones((2, 5, 5))).shape)
    (2, 5, 4)

    References:
        Kipf and Welling 2017, Semi-Supervised Classification with Graph Convolutional Networks.
    """

    def __init__(self, units, activation=None, *, self_loops=True, symmetric=True, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be a positive integer. Received: units={units}")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.self_loops = self_loops
        self.symmetric = symmetric

    def build(self, nodes_shape, adjacency_shape):
        check_graph(self, nodes_shape, adjacency_shape)
        self._kernel = self.add_weight(shape=(nodes_shape[-1], self.units), name="kernel")
        self._bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, nodes, adjacency, nodes_mask=None):
        averaging = ops.normalize_adjacency(adjacency, nodes_mask, self.self_loops, self.symmetric)
        averaging = keras.ops.cast(averaging, nodes.dtype)
        return self.activation(averaging @ (ops.zero_padding(nodes, nodes_mask) @ self._kernel) + self._bias)

    def compute_mask(self, nodes, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, nodes_shape, adjacency_shape=None):
        return (*nodes_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "self_loops": self.self_loops,
            "symmetric": self.symmetric,
        }


def check_graph(layer, nodes_shape, adjacency_shape):
    """Raise an error unless these are the shapes of the nodes and the adjacency of one graph."""
    fits = len(nodes_shape) == 3 and len(adjacency_shape) == 3
    sizes = {nodes_shape[1], *adjacency_shape[1:]} - {None} if fits else ()
    if not fits or len(sizes) > 1:
        raise ValueError(
            f"{type(layer).__name__} takes nodes (batch, node, dim) and an adjacency (batch, node, node). "
            f"Received: shapes {nodes_shape} and {adjacency_shape}"
        )
