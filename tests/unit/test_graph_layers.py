"""Graphs: numbers worked out by hand, loops in NumPy, and what must not matter."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras import layers as L
from tests.conformance.backend import array
from tests.conformance.cases import floats

tensor = keras.ops.convert_to_tensor
# A path 0 - 1 - 2, and a node by itself.
PATH = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], "float32")


class TestAdjacency:
    def test_symmetric_by_hand(self):
        """Degrees with self-loops: 2, 3, 2, 1."""
        actual = array(mm.ops.normalize_adjacency(tensor(PATH[None])))[0]
        degrees = np.array([2, 3, 2, 1])
        np.testing.assert_allclose(actual, (PATH + np.eye(4)) / np.sqrt(np.outer(degrees, degrees)), rtol=1e-6)

    def test_rows_by_hand(self):
        actual = array(mm.ops.normalize_adjacency(tensor(PATH[None]), self_loops=False, symmetric=False))[0]
        expected = [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
        np.testing.assert_allclose(actual, expected)

    @pytest.mark.parametrize("symmetric", [True, False])
    def test_nodes_that_are_not_there_are_nobodys_neighbours(self, symmetric):
        mask = np.array([[True, True, False, False]])
        full = np.ones((1, 4, 4), "float32")
        actual = array(mm.ops.normalize_adjacency(tensor(full), tensor(mask), symmetric=symmetric))[0]
        np.testing.assert_allclose(actual, [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])

    def test_edges(self):
        mask = tensor(np.array([[True, True, False, True]]))
        edges = array(mm.ops.edge_mask(tensor(PATH[None]), mask))[0]
        expected = (PATH + np.eye(4)) > 0
        expected[2] = expected[:, 2] = False
        np.testing.assert_array_equal(edges, expected)
        assert not array(mm.ops.edge_mask(tensor(PATH[None]), self_loops=False))[0].diagonal().any()


def test_convolution_equals_the_formula():
    layer, nodes = L.GraphConvolution(3, "relu"), floats(2, 4, 5)
    adjacency = np.stack([PATH, 2 * PATH])
    output = array(layer(nodes, adjacency))
    kernel, bias = layer.get_weights()
    for row in range(2):
        a = adjacency[row] + np.eye(4)
        root = np.diag(a.sum(axis=1) ** -0.5)
        np.testing.assert_allclose(output[row], np.maximum(root @ a @ root @ nodes[row] @ kernel + bias, 0), atol=1e-5)


def test_attention_equals_the_loops():
    layer, nodes = L.GraphAttention(2, 6), floats(1, 4, 5)
    output, weights = layer(nodes, PATH[None], return_weights=True)
    listener, speaker, bias, kernel = layer.get_weights()
    assert listener.shape == speaker.shape == (2, 3)
    values = (nodes[0] @ kernel).reshape(4, 2, 3)
    for node in range(4):
        neighbours = [other for other in range(4) if other == node or PATH[node, other]]
        for head in range(2):
            scores = np.array(
                [listener[head] @ values[node, head] + speaker[head] @ values[n, head] for n in neighbours]
            )
            odds = np.exp(np.where(scores > 0, scores, 0.2 * scores))
            odds /= odds.sum()
            np.testing.assert_allclose(array(weights)[0, head, node, neighbours], odds, rtol=1e-4)
            expected = (
                sum(p * values[n, head] for p, n in zip(odds, neighbours, strict=True)) + bias.reshape(2, 3)[head]
            )
            np.testing.assert_allclose(array(output)[0, node].reshape(2, 3)[head], expected, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: L.GraphConvolution(4), lambda: L.GraphAttention(2)], ids=["gcn", "gat"])
def test_as_many_layers_as_steps(make):
    """What node 2 holds reaches node 0 through two layers, not through one, and never the node by itself."""
    first, second = make(), make()
    nodes = floats(1, 4, 4)
    changed = nodes.copy()
    changed[0, 2] += 1

    def run(x):
        once = first(x, PATH[None])
        return array(once)[0], array(second(once, PATH[None]))[0]

    (one, two), (one_changed, two_changed) = run(nodes), run(changed)
    assert (np.abs(one - one_changed).max(axis=1) > 1e-6).tolist() == [False, True, True, False]
    assert (np.abs(two - two_changed).max(axis=1) > 1e-6).tolist() == [True, True, True, False]


class TestGraphFusion:
    def fuse(self, edges, within=True, **changes):
        keras.utils.set_random_seed(0)
        fusion = L.GraphFusion(num_layers=1, num_heads=2, edges=edges, within=within)
        encodings = {name: floats(1, 2, 4, seed=seed) for seed, name in enumerate(("audio", "image", "text"))}
        before = array(fusion(encodings))[0]
        after = array(fusion({**encodings, **changes}))[0]
        # Two tokens of each modality.
        return (np.abs(before - after).max(axis=1) > 1e-6).reshape(3, 2).any(axis=1).tolist()

    def test_all_listen_to_all(self):
        assert self.fuse(None, text=floats(1, 2, 4, seed=9)) == [True, True, True]

    def test_edges_say_who_listens_to_whom(self):
        edges = [("image", "text"), ("image", "audio")]
        assert self.fuse(edges, text=floats(1, 2, 4, seed=9)) == [False, True, True]
        assert self.fuse(edges, image=floats(1, 2, 4, seed=9)) == [True, True, True]

    def test_within_a_modality(self):
        text = floats(1, 2, 4, seed=2)
        text[0, 1] = floats(4, seed=9)
        keras.utils.set_random_seed(0)
        for within in (True, False):
            fusion = L.GraphFusion(num_layers=1, num_heads=2, edges=[], within=within)
            encodings = {"image": floats(1, 2, 4), "text": floats(1, 2, 4, seed=2)}
            before = array(fusion(encodings))[0]
            after = array(fusion({**encodings, "text": text}))[0]
            changed = (np.abs(before - after).max(axis=1) > 1e-6).tolist()
            assert changed == [False, False, within, True]

    def test_unknown_edges(self):
        with pytest.raises(
            ValueError, match=r"`edges` must be pairs of \['image', 'text'\]. Received: \[\('image', 'x"
        ):
            L.GraphFusion(edges=[("image", "x")])({"image": floats(1, 4), "text": floats(1, 4)})


@pytest.mark.parametrize(
    ("make", "nodes", "adjacency", "message"),
    [
        (lambda: L.GraphConvolution(3), (2, 4, 5), (2, 4, 5), r"GraphConvolution takes nodes .*Received: shapes"),
        (lambda: L.GraphAttention(1), (2, 5), (2, 4, 4), r"GraphAttention takes nodes .*Received: shapes"),
        (
            lambda: L.GraphAttention(4),
            (2, 4, 6),
            (2, 4, 4),
            r"give `units`, a multiple of `num_heads`. Received: num_heads=4",
        ),
    ],
)
def test_bad_shapes(make, nodes, adjacency, message):
    with pytest.raises(ValueError, match=message):
        make()(floats(*nodes), floats(*adjacency))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.GraphConvolution(0), "`units` must be a positive integer. Received: units=0"),
        (lambda: L.GraphAttention(3, 8), "`units` must be a multiple of `num_heads`.*Received: units=8, num_heads=3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_a_scene_graph_is_read_by_its_edges():
    """Which shape is coloured: without edges a reader of the toy world's nodes is well below what edges tell."""
    world = mm.data.toy.ToyWorld(2400)
    keras.utils.set_random_seed(0)
    scores = {}
    for name in ("edges", "none"):
        (x, y), (x_test, y_test) = (world.arrays(s, ("nodes", "adjacency"), "shape") for s in ("train", "test"))
        if name == "none":
            x, x_test = ({**part, "adjacency": 0 * part["adjacency"]} for part in (x, x_test))
        task = mm.models.MultimodalClassifier({"graph": mm.encoders.graph(18, 32, 3, pooling="max")}, classes=4)
        task.compile(optimizer=keras.optimizers.Adam(5e-3))
        task.fit(x, y, batch_size=64, epochs=12, verbose=0)
        scores[name] = (task.predict(x_test, verbose=0)["label"].argmax(axis=1) == y_test).mean()
    assert scores["edges"] >= 0.97
    assert scores["none"] <= 0.85
