"""Sound becomes the same samples whatever file, array or video it comes in, and what cannot be read is named."""

import io
import struct

import keras
import numpy as np
import pytest

from mmkeras.data.media.audio import audio_info, load_audio, plain_wav, wav_bytes
from mmkeras.preprocessing.audio import Audio
from tests.unit.media_files import EVENT, FRAME_RATE, RATE, make_clip, onset

soundfile = pytest.importorskip("soundfile")

PCM = b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"


def music(rate=16000, seconds=0.5, channels=1):
    """A chord with an envelope, other in each channel; no two channels cancel."""
    time = np.arange(round(rate * seconds))[:, np.newaxis] / rate
    pitches = 300 * (1 + 0.5 * np.arange(channels))
    return 0.4 * np.sin(2 * np.pi * pitches * time) * np.minimum(1, 20 * time) + 0.2 * np.sin(2 * np.pi * 200 * time)


def written(form, subtype=None, rate=16000, channels=1, **changes):
    buffer = io.BytesIO()
    soundfile.write(buffer, music(rate, channels=channels), rate, format=form, subtype=subtype, **changes)
    return buffer.getvalue()


def riff(layout=None, before=b"", after=b"", data=None, size=None, bits=16, tag=1, rate=16000):
    """A wav file built by hand."""
    data = (music(rate)[:, 0] * 32767).astype("<i2").tobytes() if data is None else data
    block = bits // 8
    layout = struct.pack("<HHIIHH", tag, 1, rate, rate * block, block, bits) + (layout or b"")
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + before
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def floats(*values):
    return riff(data=np.array(values, "<f4").tobytes(), bits=32, tag=3)


READABLE = {
    "16-bit wav": (lambda: written("WAV", "PCM_16"), 1e-4),
    "8-bit wav": (lambda: written("WAV", "PCM_U8"), 1e-2),
    "24-bit wav": (lambda: written("WAV", "PCM_24"), 1e-4),
    "32-bit wav": (lambda: written("WAV", "PCM_32"), 1e-4),
    "float wav": (lambda: written("WAV", "FLOAT"), 1e-4),
    "double wav": (lambda: written("WAV", "DOUBLE"), 1e-4),
    "mu-law wav": (lambda: written("WAV", "ULAW"), 3e-2),
    "adpcm wav": (lambda: written("WAV", "IMA_ADPCM"), 5e-2),
    "stereo wav": (lambda: written("WAV", "PCM_16", channels=2), 1e-4),
    "24-bit stereo wav": (lambda: written("WAV", "PCM_24", channels=2), 1e-4),
    "six channels": (lambda: written("WAV", "PCM_16", channels=6), 1e-4),
    "11,025 Hz wav": (lambda: written("WAV", "PCM_16", rate=11025), 1e-3),
    "44,100 Hz stereo wav": (lambda: written("WAV", "PCM_16", rate=44100, channels=2), 1e-3),
    "16-bit extensible": (lambda: written("WAVEX", "PCM_16"), 1e-4),
    "24-bit extensible": (lambda: written("WAVEX", "PCM_24", channels=2), 1e-4),
    "extensible by hand": (lambda: riff(struct.pack("<HHI", 22, 16, 4) + PCM, tag=0xFFFE), 1e-4),
    "long header": (lambda: riff(b"\0\0"), 1e-4),
    "even LIST before": (lambda: riff(before=chunk(b"LIST", b"INFOabcd")), 1e-4),
    "odd LIST before": (lambda: riff(before=chunk(b"LIST", b"INFOabc")), 1e-4),
    "LIST behind": (lambda: riff(after=chunk(b"LIST", b"INFOabcd")), 1e-4),
    "odd LIST behind": (lambda: riff(after=chunk(b"LIST", b"INFOabc")), 1e-4),
    "bytes behind": (lambda: riff(after=b"xyz"), 1e-4),
    "streamed wav": (lambda: riff(size=0xFFFFFFFF), 1e-4),
    "RF64": (lambda: written("RF64", "PCM_16"), 1e-4),
    "aiff": (lambda: written("AIFF", "PCM_16"), 1e-4),
    "au": (lambda: written("AU", "PCM_16"), 1e-4),
    "flac": (lambda: written("FLAC", "PCM_16"), 1e-4),
    "24-bit flac": (lambda: written("FLAC", "PCM_24", channels=2), 1e-4),
    "ogg vorbis": (lambda: written("OGG", "VORBIS"), 3e-2),
    "ogg opus": (lambda: written("OGG", "OPUS", rate=48000), 5e-2),
    "mp3": (lambda: written("MP3"), 5e-2),
    "44,100 Hz stereo mp3": (lambda: written("MP3", rate=44100, channels=2), 5e-2),
}
BROKEN = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"no sound at all, but words\n" * 20, "not a readable sound"),
    "zeros": (lambda: b"\0" * 5000, "not a readable sound"),
    "header only": (lambda: riff()[:20], "not a readable sound"),
    "wav without samples": (lambda: riff(data=b""), "no samples"),
    "aiff without samples": (lambda: _empty("AIFF"), "no samples"),
    "truncated wav": (lambda: riff()[:9000], "breaks off"),
    "truncated wav with an odd LIST": (lambda: riff(before=chunk(b"LIST", b"INFOabc"))[:9000], "breaks off"),
    "truncated 24-bit wav": (lambda: written("WAV", "PCM_24")[:9000], "breaks off"),
    "truncated flac": (lambda: written("FLAC")[:2000], "cannot be decoded"),
    "truncated mp3": (lambda: written("MP3", rate=44100)[:2000], "breaks off"),
    "NaN": (
        lambda: riff(data=np.array([0, np.nan, 1], "<f4").tobytes(), bits=32, tag=3),
        "NaN or infinite.*first at 1",
    ),
    "infinite": (lambda: riff(data=np.array([np.inf], "<f4").tobytes(), bits=32, tag=3), "NaN or infinite"),
    "integers as floats": (lambda: riff(data=np.array([9e3], "<f4").tobytes(), bits=32, tag=3), "divide 16-bit"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "no sound track|not a readable"),
    "no rate": (lambda: riff(rate=1)[:24] + bytes(8) + riff(rate=1)[32:], "not a readable"),
}


