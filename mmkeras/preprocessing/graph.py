"""Graphs: nodes that are described by numbers or names, and the edges between them."""

import json
import os
from collections import Counter

import numpy as np

from mmkeras.data.media.image import read_bytes
from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.preprocessing.statistics import check_numbers, content_length
from mmkeras.registration import registered

_SHOWN = 5
_FORM = 'a dict {"nodes": ..., "edges": ...} or {"nodes": ..., "adjacency": ...}, or JSON of one'

_EMPTY = "it has no nodes: leave such a graph out, with the modality in `optional`"


@registered
class Graph(Part):
    """Turn a graph into nodes (node, node_dim) and an adjacency (node, node), as `mm.encoders.graph` reads them.

    A raw value is a dict, JSON of one (text or bytes), or the path of a `.json` file. Other keys of it do not matter.

    | key | holds |
    |---|---|
    | `"nodes"` | vectors (node, node_dim), zeros at the end being padding |
    | | or a name, a string or an integer, or a list of strings, for each node |
    | `"edges"` | a list of (source, target) or (source, target, weight), by the numbers of the nodes, from 0 |
    | `"adjacency"` | in its place, weights (node, node); row i holds what node i listens to: its sources |

    Names become zeros and ones, a dimension per name; the first one stands for names that are unknown, and for none.
    Vectors stay as they are. Weights are not negative, 1 if left out, and an edge named twice counts once. A relation
    that has a name itself ("holds") is a node between the two.

    Args:
        max_nodes: number of nodes; further ones are cut off with their edges. None leaves each graph its own.
        node_dim: size of the vector of a node. `adapt` learns it from the vectors if it is None; names then get as
            many dimensions as there are, else those that fit in, the most frequent ones.
        vocabulary: list of the names, which `adapt` learns if it is None.
        directed: whether edges go one way, for encoders with `symmetric=False`. If not, each is needed only once.

    Attributes:
        node_dim: what `mm.encoders.graph` wants to know.

    Example:

    >>> part = Graph(3).adapt([{"nodes": ["C", "O"], "edges": [(0, 1, 2.0)]}])
    >>> part.node_dim, part.vocabulary
    (3, ['C', 'O'])
    >>> prepared = part.array(part.read('{"nodes": ["O", "C"], "edges": [[0, 1]]}'))
    >>> part.by_kind(prepared)["nodes"].tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    >>> part.by_kind(prepared)["adjacency"].tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    kind = "nodes"
    kinds = ("nodes", "adjacency")

    def __init__(self, max_nodes=None, node_dim=None, *, vocabulary=None, directed=False):
        for name, value in (("max_nodes", max_nodes), ("node_dim", node_dim)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be a positive integer or None. Received: {name}={value}")
        if vocabulary is not None:
            vocabulary = _names(vocabulary)
            if not vocabulary or len(set(vocabulary)) < len(vocabulary):
                raise ValueError(f"`vocabulary` must hold each name once. Received: {vocabulary[:_SHOWN]}")
            node_dim = len(vocabulary) + 1 if node_dim is None else node_dim
            if node_dim <= len(vocabulary):
                raise ValueError(
                    "`node_dim` must have room for the names and one more dimension, for what is unknown. "
                    f"Received: node_dim={node_dim}, {len(vocabulary)} names"
                )
        self.max_nodes = max_nodes
        self.node_dim = node_dim
        self.vocabulary = vocabulary
        self.directed = bool(directed)
        self._given = node_dim, vocabulary

    @property
    def needs_adapting(self):
        """Whether there may be names to learn: no vocabulary was given."""
        return self._given[1] is None

    @property
    def shape(self):
        unknown = self.max_nodes is None or self.node_dim is None
        return (self.max_nodes, None if unknown else self.node_dim + self.max_nodes)

    @property
    def raw_shapes(self):
        return {"nodes": (None, self.node_dim), "adjacency": (None, None)}

    def filler_shape(self, shape):
        nodes = shape[0] or 1
        return (nodes, self._dim() + nodes)

    def adapt(self, values):
        if not self.needs_adapting:
            raise ValueError(
                f"This Graph has its vocabulary already: there is nothing to learn. Make a new one. Received: {self!r}"
            )
        self.node_dim, self.vocabulary = self._given
        counts = Counter()
        for row, value in enumerate(values):
            try:
                nodes = _nodes(_parsed(value)["nodes"])
                if isinstance(nodes, np.ndarray):
                    if counts:
                        raise ValueError("nodes must all have names, or all vectors. Received: both")
                    # Vectors say all there is to learn at once.
                    self.node_dim = self._checked(nodes).shape[1]
                    return self
            except ValueError as error:
                raise ValueError(f"Graph {row} of those to adapt to: {error}") from error
            counts.update(name for names in nodes for name in names)
        if not counts:
            raise ValueError("at least one graph with named nodes, or vectors, is needed to adapt to. Received: none")
        if self.node_dim == 1:
            raise ValueError("`node_dim` must be at least 2: one is for unknown names. Received: node_dim=1")
        room = None if self.node_dim is None else self.node_dim - 1
        self.vocabulary = sorted(counts, key=lambda name: (-counts[name], name))[:room]
        self.node_dim = len(self.vocabulary) + 1 if self.node_dim is None else self.node_dim
        return self

    def read(self, value, rng=None):
        graph = _parsed(value)
        nodes = _nodes(graph["nodes"])
        nodes = self._checked(nodes) if isinstance(nodes, np.ndarray) else self._many_hot(nodes)
        given = [key for key in ("edges", "adjacency") if graph.get(key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected `edges` (`[]` for none) or `adjacency`, one of them. Received: {given or 'none'}"
            )
        adjacency = (_from_edges if given == ["edges"] else _from_matrix)(graph[given[0]], len(nodes))
        size = content_length(nodes)
        if not size:
            raise ValueError(_EMPTY)
        if adjacency[size:].any() or adjacency[:, size:].any():
            raise ValueError(f"an edge goes to padding: the nodes from number {size} on are zeros")
        adjacency = adjacency[:size, :size]
        ways = np.argwhere((adjacency > 0) & (adjacency.T > 0) & ~np.isclose(adjacency, adjacency.T))
        if len(ways) and not self.directed:
            raise ValueError(
                f"the edge between nodes {ways[0, 0]} and {ways[0, 1]} has two weights; take Graph(directed=True) if "
                f"both ways differ. Received: {adjacency[tuple(ways[0])]:g} and {adjacency.T[tuple(ways[0])]:g}"
            )
        return np.concatenate([nodes[:size], adjacency], axis=1)

    def graph(self, wire):
        tf = require_tensorflow("Preparing graphs in a graph")
        dim = self._dim()
        nodes, adjacency = wire[:, :dim], wire[:, dim:]
        if not self.directed:
            adjacency = tf.where(adjacency == 0, tf.transpose(adjacency), adjacency)
        room = tf.shape(wire)[0] if self.max_nodes is None else self.max_nodes
        size = tf.minimum(tf.shape(wire)[0], room)
        packed = tf.concat([nodes[:size], adjacency[:size, :size]], axis=1)
        return tf.ensure_shape(tf.pad(packed, [[0, room - size]] * 2), self.shape)

    def array(self, wire):
        dim = self._dim()
        nodes, adjacency = wire[:, :dim], wire[:, dim:]
        if not self.directed:
            adjacency = np.where(adjacency == 0, adjacency.T, adjacency)
        room = len(wire) if self.max_nodes is None else self.max_nodes
        size = min(len(wire), room)
        return np.pad(np.concatenate([nodes[:size], adjacency[:size, :size]], axis=1), (0, room - size))

    def by_kind(self, prepared):
        dim = self._dim()
        nodes, adjacency = prepared[..., :dim], prepared[..., dim:]
        if not isinstance(prepared, np.ndarray):
            # What is cut from an axis of unknown length has no length that a graph knows.
            nodes = require_tensorflow("A tensor of graphs").ensure_shape(nodes, [*prepared.shape[:-1], dim])
        return {"nodes": nodes, "adjacency": adjacency}

    def is_cut(self, value):
        """Whether a raw value has more nodes than are kept."""
        return self.max_nodes is not None and len(self.read(value)) > self.max_nodes

    def get_config(self):
        return {
            "max_nodes": self.max_nodes,
            "node_dim": self.node_dim,
            "vocabulary": self.vocabulary,
            "directed": self.directed,
        }

    def _dim(self):
        if self.node_dim is None:
            raise ValueError(
                "Graph does not know its nodes yet: call `adapt` first, or give `node_dim` or `vocabulary`"
            )
        return self.node_dim

    def _checked(self, vectors):
        if self.vocabulary is not None or self.node_dim not in (None, vectors.shape[1]):
            expected = f"vectors of {self.node_dim} numbers" if self.vocabulary is None else "names"
            raise ValueError(f"expected nodes as {expected}. Received: shape {vectors.shape}")
        return vectors

    def _many_hot(self, nodes):
        if self.vocabulary is None:
            raise ValueError(
                "nodes with names need a vocabulary: call `adapt` first, or give `vocabulary`. "
                f"Received: {nodes[:_SHOWN]}"
            )
        places = {name: place for place, name in enumerate(self.vocabulary, 1)}
        hot = np.zeros((len(nodes), self.node_dim), "float32")
        for row, names in enumerate(nodes):
            hot[row, [places.get(name, 0) for name in names] or [0]] = 1.0
        return hot


def _parsed(value):
    """The dict of a raw value."""
    if isinstance(value, (str, bytes, os.PathLike)):
        text = value if _is_json(value) else read_bytes(value)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(value, dict) or value.get("nodes") is None:
        kind = f"keys {list(value)[:_SHOWN]}" if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"expected {_FORM}. Received: {kind}")
    return value


def _is_json(value):
    return isinstance(value, str) and value.lstrip().startswith("{")


def _nodes(nodes):
    """Vectors (node, dim), or a list of names for each node."""
    if not isinstance(nodes, (list, tuple, np.ndarray)):
        raise ValueError(f"expected `nodes` as a list or an array. Received: {type(nodes).__name__}")
    if not len(nodes):
        raise ValueError(_EMPTY)
    if not any(map(_is_named, nodes)):
        return check_numbers(nodes, (("node", "dim"),))
    several = (list, tuple, set, frozenset, np.ndarray)
    return [_names(node if isinstance(node, several) else [node]) for node in nodes]


def _is_named(node):
    node = node.tolist() if isinstance(node, np.ndarray) else node
    if isinstance(node, (list, tuple, set, frozenset)):
        return not node or any(isinstance(name, str) for name in node)
    return isinstance(node, (str, int, np.integer))


def _names(names):
    wrong = [name for name in names if not isinstance(name, (str, int, np.integer)) or isinstance(name, bool)]
    if wrong or isinstance(names, str):
        raise ValueError(f"expected names, strings or integers. Received: {wrong[:_SHOWN] or names}")
    return [str(name) for name in names]


def _from_edges(edges, num_nodes):
    adjacency = np.zeros((num_nodes, num_nodes), "float32")
    try:
        ends_and_weight = np.array([(*edge, 1.0)[:3] for edge in edges if len(edge) in (2, 3)], "float64")
        if len(ends_and_weight) < len(edges):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            "expected edges (source, target) or (source, target, weight), all numbers; a relation with a name is a "
            f"node of its own. Received: {list(edges)[:_SHOWN] if np.iterable(edges) else edges}"
        ) from None
    numbers = set(range(num_nodes))
    for row, (source, target, weight) in enumerate(ends_and_weight.reshape(-1, 3)):
        if not {source, target} <= numbers:
            raise ValueError(
                f"edge {row} must join two of the nodes 0..{num_nodes - 1}. Received: {source:g} and {target:g}"
            )
        place = int(target), int(source)
        if adjacency[place] not in (0, np.float32(weight)):
            raise ValueError(
                f"edge {row}, from node {source:g} to {target:g}, was named before with another weight. "
                f"Received: {adjacency[place]:g} and {weight:g}"
            )
        adjacency[place] = weight
    return _checked_weights(adjacency)


def _from_matrix(matrix, num_nodes):
    adjacency = check_numbers(matrix, (("node", "node"),))
    if adjacency.shape != (num_nodes, num_nodes):
        raise ValueError(f"expected an adjacency of {num_nodes} x {num_nodes} nodes. Received: {adjacency.shape}")
    return _checked_weights(adjacency)


def _checked_weights(adjacency):
    wrong = np.argwhere(~(np.isfinite(adjacency) & (adjacency >= 0)))
    if len(wrong):
        target, source = wrong[0]
        raise ValueError(
            "weights of edges must be finite and not negative. "
            f"Received: {adjacency[target, source]:g}, from node {source} to {target}"
        )
    return adjacency
