"""Frames of a video, and the sound that belongs to them, read with PyAV."""

from typing import NamedTuple

import numpy as np

from mmkeras.data.media import container as media
from mmkeras.data.media.picking import FrameSampling, shown_at
from mmkeras.data.media.reel import frame_interval, open_reel
from mmkeras.data.media.scaling import FrameScaler


class Clip(NamedTuple):
    """Frames and the sound of the same span.

    `frames`: uint8 (frame, height, width, 3). `times`: float64 (frame,), seconds from the first picture of the file.
    `audio`: float32 (sample,), the mean of all channels, or None without a sound track; its first sample is heard
    when the span begins. `sample_rate`: of the sound, 0 without.
    """

    frames: np.ndarray
    times: np.ndarray
    audio: np.ndarray | None
    sample_rate: int


class ClipInfo(NamedTuple):
    """What the header of a video file says; 0 where it says nothing."""

    seconds: float
    num_frames: int
    frame_rate: float
    height: int
    width: int
    sample_rate: int


def read_clip(
    value,
    sampling: FrameSampling | None = None,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    stream: int = 0,
    sound: bool = True,
    threads: int = 0,
    rng: np.random.Generator | None = None,
) -> Clip:
    """Read frames of a video, and the sound of the span they stand for.

    Only groups of pictures that hold a wanted frame are decoded, only wanted frames converted. A file that breaks
    off or cannot be decoded all the way to the last wanted frame is an error.

    Args:
        value: a path or the bytes of a file (mp4, webm, mkv, avi, mpg, mov, gif, ...).
        sampling: which frames; all by default.
        size: (height, width) of the frames; None for their own.
        fit: `"stretch"`, `"crop"` or `"pad"`: how the aspect ratio is dealt with.
        stream: which of several video tracks.
        sound: whether the sound is wanted. With several sound tracks the first counts.
        threads: number of threads that decode; 0 for as many as there are cores. One takes the least time in all,
            where several clips are read at once.
        rng: generator for random sampling; without one the choice is deterministic.

    Returns:
        A `Clip`.
    """
    sampling = FrameSampling() if sampling is None else sampling
    with media.open_container(value) as container:
        track = media.video_track(container, stream, threads)
        sound_track = media.sound_track(container) if sound else None
        reel = open_reel(value, container, track, sound_track, sampling)
        pick = sampling.pick(reel.times, reel.end, rng)
        scaler = FrameScaler(size, fit, float(track.sample_aspect_ratio or 1))
        chosen = shown_at(_decoded(track, reel, pick.times), pick.times, pick.once)
        frames, times = _converted(chosen, scaler, len(pick.times))
        if sound_track is None:
            return Clip(frames, times, None, 0)
        # The sound counts from where the video track is placed: some containers date pictures by their decoding.
        zero = reel.zero if track.start_time is None else float(track.start_time * track.time_base)
        end = zero + (sampling.stop if pick.end >= reel.end else pick.end)
        begin = zero + pick.begin
        samples, rate = media.decode_sound(reel.sound_packets(begin), sound_track, begin, end)
        return Clip(frames, times, samples.mean(axis=1), rate)


def clip_info(value, *, stream: int = 0) -> ClipInfo:
    """Length, size and rates of a video, from its header.

    Args:
        value: a path or the bytes of a file.
        stream: which of several video tracks.
    """
    with media.open_container(value) as container:
        track = media.video_track(container, stream)
        sound = media.sound_track(container)
        seconds = float(track.duration * track.time_base) if track.duration else (container.duration or 0) / 1e6
        return ClipInfo(
            seconds,
            track.frames,
            1 / frame_interval(track),
            track.codec_context.height,
            track.codec_context.width,
            sound.codec_context.sample_rate if sound else 0,
        )


def _decoded(track, reel, times):
    """Pairs (time, frame) of a reel, as far as they are needed."""
    av = media.import_av("Reading videos")
    context, count = track.codec_context, 0
    begun = track.container.format.name in media.EDITED

    def decode(packet):
        nonlocal count, begun
        begun = begun or packet is None or packet.is_keyframe
        try:
            frames = context.decode(packet)
        except av.error.FFmpegError as error:
            # A video cut out of a longer one begins with pictures that lean on what was before them.
            if not begun:
                return
            what = f"the video cannot be decoded beyond {count} frames" if count else "no frame can be decoded"
            raise ValueError(f"{what}: {media.reason(error)}") from error
        for frame in frames:
            stamp = media.stamp(frame, track)
            yield (count * reel.interval if stamp is None else stamp - reel.zero), frame
            count += 1

    for packet in reel.packets(times):
        yield from decode(packet)
        if packet is None:
            context.flush_buffers()
    yield from decode(None)


def _converted(chosen, scaler, limit):
    """Frames and times of pairs (time, frame), at most `limit` of them."""
    frames, times, last = None, [], None
    for time, frame in chosen:
        if frames is None:
            first = scaler.write(frame)
            # Zeros cost nothing until they are written; black borders stay.
            frames = np.zeros((limit, *first.shape), "uint8")
            frames[0] = first
        elif frame is last:
            frames[len(times)] = frames[len(times) - 1]
        else:
            scaler.write(frame, frames[len(times)])
        last = frame
        times.append(time)
    if frames is None:
        raise ValueError("no frame can be decoded")
    return frames[: len(times)], np.array(times)
