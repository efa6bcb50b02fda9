"""Frames and their sound come out of clips of every kind at the right times, and what is broken is named."""

import io
import pathlib
import random
import tempfile
from fractions import Fraction

import keras
import numpy as np
import pytest

from mmkeras.data.media import container
from mmkeras.data.media.audio import load_audio, wav_bytes
from mmkeras.data.media.picking import FrameSampling, shown_at
from mmkeras.data.media.scaling import scaled_size
from mmkeras.data.media.video import clip_info, read_clip
from mmkeras.preprocessing.audio import Audio
from mmkeras.preprocessing.video import Video
from tests.unit.media_files import EVENT, FRAME_RATE, FRAMES, RATE, SIZE, frame_numbers, gif, make_clip, onset, turned

pytest.importorskip("av")
PIL = pytest.importorskip("PIL.Image")

FORMS = [
    ("mp4", "mpeg4", "aac"),
    ("mp4", "libx264", "aac"),
    ("avi", "mpeg4", "libmp3lame"),
    ("matroska", "libx264", "flac"),
    ("webm", "libvpx", "libopus"),
    ("mpeg", "mpeg1video", "mp2"),
    ("mpegts", "mpeg2video", "mp2"),
    ("mov", "mjpeg", "pcm_s16le"),
    ("flv", "flv1", "libmp3lame"),
]
STEP = 1 / FRAME_RATE


@pytest.fixture(scope="module")
def clips():
    """Clips by form, written when first asked for."""
    made = {}

    def clip(*form, **changes):
        key = (*form, *changes.items())
        if key not in made:
            made[key] = make_clip(*form, **changes)
        return made[key]

    return clip


def picture(level=100, form="PNG", size=SIZE):
    buffer = io.BytesIO()
    PIL.fromarray(np.full((*size, 3), level, "uint8")).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form) if isinstance(form, tuple) else None)
def test_every_frame_and_its_sound(clips, form):
    clip = read_clip(clips(*form))
    assert frame_numbers(clip.frames) == list(range(FRAMES))
    assert clip.times[0] == 0
    # An avi file holds an empty frame where its encoder waited; a program stream does not date every picture.
    coarse = form[0] in ("avi", "mpeg")
    assert np.abs(clip.times - np.arange(FRAMES) * STEP).max() < (STEP + 1e-6 if coarse else 2e-3)
    assert clip.sample_rate == RATE
    assert abs(onset(clip.audio, RATE) - clip.times[EVENT]) < (STEP if coarse else 3e-3)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form) if isinstance(form, tuple) else None)
@pytest.mark.parametrize(
    "sampling",
    [
        FrameSampling(1),
        FrameSampling(7),
        FrameSampling(7, "random"),
        FrameSampling(4, "stride", 3, start=0.5),
        FrameSampling(None, "stride", 10),
        FrameSampling(3, start=0.4, seconds=0.8),
        FrameSampling(start=1.2, seconds=0.2),
        FrameSampling(100),
    ],
    ids=str,
)
def test_some_frames_are_the_ones_of_all(clips, monkeypatch, form, sampling):
    """Leaving packets out, and seeking in what counts as a large file, changes no pixel."""
    whole = read_clip(clips(*form), sound=False)
    rng = np.random.default_rng
    some = read_clip(clips(*form), sampling, sound=False, rng=rng(0))
    pick = sampling.pick(whole.times, whole.times[-1] + STEP, rng(0))
    expected = np.searchsorted(whole.times, pick.times + 1e-4, side="right") - 1
    np.testing.assert_allclose(some.times, whole.times[expected])
    np.testing.assert_array_equal(some.frames, whole.frames[expected])
    monkeypatch.setattr(container, "KEPT_BYTES", 0)
    sought = read_clip(clips(*form), sampling, sound=False, rng=rng(0))
    np.testing.assert_allclose(sought.times, some.times, atol=1e-6)
    np.testing.assert_array_equal(sought.frames, some.frames)


