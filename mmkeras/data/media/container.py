"""Files that hold sound and video tracks, opened with PyAV; times count from the first picture."""

import contextlib
import io
import os
from collections.abc import Iterator

import numpy as np

# Packets of smaller files are kept while a clip is read: opening a container twice can cost more than decoding it.
KEPT_BYTES = 2**26
# Formats whose tracks begin with a key picture, whoever cuts them; in the others a cut may fall anywhere.
EDITED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# An audio decoder finds its level within this time, the longest reach back of an mp3 frame.
_PREROLL = 0.25
# Time stamps of sound are rounded in many containers; only a jump of this length is a gap.
_GAP = 0.05
# A longer gap is a broken time stamp: no silence of hours is made up for it.
_LONGEST_GAP = 600.0
# A header that promises this much more than there is, in seconds and as a share, tells of a file cut off.
_MISSING = 0.5
_MISSING_SHARE = 0.05
# So much where the header counts the packets and they are too few.
_SHORT = 0.1


@contextlib.contextmanager
def open_container(value) -> Iterator:
    """Open a container for reading.

    Args:
        value: a path (str or os.PathLike) or the bytes of a file.
    """
    av = import_av("Reading videos and their sound")
    if isinstance(value, (str, os.PathLike)):
        # An absolute path cannot be taken for the name of a protocol: "take:2.mp4" is a file here.
        source = os.path.abspath(os.fspath(value))
        if not os.path.isfile(source):
            raise ValueError(f"no such file: {os.fspath(value)!r}")
        size, protocols = os.path.getsize(source), "file"
    elif isinstance(value, bytes):
        # Bytes may come from anywhere; were they a playlist, they must open nothing.
        source, size, protocols = io.BytesIO(value), len(value), "data"
    else:
        raise ValueError(f"expected a path or bytes. Received: {type(value).__name__}")
    if not size:
        raise ValueError("the file is empty (0 bytes)")
    try:
        # Tags in old encodings are no reason to refuse a file.
        container = av.open(source, metadata_errors="ignore", options={"protocol_whitelist": protocols})
    except (av.error.FFmpegError, OSError, MemoryError) as error:
        raise ValueError(f"not a readable sound or video: {reason(error)}") from error
    with container:
        yield container


def video_track(container, number=0, threads=0):
    """Track `number` of the moving pictures, to be decoded by so many threads; a cover picture is none."""
    av = import_av("Reading videos")
    cover = av.stream.Disposition.attached_pic
    tracks = [track for track in container.streams.video if not track.disposition & cover]
    if not tracks:
        found = sorted({track.type for track in container.streams})
        raise ValueError(f"no video track: the file holds {' and '.join(found) or 'nothing'}")
    if not 0 <= number < len(tracks):
        raise ValueError(f"the file has {len(tracks)} video tracks. Received: stream={number}")
    if tracks[number].codec_context is None:
        raise ValueError("the video is in a format that cannot be decoded")
    tracks[number].thread_type = "AUTO"
    tracks[number].codec_context.thread_count = threads
    return tracks[number]


def sound_track(container):
    """The first sound track that can be decoded, or None."""
    return next((track for track in container.streams.audio if track.codec_context is not None), None)


def zero_time(container) -> float:
    """Time stamp of the first picture, or of the first sound where there are no pictures, in seconds."""
    try:
        track = video_track(container)
    except ValueError:
        track = sound_track(container)
    if track is None or track.start_time is None:
        return 0.0
    return float(track.start_time * track.time_base)


def stamp(item, track):
    """Presentation time of a packet or frame of a track in seconds, None if the file does not say."""
    ticks = item.dts if item.pts is None else item.pts
    return None if ticks is None else float(ticks * track.time_base)


class Packets:
    """The packets of some tracks in file order, to be gone through once.

    It remembers how far each track goes, to tell a file that was cut off.

    Args:
        container: the open container.
        tracks: the tracks.
    """

    def __init__(self, container, *tracks):
        self.container = container
        # The header of a matroska file tells the length of the whole: every track has to be looked at.
        self.all_tracks = container.format.name == EDITED[1]
        self.tracks = () if self.all_tracks else tracks
        self.counts = {}
        self.ends = {}

    def __iter__(self):
        av = import_av("Reading videos and their sound")
        try:
            for packet in self.container.demux(*self.tracks):
                if packet.size:
                    self._note(packet)
                    yield packet
        except av.error.FFmpegError as error:
            count = sum(self.counts.values())
            raise ValueError(f"the file cannot be read beyond {count} packets: {reason(error)}") from error
        except IndexError:
            # PyAV 18 stumbles at the end of a file over tracks that were not there at its beginning.
            return

    def _note(self, packet):
        index, time = packet.stream.index, stamp(packet, packet.stream)
        self.counts[index] = self.counts.get(index, 0) + 1
        if time is not None:
            end = time + float((packet.duration or 0) * packet.stream.time_base)
            self.ends[index] = max(self.ends.get(index, end), end)

    def check(self, track, what):
        """A ValueError if the file holds less of the track, or of all, than its header promises."""
        count, missing = self.counts.get(track.index, 0), 0.0
        if self.all_tracks and self.container.duration is not None and self.ends:
            promised = ((self.container.start_time or 0) + self.container.duration) / 1e6
            missing = promised - max(self.ends.values())
            if missing <= max(_MISSING, _MISSING_SHARE * self.container.duration / 1e6):
                missing = 0.0
        if track.frames > count and track.duration:
            # Packets cut off by an edit list are missing rightly: only time that is missing too tells of a broken file.
            promised = float(((track.start_time or 0) + track.duration) * track.time_base)
            gap = promised - self.ends.get(track.index, 0.0)
            missing = max(missing, gap if gap > max(_SHORT, 1.5 * promised / track.frames) else 0.0)
        if missing:
            of = f" of {track.frames}" if track.frames else ""
            raise ValueError(f"the {what} breaks off after {count}{of} packets: {missing:.2f} s are missing")


