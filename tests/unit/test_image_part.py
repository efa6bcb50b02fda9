"""Pictures of every kind become the same upright RGB levels, whichever way they come in."""

import io

import keras
import numpy as np
import pytest

from mmkeras.preprocessing.image import Image

PIL = pytest.importorskip("PIL.Image")
SCENE = np.kron(np.arange(96).reshape(4, 8, 3).astype("uint8") * 2 + 20, np.ones((15, 10, 1), "uint8"))


def encoded(mode="RGB", form="PNG", array=SCENE, **options):
    image = PIL.fromarray(array)
    if mode == "I;16":
        image = PIL.fromarray(np.asarray(image.convert("L")).astype("uint16") * 257)
    elif mode != "RGB":
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def with_orientation(orientation, byte_order="<"):
    exif = PIL.Exif()
    exif.endian = byte_order
    exif[0x010F] = "a maker with a long name"
    exif[0x0112] = orientation
    return encoded(form="JPEG", exif=exif, quality=95)


def prepared(part, value):
    """What the graph makes of a value; NumPy makes the same of it, but that the two round a JPEG in other ways."""
    import tensorflow as tf

    wire = part.read(value)
    made = part.graph(tf.constant(wire)).numpy()
    differences = np.abs(part.array(wire).astype(int) - made)
    if isinstance(wire, bytes) and wire.startswith(b"\xff\xd8"):
        assert differences.mean() < 1.5
    else:
        # Half a level everywhere, as in a fine checkerboard, is rounded either way.
        assert differences.mean() < 0.05
        assert differences.max() <= 1
    return made


def turned(orientation):
    """What Pillow makes of orientation n, drawn by hand."""
    return {
        1: SCENE,
        2: SCENE[:, ::-1],
        3: SCENE[::-1, ::-1],
        4: SCENE[::-1],
        5: SCENE.transpose(1, 0, 2),
        6: SCENE[::-1].transpose(1, 0, 2),
        7: SCENE[::-1, ::-1].transpose(1, 0, 2),
        8: SCENE[:, ::-1].transpose(1, 0, 2),
    }[orientation]


@pytest.mark.tensorflow
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_pictures_upright(orientation, fit):
    part = Image((30, 40), fit=fit)
    data = with_orientation(orientation, "<" if orientation % 2 else ">")
    got, wanted = prepared(part, data).astype(float), prepared(part, turned(orientation)).astype(float)
    assert np.abs(got - wanted).mean() < 4
    assert np.abs(got - wanted[::-1]).mean() > 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_numpy_turns_pictures_upright(orientation):
    wanted = turned(orientation).astype(float)
    part = Image(wanted.shape[:2])
    for byte_order in "<>":
        got = part.array(part.read(with_orientation(orientation, byte_order)))
        assert np.abs(got - wanted).mean() < 3


