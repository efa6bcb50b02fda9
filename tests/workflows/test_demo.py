"""The demo runs whole, at a size for tests: it trains, ships, asks what it shipped, and tells all of it on one page."""

import base64
import html.parser
import io
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import mmkeras as mm

pytestmark = pytest.mark.tensorflow

ROOT = pathlib.Path(__file__).parents[2]
SCORES = {
    "captioner": ("true", ("", "other_picture", "blind")),
    "search": ("text_to_image", ("", "linear", "chance")),
    "clips": ("source", ("", "video", "audio", "sound_of_others")),
    "parcels": ("accuracy", ("", "image", "text", "audio")),
}


class Page(html.parser.HTMLParser):
    """What a page loads, links to, and holds."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.words = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        self.links += [attrs["href"]] if tag == "a" else []
        self.loaded += [(tag, attrs[name]) for name in ("src", "srcset", "data", "poster") if name in attrs]
        self.loaded += [(tag, attrs["href"])] if tag != "a" and "href" in attrs else []

    def handle_data(self, data):
        self.words.append(data)


def run(folder, *arguments):
    finished = subprocess.run(
        [sys.executable, "examples/demo.py", "--quick", "--out", str(folder), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def check_json(result, names):
    for name in names:
        column, rows = SCORES[name]
        keys = [f"{name}_{column}" + (f"_{row}" if row else "") for row in rows]
        keys += [f"{name}_{kind}_score" for kind in ("keras", "saved_model", "tflite")]
        assert all(0 <= result[key] <= 1 for key in keys), {key: result.get(key) for key in keys}
        # It is the same model in every form: weights of 8 bits differ, the SavedModel does not.
        assert abs(result[f"{name}_saved_model_score"] - result[f"{name}_keras_score"]) < 0.1
        assert result[f"{name}_saved_model_difference"] < 1e-3 < result[f"{name}_keras_ms"]
        assert 0 < result[f"{name}_tflite_bytes"] < result[f"{name}_keras_bytes"]
    assert result["reload_difference"] < 1e-5


def check_page(path, result, names):
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.ids >= {*names, "artefacts", "next"}
    # Nothing comes from elsewhere, by tag or by style, and there is no script.
    assert all(address.startswith("data:") for _, address in page.loaded)
    assert not [words for words in ("url(", "@import", "<script", "srcset") if words in text]
    assert not [link for link in page.links if "//" in link]
    pictures = [address for tag, address in page.loaded if tag == "img"]
    assert len(pictures) > 5 * len(names) / 2
    for address in pictures:
        kind, _, data = address.partition(",")
        assert kind == "data:image/png;base64"
        assert np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("RGB")).size
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (path.parent / link).exists(), link
    words = " ".join(page.words)
    for name in names:
        column, rows = SCORES[name]
        for row in rows:
            assert f"{result[f'{name}_{column}' + (f'_{row}' if row else '')]:.3f}" in words
        for form in (f"{name}.keras", f"{name}/1", f"{name}.tflite"):
            assert form in words
    assert path.stat().st_size < 3e6


def check_artefacts(folder, names):
    """What was shipped answers files that lie beside it."""
    for name in names:
        records = list(mm.data.read_jsonl(folder / "asked" / name / "records.jsonl"))
        for model in (mm.export.LiteRunner(folder / f"{name}.tflite"), mm.export.SavedModelRunner(folder / name)):
            answers = model.ask(records)
            assert len(answers) == len(records) > 1
            assert all(np.isfinite(value).all() for value in answers[0].values() if isinstance(value, list | float))


def check(folder, printed, names):
    *lines, last = printed.strip().splitlines()
    result = json.loads(last)
    check_json(result, names)
    check_page(folder / "demo.html", result, names)
    check_artefacts(folder, names)
    told = "\n".join(lines)
    assert all(f"{name}.tflite" in told for name in names)
    assert "best possible" in told
    assert "demo.html" in told


def test_one_model(tmp_path):
    picture = tmp_path / "demo.png"
    printed = run(tmp_path, "--only", "captioner", "--picture", str(picture))
    check(tmp_path, printed, ["captioner"])
    with PIL.Image.open(picture) as drawn:
        assert drawn.width > 600


@pytest.mark.slow
def test_all_models(tmp_path):
    check(tmp_path, run(tmp_path), list(SCORES))
