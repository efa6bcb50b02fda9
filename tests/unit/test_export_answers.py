"""An endpoint says what the method of its name says: classes, several of them, grades, numbers, steps, sentences."""

import numpy as np
import pytest

import mmkeras as mm
from mmkeras.export import TaskRunner
from mmkeras.export.lite_runner import stacked

part, encoders, models = mm.preprocessing, mm.encoders, mm.models
pytestmark = pytest.mark.tensorflow


def sample(row):
    rng = np.random.default_rng(row)
    steps = 4 + row
    return {
        "features": rng.normal(size=6).astype("float32"),
        "signal": rng.normal(size=(steps, 3)).astype("float32"),
        "image": rng.integers(0, 256, (16, 16, 3), "uint8"),
        "audio": (0.3 * rng.normal(size=700)).clip(-1, 1).astype("float32"),
        "video": rng.integers(0, 256, (3 + row % 2, 16, 16, 3), "uint8"),
        "question": ["what is it", "who", "where is it"][row % 3],
        "text": ["hallo", "ja", "nein"][row % 3],
        "target_text": ["hello", "yes", "no no"][row % 3],
        "label": ["low", "middle", "high"][row % 3],
        "tags": [["red"], ["red", "blue"], ["blue"]][row % 3],
        "number": float(row),
        "steps": ["up" if step % 2 else "down" for step in range(steps)],
    }


RECORDS = [sample(row) for row in range(6)]
GRADES = part.Label(["low", "middle", "high"])


def prepared(**parts):
    return part.Preprocessor(**parts).adapt(RECORDS)


def far_apart(task):
    """Untrained tasks hardly tell samples apart."""
    task.set_weights([3 * weight if weight.dtype == "float32" else weight for weight in task.get_weights()])
    return task


def classifier(**options):
    pre = prepared(features=part.Features(), label=GRADES)
    return models.MultimodalClassifier({"features": encoders.features((6,), 8)}, preprocessor=pre, **options)


def graded():
    return classifier(classes=["low", "middle", "high"], ordinal=True)


def tagged():
    pre = prepared(features=part.Features(), tags=part.Label(multi_label=True))
    return models.MultiTask(
        {"features": encoders.features((6,), 8)},
        heads={"tags": mm.layers.ClassHead(pre["tags"].classes, multi_label=True), "size": mm.layers.NumberHead(2)},
        preprocessor=part.Preprocessor(features=pre["features"]),
    )


def asked():
    pre = prepared(image=part.Image((16, 16)), question=part.Text(length=6))
    towers = {
        "image": encoders.vgg(1, 4, convolutions=1, image_shape=(16, 16, 3), pooling="avg"),
        "question": encoders.lstm(pre["question"].num_tokens, 8, pooling="last"),
    }
    fusion = mm.layers.ConcatFusion()
    return models.VisualQuestionAnswering(towers, fusion, answers=["yes", "no", "red"], soft=True, preprocessor=pre)


def stepwise():
    pre = part.Preprocessor(features_signal=part.Features(12)).adapt(
        [{"features_signal": record["signal"]} for record in RECORDS]
    )
    return models.SequenceTagger(
        {"features_signal": encoders.features((None, 3), 8)}, classes=["down", "up"], preprocessor=pre
    )


def filmed():
    pre = prepared(video=part.Video(4, (16, 16)), audio=part.Audio(1000, seconds=0.7))
    still = encoders.vgg(1, 4, convolutions=1, image_shape=(16, 16, 3), pooling="avg")
    towers = {
        "video": encoders.time_distributed(still),
        "audio": encoders.conv1d_audio(4, (8, 2), first_kernel_size=16),
    }
    return models.VideoAudioModel(
        towers, classes=["calm", "crash"], frame_classes=["nothing", "bounce"], preprocessor=pre
    )


def heard():
    text = part.Text(split="character", mark_ends=False)
    pre = prepared(audio=part.Audio(1000, seconds=0.7), text=text)
    return models.Transcriber(encoders.conv1d_audio(4, (8, 2), first_kernel_size=16), preprocessor=pre)


