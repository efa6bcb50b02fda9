"""What a user does with a classifier beyond fit: ask it about records, and get told what is wrong."""

import re

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array

IMAGE = np.full((16, 16, 3), 200.0, "float32")
WORDS = np.array([3, 4, 5, 0], "int32")


def encoders():
    return {
        "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 16, 3)),
        "text": mm.encoders.lstm(20, 8, embedding_dim=4),
    }


def classifier(**options):
    return mm.models.MultimodalClassifier(encoders(), **{"classes": ["cat", "dog"], **options})


class TestClassify:
    def test_one_record(self):
        task = classifier()
        answer = task.classify({"image": IMAGE, "token_ids": WORDS})
        expected = array(task.predict_on_batch({"image": IMAGE[None], "token_ids": WORDS[None]})["label"])[0]
        assert list(answer["probabilities"]) == ["cat", "dog"]
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=1e-6)
        assert answer["label"] == ["cat", "dog"][int(expected.argmax())]

    def test_a_list_of_records(self):
        answers = classifier(classes=3).classify([{"image": IMAGE, "token_ids": WORDS}] * 2)
        assert len(answers) == 2
        assert answers[0] == answers[1]
        assert list(answers[0]["probabilities"]) == [0, 1, 2]

    def test_several_labels(self):
        task = classifier(multi_label=True)
        task.layers[-1].set_weights([np.zeros((8, 2)), np.array([5.0, -5.0])])
        assert task.classify({"image": IMAGE, "token_ids": WORDS})["labels"] == ["cat"]

    def test_an_absent_modality_is_what_its_flag_says(self):
        task = classifier(optional=("text",))
        absent = task.classify([{"image": IMAGE}, {"image": IMAGE, "token_ids": None}])
        x = {"image": IMAGE[None], "token_ids": WORDS[None], "text_present": np.array([False])}
        expected = array(task.predict_on_batch(x)["label"])[0]
        for answer in absent:
            np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=1e-6)
        there = task.classify({"image": IMAGE, "token_ids": WORDS})
        assert there["probabilities"] != absent[0]["probabilities"]

    def test_mixed_records_keep_their_order(self):
        task = classifier(optional=("text",))
        records = [{"image": IMAGE}, {"image": IMAGE, "token_ids": WORDS}]
        together = task.classify(records)
        for record, answer in zip(records, together, strict=True):
            alone = task.classify(record)["probabilities"]
            np.testing.assert_allclose(list(answer["probabilities"].values()), list(alone.values()), atol=1e-6)

    def test_a_preprocessor_prepares_raw_records(self):
        @keras.saving.register_keras_serializable(package="tests")
        class Words:
            def __call__(self, records):
                words = {"red": 3, "dog": 4}
                ids = [[words[word] for word in record["text"].split()] for record in records]
                return {"token_ids": np.array(ids, "int32")}

            def get_config(self):
                return {}

            @classmethod
            def from_config(cls, config):
                return cls()

        task = mm.models.MultimodalClassifier(
            {"text": mm.encoders.lstm(20, 8)}, classes=["cat", "dog"], preprocessor=Words()
        )
        assert task.classify({"text": "red dog"}) == task.classify([{"text": "red dog"}])[0]
        clone = type(task).from_config(task.get_config())
        clone.set_weights(task.get_weights())
        assert clone.classify({"text": "red dog"}) == task.classify({"text": "red dog"})