def test_sampling_by_hand(clips):
    clip = clips("mp4", "libx264", "aac")

    def numbers(sampling, rng=None):
        return frame_numbers(read_clip(clip, sampling, sound=False, rng=rng).frames)

    # The middles of 4 parts of 1.6 s: 0.2, 0.6, 1.0, 1.4 s.
    assert numbers(FrameSampling(4)) == [5, 15, 25, 35]
    assert numbers(FrameSampling(4, "random")) == [5, 15, 25, 35]
    assert numbers(FrameSampling(3, "stride", 4)) == [0, 4, 8]
    assert numbers(FrameSampling(3, "stride", 4, start=1.0)) == [25, 29, 33]
    # From 0.4 to 1.2 s: the middles are 0.6 and 1.0.
    assert numbers(FrameSampling(2, start=0.4, seconds=0.8)) == [15, 25]
    drawn = [numbers(FrameSampling(4, "random"), np.random.default_rng(seed)) for seed in range(5)]
    assert len({tuple(row) for row in drawn}) > 1
    for row in drawn:
        assert [number // 10 for number in row] == [0, 1, 2, 3]


def test_a_span_between_two_frames_is_the_frame_shown_then(clips):
    clip = read_clip(clips("mp4", "libx264", "aac"), FrameSampling(2, start=0.41, seconds=0.02), sound=False)
    assert frame_numbers(clip.frames) == [10]


def test_a_variable_frame_rate(clips):
    """Ten frames in 0.4 s, then one each half second: moments count, not numbers of frames."""
    times = tuple([n * STEP for n in range(10)] + [0.4 + n / 2 for n in range(1, 7)])
    clip = read_clip(clips("matroska", "libx264", None, frames=16, times=times), FrameSampling(8), sound=False)
    # The middles of eight parts of about 3.42 s are 0.21, 0.64, 1.07, 1.50, 1.92, 2.35, 2.78, 3.21 s.
    assert frame_numbers(clip.frames) == [5, 9, 10, 11, 12, 12, 13, 14]
    np.testing.assert_allclose(clip.times, np.array(times)[[5, 9, 10, 11, 12, 12, 13, 14]], atol=2e-3)


@pytest.mark.parametrize(("late", "early"), [(0.4, 0.0), (0.0, 0.32), (0.2, 0.32)])
@pytest.mark.parametrize("sampling", [FrameSampling(), FrameSampling(start=0.6), FrameSampling(6, "stride", 4, 0.4)])
def test_sound_that_begins_later_or_earlier_than_the_pictures(clips, late, early, sampling):
    data = clips("mp4", "libx264", "aac", sound_from=late, video_from=early)
    clip = read_clip(data, sampling)
    assert abs(onset(clip.audio, RATE) + sampling.start - EVENT * STEP) < 3e-3
    whole, rate = load_audio(data)
    begin = round(sampling.start * rate)
    np.testing.assert_allclose(clip.audio, whole[begin : begin + len(clip.audio), 0], atol=1e-6)


@pytest.mark.parametrize("form", [form for form in FORMS if form[0] not in ("webm", "matroska")], ids=" ".join)
def test_a_span_that_begins_within_the_tone(clips, form):
    """Decoding begins earlier than the span: a codec whose packets overlap needs what was before."""
    data = clips(*form)
    whole, clip = read_clip(data), read_clip(data, FrameSampling(start=0.9, seconds=0.3))
    begin = round(0.9 * RATE)
    np.testing.assert_allclose(clip.audio, whole.audio[begin : begin + len(clip.audio)], atol=1e-6)


def test_the_sound_of_a_span_has_its_length(clips):
    data = clips("mp4", "mpeg4", "aac")
    short = make_clip(seconds=0.5)
    assert len(read_clip(short).audio) == pytest.approx(RATE // 2, abs=2048)
    silent = read_clip(short, FrameSampling(4, start=1.0))
    assert (silent.audio.shape, silent.sample_rate) == ((0,), RATE)
    assert Video(4, start=1.0).read_with_sound(short)[1] is None
    assert len(read_clip(data, FrameSampling(5, start=0.2, seconds=0.5)).audio) == RATE // 2
    # Five times four frames.
    assert len(read_clip(data, FrameSampling(5, "stride", 4)).audio) == round(20 * STEP * RATE)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_clips_of_turned_telephones_are_upright(clips, quarters):
    shade = np.add.outer(np.arange(48) * 2, np.arange(64)).astype("uint8")
    data = _still(np.repeat(shade[..., np.newaxis], 3, axis=-1))
    expected = np.rot90(read_clip(data).frames[0], -quarters)
    got = read_clip(turned(data, quarters)).frames[0]
    np.testing.assert_array_equal(got, expected)
    assert Video(1, (32, 24)).read(turned(data, quarters)).shape == (1, 32, 24, 3)


def _still(image):
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as made:
        track = made.add_stream("mpeg4", rate=25)
        track.height, track.width = image.shape[:2]
        made.mux(track.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        made.mux(track.encode())
    return buffer.getvalue()


def test_keeping_the_aspect_ratio(clips):
    data = clips("mp4", "mpeg4", None)
    padded = read_clip(data, FrameSampling(1), size=(64, 64), fit="pad").frames[0]
    # 48 rows of 64: eight black ones above and below.
    assert (padded[:8] == 0).all()
    assert (padded[56:] == 0).all()
    assert (padded[8:56] > 0).all()
    assert (read_clip(data, FrameSampling(1), size=(64, 64), fit="crop").frames > 0).all()
    wide = read_clip(clips("mp4", "mpeg4", None, aspect=Fraction(2)), FrameSampling(1), size=(64, 64), fit="pad")
    # Pixels twice as wide as high: 128 x 48 as shown, 64 x 24 in the frame.
    assert ((wide.frames[0] > 0).all(axis=(1, 2))).sum() == 24


@pytest.mark.parametrize(
    ("given", "size", "fit", "expected"),
    [
        ((100, 200), (50, 50), "stretch", (50, 50)),
        ((100, 200), (50, 50), "crop", (50, 100)),
        ((100, 200), (50, 50), "pad", (25, 50)),
        ((7, 1000), (10, 10), "pad", (1, 10)),
        ((30, 20), (60, 40), "crop", (60, 40)),
    ],
)
def test_scaled_size(given, size, fit, expected):
    assert scaled_size(given, size, fit) == expected


def test_a_cover_picture_is_no_video(clips):
    """A song with its cover: no frames to see, and its sound begins with the song."""
    song = make_clip("mp4", "mjpeg", "aac", frames=1, seconds=1.6, cover=True)
    with pytest.raises(ValueError, match="no video track"):
        read_clip(song)
    samples, rate = load_audio(song)
    assert abs(onset(samples[:, 0], rate) - EVENT * STEP) < 3e-3


def test_the_second_track_where_it_is_wanted(clips):
    data = clips("mp4", "mpeg4", None, streams=2)
    assert frame_numbers(read_clip(data, FrameSampling(1), stream=1).frames) == [EVENT - 2]
    with pytest.raises(ValueError, match="has 2 video tracks"):
        read_clip(data, stream=2)


def test_animations_single_frames_and_silence(clips):
    clip = read_clip(gif())
    assert frame_numbers(clip.frames) == list(range(10))
    np.testing.assert_allclose(clip.times, np.arange(10) / 10, atol=1e-9)
    assert (clip.audio, clip.sample_rate) == (None, 0)
    one = read_clip(clips("mp4", "mpeg4", None, frames=1), FrameSampling(8))
    assert one.frames.shape == (1, *SIZE, 3)
    assert one.times.tolist() == [0]
    assert read_clip(picture()).frames.shape == (1, *SIZE, 3)


def test_clip_info(clips):
    info = clip_info(clips("mp4", "libx264", "aac"))
    assert info == pytest.approx((1.6, FRAMES, FRAME_RATE, *SIZE, RATE), abs=0.03)
    assert clip_info(gif())[1:] == (10, 10, *SIZE, 0)


def fast_start(clip):
    """The clip with its table of contents in front, so that one that was cut off can be opened."""
    import av

    options = {"movflags": "faststart"}
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        with av.open(io.BytesIO(clip)) as given, av.open(file.name, "w", options=options) as made:
            tracks = {track.index: made.add_stream_from_template(track) for track in given.streams}
            for packet in given.demux():
                if packet.dts is not None:
                    packet.stream = tracks[packet.stream.index]
                    made.mux(packet)
        return pathlib.Path(file.name).read_bytes()


def damaged(data, begin, length, seed=0):
    noise = random.Random(seed).randbytes(length)
    return data[:begin] + noise + data[begin + length :]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda clips: b"", "empty"),
        (lambda clips: b"words\n" * 500, "not a readable sound or video"),
        (lambda clips: bytes(5000), "not a readable"),
        (lambda clips: clips("mp4", "mpeg4", "aac")[:5000], "not a readable"),
        (lambda clips: fast_start(clips("mp4", "libx264", None))[:2400], "breaks off after .* of 40 packets"),
        (lambda clips: clips("matroska", "libx264", "flac")[:4000], "breaks off after"),
        (lambda clips: clips("webm", "libvpx", "libopus")[:4000], "breaks off after"),
        (lambda clips: clips("avi", "mpeg4", "libmp3lame")[:14000], "breaks off after .* of 41 packets"),
        (lambda clips: damaged(fast_start(clips("mp4", "libx264", None)), 2550, 300), "cannot be decoded beyond"),
        (lambda clips: damaged(fast_start(clips("mp4", "libx264", None)), 1990, 120), "no frame can be decoded"),
        (lambda clips: clips("mp4", None, "aac"), "no video track: the file holds audio"),
        (lambda clips: wav_bytes(np.zeros(800), 8000), "no video track"),
        (lambda clips: gif()[:30], "no frame can be decoded"),
        (lambda clips: picture()[:60], "no frame can be decoded"),
        (lambda clips: 7, "expected a path, bytes, an array"),
        (lambda clips: "nowhere.mp4", "no such file"),
        (lambda clips: "http://localhost/clip.mp4", "no such file"),
        (lambda clips: [], "the list of frames is empty"),
        (lambda clips: [picture(), b"", picture()], "frame 1 of 3: the file is empty"),
        (lambda clips: [picture(), "nowhere.png"], "frame 1 of 2: no such file"),
        (lambda clips: np.zeros((4, 8, 8, 2)), "1, 3 or 4 channels"),
        (lambda clips: np.zeros((0, 8, 8, 3)), "1, 3 or 4 channels"),
        (lambda clips: np.full((2, 8, 8, 3), np.nan), "NaN"),
        (lambda clips: np.full((2, 8, 8, 3), 0.5), "multiply them by 255"),
        (lambda clips: np.full((2, 8, 8, 3), "a"), "numbers in 0..255"),
    ],
)
def test_broken_values_are_named(clips, make, message):
    with pytest.raises(ValueError, match=message):
        Video(8, (24, 32)).read(make(clips))


