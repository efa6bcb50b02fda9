"""Decoded frames brought to RGB, to a size, and upright."""

from typing import final

import numpy as np

from mmkeras.data.media.container import import_av

FITS = ("stretch", "crop", "pad")


@final
class FrameScaler:
    """Converts decoded frames, all to the size of the first if none is asked for.

    Frames are turned upright as the file says; pixels that are not square count when the aspect ratio is kept.

    Args:
        size: (height, width), or None.
        fit: `"stretch"` changes the aspect ratio, `"crop"` keeps it and cuts what stands out on either side, `"pad"`
            keeps it and fills with black.
        pixel_aspect: width of a pixel over its height.
    """

    def __init__(self, size=None, fit="stretch", pixel_aspect=1.0):
        if fit not in FITS:
            raise ValueError(f"`fit` must be one of {FITS}. Received: fit={fit!r}")
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"`size` must be a positive (height, width) or None. Received: size={size}")
        self.size = None if size is None else tuple(map(int, size))
        self.fit = fit
        self.pixel_aspect = pixel_aspect
        # One converter for the clip: setting one up costs as much as a small frame.
        self._converter = import_av("Reading videos").video.reformatter.VideoReformatter()

    def write(self, frame, out=None):
        """Write a frame into `out`, uint8 (height, width, 3) and zeros so far; make it if None."""
        turns = round(frame.rotation / 90) % 4
        height, width = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
        if self.size is None:
            self.size = height, width
        if out is None:
            out = np.zeros((*self.size, 3), "uint8")
        aspect = 1 / self.pixel_aspect if turns % 2 else self.pixel_aspect
        scaled = scaled_size((height, width * aspect), self.size, self.fit)
        # Whoever reads clips reads several at once: threads within one frame would only wait for each other.
        rgb = self._converter.reformat(frame, *(scaled if turns % 2 else scaled[::-1]), "rgb24", threads=1)
        plane = rgb.planes[0]
        pixels = np.frombuffer(plane, "uint8").reshape(-1, plane.line_size)[: rgb.height, : 3 * rgb.width]
        pixels = np.rot90(pixels.reshape(rgb.height, rgb.width, 3), turns)
        source, target = _overlap(scaled[0], self.size[0]), _overlap(self.size[0], scaled[0])
        columns, target_columns = _overlap(scaled[1], self.size[1]), _overlap(self.size[1], scaled[1])
        out[target, target_columns] = pixels[source, columns]
        return out


def scaled_size(given, size, fit) -> tuple[int, int]:
    """Height and width to which a picture is scaled before it is cut or padded to `size`.

    Args:
        given: (height, width) of the picture.
        size: (height, width) wanted.
        fit: one of `FITS`.

    Example:

    >>> scaled_size((100, 200), (50, 50), "crop"), scaled_size((100, 200), (50, 50), "pad")
    ((50, 100), (25, 50))
    """
    if fit == "stretch":
        return tuple(size)
    ratios = [wanted / there for wanted, there in zip(size, given, strict=True)]
    scale = max(ratios) if fit == "crop" else min(ratios)
    limit = max if fit == "crop" else min
    return tuple(max(1, limit(wanted, round(there * scale))) for wanted, there in zip(size, given, strict=True))


def _overlap(length, other):
    """The part of an axis that a centred axis of another length covers."""
    first = max(0, length - other) // 2
    return slice(first, first + min(length, other))
