"""Steps around Keras' own: a balance between modalities, a teacher, several at once."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras import training as T
from tests.conformance.backend import array
from tests.conformance.cases import floats


def make(*names, classes=2, **options):
    sizes = {"easy": 4, "hard": 6}
    encoders = {f"features_{name}": mm.encoders.features((sizes[name],), 16, normalize=False) for name in names}
    return mm.models.MultimodalClassifier(encoders, classes=classes, **options)


def world(rows, seed, noise=1.0):
    """A sign that one modality shows plainly, the other as the product of two."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    easy = rng.normal(size=(rows, 4)) * noise
    easy[:, 0] += 4 * y - 2
    hard = rng.normal(size=(rows, 6)) * 0.1
    signs = rng.choice([-1, 1], size=rows)
    hard[:, 0] += signs
    hard[:, 1] += signs * (2 * y - 1)
    return {"features_easy": easy.astype("float32"), "features_hard": hard.astype("float32")}, y


def accuracy(task, x, y):
    return (task.predict(x, verbose=0)["label"].argmax(axis=-1) == y).mean()


class TestModalityBalance:
    def alone(self, step):
        """How well the hard modality answers alone after training beside an easy one."""
        keras.utils.set_random_seed(1)
        x, y = world(512, 0)
        task = make("easy", "hard", hidden_dim=16)
        task.compile(keras.optimizers.Adam(0.01), step=step)
        history = task.fit(x, y, batch_size=64, epochs=6, verbose=0).history
        test, truth = world(512, 1)
        test["features_easy"] = np.random.default_rng(2).permutation(test["features_easy"])
        return accuracy(task, test, truth), history

    def test_the_modality_that_lags_behind_learns_more(self):
        plain, _ = self.alone(None)
        balanced, history = self.alone(T.ModalityBalance(strength=4.0))
        assert balanced > plain + 0.03
        # The easy one leads at first, and is the one that is slowed down.
        assert history["rate_features_easy"][0] < history["rate_features_hard"][0]

    def test_large_losses_are_told_apart(self):
        """Numbers in their own units: squares of tens, of which exp(-loss) is nothing."""
        x, y = world(64, 0)
        encoders = {name: mm.encoders.features((values.shape[1],), 16, normalize=False) for name, values in x.items()}
        task = mm.models.MultimodalRegressor(encoders, mm.layers.ConcatFusion())
        x["features_hard"] = np.random.default_rng(1).normal(size=x["features_hard"].shape).astype("float32")
        task.compile(keras.optimizers.Adam(0.05), step=T.ModalityBalance(rows=64))
        history = task.fit(x, (40 + 20 * y).astype("float32"), batch_size=64, epochs=60, verbose=0).history
        assert min(history["rate_features_easy"]) < 0.5

    def test_no_strength_is_keras_own_step(self):
        x, y = world(64, 0)
        outcomes = []
        for step in (None, T.ModalityBalance(strength=0.0)):
            keras.utils.set_random_seed(0)
            task = make("easy", "hard")
            task.compile(keras.optimizers.SGD(0.1), step=step)
            task.fit(x, y, batch_size=64, verbose=0)
            outcomes.append([array(weight.value) for weight in task.weights])
        for expected, actual in zip(*outcomes, strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: T.ModalityBalance(strength=-1), "`strength` must be a number from 0 on"),
            (lambda: T.ModalityBalance(rows=1), "`rows` must be an integer of at least 2"),
        ],
    )
    def test_bad_arguments(self, build, message):
        with pytest.raises(ValueError, match=message):
            build()

    def test_one_modality_has_nothing_to_balance(self):
        task = make("easy")
        task.compile(step=T.ModalityBalance())
        x, y = world(8, 0)
        with pytest.raises(ValueError, match="tasks that fuse two modalities or more"):
            task.train_on_batch(x, y)


