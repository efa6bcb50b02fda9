"""Questions about pictures: one by one, in groups, and by raw records."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats


def make(image=None, **options):
    encoders = {
        "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3)) if image is None else image,
        "question": mm.encoders.gru(20, 8, embedding_dim=6, pooling="last"),
    }
    return mm.models.VisualQuestionAnswering(encoders, answers=["yes", "no", "red"], **options)


def pictures(count):
    return np.random.default_rng(0).uniform(0, 255, (count, 8, 8, 3)).astype("float32")


def questions(*shape):
    return np.random.default_rng(1).integers(1, 20, shape).astype("int32")


@keras.saving.register_keras_serializable(package="tests")
class Counting(keras.layers.Layer):
    """Note how many rows pass."""

    rows = ()

    def call(self, x):
        type(self).rows = (*type(self).rows, x.shape[0])
        return x


class TestGroups:
    @pytest.mark.parametrize(
        "fusion", [None, mm.layers.BilinearFusion, mm.layers.CoAttention, mm.layers.AttentionFusion]
    )
    def test_equal_to_one_by_one(self, fusion):
        keras.utils.set_random_seed(0)
        task = make(fusion=fusion and (fusion(num_heads=2) if fusion is mm.layers.CoAttention else fusion()))
        x = {"image": pictures(3), "question_token_ids": questions(3, 4, 5)}
        grouped = array(task(x)["answer"])
        assert grouped.shape == (3, 4, 3)
        flat = {"image": np.repeat(x["image"], 4, axis=0), "question_token_ids": x["question_token_ids"].reshape(12, 5)}
        np.testing.assert_allclose(grouped.reshape(12, 3), array(task(flat)["answer"]), atol=1e-5)

    def test_absent_pictures_are_absent_for_all_their_questions(self):
        task = make(optional=("image",))
        x = {"image": pictures(2), "question_token_ids": questions(2, 3, 5), "image_present": np.array([True, False])}
        before, after = (array(task({**x, "image": x["image"] + add})["answer"]) for add in (0, 50))
        assert (np.abs(before - after)[0].max(axis=1) > 1e-6).all()
        np.testing.assert_array_equal(before[1], after[1])

    def test_a_picture_is_encoded_once_for_all_its_questions(self):
        image = keras.Input((8, 8, 3), name="image")
        tokens = keras.layers.Reshape((64, 3))(Counting()(image))
        task = make(mm.encoders.finish(image, keras.layers.Dense(4)(tokens)))
        Counting.rows = ()
        task({"image": pictures(3), "question_token_ids": questions(3, 4, 5)})
        assert Counting.rows == (3,)

    def test_questions_of_no_weight_teach_nothing(self):
        x = {"image": pictures(2), "question_token_ids": questions(2, 3, 5)}
        y, weight = np.array([[0, 1, 2], [2, 1, 0]]), np.array([[1, 1, 0], [1, 0, 0]], "float32")
        reached = []
        for last in (0, 1):
            keras.utils.set_random_seed(0)
            task = make()
            task.compile(keras.optimizers.SGD(0.1))
            task.fit(x, np.where(weight > 0, y, last), sample_weight=weight, verbose=0)
            reached.append(np.concatenate([w.ravel() for w in task.get_weights()]))
        np.testing.assert_allclose(*reached, atol=1e-7)

    def test_what_may_be_absent_is_dropped_in_groups_too(self):
        task = make(optional=("image", "question"), modality_dropout_rate=0.5)
        task.compile()
        x = {"image": pictures(4), "question_token_ids": questions(4, 3, 5)}
        history = task.fit(x, np.zeros((4, 3), int), verbose=0).history
        assert np.isfinite(history["loss"]).all()

    def test_an_answer_that_is_not_in_the_list(self):
        task = make()
        task.compile()
        x = {"image": pictures(2), "question_token_ids": questions(2, 3, 5)}
        with pytest.raises(ValueError, match=r"numbers in 0..2: row 1 of 'answer' holds .*Received: 1 such rows of 2"):
            task.fit(x, np.array([[0, 1, 2], [3, 0, 0]]), verbose=0)

    def test_only_questions_come_in_groups(self):
        with pytest.raises(ValueError, match=r"takes one value of each modality per sample. Received: groups of \['im"):
            make()({"image": floats(2, 3, 8, 8, 3), "question_token_ids": questions(2, 5)})


def test_what_is_asked_for_is_looked_up():
    """The picture holds a digit in each of three places; the question names a place. Neither alone says anything."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    digits, place = rng.integers(0, 3, (1500, 3)), rng.integers(0, 3, (1500, 4))
    x = {
        "features_scene": np.eye(3, dtype="float32")[digits].reshape(1500, 9),
        "question_token_ids": (1 + place)[..., None].astype("int32"),
    }
    y = np.take_along_axis(digits, place, axis=1)
    encoders = {
        "features_scene": mm.encoders.features((9,), 32, normalize=False),
        "question": mm.encoders.bag_of_words(4, 16),
    }
    task = mm.models.VisualQuestionAnswering(encoders, answers=[0, 1, 2])
    task.compile(keras.optimizers.Adam(5e-3))
    train, test = ({name: values[rows] for name, values in x.items()} for rows in (slice(1000), slice(1000, None)))
    task.fit(train, y[:1000], epochs=12, verbose=0)
    assert (task.predict(test, verbose=0)["answer"].argmax(axis=-1) == y[1000:]).mean() > 0.99