def _empty(form):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((0, 1)), 16000, format=form)
    return buffer.getvalue()


def likeness(got, wanted):
    """Largest difference, at the best of a few shifts: lossy codecs add a few milliseconds of silence."""
    inside = slice(1000, min(len(got), len(wanted)) - 1000)
    return min(np.abs(np.roll(got, -shift)[inside] - wanted[inside]).max() for shift in range(-20, 1200, 1))


@pytest.mark.parametrize("case", READABLE)
def test_readable_files(case):
    make, tolerance = READABLE[case]
    part = Audio(16000)
    got = part.array(part.read(make()))
    assert got.dtype == "float32"
    channels = 6 if "six" in case else 2 if "stereo" in case or case in ("24-bit extensible", "24-bit flac") else 1
    wanted = music(channels=channels).mean(axis=1).astype("float32")
    assert abs(len(got) - len(wanted)) <= (1200 if tolerance > 2e-2 else 0)
    if tolerance <= 2e-2:
        assert np.abs(got - wanted)[200:-200].max() < tolerance
    else:
        assert likeness(got, wanted) < tolerance


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named(case):
    make, message = BROKEN[case]
    with pytest.raises(ValueError, match=message):
        Audio().read(make())


@pytest.mark.parametrize("name", ["sound.wav", "sound.mp3", "sound.raw", "wörter und 12:30.txt"])
@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_the_name_of_a_file_says_nothing(tmp_path, monkeypatch, form, name):
    data = written(form, "PCM_16")
    (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    part = Audio()
    assert part.read(name) == part.read(tmp_path / name) == part.read(data)
    if form == "WAV":
        assert part.read(name) == data


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere.wav", "no such file"),
        (".", "no such file"),
        (7, "expected a path, bytes, an array"),
        (np.full(4, np.nan), "NaN or infinite"),
        (np.array([0.0, np.inf]), "first at 1"),
        (np.zeros(0), "no samples"),
        (np.zeros((0, 2)), "no samples"),
        (np.zeros((2, 16000)), "1 to 32 channels"),
        (np.zeros((3, 3, 3)), r"\(sample,\) or"),
        (np.array([0, 20000.0]), "divide 16-bit integers"),
        (np.array([1, 2, 3]), "8, 16 or 32 bits"),
        (np.array(["a"]), "expected floats"),
        ((np.zeros(8), 0), "must be positive"),
    ],
)
def test_values_that_are_no_sound(value, message):
    with pytest.raises(ValueError, match=message):
        Audio().read(value)


