"""Pictures are resized alike by NumPy and by the graph, with weights that can be worked out by hand."""

import numpy as np
import pytest

from mmkeras.preprocessing.resizing import FITS, resize_image

RNG = np.random.default_rng(0)


def test_bilinear_by_hand():
    """Rows 0 and 80 on four rows: a quarter of the way in lie 0.75 * 0 + 0.25 * 80 = 20, then 60; the ends stay."""
    image = np.array([0, 80], "uint8").reshape(2, 1, 1) * np.ones((1, 1, 3), "uint8")
    assert resize_image(image, (4, 1), "stretch")[:, 0, 0].tolist() == [0, 20, 60, 80]
    assert resize_image(image.transpose(1, 0, 2), (1, 4), "stretch")[0, :, 2].tolist() == [0, 20, 60, 80]
    # Halves are rounded up: between 0 and 5 lie 1.25 and 3.75, in their middle 2.5.
    assert resize_image(image // 16, (1, 1), "stretch").tolist() == [[[3, 3, 3]]]


def test_a_triangle_where_pixels_are_merged_by_hand():
    """Twelve rows become three, each a mean with weights 1 - distance / 4, and only row 4 is bright.

    Its middle, 4.5, is 2.5 from that of the first new row (2), which has the weights 5/8 + 7/8 + 7/8 + 5/8 + 3/8 + 1/8
    = 3.5 in all: 224 * 0.375 / 3.5 = 24. From the second (6) it is 1.5 away: 224 * 0.625 / 4 = 35. The third is far.
    """
    image = np.zeros((12, 1, 3), "uint8")
    image[4] = 224
    assert resize_image(image, (3, 1), "stretch")[:, 0, 0].tolist() == [24, 35, 0]


def test_what_has_the_size_stays():
    image = RNG.integers(0, 256, (5, 7, 3), dtype="uint8")
    for fit in FITS:
        np.testing.assert_array_equal(resize_image(image, (5, 7), fit), image)
    floats = np.array([-3.0, 0.4, 0.5, 254.6, 300.0]).repeat(3).reshape(5, 1, 3)
    assert resize_image(floats, (5, 1), "crop")[:, 0, 0].tolist() == [0, 0, 1, 255, 255]


def test_fits():
    image = np.zeros((20, 60, 3), "uint8")
    image[:, 20:40] = 200
    assert (resize_image(image, (10, 10), "crop") == 200).all()
    padded = resize_image(image, (60, 60), "pad")
    assert padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[20:40], image)
    assert not padded[:20].any()
    assert not padded[40:].any()
    # What is far wider than high keeps one row.
    assert resize_image(np.full((1, 90, 3), 9, "uint8"), (5, 5), "pad")[:, 2, 0].tolist() == [0, 0, 9, 0, 0]


@pytest.mark.tensorflow
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((48, 64), (96, 128)),
        ((37, 53), (101, 77)),
        ((40, 40), (100, 100)),
        ((150, 150), (100, 100)),
        ((100, 151), (67, 100)),
        ((448, 448), (224, 224)),
        ((449, 448), (224, 224)),
        ((500, 700), (100, 140)),
        ((501, 703), (99, 141)),
        ((50, 400), (90, 70)),
        ((1, 1), (5, 4)),
        ((9, 1), (3, 9)),
        ((300, 2), (7, 1)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_graph_does_the_same(given, size, fit, dtype):
    """Within one level, and different at all only where rounding in float32 decides: 1.2 of 100 values at most."""
    import tensorflow as tf

    from mmkeras.preprocessing.resizing import resize_image_graph

    image = RNG.uniform(0, 255.99, (*given, 3)).astype(dtype)
    expected = resize_image_graph(tf.constant(image), size, fit).numpy()
    got = resize_image(image, size, fit)
    assert (got.shape, got.dtype) == ((*size, 3), expected.dtype)
    differences = np.abs(got.astype(int) - expected)
    assert differences.max() <= 1
    assert differences.mean() < 0.02
