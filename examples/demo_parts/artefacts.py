"""Ship a model, ask what was shipped as its users will, and set it beside Keras."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np

import mmkeras as mm

CALLS, KERAS_CALLS = 30, 10
# So many records prove an export, and are written to files.
TRIED = 4
ENDINGS = {"image": ".png", "audio": ".wav", "video": ".mkv"}
# Runs where nothing is known but the files: what a `.keras` file answers, once it was loaded by another process.
RELOAD = """
import json, sys
import keras, mmkeras as mm
told = {}
for path, records, signatures in json.loads(sys.argv[1]):
    runner = mm.export.TaskRunner(keras.saving.load_model(path))
    records = list(mm.data.read_jsonl(records))
    told[path] = {name: runner.ask(records, name) for name in signatures}
print(json.dumps(told))
"""


class Artefact(NamedTuple):
    """One file or folder that was shipped.

    Attributes:
        path: where it is.
        kind: its format, in words.
        num_bytes: its size.
        score: the first score of the part, by its answers.
        difference: largest difference from Keras of any number; for `.keras`, in a fresh process.
        agreement: share of answers in words or classes that are those of Keras; None where there are only numbers.
        milliseconds: median time of one request.
        answers: what it answered, a list by signature.
    """

    path: pathlib.Path
    kind: str
    num_bytes: int
    score: float
    difference: float
    agreement: Any
    milliseconds: float
    answers: dict


def ship(part, folder):
    """Export a part in both formats, and ask each what `part.records` hold.

    Returns:
        List of `Artefact`s: Keras' own, the SavedModel and the TFLite file.
    """
    column = next(iter(part.columns))
    endpoints = part.task.endpoints()
    told = {
        "endpoints": {name: endpoints[name] for name in part.signatures},
        "records": part.records[:TRIED],
        "metrics": {column: part.rows[0].scores[0]},
        "overwrite": True,
    }
    saved = mm.export.to_saved_model(part.task, folder / part.name / "1", **told)
    small = mm.export.to_tflite(part.task, folder / f"{part.name}.tflite", quantize="dynamic", **told)
    keras_path = folder / f"{part.name}.keras"
    part.task.save(keras_path)
    expected = answers(mm.export.TaskRunner(part.task), part)
    first, usual = part.records[0], part.signatures[0]
    made = [Artefact(keras_path, ".keras", size(keras_path), part.right(expected), 0.0, None, of_keras(part), expected)]
    for report, kind, runner in (
        (saved, "SavedModel", mm.export.SavedModelRunner(saved.path)),
        (small, "TFLite, 8-bit weights", mm.export.LiteRunner(small.path)),
    ):
        found = answers(runner, part)
        time_taken = milliseconds(lambda runner=runner: runner.ask(first, usual), CALLS)
        path = pathlib.Path(report.path)
        made.append(
            Artefact(path, kind, report.num_bytes, part.right(found), *apart(expected, found), time_taken, found)
        )
    return made


def write_records(records, folder):
    """Write the first records as files, and one line of JSON for each; the path of the latter.

    They are what the command `mmkeras predict` may be tried on, and what a fresh process is asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for row, record in enumerate(records[:TRIED]):
        line = {}
        for name, value in record.items():
            line[name] = f"{row}{ENDINGS[name]}" if name in ENDINGS else value
            if name in ENDINGS:
                (folder / line[name]).write_bytes(value)
        lines.append(json.dumps(line))
    path = folder / "records.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def fresh_process(parts, shipped, asked):
    """Load the `.keras` files where nothing else is known; the largest difference of any answer, by part."""
    told = told_elsewhere([[shipped[name][0].path, asked[name], part.signatures] for name, part in parts.items()])
    differences = {}
    for name, (first, *_) in shipped.items():
        here = {signature: rows[:TRIED] for signature, rows in first.answers.items()}
        differences[name], agreement = apart(here, told[os.fspath(first.path)])
        if agreement not in (None, 1.0):
            raise RuntimeError(f"{first.path} says other words in a fresh process: {agreement:.0%} are the same")
    return differences


def told_elsewhere(jobs):
    """What `.keras` files answer in a process that has loaded nothing else.

    Args:
        jobs: list of [path of the task, path of records, names of what is asked].

    Returns:
        Dict path -> list of answers by signature.
    """
    jobs = json.dumps(jobs, default=os.fspath)
    finished = subprocess.run([sys.executable, "-c", RELOAD, jobs], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"A fresh process could not use the .keras files:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def answers(runner, part, step=64):
    """What a runner answers to all records of a part, by signature."""
    return {
        name: [
            answer
            for start in range(0, len(part.records), step)
            for answer in runner.ask(part.records[start : start + step], name)
        ]
        for name in part.signatures
    }


def of_keras(part):
    """Median time of `model.predict`, which is given what the artefacts still have to make of files and words."""
    endpoint = part.task.endpoints()[part.signatures[0]]
    x = part.task.prepare([part.records[0]], endpoint.modalities)
    sources = endpoint.model.inputs
    x |= {t.name: np.zeros((1, *t.shape[1:]), t.dtype) for t in sources if t.name in endpoint.zeros}
    fed = [x[tensor.name] for tensor in sources]
    return milliseconds(lambda: endpoint.model.predict(fed, verbose=0), KERAS_CALLS)


def milliseconds(call, count):
    """Median time of a call, after two that do not count."""
    times = []
    for _ in range(count + 2):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times[2:])


def apart(expected, found):
    """Largest difference of any number in two dicts of answers, and the share of answers whose words are the same."""
    differences, same = [0.0], []
    for name, rows in expected.items():
        for wanted, given in zip(rows, found[name], strict=True):
            words = {key for key, value in wanted.items() if not numeric(value)}
            equal = all(wanted[key] == given[key] for key in words)
            same += [equal] if words else []
            # Numbers about another sentence say nothing.
            if equal:
                differences += [
                    float(np.abs(np.subtract(wanted[key], given[key])).max()) for key in set(wanted) - words
                ]
    return max(differences), float(np.mean(same)) if same else None


def numeric(value):
    return not isinstance(value, (str, dict)) and np.asarray(value).dtype.kind == "f"


def size(path):
    path = pathlib.Path(path)
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
