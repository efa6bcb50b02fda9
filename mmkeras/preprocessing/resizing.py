"""Pictures brought to a size, in NumPy and in a TensorFlow graph by the same formula.

Each pixel of the result is a mean of pixels around its centre, with weights that fall off evenly to both sides: over
two pixels (bilinear) down to a half of the size, over as many as are merged into one beyond that.
"""

import functools

import numpy as np

from mmkeras.preprocessing.part import require_tensorflow

FITS = ("stretch", "crop", "pad")


def resize_image(image: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Bring one picture (height, width, 3) to `size`, uint8.

    Args:
        image: uint8 or float array in 0..255.
        size: (height, width).
        fit: `"stretch"` changes the aspect ratio, `"crop"` keeps it and cuts what stands out on either side, `"pad"`
            keeps it and fills with black.

    Example:

    >>> resize_image(np.array([[[0, 8, 80]], [[4, 8, 40]]], "uint8"), (4, 1), "stretch")[:, 0].tolist()
    [[0, 8, 80], [1, 8, 70], [3, 8, 50], [4, 8, 40]]
    """
    if fit == "crop":
        top, left, box_height, box_width = _centre_box(np, *image.shape[:2], *size)
        image = image[top : top + box_height, left : left + box_width]
    given = np.array(image.shape[:2])
    target = np.array(size)
    if fit == "pad":
        # In float32, so that a half is rounded as the graph rounds it.
        scale = (target.astype("float32") / given.astype("float32")).min()
        target = np.clip(np.round(given.astype("float32") * scale).astype("int32"), 1, target)
    if image.dtype != "uint8":
        image = np.clip(image, 0, 255)
    if (given != target).any():
        image = _interpolated(image, given.tolist(), target.tolist())
    if image.dtype != "uint8":
        # Whole levels, half rounded up; interpolation cannot leave 0..255.
        image = (image + np.float32(0.5)).astype("uint8")
    if fit == "pad":
        before = (np.array(size) - target) // 2
        image = np.pad(image, [*zip(before, size - target - before, strict=True), (0, 0)])
    return image


def resize_image_graph(image, size, fit):
    """What `resize_image` does, on a tensor."""
    tf = require_tensorflow("Resizing pictures in a graph")
    height, width = size
    if fit == "crop":
        shape = tf.shape(image)
        top, left, box_height, box_width = _centre_box(tf, shape[0], shape[1], height, width)
        image = image[top : top + box_height, left : left + box_width]
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


def _centre_box(xp, given_height, given_width, height, width):
    """Top, left, height and width of the largest centred box that has the aspect ratio of (height, width).

    `xp` is the module that computes: numpy or tensorflow.
    """
    box_height = xp.minimum(given_height, xp.maximum(1, (2 * given_width * height + width) // (2 * width)))
    box_width = xp.minimum(given_width, xp.maximum(1, (2 * given_height * width + height) // (2 * height)))
    return (given_height - box_height) // 2, (given_width - box_width) // 2, box_height, box_width


def _interpolated(image, given, target):
    """float32 (height, width, 3) of another size."""
    antialias = any(old > 2 * new for old, new in zip(given, target, strict=True))
    rows, columns = (_weights(old, new, antialias) for old, new in zip(given, target, strict=True))
    squeezed = rows @ image.astype("float32").reshape(given[0], -1)
    return columns @ squeezed.reshape(target[0], given[1], 3)


@functools.lru_cache(maxsize=16)
def _weights(given, wanted, antialias):
    """Weight of each pixel of an axis in each pixel of the new axis, float32 (wanted, given), every row of sum 1."""
    ratio = given / wanted
    reach = max(1.0, ratio) if antialias else 1.0
    centres = (np.arange(wanted) + 0.5) * ratio
    distances = np.abs(np.arange(given) + 0.5 - centres[:, np.newaxis])
    weights = np.maximum(0, 1 - distances / reach)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
