"""The index: exact against a sort, ties in order, files, and what it refuses."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from mmkeras.data import from_arrays
from mmkeras.retrieval import Index, evaluate, index, search, with_faiss

HAS_FAISS = importlib.util.find_spec("faiss") is not None
needs_faiss = pytest.mark.skipif(not HAS_FAISS, reason="faiss is not installed")
every_backend = pytest.mark.parametrize("backend", ["numpy", pytest.param("faiss", marks=needs_faiss)])
every_similarity = pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def slow_scores(queries, items, similarity):
    """All scores in float64, (queries, items)."""
    queries, items = queries.astype("float64"), items.astype("float64")
    if similarity == "euclidean":
        return -np.square(queries[:, None] - items).sum(axis=2)
    if similarity == "cosine":
        queries, items = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, items))
    return queries @ items.T


@every_backend
@every_similarity
@pytest.mark.parametrize(
    ("queries", "items", "dim", "k"),
    [(1, 1, 1, 1), (3, 5, 2, 5), (20, 3000, 16, 10), (600, 1500, 4, 3), (2, 2500, 8, 2000)],
)
def test_equals_the_sort(backend, similarity, queries, items, dim, k):
    first, second = floats(queries, dim), floats(items, dim, seed=1)
    scores = slow_scores(first, second, similarity)
    expected = -np.sort(-scores, axis=1)[:, :k]
    found = Index(similarity=similarity, backend=backend).add(second).search(first, k)
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores, expected, atol=2e-5)
    # By score, since rows may change places where float32 cannot tell them apart.
    np.testing.assert_allclose(np.take_along_axis(scores, np.array(found.keys), axis=1), expected, atol=2e-5)
    assert all(len(set(keys)) == k for keys in found.keys)


def test_by_hand():
    """From (3, 4): cosines 0.6, 0.8, 1, products 3, 8, 9, squared distances 4 + 16, 9 + 4, 1.5^2 + 2^2."""
    items, query = np.array([[1.0, 0.0], [0.0, 2.0], [1.5, 2.0]]), [3.0, 4.0]
    products = np.array([3.0, 8.0, 12.5])
    expected = {"cosine": products / 5 / [1, 2, 2.5], "dot": products, "euclidean": [-20.0, -13.0, -6.25]}
    for similarity, scores in expected.items():
        found = Index(similarity=similarity).add(items, keys=["a", "b", "c"]).search(query, k=3)
        assert found.keys == ["c", "b", "a"]
        np.testing.assert_allclose(found.scores, np.sort(scores)[::-1], rtol=1e-6)


@every_backend
@every_similarity
@pytest.mark.parametrize("copies", [40, 3000])
def test_equal_items_come_in_order(backend, similarity, copies):
    """Wherever a copy stands, in which block of which product, it scores the same."""
    rng = np.random.default_rng(3)
    items = rng.normal(size=(5003, 37)).astype("float32")
    places = np.sort(rng.choice(len(items), copies, replace=False))
    items[places] = items[places[0]]
    queries = items[places[:1]] + 0.01 * rng.normal(size=(50, 37)).astype("float32")
    found = Index(similarity=similarity, backend=backend).add(items).search(queries, 10)
    assert found.keys == [places[:10].tolist()] * 50
    assert (found.scores == found.scores[:, :1]).all()


def test_rounding_of_a_product_does_not_decide():
    """Rows 0 and 1 are equal; a product may still score row 0 lower by its last digit, and proposals come unordered."""
    nearest = search.Nearest(np.ones((3, 2), "float32"), np.full(3, 2**0.5, "float32"))
    query = np.ones(2, "float32")
    candidates = search._Candidates(nearest, query, 1)
    for scores, rows in (([2 - 2e-7, 2], [0, 1]), ([2 + 2e-7], [2])):
        candidates.add(np.array(scores, "float32"), np.array(rows))
    assert candidates.rows.tolist() == [0, 1, 2]
    scores, rows = nearest.best(query, np.array([2, 0, 1]), 2)
    assert (scores.tolist(), rows.tolist()) == ([2, 2], [0, 1])


class LastFirst:
    """Stands in for faiss: among equal scores it proposes the last items, as it may."""

    METRIC_L2 = METRIC_INNER_PRODUCT = None

    def knn(self, queries, items, count, metric):
        order = np.argsort(-(queries @ items.T)[:, ::-1], axis=1, kind="stable")
        return None, len(items) - 1 - order[:, :count]


@pytest.mark.parametrize("copies", [5, 100])
def test_proposals_do_not_decide_ties(monkeypatch, copies):
    monkeypatch.setattr(index, "import_faiss", lambda: None)
    monkeypatch.setattr(with_faiss, "import_faiss", LastFirst)
    items = np.repeat(np.eye(4), copies, axis=0)
    found = Index(backend="faiss").add(items).search(np.eye(4), 3)
    assert found.keys == [[copies * row + place for place in range(3)] for row in range(4)]


@every_backend
@every_similarity
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_all_equal_or_zero(backend, similarity, value):
    items = np.full((4000, 19), value)
    found = Index(similarity=similarity, backend=backend).add(items).search(items[:3], 5)
    assert found.keys == [[0, 1, 2, 3, 4]] * 3
    assert np.isfinite(found.scores).all()
    if value == 0:
        assert not found.scores.any()


def test_long_vectors_do_not_blur_the_others():
    """One item of length 1e7 makes rounding of its own scores coarse, not of the others'."""
    items = floats(5000, 8)
    items[2500] *= -1e7 / np.linalg.norm(items[2500])
    query = -items[2500:2501] / 1e7
    expected = np.argsort(-slow_scores(query, items, "dot"), axis=1)[:, :20].tolist()
    assert Index(similarity="dot").add(items).search(query, 20).keys == expected


