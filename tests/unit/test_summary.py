"""The frames that stand for a clip, and the sheet and film made of them."""

import keras
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


def test_frames_are_chosen_by_what_a_head_for_each_frame_says():
    """Something bounces in 6 of 16 frames: a choice that knows nothing of it meets one as often as chance does."""
    keras.utils.set_random_seed(0)
    toy = mm.data.toy.ToyClips(200, seed=0)
    train, test = (toy.records(split, ("bounces", "colour")) for split in ("train", "test"))
    kinds = toy.classes("bounces")
    still = mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 24, 3), pooling="max")
    task = mm.models.VideoAudioModel(
        {"video": mm.encoders.time_distributed(still)},
        mm.layers.TimelineFusion(context=None),
        frame_classes=kinds,
        preprocessor=mm.preprocessing.Preprocessor(video=mm.preprocessing.Video(16, (16, 24))),
    )
    task.compile(keras.optimizers.Adam(2e-2))
    labels = np.array([[kinds.index(kind) for kind in clip["bounces"]] for clip in train])
    task.fit(task.prepare(train), labels, batch_size=16, epochs=8, verbose=0)
    found = {"supervised": [], "unsupervised": []}
    for clip, moments in zip(test[:24], task.tag(test[:24]), strict=True):
        eventful = [1 - moment["probabilities"]["none"] for moment in moments]
        for name, scores in (("supervised", eventful), ("unsupervised", None)):
            summary = mm.retrieval.summarize(clip["video"], _thumbnails, num_frames=4, scores=scores)
            found[name] += [clip["bounces"][int(time)] != "none" for time in summary.times]
    assert np.mean(found["supervised"]) >= 0.9
    assert np.mean(found["unsupervised"]) <= 0.6


def _thumbnails(frames):
    return frames[:, ::4, ::4].reshape(len(frames), -1)


def test_scores_stand_for_equal_parts_of_the_clip():
    film = np.arange(12, dtype="uint8").reshape(12, 1, 1, 1) * np.ones((1, 4, 4, 3), "uint8")

    def chosen(scores, **options):
        return mm.retrieval.summarize(film, lambda x: np.ones((len(x), 2)), scores=scores, **options).times.tolist()

    assert chosen([0, 0, 1], num_frames=4) == [8, 9, 10, 11]
    assert chosen(np.arange(24) == 11, num_frames=1) == [5]
    # Of twelve frames six are looked at, 1, 3, ... 11; the fourth stands for what is behind the middle.
    assert chosen([0, 0, 0, 1, 0, 0], num_frames=1, candidates=6) == [7]
    # As many frames as are asked for, differing ones where none has a score left.
    assert chosen([0, 1, 0], num_frames=2, gap=3) == [0, 4]


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
        (
            lambda: mm.retrieval.summarize(np.ones((4, 2, 2, 3)), lambda x: x[:, 0, 0], scores=[[1, 0]]),
            "equal parts of the clip",
        ),
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
