"""The frames that stand for a clip, and the sheet and film made of them."""

import numpy as np
import pytest

import mmkeras as mm
from mmkeras.data.media.image import load_image
from tests.unit.media_files import FRAME_RATE, make_clip


def _clusters(sizes, seed=0):
    """Embeddings in as many directions as there are sizes."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [np.eye(len(sizes))[row] + 0.05 * rng.random((size, len(sizes))) for row, size in enumerate(sizes)]
    )


def test_each_kind_of_frame_is_shown_once_and_large_ones_first():
    embeddings = _clusters((10, 30, 20))
    kinds = np.repeat(np.arange(3), (10, 30, 20))
    assert [sorted(kinds[mm.retrieval.select_frames(embeddings, count)]) for count in (1, 2, 3)] == [
        [1],
        [1, 2],
        [0, 1, 2],
    ]


def test_it_is_the_best_choice_where_all_can_be_tried():
    """Greedy covering is within 1 - 1/e of the best; of two among so few it mostly is the best."""
    rng = np.random.default_rng(1)
    x = np.abs(rng.normal(size=(12, 4)))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    coverage = {(a, b): np.maximum(unit @ unit[a], unit @ unit[b]).mean() for a in range(12) for b in range(a + 1, 12)}
    assert coverage[tuple(mm.retrieval.select_frames(x, 2).tolist())] >= 0.98 * max(coverage.values())


def test_scores_and_gap_are_heeded():
    embeddings = np.ones((10, 3))
    scores = np.linspace(0, 1, 10)
    assert mm.retrieval.select_frames(embeddings, 3, scores=scores).tolist() == [7, 8, 9]
    assert mm.retrieval.select_frames(embeddings, 3, scores=scores, gap=2).tolist() == [3, 6, 9]
    assert len(mm.retrieval.select_frames(embeddings, 99, gap=4)) == 2


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    path.write_bytes(make_clip(frames=40))
    return path


def test_a_file_becomes_a_sheet_and_a_film(film, tmp_path):
    still = mm.encoders.vgg(1, 4, image_shape=(16, 16, 3))
    summary = mm.retrieval.summarize(str(film), still, num_frames=3, candidates=20, gap=2)
    assert summary.frames.shape[0] == len(summary.times) == 3
    assert (np.diff(summary.times) > 0).all()
    assert 0 < summary.coverage <= 1
    summary.write_sheet(tmp_path / "sheet.png", columns=2, width=120)
    # Two columns of 120 pixels, two rows of frames three quarters as high, each with its time above.
    assert load_image(tmp_path / "sheet.png").shape == (2 * (90 + 24), 2 * 120, 3)
    summary.write_film(tmp_path / "short.mp4", seconds=0.9)
    short = mm.data.read_clip(str(tmp_path / "short.mp4"))
    assert mm.data.clip_info(str(tmp_path / "short.mp4")).seconds == pytest.approx(0.9, abs=0.25)
    assert short.audio is not None
    # What is seen first is what was there at the beginning of the first span.
    begin = max(0.0, summary.times[0] - 0.15)
    original = mm.data.read_clip(str(film)).frames[round(begin * FRAME_RATE)]
    assert abs(float(short.frames[0].mean()) - float(original.mean())) < 6


def test_a_film_without_sound_stays_silent(tmp_path):
    summary = mm.retrieval.summarize(make_clip(sound=None, frames=30), lambda frames: frames.reshape(len(frames), -1))
    summary.write_film(tmp_path / "short.mp4", seconds=0.5)
    assert mm.data.read_clip(str(tmp_path / "short.mp4")).audio is None


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: mm.retrieval.select_frames(np.ones((3, 2)), 0), "`count`"),
        (lambda: mm.retrieval.select_frames(np.ones(3), 1), "at least one"),
        (lambda: mm.retrieval.select_frames(np.full((3, 2), np.nan), 1), "finite"),
        (lambda: mm.retrieval.select_frames(np.ones((3, 2)), 1, scores=[1, 2]), "a number for each"),
        (lambda: mm.retrieval.select_frames(np.ones((2, 2)), 1, scores=[-30, 2]), r"lie in \[0, 1\]"),
        (lambda: mm.retrieval.summarize(np.ones((4, 2)), lambda frames: frames), "frame, height, width, 3"),
        (lambda: mm.retrieval.summarize(np.ones((4, 2, 2, 3)), lambda frames: frames[:2, 0, 0]), "each of 4 frames"),
        (lambda: mm.retrieval.summarize("nothing.mp4", lambda frames: frames), "nothing.mp4"),
    ],
)
def test_what_does_not_fit_is_said(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_film_needs_a_file(tmp_path):
    summary = mm.retrieval.summarize(np.ones((4, 2, 2, 3), "uint8"), lambda frames: frames[:, 0, 0])
    with pytest.raises(ValueError, match="made of a file"):
        summary.write_film(tmp_path / "short.mp4")
    with pytest.raises(ValueError, match="above 0"):
        summary.write_film(tmp_path / "short.mp4", seconds=0)
