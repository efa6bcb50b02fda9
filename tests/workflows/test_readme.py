"""The README is true: its code runs, its tables are current, its files exist."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import mmkeras as mm
from tests.workflows.flickr8k_files import write_flickr8k

ROOT = pathlib.Path(__file__).parents[2]
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
README = (ROOT / "README.md").read_text()


def test_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _write_photos(tmp_path / "photos")
    write_flickr8k(tmp_path / "Flickr8k")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 3
    # What would be downloaded lies in a file, and a few small pictures are seen once.
    smaller = {'"imagenet"': '"vgg16.weights.h5"', "(224, 224)": "(64, 64)", "epochs=10": "epochs=1"}
    for there, here in smaller.items():
        assert blocks[0].count(there) == 1
        blocks[0] = blocks[0].replace(there, here)
    if BACKEND == "tensorflow":
        mm.encoders.vgg16().save_weights("vgg16.weights.h5")
    else:
        # Files are decoded by TensorFlow, which this run blocks.
        blocks = [block for block in blocks if "mm.data.read_" not in block]
        names["mm"] = mm
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    if BACKEND == "tensorflow":
        assert (tmp_path / "saved_models" / "captioner" / "1").is_dir()
        assert (tmp_path / "captioner.tflite").exists()
        assert (tmp_path / "pets.keras").exists()


# What the README shows is run by everybody; the pages take half a minute each.
@pytest.mark.slow
@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_pages_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


def _write_photos(folder):
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, colour in {"cat": (200, 120, 40), "dog": (40, 80, 160)}.items():
        (folder / name).mkdir(parents=True)
        for number in range(8):
            photo = rng.normal(colour, 30, (90, 120, 3)).clip(0, 255).astype("uint8")
            pil.fromarray(photo).save(folder / name / f"{number}.jpg")


@pytest.mark.tensorflow
def test_tables_are_current():
    finished = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-500:]


def test_links_lead_somewhere():
    for document in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_short():
    assert len(README.splitlines()) < 250
