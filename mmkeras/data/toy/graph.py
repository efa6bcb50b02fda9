"""Scene graphs of toy scenes: objects, and what they are."""

import numpy as np

from mmkeras.data.toy.attributes import ATTRIBUTES

# What a node can be: an object, or a value of one of these. Distractors are objects that are grey.
DESCRIBED = ("shape", "colour", "size", "position")
NODE_KINDS = ("object", *(value for name in DESCRIBED for value in ATTRIBUTES[name]), "grey")
MAX_OBJECTS = len(ATTRIBUTES["count"])


def render_graphs(attributes: dict, *, max_distractors: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Describe each scene by a graph.

    There is a node for each of the `count` objects and one for each value that is told, and an edge between an object
    and each of its values: shape, colour, size and position. Between none and `max_distractors` other objects are grey
    and have a shape too, so that only edges tell which shape belongs to the coloured ones. Nodes come in any order.

    Args:
        attributes: Dict with one index array `(batch,)` per attribute.
        max_distractors: Largest number of grey objects.
        rng: NumPy random generator.

    Returns:
        Nodes `(batch, node, 18)`, float32, one-hot among `NODE_KINDS`, with zeros for nodes that are not there (at the
        end), and adjacency `(batch, node, node)`, float32, symmetric, of zeros and ones.
    """
    batch = len(attributes["shape"])
    shapes = ATTRIBUTES["shape"]
    other_values = 1 + min(max_distractors, len(shapes) - 1) if max_distractors else 0
    room = MAX_OBJECTS + max_distractors + len(DESCRIBED) + other_values
    nodes = np.zeros((batch, room, len(NODE_KINDS)), dtype="float32")
    adjacency = np.zeros((batch, room, room), dtype="float32")
    for row in range(batch):
        told = [ATTRIBUTES[name][int(attributes[name][row])] for name in DESCRIBED]
        objects = [told] * (int(attributes["count"][row]) + 1)
        for _ in range(rng.integers(max_distractors + 1)):
            objects = [*objects, [shapes[rng.integers(len(shapes))], "grey"]]
        values = sorted({value for own in objects for value in own})
        kinds = ["object"] * len(objects) + values
        place = rng.permutation(len(kinds))
        for index, kind in enumerate(kinds):
            nodes[row, place[index], NODE_KINDS.index(kind)] = 1.0
        for index, own in enumerate(objects):
            for value in own:
                ends = place[index], place[len(objects) + values.index(value)]
                adjacency[row, ends[0], ends[1]] = adjacency[row, ends[1], ends[0]] = 1.0
    return nodes, adjacency


def name_graph(nodes: np.ndarray, adjacency: np.ndarray) -> dict:
    """Write a graph as a person would: a name per node, and each edge once.

    Args:
        nodes: Array `(node, 18)` of one graph of `render_graphs`.
        adjacency: Array `(node, node)`.

    Returns:
        Dict of `"nodes"`, a list of `NODE_KINDS`, and `"edges"`, a list of pairs of node numbers.
    """
    names = [NODE_KINDS[kind] for kind in nodes[nodes.any(axis=1)].argmax(axis=1)]
    return {"nodes": names, "edges": np.argwhere(np.triu(adjacency)).tolist()}
