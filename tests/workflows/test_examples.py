"""The script that searches photos by sentences learns, saves, and answers from what it saved."""

import pathlib
import runpy

import pytest

from tests.workflows.flickr8k_files import write_flickr8k

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "photo_search.py"


@pytest.mark.tensorflow
def test_photo_search(tmp_path, capsys):
    write_flickr8k(tmp_path / "Flickr8k")
    main = runpy.run_path(str(SCRIPT))["main"]
    place = [str(tmp_path / "Flickr8k"), "--out", str(tmp_path / "search")]
    main([*place, "--epochs", "1", "--batch-size", "4"])
    assert (tmp_path / "search.keras").exists()
    capsys.readouterr()
    main([*place, "--ask", "a red wall"])
    answers = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 5
    assert [float(score) for score, _ in answers] == sorted((float(score) for score, _ in answers), reverse=True)
    assert all(pathlib.Path(photo).suffix == ".jpg" and pathlib.Path(photo).exists() for _, photo in answers)
