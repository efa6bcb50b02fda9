"""Film made worse: frames that were lost on the way."""

import dataclasses
import io
import os
from typing import final

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.media.image import import_pillow, load_image
from mmkeras.data.media.picking import FrameSampling
from mmkeras.data.media.video import read_clip

_FILLS = ("previous", "black")
# Not 0: frames of zeros are padding, which models do not look at.
_BLACK = 1


@final
@dataclasses.dataclass(frozen=True, repr=False)
class FrameDrop(Corruptor):
    """Lose frames of a film, whose length stays.

    A frame is lost with probability `severity`. The one before it is shown again (a film that stutters; at severity 1
    a still of the first frame), or black.

    Args:
        severity: number from 0 to 1.
        fill: what is shown instead, `"previous"` or `"black"`.
        num_frames: how many frames are read of a film's file, spread evenly; None for all, which of a long film may
            not fit into memory.

    Call arguments:
        value: array (frame, height, width, channel), list of frames (paths, bytes or arrays), or a film's path or
            bytes, of which the frames are read and the sound track is left behind.
        rng: NumPy generator.

    Example:

    >>> film = np.arange(1, 7).reshape(6, 1, 1, 1).astype("uint8")
    >>> FrameDrop(0.5)(film, np.random.default_rng(1)).ravel().tolist()
    [1, 2, 2, 4, 4, 4]
    """

    fill: str = dataclasses.field(default="previous", kw_only=True)
    num_frames: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if self.fill not in _FILLS:
            raise ValueError(f"`fill` must be one of {_FILLS}. Received: {self.fill!r}")
        if self.num_frames is not None and self.num_frames < 1:
            raise ValueError(f"`num_frames` must be at least 1, or None for all. Received: {self.num_frames!r}")

    def _apply(self, value, rng):
        frames = _frames_of(value, self.num_frames)
        lost = rng.random(len(frames)) < self.severity
        if self.fill == "black":
            if isinstance(frames, np.ndarray):
                return np.where(lost.reshape(-1, *[1] * (frames.ndim - 1)), frames.dtype.type(_BLACK), frames)
            return [_black(frame) if gone else frame for frame, gone in zip(frames, lost, strict=True)]
        # The first frame has none before it.
        shown = np.maximum.accumulate(np.where(lost, 0, np.arange(len(frames))))
        return frames[shown] if isinstance(frames, np.ndarray) else [frames[index] for index in shown]


def _frames_of(value, num_frames):
    if isinstance(value, (str, bytes, os.PathLike)):
        return read_clip(value, FrameSampling(num_frames), sound=False).frames
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim in (3, 4)):
        return value
    raise ValueError(
        "FrameDrop takes a film: a path, bytes, an array (frame, height, width, channel) or a list of frames. "
        f"Received: {type(value).__name__}{getattr(value, 'shape', '')}"
    )


def _black(frame):
    """A black picture like another, as a file where that is one."""
    black = np.full_like(load_image(frame), _BLACK)
    if isinstance(frame, np.ndarray):
        return black
    image_module, _ = import_pillow("FrameDrop")
    file = io.BytesIO()
    image_module.fromarray(black).save(file, "png")
    return file.getvalue()
