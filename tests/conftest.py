"""Set-up shared by all tests: quiet backends, TensorFlow blocked under JAX, seeds, and the slow tier."""

import gc
import importlib.abc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1" if os.environ.get("MMKERAS_TEST_GPU") is None else "0")


class _Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_text"):
            raise ImportError(f"{name} is blocked: this run proves that the package works without it.")
        return None


BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
if BACKEND != "tensorflow":
    sys.meta_path.insert(0, _Blocked())

import keras  # noqa: E402
import pytest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the exhaustive tier too")


def pytest_collection_modifyitems(config, items):
    # What is short comes last, so that no worker ends long after the other.
    items.sort(key=lambda item: "unit" in item.path.parts)
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="exhaustive tier: make test-all"))
        if "tensorflow" in item.keywords and BACKEND != "tensorflow":
            item.add_marker(pytest.mark.skip(reason="TensorFlow is blocked in this run"))


def pytest_collection_finish(session):
    # What was imported stays: it need not be looked through again and again.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(7)
