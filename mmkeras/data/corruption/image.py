"""Pictures made worse: blur, noise, a patch, JPEG, and less energy."""

import dataclasses
import io
from typing import final

import numpy as np

from mmkeras.data.corruption.corruptor import Corruptor
from mmkeras.data.media.image import import_pillow, load_image

# Shares of the shorter side, so that a digit of 28 pixels and a photo of 600 lose alike.
_WIDEST_BLUR = 0.08
_STRONGEST_NOISE = 0.5 * 255
_BEST_QUALITY = 95


class _ImageCorruptor(Corruptor):
    """A corruptor of pictures: paths, bytes, arrays, lists of them, and films as arrays, frame by frame."""

    def _apply(self, value, rng):
        if isinstance(value, (list, tuple)):
            return [self(item, rng) for item in value]
        if isinstance(value, np.ndarray) and value.ndim == 4:
            return np.stack([self._apply(frame, rng) for frame in value])
        return self._corrupt(_as_uint8(load_image(value)), rng)

    def _corrupt(self, image, rng):
        raise NotImplementedError


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ImageBlur(_ImageCorruptor):
    """Blur a picture, as a lens out of focus does.

    A Gaussian blur whose standard deviation is `severity` times 8 % of the shorter side.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: path, bytes, array (height, width[, channel]) or (frame, height, width, 3), or a list of pictures.
        rng: NumPy generator; not used.

    Output: uint8 array (height, width, 3), as from every corruptor of pictures.

    Example:

    >>> image = np.zeros((8, 8, 3), "uint8")
    >>> image[:, 4:] = 200
    >>> ImageBlur(1.0)(image, np.random.default_rng(0))[0, :, 0].tolist() != image[0, :, 0].tolist()
    True
    """

    def _corrupt(self, image, rng):
        image_module, filters = _import_filters()
        radius = self.severity * _WIDEST_BLUR * min(image.shape[:2])
        return np.array(image_module.fromarray(image).filter(filters.GaussianBlur(radius)))


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ImageNoise(_ImageCorruptor):
    """Add grain to a picture, as a sensor in the dark does.

    Gaussian noise whose standard deviation is `severity` times half the range of values, drawn for each pixel and
    channel, but for each pixel only where the picture is grey; what leaves 0..255 is clipped.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: path, bytes, array (height, width[, channel]) or (frame, height, width, 3), or a list of pictures.
        rng: NumPy generator.

    Example:

    >>> image = np.full((64, 64, 3), 128, "uint8")
    >>> noisy = ImageNoise(0.2)(image, np.random.default_rng(0))
    >>> bool(abs(noisy.std() - 0.2 * 127.5) < 1)
    True
    """

    def _corrupt(self, image, rng):
        # Colour averages out where a model reads grey levels, and would leave it an easier task.
        grey = (image == image[..., :1]).all()
        noise = rng.standard_normal((*image.shape[:2], 1 if grey else 3), dtype="float32")
        return _as_uint8(image + np.float32(self.severity * _STRONGEST_NOISE) * noise)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ImageOcclusion(_ImageCorruptor):
    """Hide a part of a picture behind a patch.

    The patch has the picture's proportions, covers the share `severity` of its area, and lies anywhere in it.

    Args:
        severity: number from 0 to 1.
        fill: grey level of the patch, 0..255.

    Call arguments:
        value: path, bytes, array (height, width[, channel]) or (frame, height, width, 3), or a list of pictures.
        rng: NumPy generator.

    Example:

    >>> image = np.zeros((10, 10, 3), "uint8")
    >>> hidden = ImageOcclusion(0.25, fill=255)(image, np.random.default_rng(0))
    >>> float((hidden == 255).mean())
    0.25
    """

    fill: int = dataclasses.field(default=128, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.fill <= 255:
            raise ValueError(f"`fill` must be a grey level from 0 to 255. Received: {self.fill!r}")

    def _corrupt(self, image, rng):
        top, left = rng.random(2)
        side = np.sqrt(self.severity)
        covered = image.copy()
        covered[_covered(top, side, image.shape[0]), _covered(left, side, image.shape[1])] = self.fill
        return covered


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ImageLowRank(_ImageCorruptor):
    """Remove energy from a picture, the fine and irregular parts first.

    The picture around its mean colour is a matrix (height, width * channel). Of its principal components the
    strongest stay that together hold the share `1 - severity` of the energy (the squared contrast); the last one to
    stay is scaled down so that the share is met exactly. At severity 1 the mean colour is left. Needs no other
    pictures, unlike a principal component analysis of a whole set, with which audio-visual digits are often degraded.
    The time grows with the cube of the shorter side: shrink large photos first.

    Args:
        severity: number from 0 to 1, the share of energy removed.

    Call arguments:
        value: path, bytes, array (height, width[, channel]) or (frame, height, width, 3), or a list of pictures.
        rng: NumPy generator; not used.

    Example:

    >>> image = np.random.default_rng(0).integers(60, 200, (24, 24, 3)).astype("uint8")
    >>> weak = ImageLowRank(0.75)(image, np.random.default_rng(0))
    >>> bool(abs(weak.var(axis=(0, 1)).sum() / image.var(axis=(0, 1)).sum() - 0.25) < 0.01)
    True
    """

    def _corrupt(self, image, rng):
        mean = image.mean(axis=(0, 1), dtype="float64").astype("float32")
        tall = image.shape[0] > image.shape[1]
        matrix = (image - mean).transpose((1, 0, 2) if tall else (0, 1, 2))
        shape = matrix.shape
        matrix = matrix.reshape(shape[0], -1)
        # The eigenvectors of the small square matrix are the singular vectors of the large one, at a fraction of the
        # time.
        energies, vectors = np.linalg.eigh(matrix @ matrix.T)
        energies, vectors = np.maximum(energies[::-1], 0), vectors[:, ::-1]
        left = (1 - self.severity) * energies.sum() - (np.cumsum(energies) - energies)
        kept = np.sqrt(np.clip(left / np.maximum(energies, 1e-12), 0, 1))
        weak = ((vectors * kept) @ (vectors.T @ matrix)).reshape(shape)
        return _as_uint8(weak.transpose((1, 0, 2) if tall else (0, 1, 2)) + mean)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class ImageJPEG(_ImageCorruptor):
    """Compress a picture until it shows.

    JPEG of quality `95 ** (1 - severity)`: 31 at severity 0.25, 10 at 0.5, 3 at 0.75, 1 at 1.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: path, bytes, array (height, width[, channel]) or (frame, height, width, 3), or a list of pictures.
        rng: NumPy generator; not used.

    Example:

    >>> image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype("uint8")
    >>> ImageJPEG(0.5)(image, np.random.default_rng(0)).shape
    (16, 16, 3)
    """

    def _corrupt(self, image, rng):
        image_module, _ = import_pillow("ImageJPEG")
        file = io.BytesIO()
        quality = round(_BEST_QUALITY ** (1 - self.severity))
        image_module.fromarray(image).save(file, "jpeg", quality=quality)
        return np.array(image_module.open(file).convert("RGB"))


def _as_uint8(image):
    return image if image.dtype == np.uint8 else np.clip(np.round(image), 0, 255).astype("uint8")


def _covered(start, share, length):
    """Slice of `share` of `length`; slices of larger shares with the same start hold it."""
    first = start * (1 - share) * length
    return slice(round(first), round(first + share * length))


def _import_filters():
    image_module, _ = import_pillow("ImageBlur")
    from PIL import ImageFilter

    return image_module, ImageFilter
