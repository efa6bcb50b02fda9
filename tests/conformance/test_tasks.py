"""Every task keeps every promise."""

import copy

import keras
import numpy as np
import pytest

from tests.conformance import checks
from tests.conformance.backend import array, gradients
from tests.conformance.cases import BATCH
from tests.conformance.tasks import TASKS

every_task = pytest.mark.parametrize("case", TASKS.values(), ids=TASKS)


@every_task
def test_outputs_are_per_sample(case):
    task = case.make()
    together = task(case.x)
    for name, values in together.items():
        assert values.shape[0] == BATCH
        for row in range(BATCH):
            alone = task({key: x[row : row + 1] for key, x in case.x.items()})
            np.testing.assert_allclose(array(alone[name])[0], array(values)[row], atol=1e-5)


@every_task
def test_weights_are_exact_and_all_trained(case):
    task = case.make()
    task.compile()
    assert len(task.weights) == len({id(w) for w in task.weights}) == case.weights

    # Presence as given, and everything absent: the learned stand-ins count only where nothing else does.
    absent = {key: np.zeros_like(x) if key.endswith("_present") else x for key, x in case.x.items()}

    def loss(_):
        # Answers to nothing are the prior, but for training.
        return sum(task.compute_loss(x=x, y=case.y, y_pred=task(x, training=x is absent)) for x in (case.x, absent))

    _, by_weights, _ = gradients(loss, task.trainable_variables, [])
    checks.check_gradients(task.trainable_variables, by_weights)


@every_task
def test_config_survives_the_round_trip(case):
    task = case.make()
    config = task.get_config()
    assert set(checks.init_parameters(type(task))) <= set(config)
    clone = type(task).from_config(copy.deepcopy(config))
    for name in checks.init_parameters(type(task)):
        value = getattr(task, name)
        if not isinstance(value, dict | keras.layers.Layer):
            assert getattr(clone, name) == value
    shared = [a is b for a in task.encoders.values() for b in task.encoders.values()]
    assert shared == [a is b for a in clone.encoders.values() for b in clone.encoders.values()]
    clone.set_weights(task.get_weights())
    answers = clone(case.x)
    for name, values in task(case.x).items():
        np.testing.assert_allclose(array(answers[name]), array(values), atol=1e-6)


# Training costs seconds: one case of most classes in the ordinary tier, the others in the slow one. Tests of their own
# train these, too.
TRAINED_ELSEWHERE = {"AutoencoderEmbedding", "Transcriber", "Translator", "VideoAudioModel", "VideoCaptioner"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if "/" in name or name in TRAINED_ELSEWHERE else [], id=name)
        for name, case in TASKS.items()
    ],
)
def test_learns_with_defaults_and_is_saved_with_its_training_state(case, tmp_path):
    task = case.make()
    task.compile()
    x = {key: np.repeat(values, 4, axis=0) for key, values in case.x.items()}
    y = None if case.y is None else keras.tree.map_structure(lambda y: np.repeat(y, 4, axis=0), case.y)
    history = task.fit(x, y, batch_size=6, epochs=10, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    assert case.metric in history

    task.optimizer.learning_rate = 3e-3
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(3e-3)
    assert int(loaded.optimizer.iterations) == 20
    answers = loaded(case.x)
    for key, values in task(case.x).items():
        np.testing.assert_array_equal(array(answers[key]), array(values))
    loaded.fit(case.x, case.y, verbose=0)


@every_task
def test_mixed_precision_answers_in_float32(case):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        task = case.make()
    finally:
        keras.config.set_dtype_policy("float32")
    for values in task(case.x).values():
        assert array(values).dtype == np.float32
        assert np.isfinite(array(values)).all()
    assert any("bfloat16" in str(layer.compute_dtype) for layer in task.layers)
