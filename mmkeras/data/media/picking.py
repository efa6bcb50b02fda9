"""Which frames of a clip are taken."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, final

import numpy as np

METHODS = ("uniform", "random", "stride")
# Time stamps are sums of fractions: two that are closer than this are one.
SAME_TIME = 1e-6


class Pick(NamedTuple):
    """Times whose frames are wanted, whether no frame may be taken twice, and the span they stand for."""

    times: np.ndarray
    once: bool
    begin: float
    end: float


@final
@dataclasses.dataclass(frozen=True)
class FrameSampling:
    """Which frames are taken from which span of a clip.

    The frame of a moment is the one shown then, so that a variable frame rate is no special case. A clip of fewer
    frames than asked for gives each of them once.

    Args:
        num_frames: how many frames; None for all.
        method: `"uniform"` cuts the span into `num_frames` equal parts and takes the middle of each; `"random"` takes
            a random moment of each part (the middle without a generator); `"stride"` takes every `stride`-th frame
            from the beginning of the span.
        stride: frames from one to the next, for `"stride"`.
        start: where the span begins, in seconds from the first picture.
        seconds: length of the span; None for the rest of the clip.
        moment: where in each part the frame is taken if not at random, from 0 (its beginning) to 1.

    Example:

    >>> FrameSampling(2).pick(np.arange(100) / 25, 4.0).times.tolist()
    [1.0, 3.0]
    """

    num_frames: int | None = None
    method: str = "uniform"
    stride: int = 1
    start: float = 0.0
    seconds: float | None = None
    moment: float = 0.5

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"`sampling` must be one of {METHODS}. Received: {self.method!r}")
        for name, value in (("num_frames", self.num_frames), ("stride", self.stride)):
            if value is not None and (value != int(value) or value < 1):
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
        if self.start < 0 or (self.seconds is not None and self.seconds <= 0):
            raise ValueError(
                f"`start` must be 0 or more, `seconds` positive. Received: start={self.start}, seconds={self.seconds}"
            )
        if not 0 <= self.moment < 1:
            raise ValueError(f"`moment` must lie in [0, 1). Received: moment={self.moment}")

    @property
    def stop(self) -> float:
        """Time at which the span ends at the latest."""
        return float("inf") if self.seconds is None else self.start + self.seconds

    def pick(self, times: np.ndarray, end: float, rng: np.random.Generator | None = None) -> Pick:
        """Choose among frames.

        Args:
            times: times of all frames, in seconds, sorted.
            end: time at which the last frame ends.
            rng: generator for random moments.
        """
        stop = min(self.stop, end)
        if self.start >= stop:
            raise ValueError(f"the span begins where the clip is over. Received: start={self.start} of {end:.2f} s")
        inside = times[(times >= self.start - SAME_TIME) & (times < stop - SAME_TIME)]
        if self.method == "stride":
            taken = inside[:: self.stride][: self.num_frames]
            following = len(taken) * self.stride
            stop = float(inside[following]) if following < len(inside) else stop
            return Pick(taken if len(taken) else np.array([self.start]), True, self.start, stop)
        if self.num_frames is None or self.num_frames >= len(inside):
            return Pick(inside if len(inside) else np.array([self.start]), True, self.start, stop)
        part = (stop - self.start) / self.num_frames
        at_random = rng is not None and self.method == "random"
        within = rng.random(self.num_frames) if at_random else self.moment
        return Pick(self.start + (np.arange(self.num_frames) + within) * part, False, self.start, stop)

    def pick_indices(self, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """Choose among `count` frames that have no times; a span in seconds is then an error."""
        if self.start or self.seconds is not None:
            raise ValueError("`start` and `seconds` choose a span of a video file; single frames have no times")
        return np.floor(self.pick(np.arange(count, dtype="float64"), float(count), rng).times).astype("int64")


def shown_at(frames: Iterable[tuple[float, Any]], times: np.ndarray, once: bool) -> Iterator[tuple[float, Any]]:
    """The frame shown at each of some times, as (its own time, frame).

    Args:
        frames: pairs (time, frame) in order of time.
        times: sorted times.
        once: whether a frame that was taken is passed over the next time.
    """
    wanted = 0
    shown = taken = None
    for pair in frames:
        while wanted < len(times) and times[wanted] < pair[0] - SAME_TIME:
            # Before the first frame there is nothing to show but that frame.
            shown = shown or pair
            if not (once and shown is taken):
                yield shown
            taken = shown
            wanted += 1
        if wanted == len(times):
            return
        shown = pair
    for _ in times[wanted:]:
        if shown is not None and not (once and shown is taken):
            yield shown
        taken = shown