def test_a_stream_cut_out_of_a_longer_one(clips):
    """A transport stream may begin anywhere: the first pictures lean on what is missing, the others are there."""
    data = clips("mpegts", "mpeg2video", "mp2")
    numbers = frame_numbers(read_clip(data[188 * 150 :]).frames)
    assert numbers[-10:] == list(range(30, 40))
    assert len(numbers) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0}, "num_frames"),
        ({"num_frames": None}, "num_frames"),
        ({"stride": 0}, "stride"),
        ({"sampling": "dense"}, "sampling"),
        ({"fit": "zoom"}, "fit"),
        ({"size": (0, 4)}, "size"),
        ({"start": -1}, "start"),
        ({"seconds": 0}, "seconds"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Video(**arguments)


def test_a_span_behind_the_end_and_a_span_of_single_frames(clips):
    with pytest.raises(ValueError, match=r"where the clip is over\. Received: start=9 of 1\.60 s"):
        Video(start=9).read(clips("mp4", "mpeg4", "aac"))
    with pytest.raises(ValueError, match="single frames have no times"):
        Video(start=1).read([picture()])


def test_paths_may_look_like_protocols(tmp_path, monkeypatch, clips):
    (tmp_path / "take:2.mp4").write_bytes(clips("mp4", "mpeg4", "aac"))
    monkeypatch.chdir(tmp_path)
    assert Video(4).read("take:2.mp4").shape == (4, 112, 112, 3)
    np.testing.assert_array_equal(Video(4).read("take:2.mp4"), Video(4).read(clips("mp4", "mpeg4", "aac")))


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile there.mp4\n", "#EXTM3U\n#EXTINF:1,\nthere.mp4\n"])
def test_bytes_open_no_other_file(tmp_path, monkeypatch, clips, text):
    (tmp_path / "there.mp4").write_bytes(clips("mp4", "mpeg4", "aac"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="not a readable"):
        Video(4).read(text.encode())


def test_frames_and_sound_in_one_pass(clips):
    data = clips("mp4", "libx264", "aac", sound_from=0.2)
    video, audio = Video(6, (24, 32)), Audio(16000)
    frames, sound = video.read_with_sound(data)
    np.testing.assert_array_equal(frames, video.read(data))
    assert sound == audio.read(data)
    assert abs(onset(audio.array(sound), 16000) - EVENT * STEP) < 3e-3
    assert video.read_with_sound(clips("mp4", "mpeg4", None))[1] is None
    # Twelve frames from second 0.4 on, and the sound of just these.
    frames, sound = Video(4, (24, 32), sampling="stride", stride=3, start=0.4).read_with_sound(data)
    assert frame_numbers(frames) == [10, 13, 16, 19]
    assert len(audio.array(sound)) == round(12 * STEP * 16000)


def test_short_clips_are_followed_by_black_frames(clips):
    part = Video(12, (24, 32))
    for value in (gif(), np.full((10, 24, 32), 9, "uint8"), [picture(9, size=(24, 32))] * 10):
        got = part.array(part.read(value))
        assert got.shape == part.shape
        assert (got[:10] > 0).all()
        assert (got[10:] == 0).all()


def test_arrays_lists_and_their_choice():
    frames = np.arange(20, dtype="uint8")[:, np.newaxis, np.newaxis] * np.ones((1, 24, 32), "uint8")
    part = Video(4, (24, 32))
    expected = [2, 7, 12, 17]
    for value in (frames, frames[..., np.newaxis], frames.astype(float), list(frames), frames.tolist()):
        assert part.array(part.read(value))[:, 5, 5, 1].tolist() == expected
    coloured = np.repeat(frames[..., np.newaxis], 4, axis=-1)
    assert part.array(part.read(coloured))[:, 5, 5, 2].tolist() == expected
    pictures = [picture(index, size=(24, 32)) for index in range(20)]
    assert part.read(pictures) == [pictures[index] for index in expected]
    strided = Video(3, (24, 32), sampling="stride", stride=5)
    assert strided.read(pictures) == [pictures[index] for index in (0, 5, 10)]


def test_random_frames_need_a_generator(clips):
    data = clips("mp4", "libx264", "aac")
    part = Video(4, (24, 32), sampling="random")
    np.testing.assert_array_equal(part.read(data), Video(4, (24, 32)).read(data))
    drawn = part.read(data, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn, part.read(data, np.random.default_rng(1)))
    assert (drawn != part.read(data)).any()
    assert (part.random_read, Video().random_read) == (True, False)
    np.testing.assert_array_equal(
        Video(4, (24, 32)).read(data, np.random.default_rng(1)), Video(4, (24, 32)).read(data)
    )


def test_config_brings_the_part_back():
    part = Video(5, (24, 32), fit="crop", sampling="stride", stride=2, start=0.5, seconds=3.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    assert again.get_config() == part.get_config()
    assert again.shape == (5, 24, 32, 3)


def test_the_frame_shown_at_a_moment():
    frames = [(0.0, "a"), (1.0, "b"), (3.0, "c")]
    shown = list(shown_at(frames, np.array([-1.0, 0.5, 1.0, 2.9, 9.0]), once=False))
    assert [frame for _, frame in shown] == ["a", "a", "b", "b", "c"]
    once = list(shown_at(frames, np.array([-1.0, 0.5, 1.0, 2.9, 9.0]), once=True))
    assert [frame for _, frame in once] == ["a", "b", "c"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_one_record_three_ways(clips, fit):
    """A file through a traced graph, tf.data and NumPy, and once more as the pictures that a server receives."""
    import tensorflow as tf

    part = Video(6, (30, 40), fit=fit)
    values = [clips("mp4", "libx264", "aac"), gif(4)]
    wires = [part.read(value) for value in values]
    expected = [part.array(wire) for wire in wires]
    traced = tf.function(part.graph, input_signature=[tf.TensorSpec([None] * 4, tf.uint8)])
    served = tf.function(part.graph, input_signature=[tf.TensorSpec([None], tf.string)])
    signature = tf.TensorSpec([None] * 4, tf.uint8)
    piped = tf.data.Dataset.from_generator(lambda: iter(wires), output_signature=signature).map(part.graph)
    for value, wire, array, from_pipe in zip(values, wires, expected, piped.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(traced(wire), array)
        np.testing.assert_array_equal(from_pipe, array)
        sent = part.frames_bytes(value)
        np.testing.assert_array_equal(served(sent), array)
        np.testing.assert_array_equal(served([*sent, b"", b""]), array)
        np.testing.assert_array_equal(part.array(sent), array)


@pytest.mark.tensorflow
def test_pictures_in_the_graph():
    """Any number of pictures of any size; the middles of equal parts where there are too many, black where too few."""
    import tensorflow as tf

    part = Video(4, (24, 32))
    served = tf.function(part.graph, input_signature=[tf.TensorSpec([None], tf.string)])
    many = served([picture(10 * index, size=(48, 64)) for index in range(8)]).numpy()
    assert many[:, 5, 5, 0].tolist() == [10, 30, 50, 70]
    few = served([picture(50, "JPEG"), b"", picture(90, "BMP")]).numpy()
    assert few[:, 5, 5, 0].tolist() == [50, 0, 90, 0]
    assert not served(tf.constant([], tf.string)).numpy().any()
    arrays = tf.function(part.graph, input_signature=[tf.TensorSpec([None] * 4, tf.uint8)])
    large = np.full((2, 96, 128, 3), 77, "uint8")
    assert arrays(part.read(large)).numpy()[:, 5, 5, 0].tolist() == [77, 77, 0, 0]
