"""Large batches in small memory: the gradients, the logs and the random draws of the whole batch, or a clear error."""

import functools
import warnings

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.models.branches import encode_modalities
from tests.conformance.backend import array, gradients, mask_of
from tests.unit.two_devices import lines_of

JAX = keras.backend.backend() == "jax"
ROWS = 23
_RNG = np.random.default_rng(5)
X = {
    "image": _RNG.integers(0, 256, (ROWS, 4, 4, 3)).astype("uint8"),
    "token_ids": np.where(np.arange(5) < _RNG.integers(2, 6, (ROWS, 1)), _RNG.integers(1, 20, (ROWS, 5)), 0).astype(
        "int32"
    ),
}
Y = _RNG.integers(0, 3, ROWS)
WEIGHTS = _RNG.uniform(0.5, 2.0, ROWS)


class Pairs(mm.models.Task):
    """Joint embedding: a loss over the batch with a temperature of its own, regularised and spare weights, dropout."""

    def __init__(self, encoders, dropout_rate):
        branches = encode_modalities(encoders)
        outputs = {"spare": keras.layers.Dense(2, name="spare")(branches.encodings["image"])}
        for name, encoding in branches.encodings.items():
            dropped = keras.layers.Dropout(dropout_rate, seed=4)(encoding)
            outputs[name] = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1), name=f"{name}_vector")(
                dropped
            )
        super().__init__(inputs=branches.inputs, outputs=outputs)
        self.encoders = encoders
        self.optional = ()
        self.preprocessor = None
        self.contrast = mm.losses.InfoNCE(0.3, max_scale=1e30)

    def targets(self, x, y):
        return None, None

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        first, second = y_pred["image"], y_pred["text"]
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            context = tf.distribute.get_replica_context()
            first, second = context.all_gather([first, second], axis=0)
        return self.contrast(first, second) + sum(self.losses)


class Tagger(mm.models.Task):
    """A label per word: its output carries the mask of the padding."""

    def __init__(self):
        encoders = {"text": text(pooling=None)}
        branches = encode_modalities(encoders)
        tag = keras.layers.Dense(3, activation="softmax", name="tag")(branches.encodings["text"])
        super().__init__(inputs=branches.inputs, outputs={"tag": tag})
        self.encoders = encoders
        self.optional = ()
        self.preprocessor = None


def text(pooling="avg"):
    token_ids = keras.Input((5,), dtype="int32", name="token_ids")
    return mm.encoders.finish(token_ids, keras.layers.Embedding(20, 6, mask_zero=True)(token_ids), pooling=pooling)


def image(*layers):
    x = source = keras.Input((4, 4, 3), dtype="uint8", name="image")
    for layer in (keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(6, "tanh"), *layers):
        x = layer(x)
    return mm.encoders.finish(source, x, pooling="avg")


def pairs(dropout_rate=0.0):
    return Pairs({"image": image(), "text": text()}, dropout_rate)


def classifier(**options):
    return mm.models.MultimodalClassifier(
        {"image": image(), "text": text()}, mm.layers.GatedFusion(6), classes=3, **options
    )


def cache(micro_batch=5):
    return mm.training.GradientCache(micro_batch)


def sgd():
    return keras.optimizers.SGD(0.1, momentum=0.5, weight_decay=0.5)


def train(make, *data, step=None, batch_size=ROWS, epochs=1, optimizer=sgd, fit=None, **options):
    """Train a task made anew from the same seed; return it, its logs, and what its optimizer summed of gradients."""
    keras.utils.set_random_seed(3)
    task = make()
    task.compile(optimizer(), step=step, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gradients do not exist for variables .'spare/kernel', 'spare/bias'. when")
        logs = task.fit(*data, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, **(fit or {})).history
    inner = getattr(task.optimizer, "inner_optimizer", task.optimizer)
    # After one step the momentum is -0.1 times the gradient, to the last digit.
    return task, logs, [-10.0 * momentum.numpy() for momentum in inner.momentums]


@functools.cache
def whole_batch(make):
    return train(make, *((X,) if make is pairs else (X, Y)))


def difference(found, expected):
    """The largest difference of gradients, as a share of the largest gradient of that weight."""
    assert sum(gradient.any() for gradient in expected) > len(expected) // 2
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12) for a, b in zip(found, expected, strict=True))


def assert_same(trained, reference, tolerance=1e-5):
    (task, logs, found), (other, expected_logs, expected) = trained, reference
    assert difference(found, expected) <= tolerance
    assert logs.keys() == expected_logs.keys()
    for name, values in expected_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-5, err_msg=name)
    for weight, same in zip(task.weights, other.weights, strict=True):
        np.testing.assert_allclose(array(weight.value), array(same.value), rtol=1e-5, atol=1e-6, err_msg=weight.path)


