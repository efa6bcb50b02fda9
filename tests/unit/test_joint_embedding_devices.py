"""Two devices train a joint embedding exactly as one: every negative of the batch counts, on whichever it lies."""

import contextlib
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.unit.test_joint_embedding import PIXELS, WORDS, image, text

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = np.array([1, 1, 0, 1, 1, 0], "bool")
CASES = {
    "rows": ({}, {"image": PIXELS, "token_ids": WORDS[:, 0]}, None),
    "targets": ({}, {"image": PIXELS, "token_ids": WORDS[:, 0]}, np.array([0, 1, 2, 1, 3, 0], "int32")),
    "groups": ({"optional": ("text",)}, {"image": PIXELS, "token_ids": WORDS, "text_present": FLAGS}, None),
    "alignment": ({"alignment": True}, {"image": PIXELS, "token_ids": WORDS[:, 0]}, None),
    "micro-batches": ({"step": 2}, {"image": PIXELS, "token_ids": WORDS[:, 0]}, None),
}
DEVICES = {
    "tensorflow": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope
""",
    "jax": """
import keras
devices = keras.distribution.list_devices("cpu")
assert len(devices) == 2
scope = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False).scope
""",
}
PROGRAM = """
from tests.unit.test_joint_embedding_devices import CASES, difference
for name in CASES:
    print(name, difference(name, scope), flush=True)
"""


def trained(name, scope):
    """Losses and weights after three steps of SGD, from the same start."""
    options, x, y = CASES[name]
    options = dict(options)
    micro_batch = options.pop("step", None)
    with scope():
        keras.utils.set_random_seed(0)
        if options.pop("alignment", False):
            options["alignment"] = mm.losses.Adversarial(4)
        task = mm.models.JointEmbedding({"image": image(), "text": text()}, mm.losses.InfoNCE(0.5), dim=4, **options)
        values = [np.random.default_rng(i).normal(0, 0.3, w.shape) for i, w in enumerate(task.weights)]
        task.set_weights(values)
        step = None if micro_batch is None else mm.training.GradientCache(micro_batch)
        task.compile(keras.optimizers.SGD(0.05), step=step)
        history = task.fit(x, y, batch_size=6, epochs=3, verbose=0, shuffle=False).history
    return np.array(history["loss"]), [array(weight.value) for weight in task.weights]


def difference(name, scope):
    """Largest relative difference between one device and two."""
    losses, weights = trained(name, contextlib.nullcontext)
    other_losses, other_weights = trained(name, scope)
    assert losses[2] != losses[0]
    found = np.abs(losses / other_losses - 1).max()
    return max(found, *(np.abs(a - b).max() / np.abs(a).max() for a, b in zip(weights, other_weights, strict=True)))


@pytest.fixture(scope="module")
def differences():
    finished = subprocess.run(
        [sys.executable, "-c", DEVICES[keras.backend.backend()] + PROGRAM],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return {
        name: float(value) for name, value in (line.split() for line in finished.stdout.splitlines()[-len(CASES) :])
    }


@pytest.mark.parametrize("name", CASES)
def test_two_devices_equal_one(name, differences):
    assert differences[name] <= 1e-5
