"""Pictures: from a file, bytes or an array to what an image encoder reads."""

import numpy as np

from mmkeras.data.media.image import check_image_array, load_image, read_bytes
from mmkeras.preprocessing.decoding import decode_image, decode_image_graph
from mmkeras.preprocessing.part import Part
from mmkeras.preprocessing.resizing import FITS, resize_image, resize_image_graph
from mmkeras.registration import registered

# What the graph decodes by itself; everything else is opened by Pillow and passed on as PNG. WebP is among the latter:
# TensorFlow 2.21's decoder refuses animations with three channels and ends the process where none are asked for.
_GRAPH_FORMATS = (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF8")


@registered
class Image(Part):
    """Turn a picture into float32 RGB (height, width, 3) in 0..255, whole levels.

    A raw value is a path, the bytes of a file (JPEG, PNG, GIF, BMP, WebP; more through Pillow), or an array
    (height, width) or (height, width, channel) in 0..255. Pictures are turned upright by their EXIF tag; of an
    animation the first frame counts; transparency is dropped; CMYK, grey and 16-bit pictures become 8-bit RGB.
    Scaling to what a network expects is the encoder's first layer, never done here.

    Args:
        size: (height, width) of the prepared picture.
        fit: `"stretch"` changes the aspect ratio; `"crop"` keeps it and cuts what stands out on either side; `"pad"`
            keeps it and fills with black. Random crops are augmentation.

    Example:

    >>> part = Image((32, 48), fit="pad")
    >>> part.shape, part.read(np.zeros((8, 8), "uint8")).shape
    ((32, 48, 3), (8, 8, 3))
    """

    kind = "image"
    storage_dtype = "uint8"

    def __init__(self, size=(224, 224), *, fit="stretch"):
        size = tuple(int(n) for n in size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"`size` must be a positive (height, width). Received: size={size}")
        if fit not in FITS:
            raise ValueError(f"`fit` must be one of {FITS}. Received: fit={fit!r}")
        self.size = size
        self.fit = fit
        self.shape = (*size, 3)

    def read(self, value, rng=None):
        if isinstance(value, (list, tuple)):
            value = np.asarray(value)
        if isinstance(value, np.ndarray):
            array = check_image_array(value)
            if array.dtype.kind == "f" and array.max() <= 1 and (array != np.round(array)).any():
                raise ValueError(
                    "the picture is in 0..1, but pictures are in 0..255 here: multiply it by 255. Received: values in "
                    f"{array.min():.3g}..{array.max():.3g}"
                )
            return array.astype("uint8" if array.dtype == "uint8" else "float32")
        data = read_bytes(value)
        if data.startswith(_GRAPH_FORMATS):
            return data
        return png_bytes(load_image(data))

    def graph(self, wire):
        image = decode_image_graph(wire, self.size) if wire.dtype == "string" else wire
        return resize_image_graph(image, self.size, self.fit)

    def array(self, wire):
        image = decode_image(wire, self.size) if isinstance(wire, bytes) else wire
        return resize_image(image, self.size, self.fit)

    def get_config(self):
        return {"size": list(self.size), "fit": self.fit}


def png_bytes(array) -> bytes:
    """A uint8 picture (height, width, 3) as the bytes of a PNG file, which lose nothing."""
    import io

    from mmkeras.data.media.image import import_pillow

    image_module, _ = import_pillow("Writing pictures")
    buffer = io.BytesIO()
    image_module.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