class TestDistillation:
    def test_a_student_without_labels_of_its_own_learns_what_the_teacher_knows(self):
        """Labels of the student are noise; only the teacher, who saw true ones, can teach."""
        keras.utils.set_random_seed(0)
        x, y = world(512, 0)
        teacher = make("easy", "hard", hidden_dim=16)
        teacher.compile(keras.optimizers.Adam(0.01))
        teacher.fit(x, y, batch_size=64, epochs=6, verbose=0)
        student = make("hard", hidden_dim=16)
        student.compile(keras.optimizers.Adam(0.01), step=T.Distillation(teacher, weight=1.0))
        noise = np.random.default_rng(3).integers(0, 2, 512)
        before = [array(weight.value) for weight in teacher.weights]
        student.fit(x, noise, batch_size=64, epochs=12, verbose=0)
        assert accuracy(student, *world(512, 1)) > 0.9
        for old, weight in zip(before, teacher.weights, strict=True):
            np.testing.assert_array_equal(array(weight.value), old)

    @pytest.mark.parametrize(
        "options", [{}, {"multi_label": True}, {"ordinal": True}], ids=["one", "several", "grades"]
    )
    def test_loss_equals_the_formula(self, options):
        teacher, student = make("easy", classes=3, **options), make("easy", classes=3, **options)
        x = {"features_easy": floats(5, 4)}
        y = np.array([[0, 1, 1]] * 5, "float32") if "multi_label" in options else np.array([0, 1, 2, 0, 1])
        t, s = (array(task(x)["label"]).astype("float64") for task in (teacher, student))
        if "multi_label" in options:
            soft = lambda p: (p / (1 - p)) ** (1 / 3) / (1 + (p / (1 - p)) ** (1 / 3))  # noqa: E731
            a, b = soft(t), soft(s)
            divergence = (a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))).mean()
        else:
            a, b = (p ** (1 / 3) / (p ** (1 / 3)).sum(axis=1, keepdims=True) for p in (t, s))
            divergence = (a * np.log(a / b)).sum(axis=1).mean()
        student.compile()
        labelled = student.evaluate(x, y, verbose=0, return_dict=True)["loss"]
        student.compile(keras.optimizers.SGD(0.0), step=T.Distillation(teacher, temperature=3.0, weight=0.25))
        logs = student.train_on_batch(x, y, return_dict=True)
        assert logs["loss"] == pytest.approx(0.75 * labelled + 0.25 * 9 * divergence, abs=1e-5)

    def test_numbers_are_compared_by_their_squares(self):
        build = lambda: mm.models.MultimodalRegressor({"features_easy": mm.encoders.features((4,))})  # noqa: E731
        teacher, student = build(), build()
        x = {"features_easy": floats(5, 4)}
        t, s = (array(task(x)["label"]) for task in (teacher, student))
        student.compile(keras.optimizers.SGD(0.0), step=T.Distillation(teacher, weight=1.0))
        logs = student.train_on_batch(x, np.zeros(5, "float32"), return_dict=True)
        assert logs["loss"] == pytest.approx(((t - s) ** 2).mean(), abs=1e-5)

    def test_the_student_is_saved_alone(self, tmp_path):
        x, y = world(8, 0)
        student = make("hard")
        student.compile(step=T.Distillation(make("easy", "hard")))
        student.fit(x, y, verbose=0)
        student.save(tmp_path / "student.keras")
        loaded = keras.saving.load_model(tmp_path / "student.keras")
        np.testing.assert_allclose(array(loaded(x)["label"]), array(student(x)["label"]), atol=1e-6)
        with pytest.raises(ValueError, match="The teacher is not saved with its student"):
            loaded.fit(x, y, verbose=0)

    def test_other_answers_are_refused(self):
        student = make("hard", classes=3)
        student.compile(step=T.Distillation(make("easy", "hard")))
        with pytest.raises(ValueError, match="Teacher and student must answer the same"):
            student.train_on_batch(*world(8, 0))


