"""From files of clips to answers, and what stands in the way."""

import numpy as np
import pytest

import mmkeras as mm
from tests.unit.media_files import RATE, make_clip


def make(optional=(), **video):
    pre = mm.preprocessing.Preprocessor(
        optional=optional,
        video=mm.preprocessing.Video(4, (12, 16), **video),
        audio=mm.preprocessing.Audio(RATE // 6, seconds=1.6),
        label=mm.preprocessing.Label(["calm", "crash"]),
    )
    encoders = {
        "video": mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(12, 16, 3))),
        "audio": mm.encoders.conv1d_audio(4, (32, 16)),
    }
    task = mm.models.VideoAudioModel(encoders, classes=["calm", "crash"], optional=optional, preprocessor=pre)
    task.compile()
    return task


@pytest.fixture(scope="module")
def task():
    return make(optional=("audio",))


def _file(folder, name, clip):
    path = folder / name
    path.write_bytes(clip)
    return str(path)


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("clip.mp4", {}),
        ("clip.webm", {"form": "webm", "codec": "libvpx", "sound": "libopus"}),
        ("silent.mp4", {"sound": None}),
        ("one_frame.mp4", {"frames": 1}),
        ("uneven.mkv", {"form": "matroska", "times": np.array([0.0, 0.04, 0.2, 0.24, 0.6, 0.7])}),
    ],
)
def test_a_file_is_answered(task, tmp_path, name, clip):
    path = _file(tmp_path, name, make_clip(**{"frames": len(clip.get("times", range(40))), **clip}))
    answer = task.classify({"video": path})
    assert answer["label"] in ("calm", "crash")
    x = task.prepare({"video": path})
    assert x["audio_present"][0] == (clip.get("sound", "aac") is not None)
    # As many frames as there are, up to four; the rest is padding.
    assert (x["frames"][0].max(axis=(1, 2, 3)) > 0).sum() == min(4, clip.get("frames", 40))


def test_a_broken_file_is_named_and_training_goes_on(task, tmp_path):
    good = [_file(tmp_path, f"{index}.mp4", make_clip(frames=10)) for index in range(4)]
    broken = _file(tmp_path, "broken.mp4", make_clip(frames=10)[:400])
    records = [{"video": path, "label": "calm"} for path in (*good[:2], broken, *good[2:])]
    data = task.preprocessor.dataset(records, 2, shuffle=False)
    with pytest.warns(UserWarning, match=r"broken\.mp4"):
        history = task.fit(data, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert len(data.problems) == 1


def test_what_is_missing_is_said(task, tmp_path):
    unseen = _file(tmp_path, "sound.mp4", make_clip(codec=None, seconds=1.0))
    with pytest.raises(ValueError, match=r"sound\.mp4"):
        task.classify({"video": unseen})
    strict = make()
    with pytest.raises(ValueError, match="'audio'"):
        strict.classify({"video": _file(tmp_path, "silent.mp4", make_clip(sound=None))})
    late = make(start=10.0)
    with pytest.raises(ValueError, match="the span begins where the clip is over"):
        late.classify({"video": _file(tmp_path, "short.mp4", make_clip())})
