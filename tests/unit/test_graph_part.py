"""Graphs become nodes and an adjacency that one can draw by hand, on every way into a task."""

import json

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.preprocessing import Graph, Label, Preprocessor, Text

WATER = {"nodes": ["O", "H", "H"], "edges": [(0, 1), (0, 2)]}
PATH = {"nodes": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "edges": [(0, 1), (1, 2, 0.5)]}


def prepared(part, value):
    made = part.by_kind(part.array(part.read(value)))
    return made["nodes"].tolist(), made["adjacency"].tolist()


class TestForms:
    def test_vectors_and_weights(self):
        nodes, adjacency = prepared(Graph(node_dim=2), PATH)
        assert nodes == PATH["nodes"]
        assert adjacency == [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]]

    def test_a_directed_edge_is_heard_by_its_target_alone(self):
        _, adjacency = prepared(Graph(node_dim=2, directed=True), PATH)
        assert adjacency == [[0, 0, 0], [1, 0, 0], [0, 0.5, 0]]

    @pytest.mark.parametrize("directed", [False, True])
    def test_an_adjacency_is_as_good_as_edges(self, directed):
        part = Graph(node_dim=2, directed=directed)
        weights = [[0, 0, 0], [1, 0, 0], [0, 0.5, 0]]
        assert prepared(part, {"nodes": PATH["nodes"], "adjacency": weights}) == prepared(part, PATH)

    @pytest.mark.parametrize("edges", [[(0, 1), (1, 0)], [(1, 0), (1, 0)], np.array([[0, 1], [0, 1]])])
    def test_an_edge_named_twice_counts_once(self, edges):
        assert prepared(Graph(node_dim=1), {"nodes": [[1], [1]], "edges": edges})[1] == [[0, 1], [1, 0]]

    def test_names_by_frequency_and_the_unknown_first(self):
        """H 2, O 1; helium is unknown and the last node has no name."""
        part = Graph().adapt([WATER])
        assert (part.vocabulary, part.node_dim) == (["H", "O"], 3)
        nodes, adjacency = prepared(part, {"nodes": ["He", ["O", "H"], ["He", "H"], []], "edges": []})
        assert nodes == [[1, 0, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0]]
        assert not np.any(adjacency)

    def test_integers_are_names(self):
        part = Graph().adapt([{"nodes": [8, 1, 1], "edges": []}])
        assert part.vocabulary == ["1", "8"]
        assert prepared(part, {"nodes": np.array([8, 1]), "edges": []})[0] == [[0, 0, 1], [0, 1, 0]]
        # A row of them is a vector.
        assert prepared(Graph(node_dim=2), {"nodes": [[8, 1]], "edges": []})[0] == [[8, 1]]

    def test_node_dim_keeps_the_most_frequent_names_or_leaves_room(self):
        assert Graph(node_dim=2).adapt([WATER]).vocabulary == ["H"]
        part = Graph(node_dim=5).adapt([WATER])
        assert part.vocabulary == ["H", "O"]
        assert prepared(part, {"nodes": ["O"], "edges": []})[0] == [[0, 0, 1, 0, 0]]

    @pytest.mark.parametrize("form", ["text", "bytes", "str path", "path"])
    def test_json(self, form, tmp_path):
        part = Graph().adapt([WATER])
        text = json.dumps({"id": 7, **WATER})
        (tmp_path / "graph.json").write_text(text)
        path = tmp_path / "graph.json"
        value = {"text": " \n" + text, "bytes": text.encode(), "str path": str(path), "path": path}[form]
        assert prepared(part, value) == prepared(part, WATER)

    def test_padding_at_the_end_of_arrays_is_not_a_node(self):
        part = Graph(node_dim=2)
        nodes, adjacency = np.zeros((5, 2)), np.zeros((5, 5))
        nodes[[0, 2]], adjacency[0, 1] = 1.0, 1.0
        assert part.read({"nodes": nodes, "adjacency": adjacency}).shape == (3, 2 + 3)

    def test_padded_or_cut_with_the_edges(self):
        long, short = Graph(4, 2), Graph(2, 2)
        nodes, adjacency = prepared(long, PATH)
        assert nodes == [*PATH["nodes"], [0, 0]]
        assert adjacency == [[0, 1, 0, 0], [1, 0, 0.5, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]]
        assert prepared(short, PATH) == (PATH["nodes"][:2], [[0, 1], [1, 0]])
        assert (long.is_cut(PATH), short.is_cut(PATH), Graph(node_dim=2).is_cut(PATH)) == (False, True, False)
        assert (long.shape, Graph(node_dim=2).shape, Graph(4).shape) == ((4, 6), (None, None), (4, None))


