"""Autoencoders that share a code: the loss worked out by hand, what must not matter, and what they learn."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, gradients
from tests.conformance.cases import floats, pixels, sentences

PAIR = {"features_a": floats(4, 3, seed=1), "features_b": floats(4, 2, seed=2)}
PICTURES = {"image": pixels(8), "token_ids": sentences()}


def autoencoder(encoders, decoders=None, **options):
    return mm.models.AutoencoderEmbedding(encoders, decoders, **{"dim": 4, **options})


def vectors(**options):
    """Identities as encoders."""
    encoders = {key: mm.encoders.features((x.shape[1],), normalize=False) for key, x in PAIR.items()}
    return autoencoder(encoders, **options)


def picture_encoders():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    return {
        "image": mm.encoders.vgg(0, image_shape=(8, 8, 3)),
        "text": mm.encoders.finish(token_ids, keras.layers.Embedding(20, 6, mask_zero=True)(token_ids)),
    }


def linear(size, **options):
    code = keras.Input((4,), name="code")
    return keras.Model(code, keras.layers.Dense(size, **options)(code))


def loss_of(task, x, **given):
    return float(task.compute_loss(x=x, y_pred=task(x), **given))


def all_gradients(task, x):
    return gradients(lambda _: task.compute_loss(x=x, y_pred=task(x)), task.trainable_variables, [])


class TestLoss:
    @pytest.mark.parametrize("present", [[True] * 4, [True, False, True, False]])
    def test_of_linear_autoencoders(self, present):
        decoders = {
            "features_a": linear(3, bias_initializer="normal"),
            "features_b": linear(2, bias_initializer="normal", kernel_regularizer=keras.regularizers.L2(0.1)),
        }
        task = vectors(decoders=decoders, agreement_weight=0.3, cross_weight=0.7, optional=("features_b",))
        found = loss_of(task, {**PAIR, "features_b_present": np.array(present)})

        heads = [task.get_layer(f"{name}_head").get_weights() for name in PAIR]
        backs = [decoder.get_weights() for decoder in decoders.values()]
        a, b = PAIR.values()
        own, cross, agreement = {"a": [], "b": []}, {"a": [], "b": []}, []
        for row, both in enumerate(present):
            codes = [x[row] @ head[0] + head[1] for x, head in zip((a, b), heads, strict=True)]
            made = [[code @ back[0] + back[1] for code in codes] for back in backs]
            own["a"].append(np.mean((made[0][0] - a[row]) ** 2))
            if both:
                own["b"].append(np.mean((made[1][1] - b[row]) ** 2))
                cross["a"].append(np.mean((made[0][1] - a[row]) ** 2))
                cross["b"].append(np.mean((made[1][0] - b[row]) ** 2))
                agreement.append(np.sum((codes[0] - codes[1]) ** 2))
        expected = (np.mean(own["a"]) + np.mean(own["b"])) / 2
        expected += 0.7 * (np.mean(cross["a"]) + np.mean(cross["b"])) / 2
        expected += 0.3 * np.mean(agreement) + 0.1 * np.sum(backs[1][0] ** 2)
        assert found == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("distance", ["squared", "cosine"])
    @pytest.mark.parametrize("grouped", [False, True])
    def test_of_pictures_and_words(self, grouped, distance):
        """Each caption makes a pair with its picture; empty captions do not exist."""
        task = autoencoder(picture_encoders(), distance=distance, agreement_weight=0.3, cross_weight=0.7)
        captions = np.stack([sentences(seed=seed) for seed in range(3)], axis=1)
        captions[0, 2] = captions[2, 1] = captions[2, 2] = 0
        captions = captions if grouped else captions[:, 2:]
        x = {"image": pixels(8), "token_ids": captions if grouped else captions[:, 0]}
        found = loss_of(task, x)

        out = {name: array(values) for name, values in task(x).items()}
        scaled = x["image"] / 127.5 - 1

        def picture(made, row):
            if distance == "squared":
                return np.mean((made - scaled[row]) ** 2)
            return 1 - np.sum(made * scaled[row]) / np.linalg.norm(made) / np.linalg.norm(scaled[row])

        terms = {name: [] for name in [*out, "agreement"]}
        for row in range(len(captions)):
            terms["image_from_image"].append(picture(out["image_from_image"][row], row))
            for place, words in enumerate(captions[row]):
                words = words[words > 0]
                if len(words) == 0:
                    continue
                of_text = {name: values[row, place] if grouped else values[row] for name, values in out.items()}
                terms["text_from_text"].append(-np.mean(of_text["text_from_text"][words]))
                terms["text_from_image"].append(-np.mean(out["text_from_image"][row][words]))
                terms["image_from_text"].append(picture(of_text["image_from_text"], row))
                terms["agreement"].append(np.sum((of_text["text"] - out["image"][row]) ** 2))
        mean = {name: np.mean(values) for name, values in terms.items() if values}
        expected = (mean["image_from_image"] + mean["text_from_text"]) / 2
        expected += 0.7 * (mean["image_from_text"] + mean["text_from_image"]) / 2 + 0.3 * mean["agreement"]
        assert found == pytest.approx(expected, rel=1e-5)

    def test_samples_of_weight_zero_take_no_part(self):
        task = vectors()
        half = {key: x[:2] for key, x in PAIR.items()}
        weighted = loss_of(task, PAIR, sample_weight=np.array([1.0, 1.0, 0.0, 0.0]))
        assert weighted == pytest.approx(loss_of(task, half), rel=1e-6)
        assert weighted != pytest.approx(loss_of(task, PAIR), rel=1e-3)

    @pytest.mark.parametrize("distance", ["squared", "cosine"])
    def test_one_sample_and_equal_samples(self, distance):
        task = autoencoder(picture_encoders(), distance=distance)
        for x in (
            {key: values[:1] for key, values in PICTURES.items()},
            {"image": np.full((3, 8, 8, 3), 127.5, "float32"), "token_ids": np.full((3, 5), 7, "int32")},
            {"image": pixels(8), "token_ids": np.zeros((3, 5), "int32")},
        ):
            value, by_weights, _ = all_gradients(task, x)
            assert np.isfinite(value)
            assert all(np.isfinite(g).all() for g in by_weights)


class TestAbsence:
    def make(self):
        encoders = {**picture_encoders(), "features_a": mm.encoders.features((3,))}
        return autoencoder(encoders, pairs=[("text", "image"), ("features_a", "image")], optional=tuple(encoders))

    def test_filler_never_matters(self):
        task = self.make()
        flags = {"image": [True, False, True], "features_a": [True, True, False], "text": [True, True, False]}
        flags = {f"{name}_present": np.array(value) for name, value in flags.items()}
        x = {**PICTURES, "features_a": floats(3, 3), **flags}
        value, by_weights, _ = all_gradients(task, x)
        filled = {key: np.array(values) for key, values in x.items()}
        filled["image"][1] = filled["features_a"][2] = np.nan
        filled["token_ids"][2] = 11
        other, by_weights_filled, _ = all_gradients(task, filled)
        assert np.isfinite(value)
        assert value == other
        for ours, theirs in zip(by_weights, by_weights_filled, strict=True):
            np.testing.assert_allclose(theirs, ours, atol=1e-6)
        np.testing.assert_array_equal(array(task(filled)["image"])[1], np.zeros(4))

    @pytest.mark.parametrize("grouped", [False, True])
    def test_a_modality_left_out_of_a_batch(self, grouped):
        task = self.make()
        tokens = sentences()[:, None].repeat(2, axis=1) if grouped else sentences()
        x = {"image": pixels(8), "token_ids": tokens}
        filled = {**x, "features_a": np.full((3, 3), np.nan), "features_a_present": np.zeros(3, bool)}
        assert loss_of(task, x) == pytest.approx(loss_of(task, filled), rel=1e-6)
        _, by_weights, _ = all_gradients(task, x)
        assert all(g is not None and np.isfinite(g).all() for g in by_weights)

    def test_only_asked_pairs_are_decoded(self):
        task = self.make()
        names = {"text_from_image", "image_from_text", "features_a_from_image", "image_from_features_a"}
        names |= {"image_from_image", "text_from_text", "features_a_from_features_a"}
        assert set(task.output) == {"image", "text", "features_a"} | names
        assert task.output_modality("text_from_image") == task.output_modality("image") == "image"


def two_views(rows, seed):
    """Two linear views of one latent vector, and noise."""
    latent = np.random.default_rng(seed).normal(size=(rows, 4))
    views = {}
    for name, size in (("features_a", 12), ("features_b", 9)):
        mixing = np.random.default_rng(size).normal(size=(4, size)) / 2
        views[name] = (latent @ mixing + 0.05 * np.random.default_rng([seed, size]).normal(size=(rows, size))).astype(
            "float32"
        )
    return views


class TestLearning:
    @pytest.mark.parametrize(
        ("agreement_weight", "cross_weight", "least", "most"),
        [(1.0, 1.0, 0.6, 1.0), (1.0, 0.0, 0.6, 1.0), (0.0, 1.0, 0.6, 1.0), (0.0, 0.0, 0.0, 0.08)],
    )
    def test_search_across_modalities(self, agreement_weight, cross_weight, least, most):
        """On 100 rows it never saw, against a chance of 0.01; neither term, and there is nothing to find."""
        both = bool(agreement_weight and cross_weight)
        encoders = {key: mm.encoders.features((x.shape[1],), 32) for key, x in two_views(1, 0).items()}
        task = autoencoder(encoders, agreement_weight=agreement_weight, cross_weight=cross_weight)
        task.compile(keras.optimizers.Adam(1e-2), metrics="auto" if both else None)
        history = task.fit(two_views(640, 1), batch_size=64, epochs=20, verbose=0).history
        assert history["loss"][-1] < history["loss"][0] / 2
        unseen = two_views(100, 2)
        codes = task.predict(unseen, verbose=0)
        found = mm.retrieval.evaluate(codes["features_a"], codes["features_b"], ks=(1,))["r@1"]
        assert least <= found <= most
        if both:
            assert "recall_at_1_features_b_to_features_a" in history
            made = task.reconstruct(list(unseen["features_b"]), "features_a", given="features_b")
            assert np.mean((made - unseen["features_a"]) ** 2) < 0.2 * np.var(unseen["features_a"])


class TestReconstruct:
    def test_pictures_are_pixels(self):
        task = autoencoder(picture_encoders())
        out = task(PICTURES)
        records = [{"token_ids": words} for words in PICTURES["token_ids"]]
        made = task.reconstruct(records, "image", given="text", batch_size=2)
        np.testing.assert_allclose(made, 127.5 * (array(out["image_from_text"]) + 1), atol=1e-3)
        own = task.reconstruct(PICTURES["image"][0], "image")
        np.testing.assert_allclose(own, 127.5 * (array(out["image_from_image"])[0] + 1), atol=1e-3)

    def test_texts_are_probabilities_of_words(self):
        task = autoencoder(picture_encoders())
        made = task.reconstruct({"image": PICTURES["image"][0]}, "text", given="image")
        assert made.shape == (20,)
        assert made.sum() == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(np.log(made), array(task(PICTURES)["text_from_image"])[0], atol=1e-5)

    def test_pixels_stay_in_their_range(self):
        size = 8 * 8 * 3
        code = keras.Input((4,))
        wide = keras.layers.Dense(size, kernel_initializer=keras.initializers.RandomNormal(stddev=50.0))(code)
        decoder = keras.Model(code, keras.layers.Reshape((8, 8, 3))(wide))
        made = autoencoder(picture_encoders(), {"image": decoder}).reconstruct(PICTURES["image"][0], "image")
        assert (made.min(), made.max()) == (0.0, 255.0)

    def test_raw_records(self):
        records = mm.data.from_arrays(text=["a dog", "two cats"], features=[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        pre = mm.preprocessing.Preprocessor(
            text=mm.preprocessing.Text(length=5), features=mm.preprocessing.Features(length=None)
        ).adapt(records)
        encoders = {"text": mm.encoders.lstm(pre["text"].num_tokens, 4), "features": mm.encoders.features((3,))}
        task = autoencoder(encoders, preprocessor=pre)
        assert task.reconstruct("a dog", "features", given="text").shape == (3,)
        assert task.reconstruct({"features": [1.0, 2.0, 3.0]}, "text", given="features").shape == (8,)

    def test_what_is_not_made(self):
        with pytest.raises(ValueError, match=r"makes \(to, from\).*modality='sound', given='text'"):
            autoencoder(picture_encoders()).reconstruct(PICTURES["image"][0], "sound", given="text")


class TestTask:
    def test_saved_with_decoders_and_what_is_frozen(self, tmp_path):
        encoders = {
            "features_a": mm.encoders.features((3,)),
            "features_b": mm.encoders.features((3,)),
            "features_c": mm.encoders.features((2,)),
        }
        task = autoencoder(encoders, {"features_a": linear(3), "features_b": "features_a"}, optional=("features_b",))
        task.decoders["features_c"].trainable = False
        x = {"features_a": floats(3, 3), "features_b": floats(3, 3, seed=1), "features_c": floats(3, 2)}
        frozen = [array(w.value) for w in task.decoders["features_c"].weights]
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        for other in (loaded, type(task).from_config(task.get_config())):
            assert other.decoders["features_a"] is other.decoders["features_b"]
        assert [w.path for w in loaded.trainable_weights] == [w.path for w in task.trainable_weights]
        for ours, theirs in zip(task.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(array(theirs.value), array(ours.value))
        assert loss_of(loaded, x) == loss_of(task, x)
        loaded.compile(metrics=None)
        loaded.fit(x, verbose=0)
        for before, weight in zip(frozen, loaded.decoders["features_c"].weights, strict=True):
            np.testing.assert_array_equal(array(weight.value), before)

    def test_codes_and_reconstructions_are_float32(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            task = autoencoder(picture_encoders())
        finally:
            keras.config.set_dtype_policy("float32")
        assert {array(values).dtype.name for values in task(PICTURES).values()} == {"float32"}
        assert np.isfinite(loss_of(task, PICTURES))

    def test_groups_of_different_sizes(self):
        task = autoencoder({"text": mm.encoders.lstm(20, 4), "question": mm.encoders.lstm(20, 4)})
        x = {"token_ids": np.ones((2, 3, 5), "int32"), "question_token_ids": np.ones((2, 2, 5), "int32")}
        with pytest.raises(ValueError, match=r"groups of one size.*Received: groups \{.*'text': 3"):
            loss_of(task, x)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"agreement_weight": -1.0}, "`agreement_weight` must not be negative. Received: agreement_weight=-1.0"),
            ({"cross_weight": float("nan")}, "`cross_weight` must not be negative"),
            ({"distance": "euclid"}, "`distance` must be one of.*euclid"),
            ({"decoders": {"audio": None}}, r"among \['features_a', 'features_b'\]. Received: \['audio'\]"),
            ({"pairs": [("features_a", "image")]}, "`pairs` must name two"),
        ],
    )
    def test_wrong_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            vectors(**options)

    def test_a_modality_named_like_a_reconstruction(self):
        encoders = {name: mm.encoders.lstm(20, 4) for name in ("a", "b", "a_from_b")}
        with pytest.raises(ValueError, match=r"\['a_from_b'\] are reconstructions"):
            autoencoder(encoders)
