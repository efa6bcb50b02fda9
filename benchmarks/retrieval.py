"""What does retrieval cost? Measures beside a sort of the full matrix, exact search beside faiss.

`evaluate` on 5,000 images and their 25,000 captions, against the plain way: all scores, an argsort of every row, the
places of the matches in it. Memory is measured in a process of its own for each side, above the loaded embeddings.
`Index` on 1,000,000 vectors of size 256, 100 queries, the 10 nearest, against `faiss.IndexFlatIP` on the same threads.
Times are medians over interleaved pairs; ratios are time here / time there. Both sides must agree before they count.
"""

import json
import time

import numpy as np
from common import add_side, interleaved, mean_over_seeds, parser, report, resident_mb, show, side_alone, start_of_peak

from mmkeras.retrieval import Index, evaluate

KS = (1, 5, 10)
CAPTIONS = 5
SIZES = {"images": 5_000, "items": 1_000_000, "queries": 100, "dim": 256}
SMOKE = {"images": 50, "items": 2_000, "queries": 10, "dim": 16}
GOALS = {"argsort": 1.0, "faiss": 1.5}


def captioned(sizes, seed):
    """Embeddings of images and of their captions, near enough for some to be found, and the image of each caption."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((sizes["images"], sizes["dim"]), dtype="float32")
    groups = np.repeat(np.arange(sizes["images"]), CAPTIONS)
    captions = images[groups]
    captions += 6 * rng.standard_normal(captions.shape, dtype="float32")
    return images, captions, groups


def by_argsort(images, captions, groups):
    """Rank the captions of every image as one would write it down."""
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    captions = captions / np.linalg.norm(captions, axis=1, keepdims=True)
    order = np.argsort(-(images @ captions.T), axis=1)
    hits = groups[order] == np.arange(len(images))[:, None]
    first = hits.argmax(axis=1) + 1
    places = np.nonzero(hits)[1].reshape(len(images), CAPTIONS) + 1
    return {
        **{f"r@{k}": float(np.mean(first <= k)) for k in KS},
        "median_rank": float(np.median(first)),
        "map": float(np.mean(np.arange(1, CAPTIONS + 1) / places)),
    }


def by_counting(images, captions, groups):
    return evaluate(images, captions, None, groups, ks=KS)


SIDES = {"evaluate": by_counting, "argsort": by_argsort}


def measure_memory(side, sizes, seed):
    """Print how many MiB one side takes beside its embeddings; run in a process of its own."""
    data = captioned(sizes, seed)
    # The first product starts the threads of BLAS, with buffers that are nobody's.
    SIDES[side](*captioned({**sizes, "images": 50}, seed))
    before = start_of_peak()
    SIDES[side](*data)
    print(json.dumps(resident_mb("VmHWM") - before))


def evaluation(sizes, seed, pairs):
    """Return memory and time of both sides of `evaluate`."""
    results = {}
    for side in SIDES:
        results[f"memory_mb_{side}"] = side_alone(__file__, side, sizes, seed)
    data = captioned(sizes, seed)
    found, expected = by_counting(*data), by_argsort(*data)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-3, err_msg=key)
    return results, interleaved(lambda: by_counting(*data), lambda: by_argsort(*data), pairs)


def searching(sizes, seed, pairs):
    """Return time of both sides of exact search, or None without faiss."""
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: pip install 'mmkeras[faiss]'")
        return None
    rng = np.random.default_rng(seed)
    items, queries = (
        rng.standard_normal((count, sizes["dim"]), dtype="float32") for count in (sizes["items"], sizes["queries"])
    )
    for vectors in (items, queries):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, flat = Index(backend="numpy").add(items), faiss.IndexFlatIP(sizes["dim"])
    flat.add(items)
    del items
    rows = np.array(index.search(queries, 10).keys)
    agreement = np.mean(rows == flat.search(queries, 10)[1])
    # Scores that float32 cannot tell apart may change places.
    if agreement < 0.999:
        raise ValueError(f"Both sides must find the same items. Received: agreement on {agreement:.4f} of them")
    return interleaved(lambda: index.search(queries, 10), lambda: flat.search(queries, 10), pairs)


def main():
    made = parser(__doc__.splitlines()[0], needs_data=False, pairs=30)
    add_side(made, SIDES)
    arguments = made.parse_args()
    if arguments.side:
        measure_memory(arguments.side, arguments.sizes, arguments.first_seed)
        return
    sizes, pairs = (SMOKE, 3) if arguments.smoke else (SIZES, arguments.pairs)
    started = time.perf_counter()
    measured, rows = [], []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        results, ranking = evaluation(sizes, seed, pairs)
        for peer, timing in {"argsort": ranking, "faiss": searching(sizes, seed, pairs)}.items():
            if timing is None:
                continue
            results[f"ratio_vs_{peer}"] = timing.ratio
            results[f"ratio_vs_{peer}_low"], results[f"ratio_vs_{peer}_high"] = timing.low, timing.high
            results[f"seconds_beside_{peer}"], results[f"seconds_{peer}"] = timing.first, timing.second
            seconds = [f"{value:.3f}" for value in (timing.first, timing.second)]
            quartiles = f"{timing.low:.3f} - {timing.high:.3f}"
            memory = [f"{results[f'memory_mb_{side}']:.0f}" for side in SIDES] if peer == "argsort" else ["", ""]
            rows.append((peer, *seconds, f"{timing.ratio:.3f}", quartiles, f"<= {GOALS[peer]:.2f}", *memory))
        measured.append(results)
    title = f"Retrieval, {pairs} interleaved pairs"
    columns = ("against", "mmkeras s", "peer s", "ratio", "quartiles", "goal", "mmkeras MiB", "peer MiB")
    show(title, columns, rows)
    report("retrieval", {**mean_over_seeds(measured), "pairs": pairs}, arguments, started)


if __name__ == "__main__":
    main()
