"""The scripts learn from files in public layouts, save, go on where they were interrupted, and answer."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.workflows.flickr8k_files import COLOURS, write_flickr8k

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("demo"))

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def main(monkeypatch):
    """The `main` of a script, by its name."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield lambda name: __import__(name).main
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


@pytest.fixture
def captioner(main, tmp_path):
    """A photo, and what one needs to ask about it the captioner that a script has trained."""
    write_flickr8k(tmp_path / "Flickr8k")
    place = [str(tmp_path / "Flickr8k"), "--out", str(tmp_path / "captioner")]
    main("caption_photos")([*place, "--epochs", "1", "--batch-size", "8"])
    return str(next((tmp_path / "Flickr8k" / "Flicker8k_Dataset").iterdir())), place


@pytest.mark.slow
def test_captions_are_learned_and_said(main, captioner, capsys):
    photo, place = captioner
    capsys.readouterr()
    main("caption_photos")([*place, "--ask", photo])
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.slow
def test_a_captioner_is_shipped(main, captioner, tmp_path, capsys):
    photo, _ = captioner
    shipped = [str(tmp_path / "captioner.keras"), "--try", photo, "--key", "image", "--out", str(tmp_path / "shipped")]
    main("export_model")(shipped)
    said = capsys.readouterr().out
    assert all(kind in said for kind in ("SavedModel", "TFLite float32", "TFLite float16", "TFLite dynamic"))
    task = keras.saving.load_model(tmp_path / "captioner.keras")
    runner = mm.export.LiteRunner(tmp_path / "shipped" / "captioner_float32.tflite")
    assert runner.ask({"image": photo})["text"] == task.generate({"image": photo})


# What a power cut leaves open Python closes, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_an_interrupted_run_goes_on(main, tmp_path, monkeypatch):
    class PowerCut(RuntimeError):
        pass

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise PowerCut

    write_flickr8k(tmp_path / "Flickr8k")
    script, run = pytest.importorskip("script"), main("photo_search")
    usual = script.callbacks
    arguments = [str(tmp_path / "Flickr8k"), "--out", str(tmp_path / "search"), "--epochs", "3", "--batch-size", "8"]
    monkeypatch.setattr(script, "callbacks", lambda given, *others: [*usual(given, *others), Interrupt()])
    with pytest.raises(PowerCut):
        run(arguments)
    monkeypatch.setattr(script, "callbacks", usual)
    run(arguments)
    rows = (tmp_path / "search.csv").read_text().splitlines()
    # Epochs 0 and 1 before it, epoch 2 after it, none of them twice.
    assert [row.split(",")[0] for row in rows if row[0].isdigit()] == ["0", "1", "2"]


@pytest.mark.slow
def test_photos_are_found_on_two_devices(tmp_path):
    write_flickr8k(tmp_path / "Flickr8k")
    place = [str(EXAMPLES / "photo_search.py"), str(tmp_path / "Flickr8k"), "--out", str(tmp_path / "search")]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    two = ["--epochs", "1", "--batch-size", "4", "--devices", "2", "--precision", "mixed_bfloat16"]
    for more in (two, ["--ask", "a red wall"]):
        finished = subprocess.run(
            [sys.executable, *place, *more], env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr[-2000:]
    answers = [line.split() for line in finished.stdout.splitlines()]
    assert len(answers) == 5
    assert [float(score) for score, _ in answers] == sorted((float(score) for score, _ in answers), reverse=True)
    assert all(pathlib.Path(photo).exists() for _, photo in answers)


@pytest.mark.slow
def test_questions_are_answered(main, tmp_path, capsys):
    pil = pytest.importorskip("PIL.Image")
    for part in ("train", "val"):
        (tmp_path / f"{part}2014").mkdir()
        questions, annotations = [], []
        for number in range(8):
            colour = list(COLOURS)[number % 4]
            photo = tmp_path / f"{part}2014" / f"COCO_{part}2014_{number:012}.jpg"
            pil.fromarray(np.full((40, 40, 3), COLOURS[colour], "uint8")).save(photo)
            row = {"image_id": number, "question_id": number}
            questions.append({**row, "question": "what colour is it?"})
            people = [{"answer": colour, "answer_confidence": "yes", "answer_id": person} for person in range(10)]
            kind = {"question_type": "what colour", "answer_type": "other", "multiple_choice_answer": colour}
            annotations.append({**row, **kind, "answers": people})
        asked, answered = f"v2_OpenEnded_mscoco_{part}2014_questions.json", f"v2_mscoco_{part}2014_annotations.json"
        (tmp_path / asked).write_text(json.dumps({"data_subtype": f"{part}2014", "questions": questions}))
        (tmp_path / answered).write_text(json.dumps({"annotations": annotations}))
    place = [str(tmp_path), "--out", str(tmp_path / "answerer")]
    main("answer_questions")([*place, "--epochs", "1", "--batch-size", "4"])
    capsys.readouterr()
    main("answer_questions")([*place, "--ask", f"{photo}: what colour is it?"])
    said = capsys.readouterr().out.strip()
    assert said in COLOURS
    task = keras.saving.load_model(tmp_path / "answerer.keras")
    assert said == task.answer(str(photo), "what colour is it?")
    # What people disagree on is learned by degrees.
    assert task.soft


@pytest.mark.slow
def test_clips_are_understood(main, tmp_path, capsys):
    pytest.importorskip("av")
    toy = mm.data.toy.ToyClips(24, seed=0)
    for number, clip in enumerate(toy.records("train", ("material",))):
        folder = tmp_path / "clips" / ("val" if number < 2 else "train") / str(clip["material"])
        folder.mkdir(parents=True, exist_ok=True)
        _write_clip(folder / f"{number}.mp4", clip["video"])
        path = folder / f"{number}.mp4"
    place = [str(tmp_path / "clips"), "--out", str(tmp_path / "clips_model")]
    main("understand_clips")([*place, "--epochs", "1", "--batch-size", "4"])
    capsys.readouterr()
    main("understand_clips")([*place, "--ask", str(path)])
    said = capsys.readouterr().out.strip()
    assert said in toy.classes("material")
    task = keras.saving.load_model(tmp_path / "clips_model.keras")
    assert said == task.classify({"video": str(path)}, views=3)["label"]
    assert (tmp_path / "clips_model.png").stat().st_size > 1000


def _write_clip(path, frames):
    """A film without sound."""
    import av

    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=8)
        stream.height, stream.width = np.asarray(frames).shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in np.asarray(frames, "uint8"):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