@every_similarity
def test_results_do_not_depend_on_blocks(similarity, monkeypatch):
    items, queries = floats(3000, 6).round(1), floats(50, 6, seed=1).round(1)
    built = Index(similarity=similarity).add(items)
    expected = built.search(queries, 7)
    monkeypatch.setattr(search, "_QUERIES", 7)
    monkeypatch.setattr(search, "_FIRST", 3)
    monkeypatch.setattr(search, "_MOST", 11)
    found = built.search(queries, 7)
    assert found.keys == expected.keys
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_adding_in_parts_is_adding_at_once():
    items = floats(100, 5)
    parts = Index()
    for start in (0, 1, 2, 30):
        parts.add(items[start : {0: 1, 1: 2, 2: 30, 30: 100}[start]])
    whole = Index(5).add(items)
    assert len(parts) == len(whole) == 100
    found, expected = parts.search(items, 8), whole.search(items, 8)
    assert found.keys == expected.keys
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_an_added_array_is_copied():
    items = np.eye(3, dtype="float32")
    built = Index(similarity="dot").add(items)
    items[:] = 0
    np.testing.assert_array_equal(built.search([1.0, 0.0, 0.0], 1).scores, [1.0])


def test_searching_between_additions():
    built = Index(2).add([[1.0, 0.0]], keys=["a"])
    assert built.search([0.0, 1.0], 5).keys == ["a"]
    built.add([[0.0, 1.0]], keys=["b"])
    assert built.search([0.0, 1.0], 5).keys == ["b", "a"]
    assert built.remove(["b"]) == 1
    assert built.search([0.0, 1.0], 5).keys == ["a"]


def test_shapes_and_k_beyond_the_index():
    built = Index().add(floats(4, 3))
    many, one = built.search(floats(2, 3), 9), built.search(floats(3), 9)
    assert (many.scores.shape, [len(keys) for keys in many.keys]) == ((2, 4), [4, 4])
    assert (one.scores.shape, len(one.keys)) == ((4,), 4)
    assert repr(built) == "<Index: 4 embeddings of size 3, cosine>"


def test_records_as_keys():
    records = from_arrays(text=["a dog", "a cat"])
    found = Index().add(np.eye(2), keys=records).search([0.1, 1.0], 1)
    assert found.keys[0]["text"] == "a cat"


def test_numbers_are_never_given_twice():
    built = Index().add(np.eye(3)).add(np.eye(3), keys=np.array([7, 8, 9]))
    assert built.remove([0, 8]) == 2
    built.add(np.eye(3)[:1]).add(np.eye(3)[:1])
    assert built.search(np.ones(3)).keys == [1, 2, 7, 9, 6, 7]


def test_remove_takes_records_and_all_copies():
    built = Index().add(np.eye(3), keys=[{"id": 1}, {"id": 2}, {"id": 1}])
    assert built.remove([{"id": 1}]) == 2
    assert built.search(np.ones(3)).keys == [{"id": 2}]


