"""Pictures decoded and resized inside a TensorFlow graph: the same operations in training and behind a server."""

from mmkeras.preprocessing.part import require_tensorflow

FITS = ("stretch", "crop", "pad")

# An EXIF block sits in one of the first segments; its directory follows at once. Thumbnails and maker notes may be
# long, but the directory with the orientation comes first.
_EXIF_BYTES = 8192
_MAX_ENTRIES = 64
_JPEG = b"\xff\xd8"
_ORIENTATION = 0x0112


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

    @tf.autograph.experimental.do_not_convert
    def other(data):
        return tf.cond(
            tf.equal(tf.strings.substr(data, 0, 2), _JPEG),
            turned_jpeg,
            lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
        )

    # An EXIF block stands at the beginning, or behind the JFIF block of fixed length. Most pictures have none and take
    # the short way; the long way is a function of its own, or its operations would be visited one by one all the same.
    start, exif, exif_after_jfif = tf.unstack(tf.strings.substr(data, [0, 6, 24], [2, 4, 4]))
    plain = tf.equal(start, _JPEG) & tf.not_equal(exif, b"Exif") & tf.not_equal(exif_after_jfif, b"Exif")
    apart = tf.function(other, experimental_attributes={"_noinline": True}, autograph=False)
    image = tf.cond(plain, lambda: _decode_jpeg(data, size), lambda: apart(data))
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

    def resized():
        # Bilinear weights reach two pixels: beyond a half they would skip some, and alias.
        shrinks = tf.reduce_any(given > 2 * target)
        return tf.cond(
            shrinks,
            lambda: tf.image.resize(image, target, antialias=True),
            lambda: tf.image.resize(image, target),
        )

    def levels(x):
        return tf.saturate_cast(tf.round(x), "uint8") if x.dtype != tf.uint8 else x

    image = tf.cond(tf.reduce_all(given == target), lambda: levels(image), lambda: levels(resized()))
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
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, _EXIF_BYTES), "uint8"), "int32")
    mark = tf.constant([ord(c) for c in "Exif"] + [0, 0])
    # Zeros behind the end let every read below stay inside the buffer.
    head = tf.pad(head, [(0, 2 * _EXIF_BYTES)])
    starts = tf.reduce_all(tf.signal.frame(head[:80], 6, 1) == mark, axis=-1)
    tiff = tf.cast(tf.argmax(starts), "int32") + 6
    little = head[tiff] == ord("I")

    def number(at, count):
        digits = tf.gather(head, tf.clip_by_value(at[..., tf.newaxis] + tf.range(count), 0, _EXIF_BYTES * 2))
        scale = 256 ** tf.range(count)
        return tf.reduce_sum(digits * tf.where(little, scale, scale[::-1]), axis=-1)

    directory = tiff + tf.clip_by_value(number(tiff + 4, 4), 0, _EXIF_BYTES)
    entries = directory + 2 + 12 * tf.range(_MAX_ENTRIES)
    found = (number(entries, 2) == _ORIENTATION) & (tf.range(_MAX_ENTRIES) < number(directory, 2))
    value = number(entries[tf.argmax(found)] + 8, 2)
    return tf.where(tf.reduce_any(starts) & tf.reduce_any(found) & (value >= 1) & (value <= 8), value, 1)


def _upright(image, orientation):
    tf = require_tensorflow("Decoding pictures")

    def turned():
        turned_over = tf.where(orientation >= 5, 1, 0)
        picture = tf.cond(turned_over == 1, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        # Mirrored left-right: 2, 3 and, after the transposition, 6, 7; upside down: 3, 4 and 7, 8.
        picture = tf.cond(_is_any(orientation, (2, 3, 6, 7)), lambda: picture[:, ::-1], lambda: picture)
        return tf.cond(_is_any(orientation, (3, 4, 7, 8)), lambda: picture[::-1], lambda: picture)

    return tf.cond(orientation == 1, lambda: image, turned)


def _is_any(value, options):
    tf = require_tensorflow("Decoding pictures")
    return tf.reduce_any(value == tf.constant(options))


def _centre_box(image, size):
    """The largest centred box of the picture that has the aspect ratio of `size`."""
    tf = require_tensorflow("Resizing pictures")
    height, width = size
    given = tf.shape(image)
    box_height = tf.minimum(given[0], tf.maximum(1, (2 * given[1] * height + width) // (2 * width)))
    box_width = tf.minimum(given[1], tf.maximum(1, (2 * given[0] * width + height) // (2 * height)))
    top, left = (given[0] - box_height) // 2, (given[1] - box_width) // 2
    return image[top : top + box_height, left : left + box_width]