def translated():
    pre = prepared(text=part.Text(length=5), target_text=part.Text(length=6))
    decoder = mm.layers.LSTMDecoder(pre["target_text"].num_tokens, 8)
    return models.Translator(encoders.lstm(pre["text"].num_tokens, 8), decoder, preprocessor=pre)


def said(answers, name="label"):
    return [answer[name] for answer in answers]


def test_classes_and_grades():
    for task in (classifier(classes=["low", "middle", "high"]), graded()):
        far_apart(task)
        found, expected = TaskRunner(task).ask(RECORDS), task.classify(RECORDS)
        assert said(found) == said(expected)
        assert len(set(said(found))) > 1
        probabilities = [list(answer["probabilities"].values()) for answer in expected]
        np.testing.assert_allclose(said(found, "label_probabilities"), probabilities, atol=1e-6)


def test_several_classes_and_numbers():
    task = far_apart(tagged())
    found, expected = TaskRunner(task).ask(RECORDS), task.answer(RECORDS)
    labels = [[name for name in tags if name] for tags in said(found, "tags")]
    assert labels == [answer["tags"]["labels"] for answer in expected]
    assert 0 < sum(map(len, labels)) < 2 * len(RECORDS)
    np.testing.assert_allclose(said(found, "size"), said(expected, "size"), atol=1e-5)


def test_answers_on_which_people_disagree():
    """The likeliest is given, however unlikely it is."""
    task = asked()
    head = task.head("answer")
    head.set_weights([0 * head.get_weights()[0], np.array([-3.0, -4.0, -5.0])])
    found = said(TaskRunner(task).ask(RECORDS), "answer")
    assert found == [task.answer(record["image"], record["question"]) for record in RECORDS] == ["yes"] * 6


def test_steps_of_padding_have_no_label():
    task = far_apart(stepwise())
    records = [{"features_signal": record["signal"]} for record in RECORDS]
    found, expected = TaskRunner(task).ask(records), task.tag(records)
    assert said(found) == [said(steps) for steps in expected]
    assert [len(steps) for steps in said(found)] == [4, 5, 6, 7, 8, 9]
    assert [len(steps) for steps in said(found, "label_score")] == [4, 5, 6, 7, 8, 9]


def test_clips_and_their_frames():
    task = far_apart(filmed())
    runner = TaskRunner(task)
    assert said(runner.ask(RECORDS)) == said(task.classify(RECORDS))
    frames = said(runner.ask(RECORDS, "tag"), "frame_label")
    assert frames == [said(moments) for moments in task.tag(RECORDS)]
    assert [len(moments) for moments in frames] == [3, 4] * 3


def test_characters_keep_their_spaces():
    task = heard()
    # A head that says what it likes, spaces included.
    task.set_weights([20 * weight for weight in task.get_weights()])
    assert said(TaskRunner(task).ask(RECORDS), "text") == task.transcribe([{"audio": r["audio"]} for r in RECORDS])


def test_sentences():
    task = far_apart(translated())
    texts = [{"text": record["text"]} for record in RECORDS]
    runner = TaskRunner(task)
    assert said(runner.ask(texts), "target_text") == task.generate(texts)
    beams = task.generate(texts, strategy=mm.generation.Beam(3, num_return=3))
    assert said(runner.ask(texts, "beam"), "target_text") == beams


def test_numbers():
    pre = prepared(features=part.Features(), number=part.Label(regression=True))
    task = models.MultimodalRegressor({"features": encoders.features((6,), 8)}, preprocessor=pre)
    np.testing.assert_allclose(said(TaskRunner(task).ask(RECORDS)), task.estimate(RECORDS), atol=1e-5)


def test_a_flag_that_is_left_out_means_present():
    numbers = np.ones(6, "float32")
    spec = {"inputs": {"features": {"dtype": "float32"}, "features_present": {"dtype": "bool"}}}
    x = stacked([{"features": numbers}, {"features": numbers, "features_present": False}], spec)
    assert x["features_present"].tolist() == [True, False]
