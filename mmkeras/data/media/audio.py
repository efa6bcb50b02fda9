"""Sound in files, bytes and video containers, opened with soundfile and PyAV."""

import io
import os
import struct
from typing import NamedTuple

import numpy as np

from mmkeras.data.media.container import Packets, decode_sound, open_container, sound_track, zero_time

_PCM = 1
_FULL_SCALE = 2**15
_UNKNOWN_SIZE = 0x7FFFF000
# Sound lies in -1..1; lossy decoders overshoot a little, integers taken for floats by far.
_LOUDEST = 10.0


class AudioInfo(NamedTuple):
    """What the header of a sound file says."""

    seconds: float
    sample_rate: int
    channels: int


def load_audio(value, *, start: float = 0.0, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Sound of a file as floats.

    wav, flac, ogg, mp3 and their like are read by soundfile, everything else, sound tracks of videos too, by PyAV.
    The time of a sound track counts from the first picture: where the sound begins later, silence comes first.

    Args:
        value: a path or the bytes of a file.
        start: seconds to pass over.
        seconds: length of the piece; None for all that follows. A sound that ends sooner gives less.

    Returns:
        float32 array (sample, channel) in -1..1, and its sample rate.
    """
    if start < 0 or (seconds is not None and seconds <= 0):
        raise ValueError(f"`start` must be 0 or more, `seconds` positive. Received: start={start}, seconds={seconds}")
    file = _open_sound(value)
    if file is None:
        samples, rate = _load_track(value, start, seconds)
    else:
        with file:
            samples, rate = _load_file(file, start, seconds)
    if not len(samples):
        raise ValueError(f"the sound has no samples{f' after {start} s' if start else ''}")
    return check_samples(samples), rate


def audio_info(value) -> AudioInfo:
    """Length, sample rate and channels of a sound file or of the sound track of a video, without decoding it.

    Args:
        value: a path or the bytes of a file.
    """
    file = _open_sound(value)
    if file is not None:
        with file:
            return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels)
    with open_container(value) as container:
        track = _require_sound(container)
        if track.duration is not None:
            seconds = float(track.duration * track.time_base)
        else:
            seconds = (container.duration or 0) / 1e6
        return AudioInfo(seconds, track.codec_context.sample_rate, track.codec_context.channels)


def check_samples(samples: np.ndarray) -> np.ndarray:
    """The samples themselves, or an error for what no sound card plays."""
    wrong = np.flatnonzero(~np.isfinite(samples.reshape(len(samples), -1)).all(axis=1))
    if len(wrong):
        raise ValueError(f"the sound holds NaN or infinite values: {len(wrong)} samples, the first at {wrong[0]}")
    loudest = np.abs(samples).max(initial=0)
    if loudest > _LOUDEST:
        raise ValueError(f"sound lies in -1..1: divide 16-bit integers by 32768. Received: values up to {loudest:.5g}")
    return samples


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """The bytes of a wav file of 16-bit samples.

    Args:
        samples: float array (sample,) or (sample, channel) in -1..1; what lies outside is clipped.
        rate: samples per second.

    Example:

    >>> wav_bytes(np.zeros(8), 8000)[:4], len(wav_bytes(np.zeros(8), 8000))
    (b'RIFF', 60)
    """
    samples = np.asarray(samples)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    levels = np.clip(np.round(samples.astype("float64") * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
    data = levels.tobytes()
    layout = struct.pack("<IHHIIHH", 16, _PCM, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"".join(
        [b"RIFF", struct.pack("<I", 36 + len(data)), b"WAVEfmt ", layout, b"data", struct.pack("<I", len(data)), data]
    )


def plain_wav(data: bytes) -> tuple[np.ndarray, int] | None:
    """Samples, int16 (sample, channel), and rate of a wav file that any decoder reads alike; None for every other.

    Plain is: 16-bit PCM with the short header, each chunk of an even length and whole, and nothing behind the last.

    Args:
        data: the bytes of a file.
    """
    layout = samples = None
    end = 12
    for name, start, size in _chunks(io.BytesIO(data)):
        end = start + size
        if size % 2 or end > len(data):
            return None
        if name == b"fmt " and layout is None and size in (16, 18):
            layout = struct.unpack("<HHIIHH", data[start : start + 16])
        elif name == b"data" and samples is None:
            samples = start, size
        elif name in (b"fmt ", b"data"):
            return None
    if end != len(data) or layout is None or samples is None:
        return None
    tag, channels, rate, bytes_per_second, block, bits = layout
    if (tag, bits, block, bytes_per_second) != (_PCM, 16, channels * 2, rate * channels * 2) or not channels * rate:
        return None
    start, size = samples
    if size % block:
        return None
    return np.frombuffer(data, "<i2", size // 2, start).reshape(-1, channels), rate


def _chunks(file):
    """Name, start and length of the chunks of an open wav file; of none in any other."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    start = 12
    while len(head := file.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        start += 8
        yield name, start, size
        start = file.seek(start + size + size % 2)


def _check_whole(file, length):
    """A ValueError if a wav file is shorter than it says. libsndfile would give what there is and say nothing."""
    for name, start, size in _chunks(file):
        # A writer that could not go back leaves the largest number, or nearly.
        if name == b"data" and start + size > length and size < _UNKNOWN_SIZE:
            raise ValueError(f"the sound breaks off: {size} bytes of samples are announced, {length - start} are there")


def _open_sound(value):
    """The file opened by soundfile, or None where it is for PyAV to read."""
    if isinstance(value, (str, os.PathLike)):
        if not os.path.isfile(value):
            raise ValueError(f"no such file: {os.fspath(value)!r}")
        if not os.path.getsize(value):
            raise ValueError("the file is empty (0 bytes)")
        source = os.fspath(value)
        with open(source, "rb") as file:
            _check_whole(file, os.path.getsize(source))
            file.seek(0)
            head = file.read(4)
            if source.lower().endswith(".raw"):
                # Of a file with this name soundfile wants to be told the format, whatever is in it.
                source = io.BytesIO(head + file.read())
    elif isinstance(value, bytes):
        if not value:
            raise ValueError("the file is empty (0 bytes)")
        source, head = io.BytesIO(value), value[:4]
        _check_whole(source, len(value))
        source.seek(0)
    else:
        raise ValueError(f"expected a path or bytes. Received: {type(value).__name__}")
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("Reading sound files needs soundfile: pip install 'mmkeras[media]'") from error
    try:
        return soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        if head == b"fLaC":
            # PyAV would give what there is and say nothing.
            raise ValueError(f"the sound cannot be decoded: {error}") from error
        return None


def _load_file(file, start, seconds):
    rate = file.samplerate
    first = min(round(start * rate), file.frames)
    wanted = file.frames - first if seconds is None else min(round(seconds * rate), file.frames - first)
    try:
        file.seek(first)
        samples = file.read(wanted, dtype="float32", always_2d=True)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"the sound cannot be decoded: {str(error) or 'the data is damaged'}") from error
    if len(samples) < wanted:
        raise ValueError(f"the sound breaks off after {first + len(samples)} of {file.frames} samples")
    return samples, rate


def _load_track(value, start, seconds):
    with open_container(value) as container:
        track = _require_sound(container)
        begin = zero_time(container) + start
        end = float("inf") if seconds is None else begin + seconds
        packets = Packets(container, track)
        sound = decode_sound(packets, track, begin, end)
        if seconds is None:
            packets.check(track, "sound")
        return sound


def _require_sound(container):
    track = sound_track(container)
    if track is None:
        found = sorted({track.type for track in container.streams})
        raise ValueError(f"no sound track: the file holds {' and '.join(found) or 'nothing'}")
    return track
