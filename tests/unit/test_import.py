"""`import mmkeras` costs little: it brings in nothing heavy that Keras has not brought already."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import keras
before = set(sys.modules)
import mmkeras
print(json.dumps(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
"""
HEAVY = {"keras_hub", "keras_nlp", "tensorflow_io", "tensorflow_text", "rich", "matplotlib", "pandas", "scipy"}


def test_nothing_heavy_comes_along():
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    brought = set(json.loads(finished.stdout.strip().splitlines()[-1]))
    assert "mmkeras" in brought
    assert not brought & HEAVY


def test_without_tensorflow_none_of_it_is_loaded():
    import keras

    import mmkeras  # noqa: F401

    if keras.backend.backend() != "tensorflow":
        assert not [name for name in sys.modules if name.split(".")[0] == "tensorflow"]
