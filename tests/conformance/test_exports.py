"""What is saved and exported runs elsewhere and gives the same numbers."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import mmkeras as mm
from tests.conformance.artefacts import ship, ship_one
from tests.conformance.cases import ENCODERS, LAYERS
from tests.conformance.tasks import TASKS

ROOT = pathlib.Path(__file__).parents[2]
# Largest difference to Keras on the machine that exported: other kernels round differently.
TOLERANCE = {"keras": 1e-5, "saved_model": 1e-4, "tflite": 2e-4}


def reports_of(kinds, folder):
    """Run the child processes of formats over a folder of artefacts, side by side; a dict of reports."""
    child = str(pathlib.Path(__file__).with_name("child.py"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = {
        kind: subprocess.Popen(
            [sys.executable, child, kind, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for kind in kinds
    }
    finished = {kind: (process.communicate(), process.returncode) for kind, process in running.items()}
    for (_, errors), status in finished.values():
        assert status == 0, errors[-4000:]
    return {kind: json.loads(output.strip().splitlines()[-1]) for kind, ((output, _), _) in finished.items()}


def assert_equal(report, kind):
    """Every output of every artefact is there and near; nothing forbidden was imported."""
    assert report.pop("imported") == []
    broken = {name: value for name, value in report.items() if isinstance(value, str)}
    assert broken == {}
    far = {
        f"{name}.{key}": difference
        for name, outputs in report.items()
        for key, difference in outputs.items()
        if not difference <= TOLERANCE[kind]
    }
    assert far == {}
    return report


def formats():
    return ("keras",) if keras.backend.backend() != "tensorflow" else tuple(TOLERANCE)


def test_what_is_shipped_runs_in_a_fresh_process(tmp_path):
    ship(tmp_path, formats=("keras",))
    report = assert_equal(reports_of(("keras",), tmp_path)["keras"], "keras")
    assert set(report["layers"]) == {name.replace("/", "_") for name in LAYERS}
    assert len(report["encoders"]) == sum(not case.heavy for case in ENCODERS.values())
    assert len(report) == 3 + sum("/" not in name for name in TASKS)


@pytest.mark.slow
def test_classics_and_other_cases(tmp_path):
    """`.keras` files beside Keras and mmkeras, SavedModels without either, TFLite by built-in operations only."""
    ship(tmp_path, formats=formats(), exhaustive=True)
    for kind, report in reports_of(formats(), tmp_path).items():
        report = assert_equal(report, kind)
        heavy = [name for name, case in ENCODERS.items() if case.heavy]
        assert len(report) == len(heavy) + 3 + len(TASKS) * (kind == "keras")


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", TASKS)
def test_every_task_ships(name, tmp_path):
    """Every endpoint by SavedModel, TFLite and TFLite in 8 bits; the exports compare, and fail where they differ."""
    case = TASKS[name]
    task = case.make()
    shapes = {key: values.shape[1:] for key, values in case.x.items()}
    report = mm.export.to_saved_model(task, tmp_path / "task")
    assert {check.signature.removesuffix("_prepared") for check in report.checks} >= {"predict", *task.endpoints()} - {
        endpoint for endpoint, own in task.endpoints().items() if own.model is task
    }
    for quantize in (None, "dynamic"):
        path = tmp_path / f"{quantize}.tflite"
        report = mm.export.to_tflite(task, path, quantize=quantize, shapes=shapes)
        assert [check.signature for check in report.checks] == list(task.endpoints())
        assert not any(operation.startswith("Flex") for operation in report.operations)


def test_a_wrong_artefact_is_caught(tmp_path):
    """The comparison itself can fail: one changed number is found."""
    case = TASKS["MultimodalClassifier/control"]
    ship_one(tmp_path, "control", case.make(), case.x, formats=("keras",), off=0.01)
    with pytest.raises(AssertionError, match=r"0\.0[01]"):
        assert_equal(reports_of(("keras",), tmp_path)["keras"], "keras")
