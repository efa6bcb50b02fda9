"""The demo runs whole, at a size for tests: it trains, saves, reloads and tells the truth about it."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.tensorflow
def test_demo(tmp_path):
    finished = subprocess.run(
        [sys.executable, "examples/demo.py", "--samples", "100", "--epochs", "2", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    result = json.loads(finished.stdout.strip().splitlines()[-1])
    assert 0 <= result["test_accuracy"] <= 1
    assert result["reload_difference"] < 1e-5
    for words in ("image + text + audio", "alone (control)", "best possible", "0.111", "1.000", "classifier.keras"):
        assert words in finished.stdout
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    assert len(loaded.classes) == 36
