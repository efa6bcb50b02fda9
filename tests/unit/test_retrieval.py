"""Measures of retrieval and zero-shot classes, against numbers worked out by hand and a loop that sorts."""

import doctest
import inspect
import math
import tracemalloc

import numpy as np
import pytest

import mmkeras as mm
from mmkeras import retrieval
from tests.conformance import checks

ALL = ("cosine", "dot", "euclidean")
every_similarity = pytest.mark.parametrize("similarity", ALL)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def whole(*shape, seed=0):
    """Small whole numbers: many vectors and scores are equal, and float32 holds every product exactly."""
    return np.random.default_rng(seed).integers(-2, 3, size=shape).astype("float32")


def slow_scores(queries, items, similarity):
    table = np.zeros((len(queries), len(items)))
    for row, query in enumerate(queries.astype("float64")):
        for column, item in enumerate(items.astype("float64")):
            if similarity == "euclidean":
                table[row, column] = -np.linalg.norm(query - item)
            else:
                table[row, column] = query @ item
                lengths = np.linalg.norm(query) * np.linalg.norm(item)
                if similarity == "cosine":
                    table[row, column] = table[row, column] / lengths if lengths else 0.0
    return table.round(6)


def slow_measures(scores, relevance, ks):
    """Sort every row, ties with the wrong items first, and count."""
    rows = []
    for row_scores, relevant in zip(scores, relevance, strict=True):
        order = sorted(range(len(row_scores)), key=lambda item: (-row_scores[item], relevant[item]))
        hits = [bool(relevant[item]) for item in order]
        if not any(hits):
            continue
        measures = {"rank": hits.index(True) + 1}
        measures["map"] = np.mean([sum(hits[: at + 1]) / (at + 1) for at in range(len(hits)) if hits[at]])
        for k in ks:
            gain = sum(hit / math.log2(at + 2) for at, hit in enumerate(hits[:k]))
            best = sum(1 / math.log2(at + 2) for at in range(min(k, sum(hits))))
            measures[f"r@{k}"] = float(any(hits[:k]))
            measures[f"precision@{k}"] = sum(hits[:k]) / k
            measures[f"recall@{k}"] = sum(hits[:k]) / sum(hits)
            measures[f"ndcg@{k}"] = gain / best
        rows.append(measures)
    results = {key: np.mean([row[key] for row in rows]) for key in rows[0] if key != "rank"}
    results["median_rank"] = np.median([row["rank"] for row in rows])
    results["mean_rank"] = np.mean([row["rank"] for row in rows])
    return results | {"num_queries": len(rows), "num_without_match": len(scores) - len(rows)}


def test_by_hand():
    """Query 0 finds its items at ranks 2 and 4, query 1 at rank 3 behind two ties, query 2 has none to find."""
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4, 0.5]]
    relevance = np.zeros((3, 5), bool)
    relevance[0, [1, 3]] = relevance[1, 0] = True
    results = retrieval.evaluate_scores(scores, relevance, ks=(1, 3, 10))
    second = 1 / math.log2(3)
    assert results == pytest.approx(
        {
            "r@1": 0.0,
            "r@3": 1.0,
            "r@10": 1.0,
            "median_rank": 2.5,
            "mean_rank": 2.5,
            "map": ((1 / 2 + 2 / 4) / 2 + 1 / 3) / 2,
            "precision@1": 0.0,
            "precision@3": (1 / 3 + 1 / 3) / 2,
            "precision@10": (2 / 10 + 1 / 10) / 2,
            "recall@1": 0.0,
            "recall@3": (1 / 2 + 1) / 2,
            "recall@10": 1.0,
            "ndcg@1": 0.0,
            "ndcg@3": (second / (1 + second) + 1 / 2) / 2,
            "ndcg@10": ((second + 1 / math.log2(5)) / (1 + second) + 1 / 2) / 2,
            "num_queries": 2,
            "num_without_match": 1,
        }
    )


