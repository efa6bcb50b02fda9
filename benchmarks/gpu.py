"""How fast does a multimodal classifier train on a GPU, and how close to the device's peak?

A compact ResNet, an LSTM and co-attention between them, trained by `model.fit` on the JAX backend in mixed bfloat16,
against the same network in PyTorch (channels last, autocast to bfloat16, torch.compile where it runs, fused Adam). Each
side lives in its own process; they train in turn, in interleaved rounds. Batches are made up and stay in device memory,
so no input pipeline is measured. Before that, both networks must have the same number of parameters and, with the same
weights, the same answers.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import mean_over_seeds, pair_timing, parser, peak_mb, report, show, versions

SIZES = {
    "batch": 512,
    "image": 128,
    "width": 64,
    "text": 32,
    "vocabulary": 8000,
    "embedding_dim": 128,
    "units": 512,
    "num_heads": 8,
    "classes": 10,
}
SMOKE = {**SIZES, "batch": 8, "image": 32, "width": 16, "text": 8, "vocabulary": 100, "units": 32, "num_heads": 4}
# Dense bfloat16, without sparsity, as the vendor states it.
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0}
# Backward costs about two forward passes: one for the gradient of the inputs, one for that of the weights.
TRAINING_FACTOR = 3
# Difference of the two sides in float32, as a share of how much answers vary between samples. On a CPU rounding makes
# 1e-6 of it; a forgotten mask makes 0.26, padding on the other side 0.89.
TOLERANCE = 0.01
NO_GPU = "not run on a GPU: none was found, so sizes are tiny and the figures say nothing about speed"
NO_TORCH = "PyTorch is not installed: no comparison"


def make_batches(sizes, seed, count):
    """Return (image, token ids, labels) arrays; texts end anywhere in their second half."""
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        image = rng.uniform(0, 255, (sizes["batch"], sizes["image"], sizes["image"], 3)).astype("float32")
        token_ids = rng.integers(1, sizes["vocabulary"], (sizes["batch"], sizes["text"])).astype("int32")
        lengths = rng.integers(sizes["text"] // 2, sizes["text"] + 1, (sizes["batch"], 1))
        token_ids[np.arange(sizes["text"]) >= lengths] = 0
        batches.append((image, token_ids, rng.integers(0, sizes["classes"], sizes["batch"])))
    return batches


def build_task(sizes):
    """Build the classifier under the current precision."""
    import mmkeras as mm

    encoders = {
        "image": mm.encoders.resnet(width=sizes["width"], image_shape=(sizes["image"], sizes["image"], 3)),
        "text": mm.encoders.lstm(sizes["vocabulary"], sizes["units"], embedding_dim=sizes["embedding_dim"]),
    }
    return mm.models.MultimodalClassifier(
        encoders, mm.layers.CoAttention(num_heads=sizes["num_heads"]), classes=sizes["classes"]
    )


def forward_flops(task, text_length):
    """Count the floating-point operations of one sample's forward pass; a multiplication and an addition are two.

    Convolutions, recurrent and dense layers and the matrix products of attention are counted; normalisations,
    activations and pooling, which cost memory traffic rather than arithmetic, are not.
    """
    import keras

    image, text = task.encoders["image"], task.encoders["text"]
    convolutions = sum(
        2 * int(np.prod(layer.kernel.shape)) * layer.output.shape[1] * layer.output.shape[2]
        for layer in image.layers
        if isinstance(layer, keras.layers.Conv2D)
    )
    recurrent = sum(
        2 * text_length * int(np.prod(weight.shape))
        for layer in text.layers
        if isinstance(layer, keras.layers.LSTM)
        for weight in layer.trainable_variables
        if len(weight.shape) == 2
    )
    image_tokens, image_dim = image.output_shape[1:]
    text_dim = text.output_shape[-1]
    dim = min(image_dim, text_dim)
    projections = sum(
        2 * tokens * size * dim for tokens, size in ((image_tokens, image_dim), (text_length, text_dim)) if size != dim
    )
    # Per direction: query and output projections, key and value projections, scores and weighted sum.
    attention = sum(
        4 * queries * dim**2 + 4 * keys * dim**2 + 4 * queries * keys * dim
        for queries, keys in ((image_tokens, text_length), (text_length, image_tokens))
    )
    return convolutions + recurrent + projections + attention + 2 * dim * task.classes


class KerasSide:
    """Trains the task with `model.fit`; runs in a process of its own."""

    def __init__(self, seed, smoke, exchange):
        import jax
        import keras

        device = jax.devices()[0]
        self.on_gpu = device.platform == "gpu"
        self.sizes = SIZES if self.on_gpu and not smoke else SMOKE
        keras.utils.set_random_seed(seed)
        reference = build_task(self.sizes)
        image, token_ids, _ = make_batches({**self.sizes, "batch": 8}, seed, 1)[0]
        # GPUs multiply float32 in reduced precision unless told otherwise.
        with jax.default_matmul_precision("highest"):
            answers = reference.predict_on_batch({"image": image, "token_ids": token_ids})["label"]
        weights = {f"weight_{index:03d}": weight for index, weight in enumerate(reference.get_weights())}
        np.savez(exchange, image=image, token_ids=token_ids, answers=answers, **weights)
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.task = build_task(self.sizes)
        self.task.set_weights(reference.get_weights())
        self.task.compile()
        self.batches = [
            ({"image": jax.device_put(image), "token_ids": jax.device_put(ids)}, jax.device_put(y))
            for image, ids, y in make_batches(self.sizes, seed, 4)
        ]
        self.round(2)
        self.facts = {
            "device": device.device_kind if self.on_gpu else "cpu",
            "on_gpu": self.on_gpu,
            "sizes": self.sizes,
            "parameters": self.task.count_params(),
            "flops": TRAINING_FACTOR * forward_flops(self.task, self.sizes["text"]),
            "mode": "fit",
            "versions": versions(),
        }

    def round(self, steps):
        import keras

        dataset = _repeated(self.batches, steps)
        start = time.perf_counter()
        self.task.fit(dataset, verbose=0)
        # The last update may still be under way when `fit` returns.
        keras.ops.convert_to_numpy(self.task.trainable_variables[-1].value)
        return time.perf_counter() - start

    def device_peak_mb(self):
        import jax

        statistics = jax.devices()[0].memory_stats() or {}
        return statistics["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in statistics else None


class TorchSide:
    """Trains the same network in PyTorch; runs in a process of its own."""

    def __init__(self, seed, facts, exchange, compiled):
        import gpu_peer
        import torch

        device = "cuda" if facts["on_gpu"] else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("JAX found a GPU that PyTorch cannot use")
        self.trainer = gpu_peer.Trainer(facts["sizes"], seed, device)
        with np.load(exchange) as data:
            weights = [data[name] for name in sorted(data.files) if name.startswith("weight_")]
            difference = self.trainer.spread_of_difference(weights, data["image"], data["token_ids"], data["answers"])
        self.trainer.prepare(make_batches(facts["sizes"], seed, 4), compiled=compiled)
        self.facts = {
            "parameters": self.trainer.parameters(),
            "difference": difference,
            "mode": self.trainer.mode,
        }
        self.round, self.device_peak_mb = self.trainer.round, self.trainer.device_peak_mb


class Worker:
    """The other end of a side's process: starts it, asks for rounds, ends it."""

    def __init__(self, *arguments):
        # Two frameworks share the device, so neither may claim all its memory at the start.
        environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command = [sys.executable, __file__, "--side", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.facts = self._answer()

    def ask(self, request):
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
            print(line, end="")
        raise RuntimeError(f"A side of the comparison ended with status {self.process.wait()}; see its message above")


def serve(side):
    """Answer requests on standard input: a number of steps to time, or `memory`."""
    print(json.dumps(side.facts), flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(json.dumps({"device_peak_mb": side.device_peak_mb(), "peak_mb": peak_mb()}), flush=True)
        else:
            print(json.dumps({"seconds": side.round(int(line))}), flush=True)


def measure(seed, arguments, exchange):
    """Run both sides with one seed; return what was measured, the rows of the table, and versions."""
    workers = [Worker("keras", str(seed), str(int(arguments.smoke)), exchange)]
    facts = workers[0].facts
    if importlib.util.find_spec("torch"):
        workers.append(Worker("torch", str(seed), json.dumps(facts), exchange, str(int(not arguments.no_compile))))
        _check(facts, workers[1].facts)
    steps, rounds = arguments.steps, arguments.pairs * (4 if arguments.full else 1)
    if arguments.smoke or not facts["on_gpu"]:
        steps, rounds = 2, 3
    seconds = [[worker.ask(steps)["seconds"] / steps for worker in workers] for _ in range(rounds)]
    memory = [worker.ask("memory")["device_peak_mb"] for worker in workers]
    for worker in workers:
        worker.close()
    peak = _peak(facts, arguments.peak_tflops)
    results = {
        "device": facts["device"],
        "parameters": facts["parameters"],
        "training_flops_per_sample": facts["flops"],
    }
    rows = []
    for index, (worker, suffix) in enumerate(zip(workers, ("", "_torch"), strict=False)):
        step = float(np.median([row[index] for row in seconds]))
        rate = facts["sizes"]["batch"] / step
        share = rate * facts["flops"] / (peak * 1e12) if peak else None
        results |= {f"samples_per_second{suffix}": rate, f"share_of_peak{suffix}": share}
        results |= {f"device_peak_mb{suffix}": memory[index], f"mode{suffix}": worker.facts["mode"]}
        rows.append(
            (
                f"{'torch' if suffix else 'mmkeras'}, {worker.facts['mode']}",
                f"{rate:,.0f}",
                f"{1000 * step:.1f}",
                f"{rate * facts['flops'] / 1e12:.2f}",
                "-" if share is None else f"{share:.1%}",
                "-" if memory[index] is None else f"{memory[index]:,.0f}",
            )
        )
    if len(workers) == 2:
        timing = pair_timing(seconds)
        results |= {"ratio_vs_torch": timing.ratio, "ratio_vs_torch_low": timing.low}
        results |= {"ratio_vs_torch_high": timing.high, "difference_from_torch": workers[1].facts["difference"]}
    results |= {"peak_tflops": peak, "steps": steps, "pairs": rounds, **facts["sizes"]}
    notes = [note for note, holds in ((NO_GPU, not facts["on_gpu"]), (NO_TORCH, len(workers) == 1)) if holds]
    results["note"] = "; ".join(notes)
    return results, rows, facts["versions"]


def _repeated(batches, steps):
    import keras

    class Repeated(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, index):
            return batches[index % len(batches)]

    return Repeated()


def _check(facts, other):
    if facts["parameters"] != other["parameters"]:
        raise ValueError(
            "Both networks must have the same number of parameters. "
            f"Received: {facts['parameters']} in Keras, {other['parameters']} in PyTorch"
        )
    if other["difference"] > TOLERANCE:
        raise ValueError(
            f"With the same weights the answers of both must agree within {TOLERANCE} of how much answers vary. "
            f"Received: a difference of {other['difference']:.3f}"
        )


def _peak(facts, given):
    if not facts["on_gpu"]:
        return None
    return given or next((peak for name, peak in PEAK_TFLOPS.items() if name in facts["device"]), None)


def _run_side(argv):
    if argv[0] == "keras":
        serve(KerasSide(int(argv[1]), argv[2] == "1", argv[3]))
    else:
        serve(TorchSide(int(argv[1]), json.loads(argv[2]), argv[3], argv[4] == "1"))


def main():
    started = time.perf_counter()
    made = parser(__doc__, needs_data=False, pairs=30)
    made.add_argument("--peak-tflops", type=float, metavar="N", help="dense bfloat16 peak (default: 989 on H100, H200)")
    made.add_argument("--steps", type=int, default=20, metavar="N", help="training steps per timing")
    made.add_argument("--no-compile", action="store_true", help="PyTorch without torch.compile")
    made.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.side:
        return _run_side(arguments.side)
    measured, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            results, more, found = measure(seed, arguments, str(Path(folder) / f"{seed}.npz"))
            measured.append(results)
            rows.extend(more)
    first = measured[0]
    title = f"Training on {first['device']}, batch {first['batch']}, images {first['image']}x{first['image']}"
    show(title, ("side", "samples/s", "ms/step", "TFLOP/s", "of bf16 peak", "device MB"), rows)
    if first["note"]:
        print(first["note"])
    # Without a GPU the sizes are those of a smoke run, whatever was asked for: nothing to record.
    arguments.smoke = arguments.smoke or first["device"] == "cpu"
    report("gpu", mean_over_seeds(measured), arguments, started, found=found)


if __name__ == "__main__":
    main()