class TestNothing:
    """A row that has no modality at all."""

    def fitted(self, **options):
        names = ("features_face", "features_voice")
        task = mm.models.MultimodalClassifier(
            {name: mm.encoders.features((2,)) for name in names},
            **{"classes": ["a", "b", "c"], **options},
            optional=names,
        )
        task.compile()
        x = {name: np.random.default_rng(0).normal(size=(10, 2)) for name in names}
        return task, x

    def test_the_answer_is_what_training_saw(self):
        task, x = self.fitted()
        y = np.array([0] * 7 + [1] * 2 + [2])
        with pytest.warns(UserWarning, match="1 of 1 records have none of"):
            before = task.classify({})
        assert list(before["probabilities"].values()) == pytest.approx([1 / 3] * 3)
        task.fit(x, y, batch_size=4, epochs=2, verbose=0)
        with pytest.warns(UserWarning, match="1 of 2 records have none of"):
            there, nothing = task.classify([{"features_face": [1.0, 2.0]}, {}])
        assert nothing["is_prior"]
        assert not there["is_prior"]
        assert nothing["label"] == "a"
        assert list(nothing["probabilities"].values()) == pytest.approx([0.7, 0.2, 0.1], abs=1e-6)
        assert mm.evaluation.subsets(task, (x, y))[3]["accuracy"] == pytest.approx(0.7)

    def test_weights_of_samples_count_and_the_prior_is_saved(self, tmp_path):
        task, x = self.fitted()
        task.fit(x, np.array([0] * 7 + [1] * 2 + [2]), sample_weight=np.array([0.0] * 7 + [1, 1, 2]), verbose=0)
        task.save(tmp_path / "task.keras")
        loaded = keras.saving.load_model(tmp_path / "task.keras")
        with pytest.warns(UserWarning, match="the prior"):
            nothing = loaded.classify({})
        assert list(nothing["probabilities"].values()) == pytest.approx([0.0, 0.5, 0.5], abs=1e-6)

    def test_shares_of_several_labels(self):
        task, x = self.fitted(multi_label=True)
        task.fit(x, np.array([[1, 0, 0]] * 6 + [[1, 1, 0]] * 4, "float32"), verbose=0)
        with pytest.warns(UserWarning, match="the prior"):
            nothing = task.classify({})
        assert list(nothing["probabilities"].values()) == pytest.approx([1.0, 0.4, 0.0], abs=1e-6)

    @pytest.mark.parametrize(
        ("loss", "labels", "expected"),
        [
            ("categorical_crossentropy", np.eye(3)[[2] * 10], [0, 0, 1]),
            (keras.losses.SparseCategoricalCrossentropy(ignore_class=-1), np.array([2] * 5 + [-1] * 5), [0, 0, 1]),
            ("auto", np.array([0] * 5 + [1] * 5)[:, None], [0.5, 0.5, 0]),
        ],
        ids=["ones and zeros", "unknown", "column"],
    )
    def test_labels_in_the_form_of_ones_own_loss(self, loss, labels, expected):
        task, x = self.fitted()
        task.compile(loss=loss, metrics=None)
        task.fit(x, labels, verbose=0)
        with pytest.warns(UserWarning, match="the prior"):
            nothing = task.classify({})
        assert list(nothing["probabilities"].values()) == pytest.approx(expected, abs=1e-6)

    def test_evaluating_teaches_nothing(self):
        task, x = self.fitted()
        task.evaluate(x, np.zeros(10, int), verbose=0)
        with pytest.warns(UserWarning, match="the prior"):
            assert task.classify({})["probabilities"]["a"] == pytest.approx(1 / 3)


