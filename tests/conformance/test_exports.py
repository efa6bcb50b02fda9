"""What is saved and exported runs elsewhere and gives the same numbers."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.conformance.artefacts import groups, ship
from tests.conformance.cases import ENCODERS, LAYERS
from tests.conformance.tasks import TASKS

ROOT = pathlib.Path(__file__).parents[2]
# Largest difference to Keras on the machine that exported: other kernels round differently.
TOLERANCE = {"keras": 1e-5, "saved_model": 1e-4, "tflite": 2e-4}


def report_of(kind, folder):
    """Run the child process of a format over a folder of artefacts."""
    finished = subprocess.run(
        [sys.executable, str(pathlib.Path(__file__).with_name("child.py")), kind, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return json.loads(finished.stdout.strip().splitlines()[-1])


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


def test_reload_in_a_fresh_process(tmp_path):
    ship(tmp_path, formats=("keras",))
    report = assert_equal(report_of("keras", tmp_path), "keras")
    assert set(report["layers"]) == {name.replace("/", "_") for name in LAYERS}
    assert len(report["encoders"]) == sum(not case.heavy for case in ENCODERS.values())
    assert len(report) == 3 + len(TASKS)


@pytest.mark.tensorflow
def test_saved_model_without_keras(tmp_path):
    ship(tmp_path, formats=("saved_model",))
    assert_equal(report_of("saved_model", tmp_path), "saved_model")


@pytest.mark.tensorflow
def test_tflite_with_builtin_operations_only(tmp_path):
    ship(tmp_path, formats=("tflite",))
    assert_equal(report_of("tflite", tmp_path), "tflite")


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["keras", "saved_model", "tflite"])
def test_classics(tmp_path, kind):
    ship(tmp_path, formats=(kind,), heavy=True)
    report = assert_equal(report_of(kind, tmp_path), kind)
    assert len(report) == len([name for name, case in ENCODERS.items() if case.heavy])


def test_a_wrong_artefact_is_caught(tmp_path):
    """The comparison itself can fail: one changed number is found."""
    import numpy as np

    name, model, x = next(group for group in groups() if group[0].endswith("control"))
    model.save(tmp_path / f"{name}.keras")
    wrong = {key: np.asarray(value) + 0.01 for key, value in model.predict_on_batch(x).items()}
    np.savez(
        tmp_path / f"{name}.npz", **{f"in/{k}": v for k, v in x.items()}, **{f"out/{k}": v for k, v in wrong.items()}
    )
    (tmp_path / "names.json").write_text(json.dumps([name]))
    with pytest.raises(AssertionError, match=r"0\.0[01]"):
        assert_equal(report_of("keras", tmp_path), "keras")
