"""The packets of a video file, given out so that little more is decoded than the frames that are wanted."""

import itertools
import os

import numpy as np

from mmkeras.data.media import container as media
from mmkeras.data.media.picking import SAME_TIME

# Formats with an index. In the others a seek lands somewhere near, and may misdate the pictures from there on.
_INDEXED = (*media.EDITED, "avi")
# Wanted times that lie closer are reached faster by decoding on than by seeking.
_SEEK = 5.0
_GUESSED_RATE = 25.0
# So many packets hold the picture that is shown first.
_FIRST = 16
# Times that are estimated at most: those of a day and a half.
_MOST = 2**22


def open_reel(value, container, track, sound, sampling):
    """The reel of an open container: its packets kept in memory, or sought where the file is large and has an index."""
    size = len(value) if isinstance(value, bytes) else os.path.getsize(value)
    if size <= media.KEPT_BYTES or container.format.name not in _INDEXED:
        return KeptReel(container, track, sound)
    return SoughtReel(container, track, sound, sampling)


class KeptReel:
    """A file whose packets are all in memory.

    Attributes:
        zero: time stamp of the first picture.
        times: times of all pictures, from the first, sorted.
        end: time at which the last picture ends.
    """

    def __init__(self, container, track, sound):
        self.track = track
        self.interval = frame_interval(track)
        source = media.Packets(container, *filter(None, (track, sound)))
        packets = list(source)
        self.pictures = [packet for packet in packets if packet.stream.index == track.index and not packet.is_discard]
        self.sound = [packet for packet in packets if sound is not None and packet.stream.index == sound.index]
        source.check(track, "video")
        if not self.pictures:
            raise ValueError("the video has no frames")
        stamps = [media.stamp(packet, track) for packet in self.pictures]
        if None in stamps:
            # A bare stream tells no times: frames follow each other evenly.
            stamps = [index * self.interval for index in range(len(stamps))]
        self.stamps = np.array(stamps)
        self.zero = float(self.stamps.min())
        self.times = np.unique(self.stamps - self.zero)
        last = self.pictures[int(self.stamps.argmax())]
        self.end = float(self.times[-1]) + (float((last.duration or 0) * last.time_base) or self.interval)

    def packets(self, times):
        """Packets to decode for the frames shown at `times`; None where some were left out."""
        stamps = self.stamps - self.zero
        group = np.cumsum([packet.is_keyframe for packet in self.pictures])
        keys = np.flatnonzero(np.diff(group, prepend=0))
        key_times = stamps[keys]
        if not len(keys) or (np.diff(key_times) <= 0).any():
            yield from self.pictures
            return
        needed = np.zeros(group[-1] + 2, bool)
        needed[np.maximum(1, np.searchsorted(key_times, np.asarray(times) + SAME_TIME, side="right"))] = True
        # Pictures of a group may travel behind the key picture of the next.
        travels_behind = np.zeros(group[-1] + 2, bool)
        travels_behind[group[stamps < key_times[np.maximum(0, group - 1)]]] = True
        needed[1:] |= needed[:-1] & travels_behind[1:]
        needed[0] = needed[1]
        skipped = False
        for index, packet in enumerate(self.pictures):
            if not needed[group[index]]:
                skipped = True
                continue
            if skipped and index:
                yield None
            skipped = False
            yield packet

    def sound_packets(self, begin):
        """Packets of the sound from a time stamp on, or from earlier."""
        return self.sound


class SoughtReel:
    """A large file, in which the wanted places are sought; times are estimated from its header.

    Attributes:
        zero, times, end: as those of `KeptReel`.
    """

    def __init__(self, container, track, sound, sampling):
        self.container = container
        self.track = track
        self.sound = sound
        self.interval = frame_interval(track)
        first = [media.stamp(packet, track) or 0.0 for packet in itertools.islice(self._sought(track, None), _FIRST)]
        if not first:
            raise ValueError("the video has no frames")
        self.zero = min(first)
        inside = (sampling.stop - sampling.start) / self.interval
        if sampling.method == "stride" or (sampling.num_frames or np.inf) >= inside:
            self._find_times(sampling)
        else:
            self.end = self._find_end()
            self.times = np.linspace(0, self.end, min(_MOST, round(self.end / self.interval)), endpoint=False)
            if sampling.num_frames >= (self.end - sampling.start) / self.interval:
                self._find_times(sampling)

    def packets(self, times):
        """Packets to decode for the frames shown at `times`; None where some were left out."""
        runs = np.split(times, np.flatnonzero(np.diff(times) > _SEEK) + 1)
        for number, run in enumerate(runs):
            if number:
                yield None
            for packet in self._from(run[0]):
                if self._decoding_time(packet) > run[-1] + SAME_TIME:
                    break
                yield packet

    def sound_packets(self, begin):
        """Packets of the sound from a time stamp on, or from earlier."""
        return self._sought(self.sound, begin - 1)

    def _find_times(self, sampling):
        """The times of the pictures of the span, where each counts."""
        enough = np.inf
        if sampling.method == "stride" and sampling.num_frames is not None:
            enough = sampling.num_frames * sampling.stride + _FIRST
        found, inside = [], 0
        for packet in self._from(sampling.start):
            if self._decoding_time(packet) > sampling.stop or inside > enough:
                break
            found.append(self._time(packet))
            inside += found[-1] >= sampling.start
        self.times = np.unique(found or [0.0])
        self.end = float(self.times[-1]) + self.interval

    def _find_end(self):
        # What a header says of the length is often an estimate: the last packets know it.
        promised = (self.container.duration or 0) / 1e6
        for back in (_SEEK, 6 * _SEEK, promised):
            times = [self._time(packet) for packet in self._sought(self.track, self.zero + max(0.0, promised - back))]
            if times:
                return max(times) + self.interval
        return 0.0

    def _from(self, time):
        """Packets of the pictures from the last key picture before a time on."""
        for back in (0.0, _SEEK, 6 * _SEEK, None):
            stamp = None if back is None else self.zero + time - back
            packets = itertools.dropwhile(lambda packet: not packet.is_keyframe, self._sought(self.track, stamp))
            first = next(packets, None)
            if first is not None and (back is None or self._time(first) <= time + SAME_TIME):
                yield first
                yield from packets
                return

    def _sought(self, track, stamp):
        av = media.import_av("Reading videos")
        try:
            ticks = 0 if stamp is None else max(0, round(stamp / track.time_base))
            self.container.seek(ticks, stream=track)
        except av.error.FFmpegError as error:
            raise ValueError(f"the video cannot be searched: {media.reason(error)}") from error
        for packet in media.Packets(self.container, track):
            if packet.stream.index == track.index and not packet.is_discard:
                yield packet

    def _time(self, packet):
        stamp = media.stamp(packet, self.track)
        return 0.0 if stamp is None else stamp - self.zero

    def _decoding_time(self, packet):
        """No packet from here on is shown earlier."""
        return -np.inf if packet.dts is None else float(packet.dts * self.track.time_base) - self.zero


def frame_interval(track) -> float:
    """Seconds from one picture to the next, as the header says or as is usual."""
    rate = track.average_rate or track.guessed_rate
    return float(1 / rate) if rate else 1 / _GUESSED_RATE
