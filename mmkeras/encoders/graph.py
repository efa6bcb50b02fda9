"""Encoder of graphs: scenes, molecules, who knows whom."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import GraphAttention, GraphConvolution, PaddingMask


def graph(
    node_dim,
    units=64,
    num_layers=2,
    *,
    num_heads=None,
    symmetric=True,
    dropout_rate=0.0,
    pooling=None,
    name=None,
):
    """Build layers over a graph: each node learns of what lies as many edges away as there are layers.

    `h_0 = relu(W nodes)`, `h = norm(h + relu(layer(h, adjacency)))`: a token per node.

    Args:
        node_dim: size of the vector that describes a node.
        units: size of the tokens.
        num_layers: number of graph layers.
        num_heads: number of heads of graph attention, which decides which neighbours matter; None takes graph
            convolution, which averages them by the weights of their edges.
        symmetric: whether edges go both ways, for graph convolution.
        dropout_rate: share of the values dropped in training.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `nodes`, (batch, node, node_dim) padded with zeros, and `adjacency`,
        (batch, node, node), to tokens (batch, node, units) with a mask.

    Example:

    >>> graph(20).output_shape, graph(20, 32, num_heads=4, pooling="avg").output_shape
    ((None, None, 64), (None, 32))
    """
    nodes = keras.Input((None, node_dim), name="nodes")
    adjacency = keras.Input((None, None), name="adjacency")
    x = keras.layers.Dense(units, activation="relu", name="dense")(PaddingMask(name="padding")(nodes))
    for index in range(num_layers):
        if num_heads is None:
            layer = GraphConvolution(units, "relu", symmetric=symmetric, name=f"convolution_{index}")
        else:
            layer = GraphAttention(num_heads, activation="relu", name=f"attention_{index}")
        heard = layer(x, adjacency)
        if dropout_rate:
            heard = keras.layers.Dropout(dropout_rate, name=f"dropout_{index}")(heard)
        x = keras.layers.LayerNormalization(name=f"norm_{index}")(keras.layers.Add(name=f"add_{index}")([x, heard]))
    return finish([nodes, adjacency], x, pooling=pooling, name=name)