def test_search_agrees_with_evaluate():
    queries, items = floats(60, 4), floats(90, 4, seed=1)
    groups = np.arange(60) % 30, np.arange(90) % 30
    found = Index().add(items, keys=groups[1]).search(queries, 5)
    hits = [group in keys for group, keys in zip(groups[0], found.keys, strict=True)]
    assert evaluate(queries, items, *groups)["r@5"] == np.mean(hits)


KEYS = {"numbers": None, "names": list("abcde"), "records": [{"image": f"{n}.jpg", "n": [n, None]} for n in range(5)]}


@every_backend
@every_similarity
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_save_and_load(tmp_path, backend, similarity, keys):
    saved = Index(similarity=similarity, backend=backend, num_probes=7).add(floats(5, 3), keys)
    saved.remove(saved.search(floats(3), 1).keys)
    path = tmp_path / "photos.index"
    saved.save(path)
    loaded = Index.load(path)
    assert [item.name for item in tmp_path.iterdir()] == ["photos.index"]
    for name in ("dim", "similarity", "backend", "approximate", "num_probes"):
        assert getattr(loaded, name) == getattr(saved, name)
    expected, found = saved.search(floats(9, 3)), loaded.search(floats(9, 3))
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.keys == expected.keys
    assert loaded.add(floats(1, 3)).search(floats(3)).keys.count(5) == 1
    assert Index.load(path, backend="numpy").backend == "numpy"


@pytest.mark.parametrize("dim", [None, 4])
def test_save_and_load_of_an_empty_index(tmp_path, dim):
    Index(dim).save(str(tmp_path / "empty"))
    loaded = Index.load(str(tmp_path / "empty"))
    assert (len(loaded), loaded.dim) == (0, dim)
    assert len(loaded.add(floats(2, 4))) == 2


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "index"
    Index().add(np.eye(2)).save(path)
    with pytest.raises(ValueError, match="tuple in row 1, counted from 0"):
        Index().add(np.eye(2), keys=["a", ("b", 1)]).save(path)
    with pytest.raises(ValueError, match="dict in row 0"):
        Index().add(np.eye(1), keys=[{"image": np.eye(2)}]).save(path)
    assert len(Index.load(path)) == 2
    assert len(list(tmp_path.iterdir())) == 1


def write(path, change=None, **arrays):
    """A file as `save` writes it, some entries of its state or arrays replaced."""
    state = {"format": 1, "dim": 2, "similarity": "cosine", "backend": "auto", "approximate": False, "num_probes": 32}
    state |= {"keys": ["a", "b"], "next": 2} | (change or {})
    text = np.frombuffer(json.dumps(state).encode(), "uint8")
    with open(path, "wb") as file:
        np.savez(file, **{"vectors": np.eye(2, dtype="float32"), "state": text, **arrays})


