"""Clips of the toy world: what is seen, what is heard, and that they belong together."""

import numpy as np
import pytest

import mmkeras as mm

RATE, FRAME = 8000, 1000


@pytest.fixture(scope="module")
def clips():
    return mm.data.toy.ToyClips(60, seed=3).records("train", ("source", "colour", "material", "bounces"))


def _heard(sound):
    """Frames in which a stroke begins."""
    loud = np.abs(sound).reshape(-1, FRAME // 4).max(axis=1)
    onsets = np.flatnonzero((loud[1:] > 0.15) & (loud[1:] > 1.6 * loud[:-1])) + 1
    return sorted({int(onset * (FRAME // 4) // FRAME) for onset in onsets})


def _touching(frame):
    """Columns in which something coloured touches the floor."""
    row = frame[26].astype(int)
    return np.flatnonzero((row.max(axis=1) - row.min(axis=1)) > 40)


def test_sounds_begin_where_the_source_bounces(clips):
    for clip in clips:
        expected = [frame for frame, kind in enumerate(clip["bounces"]) if kind == "heard"]
        assert len(expected) == 3
        assert _heard(clip["audio"]) == expected


def test_things_touch_the_floor_when_they_bounce_and_at_no_other_time(clips):
    for clip in clips[:10]:
        for frame, kind in enumerate(clip["bounces"]):
            assert (len(_touching(clip["video"][frame])) > 0) == (kind != "none")


def test_neither_stream_tells_the_source(clips):
    """Both things bounce equally often, and both shapes are the source equally often."""
    kinds = np.array([clip["bounces"] for clip in mm.data.toy.ToyClips(400, seed=0).records("train", ("bounces",))])
    np.testing.assert_array_equal((kinds == "heard").sum(axis=1), (kinds == "silent").sum(axis=1))
    early = (kinds[:, :8] == "heard").sum() / (kinds[:, :8] != "none").sum()
    assert early == pytest.approx(0.5, abs=0.05)


def test_late_sound_is_the_same_sound_later():
    on_time, late, early = (
        mm.data.toy.ToyClips(20, seed=1, late_frames=shift).records("test")[0] for shift in (0, 2, -2)
    )
    np.testing.assert_array_equal(late["audio"][2 * FRAME :], on_time["audio"][: -2 * FRAME])
    np.testing.assert_array_equal(early["audio"][: -2 * FRAME], on_time["audio"][2 * FRAME :])
    assert not late["audio"][: 2 * FRAME].any()
    np.testing.assert_array_equal(late["video"], on_time["video"])


def test_the_same_seed_gives_the_same_clips_and_splits_differ():
    first, again = (mm.data.toy.ToyClips(20, seed=5).records("val")[0] for _ in range(2))
    np.testing.assert_array_equal(first["video"], again["video"])
    np.testing.assert_array_equal(first["audio"], again["audio"])
    assert len(mm.data.toy.ToyClips(20).records("train")) == 13
    assert first["label"] == first["source"]
    assert first["text"] == f"the {first['text'].split()[1]} {first['source']} is made of {first['text'].split()[-1]}"


def test_a_true_caption_is_told_from_others(clips):
    toy = mm.data.toy.ToyClips(20)
    for clip in clips[:10]:
        assert toy.caption_is_true(clip["text"], clip)
        assert not toy.caption_is_true(clip["text"] + " .", clip)
        for name in ("colour", "material", "source"):
            other = next(value for value in toy.classes(name) if value != clip[name])
            told = clip["text"].replace(clip[name], other)
            assert not toy.caption_is_true(told, clip)
            # What is not asked for may be anything, within the grammar.
            rest = {key: clip[key] for key in ("colour", "material", "source") if key != name}
            assert toy.caption_is_true(told, rest)
    with pytest.raises(ValueError, match="`facts` must name some of"):
        toy.caption_is_true("the red circle is made of wood", {"text": "the red circle is made of wood"})


def test_what_does_not_exist_is_said():
    with pytest.raises(ValueError, match="late_frames=16"):
        mm.data.toy.ToyClips(20, late_frames=16)
    with pytest.raises(ValueError, match="owner"):
        mm.data.toy.ToyClips(20).records("train", ("owner",))
    with pytest.raises(ValueError, match="dev"):
        mm.data.toy.ToyClips(20).records("dev")