class TestUnimodalLosses:
    def both(self, step=None, optimizer=None):
        keras.utils.set_random_seed(1)
        task = make("easy", "hard", hidden_dim=16, optional=("features_easy", "features_hard"))
        task.compile(optimizer or keras.optimizers.Adam(0.01), step=step)
        return task

    def loss(self, task, x, y):
        outputs = array(task(x)["label"]).astype("float64")
        return -np.log(outputs[np.arange(len(y)), y])

    @pytest.mark.parametrize("weights", [0.5, {"features_easy": 0.5, "features_hard": 2.0}, {"features_hard": 2.0}])
    def test_loss_equals_the_formula(self, weights):
        x, y = world(12, 0)
        x["features_hard_present"] = np.arange(12) < 8
        task = self.both(T.UnimodalLosses(weights), keras.optimizers.SGD(0.0))
        expected = self.loss(task, x, y).mean()
        by_name = weights if isinstance(weights, dict) else dict.fromkeys(task.encoders, weights)
        for name, weight in by_name.items():
            rows = slice(8 if name == "features_hard" else 12)
            # A modality that is left out is absent.
            expected += weight * self.loss(task, {name: x[name][rows]}, y[rows]).mean()
        logs = task.train_on_batch(x, y, return_dict=True)
        assert logs["loss"] == pytest.approx(expected, abs=1e-5)

    def test_each_modality_answers_better_alone(self):
        x, y = world(512, 0)
        test, truth = world(512, 1)
        losses = []
        for step in (None, T.UnimodalLosses()):
            task = self.both(step)
            task.fit(x, y, batch_size=64, epochs=3, verbose=0)
            assert accuracy(task, test, truth) > 0.95
            losses.append(self.loss(task, {"features_hard": test["features_hard"]}, truth).mean())
        assert losses[1] < 0.75 * losses[0]

    def test_a_modality_that_nobody_has_costs_nothing(self):
        x, y = world(12, 0)
        task = self.both(T.UnimodalLosses(), keras.optimizers.SGD(0.0))
        expected = 2 * self.loss(task, {"features_easy": x["features_easy"]}, y).mean()
        logs = task.train_on_batch({"features_easy": x["features_easy"]}, y, return_dict=True)
        assert logs["loss"] == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("weights", [-1.0, {}, {"features_easy": "much"}])
    def test_bad_weights(self, weights):
        with pytest.raises(ValueError, match="`weights` must be a number from 0 on"):
            T.UnimodalLosses(weights)

    def test_what_cannot_be_taken_away(self):
        task = make("easy", "hard", optional=("features_easy",))
        task.compile(step=T.UnimodalLosses())
        with pytest.raises(ValueError, match="each of which may be missing: optional="):
            task.train_on_batch(*world(8, 0))
        with pytest.raises(ValueError, match="`weights` must name modalities of the task"):
            self.both(T.UnimodalLosses({"features_face": 1.0})).train_on_batch(*world(8, 0))


def test_two_steps_with_losses_of_their_own():
    x, y = world(16, 0)
    task = make("easy", "hard", optional=("features_easy", "features_hard"))
    teacher = make("easy")
    losses = []
    for steps in ([T.UnimodalLosses(0.5), T.Distillation(teacher)], [T.Distillation(teacher)], None):
        task.compile(keras.optimizers.SGD(0.0), step=steps)
        losses.append(task.train_on_batch(x, y, return_dict=True)["loss"])
        assert "compute_loss" not in vars(task)
    assert losses[0] > losses[1] + 0.1
    assert losses[1] != pytest.approx(losses[2], abs=1e-4)


def test_steps_work_one_inside_the_other():
    x, y = world(64, 0)
    task = make("easy", "hard")
    task.compile(step=[T.LearningRates({"features_easy": 0.0}), T.ModalityBalance(), T.Distillation(make("easy"))])
    before = [array(weight.value) for weight in task.encoders["features_easy"].weights]
    logs = task.fit(x, y, verbose=0).history
    assert "rate_features_hard" in logs
    for old, weight in zip(before, task.encoders["features_easy"].weights, strict=True):
        np.testing.assert_array_equal(array(weight.value), old)
