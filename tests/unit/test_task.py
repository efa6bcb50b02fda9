"""What a task must not lose or mix up: frozen weights, optimizer state, dtype, flags, keys, the user's own parts."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, mask_of
from tests.unit.test_classifier import IMAGE, WORDS, classifier, encoders

X = {"image": np.stack([IMAGE] * 4), "token_ids": np.stack([WORDS] * 4)}
Y = np.array([0, 1, 0, 1])


def saved(task, folder):
    task.save(folder / "task.keras")
    return keras.saving.load_model(folder / "task.keras")


def test_compiled_and_never_fitted_it_loads_as_it_was(tmp_path):
    task = classifier()
    task.compile(keras.optimizers.Adam(2e-3))
    loaded = saved(task, tmp_path)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(2e-3)
    loaded.fit(X, Y, verbose=0)


class TestFreezing:
    @pytest.mark.parametrize("part", ["encoder", "fusion", "head", "null"])
    def test_what_is_frozen_stays_frozen(self, part, tmp_path):
        task = mm.models.MultimodalClassifier(
            {"text": mm.encoders.bag_of_words(20, 8), "features": mm.encoders.features((8,))},
            mm.layers.GatedFusion(8),
            classes=2,
            optional=("text",),
        )
        parts = {
            "encoder": task.encoders["text"],
            "fusion": task.fusion,
            "head": task.get_layer("label"),
            "null": task.get_layer("text_or_null"),
        }
        parts[part].trainable = False
        task.compile()
        x = {"token_ids": X["token_ids"], "features": np.ones((4, 8), "float32")}
        task.fit(x, Y, verbose=0)
        loaded = saved(task, tmp_path)
        assert [w.path for w in loaded.trainable_weights] == [w.path for w in task.trainable_weights]
        assert int(loaded.optimizer.iterations) == 1
        for ours, theirs in zip(task.optimizer.variables, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(array(ours.value), array(theirs.value))
        frozen = [array(w.value) for w in loaded.non_trainable_weights]
        loaded.fit(x, Y, verbose=0)
        for before, weight in zip(frozen, loaded.non_trainable_weights, strict=True):
            np.testing.assert_array_equal(array(weight.value), before)

    @pytest.mark.parametrize(
        "layer",
        [
            mm.layers.GatedFusion(4),
            mm.layers.CoAttention(num_heads=2, dim=4),
            mm.layers.AttentionFusion(num_layers=1, num_heads=2, dim=4),
        ],
    )
    def test_a_layer_made_frozen_is_frozen(self, layer):
        frozen = type(layer).from_config({**layer.get_config(), "trainable": False})
        frozen([keras.ops.ones((2, 3, 8)), keras.ops.ones((2, 3, 6))])
        assert len(frozen.weights) > 0
        assert frozen.trainable_weights == []
        assert not any(weight.trainable for weight in frozen.weights)

    def test_live_statistics_of_an_optional_modality_are_refused(self):
        image = mm.encoders.vgg(1, 8, normalization="batch", image_shape=(16, 16, 3))
        with pytest.raises(ValueError, match=r"'image' may get absent inputs.*block1_1_norm.*normalization='group'"):
            mm.models.MultimodalClassifier({"image": image}, classes=2, optional=("image",))
        for layer in image.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        mm.models.MultimodalClassifier({"image": image}, classes=2, optional=("image",))


class TestDtype:
    def test_saved_in_mixed_precision_computes_in_it(self, tmp_path):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            task = classifier(optional=("text",))
        finally:
            keras.config.set_dtype_policy("float32")
        expected = array(task(X)["label"])
        loaded = saved(task, tmp_path)
        np.testing.assert_array_equal(array(loaded(X)["label"]), expected)
        assert {layer.name: layer.compute_dtype for layer in loaded.layers} == {
            layer.name: layer.compute_dtype for layer in task.layers
        }
        assert keras.config.dtype_policy().name == "float32"

    def test_one_dtype_for_all(self):
        with pytest.raises(ValueError, match=r"set_dtype_policy.*dtype='mixed_bfloat16'"):
            classifier(dtype="mixed_bfloat16")

    def test_a_tone_stays_a_tone_in_mixed_precision(self):
        """Rounding the waveform to bfloat16 would raise the silence between the tone's bins by several nats."""
        tone = 0.3 * np.sin(2 * np.pi * 440 / 8000 * np.arange(8000, dtype="float32"))[None].astype("float32")
        exact = array(mm.layers.LogMelSpectrogram(8000)(tone))
        layer = mm.layers.LogMelSpectrogram(8000, dtype="mixed_bfloat16")
        present = mm.layers.ZeroAbsent(dtype="mixed_bfloat16")
        mixed = array(layer(present([keras.ops.convert_to_tensor(tone), keras.ops.convert_to_tensor([True])])))
        assert np.abs(mixed - exact).max() < 0.1