class TestInputs:
    def test_flags_left_out_mean_present(self):
        task = classifier(optional=("text", "image"))
        x = {"image": IMAGE[None], "token_ids": WORDS[None]}
        flags = {"text_present": np.array([True]), "image_present": np.array([True])}
        np.testing.assert_array_equal(array(task(x)["label"]), array(task({**x, **flags})["label"]))

    def test_extra_keys_change_nothing(self):
        task = classifier()
        x = {"image": IMAGE[None], "token_ids": WORDS[None]}
        extra = {"aaa": np.full((1, 16, 16, 3), 9.0, "float32"), **x, "zzz": np.zeros((1, 4), "int32")}
        np.testing.assert_array_equal(array(task(extra)["label"]), array(task(x)["label"]))
        np.testing.assert_array_equal(task.predict(extra, verbose=0)["label"], task.predict(x, verbose=0)["label"])

    def test_modality_dropout_needs_no_flags_and_leaves_inference_alone(self):
        task = classifier(optional=("text", "image"), modality_dropout_rate=0.5)
        x = {"image": np.stack([IMAGE] * 64), "token_ids": np.stack([WORDS] * 64)}
        still = array(task(x)["label"])
        assert np.ptp(still, axis=0).max() < 1e-6
        assert np.ptp(array(task(x, training=True)["label"]), axis=0).max() > 1e-4

    def test_own_losses_and_metrics(self):
        task = classifier()
        task.compile(keras.optimizers.SGD(), keras.losses.SparseCategoricalCrossentropy(), [])
        x = {"image": np.stack([IMAGE] * 2), "token_ids": np.stack([WORDS] * 2)}
        by_hand = -np.log(array(task(x)["label"])[[0, 1], [0, 1]]).mean()
        loss = task.evaluate(x, np.array([0, 1]), verbose=0)
        assert float(np.ravel(loss)[0]) == pytest.approx(by_hand, rel=1e-5)

    def test_sample_weights_count(self):
        task = classifier()
        task.compile()
        x = {"image": np.stack([IMAGE] * 2), "token_ids": np.stack([WORDS, WORDS[::-1]])}
        first = -np.log(array(task(x)["label"])[0, 0])
        loss = task.evaluate(x, np.array([0, 1]), sample_weight=np.array([1.0, 0.0]), verbose=0, return_dict=True)
        # Keras divides by the batch size, 2.
        assert loss["loss"] == pytest.approx(first / 2, rel=1e-4)


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: classifier(classes=1), "`classes` must be a number of classes of at least 2"),
            (lambda: classifier(classes=["a", "a"]), "two different names"),
            (lambda: classifier(classes="cat"), "`classes`"),
            (lambda: classifier(optional=("sound",)), r"among \['image', 'text'\]. Received: \['sound'\]"),
            (lambda: classifier(modality_dropout_rate=0.3), "name them in `optional`"),
            (lambda: mm.models.MultimodalClassifier({}, classes=2), "dict of encoders by modality"),
            (lambda: mm.models.MultimodalClassifier(mm.encoders.vgg(), classes=2), "dict of encoders by modality"),
            (lambda: mm.models.MultimodalClassifier({"image": "vgg"}, classes=2), "encoder of 'image'.*'vgg'"),
            (
                lambda: mm.models.MultimodalClassifier(
                    {"image": keras.applications.VGG16(weights=None, include_top=False)}, classes=2
                ),
                "mm.encoders.finish",
            ),
        ],
    )
    def test_constructor(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_a_missing_input_is_named(self):
        task = classifier()
        with pytest.raises(ValueError, match=re.escape("misses inputs ['token_ids']")):
            task({"image": IMAGE[None]})

    def test_a_missing_modality_is_named_with_its_row(self):
        with pytest.raises(ValueError, match=r"Record 1 has no 'token_ids'.*`optional`"):
            classifier().classify([{"image": IMAGE, "token_ids": WORDS}, {"image": IMAGE}])

    def test_arrays_of_different_shapes(self):
        with pytest.raises(ValueError, match="'token_ids' must have one shape"):
            classifier().classify([{"image": IMAGE, "token_ids": WORDS}, {"image": IMAGE, "token_ids": WORDS[:2]}])

    def test_no_records(self):
        with pytest.raises(ValueError, match="At least one record"):
            classifier().classify([])

    def test_batches_of_different_sizes(self):
        task = classifier()
        task.compile()
        with pytest.raises(ValueError, match="rows 2 of 'image', 3 of 'token_ids'"):
            task.fit({"image": np.zeros((2, 16, 16, 3)), "token_ids": np.ones((3, 4), "int32")}, np.zeros(2))
