"""Pictures decoded by Pillow and in a TensorFlow graph: alike in training, behind a server and without TensorFlow."""

import re

import numpy as np

from mmkeras.data.media.image import image_levels, opened_image
from mmkeras.preprocessing.part import require_tensorflow

# Where an EXIF block lies and how long its first directory may be; thumbnails and maker notes follow behind.
_EXIF_BYTES = 8192
# The directory entry of the orientation, one short number, in either byte order.
_ORIENTATION = (
    r"\C*?Exif\x00\x00(?:II\x2a\x00\C*?\x12\x01\x03\x00\x01\x00\x00\x00(\C)"
    r"|MM\x00\x2a\C*?\x01\x12\x00\x03\x00\x00\x00\x01\x00(\C))\C*"
)
# Orientations from 5 on lie on their side. Once they stand, these are upside down and those mirrored.
_UPSIDE_DOWN, _MIRRORED = (3, 4, 7, 8), (2, 3, 6, 7)


def decode_image(data: bytes, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode the bytes of one JPEG, PNG, GIF or BMP into uint8 (height, width, 3), a JPEG upright by its EXIF tag.

    A JPEG far larger than `size` is decoded at a half, quarter or eighth, which its format makes cheap. Of an
    animation the first frame counts.

    Args:
        data: the bytes of a file.
        size: (height, width) below which the picture must not be decoded, or None for its full size.
    """
    orientation = _orientation(data)
    with opened_image(data) as image:
        if size is not None:
            height, width = size[::-1] if orientation >= 5 else size
            # Pillow takes the same of the four sizes as the graph does, and leaves other formats alone.
            image.draft(None, (width, height))
        if image.format == "GIF":
            # The graph gives the first frame without the canvas around it, and black where it is transparent.
            coloured = np.asarray(image.crop(image.tile[0][1]).convert("RGBA"))
            return coloured[..., :3] * (coloured[..., 3:] > 0)
        levels = image_levels(image)
    levels = levels.transpose(1, 0, 2) if orientation >= 5 else levels
    levels = levels[::-1] if orientation in _UPSIDE_DOWN else levels
    return levels[:, ::-1] if orientation in _MIRRORED else levels


def decode_image_graph(data, size=None):
    """What `decode_image` does, on a scalar string tensor."""
    tf = require_tensorflow("Decoding pictures")

    def turned_jpeg():
        orientation = _orientation_graph(data)
        turned_size = None if size is None else tf.where(orientation >= 5, size[::-1], size)
        return _upright(_decode_jpeg(data, turned_size), orientation)

    def other():
        return tf.io.decode_image(data, channels=3, expand_animations=False)

    # An EXIF block stands at the beginning, or behind the JFIF block of fixed length. Most pictures have none and take
    # the first way.
    head = tf.strings.substr(data, 0, 28)
    start, exif, exif_after_jfif = tf.unstack(tf.strings.substr(head, [0, 6, 24], [2, 4, 4]))
    is_jpeg = tf.equal(start, b"\xff\xd8")
    plain = is_jpeg & tf.not_equal(exif, b"Exif") & tf.not_equal(exif_after_jfif, b"Exif")
    image = tf.cond(plain, lambda: _decode_jpeg(data, size), lambda: tf.cond(is_jpeg, turned_jpeg, other))
    return tf.ensure_shape(image, (None, None, 3))


def _decode_jpeg(data, size):
    tf = require_tensorflow("Decoding pictures")
    if size is None:
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    fits = tf.reduce_min(tf.image.extract_jpeg_shape(data)[:2] // size)
    # Branch 0 decodes in full, 1 at a half, 2 at a quarter, 3 at an eighth.
    level = tf.cast(fits >= 2, "int32") + tf.cast(fits >= 4, "int32") + tf.cast(fits >= 8, "int32")
    ratios = [
        lambda r=r: tf.io.decode_jpeg(data, channels=3, ratio=r, dct_method="INTEGER_ACCURATE") for r in (1, 2, 4, 8)
    ]
    return tf.switch_case(level, ratios)


def _orientation(data):
    """The EXIF orientation 1..8 of a JPEG, 1 where it has none and for all other files."""
    if data[:2] != b"\xff\xd8" or b"Exif" not in (data[6:10], data[24:28]):
        return 1
    found = re.match(_ORIENTATION.replace(r"\C", ".").encode(), data[:_EXIF_BYTES], re.DOTALL)
    value = ord(found[1] or found[2]) if found else 1
    return value if 1 <= value <= 8 else 1


def _orientation_graph(data):
    """The EXIF orientation of what is known to be a JPEG."""
    tf = require_tensorflow("Decoding pictures")
    head = tf.strings.substr(data, 0, _EXIF_BYTES)
    value = tf.strings.regex_replace(head, _ORIENTATION, r"\1\2")
    # Without a match the bytes come back as they were.
    found = tf.strings.length(value) == 1
    value = tf.cast(tf.io.decode_raw(tf.where(found, value, b"\x01"), "uint8")[0], "int32")
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _upright(image, orientation):
    tf = require_tensorflow("Decoding pictures")
    image = tf.transpose(image, tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2]))
    flips = [[o in _UPSIDE_DOWN, o in _MIRRORED] for o in range(9)]
    return tf.reverse(image, tf.boolean_mask([0, 1], tf.gather(flips, orientation)))