class TestAbsence:
    def test_a_single_optional_modality_is_dropped(self):
        task = classifier(optional=("text",), modality_dropout_rate=0.5)
        x = {key: np.concatenate([values] * 50) for key, values in X.items()}
        outputs = array(task(x, training=True)["label"])[:, 0].round(5)
        values, counts = np.unique(outputs, return_counts=True)
        assert len(values) == 2
        assert 60 < counts[0] < 140

    def test_the_flag_of_a_record_counts(self):
        task = classifier(optional=("text",))
        record = {"image": IMAGE, "token_ids": WORDS}
        assert task.classify({**record, "text_present": False}) == task.classify({"image": IMAGE})
        assert task.classify({**record, "text_present": True}) == task.classify(record)

    def test_a_modality_left_out_of_a_batch_is_absent(self):
        task = classifier(optional=("text",))
        absent = array(task({**X, "text_present": np.zeros(4, bool)})["label"])
        for image in (X["image"], keras.ops.convert_to_tensor(X["image"])):
            np.testing.assert_allclose(array(task({"image": image})["label"]), absent, atol=1e-6)
        np.testing.assert_allclose(task.predict({"image": X["image"]}, verbose=0)["label"], absent, atol=1e-6)

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            ({"text": "a red dog"}, r"Record 0 has 'text'.*\['token_ids'\].*`preprocessor=`"),
            ({"sound_present": True}, r"presence flags \['sound_present'\]"),
            ({"token_ids": "a red dog"}, "raw records need a task with `preprocessor=`.*'a red dog'"),
            ({"token_ids": WORDS[None]}, "without a batch axis"),
        ],
    )
    def test_wrong_keys_are_not_taken_for_absence(self, extra, message):
        with pytest.raises(ValueError, match=message):
            classifier(optional=("text",)).classify({"image": IMAGE, **extra})


class TestUse:
    def test_a_task_inside_a_model(self):
        """Inputs are not in alphabetical order, which is the order Keras gives a dict."""
        task = mm.models.MultimodalClassifier(
            {"text": encoders()["text"], "image": encoders()["image"]}, classes=2, optional=("text",)
        )
        inputs = {
            "token_ids": keras.Input((4,), dtype="int32", name="a"),
            "image": keras.Input((16, 16, 3), name="b"),
            "text_present": keras.Input((), dtype="bool", name="c"),
        }
        outer = keras.Model(list(inputs.values()), task(inputs)["label"])
        flags = np.array([True, False, True, False])
        expected = task({**X, "text_present": flags})["label"]
        np.testing.assert_allclose(array(outer([X["token_ids"], X["image"], flags])), array(expected), atol=1e-6)

    def test_own_loss_takes_fitting_metrics(self):
        task = classifier()
        task.compile(loss="categorical_crossentropy")
        found = task.evaluate(X, np.eye(2)[Y], verbose=0, return_dict=True)
        predicted = array(task(X)["label"]).argmax(axis=1)
        assert found["accuracy"] == pytest.approx((predicted == Y).mean())

    def test_metrics_heed_sample_weights(self):
        task = classifier()
        task.compile()
        right = (array(task(X)["label"]).argmax(axis=1) == Y).astype("float32")
        found = task.evaluate(X, Y, sample_weight=right, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(1.0)

    def test_a_task_without_targets(self):
        class Quiet(mm.models.MultimodalClassifier):
            def targets(self, x, y):
                return None, None

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                return keras.ops.mean(y_pred["label"][:, 0])

        task = Quiet(encoders(), classes=2)
        task.compile()
        assert np.isfinite(task.fit(X, verbose=0).history["loss"]).all()

    def test_many_records_are_predicted_in_batches(self, monkeypatch):
        task = classifier()
        sizes = []
        prepare = task.prepare
        monkeypatch.setattr(task, "prepare", lambda records: sizes.append(len(records)) or prepare(records))
        answers = task.classify([{"image": IMAGE * share, "token_ids": WORDS} for share in np.linspace(0, 1, 70)])
        assert sizes == [32, 32, 6]
        alone = task.classify({"image": IMAGE, "token_ids": WORDS})["probabilities"]
        np.testing.assert_allclose(list(answers[-1]["probabilities"].values()), list(alone.values()), atol=1e-5)

    def test_numpy_number_of_classes(self, tmp_path):
        assert saved(classifier(classes=np.int64(3)), tmp_path).classes == 3

    def test_one_config_makes_many_tasks(self):
        task = classifier()
        config = task.get_config()
        first, second = type(task).from_config(config), type(task).from_config(config)
        assert len(first.weights) == len(second.weights) == len(task.weights)

    @pytest.mark.parametrize("base", [mm.layers.Fusion, mm.layers.VectorFusion, mm.layers.TokenFusion])
    @pytest.mark.parametrize("optional", [(), ("image",)])
    def test_a_fusion_of_ones_own_sees_masks_and_flags(self, base, optional):
        seen = {}

        class Mine(base):
            def build(self, encodings_shape):
                self.build_encodings(encodings_shape)

            def fuse(self, encodings, presence, masks, training):
                if not isinstance(encodings[0], keras.KerasTensor):
                    seen.update(masks=masks, presence=presence)
                return keras.ops.concatenate([x[:, 0] for x in encodings], axis=-1), None

            def compute_mask(self, encodings, previous_mask=None):
                return None

        task = mm.models.MultimodalClassifier(encoders(), Mine(), classes=2, optional=optional)
        task(X)
        np.testing.assert_array_equal(array(seen["masks"][1]), mask_of(task.encoders["text"](X["token_ids"])))
        assert (seen["presence"][0] is not None) == bool(optional)

    @pytest.mark.parametrize("fusion", ["gated", mm.layers.GatedFusion])
    def test_what_is_not_a_fusion_is_refused(self, fusion):
        with pytest.raises(ValueError, match=r"mm.layers.GatedFusion\(\)"):
            mm.models.MultimodalClassifier(encoders(), fusion, classes=2)

    @pytest.mark.parametrize("name", ["left image", "text_present"])
    def test_modality_names(self, name):
        with pytest.raises(ValueError, match=f"Received: '{name}'"):
            mm.models.MultimodalClassifier({name: encoders()["text"]}, classes=2)

    def test_optional_as_one_string(self):
        with pytest.raises(ValueError, match="Received: optional='text'"):
            classifier(optional="text")
