"""A program on two devices: they must be set up before a backend starts, so it runs in a process of its own."""

import os
import pathlib
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[2]
SCOPES = {
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


def lines_of(program):
    """Run a program that finds `scope`, the function that opens the scope of two devices; return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", SCOPES[keras.backend.backend()] + program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished.stdout.splitlines()
