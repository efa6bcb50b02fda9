"""The command line: a thin face over the same functions."""

import csv
import json

import keras
import numpy as np
import pytest

from mmkeras.cli import main
from tests.unit.test_export import classifier, jpeg, records

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:.*have none of"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    classifier().save(folder / "pets.keras")
    (folder / "dog.jpg").write_bytes(jpeg(0))
    return folder


def run(capsys, *words):
    status = main([str(word) for word in words])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_shipped_asked_and_served(folder, capsys):
    """From a `.keras` file to answers of all three forms, which are the same."""
    status, out, _ = run(
        capsys, "export", folder / "pets.keras", "--to", "saved_model,tflite", "--out", folder / "models", "--json"
    )
    assert status == 0
    assert [report["format"] for report in json.loads(out)] == ["saved_model", "tflite"]
    answers = []
    for model in ("pets.keras", "models/pets", "models/pets.tflite"):
        words = ("predict", folder / model, "--image", folder / "dog.jpg", "--text=a dog runs", "--json")
        status, out, _ = run(capsys, *words)
        assert status == 0
        answers.append(json.loads(out))
    assert {answer["label"] for answer in answers} == {answers[0]["label"]}
    for answer in answers[1:]:
        np.testing.assert_allclose(answer["label_probabilities"], answers[0]["label_probabilities"], atol=1e-5)
    status, out, _ = run(capsys, "inspect", folder / "models/pets")
    assert "MultimodalClassifier 'pets'" in out
    assert "classify: image_bytes string[any], text string[any] -> label, label_score, label_probabilities" in out
    status, _, err = run(capsys, "predict", folder / "models/pets", "--image", folder / "dog.jpg", "--txet", "a dog")
    assert status == 2
    assert "this model reads --image, --text. Received: --txet" in err
    status, out, _ = run(capsys, "serve-config", folder / "models", "--label", "pets:stable=1")
    assert status == 0
    assert out.startswith("docker run")
    assert "stable" in (folder / "models/models.config").read_text()


def test_inspect_says_what_a_task_takes(folder, capsys):
    status, out, _ = run(capsys, "inspect", folder / "pets.keras", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["signatures"]["classify"]["outputs"] == {"label": {"dtype": "float32", "shape": [None, 3]}}
    assert told["optional"] == ["text"]
    _, out, _ = run(capsys, "inspect", folder / "pets.keras")
    assert "image is prepared by Image(size=[16, 16], fit='stretch')" in out


def test_many_records_and_a_report(folder, capsys):
    with open(folder / "pets.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label"])
        for row, record in enumerate(records()):
            (folder / f"{row}.jpg").write_bytes(record["image"])
            writer.writerow([f"{row}.jpg", record["text"], record["label"]])
    status, out, _ = run(capsys, "predict", folder / "pets.keras", "--records", folder / "pets.csv")
    assert status == 0
    assert len(out.strip().splitlines()) == 6
    status, out, _ = run(capsys, "report", folder / "pets.csv", "--json")
    assert status == 0
    assert json.loads(out)["num_records"] == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("inspect", "nowhere.keras"), "There is no such model"),
        (("predict", "nowhere", "--image", "dog.jpg"), "There is no such model"),
        (("predict", "nowhere.keras"), "--image dog.jpg, or --records"),
        (("export", "nowhere.keras", "--to", "coreml"), "saved_model, tflite, onnx"),
        (("export", "nowhere.keras", "--quantize", "int8"), "add it to `--to`"),
        (("serve-config", ".", "--label", "pets"), "MODEL:LABEL=VERSION"),
        (("report", "data.xlsx"), "Records are read from a folder"),
    ],
)
def test_mistakes_are_said_in_a_line(words, message, capsys):
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_unknown_words_end_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "a.keras", "--image", "b.jpg"])
    assert "unknown: --image b.jpg" in capsys.readouterr().err