@pytest.fixture(scope="module")
def task():
    shots = [np.full((8, 8, 3), shade, "uint8") for shade in (0, 255)]
    records = mm.data.from_arrays(
        image=np.stack(shots * 10), question=["is it dark?"] * 10 + ["what is it?"] * 10, answer=["yes", "no"] * 10
    )
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((8, 8)),
        question=mm.preprocessing.Text(20, length=5),
        answer=mm.preprocessing.Label(),
    ).adapt(records)
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3), normalization=None),
        "question": mm.encoders.gru(20, 8, embedding_dim=6, pooling="last"),
    }
    task = mm.models.VisualQuestionAnswering(encoders, answers=pre["answer"].classes, preprocessor=pre)
    task.compile(keras.optimizers.Adam(0.02))
    task.fit(pre.dataset(records, 4), epochs=12, verbose=0)
    return task


class TestRaw:
    def test_answer(self, task):
        dark, bright = (np.full((8, 8, 3), shade, "uint8") for shade in (0, 255))
        assert task.answer(dark, "is it dark?") == "yes"
        assert task.answer(bright, ["is it dark?", "what is it?"]) == ["no", "no"]
        assert task.answer([dark, bright], ["is it dark?"] * 2) == ["yes", "no"]

    def test_pictures_and_questions_must_pair_up(self, task):
        with pytest.raises(ValueError, match=r"One picture is needed .*Received: 3 pictures and 2 questions"):
            task.answer([np.zeros((8, 8, 3), "uint8")] * 3, ["is it dark?"] * 2)


@pytest.mark.parametrize(
    ("encoders", "answers", "message"),
    [
        ({"image": None}, ["yes", "no"], "dict with 'question' and what the question is about"),
        ({"question": None, "image": None}, ["yes"], "at least two different ones. Received: .'yes'."),
        ({"question": None, "image": None}, ["yes", "yes"], "at least two different ones"),
    ],
)
def test_bad_arguments(encoders, answers, message):
    with pytest.raises(ValueError, match=message):
        mm.models.VisualQuestionAnswering(encoders, answers=answers)


@pytest.mark.slow
def test_answers_of_several_people(tmp_path):
    """By share: three of ten make an answer right; what is in no list counts nowhere."""
    people = [["red"] * 7 + ["pink"] * 3, ["red"] * 9 + ["a rose"], ["blue"] * 2 + ["red"] * 8]
    label = mm.preprocessing.Label(votes=3, most_frequent=3).adapt(people)
    assert label.classes == ["blue", "pink", "red"]
    np.testing.assert_allclose(label.read(people[0]), [0, 1, 1])
    np.testing.assert_allclose(label.read(people[1]), [0, 0, 1])
    np.testing.assert_allclose(label.read(people[2]), [2 / 3, 0, 1])
    np.testing.assert_allclose(label.read("pink"), [0, 1, 0])
    again = mm.preprocessing.Label.from_config(label.get_config())
    assert again.classes == label.classes
    np.testing.assert_allclose(again.read(people[2]), label.read(people[2]))
    task = mm.models.VisualQuestionAnswering(
        {"features": mm.encoders.features((4,)), "question": mm.encoders.lstm(20, 8, pooling="last")},
        answers=label.classes,
        soft=True,
    )
    task.compile()
    x = {"features": np.ones((1, 4)), "question_token_ids": np.ones((1, 3, 5), "int32")}
    y, weight = np.stack([label.read(row) for row in people])[None], np.array([[1.0, 1.0, 0.0]])
    logs = task.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    p = array(task(x)["answer"])[0, :2].astype("float64")
    t = y[0, :2]
    assert logs["loss"] == pytest.approx(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(), abs=1e-5)
    assert logs["accuracy"] == pytest.approx(t[[0, 1], p.argmax(axis=1)].mean(), abs=1e-6)
    task.fit(x, y, sample_weight=weight, verbose=0)
    task.save(tmp_path / "task.keras")
    keras.saving.load_model(tmp_path / "task.keras").fit(x, y, verbose=0)


def test_a_weight_of_the_picture_is_that_of_its_questions():
    task = make()
    task.compile()
    x = {"image": pictures(2), "question_token_ids": questions(2, 2, 4)}
    y, weights = np.array([[0, 1], [1, 1]]), np.array([1.0, 3.0])
    one = task.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    task.compile()  # TensorFlow would make one graph for weights of any number of axes.
    each = task.evaluate(x, y, sample_weight=np.repeat(weights[:, None], 2, axis=1), verbose=0, return_dict=True)
    assert one == pytest.approx(each, abs=1e-6)
    with pytest.raises(ValueError, match="a sample has several labels"):
        task.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0)


@pytest.mark.parametrize(
    "options", [{"votes": 0}, {"votes": 3, "multi_label": True}, {"most_frequent": 3}, {"votes": 3, "most_frequent": 0}]
)
def test_bad_votes(options):
    with pytest.raises(ValueError, match="must be a positive integer"):
        mm.preprocessing.Label(**options)
