"""Which weights learn: stages, freezing, learning rates of their own, thin matrices beside large ones."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras import training as T
from tests.conformance.backend import array
from tests.conformance.cases import floats, pixels, sentences

E = mm.encoders


@pytest.mark.parametrize(
    ("make", "first"),
    [
        (lambda: E.vgg(3, 4), ["block1_1_convolution", "block2_1_convolution", "block3_1_convolution"]),
        (lambda: E.lstm(20, 4, num_layers=2), ["embedding", "recurrent_1", "recurrent_2"]),
        (lambda: E.conv1d_audio(4, (8, 2)), ["conv_0", "conv_1"]),
        (
            lambda: E.transformer_text(20, 8, num_layers=2, num_heads=2),
            ["embedding", "positions", "block_1", "block_2"],
        ),
    ],
    ids=["resolutions", "recurrent", "sound", "transformer"],
)
def test_stages_follow_the_network(make, first):
    encoder = make()
    found = T.stages(encoder)
    assert [layers[0].name for layers in found] == first
    weights = [id(weight) for layers in found for layer in layers for weight in layer.weights]
    assert sorted(weights) == sorted(id(weight) for weight in encoder.weights)


def test_stages_look_into_backbones():
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[7], stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block",
        image_shape=(32, 32, 3),
    )  # fmt: skip
    found = T.stages(E.from_backbone(backbone))
    assert len(found) >= 3
    assert sum(len(layer.weights) for layers in found for layer in layers) == len(backbone.weights)


def task_of(encoder, **options):
    return mm.models.MultimodalClassifier({"image": encoder}, classes=3, **options)


def changed(task, steps=2):
    """Names of the weights that training moves."""
    before = [array(weight.value) for weight in task.weights]
    task.fit({"image": pixels()}, np.array([0, 1, 2]), epochs=steps, verbose=0)
    return {w.path for w, old in zip(task.weights, before, strict=True) if np.abs(array(w.value) - old).max() > 0}


def test_frozen_stages_stay_and_others_learn_also_when_loaded(tmp_path):
    encoder = E.vgg(2, 4, convolutions=1, image_shape=(16, 16, 3))
    task = task_of(encoder)
    assert T.freeze(encoder, 1) == [layer.name for layer in T.stages(encoder)[0]]
    task.compile()
    moved = changed(task)
    assert moved
    assert not any("block1" in path for path in moved)
    assert any("block2" in path for path in moved)
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    assert not any("block1" in path for path in changed(loaded))
    T.unfreeze(encoder)
    task.compile()
    assert any("block1" in path for path in changed(task))


def test_only_the_last_stages_are_unfrozen():
    encoder = E.vgg(3, 4, convolutions=1, image_shape=(16, 16, 3))
    T.freeze(encoder)
    T.unfreeze(encoder, 2)
    learning = {weight.path.split("/")[0][:6] for weight in encoder.trainable_weights}
    assert learning == {"block2", "block3"}


def test_batch_statistics_stay_unless_asked_for():
    encoder = E.resnet((1,), 4, normalization="batch", image_shape=(16, 16, 3))
    T.freeze(encoder)
    T.unfreeze(encoder)
    norms = [layer for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable for layer in norms)
    T.unfreeze(encoder, batch_statistics=True)
    assert all(layer.trainable for layer in norms)


@pytest.mark.parametrize("function", [T.freeze, T.unfreeze])
def test_more_stages_than_there_are(function):
    with pytest.raises(ValueError, match=r"`num_stages` must be a number of stages in 0..2.*Received: num_stages=3"):
        function(E.vgg(2, 4), 3)


class TestLearningRates:
    def run(self, step, optimizer):
        keras.utils.set_random_seed(0)
        task = task_of(E.vgg(2, 4, convolutions=1, normalization=None, image_shape=(16, 16, 3)))
        task.compile(optimizer, step=step)
        before = [array(weight.value) for weight in task.weights]
        task.train_on_batch({"image": pixels()}, np.array([0, 1, 2]))
        return {w.path: array(w.value) - old for w, old in zip(task.weights, before, strict=True)}

    @pytest.mark.parametrize("make", [keras.optimizers.SGD, keras.optimizers.AdamW], ids=["sgd", "adamw"])
    def test_each_weight_goes_its_part_of_the_way(self, make):
        whole = self.run(None, make(0.01))
        part = self.run(T.LearningRates({"image": 0.5}, decay=0.1), make(0.01))
        for path, moved in whole.items():
            factor = 0.5 * 0.1 if "block1" in path else 0.5 if "block2" in path else 1.0
            np.testing.assert_allclose(part[path], factor * moved, atol=1e-6)
            assert np.abs(moved).max() > 1e-5

    def test_one_encoder_under_two_keys_learns_whole(self):
        encoder = E.features((3,), 4)
        task = mm.models.MultimodalClassifier({"features_a": encoder, "features_b": encoder}, classes=2)
        assert T.LearningRates({"features_a": 0.1}).factors(task) == [None] * len(task.trainable_variables)

    def test_survives_saving(self, tmp_path):
        task = task_of(E.vgg(1, 4, image_shape=(16, 16, 3)))
        task.compile(step=[T.LearningRates({"image": 0.0})])
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        assert changed(loaded) == {weight.path for weight in loaded.weights if "label" in weight.path}

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: T.LearningRates({"image": -1.0}), r"Rates are numbers from 0 on. Received: {'image': -1.0}"),
            (lambda: T.LearningRates({"text": 1.0}).factors(task_of(E.vgg(1, 4))), r"modalities \['image'\].*'text'"),
        ],
    )
    def test_bad_arguments(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_averaged_weights_are_refused(self):
        task = task_of(E.vgg(1, 4, image_shape=(16, 16, 3)))
        task.compile(keras.optimizers.Adam(use_ema=True), step=T.LearningRates({"image": 0.5}))
        with pytest.raises(ValueError, match=r"without `use_ema`"):
            task.train_on_batch({"image": pixels()}, np.array([0, 1, 2]))


class TestLora:
    def task(self):
        return mm.models.MultimodalClassifier(
            {"text": E.transformer_text(20, 8, num_layers=1, num_heads=2, pooling="avg")}, classes=2
        )

    def test_starts_as_it_was_and_trains_thin_matrices_only(self, tmp_path):
        task, x = self.task(), {"token_ids": sentences()}
        before = array(task(x)["label"])
        count = sum(np.prod(weight.shape) for weight in task.trainable_weights)
        paths = T.add_lora(task.encoders["text"], 2)
        assert any("embedding" in path for path in paths)
        np.testing.assert_allclose(array(task(x)["label"]), before, atol=1e-6)
        assert sum(np.prod(weight.shape) for weight in task.trainable_weights) < 0.8 * count
        task.compile(keras.optimizers.Adam(0.05))
        kernels = {w.path: array(w.value) for w in task.encoders["text"].weights if "lora" not in w.path}
        task.fit(x, np.array([0, 1, 1]), epochs=3, verbose=0)
        for weight in task.encoders["text"].weights:
            if weight.path in kernels:
                np.testing.assert_array_equal(array(weight.value), kernels[weight.path])
        after = array(task(x)["label"])
        assert np.abs(after - before).max() > 1e-3
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        np.testing.assert_allclose(array(loaded(x)["label"]), after, atol=1e-5)
        assert len(loaded.trainable_weights) == len(task.trainable_weights)
        loaded.fit(x, np.array([0, 1, 1]), epochs=2, verbose=0)
        assert np.abs(array(loaded(x)["label"]) - after).max() > 1e-4
        assert all(np.abs(array(w.value)).max() > 0 for w in loaded.trainable_weights if "lora" in w.path)

    def test_twice_or_where_there_is_nothing(self):
        encoder = self.task().encoders["text"]
        T.add_lora(encoder)
        with pytest.raises(ValueError, match="LoRA is there already"):
            T.add_lora(encoder)
        with pytest.raises(ValueError, match="this model has none: `unfreeze` its last stage"):
            T.add_lora(E.conv1d_audio(4, (8, 2)))


def test_rare_classes_count_as_much_as_frequent_ones():
    weights = T.class_weights(np.array([0, 0, 0, 1]))
    assert weights == {0: pytest.approx(2 / 3), 1: pytest.approx(2.0)}
    assert T.class_weights([0, 0, 0, 1], power=0.0) == {0: 1.0, 1: 1.0}
    # With one class weighed 0 only the other one's rows count, of as many as there are: twice the rate makes up for it.
    task = mm.models.MultimodalClassifier({"features": E.features((4,))}, classes=2)
    task.compile(keras.optimizers.SGD(0.2))
    start = task.get_weights()
    x, y = {"features": floats(6, 4)}, np.array([0, 1, 0, 0, 1, 1])
    task.fit(x, y, class_weight={0: 1.0, 1: 0.0}, batch_size=6, verbose=0)
    weighed = [array(weight.value) for weight in task.weights]
    task.set_weights(start)
    task.compile(keras.optimizers.SGD(0.1))
    task.fit({"features": x["features"][y == 0]}, y[y == 0], batch_size=6, verbose=0)
    for expected, weight in zip(weighed, task.weights, strict=True):
        np.testing.assert_allclose(array(weight.value), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "count", "message"),
    [
        ([0.5, 1.0], None, r"`labels` must be class numbers"),
        ([0, 2], None, r"classes \[1\] of 3"),
        ([0, 1, 2], 2, r"Labels must lie in 0..1"),
        ([], None, r"at least one"),
    ],
)
def test_bad_labels_to_weigh(labels, count, message):
    with pytest.raises(ValueError, match=message):
        T.class_weights(labels, count)


@pytest.mark.parametrize("function", [mm.training.freeze, mm.training.unfreeze, mm.training.add_lora])
def test_a_layer_is_no_model(function):
    with pytest.raises(ValueError, match=r"frozen as a whole by layer\.trainable = False"):
        function(mm.layers.LSTMDecoder(9, 4))