def decode_sound(packets, track, begin: float, end: float) -> tuple[np.ndarray, int]:
    """Decode a span of a sound track, laid out by its time stamps.

    Args:
        packets: packets in file order; those of other tracks are passed over.
        track: the sound track.
        begin: time stamp of the first sample; where the sound begins later, silence stands before it.
        end: time stamp that ends the span, infinite for the end of the sound.

    Returns:
        float32 array (sample, channel), and the sample rate.
    """
    layout = _Layout(track, begin, end)
    for packet in packets:
        if packet.stream.index != track.index:
            continue
        time = stamp(packet, track)
        if time is not None and time >= end:
            break
        if time is None or time + float((packet.duration or 0) * packet.time_base) >= begin - _PREROLL:
            layout.add(packet)
    layout.add(None)
    return layout.samples(), layout.rate


class _Layout:
    """Puts decoded pieces of sound where their time stamps say."""

    def __init__(self, track, begin, end):
        self.track = track
        self.begin = begin
        self.rate = track.codec_context.sample_rate
        if not self.rate:
            raise ValueError("the sound track has no sample rate")
        self.length = None if end == float("inf") else round((end - begin) * self.rate)
        self.pieces = []
        self.position = None
        self.first = None

    def add(self, packet):
        av = import_av("Reading sound")
        if self.first is None and packet is not None:
            self.first = stamp(packet, self.track) or 0.0
        try:
            frames = self.track.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            # Sound cut out of a longer piece begins with packets that lean on what was before them.
            time = None if packet is None else stamp(packet, self.track)
            if self.position is None and time is not None and time < self.first + _PREROLL:
                return
            seconds = max(0, self.position or 0) / self.rate
            raise ValueError(f"the sound breaks off after {seconds:.2f} s: {reason(error)}") from error
        for frame in frames:
            self._place(frame)

    def _place(self, frame):
        if frame.sample_rate != self.rate:
            raise ValueError(f"the sound changes its sample rate from {self.rate} to {frame.sample_rate}")
        samples, time = _frame_samples(frame), stamp(frame, self.track)
        at = self.position if time is None else round((time - self.begin) * self.rate)
        if (at or 0) - (self.position or 0) > _LONGEST_GAP * self.rate:
            raise ValueError(f"the sound has a gap of {(at - (self.position or 0)) / self.rate:.0f} s")
        if self.position is None:
            self.position = at = at or 0
            if at > 0:
                self.pieces.append(np.zeros((at, samples.shape[1]), "float32"))
        if at - self.position > _GAP * self.rate:
            self.pieces.append(np.zeros((at - max(0, self.position), samples.shape[1]), "float32"))
            self.position = at
        elif self.position - at > _GAP * self.rate:
            samples = samples[self.position - at :]
        before = max(0, -self.position)
        if before < len(samples):
            self.pieces.append(samples[before:])
        self.position += len(samples)

    def samples(self):
        channels = max([piece.shape[1] for piece in self.pieces], default=1)
        whole = np.zeros((sum(map(len, self.pieces)), channels), "float32")
        start = 0
        for piece in self.pieces:
            # A channel that appears midway was silent before.
            whole[start : start + len(piece), : piece.shape[1]] = piece
            start += len(piece)
        return whole[: self.length]


def _frame_samples(frame):
    """float32 samples (sample, channel) of a decoded piece of sound."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels))
    if samples.dtype.kind == "f":
        return samples.astype("float32")
    if samples.dtype.kind == "u":
        return (samples.astype("float32") - 128) / 128
    return samples.astype("float32") / -float(np.iinfo(samples.dtype).min)


def reason(error) -> str:
    """What PyAV says is wrong, without its codes."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def import_av(what):
    """Import PyAV or say what needs it."""
    try:
        import av
    except ImportError as error:
        raise ImportError(f"{what} needs PyAV: pip install 'mmkeras[media]'") from error
    return av
