"""Pictures decoded and resized inside a TensorFlow graph: the same operations in training and behind a server."""

from mmkeras.preprocessing.part import require_tensorflow

FITS = ("stretch", "crop", "pad")

# Where an EXIF block lies and how long its first directory may be; thumbnails and maker notes follow behind.
_EXIF_BYTES = 8192
# The directory entry of the orientation, one short number, in either byte order.
_ORIENTATION = (
    r"\C*?Exif\x00\x00(?:II\x2a\x00\C*?\x12\x01\x03\x00\x01\x00\x00\x00(\C)"
    r"|MM\x00\x2a\C*?\x01\x12\x00\x03\x00\x00\x00\x01\x00(\C))\C*"
)


def decode_image(data, size=None):
    """Decode the bytes of one JPEG, PNG, GIF or BMP into uint8 (height, width, 3), upright by its EXIF tag.

    A JPEG far larger than `size` is decoded at a half, quarter or eighth, which its format makes cheap. Of an
    animation the first frame counts.

    Args:
        data: scalar string tensor.
        size: (height, width) below which the picture must not be decoded, or None for its full size.
    """
    tf = require_tensorflow("Decoding pictures")

    def turned_jpeg():
        orientation = _orientation(data)
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


def resize_image(image, size, fit):
    """Bring one picture (height, width, 3) to `size`, uint8.

    Args:
        image: uint8 or float tensor in 0..255.
        size: (height, width).
        fit: `"stretch"` changes the aspect ratio, `"crop"` keeps it and cuts what stands out on either side, `"pad"`
            keeps it and fills with black.
    """
    tf = require_tensorflow("Resizing pictures")
    height, width = size
    if fit == "crop":
        image = _centre_box(image, size)
    given = tf.shape(image)[:2]
    target = tf.constant(size)
    if fit == "pad":
        scale = tf.reduce_min(tf.cast(target, "float32") / tf.cast(given, "float32"))
        target = tf.clip_by_value(tf.cast(tf.round(tf.cast(given, "float32") * scale), "int32"), 1, target)

    # The operations behind `tf.image.resize`, without its dozens of checks: they would cost as much as the work.
    def interpolated():
        batch = image[tf.newaxis]
        # Bilinear weights reach two pixels: beyond a half they would skip some, and alias.
        return tf.cond(
            tf.reduce_any(given > 2 * target),
            lambda: tf.raw_ops.ScaleAndTranslate(
                images=batch,
                size=target,
                scale=tf.cast(target, "float32") / tf.cast(given, "float32"),
                translation=(0.0, 0.0),
                kernel_type="triangle",
                antialias=True,
            ),
            lambda: tf.raw_ops.ResizeBilinear(images=batch, size=target, half_pixel_centers=True),
        )[0]

    def levels(x):
        # Whole levels, half rounded up; interpolation cannot leave 0..255.
        return x if x.dtype == tf.uint8 else tf.cast(x + 0.5, "uint8")

    if image.dtype != tf.uint8:
        image = tf.clip_by_value(image, 0.0, 255.0)
    image = tf.cond(tf.reduce_all(given == target), lambda: levels(image), lambda: levels(interpolated()))
    if fit == "pad":
        top, left = (height - target[0]) // 2, (width - target[1]) // 2
        image = tf.image.pad_to_bounding_box(image, top, left, height, width)
    return tf.ensure_shape(image, (height, width, 3))


def _decode_jpeg(data, size):
    tf = require_tensorflow("Decoding pictures")
    if size is None:
        return tf.io.decode_jpeg(data, channels=3)
    fits = tf.reduce_min(tf.image.extract_jpeg_shape(data)[:2] // size)
    # Branch 0 decodes in full, 1 at a half, 2 at a quarter, 3 at an eighth.
    level = tf.cast(fits >= 2, "int32") + tf.cast(fits >= 4, "int32") + tf.cast(fits >= 8, "int32")
    ratios = [lambda r=r: tf.io.decode_jpeg(data, channels=3, ratio=r) for r in (1, 2, 4, 8)]
    return tf.switch_case(level, ratios)


def _orientation(data):
    """The EXIF orientation 1..8 of a JPEG, 1 where it has none."""
    tf = require_tensorflow("Decoding pictures")
    head = tf.strings.substr(data, 0, _EXIF_BYTES)
    value = tf.strings.regex_replace(head, _ORIENTATION, r"\1\2")
    # Without a match the bytes come back as they were.
    found = tf.strings.length(value) == 1
    value = tf.cast(tf.io.decode_raw(tf.where(found, value, b"\x01"), "uint8")[0], "int32")
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _upright(image, orientation):
    tf = require_tensorflow("Decoding pictures")
    # Orientations 5 to 8 lie on their side; then upside down and mirrored, by orientation.
    image = tf.transpose(image, tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2]))
    flips = [[o in (3, 4, 7, 8), o in (2, 3, 6, 7)] for o in range(9)]
    return tf.reverse(image, tf.boolean_mask([0, 1], tf.gather(flips, orientation)))


def _centre_box(image, size):
    """The largest centred box of the picture that has the aspect ratio of `size`."""
    tf = require_tensorflow("Resizing pictures")
    height, width = size
    given = tf.shape(image)
    box_height = tf.minimum(given[0], tf.maximum(1, (2 * given[1] * height + width) // (2 * width)))
    box_width = tf.minimum(given[1], tf.maximum(1, (2 * given[0] * width + height) // (2 * height)))
    top, left = (given[0] - box_height) // 2, (given[1] - box_width) // 2
    return image[top : top + box_height, left : left + box_width]