def test_a_video_without_sound_says_so():
    with pytest.raises(ValueError, match="no sound track"):
        Audio().read(make_clip(sound=None))


@pytest.mark.parametrize(("late", "start"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.5), (0.0, 0.77)])
def test_the_sound_of_a_video_keeps_its_time(late, start):
    samples, rate = load_audio(make_clip(sound_from=late), start=start)
    assert rate == RATE
    assert abs(onset(samples[:, 0], rate) + start - EVENT / FRAME_RATE) < 2e-3


def test_a_piece_of_a_file_is_that_piece():
    data = written("FLAC", "PCM_16", channels=2)
    whole, rate = load_audio(data)
    piece, _ = load_audio(data, start=0.1, seconds=0.2)
    np.testing.assert_array_equal(piece, whole[round(0.1 * rate) : round(0.3 * rate)])
    with pytest.raises(ValueError, match="no samples after 9"):
        load_audio(data, start=9)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: written("WAV", "PCM_24", rate=11025, channels=2), (0.5, 11025, 2)),
        (lambda: written("FLAC"), (0.5, 16000, 1)),
        (lambda: make_clip(), (1.6, RATE, 1)),
    ],
)
def test_audio_info(make, wanted):
    assert audio_info(make()) == pytest.approx(wanted, abs=0.03)


def test_written_wavs_are_read_by_other_software():
    samples = np.array([[0.5, -1.0], [1.5, -2.0], [2**-15, -(2**-15)]])
    levels, rate = soundfile.read(io.BytesIO(wav_bytes(samples, 8000)), dtype="int16")
    assert rate == 8000
    assert levels.tolist() == [[16384, -32768], [32767, -32768], [1, -1]]


@pytest.mark.parametrize("case", [name for name in READABLE if "wav" in name or "LIST" in name or "header" in name])
def test_plain_wavs_are_read_as_other_software_reads_them(case):
    data = READABLE[case][0]()
    plain = plain_wav(data)
    expected = case in {
        *("16-bit wav", "stereo wav", "11,025 Hz wav", "44,100 Hz stereo wav"),
        *("long header", "even LIST before", "LIST behind"),
    }
    assert (plain is not None) == expected
    if plain is not None:
        levels, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        np.testing.assert_array_equal(plain[0], levels)
        assert plain[1] == rate


def test_arrays_and_their_rates():
    part = Audio(16000, seconds=0.25)
    stereo = music(channels=2)
    expected = stereo.mean(axis=1)[:4000].astype("float32")
    np.testing.assert_allclose(part.array(part.read(stereo)), expected, atol=1e-7)
    np.testing.assert_allclose(part.array(part.read(stereo.tolist())), expected, atol=1e-7)
    levels = np.round(stereo * 2**15).astype("int16")
    np.testing.assert_allclose(part.array(part.read(levels)), expected, atol=4e-5)
    unsigned = np.round(stereo * 128 + 128).astype("uint8")
    np.testing.assert_allclose(part.array(part.read(unsigned)), expected, atol=8e-3)
    there = part.array(part.read((music(44100), 44100)))
    np.testing.assert_allclose(there[200:-200], music()[200:3800, 0], atol=1e-3)


