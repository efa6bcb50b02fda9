"""What the benchmarks share: arguments, fair timing, a table, and one line of JSON that can be recorded."""

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("mmkeras", "keras", "numpy", "keras-hub", "tensorflow", "jax", "torch", "faiss-cpu")


class PairTiming(NamedTuple):
    """Seconds of one call on each side (medians) and the ratio first / second: median and quartiles over pairs."""

    first: float
    second: float
    ratio: float
    low: float
    high: float


def parser(description, *, needs_data=True, pairs=None):
    """Make a parser with the arguments that every benchmark takes.

    Args:
        description: what the benchmark answers, shown by `--help`.
        needs_data: whether `--data` is required; a benchmark on made-up data ignores it.
        pairs: default of `--pairs`, for benchmarks that time pairs; None leaves the argument out.
    """
    made = argparse.ArgumentParser(description=description)
    ignored = "" if needs_data else " (not needed here: the data are made up)"
    made.add_argument("--data", metavar="DIR", required=needs_data, help="folder of the data set" + ignored)
    made.add_argument("--test", metavar="DIR", help="folder of a set to report on instead" + ignored)
    made.add_argument("--seeds", type=int, default=1, metavar="N", help="how often to repeat with another seed")
    made.add_argument("--full", action="store_true", help="everything, however long it takes")
    made.add_argument("--smoke", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    made.add_argument("--record", nargs="?", const="", metavar="NAME", help="write benchmarks/results/NAME.json")
    if pairs:
        made.add_argument("--pairs", type=int, default=pairs, help="interleaved timings of each side")
    return made


def add_side(made, sides):
    """Add the arguments of a script that measures each of its sides in a process of its own, by `side_alone`."""
    made.add_argument("--side", choices=sides, help="measure one side here and print it")
    made.add_argument("--sizes", type=json.loads, help="for --side")
    made.add_argument("--first-seed", type=int, default=0, metavar="N", help="seed to start from")


def side_alone(file, side, sizes, seed):
    """Measure one side of a script in a process of its own; return what it printed last, as JSON."""
    options = {"--side": side, "--sizes": json.dumps(sizes), "--first-seed": str(seed)}
    command = [sys.executable, file, *(word for option in options.items() for word in option)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def interleaved(first, second, pairs, *, min_seconds=0.05):
    """Time two callables in turn, so that whatever else the machine does hits both alike.

    Every pair times the same number of calls on each side, enough for `min_seconds`; the side that goes first
    alternates. Both callables must return only when their work is done.

    Args:
        first: callable without arguments.
        second: the callable it is compared with.
        pairs: how many pairs.
        min_seconds: least duration of one timing.

    Returns:
        `PairTiming`.
    """
    repeats = 1
    for _ in range(3):  # The first calls compile; warm both sides before counting calls.
        fastest = min(_seconds(first, 1), _seconds(second, 1))
    while fastest < min_seconds:
        repeats = max(repeats + 1, int(1.2 * repeats * min_seconds / fastest))
        fastest = min(_seconds(first, repeats), _seconds(second, repeats))
    timings = []
    for pair in range(pairs):
        order = (first, second) if pair % 2 == 0 else (second, first)
        seconds = [_seconds(side, repeats) / repeats for side in order]
        timings.append(seconds if pair % 2 == 0 else seconds[::-1])
    return pair_timing(timings)


def pair_timing(timings):
    """Summarise a list of (seconds of first, seconds of second)."""
    ratios = [first / second for first, second in timings]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return PairTiming(*(statistics.median(side) for side in zip(*timings, strict=True)), middle, low, high)


def adamw(rate, steps, *, weight_decay):
    """AdamW by a rate that rises over the first fortieth of the steps and falls to 0, whose weights are averaged."""
    import keras

    warm = steps // 40 + 1
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, max(1, steps - warm), warmup_target=rate, warmup_steps=warm
    )
    made = keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=5.0, use_ema=True, ema_momentum=0.995
    )
    made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_scale"])
    return made


def mean_over_seeds(rows):
    """Average dicts of equal keys: each float becomes its mean, with `<key>_std` beside it (None for one seed).

    Quartiles (`_low`, `_high`) are a spread already and get none.
    """
    merged = {}
    for key, value in rows[0].items():
        values = [row[key] for row in rows]
        if isinstance(value, float):
            merged[key] = statistics.mean(values)
            if not key.endswith(("_low", "_high")):
                merged[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
        else:
            merged[key] = value
    return merged


def show(title, columns, rows):
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # Wide enough for every table here, so that a log file holds the same lines as a terminal.
    Console(width=120).print(table)


def report(name, results, arguments, started, *, found=None):
    """Print the line of JSON that ends every run; with `--record`, keep it with versions, date and machine.

    Args:
        name: name of the benchmark.
        results: dict of what was measured.
        arguments: the parsed arguments.
        started: `time.perf_counter()` at the start.
        found: versions to record, where other processes did the work; None takes those of this one.
    """
    results = {
        **{key: _rounded(value) for key, value in results.items()},
        "seeds": arguments.seeds,
        "smoke": arguments.smoke,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(peak_mb()),
    }
    if arguments.record is not None and arguments.smoke:
        print("Not recorded: --smoke measures nothing.")
    elif arguments.record is not None:
        RESULTS.mkdir(exist_ok=True)
        record = {
            "name": name,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "command": _command(name),
            "versions": found or versions(),
            "machine": {"cores": len(os.sched_getaffinity(0)), "architecture": platform.machine()},
            "results": results,
        }
        path = RESULTS / f"{arguments.record or name}.json"
        path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(results), flush=True)


def versions():
    """Return the versions of Python and of the packages at work, without importing any; the backend beside them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    # A checkout on the path has no metadata.
    if "mmkeras" in sys.modules:
        found["mmkeras"] = sys.modules["mmkeras"].__version__
    if "keras" in sys.modules:
        found["backend"] = sys.modules["keras"].backend.backend()
    return found


def peak_mb():
    """Return the largest resident memory of this process, or of the largest one it started, in MiB."""
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit


def resident_mb(key):
    """Memory of this process: `VmRSS` now, or `VmHWM` at most; what the system counts where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key)) / 2**10


def start_of_peak():
    """Memory of this process now, in MiB; `resident_mb("VmHWM")` then tells the most since."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    return resident_mb("VmRSS")


def _seconds(function, repeats):
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    seconds = time.perf_counter() - start
    gc.enable()
    return seconds


def _command(name):
    arguments = sys.argv[1:]
    # Where the data lie is nobody's business and differs everywhere.
    names = {"--data": "DIR", "--test": "DIR", "--pictures": "DIR", "--torch": "PYTHON", "--weights": "W"}
    hidden = [names.get(previous, value) for previous, value in zip(["", *arguments], arguments, strict=False)]
    return " ".join(["python", f"benchmarks/{name}.py", *hidden])


def _rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value
