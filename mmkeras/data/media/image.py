"""Pictures in files, bytes and arrays, opened with Pillow."""

import contextlib
import io
import os
from collections.abc import Iterator

import numpy as np


def read_bytes(value) -> bytes:
    """Bytes of a file, or the bytes themselves; an error for what is missing or empty.

    Args:
        value: a path (str or os.PathLike) or bytes.
    """
    if isinstance(value, (str, os.PathLike)):
        try:
            with open(value, "rb") as file:
                value = file.read()
        except FileNotFoundError:
            raise ValueError(f"no such file: {os.fspath(value)!r}") from None
        except OSError as error:
            raise ValueError(f"cannot read {os.fspath(value)!r}: {error.strerror}") from None
    if not isinstance(value, bytes):
        raise ValueError(f"expected a path or bytes. Received: {type(value).__name__}")
    if not value:
        raise ValueError("the file is empty (0 bytes)")
    return value


def load_image(value) -> np.ndarray:
    """Picture as a uint8 array (height, width, 3), turned upright by its EXIF tag; first frame of an animation.

    Args:
        value: a path, bytes, or an array (height, width) or (height, width, 1, 3 or 4).
    """
    if isinstance(value, np.ndarray):
        return check_image_array(value)
    with opened_image(read_bytes(value)) as image:
        _, image_ops = import_pillow("Reading pictures in Python")
        return image_levels(image_ops.exif_transpose(image))


@contextlib.contextmanager
def opened_image(data: bytes) -> Iterator:
    """A picture opened by Pillow; a ValueError that says why where it cannot be opened or decoded.

    Args:
        data: the bytes of a file.
    """
    image_module, _ = import_pillow("Reading pictures in Python")
    try:
        with image_module.open(io.BytesIO(data)) as image:
            yield image
    except image_module.UnidentifiedImageError:
        raise ValueError("not a readable picture: the format is unknown") from None
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise ValueError(f"not a readable picture: {error}") from None


def image_levels(image) -> np.ndarray:
    """A picture that Pillow opened as a uint8 array (height, width, 3)."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        # Pillow clips 16-bit grey levels at 255; take their higher byte as every other reader does.
        grey = np.round(np.asarray(image)) if image.mode == "F" else np.asarray(image) // 256
        return check_image_array(np.clip(grey, 0, 255).astype("uint8"))
    return np.asarray(image.convert("RGB"))


def check_image_array(array) -> np.ndarray:
    """Array of three channels from one of (height, width) or (height, width, 1, 3 or 4); values stay as they are."""
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"expected a picture (height, width, channel) of 1, 3 or 4 channels. Received: {array.shape}")
    if array.dtype.kind not in "uif":
        raise ValueError(f"expected a picture of numbers in 0..255. Received: dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("the picture holds NaN or infinite values")
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array[:, :, :3]


def import_pillow(what):
    """Import Pillow or say what needs it."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(f"{what} needs Pillow: pip install 'mmkeras[media]'") from error
    return Image, ImageOps