def test_captions_of_images_by_hand():
    """Image 0 has captions 0 and 1, image 1 has 2 and 3. Caption 1 lies nearer to image 1, caption 3 nearer to 0."""
    images = np.array([[1.0, 0.0], [0.0, 1.0]])
    captions = np.array([[5.0, 1.0], [1.0, 2.0], [0.0, 3.0], [2.0, 1.0]])
    results = retrieval.evaluate_pair(
        images, captions, ["a", "b"], ["a", "a", "b", "b"], names=("image", "text"), ks=(1,)
    )
    assert results["r@1_image_to_text"] == 1.0
    assert results["r@1_text_to_image"] == 0.5
    assert results["mean_rank_text_to_image"] == 1.5
    # Captions of image 0 come at ranks 1 and 3, those of image 1 at ranks 1 and 3.
    assert results["map_image_to_text"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert results["num_queries_text_to_image"] == 4
    assert {key.removesuffix("_image_to_text") for key in results if key.endswith("_image_to_text")} == set(
        retrieval.evaluate(images, images, ks=(1,))
    )


@every_similarity
@pytest.mark.parametrize("vector", [np.zeros(48), np.full(48, 0.1), floats(48)], ids=["zero", "same", "random"])
@pytest.mark.parametrize("chunk_size", [None, 5])
def test_equal_embeddings_come_last(similarity, vector, chunk_size):
    """Where nothing tells items apart, the match is behind all 66 others, not before."""
    embeddings = np.tile(vector.astype("float32"), (67, 1))
    results = retrieval.evaluate(embeddings, embeddings, similarity=similarity, chunk_size=chunk_size)
    assert (results["mean_rank"], results["median_rank"], results["r@10"]) == (67, 67, 0)
    assert results["map"] == pytest.approx(1 / 67)


@every_similarity
def test_what_float32_cannot_tell_apart_is_tied(similarity):
    """Items that differ in the last digit alone: without a margin, some match would be first."""
    rng = np.random.default_rng(0)
    items = floats(32) * (1 + 1.2e-7 * rng.integers(0, 4, (50, 32)))
    results = retrieval.evaluate(floats(50, 32, seed=1), items, similarity=similarity)
    assert (results["mean_rank"], results["r@10"]) == (50, 0)


def test_equal_matches_stay_together():
    """Two matches among four ties are third and fourth."""
    results = retrieval.evaluate_scores(np.ones((1, 4)), [[True, False, True, False]], ks=(3,))
    assert (results["mean_rank"], results["map"]) == (3, pytest.approx((1 / 3 + 2 / 4) / 2))
    assert results["precision@3"] == pytest.approx(1 / 3)


@every_similarity
@pytest.mark.parametrize("values", [floats, whole])
@pytest.mark.parametrize(
    ("queries", "items", "dim", "groups", "chunk_size"),
    [
        (1, 1, 1, 1, None),
        (7, 7, 3, None, 3),
        (9, 31, 2, 4, 1),
        (40, 12, 5, 50, 7),
        (23, 60, 4, 2, 100),
        (8, 5, 3, 3, None),
    ],
)
def test_equals_the_loop(similarity, values, queries, items, dim, groups, chunk_size):
    first, second = values(queries, dim), values(items, dim, seed=1)
    ids = [None, None]
    relevance = np.eye(queries, items, dtype=bool)
    if groups is not None:
        ids = [np.random.default_rng(size).integers(0, groups, size) for size in (queries, items)]
        relevance = ids[0][:, None] == ids[1]
    ks = (1, 2, 5, 10)
    scores = slow_scores(first, second, similarity)
    expected = slow_measures(scores, relevance, ks)
    options = {"ks": ks, "similarity": similarity, "chunk_size": chunk_size}
    assert retrieval.evaluate(first, second, *ids, **options) == pytest.approx(expected)
    assert retrieval.evaluate_scores(scores, relevance, ks=ks) == pytest.approx(expected)
    if groups is not None:
        names = [[f"group {number}" for number in side] for side in ids]
        assert retrieval.evaluate(first, second, *names, **options) == pytest.approx(expected)


def test_an_offset_costs_no_digits():
    """Distances do not change when everything moves, though squares then leave float32 no digits for them."""
    first, second = whole(30, 6), whole(30, 6, seed=1)
    expected = retrieval.evaluate(first, second, similarity="euclidean")
    moved = retrieval.evaluate(first + 4096.0, second + 4096.0, similarity="euclidean")
    assert moved == expected


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8"])
def test_other_dtypes(dtype):
    first, second = whole(30, 6).astype(dtype), whole(30, 6, seed=1).astype(dtype)
    expected = retrieval.evaluate(whole(30, 6), whole(30, 6, seed=1))
    assert retrieval.evaluate(first, second) == expected


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    first, second = whole(30, 6), whole(30, 6, seed=1)
    narrow = [x.astype(ml_dtypes.bfloat16) for x in (first, second)]
    assert retrieval.evaluate(*narrow) == retrieval.evaluate(first, second)


PUBLIC = [getattr(retrieval, name) for name in retrieval.__all__]


@pytest.mark.parametrize("thing", PUBLIC, ids=retrieval.__all__)
def test_docstrings(thing):
    parameters = checks.init_parameters(thing) if inspect.isclass(thing) else inspect.signature(thing).parameters
    checks.check_docstring(thing, parameters, with_example=True)
    result = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(recurse=False).find(thing, globs={**vars(retrieval), "mm": mm, "np": np}):
        result.run(example)
    assert result.tries > 0
    assert result.failures == 0


@every_similarity
@pytest.mark.parametrize("scale", [1e-15, 1e17])
def test_a_common_scale_changes_nothing(similarity, scale):
    first, second = whole(30, 6), whole(30, 6, seed=1)
    scaled = [x * np.float32(scale) for x in (first, second)]
    expected = retrieval.evaluate(first, second, similarity=similarity)
    assert retrieval.evaluate(*scaled, similarity=similarity) == expected


@pytest.mark.parametrize(
    ("queries", "items", "groups"),
    [(3_000, 20_000, None), (120, 300_000, None), (4_000, 4_000, 2), (20_000, 8, 4)],
    ids=["many", "wide", "classes", "few items"],
)
def test_memory_is_bounded(queries, items, groups):
    """However many rows: a full table takes up to 240 MB, its ranks twice that."""
    first, second = floats(queries, 8), floats(items, 8, seed=1)
    ids = np.arange(queries) % (groups or queries), np.arange(items) % (groups or queries)
    tracemalloc.start()
    retrieval.evaluate(first, second, *ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 160e6


def test_embeddings_are_not_changed():
    first, second = floats(20, 4), floats(20, 4, seed=1)
    copies = first.copy(), second.copy()
    for similarity in ALL:
        retrieval.evaluate(first, second, similarity=similarity)
    np.testing.assert_array_equal(first, copies[0])
    np.testing.assert_array_equal(second, copies[1])


def test_infinite_scores_of_what_was_not_ranked_again():
    scores = np.full((2, 4), -np.inf)
    scores[0, [0, 2]], scores[1, 3] = (0.4, 0.5), 1.0
    results = retrieval.evaluate_scores(scores, np.eye(2, 4, dtype=bool), ks=(1,))
    # Behind one better item; behind the better one and two that are just as far off.
    assert results["mean_rank"] == (2 + 4) / 2


BAD = {
    "nan": (lambda: retrieval.evaluate(np.array([[1.0], [np.nan]]), np.ones((2, 1))), r"`queries`.*NaN.*rows 1,"),
    "many nan": (
        lambda: retrieval.evaluate(np.ones((9, 1)), np.full((9, 1), np.nan)),
        r"0, 1, 2, 3, 4, ... \(9 rows\)",
    ),
    "infinite in float32": (lambda: retrieval.evaluate(np.ones((1, 1)), np.full((1, 1), 1e300)), "`items`.*infinity"),
    "too long": (lambda: retrieval.evaluate(np.ones((1, 1)), np.full((1, 1), 1e25)), "scale the vectors down"),
    "dims": (lambda: retrieval.evaluate(np.ones((2, 3)), np.ones((2, 4))), "size 4.*shape \\(2, 3\\)"),
    "one vector": (lambda: retrieval.evaluate(np.ones(3), np.ones((2, 3))), r"\(rows, dim\).*shape \(3,\)"),
    "text": (lambda: retrieval.evaluate(np.array([["a"]]), np.ones((1, 1))), "array of numbers"),
    "empty": (lambda: retrieval.evaluate(np.ones((0, 3)), np.ones((2, 3))), "at least one vector"),
    "no groups": (lambda: retrieval.evaluate(np.ones((2, 3)), np.ones((4, 3))), "2 queries, 4 items"),
    "kinds": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), [0, 1], ["0", "1"]), "never equals a string"),
    "half": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), ["a", "b"]), "`item_groups` is missing"),
    "strangers": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), [0, 1], [2, 3]), "share no group id.*0 .*2 "),
    "length": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), [0], [0, 1]), "2 rows.*shape \\(1,\\)"),
    "float ids": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), [0.0, 1.0], [0, 1]), "integers or strings.*float64"),
    "no ids": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), [None, "a"], [0, 1]), "integers or strings.*object"),
    "k": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), ks=(0,)), "`ks`.*at least 1"),
    "no k": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), ks=()), "`ks` must name"),
    "chunk": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), chunk_size=0), "`chunk_size`.*at least 1"),
    "similarity": (lambda: retrieval.evaluate(np.eye(2), np.eye(2), similarity="cos"), "one of.*'cos'"),
    "names": (lambda: retrieval.evaluate_pair(np.eye(2), np.eye(2), names=("a", "a")), "two different strings"),
    "nan score": (lambda: retrieval.evaluate_scores([[1.0, 2.0], [np.nan, 1.0]]), "NaN in row 1"),
    "table": (lambda: retrieval.evaluate_scores(np.ones(3)), r"\(queries, items\)"),
    "no relevance": (lambda: retrieval.evaluate_scores(np.ones((2, 3))), "Without `relevance`"),
    "relevance shape": (lambda: retrieval.evaluate_scores(np.ones((2, 3)), np.ones((3, 2), bool)), "shape of `scores`"),
    "grades": (lambda: retrieval.evaluate_scores(np.ones((1, 2)), [[0, 2]]), "true or false"),
    "none relevant": (lambda: retrieval.evaluate_scores(np.ones((1, 2)), [[0, 0]]), "No query has a matching item"),
    "prompts": (lambda: retrieval.zero_shot(np.eye(2), {}), "dict from class"),
    "prompt dim": (lambda: retrieval.zero_shot(np.eye(2), {"a": np.ones(3)}), r"`prompts\['a'\]`.*size 2"),
    "opposite": (lambda: retrieval.zero_shot(np.eye(2), {"a": [[1.0, 2.0], [-2.0, -4.0]]}), "class 'a'.*in common"),
    "zero prompt": (lambda: retrieval.zero_shot(np.eye(2), {"a": [0.0, 0.0]}), "class 'a'.*in common"),
    "nan prompt": (lambda: retrieval.zero_shot(np.eye(2), {"a": [np.nan, 0.0]}), r"`prompts\['a'\]`.*NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_zero_shot_by_hand():
    """The prompts (1, 0) and (0, 10) of "both" count alike: the class points to (1, 1) / sqrt(2)."""
    prompts = {"both": [[1.0, 0.0], [0.0, 10.0]], "west": [-3.0, 0.0]}
    found = retrieval.zero_shot(np.array([[2.0, 2.0], [-1.0, 0.0], [0.0, 0.0]]), prompts)
    assert found.classes == ("both", "west")
    half = math.sqrt(0.5)
    np.testing.assert_allclose(found.scores, [[1.0, -half], [-half, 1.0], [0.0, 0.0]], atol=1e-6)
    # Of equal scores the class named first.
    assert found.labels == ["both", "west", "both"]


def test_zero_shot_classes_may_be_numbers():
    assert retrieval.zero_shot(np.eye(3), {3: [1.0, 0.1, 0.0], 5: [0.0, 1.0, 1.0]}).labels == [3, 5, 5]
