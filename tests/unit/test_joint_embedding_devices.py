"""Two devices train a joint embedding exactly as one: every negative of the batch counts, on whichever it lies."""

import contextlib

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.unit.test_joint_embedding import PIXELS, WORDS, image, text
from tests.unit.two_devices import lines_of

# Some seconds of a fresh process for every case: test_gradient_cache keeps one of them in the ordinary tier.
pytestmark = pytest.mark.slow

FLAGS = np.array([1, 1, 0, 1, 1, 0], "bool")
CASES = {
    "targets": (
        {"alignment": True},
        {"image": PIXELS, "token_ids": WORDS[:, 0]},
        np.array([0, 1, 2, 1, 3, 0], "int32"),
    ),
    "groups": ({"optional": ("text",)}, {"image": PIXELS, "token_ids": WORDS, "text_present": FLAGS}, None),
    "micro-batches": ({"step": 2}, {"image": PIXELS, "token_ids": WORDS[:, 0]}, None),
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
    lines = lines_of(PROGRAM)[-len(CASES) :]
    return {name: float(value) for name, value in (line.split() for line in lines)}


@pytest.mark.parametrize("name", CASES)
def test_two_devices_equal_one(name, differences):
    assert differences[name] <= 1e-5