class TestAdapt:
    def test_names_are_learned_anew_unless_given(self):
        part = Graph().adapt([WATER])
        assert part.adapt([{"nodes": ["C"], "edges": []}]).vocabulary == ["C"]
        assert part.node_dim == 2
        fixed = Graph(vocabulary=["C"])
        assert not fixed.needs_adapting
        with pytest.raises(ValueError, match="vocabulary already"):
            fixed.adapt([WATER])

    def test_the_first_vectors_say_it_all(self):
        assert Graph().adapt([PATH, WATER]).node_dim == 2

    @pytest.mark.parametrize(
        ("part", "values", "message"),
        [
            (Graph(), [], "at least one graph"),
            (Graph(), [{"nodes": [[]], "edges": []}], "at least one graph with named nodes"),
            (Graph(), [WATER, PATH], "Graph 1 of those to adapt to: nodes must all have names, or all vectors"),
            (Graph(node_dim=1), [WATER], "`node_dim` must be at least 2"),
            (Graph(node_dim=3), [PATH], "Graph 0 of those to adapt to: expected nodes as vectors of 3"),
        ],
    )
    def test_sets_that_cannot_be_learned_from(self, part, values, message):
        with pytest.raises(ValueError, match=message):
            part.adapt(values)

    @pytest.mark.parametrize("value", [WATER, {"nodes": [[]], "edges": []}])
    def test_adapting_comes_first(self, value):
        with pytest.raises(ValueError, match="need a vocabulary: call `adapt`"):
            Graph().read(value)
        with pytest.raises(ValueError, match="call `adapt` first"):
            Graph().array(np.zeros((2, 4), "float32"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, r'a dict \{"nodes": ..., "edges": ...\}.*Received: int'),
        ([WATER], "Received: list"),
        ({"edges": []}, r"Received: keys \['edges'\]"),
        ('{"nodes": [', "no JSON"),
        ("[1]", "no such file"),
        ("nowhere.json", "no such file: 'nowhere.json'"),
        ({"nodes": 3, "edges": []}, "`nodes` as a list.*int"),
        ({"nodes": [], "edges": []}, "no nodes: leave such a graph out"),
        ({"nodes": np.zeros((2, 2)), "edges": []}, "no nodes"),
        ({"nodes": [[1.0, 2.0, 3.0]], "edges": []}, r"vectors of 2 numbers. Received: shape \(1, 3\)"),
        ({"nodes": [[1.0], [1.0, 2.0]], "edges": []}, "rows of different lengths"),
        ({"nodes": [[1.0, np.nan]], "edges": []}, "NaN or infinite, at node 0, dim 1"),
        ({"nodes": [0.5, 1.5], "edges": []}, r"numbers \(node, dim\)"),
        ({"nodes": ["a", 0.5], "edges": []}, r"names, strings or integers. Received: \[0.5\]"),
        ({"nodes": [["a", None]], "edges": []}, r"names, strings or integers. Received: \[None\]"),
        ({"nodes": PATH["nodes"]}, "`edges`.*or `adjacency`, one of them. Received: none"),
        ({**PATH, "adjacency": np.zeros((3, 3))}, r"one of them. Received: \['edges', 'adjacency'\]"),
        ({**PATH, "edges": [(0, 3)]}, r"edge 0 must join two of the nodes 0..2. Received: 0 and 3"),
        ({**PATH, "edges": [(0, 1), (-1, 0)]}, "edge 1 must join"),
        ({**PATH, "edges": [(0.5, 1)]}, "edge 0 must join"),
        ({**PATH, "edges": [(0, np.nan)]}, "edge 0 must join"),
        ({**PATH, "edges": [(0, "holds", 1)]}, "a relation with a name is a node of its own"),
        ({**PATH, "edges": [(0, 1, 1, 1)]}, r"\(source, target, weight\)"),
        ({**PATH, "edges": [0, 1]}, r"\(source, target\)"),
        ({**PATH, "edges": 3}, "Received: 3"),
        ({**PATH, "edges": [(0, 1, -1)]}, "not negative. Received: -1, from node 0 to 1"),
        ({**PATH, "edges": [(0, 1, np.inf)]}, "must be finite"),
        ({**PATH, "edges": [(0, 1, 2), (0, 1, 3)]}, "edge 1, from node 0 to 1, was named before.*Received: 2 and 3"),
        ({**PATH, "edges": [(0, 1, 2), (1, 0, 3)]}, r"nodes 0 and 1 has two weights; take Graph\(directed=True\)"),
        ({"nodes": PATH["nodes"], "adjacency": np.ones((2, 2))}, r"adjacency of 3 x 3 nodes. Received: \(2, 2\)"),
        ({"nodes": PATH["nodes"], "adjacency": -np.eye(3)}, "not negative. Received: -1, from node 0 to 0"),
        ({"nodes": [[1, 1], [0, 0]], "edges": [(0, 1)]}, "an edge goes to padding: the nodes from number 1 on"),
    ],
)
def test_bad_values_are_named(value, message):
    with pytest.raises(ValueError, match=message):
        Graph(node_dim=2).read(value)


