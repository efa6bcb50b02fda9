"""Look at a picture: its size, its colours, what is odd about it, or why it cannot be opened."""

import io
import os

import numpy as np

from mmkeras.data.media.image import check_image_array, import_pillow, load_image, read_bytes
from mmkeras.data.report.look import Look
from mmkeras.data.report.sniffing import sniff

_MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey, alpha",
    "P": "palette",
    "PA": "palette, alpha",
    "RGBA": "RGB, alpha",
    "F": "grey, float",
}
_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8")
_ORIENTATION = 0x0112
# Pillow warns of more pixels than this, and refuses twice as many.
_HUGE_PIXELS = 89_478_485


def look_at_image(value) -> Look:
    """A picture: path, bytes or array."""
    if isinstance(value, np.ndarray):
        pixels = check_image_array(value)
        marks = ("0..1 range",) if value.dtype.kind == "f" and 0 < value.max() <= 1 else ()
        return _picture(pixels, marks, {"mode": f"array, {value.dtype}"})
    data = read_bytes(value)
    image_module, _ = import_pillow("Looking at pictures")
    try:
        with image_module.open(io.BytesIO(data)) as image:
            marks, tags = _header(image, data, value)
    except image_module.UnidentifiedImageError:
        what = "a broken picture" if data.startswith(_STARTS) else "not a picture"
        raise ValueError(f"{what}: {sniff(data)}") from None
    except image_module.DecompressionBombError as error:
        raise ValueError(f"too many pixels to be opened safely: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a readable picture: {error}") from None
    return _picture(load_image(data), marks, tags)


def _header(image, data, value):
    # The header of a PNG tells its depth, which Pillow cuts to 8 bits where there are several channels.
    is_deep = image.mode.startswith("I") or (image.format == "PNG" and data[24] == 16)
    # A PNG without the tag in its header would be decoded as a whole to look for it behind the pixels.
    exif = {} if image.format == "PNG" and "exif" not in image.info else image.getexif()
    extension = os.path.splitext(os.fspath(value))[1].lower() if not isinstance(value, bytes) else ""
    known = _EXTENSIONS.get(image.format, ())
    marks = {
        "rotated": exif.get(_ORIENTATION, 1) in range(2, 9),
        # Phones store a second view in one JPEG; that is no animation.
        "animated": image.format != "MPO" and getattr(image, "is_animated", False),
        "cmyk": image.mode == "CMYK",
        "16-bit": is_deep,
        "alpha": image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info,
        "huge": image.width * image.height > _HUGE_PIXELS,
        "wrong extension": bool(extension and known and extension not in known),
    }
    mode = "grey" if image.mode.startswith("I") else _MODES.get(image.mode, image.mode)
    tags = {"mode": f"{mode}, 16-bit" if is_deep else mode, "format": image.format or "unknown"}
    return tuple(mark for mark, is_so in marks.items() if is_so), tags


def _picture(pixels, marks, tags):
    height, width = pixels.shape[:2]
    # A coarse grid first: most pictures differ there already.
    is_blank = all((part == part[0, 0]).all() for part in (pixels[::16, ::16], pixels))
    sizes = {"width": width, "height": height, "width / height": round(width / height, 3)}
    return Look(sizes, tags, (*marks, "blank") if is_blank else marks)