class TestTheSameAsTheWholeBatch:
    @pytest.mark.parametrize("micro_batch", [5, 100])
    def test_joint_loss(self, micro_batch):
        """With a temperature in the loss, regularised weights, and weights that nothing reaches: these do not decay."""
        assert_same(train(pairs, X, step=cache(micro_batch)), whole_batch(pairs))

    @pytest.mark.parametrize("options", [{"steps_per_execution": 2}, {"run_eagerly": True}], ids=str)
    def test_batches_of_several_sizes(self, options):
        if JAX and "run_eagerly" in options:
            pytest.skip("a minute of compiling each operation")
        options = {"batch_size": 10, "epochs": 2, **options}
        # Six steps: what rounding does to the first, the others build on.
        assert_same(train(pairs, X, step=cache(4), **options), train(pairs, X, **options), tolerance=1e-4)

    def test_flags_metrics_and_sample_weights(self):
        def make():
            return classifier(optional=("image", "text"))

        # The image is left out altogether.
        data = {"token_ids": X["token_ids"], "text_present": np.arange(ROWS) % 3 > 0, "unused": None}, Y
        options = {"fit": {"sample_weight": WEIGHTS}}
        assert_same(train(make, *data, step=cache(), **options), train(make, *data, **options))

    def test_masked_outputs(self):
        data = X, {"tag": np.resize(Y, (ROWS, 5))}
        options = {"loss": "sparse_categorical_crossentropy"}
        assert mask_of(Tagger()(X)["tag"]) is not None
        assert_same(train(Tagger, *data, step=cache(), **options), train(Tagger, *data, **options))

    def test_batch_normalization_at_rest(self):
        def make():
            frozen = keras.layers.BatchNormalization(trainable=False)
            network = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
            encoder = image(frozen, mm.layers.FrozenStatistics(network))
            return mm.models.MultimodalClassifier({"image": encoder}, classes=3)

        assert_same(train(make, X, Y, step=cache()), train(make, X, Y))

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision(self, policy):
        _, _, exact = whole_batch(classifier)
        optimizers = {
            "mixed_bfloat16": sgd,
            # The scale it would start with overflows, and the step is left out.
            "mixed_float16": lambda: keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=64.0),
        }
        keras.config.set_dtype_policy(policy)
        try:
            task, _, found = train(classifier, X, Y, step=cache(), optimizer=optimizers[policy])
        finally:
            keras.config.set_dtype_policy("float32")
        assert {keras.backend.standardize_dtype(weight.dtype) for weight in task.trainable_weights} == {"float32"}
        assert difference(found, exact) < 0.05


def test_the_second_pass_repeats_the_random_draws_of_the_first():
    """Against one tape over all micro-batches, each of which draws once."""
    x = {key: value[:16] for key, value in X.items()}
    parts = [slice(0, None, 2), slice(1, None, 2)] if JAX else [slice(8), slice(8, None)]
    keras.utils.set_random_seed(3)
    task = pairs(0.5)

    def loss(_):
        outputs = [task({key: value[rows] for key, value in x.items()}, training=True) for rows in parts]
        return task.compute_loss(
            y_pred={name: keras.ops.concatenate([output[name] for output in outputs]) for name in outputs[0]}
        )

    if JAX:
        import jax

        loss = jax.jit(loss)
    _, expected, _ = gradients(loss, task.trainable_variables, [])
    expected = [
        np.zeros(weight.shape) if gradient is None else gradient
        for weight, gradient in zip(task.trainable_variables, expected, strict=True)
    ]
    trained, _, found = train(lambda: pairs(0.5), x, step=cache(8))
    assert difference(found, expected) <= 1e-5
    states = [array(variable.value).tolist() for variable in trained.variables if "seed" in variable.path]
    assert states == [[4, 2]] * 2


