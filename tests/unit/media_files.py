"""Small clips written by the tests: every frame is as bright as its number, and a tone sounds at a known time."""

import io
import struct
from fractions import Fraction

import numpy as np

RATE = 48000
FRAME_RATE = 25
FRAMES = 40
# The tone begins with this frame.
EVENT = 20
SIZE = (48, 64)


def brightness(index):
    return 30 + 5 * index


def frame_numbers(frames):
    """Numbers of frames, read off their brightness."""
    return np.round((frames.astype(float).mean(axis=(1, 2, 3)) - brightness(0)) / 5).astype(int).tolist()


def tone(seconds, begin, rate=RATE, length=0.2):
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 1000 * time) * ((time >= begin) & (time < begin + length))).astype("float32")


def onset(samples, rate):
    """Time at which the tone begins, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return loud[0] / rate


def make_clip(
    form="mp4",
    codec="mpeg4",
    sound="aac",
    *,
    frames=FRAMES,
    times=None,
    sound_from=0.0,
    video_from=0.0,
    size=SIZE,
    streams=1,
    aspect=None,
    seconds=None,
    cover=False,
):
    """Bytes of a clip.

    Args:
        form: container.
        codec: of the pictures; None for none.
        sound: codec of the sound; None for none.
        frames: number of frames.
        times: time of each frame; None for a constant rate.
        sound_from: seconds by which the sound begins later. The tone stays with its frame.
        video_from: seconds by which the pictures begin later.
        size: (height, width).
        streams: number of video tracks; track n is darker by 10 * n.
        aspect: width of a pixel over its height.
        seconds: length of the sound; None for that of the pictures.
        cover: whether the pictures are marked as a cover.
    """
    import av

    base = Fraction(1, FRAME_RATE if times is None and not video_from else 1000)
    times = np.arange(frames) / FRAME_RATE if times is None else times
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        tracks = []
        for _ in range(streams if codec else 0):
            track = container.add_stream(codec, rate=FRAME_RATE)
            track.height, track.width = size
            track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            track.gop_size, track.bit_rate = 12, 4_000_000
            track.codec_context.time_base = base
            if codec in ("mpeg1video", "mpeg2video"):
                track.codec_context.max_b_frames = 2
            if cover:
                track.disposition = av.stream.Disposition.attached_pic
            if aspect:
                track.codec_context.sample_aspect_ratio = aspect
            tracks.append(track)
        sounding = container.add_stream(sound, rate=RATE) if sound else None
        if sounding is not None:
            sounding.layout = "mono"
        for index, time in enumerate(times):
            for number, track in enumerate(tracks):
                level = brightness(index) - 10 * number
                frame = av.VideoFrame.from_ndarray(np.full((*size, 3), level, "uint8"), "rgb24")
                frame.pts, frame.time_base = round((time + video_from) / base), base
                container.mux(track.encode(frame))
        for track in tracks:
            container.mux(track.encode())
        if sounding is not None:
            seconds = seconds or frames / FRAME_RATE
            samples = tone(seconds - sound_from + video_from, EVENT / FRAME_RATE - sound_from + video_from)
            context = sounding.codec_context
            whole = av.AudioFrame.from_ndarray(samples[np.newaxis], "fltp", "mono")
            whole.sample_rate, whole.pts, whole.time_base = RATE, round(sound_from * RATE), Fraction(1, RATE)
            pieces = av.AudioResampler(context.format, "mono", RATE, frame_size=context.frame_size or 1024)
            for piece in pieces.resample(whole) + pieces.resample(None):
                container.mux(sounding.encode(piece))
            container.mux(sounding.encode())
    return buffer.getvalue()


def turned(clip, quarters):
    """The clip with a note that it is to be shown turned clockwise by so many quarters, as telephones write it."""
    matrix = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[quarters]
    a, b, c, d = (value * 0x10000 for value in matrix)
    where = clip.index(b"tkhd") + 4 + 4 + 36
    numbers = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    return clip[:where] + numbers + clip[where + 36 :]


def gif(frames=10):
    from PIL import Image

    pictures = [Image.fromarray(np.full((*SIZE, 3), brightness(index), "uint8")) for index in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return buffer.getvalue()
