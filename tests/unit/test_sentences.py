"""Tasks that say sentences: targets, groups, own words, generation from raw records, scores."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats

needs_tensorflow = pytest.mark.tensorflow


def preprocessor(length=8, **options):
    text = mm.preprocessing.Text(vocabulary=["a", "red", "blue", "dot", "square", "on", "white"], length=length)
    return mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((8, 8)), text=text, **options)


def captioner(decoder="lstm", **options):
    encoder = mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3))
    options = {"units": 16, "preprocessor": preprocessor(), **options}
    return mm.models.ImageCaptioner(encoder, decoder, **options)


def picture(colour, shape):
    """A dot or a square of a colour on white."""
    image = np.full((8, 8, 3), 255, "uint8")
    size = 2 if shape == "dot" else 5
    image[1 : 1 + size, 1 : 1 + size] = {"red": (255, 0, 0), "blue": (0, 0, 255)}[colour]
    return image


def records():
    return [
        {"image": picture(colour, shape), "text": [f"a {colour} {shape} on white", f"a {colour} {shape}"]}
        for colour in ("red", "blue")
        for shape in ("dot", "square")
    ]


@pytest.fixture(scope="module", params=["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def trained(request):
    keras.utils.set_random_seed(0)
    task = captioner(request.param)
    task.compile(keras.optimizers.Adam(0.02))
    x = task.prepare([{**record, "text": record["text"][0]} for record in records()])
    task.fit(x, epochs=60, verbose=0)
    return task


class TestTraining:
    def test_targets_are_the_words_that_follow(self):
        task = captioner()
        task.compile()
        x = task.prepare(
            [{"image": picture("red", "dot"), "text": "a red dot"}, {"image": picture("blue", "dot"), "text": "a"}]
        )
        ids = x["token_ids"]
        logits = array(task.predict_on_batch(x)["text"])
        p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        surprises = [-p[row, place, ids[row, place + 1]] for row, count in ((0, 4), (1, 2)) for place in range(count)]
        logs = task.evaluate(x, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(np.mean(surprises), abs=1e-5)
        assert logs["perplexity"] == pytest.approx(np.exp(np.mean(surprises)), abs=1e-3)

    def test_groups_are_the_captions_one_by_one(self):
        task = captioner()
        task.compile()
        pairs = [{"image": record["image"], "text": text} for record in records() for text in record["text"]]
        flat = task.prepare(pairs)
        grouped = {"image": flat["image"][::2], "token_ids": flat["token_ids"].reshape(4, 2, -1)}
        one, all_at_once = (array(task(x)["text"]) for x in (flat, grouped))
        np.testing.assert_allclose(all_at_once.reshape(one.shape), one, atol=1e-5)

        def loss(x):
            task.compile()  # Keras holds on to the rank and group size of the first batches.
            return task.evaluate(x, verbose=0, return_dict=True)["loss"]

        losses = [loss(flat), loss(grouped)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        # An empty place in a group is padding and counts nothing.
        grouped["token_ids"] = np.concatenate(
            [grouped["token_ids"], np.zeros_like(grouped["token_ids"][:, :1])], axis=1
        )
        assert loss(grouped) == pytest.approx(losses[0], abs=1e-5)

    @needs_tensorflow
    def test_fit_on_datasets(self):
        task = captioner()
        for options in ({}, {"group_by": "image", "group_size": 2}):
            task.compile()
            data = task.preprocessor.dataset(records(), 2, **options)
            assert np.isfinite(task.fit(data, verbose=0).history["loss"]).all()

    def test_label_smoothing(self):
        logits, y = floats(2, 3, 5), np.array([[0, 1, 4], [2, 2, 3]])
        p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        q = 0.8 * np.eye(5)[y] + 0.2 / 5
        expected = -(q * np.log(p)).sum(axis=-1)
        weight = np.array([[1.0, 1, 0], [1, 0, 0]], "float32")
        found = float(mm.losses.WordCrossEntropy(0.2)(y, logits, sample_weight=weight))
        assert found == pytest.approx((expected * weight).sum() / 3, abs=1e-5)

    def test_own_words(self):
        """At rate 1 every word after the first is the likeliest one; padding and inference are left alone."""
        task = captioner(sampling_rate=1.0)
        layer = task.get_layer("own_words")
        ids = np.array([[2, 5, 4, 7, 3, 0]], "int32")
        context = floats(1, 4, 8)
        logits = array(task.decoder(ids, context))
        read = array(layer(ids, context, training=True))[0]
        assert read[0] == 2
        assert read[-1] == 0
        np.testing.assert_array_equal(read[1:5], logits[0, :4, 1:].argmax(axis=-1) + 1)
        np.testing.assert_array_equal(array(layer(ids, context)), ids)
        layer.rate.assign(0.0)
        np.testing.assert_array_equal(array(layer(ids, context, training=True)), ids)
        layer.rate.assign(0.5)
        many = array(layer(np.repeat(ids, 400, axis=0), np.repeat(context, 400, axis=0), training=True))
        assert 0.4 < (many[:, 1:5] != ids[:, 1:5]).mean() / (read[1:5] != ids[0, 1:5]).mean() < 0.6

    @pytest.mark.parametrize("rates", [(0.0, 0.5), (0.5, 0.0), (0.5, 0.5)])
    def test_own_words_are_no_part_of_the_weights(self, rates, tmp_path):
        """What was learned without scheduled sampling goes on with it, and the other way round."""
        before, after = (captioner(sampling_rate=rate) for rate in rates)
        if rates == (0.5, 0.5):
            before.assign_sampling_rate(0.75)
        before.save_weights(tmp_path / "all.weights.h5")
        after.load_weights(tmp_path / "all.weights.h5")
        assert len(before.trainable_variables) == len(after.trainable_variables)
        for mine, its in zip(after.trainable_variables, before.trainable_variables, strict=True):
            np.testing.assert_array_equal(array(mine), array(its))
        if rates[1]:
            assert float(after.get_layer("own_words").rate) == (0.75 if rates[0] else 0.5)

    @pytest.mark.slow
    def test_own_words_by_epoch(self):
        """A rate of 0 trains as if there were no scheduled sampling, whatever the task began with."""
        x = preprocessor()(records(), ("image", "text"))
        losses, first = {}, captioner()
        for name, rate, schedule in (
            ("plain", 0.0, None),
            ("none", 1.0, lambda epoch: 0.0),
            ("all", 1.0, lambda epoch: epoch),
        ):
            task = captioner(sampling_rate=rate)
            for mine, its in zip(task.trainable_variables, first.trainable_variables, strict=True):
                mine.assign(its)
            task.compile(keras.optimizers.SGD(0.1))
            callbacks = [mm.training.SamplingRateSchedule(schedule)] if schedule else []
            history = task.fit(x, epochs=2, verbose=0, callbacks=callbacks).history
            losses[name] = history["loss"]
            assert history.get("sampling_rate", [0.0, 0.0]) == ([0.0, 1.0] if name == "all" else [0.0, 0.0])
        assert losses["none"] == pytest.approx(losses["plain"], rel=1e-5)
        assert losses["all"][0] == pytest.approx(losses["plain"][0], rel=1e-5)
        assert losses["all"][1] != pytest.approx(losses["plain"][1], rel=1e-5)
        task = captioner()
        task.compile()
        with pytest.raises(ValueError, match="make it with `sampling_rate` above 0"):
            task.fit(x, verbose=0, callbacks=[mm.training.SamplingRateSchedule(lambda epoch: 0.5)])
        with pytest.raises(ValueError, match="`rate` must be a probability"):
            captioner(sampling_rate=0.5).assign_sampling_rate(1.5)


class TestGenerate:
    def test_what_was_learned_is_said(self, trained):
        told = trained.generate([{"image": record["image"]} for record in records()])
        assert told == [record["text"][0] for record in records()]
        assert trained.generate(records(), num_beams=3) == told
        assert trained.generate(records()[0]["image"]) == told[0]
        assert trained.generate([record["image"] for record in records()], batch_size=3) == told

    def test_a_record_of_nothing_is_answered_with_a_warning(self):
        task = captioner(optional=("image",), preprocessor=preprocessor(optional=("image",)))
        with pytest.warns(UserWarning, match=r"1 of 2 records have none of \['image'\]: .* language alone") as caught:
            told = task.generate([records()[0], {}])
        assert [isinstance(sentence, str) for sentence in told] == [True, True]
        assert caught[0].filename == __file__

    def test_several_with_scores(self, trained):
        found = trained.generate(records(), strategy=mm.generation.Beam(3, num_return=2), return_scores=True)
        assert [len(sentences) for sentences in found] == [2] * 4
        for record, sentences in zip(records(), found, strict=True):
            first, second = sentences
            assert first.score >= second.score
            assert first.text != second.text
            assert first.score == pytest.approx(first.log_probability / len(first.words), abs=1e-5)
            for sentence in sentences:
                if sentence.words[-1] == "[END]":
                    scored = trained.score(record["image"], sentence.text)
                    assert scored == pytest.approx(sentence.log_probability, abs=1e-4)

    def test_attention(self, trained):
        sentence = trained.generate(records()[0], num_beams=2, return_attention=True)
        assert sentence.words == ["a", "red", "dot", "on", "white", "[END]"]
        assert sentence.attention.shape == (6, 16)
        np.testing.assert_allclose(sentence.attention.sum(axis=1), 1, atol=1e-5)

    def test_prefix_and_lengths(self, trained):
        record = records()[0]
        assert trained.generate(record, prefix="a blue").startswith("a blue ")
        assert trained.generate(record, max_length=2) == "a red"
        assert len(trained.generate(record, min_length=6, max_length=7).split()) >= 6
        assert trained.generate(record, max_length=1) == "a"

    def test_samples_follow_the_seed(self, trained):
        sample = mm.generation.Sample(3.0, num_return=3)
        first, again, other = (trained.generate(records(), strategy=sample, seed=seed) for seed in (1, 1, 2))
        assert first == again
        assert first != other
        assert not any("[UNK]" in sentence or "[START]" in sentence for row in first for sentence in row)

    def test_scores_of_sentences(self, trained):
        good, bad = "a red dot on white", "a blue square on white"
        scores = trained.score([records()[0], records()[0]["image"]], [good, bad])
        assert scores[0] > scores[1] + 3
        with pytest.raises(ValueError, match="One sentence is needed for each record"):
            trained.score(records(), [good])

    def test_new_weights_are_seen(self):
        task = captioner()
        task.compile(keras.optimizers.Adam(0.05))
        before = task.generate(records(), return_scores=True)
        x = task.prepare([{**record, "text": record["text"][0]} for record in records()])
        task.fit(x, epochs=3, verbose=0)
        after = task.generate(records(), return_scores=True)
        assert abs(before[0].score - after[0].score) > 1e-2

    def test_layers_that_were_changed_are_seen(self):
        """LoRA adds weights that what was compiled before does not know."""
        task = captioner(units=8)
        before = task.generate(records(), return_scores=True)
        mm.training.add_lora(task, 2)
        task.compile(keras.optimizers.Adam(0.05))
        x = task.prepare([{**record, "text": record["text"][0]} for record in records()])
        task.fit(x, epochs=2, verbose=0)
        after = task.generate(records(), return_scores=True)
        assert after[0].log_probability != before[0].log_probability
        scored = task.score(records()[0], after[0].text)
        if after[0].words[-1] == "[END]":
            assert scored == pytest.approx(after[0].log_probability, abs=1e-4)

    @pytest.mark.parametrize(
        "strategy",
        [mm.generation.Greedy(), mm.generation.Beam(2), mm.generation.Sample(top_k=2)],
        ids=lambda x: type(x).__name__,
    )
    def test_mixed_precision(self, strategy):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            task = captioner()
            told = task.generate(records(), strategy=strategy, return_scores=True)
        finally:
            keras.config.set_dtype_policy("float32")
        for record, sentence in zip(records(), told, strict=True):
            if sentence.words[-1] == "[END]":
                assert task.score(record, sentence.text) == pytest.approx(sentence.log_probability, abs=0.1)

    def test_saved_and_loaded(self, trained, tmp_path):
        trained.save(tmp_path / "captioner.keras")
        loaded = keras.saving.load_model(tmp_path / "captioner.keras")
        assert loaded.generate(records(), num_beams=2) == trained.generate(records(), num_beams=2)

    def test_token_ids_without_a_preprocessor(self):
        encoder = mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3))
        task = mm.models.ImageCaptioner(encoder, units=8, vocabulary_size=12, start_id=5, end_id=7)
        found = task.generate(floats(2, 8, 8, 3).tolist(), max_length=4, return_scores=True)
        for row, sentence in enumerate(found):
            assert all(0 < word < 12 for word in sentence.text)
            assert 5 not in sentence.text
            ids = [5, *[7 if word == "[END]" else word for word in sentence.words]]
            assert task.score([floats(2, 8, 8, 3)[row]], [ids])[0] == pytest.approx(sentence.log_probability, abs=1e-4)

    def test_several_modalities_one_of_them_absent(self):
        encoders = {
            "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3)),
            "features_tags": mm.encoders.features((3,)),
        }
        task = mm.models.ImageCaptioner(encoders, units=8, vocabulary_size=12, optional=("features_tags",))
        image = floats(8, 8, 3)
        with_tags, without, filled = (
            task.generate({"image": image, **tags}, max_length=4, return_scores=True)
            for tags in (
                {"features_tags": np.ones(3)},
                {},
                {"features_tags": np.full(3, 9.0), "features_tags_present": False},
            )
        )
        assert without == filled
        assert with_tags.score != without.score
        with pytest.raises(ValueError, match="needs records: dicts with"):
            task.generate(image)


class TestMeasured:
    def test_controls(self, trained):
        """What is said of another picture, and of all alike, is mostly wrong."""
        black = [{"image": np.zeros((8, 8, 3), "uint8"), "text": record["text"][0]} for record in records()]
        blind = captioner()
        blind.compile(keras.optimizers.Adam(0.02))
        blind.fit(blind.prepare(black), epochs=30, verbose=0)
        table = mm.evaluation.sentence_controls(trained, records(), train=records(), blind=(blind, black), num_beams=2)
        rows = {row["model"]: row for row in table}
        assert list(rows) == ["all modalities", "shuffled", "blind", "one sentence"]
        assert rows["all modalities"]["bleu_4"] == pytest.approx(1.0)
        assert rows["all modalities"]["num_distinct"] == 4
        assert rows["one sentence"]["num_distinct"] == 1
        for name in ("shuffled", "blind", "one sentence"):
            assert rows[name]["cider_d"] < 0.8 * rows["all modalities"]["cider_d"]
        assert rows["blind"]["num_distinct"] == 1
        # Nobody keeps its own picture.
        assert rows["shuffled"]["example"] != rows["all modalities"]["example"]

    def test_the_one_sentence_is_the_best_of_its_corpus(self):
        said = [
            ["a man in a red shirt runs"],
            ["a man in a blue shirt runs"],
            ["a man in a red hat runs"],
            ["two dogs play"],
        ]
        best = mm.evaluation.one_sentence(said)
        scores = {sentence: mm.evaluation.bleu([sentence] * 4, said, smooth=True)["bleu_4"] for (sentence,) in said}
        assert scores[best] == max(scores.values())
        with pytest.raises(ValueError, match="A corpus of sentences of two words"):
            mm.evaluation.one_sentence([["dog"]])

    def test_records_without_a_sentence(self, trained):
        with pytest.raises(ValueError, match="in record 1"):
            mm.evaluation.sentence_controls(trained, [records()[0], {"image": records()[1]["image"]}])

    def test_callback(self):
        task = captioner()
        task.compile()
        x = task.prepare([{**record, "text": record["text"][0]} for record in records()])
        callback = mm.training.SentenceCallback(records(), every=2, measures=("bleu_1", "num_distinct"))
        history = task.fit(x, epochs=4, callbacks=[callback], verbose=0).history
        assert list(callback.results) == [0, 1, 3]
        assert history["val_bleu_1"] == [callback.results[epoch]["bleu_1"] for epoch in (0, 1, 1, 3)]
        report = mm.evaluation.caption_report(task.generate(records()), [record["text"] for record in records()])
        assert callback.results[3] == report
        assert callback.samples == task.generate(records())

    @needs_tensorflow
    def test_callback_writes_for_tensorboard(self, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        task = captioner()
        task.compile()
        x = task.prepare([{**record, "text": record["text"][0]} for record in records()])
        callback = mm.training.SentenceCallback(records(), log_dir=tmp_path, num_samples=2)
        task.fit(x, epochs=2, callbacks=[callback], verbose=0)
        written = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
        assert {"val_bleu_4", "sentences", "pictures"} <= set(written.Tags()["tensors"])
        text = written.Tensors("sentences")[-1].tensor_proto.string_val[0].decode()
        assert callback.samples[0] in text
        assert "a red dot on white" in text
        # Width, height and one picture of both samples, with what is said of them.
        assert len(written.Tensors("pictures")[-1].tensor_proto.string_val) == 3

    @pytest.mark.parametrize(
        ("options", "message"), [({"measures": ("meteor",)}, "`measures`"), ({"every": 0}, "`every`")]
    )
    def test_callback_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            mm.training.SentenceCallback(records(), **options)


class TestOtherSentences:
    @pytest.mark.slow
    def test_translation_with_a_picture(self):
        """The word for 'light' depends on the picture: a lamp, or not heavy."""
        keras.utils.set_random_seed(0)
        pre = mm.preprocessing.Preprocessor(
            text=mm.preprocessing.Text(vocabulary=["a", "light", "dog"], length=5),
            image=mm.preprocessing.Image((8, 8)),
            target_text=mm.preprocessing.Text(vocabulary=["ein", "licht", "leicht", "hund"], length=6),
            optional=("image",),
        )
        encoders = {
            "text": mm.encoders.lstm(pre["text"].num_tokens, 16),
            "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3)),
        }
        task = mm.models.Translator(encoders, units=16, optional=("image",), preprocessor=pre)
        task.compile(keras.optimizers.Adam(0.02))
        pairs = [
            {"text": "a light", "image": picture("red", "square"), "target_text": "ein licht"},
            {"text": "a light", "image": picture("blue", "square"), "target_text": "leicht"},
            {"text": "a dog", "image": picture("blue", "square"), "target_text": "ein hund"},
            {"text": "a dog", "target_text": "ein hund"},
        ]
        task.fit(pre(pairs), epochs=80, verbose=0)
        plain = [{key: value for key, value in pair.items() if key != "target_text"} for pair in pairs]
        assert task.translate(plain) == [pair["target_text"] for pair in pairs]

    def test_a_clip(self):
        encoder = mm.encoders.time_distributed(mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3)))
        task = mm.models.VideoCaptioner(encoder, units=8, vocabulary_size=12)
        sentence = task.generate(floats(5, 8, 8, 3), max_length=4, return_attention=True)
        assert sentence.attention.shape == (len(sentence.words), 5)


class TestBadInput:
    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: captioner("gru"), "`decoder` must be one of"),
            (lambda: captioner(preprocessor=None), "How many words there are is not known"),
            (lambda: captioner(vocabulary_size=5), "must know every word of the preprocessor"),
            (lambda: captioner(preprocessor=None, vocabulary_size=9, end_id=12), "The marks must be ids"),
            (
                lambda: captioner(preprocessor=mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((8, 8)))),
                "needs a part for the sentences that are said",
            ),
            (lambda: captioner().generate([]), "At least one record is needed"),
            (lambda: captioner().generate(records(), max_length=0), "`max_length` must be a positive integer"),
            (lambda: captioner().generate(records(), prefix="a zebra"), "hold words of the vocabulary only"),
            (lambda: captioner().generate(records(), prefix="a red dot", max_length=3), "must be shorter than"),
            (lambda: captioner().generate(records(), prefix=[99]), "hold words of the vocabulary only"),
            (lambda: captioner().generate(records(), prefix=["a"]), "hold words of the vocabulary only"),
            (lambda: captioner().generate(records(), prefix="a red " * 5, max_length=20), "must be shorter than"),
            (lambda: captioner().generate(records(), strategy="greedy"), "`strategy` must be a strategy of"),
            (lambda: captioner().score(records()[0], ["a red", "a blue"]), "A sentence is a string, or a row of ids"),
            (lambda: mm.losses.WordCrossEntropy(1.0), "`label_smoothing` must lie in"),
            (lambda: mm.layers.OwnWords(None), "`decoder` must be a mm.layers.Decoder"),
        ],
    )
    def test_errors(self, build, message):
        with pytest.raises(ValueError, match=message):
            build()

    def test_a_file_that_is_no_picture(self, tmp_path):
        path = tmp_path / "broken.jpg"
        path.write_bytes(b"no picture")
        with pytest.raises(ValueError, match=r"'image': not a readable picture.*broken.jpg"):
            captioner().generate(str(path))

    def test_an_empty_caption_and_one_that_is_too_long(self):
        """An empty one teaches the end mark; one that is cut teaches no end."""
        task = captioner(preprocessor=preprocessor(length=4))
        task.compile()
        x = task.prepare([{"image": picture("red", "dot"), "text": text} for text in ("", "a red dot on white")])
        assert x["token_ids"].tolist() == [[2, 3, 0, 0], [2, 4, 5, 7]]
        y, weight = task.targets(x, None)
        assert array(y["text"]).tolist() == [[3, 0, 0, 0], [4, 5, 7, 0]]
        assert array(weight["text"]).tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
