"""Fusion on a graph: every token of every modality is a node."""

import keras

from mmkeras import ops
from mmkeras.layers.graph_attention import GraphAttention
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class GraphFusion(TokenFusion):
    """Join the tokens of all modalities to one graph and let neighbours attend to each other.

    Nodes are tokens: words, parts of a picture, the nodes of a scene graph, or one per modality where encodings are
    vectors. Edges run between the modalities named by `edges`, and within a modality unless `within=False`. Each of
    `num_layers` layers is `h = h + relu(GraphAttention(norm(h)))`, each modality marked by a learned embedding.

    Use it to say who may listen to whom, or to join what already is a graph. Padding and absent modalities are nobody's
    neighbours; where nothing is present, all are.

    Args:
        dim: size of the nodes; None takes the smallest size among the encodings, rounded up to a multiple of
            `num_heads`.
        num_layers: number of layers: how many steps away a node can hear.
        num_heads: number of attention heads.
        edges: list of pairs of modalities that listen to each other, by their keys in a dict of encodings or their
            indices in a list; None for all.
        within: whether tokens of one modality listen to each other.
        dropout_rate: share of the weights dropped in training.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, sum of tokens, dim), with the joined mask.

    Example:

    >>> tuple(GraphFusion(num_heads=2)([ops.ones((2, 5, 8)), ops.ones((2, 4))]).shape)
    (2, 6, 4)
    """

    def __init__(self, dim=None, *, num_layers=2, num_heads=4, edges=None, within=True, dropout_rate=0.0, **kwargs):
        super().__init__(dim, **kwargs)
        if min(num_layers, num_heads) < 1:
            raise ValueError(
                "`num_layers` and `num_heads` must be positive integers. "
                f"Received: num_layers={num_layers}, num_heads={num_heads}"
            )
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.edges = None if edges is None else [tuple(pair) for pair in edges]
        self.within = within
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        count, dim = self.build_tokens(encodings_shape, multiple_of=self.num_heads)
        self._links = self._linked(count)
        self._modality = self.add_weight(
            shape=(count, dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="modality"
        )
        options = {"activation": "relu", "dropout_rate": self.dropout_rate, "dtype": self.dtype_policy}
        self._attentions = [
            GraphAttention(self.num_heads, name=f"attention_{index}", **options) for index in range(self.num_layers)
        ]
        self._norms = [
            keras.layers.LayerNormalization(dtype=self.dtype_policy, name=f"norm_{index}")
            for index in range(self.num_layers + 1)
        ]
        for attention in self._attentions:
            attention.build((None, None, dim), (None, None, None))
        for norm in self._norms:
            norm.build((None, None, dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        tokens, masks = self.tokens(encodings, presence, masks)
        modality = keras.ops.convert_to_tensor(self._modality, dtype=tokens[0].dtype)
        adjacency = self._adjacency(tokens)
        mask = ops.join_masks(tokens, masks)
        nodes = keras.ops.concatenate([x + modality[index] for index, x in enumerate(tokens)], axis=1)
        for norm, attention in zip(self._norms[:-1], self._attentions, strict=True):
            nodes = nodes + attention(norm(nodes), adjacency, nodes_mask=mask, training=training)
        return self._norms[-1](nodes), None

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "edges": self.edges,
            "within": self.within,
            "dropout_rate": self.dropout_rate,
        }

    def _linked(self, count):
        """Which modality listens to which, a list of lists of 0 and 1."""
        names = self._names or list(range(count))
        pairs = [(a, b) for a in names for b in names if a != b] if self.edges is None else self.edges
        unknown = [pair for pair in pairs if len(pair) != 2 or set(pair) - set(names)]
        if unknown:
            raise ValueError(f"`edges` must be pairs of {names}. Received: {unknown}")
        linked = [[float(self.within and a == b) for b in range(count)] for a in range(count)]
        for first, second in pairs:
            linked[names.index(first)][names.index(second)] = linked[names.index(second)][names.index(first)] = 1.0
        return linked

    def _adjacency(self, tokens):
        """The adjacency (1, node, node) of all tokens."""
        owner = keras.ops.concatenate(
            [keras.ops.full((keras.ops.shape(x)[1],), index, dtype="int32") for index, x in enumerate(tokens)]
        )
        links = keras.ops.convert_to_tensor(self._links, dtype="float32")
        return keras.ops.take(keras.ops.take(links, owner, axis=0), owner, axis=1)[None]