class TestMemory:
    @pytest.mark.tensorflow
    def test_no_more_than_a_micro_batch_at_once(self):
        sizes = []

        class Watch(keras.layers.Layer):
            def call(self, x):
                if x.shape[0] is not None:  # None while Keras builds the task
                    sizes.append(x.shape[0])
                return x

        def make():
            return mm.models.MultimodalClassifier({"image": image(Watch())}, classes=3)

        train(make, X, Y, step=cache(), run_eagerly=True)
        assert sizes == [5, 5, 5, 5, 3] * 2

    @pytest.mark.tensorflow
    def test_one_after_the_other(self):
        import tensorflow as tf

        task = classifier()
        task.compile(step=cache())
        task.optimizer.build(task.trainable_variables)
        step = tf.function(task.train_step, autograph=False).get_concrete_function((X, Y))
        loops = [node for node in step.graph.as_graph_def().node if "While" in node.op]
        assert [node.attr["parallel_iterations"].i for node in loops] == [1, 1]

    @pytest.mark.skipif(not JAX, reason="the compiler of JAX says what it needs")
    def test_compiled(self):
        import jax

        def needs(step, rows):
            layers = [keras.layers.Dense(512, "tanh") for _ in range(6)]
            task = mm.models.MultimodalClassifier({"image": image(*layers)}, classes=3)
            task.compile(keras.optimizers.SGD(), step=step)
            task.optimizer.build(task.trainable_variables)
            data = ({"image": np.zeros((rows, 4, 4, 3), "uint8")}, np.zeros(rows))
            task._symbolic_build(data_batch=data)
            states = task.trainable_variables, task.non_trainable_variables
            states = *states, task.optimizer.variables, task.metrics_variables
            states = tuple([variable.value for variable in variables] for variables in states)
            return jax.jit(task.train_step).lower(states, data).compile().memory_analysis().temp_size_in_bytes

        activations = 6 * 512 * 4
        saved = needs(None, 4096) - needs(cache(64), 4096)
        assert saved > 0.7 * 4096 * activations


class TestRefusals:
    def test_live_batch_statistics(self):
        def make():
            norm = keras.layers.BatchNormalization(name="live_norm")
            return mm.models.MultimodalClassifier({"image": image(norm)}, classes=3)

        with pytest.raises(ValueError, match=r"frozen_statistics=True.*normalization='group'.*live_norm/moving_mean"):
            train(make, X, Y, step=cache())

    def test_losses_on_activations(self):
        def make():
            hidden = keras.layers.Dense(6, activity_regularizer="l2", name="sparse")
            return mm.models.MultimodalClassifier({"image": image(hidden)}, classes=3)

        with pytest.raises(ValueError, match=r"`activity_regularizer`.*layer 'sparse'.*`compute_loss`"):
            train(make, X, Y, step=cache())

    @pytest.mark.tensorflow
    def test_draws_from_the_global_generator(self):
        """On JAX Keras itself refuses them."""

        class Noise(keras.layers.Layer):
            def call(self, x):
                return x + keras.random.normal(keras.ops.shape(x))

        with pytest.raises(ValueError, match=r"SeedGenerator that the layer holds"):
            train(lambda: mm.models.MultimodalClassifier({"image": image(Noise())}, classes=3), X, Y, step=cache())

    @pytest.mark.tensorflow
    def test_xla_on_tensorflow(self):
        task = classifier()
        task.compile(step=cache())
        task.jit_compile = True
        with pytest.raises(ValueError, match="jit_compile=False"):
            task.train_step((X, Y))

    @pytest.mark.parametrize("micro_batch", [0, -1, 2.0, True, "8", None])
    def test_micro_batch(self, micro_batch):
        with pytest.raises(ValueError, match=rf"an integer of at least 1. Received: micro_batch={micro_batch!r}"):
            cache(micro_batch)

    def test_other_backends(self, monkeypatch):
        task = classifier()
        task.compile(step=cache())
        monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
        with pytest.raises(ValueError, match=r"\['jax', 'tensorflow'\]. Received: 'torch'"):
            task.train_step((X, Y))


def test_a_task_is_saved_with_its_step(tmp_path):
    task, _, _ = train(classifier, X, Y, step=cache(np.int64(5)))
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    assert repr(loaded._step) == "GradientCache(micro_batch=5)"
    losses = [one.fit(X, Y, batch_size=ROWS, verbose=0).history["loss"] for one in (task, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


PROGRAM = """
from tests.unit import test_gradient_cache as cases
x = {key: value[:22] for key, value in cases.X.items()}
with scope():
    _, expected_logs, expected = cases.train(cases.pairs, x)
    _, logs, found = cases.train(cases.pairs, x, step=cases.cache(4))
assert abs(logs["loss"][0] - expected_logs["loss"][0]) < 1e-5, (logs, expected_logs)
print("difference", cases.difference(found, expected))
"""


@pytest.mark.slow
def test_two_devices():
    (found,) = (line.split()[1] for line in lines_of(PROGRAM) if line.startswith("difference"))
    assert float(found) <= 1e-5