BAD_FILES = {
    "format": ({"format": 2}, {}, "made by another version"),
    "keys": ({"keys": "ab"}, {}, "'keys' of type str"),
    "count": ({"keys": ["a"]}, {}, r"shape \(2, 2\) for 1 keys"),
    "dim": ({"dim": 3}, {}, r"shape \(2, 2\)"),
    "flag": ({"approximate": 1}, {}, "'approximate' of type int"),
    "bool for int": ({"num_probes": True}, {}, "'num_probes' of type bool"),
    "extra": ({"code": "x"}, {}, "other entries"),
    "similarity": ({"similarity": "l3"}, {}, "one of"),
    "dtype": ({}, {"vectors": np.eye(2)}, "float64 vectors"),
    "nan": ({}, {"vectors": np.full((2, 2), np.nan, "float32")}, "NaN"),
    "lengths": ({}, {"vectors": 2 * np.eye(2, dtype="float32")}, "length one"),
    "pickle": ({}, {"vectors": np.array([{}, {}], dtype=object)}, "Index.save"),
    "pickled state": ({}, {"state": np.array([{}], dtype=object)}, "Index.save"),
    "not json": ({}, {"state": np.zeros(3, "uint8")}, "Index.save"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused(tmp_path, case):
    change, arrays, message = BAD_FILES[case]
    write(tmp_path / "good")
    assert len(Index.load(tmp_path / "good")) == 2
    write(tmp_path / "bad", change, **arrays)
    with pytest.raises(ValueError, match=message):
        Index.load(tmp_path / "bad")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"Index\.save"):
        Index.load(tmp_path / "file")
    np.save(tmp_path / "array.npy", np.eye(2))
    with pytest.raises(ValueError, match=r"Index\.save"):
        Index.load(tmp_path / "array.npy")
    with pytest.raises(FileNotFoundError):
        Index.load(tmp_path / "nowhere")


BAD = {
    "empty": (lambda: Index(3).search(np.ones((1, 3))), "must hold embeddings"),
    "dim of an addition": (lambda: Index(3).add(np.ones((1, 4))), r"size 3.*shape \(1, 4\)"),
    "dim of a later one": (lambda: Index().add(np.ones((1, 3))).add(np.ones((1, 4))), "size 3"),
    "dim of a query": (lambda: Index().add(np.ones((1, 3))).search(np.ones(4)), r"`queries`.*size 3"),
    "nan": (lambda: Index().add([[1.0], [np.nan], [np.inf]]), "`embeddings`.*rows 1, 2,"),
    "nan query": (lambda: Index().add(np.ones((1, 1))).search([[np.nan]]), "`queries`.*row"),
    "no rows": (lambda: Index().add(np.ones((0, 3))), "at least one vector"),
    "one vector": (lambda: Index().add(np.ones(3)), r"\(rows, dim\)"),
    "k": (lambda: Index().add(np.ones((1, 1))).search([1.0], 0), "`k`.*at least 1"),
    "k of one and a half": (lambda: Index().add(np.ones((1, 1))).search([1.0], 1.5), "`k`.*whole"),
    "keys": (lambda: Index().add(np.ones((2, 1)), keys=["a"]), "2 embeddings.*1 keys"),
    "a string": (lambda: Index().add(np.ones((2, 1)), keys="ab"), "list of keys.*'ab'"),
    "stranger": (lambda: Index().add(np.ones((2, 1))).remove([1, 5]), r"only keys that it has.*\[5\]"),
    "strange record": (lambda: Index().add(np.ones((1, 1)), keys=[{}]).remove([{"a": 1}]), r"only keys.*'a'"),
    "similarity": (lambda: Index(similarity="l2"), "`similarity`"),
    "backend": (lambda: Index(backend="annoy"), "`backend`.*'annoy'"),
    "approximate": (lambda: Index(backend="numpy", approximate=True), "Approximate search needs"),
    "dim 0": (lambda: Index(0), "`dim`"),
    "probes": (lambda: Index(num_probes=0), "`num_probes`"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_refused_addition_changes_nothing():
    built = Index().add(np.eye(2))
    with pytest.raises(ValueError, match="keys"):
        built.add(np.eye(2), keys=["a"])
    with pytest.raises(ValueError, match="NaN"):
        built.add(np.full((1, 2), np.nan))
    assert built.search(np.ones(2)).keys == [0, 1]


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for options in ({"backend": "faiss"}, {"approximate": True}):
        with pytest.raises(ImportError, match=r"pip install 'mmkeras\[faiss\]'"):
            Index(**options)
    assert Index().add(np.eye(2)).search([0.0, 1.0], 1).keys == [1]


@needs_faiss
@every_similarity
def test_approximate_search(similarity, tmp_path, monkeypatch):
    """Visiting all cells is exact; visiting some finds most of what clusters hide."""
    monkeypatch.setattr(with_faiss, "_FEWEST", 1000)
    centers = 4 * floats(40, 8)
    items = np.repeat(centers, 50, axis=0) + floats(2000, 8, seed=1)
    queries = centers[:, ::-1].repeat(2, axis=0)[:, ::-1] + floats(80, 8, seed=2)
    exact = Index(similarity=similarity).add(items)
    expected = exact.search(queries, 10)
    shares = {}
    for probes in (1, 8, 10**6):
        near = Index(similarity=similarity, approximate=True, num_probes=probes).add(items)
        found = near.search(queries, 10)
        shares[probes] = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.keys, expected.keys, strict=True)])
        if probes == 1:
            # One cell holds fewer than 200, so all queries are searched again exactly.
            assert near.search(queries, 200).keys == exact.search(queries, 200).keys
    assert shares[10**6] == 1.0
    assert shares[1] < 1.0
    assert shares[8] > 0.9
    near.save(tmp_path / "index")
    assert Index.load(tmp_path / "index").search(queries, 10).keys == found.keys
    assert not Index.load(tmp_path / "index", approximate=False).approximate
    near.add(queries[:1], keys=["new"])
    assert near.search(queries[0], 1).keys == (["new"] if similarity != "dot" else expected.keys[0][:1])
