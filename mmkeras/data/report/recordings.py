"""Look at a sound or a clip: its length, its rates, what is odd about it, or why it cannot be played."""

import os

import numpy as np

from mmkeras.data.media.image import check_image_array
from mmkeras.data.report.look import Look
from mmkeras.data.report.sniffing import sniff

# Sounds are decoded in pieces of so many seconds: an hour of sound does not fit into memory everywhere.
_PIECE = 60.0
# Frames that show whether a clip can be decoded to its end, and their size: little, since nothing is kept.
_FRAMES = 8
_FRAME_SIZE = (48, 64)
# Sound tracks of longer clips, in seconds, are not decoded: they would be in memory as a whole.
_LONGEST_TRACK = 600.0
# Three steps of 16 bits: below it there is nothing but the noise of rounding.
_SILENCE = 1e-4
_EXTENSIONS = {
    b"RIFF": (".wav", ".wave"),
    b"fLaC": (".flac", ".fla"),
    b"OggS": (".ogg", ".oga", ".opus", ".ogv"),
    b"ID3": (".mp3",),
}


def look_at_audio(value) -> Look:
    """A sound: path, bytes of a file, array, or (array, sample rate)."""
    if isinstance(value, (tuple, np.ndarray)):
        return _samples(value)
    from mmkeras.data.media.audio import audio_info, load_audio

    head = _head(value)
    try:
        info = audio_info(value)
        peak = 0.0
        # The last piece takes the rest, so that none begins where the sound has just ended.
        for piece in range(max(1, int(info.seconds / _PIECE))):
            is_last = (piece + 2) * _PIECE > info.seconds
            samples, _ = load_audio(value, start=piece * _PIECE, seconds=None if is_last else _PIECE)
            peak = max(peak, float(np.abs(samples).max()))
    except ValueError as error:
        is_sound = not head or head.startswith(tuple(_EXTENSIONS))
        raise ValueError(str(error) if is_sound else f"{error}; {sniff(head)}") from None
    extension = os.path.splitext(os.fspath(value))[1].lower() if not isinstance(value, bytes) else ""
    belongs = next((names for start, names in _EXTENSIONS.items() if head.startswith(start)), (extension,))
    marks = {**_loudness(peak), "wrong extension": bool(extension) and extension not in belongs}
    sizes = {"seconds": round(info.seconds, 3)}
    tags = {"sample rate": str(info.sample_rate), "channels": str(info.channels)}
    return Look(sizes, tags, _those(marks))


def look_at_video(value) -> Look:
    """A clip: path, bytes of a file, or array (frame, height, width, channel)."""
    if isinstance(value, np.ndarray):
        return _frames(value)
    from mmkeras.data.media.picking import FrameSampling
    from mmkeras.data.media.video import clip_info, read_clip

    head = _head(value)
    try:
        info = clip_info(value)
        # The last of the frames shows that the file does not break off before.
        sound = info.sample_rate > 0 and info.seconds <= _LONGEST_TRACK
        clip = read_clip(value, FrameSampling(_FRAMES), size=_FRAME_SIZE, sound=sound)
    except ValueError as error:
        unknown = str(error).startswith("not a readable")
        raise ValueError(f"{error}; {sniff(head)}" if unknown else str(error)) from None
    marks = {
        "no sound": not info.sample_rate,
        "silent": clip.audio is not None and (not len(clip.audio) or _loudness(np.abs(clip.audio).max())["silent"]),
        "still": (clip.frames == clip.frames[0]).all(),
        "blank": (clip.frames == clip.frames[0, 0, 0]).all(),
    }
    # Some headers say too little.
    seconds = max(info.seconds, clip.times[-1] + 1 / info.frame_rate)
    sizes = {
        "seconds": round(seconds, 3),
        "frames": info.num_frames or round(seconds * info.frame_rate),
        "frames per second": round(info.frame_rate, 3),
        "width": info.width,
        "height": info.height,
    }
    tags = {"sound": f"{info.sample_rate} samples per second" if info.sample_rate else "none"}
    return Look(sizes, tags, _those(marks))


def _frames(value):
    if value.ndim not in (3, 4) or 0 in value.shape:
        raise ValueError(f"expected frames (frame, height, width, 3). Received: {value.dtype} of shape {value.shape}")
    check_image_array(value[0])
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError("the frames hold NaN or infinite values")
    marks = {
        "0..1 range": value.dtype.kind == "f" and 0 < value.max() <= 1,
        "still": (value == value[0]).all(),
        "blank": (value == value[0, 0, 0]).all(),
    }
    sizes = {"frames": len(value), "width": value.shape[2], "height": value.shape[1]}
    return Look(sizes, {"mode": f"array, {value.dtype}"}, _those(marks))


def _samples(value):
    from mmkeras.data.media.audio import check_samples

    samples, rate = value if isinstance(value, tuple) else (value, None)
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu" or (rate is not None and not rate > 0):
        raise ValueError(
            "expected floats (sample,) or (sample, channel), alone or with their sample rate. Received: "
            f"{samples.dtype} of shape {samples.shape}, rate {rate}"
        )
    if not samples.size:
        raise ValueError("the sound has no samples")
    check_samples(samples)
    sizes = {"samples": len(samples)} if rate is None else {"seconds": round(len(samples) / rate, 3)}
    tags = {"channels": str(1 if samples.ndim == 1 else samples.shape[1])}
    tags |= {} if rate is None else {"sample rate": str(rate)}
    marks = _loudness(float(np.abs(samples).max()))
    return Look(sizes, tags, _those(marks))


def _those(marks):
    return tuple(mark for mark, is_so in marks.items() if is_so)


def _loudness(peak):
    return {"silent": peak < _SILENCE, "too loud": peak > 1.0}


def _head(value):
    """First bytes of a file."""
    if isinstance(value, bytes):
        return value[:512]
    if not os.path.isfile(value):
        return b""
    with open(value, "rb") as file:
        return file.read(512)