@pytest.mark.parametrize("output", ["waveform", "log_mel"])
def test_padding_is_zeros_on_the_right(output):
    part = Audio(8000, seconds=1.0, output=output, num_mels=20, frame_length=256, stride=100)
    got = part.array(part.read(music(8000, 0.3)[:, 0]))
    assert got.shape == part.shape == ((8000,) if output == "waveform" else (80, 20))
    content = 2400 if output == "waveform" else 24
    assert (got[content:] == 0).all()
    assert (got[content // 2 : content - 1] != 0).all()


def test_silence_at_the_ends_is_trimmed():
    sound = np.zeros(1000, "float32")
    sound[300:700] = 0.5
    sound[200], sound[800] = 0.004, -0.006
    # 20 * log10(0.5 / 0.006) = 38.4 dB, 20 * log10(0.5 / 0.004) = 41.9 dB.
    lengths = [len(Audio(trim_db=db).array(sound)) for db in (30, 40, 50)]
    assert lengths == [400, 501, 601]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16000.5}, "sample_rate"),
        ({"num_mels": 0}, "num_mels"),
        ({"seconds": 0}, "seconds"),
        ({"trim_db": -3}, "trim_db"),
        ({"output": "mfcc"}, "output"),
        ({"stride": 600}, "stride"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Audio(**arguments)


def test_config_brings_the_part_back():
    part = Audio(8000, seconds=0.5, output="log_mel", num_mels=20, frame_length=256, stride=64, trim_db=30)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    assert again.get_config() == part.get_config()
    assert (again.kind, again.shape) == ("spectrogram", (63, 20))
    assert Audio().kind == "audio"


@pytest.mark.tensorflow
@pytest.mark.parametrize("trim_db", [None, 30])
@pytest.mark.parametrize("output", ["waveform", "log_mel"])
def test_one_record_three_ways(output, trim_db):
    """Through a traced graph, through tf.data and through NumPy."""
    import tensorflow as tf

    part = Audio(16000, seconds=0.4, output=output, trim_db=trim_db)
    graph = tf.function(part.graph, input_signature=[tf.TensorSpec([], tf.string)])
    cases = ["44,100 Hz stereo wav", "16-bit wav", "24-bit flac", "mp3", "11,025 Hz wav"]
    wires = [part.read(READABLE[case][0]()) for case in cases]
    piped = list(tf.data.Dataset.from_tensor_slices(wires).map(part.graph, num_parallel_calls=2).as_numpy_iterator())
    for case, wire, from_pipe in zip(cases, wires, piped, strict=True):
        expected = part.array(wire)
        assert from_pipe.shape == expected.shape == part.shape
        np.testing.assert_array_equal(graph(wire), from_pipe)
        # A logarithm makes more of the last digit of a sample, where a bin holds next to nothing.
        assert np.abs(from_pipe - expected).max() < (1e-6 if output == "waveform" else 1e-3)
        if case in ("16-bit wav", "24-bit flac", "mp3"):
            assert np.abs(from_pipe - expected).max() < 1e-5


@pytest.mark.tensorflow
def test_arrays_through_the_graph():
    import tensorflow as tf

    part = Audio(8000, seconds=0.4)
    wire = part.read(music(8000, 0.3))
    graph = tf.function(part.graph, input_signature=[tf.TensorSpec([None], tf.float32)])
    np.testing.assert_array_equal(graph(wire), part.array(wire))


def test_log_mel_is_that_of_the_layer():
    """Keras computes the layer's filter bank in float32, to about 1e-5; ours is exact."""
    from mmkeras.layers import LogMelSpectrogram

    sound = np.zeros(8000, "float32")
    sound[:5000] = music(8000, 0.625)[:, 0] + 0.05 * np.random.default_rng(0).normal(size=5000)
    part = Audio(8000, output="log_mel", num_mels=40, frame_length=256, stride=100)
    layer = LogMelSpectrogram(8000, num_mels=40, frame_length=256, stride=100)
    expected = np.asarray(layer(sound[np.newaxis]))[0]
    assert np.abs(part.array(sound) - expected).max() < 5e-5
    assert (expected[50:] == 0).all()
    np.testing.assert_array_equal(part.array(sound)[50:], 0)


@pytest.mark.tensorflow
@pytest.mark.parametrize("output", ["waveform", "log_mel"])
def test_no_record_has_sound(output):
    """As in a sweep that takes all of it away: what a sound would look like cannot be learned from the records."""
    from mmkeras.preprocessing import Preprocessor, Text

    text = Text(vocabulary=["dog"], length=4)
    pre = Preprocessor(text=text, audio=Audio(8000, seconds=0.2, output=output), optional=("audio",))
    batch = next(iter(pre.dataset([{"text": "dog"}, {"text": "dog", "audio": None}], 2, shuffle=False)))
    key = pre.key("audio")
    np.testing.assert_array_equal(batch[key], np.zeros((2, *pre["audio"].shape)))
    assert not batch["audio_present"].numpy().any()
