"""Nothing public without a case, a docstring that tells the truth, and an example that runs."""

import doctest
import inspect
import os
import tempfile

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance import checks
from tests.conformance.cases import ENCODERS, ENCODERS_WITHOUT_CASE, LAYERS, LAYERS_WITHOUT_CASE
from tests.conformance.tasks import TASKS, TASKS_WITHOUT_CASE

ROOMS = {
    "layers": (LAYERS, LAYERS_WITHOUT_CASE),
    "encoders": (ENCODERS, ENCODERS_WITHOUT_CASE),
    "models": (TASKS, TASKS_WITHOUT_CASE),
}
PUBLIC = {
    f"{room}.{name}": getattr(getattr(mm, room), name)
    for room in (
        "ops",
        "layers",
        "losses",
        "metrics",
        "encoders",
        "models",
        "generation",
        "preprocessing",
        "data",
        "retrieval",
        "training",
        "evaluation",
        "interpret",
        "export",
    )
    for name in getattr(mm, room).__all__
    if not inspect.ismodule(getattr(getattr(mm, room), name))
}
PUBLIC |= {
    f"data.{room}.{name}": getattr(getattr(mm.data, room), name)
    for room in ("corruption", "sets")
    for name in getattr(mm.data, room).__all__
    if name != "CORRUPTORS"
}
# Bases, and what takes no fixed list of arguments.
BASES = {
    "data.DataReport",
    "data.corruption.Corruptor",
    "export.ExportError",
    "generation.Strategy",
    "layers.Decoder",
    "layers.Fusion",
    "layers.Head",
    "layers.TokenFusion",
    "layers.VectorFusion",
    "losses.PairLoss",
    "models.EmbeddingTask",
    "models.Endpoint",
    "models.FusionTask",
    "models.Sentence",
    "models.SentenceTask",
    "models.Task",
    "preprocessing.Augmentation",
    "preprocessing.Part",
    "preprocessing.Preprocessor",
    "training.Step",
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_a_case(room):
    cases, without = ROOMS[room]
    covered = {name.split("/")[0] for name in cases} | without
    assert covered == set(getattr(mm, room).__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_the_arguments(name):
    thing = PUBLIC[name]
    assert inspect.getdoc(thing), f"{name} has no docstring"
    if name in BASES:
        return
    parameters = checks.init_parameters(thing) if inspect.isclass(thing) else inspect.signature(thing).parameters
    # A reader's example would need its files; the readers' tests write them.
    checks.check_docstring(thing, parameters, with_example=not name.startswith("data."))


@pytest.mark.parametrize("name", PUBLIC)
def test_example_runs(name):
    thing = PUBLIC[name]
    if name.startswith("export.") and keras.backend.backend() != "tensorflow":
        pytest.skip("what is asked must have been exported, and that is made on TensorFlow")
    if inspect.isclass(thing) and issubclass(thing, mm.preprocessing.Augmentation):
        pytest.importorskip("tensorflow", exc_type=ImportError)
    names = {
        "os": os,
        "tempfile": tempfile,
        "keras": keras,
        "mm": mm,
        "np": np,
        "ops": keras.ops,
        **vars(inspect.getmodule(thing)),
    }
    names["ops"] = mm.ops if name.startswith("ops.") and "mm.ops" in (thing.__doc__ or "") else keras.ops
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing), names, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    output = []
    runner.run(example, out=output.append)
    assert runner.failures == 0, "".join(output)
