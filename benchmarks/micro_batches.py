"""What memory does a contrastive batch of 4,096 take when it passes in micro-batches, beside one of 256 that does not?

One step of `fit` with InfoNCE on pictures of 96x96 (bytes) and sentences, by `GradientCache(micro_batch=64)` at 4,096
and by Keras' own step at 256, each in a process of its own. Memory is the peak above the model, compiled and warmed up
by a step on few rows, and above the batch itself. The gradients are compared at a batch that both can hold.
"""

import json
import time

import keras
import numpy as np
from common import add_side, mean_over_seeds, parser, report, resident_mb, show, side_alone, start_of_peak

import mmkeras as mm

SIZES = {"cached": 4096, "plain": 256, "micro_batch": 64, "image": 96, "width": 32, "compared": 256}
SMOKE = {"cached": 64, "plain": 16, "micro_batch": 4, "image": 16, "width": 8, "compared": 16}
SIDES = ("cached", "plain")
GOAL = 1.2


def make_task(sizes, side, optimizer="auto"):
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1), sizes["width"], image_shape=(sizes["image"], sizes["image"], 3)),
        "text": mm.encoders.gru(1000, 64, embedding_dim=64, pooling="max"),
    }
    task = mm.models.JointEmbedding(encoders, mm.losses.InfoNCE(), dim=128)
    step = mm.training.GradientCache(sizes["micro_batch"]) if side == "cached" else None
    task.compile(optimizer, metrics=None, step=step)
    return task


def batch_of(sizes, rows, seed):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (rows, sizes["image"], sizes["image"], 3), dtype="uint8"),
        "token_ids": rng.integers(1, 1000, (rows, 16), dtype="int32"),
    }


def measure(side, sizes, seed):
    """Print the memory in MiB and the seconds of one step of one side."""
    task, rows = make_task(sizes, side), sizes[side]
    few = {name: x[: 2 * sizes["micro_batch"] + 1] for name, x in batch_of(sizes, rows, seed).items()}
    task.fit(few, batch_size=len(few["image"]), verbose=0)
    x = batch_of(sizes, rows, seed)
    before = start_of_peak()
    started = time.perf_counter()
    task.fit(x, batch_size=rows, verbose=0)
    seconds = time.perf_counter() - started
    batch = sum(values.nbytes for values in x.values()) / 2**20
    print(json.dumps({"memory_mb": resident_mb("VmHWM") - before - batch, "batch_mb": batch, "seconds": seconds}))


def difference(sizes, seed):
    """Largest relative difference between the gradients of both sides, of any weight array."""
    x = batch_of(sizes, sizes["compared"], seed)
    reached = {}
    for side in SIDES:
        # After one step the momentum is the gradient; the weights would have rounded it off.
        task = make_task(sizes, side, keras.optimizers.SGD(1.0, momentum=0.9))
        task.fit(x, batch_size=sizes["compared"], verbose=0)
        reached[side] = [keras.ops.convert_to_numpy(momentum) for momentum in task.optimizer.momentums]
    return max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))
        for a, b in zip(reached["cached"], reached["plain"], strict=True)
    )


def main():
    made = parser(__doc__, needs_data=False)
    add_side(made, SIDES)
    arguments = made.parse_args()
    if arguments.side:
        measure(arguments.side, arguments.sizes, arguments.first_seed)
        return
    sizes, started = SMOKE if arguments.smoke else SIZES, time.perf_counter()
    measured = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        results = {"gradient_difference": difference(sizes, seed)}
        for side in SIDES:
            measures = side_alone(__file__, side, sizes, seed)
            results |= {f"{key}_{side}": value for key, value in measures.items()}
        results["ratio_memory"] = results["memory_mb_cached"] / results["memory_mb_plain"]
        measured.append(results)
    found = mean_over_seeds(measured)
    rows = [
        (side, f"{sizes[side]:,}", f"{found[f'memory_mb_{side}']:.0f}", f"{found[f'seconds_{side}']:.1f}")
        for side in SIDES
    ]
    show("One contrastive step", ("step", "batch", "MiB above model and batch", "s"), rows)
    print(
        f"Memory ratio {found['ratio_memory']:.2f} (goal <= {GOAL}); largest relative difference of gradients at a "
        f"batch of {sizes['compared']}: {found['gradient_difference']:.1e}"
    )
    report("micro_batches", found, arguments, started)


if __name__ == "__main__":
    main()
