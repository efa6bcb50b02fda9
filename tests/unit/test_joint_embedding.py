"""One space for several modalities: what belongs together, what is missing, what is asked of the task afterwards."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, gradients

RNG = np.random.default_rng(0)
# Pictures of a colour each, with some noise.
PIXELS = np.clip(RNG.uniform(0, 255, (6, 1, 1, 3)) + RNG.normal(0, 20, (6, 16, 16, 3)), 0, 255).astype("float32")
WORDS = RNG.integers(1, 20, (6, 3, 5)).astype("int32")
SOUND = RNG.normal(size=(6, 240)).astype("float32")
X = {"image": PIXELS, "token_ids": WORDS[:, 0]}


def image(**options):
    return mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 16, 3), **options)


def text():
    return mm.encoders.lstm(20, 8, embedding_dim=4)


def joint(*arguments, **options):
    task = mm.models.JointEmbedding({"image": image(), "text": text()}, *arguments, **{"dim": 4, **options})
    task.compile()
    return task


def trio(**options):
    encoders = {"image": image(), "text": text(), "audio": mm.encoders.conv1d_audio(4, (8, 2), first_kernel_size=16)}
    task = mm.models.JointEmbedding(encoders, dim=4, **options)
    task.compile()
    return task


def loss_of(task, x, y=None, **options):
    return float(task.compute_loss(x=x, y=y, y_pred=task(x), **options))


class TestObjective:
    def test_rows_belong_to_rows(self):
        objective = mm.losses.InfoNCE(0.3)
        task = joint(objective)
        outputs = task(X)
        assert loss_of(task, X) == pytest.approx(float(objective(outputs["image"], outputs["text"])), rel=1e-5)

    def test_embeddings_have_length_one_unless_the_objective_says_otherwise(self):
        lengths = np.linalg.norm(array(joint()(X)["text"]), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)
        lengths = np.linalg.norm(array(joint(mm.losses.Triplet(normalize=False))(X)["text"]), axis=1)
        assert np.abs(lengths - 1).min() > 1e-3

    def test_targets_name_what_else_belongs_together(self):
        objective = mm.losses.InfoNCE(0.3)
        task, classes = joint(objective), np.array([0, 1, 0, 2, 1, 0], "int32")
        outputs = task(X)
        expected = float(objective(outputs["image"], outputs["text"], classes, classes))
        assert loss_of(task, X, classes) == pytest.approx(expected, rel=1e-5)
        assert loss_of(task, X, classes) != pytest.approx(loss_of(task, X), rel=1e-3)

    def test_several_pairs_are_averaged(self):
        objective = mm.losses.Triplet(0.5)
        x = {**X, "audio": SOUND}
        task = trio(objective=objective, pairs=[("image", "text"), ("audio", "image")])
        outputs = task(x)
        terms = [float(objective(outputs[a], outputs[b])) for a, b in (("image", "text"), ("audio", "image"))]
        assert loss_of(task, x) == pytest.approx(np.mean(terms), rel=1e-5)

    def test_weights_of_samples_take_them_out(self):
        task = joint()
        rest = {name: values[:4] for name, values in X.items()}
        weighted = loss_of(task, X, sample_weight=np.array([1, 1, 1, 1, 0, 0], "float32"))
        assert weighted == pytest.approx(loss_of(task, rest), rel=1e-5)

    def test_alignment_trains_its_discriminator(self):
        task = joint(alignment=mm.losses.Adversarial(4))
        before = [array(w.value) for w in task.alignment.weights]
        task.fit(X, verbose=0)
        assert len(before) == 4
        assert all(
            np.abs(array(w.value) - old).max() > 0 for w, old in zip(task.alignment.weights, before, strict=True)
        )

    def test_the_temperature_is_learned_and_saved(self, tmp_path):
        task = joint(mm.losses.InfoNCE(0.3))
        task.fit(X, epochs=3, verbose=0)
        assert float(task.objective.scale) != pytest.approx(1 / 0.3, rel=1e-5)
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        assert float(loaded.objective.scale) == float(task.objective.scale)

    def test_it_learns_to_find_what_it_never_saw(self):
        world = mm.data.toy.ToyWorld(600)
        parts = {part: world.arrays(part, inputs=("image", "token_ids"))[0] for part in ("train", "test")}
        parts = {part: {**x, "image": x["image"][:, ::2, ::2]} for part, x in parts.items()}
        encoders = {
            "image": mm.encoders.vgg(2, 16, convolutions=1, image_shape=(32, 32, 3), pooling="max"),
            "text": mm.encoders.gru(len(world.vocabulary), 32, pooling="max"),
        }
        task = mm.models.JointEmbedding(encoders, dim=32)
        task.compile(keras.optimizers.Adam(3e-3))
        task.fit(parts["train"], epochs=8, batch_size=32, verbose=0)
        found = task.predict(parts["test"], verbose=0)
        scores = mm.retrieval.evaluate(found["text"], found["image"])
        assert scores["r@10"] > 0.6  # By chance 0.07.


class TestGroupedForm:
    def test_a_picture_with_several_captions(self):
        objective = mm.losses.InfoNCE(0.3)
        task = joint(objective)
        x = {"image": PIXELS, "token_ids": WORDS}
        outputs = task(x)
        assert tuple(outputs["image"].shape) == (6, 4)
        assert tuple(outputs["text"].shape) == (6, 3, 4)
        one_by_one = task({"image": np.repeat(PIXELS, 3, axis=0), "token_ids": WORDS.reshape(18, 5)})["text"]
        np.testing.assert_allclose(array(outputs["text"]).reshape(18, 4), array(one_by_one), atol=1e-5)
        groups = np.arange(6, dtype="int32")
        expected = objective(outputs["image"], one_by_one, groups, np.repeat(groups, 3))
        assert loss_of(task, x) == pytest.approx(float(expected), rel=1e-5)

    def test_empty_places_take_no_part(self):
        objective = mm.losses.InfoNCE(0.3)
        task = joint(objective)
        words = WORDS.copy()
        words[1, 2:] = words[4, 1:] = 0
        x = {"image": PIXELS, "token_ids": words}
        outputs = task(x)
        there = (words != 0).any(axis=-1).ravel()
        rows = array(outputs["text"]).reshape(18, 4)[there]
        groups = np.arange(6, dtype="int32")
        expected = objective(array(outputs["image"]), rows, groups, np.repeat(groups, 3)[there])
        assert loss_of(task, x) == pytest.approx(float(expected), rel=1e-5)

    def test_fit_and_predict(self):
        task = joint()
        x = {"image": PIXELS, "token_ids": WORDS}
        history = task.fit(x, batch_size=4, epochs=2, verbose=0, validation_data=(x, None)).history
        assert {"loss", "val_loss", "recall_at_1_image_to_text", "val_recall_at_1_text_to_image"} <= set(history)
        assert task.predict(x, batch_size=4, verbose=0)["text"].shape == (6, 3, 4)

    @pytest.mark.tensorflow
    @pytest.mark.slow
    def test_captions_of_any_length(self):
        import tensorflow as tf

        task = joint(matcher=mm.layers.CoAttention(num_heads=2))
        lengths = {"image": tf.TensorSpec((None, 16, 16, 3)), "token_ids": tf.TensorSpec((None, 3, None), "int32")}
        batches = [{"image": PIXELS, "token_ids": WORDS[:, :, :length]} for length in (3, 5)]
        data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=lengths)
        assert np.isfinite(task.fit(data, verbose=0).history["loss"]).all()
        unknown = data.map(
            lambda x: {**x, "token_ids": tf.ensure_shape(x["token_ids"][:, : len(x)], (None, None, None))}
        )
        with pytest.raises(ValueError, match="`group_size=` of the dataset"):
            task.fit(unknown, verbose=0)

    def test_presence_goes_with_the_sample(self):
        objective = mm.losses.InfoNCE(0.3)
        task = joint(objective, optional=("text",))
        words, flags = WORDS.copy(), np.array([1, 1, 0, 1, 1, 1], "bool")
        x = {"image": PIXELS, "token_ids": words, "text_present": flags}
        outputs = task(x)
        assert (array(outputs["text"])[2] == 0).all()
        groups = np.arange(6, dtype="int32")
        expected = objective(
            outputs["image"], array(outputs["text"]).reshape(18, 4), groups, np.repeat(groups, 3), None,
            np.repeat(flags, 3),
        )  # fmt: skip
        assert loss_of(task, x) == pytest.approx(float(expected), rel=1e-5)

    def test_a_task_that_takes_no_groups_says_so(self):
        task = mm.models.MultimodalClassifier({"image": image(), "text": text()}, classes=2)
        with pytest.raises(ValueError, match=r"one value of each modality per sample.*'text'"):
            task({"image": PIXELS, "token_ids": WORDS})


class TestMissing:
    @pytest.mark.parametrize("filler", [0.0, 7.0, np.nan])
    def test_a_sample_is_used_for_what_it_has(self, filler):
        task = trio(optional=("audio",))
        sound, flags = SOUND.copy(), np.array([1, 0, 1, 1, 0, 1], "bool")
        sound[~flags] = filler
        x = {**X, "audio": sound, "audio_present": flags}
        outputs = {name: array(values) for name, values in task(x).items()}
        assert (outputs["audio"][~flags] == 0).all()
        heard = outputs["audio"][flags]
        # What belongs to a missing sound is still one of the others that a sound is told apart from.
        terms = [task.objective(outputs["image"], outputs["text"])] + [
            task.objective(outputs[other], heard, np.arange(6), np.arange(6)[flags]) for other in ("image", "text")
        ]
        assert loss_of(task, x) == pytest.approx(np.mean([float(term) for term in terms]), rel=1e-5)
        _, by_weights, _ = gradients(lambda _: task.compute_loss(x=x, y_pred=task(x)), task.trainable_variables, [])
        assert all(np.isfinite(gradient).all() for gradient in by_weights)

    @pytest.mark.slow
    def test_a_modality_left_out_altogether(self):
        task = trio(optional=("audio",))
        outputs = task(X)
        expected = float(task.objective(outputs["image"], outputs["text"])) / 3
        assert loss_of(task, X) == pytest.approx(expected, rel=1e-5)
        history = task.fit(X, verbose=0).history
        assert history["recall_at_1_image_to_audio"] == [0]

    def test_an_empty_sentence_is_absent(self):
        task = joint()
        words = X["token_ids"].copy()
        words[3] = 0
        rest = np.flatnonzero(np.arange(6) != 3)
        x = {"image": PIXELS, "token_ids": words}
        expected = task.objective(task(x)["image"], array(task(x)["text"])[rest], np.arange(6), rest)
        assert loss_of(task, x) == pytest.approx(float(expected), rel=1e-5)

    @pytest.mark.parametrize(
        "rows",
        [pytest.param([0], id="one"), pytest.param([0, 0, 0, 0], id="equal", marks=pytest.mark.slow)],
    )
    @pytest.mark.parametrize(
        "objective",
        [mm.losses.InfoNCE, mm.losses.SigmoidContrastive, mm.losses.Triplet, mm.losses.MarginContrastive],
        ids=lambda objective: objective.__name__,
    )
    def test_batches_that_teach_nothing_are_harmless(self, rows, objective):
        more = {"alignment": mm.losses.Adversarial(4), "matcher": mm.layers.CoAttention(num_heads=2)}
        task = joint(objective(), **(more if objective is mm.losses.InfoNCE else {}))
        x = {name: values[rows] for name, values in X.items()}
        history = task.fit(x, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert all(np.isfinite(array(w.value)).all() for w in task.weights)


class TestAsking:
    def test_embed_takes_records_of_one_modality(self):
        task = joint()
        expected = array(task(X)["text"])
        records = [{"token_ids": words} for words in X["token_ids"]]
        np.testing.assert_allclose(task.embed("text", records, batch_size=4), expected, atol=1e-5)
        np.testing.assert_allclose(task.embed("text", records[1]), expected[1], atol=1e-5)

    def test_embed_reads_files_and_sentences(self, tmp_path):
        pytest.importorskip("PIL").Image.fromarray(PIXELS[0].astype("uint8")).save(tmp_path / "a.png")
        records = mm.data.from_arrays(image=[str(tmp_path / "a.png")] * 2, text=["a dog", ["two dogs", "dogs"]])
        pre = mm.preprocessing.Preprocessor(
            image=mm.preprocessing.Image((16, 16)), text=mm.preprocessing.Text(length=5)
        ).adapt(records)
        task = mm.models.JointEmbedding({"image": image(), "text": text()}, dim=4, preprocessor=pre)
        photo = task.embed("image", str(tmp_path / "a.png"))
        assert photo.shape == (4,)
        np.testing.assert_allclose(task.embed("image", records)[1], photo, atol=1e-6)
        np.testing.assert_allclose(task.embed("text", ["two dogs"])[0], task.embed("text", records)[1], atol=1e-6)
        scores = task.score({"image": str(tmp_path / "a.png")}, [{"text": "a dog"}, {"text": "two dogs"}])
        np.testing.assert_allclose(scores, task.embed("text", records) @ photo, atol=1e-5)
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        np.testing.assert_allclose(loaded.embed("text", "a dog"), task.embed("text", "a dog"), atol=1e-6)

    def test_a_record_is_named_by_its_place_in_the_whole_list(self):
        records = [{"token_ids": words} for words in X["token_ids"]]
        records[5] = {"image": PIXELS[0]}
        with pytest.raises(ValueError, match="Record 5 has no 'token_ids'"):
            joint().embed("text", records, batch_size=4)

    def test_embeddings_follow_training(self):
        task = joint()
        record = {"token_ids": X["token_ids"][0]}
        before = task.embed("text", record)
        task.fit(X, verbose=0)
        assert np.abs(task.embed("text", record) - before).max() > 1e-5
        np.testing.assert_allclose(task.embed("text", record), array(task(X)["text"])[0], atol=1e-5)

    def test_scores_of_each_with_each(self):
        task = joint()
        pictures = [{"image": pixels} for pixels in PIXELS]
        texts = [{"token_ids": words} for words in X["token_ids"][:4]]
        outputs = {name: array(values) for name, values in task(X).items()}
        expected = outputs["image"] @ outputs["text"][:4].T
        asked = {"modalities": ("image", "text")}
        np.testing.assert_allclose(task.score(pictures, texts, **asked), expected, atol=1e-5)
        np.testing.assert_allclose(task.score(pictures[2], texts, **asked), expected[2], atol=1e-5)
        np.testing.assert_allclose(task.score(pictures, texts[1], **asked), expected[:, 1], atol=1e-5)
        assert task.score(pictures[2], texts[1], **asked) == pytest.approx(expected[2, 1], abs=1e-5)

    def test_dot_products_where_lengths_count(self):
        task = joint(mm.losses.Triplet(normalize=False))
        outputs = {name: array(values) for name, values in task(X).items()}
        score = task.score({"image": PIXELS[0]}, {"token_ids": X["token_ids"][1]}, modalities=("image", "text"))
        assert score == pytest.approx(outputs["image"][0] @ outputs["text"][1], abs=1e-5)

    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda task: task.embed("sound", [{}]), r"embeds the modalities \['image', 'text'\].*'sound'"),
            (lambda task: task.embed("text", []), "At least one record"),
            (lambda task: task.embed("text", {"image": PIXELS[0]}), "has no 'token_ids'"),
            (lambda task: task.score({"image": 1, "text": 2}, {"text": 1}), r"modalities=\('image', 'text'\)"),
            (lambda task: task.match({"image": PIXELS[0]}, {"text": 1}), "built and trained with one"),
            (lambda task: task.compile(loss="mse"), "computes its own loss"),
            (lambda task: task.compile(metrics=["accuracy"]), "metrics that compare embeddings"),
            (lambda task: task.fit(X, np.zeros((6, 2), "float32"), verbose=0), "one integer per sample"),
        ],
    )
    def test_what_cannot_be_answered(self, ask, message):
        with pytest.raises(ValueError, match=message):
            ask(joint())


class TestMatcher:
    def trained(self):
        keras.utils.set_random_seed(1)
        task = joint(matcher=mm.layers.CoAttention(num_heads=2), optional=("text",))
        task.compile(keras.optimizers.Adam(1e-2))
        task.fit(X, epochs=120, verbose=0)
        return task

    @pytest.mark.slow
    def test_it_learns_which_belong_together(self):
        task = self.trained()
        pictures = [{"image": pixels} for pixels in PIXELS]
        texts = [{"token_ids": words} for words in X["token_ids"]]
        found = task.match(pictures, texts, modalities=("image", "text"), batch_size=8)
        assert np.diag(found).min() > 0.5 > np.median(found)
        turned = task.match(texts, pictures, modalities=("text", "image"))
        np.testing.assert_allclose(turned, found.T, atol=1e-5)
        again = task.rerank(pictures, texts, 3, modalities=("image", "text"))
        assert (np.isfinite(again).sum(axis=1) == 3).all()
        np.testing.assert_allclose(again[np.isfinite(again)], found[np.isfinite(again)], atol=1e-5)
        nearest = task.score(pictures, texts, modalities=("image", "text"))
        assert (np.where(np.isfinite(again), nearest, 2).min(axis=1) >= np.sort(nearest, axis=1)[:, 3]).all()

    @pytest.mark.slow
    def test_grouped_captions_teach_it_too(self):
        task = joint(matcher=mm.layers.CoAttention(num_heads=2))
        x = {"image": PIXELS, "token_ids": WORDS}
        before = [array(w.value) for w in task.get_layer("text_encoder").trainable_weights]
        assert np.isfinite(task.fit(x, epochs=2, verbose=0).history["loss"]).all()
        assert task.predict(x, verbose=0)["text_tokens"].shape == (6, 3, 5, 8)
        after = [array(w.value) for w in task.get_layer("text_encoder").trainable_weights]
        assert all(np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True))

    def test_evaluation_draws_nothing(self):
        task = joint(matcher=mm.layers.CoAttention(num_heads=2))
        assert task.evaluate(X, verbose=0)[0] == task.evaluate(X, verbose=0)[0]


class TestCompiling:
    @pytest.mark.slow
    def test_metrics_of_the_last_compilation(self, tmp_path):
        task = joint()
        task.compile(metrics=[mm.metrics.RecallAtK(2), mm.metrics.RecallAtK(3, buffer_size=8, dim=4, name="pool")])
        names = {f"{name}_{way}" for name in ("recall_at_2", "pool") for way in ("image_to_text", "text_to_image")}
        assert set(task.fit(X, verbose=0).history) == {"loss"} | names
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        assert set(loaded.fit(X, verbose=0).history) == {"loss"} | names
        task.compile(metrics=None)
        assert set(task.fit(X, verbose=0).history) == {"loss"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"objective": "infonce"}, "loss over pairs"),
            ({"pairs": [("image", "sound")]}, r"among \['image', 'text'\]"),
            ({"pairs": [("image", "image")]}, "two modalities each"),
            ({"alignment": 3}, "mm.losses.Adversarial"),
            ({"matcher": 3}, "fusion layer"),
            ({"dim": 0}, "positive integer"),
            ({"optional": ("sound",)}, "have an encoder"),
        ],
    )
    def test_arguments_that_fit_nothing(self, options, message):
        with pytest.raises(ValueError, match=message):
            joint(**options)

    def test_one_modality_is_no_joint_space(self):
        with pytest.raises(ValueError, match="at least two modalities"):
            mm.models.JointEmbedding({"image": image()})

    def test_a_matcher_looks_at_two(self):
        with pytest.raises(ValueError, match="exactly two modalities"):
            trio(matcher=mm.layers.CoAttention(num_heads=2))

    def test_every_modality_is_compared(self):
        with pytest.raises(ValueError, match=r"none with \['audio'\]"):
            trio(pairs=[("image", "text")])