def test_vectors_where_names_are_expected():
    with pytest.raises(ValueError, match=r"expected nodes as names. Received: shape \(3, 2\)"):
        Graph(vocabulary=["a"]).read(PATH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Graph(0), "max_nodes"),
        (lambda: Graph(node_dim=0), "node_dim"),
        (lambda: Graph(vocabulary=[]), "each name once"),
        (lambda: Graph(vocabulary=["a", "a"]), "each name once"),
        (lambda: Graph(vocabulary="abc"), "names.*Received: abc"),
        (lambda: Graph(vocabulary=[None]), "names.*None"),
        (lambda: Graph(node_dim=2, vocabulary=["a", "b"]), "one more dimension.*2 names"),
    ],
)
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.tensorflow
@pytest.mark.parametrize("max_nodes", [None, 2, 5])
@pytest.mark.parametrize("directed", [False, True])
def test_one_graph_two_ways(max_nodes, directed):
    import tensorflow as tf

    part = Graph(max_nodes, 2, directed=directed)
    traced = tf.function(part.graph, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    rng = np.random.default_rng(0)
    for size in (1, 3, 7):
        wire = part.read({"nodes": rng.normal(size=(size, 2)), "adjacency": np.triu(rng.random((size, size)))})
        np.testing.assert_array_equal(traced(wire), part.array(wire))
        for name, value in part.by_kind(traced(wire)).items():
            np.testing.assert_array_equal(value, part.by_kind(part.array(wire))[name])


@pytest.fixture(scope="module")
def world():
    return mm.data.toy.ToyWorld(400)


def without_edges(records):
    return [{**record, "graph": {**record["graph"], "edges": []}} for record in records]


def test_names_of_the_toy_world_are_its_arrays(world):
    """The part makes of raw graphs what the world renders, but for the order of the dimensions."""
    x, _ = world.arrays("val", inputs=("nodes", "adjacency"))
    kinds = mm.data.toy.graph.NODE_KINDS
    part = Graph(x["nodes"].shape[1], vocabulary=kinds)
    made = Preprocessor(graph=part)(world.records("val"))
    np.testing.assert_array_equal(made["nodes"][..., 1:], x["nodes"])
    np.testing.assert_array_equal(made["adjacency"], x["adjacency"])


@pytest.mark.parametrize("max_nodes", [None, 9, 20])
def test_the_pipeline_gives_what_a_call_gives(world, max_nodes):
    records = [dict(record) for record in world.records("val")]
    records[1]["graph"] = records[5]["graph"] = None
    pre = Preprocessor(graph=Graph(max_nodes), label=Label(), optional="graph").adapt(records)
    dataset = pre.dataset(records, 5, shuffle=False)
    assert set(pre.inputs) == {"nodes", "adjacency"}
    start = 0
    for x, y in dataset:
        called = pre(records[start : start + 5])
        assert set(x) == set(called) == {"nodes", "adjacency", "graph_present"}
        for key, value in called.items():
            np.testing.assert_array_equal(np.asarray(x[key]), value)
        nodes, dim = called["nodes"].shape[1:]
        assert dim == pre["graph"].node_dim
        assert called["adjacency"].shape[1:] == (nodes, nodes)
        assert max_nodes in (None, nodes)
        start += len(y)
    assert start == len(records)
    assert pre(records[:2])["graph_present"].tolist() == [True, False]
    assert not pre(records[:2])["nodes"][1].any()


@pytest.mark.parametrize("max_nodes", [None, 3])
def test_a_batch_without_any_graph(max_nodes):
    pre = Preprocessor(graph=Graph(max_nodes), text=Text(length=3), optional="graph")
    pre.adapt([{"graph": WATER, "text": "water"}])
    records = [{"text": "water"}] * 2
    (piped,) = pre.dataset(records, 2, shuffle=False)
    for x in (pre(records), piped):
        assert tuple(x["nodes"].shape) == (2, max_nodes or 1, 3)
        assert tuple(x["adjacency"].shape) == (2, max_nodes or 1, max_nodes or 1)
        assert not np.any(x["graph_present"])


def test_a_bad_graph_is_skipped_and_named(tmp_path):
    (tmp_path / "bad.json").write_text('{"nodes": ["H"]}')
    bad = {**WATER, "edges": [(0, 3)]}
    graphs = [WATER, bad, json.dumps(bad), str(tmp_path / "bad.json"), WATER]
    records = [{"graph": graph} for graph in graphs]
    pre = Preprocessor(graph=Graph().adapt([WATER]))
    with pytest.raises(ValueError, match="Record 1, 'graph': edge 0 must join"):
        pre(records)
    dataset = pre.dataset(records, 5, shuffle=False)
    with pytest.warns(UserWarning, match="edge 0 must join"):
        assert [len(x["nodes"]) for x in dataset] == [2]
    problems = [str(problem) for problem in dataset.problems]
    assert [problem.partition(" [graph]: ")[0].partition("record ")[2] for problem in problems] == [
        "1",
        "2",
        f"3 ({tmp_path / 'bad.json'})",
    ]


def test_the_report_names_broken_and_cut_graphs():
    bad = {**WATER, "edges": [(0, 3)]}
    records = mm.data.from_arrays(graph=[WATER, bad, PATH, {"nodes": ["H"], "edges": []}], label=list("abab"))
    pre = Preprocessor(graph=Graph(2).adapt([WATER]), label=Label(list("ab")))
    report = mm.data.inspect(records, pre)
    assert report.rows("broken") == [1, 2]
    assert any("edge 0 must join" in str(problem) for problem in report.problems)
    assert "longer than the preprocessor keeps" in str(report)


@pytest.mark.tensorflow
@pytest.mark.parametrize("max_nodes", [None, 3])
def test_a_server_takes_nodes_and_adjacency(max_nodes):
    import tensorflow as tf

    pre = Preprocessor(graph=Graph(max_nodes, 2), scene=Graph(3, 2), optional="graph")
    records = [{"graph": PATH, "scene": PATH}, {"scene": PATH}]
    called = pre(records)
    assert {key: spec.shape.as_list() for key, spec in pre.signature().items()} == {
        "nodes": [None, None, 2],
        "adjacency": [None, None, None],
        "graph_present": [None],
        "scene_nodes": [None, None, 2],
        "scene_adjacency": [None, None, None],
    }
    wire = pre["graph"].read(PATH)
    # A server need not say each edge twice either, and may pad.
    nodes, adjacency = np.pad(wire[:, :2], [(0, 1), (0, 0)]), np.pad(wire[:, 2:], [(0, 1), (0, 1)])
    one_way, filler = np.stack([np.triu(adjacency.T)] * 2), np.full((4, 2), np.nan, "float32")
    served = tf.function(pre.graph, input_signature=[pre.signature()])(
        {
            "nodes": np.stack([nodes, filler]),
            "adjacency": one_way,
            "graph_present": np.array([True, False]),
            "scene_nodes": np.stack([nodes, nodes]),
            "scene_adjacency": one_way,
        }
    )
    assert set(served) == set(called)
    for key, value in called.items():
        given = served[key].numpy()
        if max_nodes is None and key in ("nodes", "adjacency"):
            given = given[tuple(map(slice, value.shape))]
        np.testing.assert_array_equal(given, value)


@pytest.mark.slow
@pytest.mark.slow
def test_edges_are_learned_from_and_saved(world, tmp_path):
    """Nodes alone say which shapes there are; whose they are, coloured or grey, say edges: 100 % against some 70 %."""
    train, val, test = (world.records(split, "shape") for split in ("train", "val", "test"))
    accuracy = {}
    for name, change in (("nodes", without_edges), ("edges", list)):
        keras.utils.set_random_seed(0)
        records, unseen = change(train), change(val + test)
        pre = Preprocessor(graph=Graph(13), label=Label()).adapt(records)
        encoder = mm.encoders.graph(pre["graph"].node_dim, 32, pooling="max")
        task = mm.models.MultimodalClassifier({"graph": encoder}, classes=pre["label"].classes, preprocessor=pre)
        task.compile(keras.optimizers.Adam(0.01))
        task.fit(pre.dataset(records, 16), epochs=10, verbose=0)
        answers = task.classify(unseen)
        accuracy[name] = np.mean([a["label"] == r["label"] for a, r in zip(answers, unseen, strict=True)])
    assert accuracy["edges"] > 0.95
    assert accuracy["nodes"] < 0.85
    task.save(tmp_path / "task.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    assert loaded.preprocessor["graph"].get_config() == pre["graph"].get_config()
    assert [answer["label"] for answer in loaded.classify(unseen)] == [answer["label"] for answer in answers]


def test_beside_other_modalities_and_missing(world):
    records = world.records("train", "parcel")
    pre = Preprocessor(graph=Graph(13), text=Text(length=24), label=Label(), optional=("graph", "text"))
    pre.adapt(records)
    encoders = {
        "graph": mm.encoders.graph(pre["graph"].node_dim, 8),
        "text": mm.encoders.bag_of_words(pre["text"].num_tokens, 8),
    }
    task = mm.models.MultimodalClassifier(
        encoders, classes=pre["label"].classes, preprocessor=pre, optional=("graph", "text")
    )
    task.compile()
    records[0] = {**records[0], "graph": None}
    task.fit(pre.dataset(records[:64], 16), epochs=2, verbose=0)
    whole, lone = task.predict_records([records[1], {"text": records[1]["text"]}])["label"]
    assert np.isfinite([whole, lone]).all()
    assert np.abs(whole - lone).max() > 1e-6


def test_a_node_without_a_name_is_named_in_the_error():
    part = mm.preprocessing.Graph()
    with pytest.raises(ValueError, match="expected names, strings or integers"):
        part.read({"nodes": ["a", None], "edges": [[0, 1]]})
