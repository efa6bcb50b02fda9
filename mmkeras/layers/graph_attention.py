"""Graph attention: each node decides which of its neighbours matter."""

import keras

from mmkeras import ops
from mmkeras.layers.graph_convolution import check_graph
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class GraphAttention(keras.layers.Layer):
    """Attend from each node over its neighbours and itself.

    With `v = W h` of each head and learned vectors a and b,

        weight_ij = softmax over neighbours j of leaky_relu(a v_i + b v_j)        h'_i = activation(sum_j weight_ij v_j)

    and the heads side by side. Edges say who is a neighbour; their weights beyond that do not matter. Nodes that are
    masked (padding) are nobody's neighbours.

    Args:
        num_heads: number of heads.
        units: size of the new nodes, a multiple of `num_heads`; None keeps their size.
        activation: an activation, or None.
        dropout_rate: share of the weights dropped in training.

    Call arguments:
        nodes: tensor (batch, node, dim).
        adjacency: tensor (batch, node, node); entry [i, j] is not zero where node i listens to node j.
        nodes_mask: boolean tensor (batch, node), filled in by Keras.
        return_weights: whether to return the weights (batch, head, node, node) too.

    Output shape: (batch, node, units), with the mask of the nodes.

    Example:

    >>> tuple(GraphAttention(2, 6)(ops.ones((2, 5, 8)), ops.ones((2, 5, 5))).shape)
    (2, 5, 6)

    References:
        Velickovic et al. 2018, Graph Attention Networks.
    """

    def __init__(self, num_heads=4, units=None, *, activation=None, dropout_rate=0.0, **kwargs):
        super().__init__(**kwargs)
        if num_heads < 1 or (units is not None and units % num_heads):
            raise ValueError(
                "`units` must be a multiple of `num_heads`, a positive integer. "
                f"Received: units={units}, num_heads={num_heads}"
            )
        self.num_heads = num_heads
        self.units = units
        self.activation = keras.activations.get(activation)
        self.dropout_rate = dropout_rate

    def build(self, nodes_shape, adjacency_shape):
        check_graph(self, nodes_shape, adjacency_shape)
        units = self.units or nodes_shape[-1]
        if units % self.num_heads:
            raise ValueError(
                "GraphAttention splits nodes among its heads: give `units`, a multiple of `num_heads`. "
                f"Received: num_heads={self.num_heads}, nodes of shape {nodes_shape}"
            )
        self._value = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="value")
        self._value.build(nodes_shape)
        self._listener, self._speaker = (
            self.add_weight(shape=(self.num_heads, units // self.num_heads), name=name)
            for name in ("listener", "speaker")
        )
        self._bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        pass_trainable_on(self)

    def call(self, nodes, adjacency, nodes_mask=None, training=None, return_weights=False):
        count = keras.ops.shape(nodes)[1]
        nodes = ops.zero_padding(nodes, nodes_mask)
        value = keras.ops.reshape(self._value(nodes), (-1, count, self.num_heads, self._listener.shape[1]))
        heads = keras.ops.transpose(value, (0, 2, 1, 3))  # (batch, head, node, dim)
        listener = keras.ops.sum(heads * self._listener[:, None], axis=-1)
        speaker = keras.ops.sum(heads * self._speaker[:, None], axis=-1)
        edges = ops.edge_mask(adjacency, nodes_mask)[:, None]  # (batch, 1, node, node)
        scores = keras.ops.leaky_relu(listener[..., None] + speaker[:, :, None], 0.2)
        weights = ops.masked_softmax(scores, edges)
        made = keras.ops.matmul(self._dropout(weights, training=training), heads)
        made = keras.ops.reshape(keras.ops.transpose(made, (0, 2, 1, 3)), (-1, count, self._bias.shape[0]))
        made = self.activation(made + self._bias)
        return (made, weights) if return_weights else made

    def compute_mask(self, nodes, previous_mask=None):
        return previous_mask

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "dropout_rate": self.dropout_rate,
        }