@pytest.mark.tensorflow
def test_orientations_that_the_graph_does_not_see_change_nothing_in_numpy():
    exif = PIL.Exif()
    exif[0x0112] = 6
    data = encoded(form="JPEG", exif=exif)
    profile = b"\xff\xe2\x00\x10" + bytes(14)
    for value in (encoded(exif=exif), data[:2] + profile + data[2:], with_orientation(9)):
        assert np.abs(prepared(Image((60, 80)), value).astype(float) - SCENE).mean() < 3


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("mode", "form", "tolerance"),
    [
        ("RGB", "PNG", 0),
        ("L", "PNG", 0),
        ("LA", "PNG", 0),
        ("RGBA", "PNG", 0),
        ("P", "PNG", 0),
        ("1", "PNG", 0),
        ("I;16", "PNG", 0),
        ("RGB", "JPEG", 3),
        ("L", "JPEG", 3),
        ("CMYK", "JPEG", 3),
        ("P", "GIF", 0),
        ("RGB", "BMP", 0),
        ("RGBA", "BMP", 0),
        ("L", "BMP", 0),
        ("P", "BMP", 0),
        ("RGB", "WEBP", 3),
        ("RGBA", "WEBP", 3),
        ("RGB", "TIFF", 0),
        ("CMYK", "TIFF", 0),
    ],
)
def test_every_kind_of_file(mode, form, tolerance):
    data = encoded(mode, form)
    got = prepared(Image((60, 80)), data).astype(float)
    reference = PIL.open(io.BytesIO(data))
    if mode == "I;16":
        reference = PIL.fromarray((np.asarray(reference) // 257).astype("uint8"))
    assert np.abs(got - np.asarray(reference.convert("RGB"), float)).mean() <= tolerance


@pytest.mark.tensorflow
def test_transparency_is_dropped():
    alpha = np.linspace(0, 255, 80).astype("uint8") * np.ones((60, 1), "uint8")
    rgba = PIL.fromarray(np.dstack([SCENE, alpha]))
    for form in ("PNG", "WEBP"):
        buffer = io.BytesIO()
        rgba.save(buffer, form, lossless=True, exact=True)
        assert (prepared(Image((60, 80)), buffer.getvalue()) == SCENE).all()


@pytest.mark.tensorflow
def test_what_is_transparent_in_a_gif_is_black():
    alpha = np.kron([[0, 255], [255, 0]], np.ones((30, 40))).astype("uint8")
    buffer = io.BytesIO()
    PIL.fromarray(np.dstack([SCENE, alpha])).save(buffer, "GIF")
    assert (prepared(Image((60, 80)), buffer.getvalue()).any(axis=-1) == (alpha > 0)).all()


@pytest.mark.tensorflow
def test_sixteen_bits_lose_the_lower_byte():
    levels = np.arange(0, 65536, 13).astype("uint16")[:5040].reshape(63, 80)
    buffer = io.BytesIO()
    PIL.fromarray(levels).save(buffer, "PNG")
    got = prepared(Image((63, 80)), buffer.getvalue())
    np.testing.assert_array_equal(got, Image((63, 80)).array(buffer.getvalue()))
    np.testing.assert_array_equal(got[..., 1], levels >> 8)


@pytest.mark.tensorflow
def test_progressive_and_animated():
    part = Image((60, 80))
    assert np.abs(prepared(part, encoded(form="JPEG", progressive=True)).astype(float) - SCENE).mean() < 3
    frames = [PIL.fromarray(SCENE), PIL.fromarray(255 - SCENE)]
    for form in ("GIF", "WEBP"):
        buffer = io.BytesIO()
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
        assert np.abs(prepared(part, buffer.getvalue()).astype(float) - SCENE).mean() < 4


@pytest.mark.tensorflow
@pytest.mark.parametrize("height", [112, 200, 300, 450, 1200])
def test_scaled_decoding_looks_like_full_decoding(height):
    rng = np.random.default_rng(0)
    smooth = np.asarray(PIL.fromarray(rng.integers(0, 255, (6, 8, 3), dtype="uint8")).resize((height * 4 // 3, height)))
    part = Image((48, 64))
    exact = np.asarray(PIL.fromarray(smooth).resize((64, 48), PIL.Resampling.BOX), float)
    assert np.abs(prepared(part, encoded(form="JPEG", array=smooth, quality=95)) - exact).mean() < 3


@pytest.mark.tensorflow
@pytest.mark.parametrize("times", [2, 3.7, 4, 7.9, 8, 11])
@pytest.mark.parametrize("turned", [False, True])
def test_scaled_decoding_is_the_same_in_numpy(times, turned):
    """Both decoders round alike where they decode less than all: an eighth more or less of the picture would show."""
    height, width = round(30 * times), round(44 * times)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype="uint8")
    exif = PIL.Exif()
    exif[0x0112] = 6 if turned else 1
    data = encoded(form="JPEG", array=noise, quality=95, subsampling=0, exif=exif)
    part = Image((44, 30) if turned else (30, 44))
    assert np.abs(part.array(data).astype(int) - prepared(part, data)).max() <= 1


@pytest.mark.tensorflow
def test_fits():
    red = np.zeros((20, 60, 3), "uint8")
    red[:, 20:40, 0] = 200
    assert prepared(Image((20, 20), fit="crop"), red)[..., 0].min() == 200
    padded = prepared(Image((60, 60), fit="pad"), red)
    assert padded[:20].max() == padded[40:].max() == 0
    assert (padded[20:40] == red).all()
    assert prepared(Image((20, 30), fit="stretch"), red)[10, 15, 0] == 200
    assert prepared(Image((1, 1), fit="pad"), red).shape == (1, 1, 3)


@pytest.mark.tensorflow
def test_a_small_checkerboard_does_not_alias():
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype("uint8")
    small = prepared(Image((50, 50)), board)
    assert small.std() < 10


@pytest.mark.tensorflow
def test_values_are_levels():
    part = Image((8, 8))
    floats = np.linspace(0, 255, 64 * 3).reshape(8, 8, 3)
    assert prepared(part, floats).dtype == np.uint8
    assert (prepared(part, floats) == np.floor(floats + 0.5)).all()
    assert (part.array(part.read(floats)) == np.floor(floats + 0.5)).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize("cut", [4, 30, 200, -40])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_truncated_files_fail(form, cut):
    import tensorflow as tf

    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype="uint8")
    data = encoded(form=form, array=noise)[:cut]
    with pytest.raises((ValueError, tf.errors.OpError)):
        prepared(Image((60, 80)), data)
    with pytest.raises(ValueError, match="not a readable picture"):
        Image((60, 80)).array(data)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nowhere.jpg", "no such file: 'nowhere.jpg'"),
        (b"", r"empty \(0 bytes\)"),
        (b"a text file", "not a readable picture"),
        (17, "expected a path or bytes"),
        (np.zeros((4, 4, 5)), r"of 1, 3 or 4 channels. Received: \(4, 4, 5\)"),
        (np.zeros((0, 4, 3)), "Received: \\(0, 4, 3\\)"),
        (np.full((4, 4), np.nan), "NaN or infinite"),
        (np.full((4, 4), 0.5), "in 0..1, but pictures are in 0..255"),
        (np.full((4, 4), "x"), "numbers in 0..255"),
    ],
)
def test_bad_values_say_what_is_wrong(value, reason):
    with pytest.raises(ValueError, match=reason):
        Image((8, 8)).read(value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"size": (0, 4)}, "positive"), ({"size": (4,)}, "positive"), ({"size": (4, 4), "fit": "squash"}, "one of")],
)
def test_bad_arguments(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Image(**arguments)


def test_config_round_trip():
    part = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Image((3, 5), fit="crop")))
    assert (part.size, part.fit) == ((3, 5), "crop")
    assert repr(part) == "Image(size=[3, 5], fit='crop')"
