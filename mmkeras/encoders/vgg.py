"""VGG image encoders: the two classics and a compact one for training from scratch."""

import keras

from mmkeras.encoders.contract import finish, normalization_layer
from mmkeras.encoders.pretrained import build_network, load_weights
from mmkeras.layers import PixelScaling


def vgg16(*, weights=None, image_shape=(None, None, 3), pooling=None, name=None):
    """Build VGG16 as an image encoder: one 512-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file.
        image_shape: height, width and 3; None where they vary.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 512).

    Example:

    >>> vgg16(image_shape=(64, 64, 3)).output_shape
    (None, 4, 512)
    """
    return _classic(keras.applications.VGG16, "VGG16", weights, image_shape, pooling, name)


def vgg19(*, weights=None, image_shape=(None, None, 3), pooling=None, name=None):
    """Build VGG19 as an image encoder: one 512-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file.
        image_shape: height, width and 3; None where they vary.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 512).

    Example:

    >>> vgg19(image_shape=(64, 64, 3), pooling="avg").output_shape
    (None, 512)
    """
    return _classic(keras.applications.VGG19, "VGG19", weights, image_shape, pooling, name)


def vgg(
    blocks=3,
    width=32,
    *,
    convolutions=2,
    normalization="group",
    image_shape=(None, None, 3),
    pooling=None,
    name=None,
):
    """Build a compact VGG that learns from scratch on two cores: blocks of 3x3 convolutions, each halved by pooling.

    Args:
        blocks: number of blocks; block i has width * 2^i channels.
        width: channels of the first block.
        convolutions: convolutions in a block.
        normalization: `"group"` or `"layer"` (no batch statistics), `"batch"`, or None.
        image_shape: height, width and 3; None where they vary.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens, one per 2^blocks pixels squared.

    Example:

    >>> vgg(image_shape=(64, 64, 3)).output_shape
    (None, 64, 128)
    """
    image = keras.Input(image_shape, name="image")
    x = PixelScaling("symmetric", name="scaling")(image)
    for block in range(blocks):
        for index in range(convolutions):
            label = f"block{block + 1}_{index + 1}"
            x = keras.layers.Conv2D(
                width * 2**block, 3, padding="same", use_bias=normalization is None, name=f"{label}_convolution"
            )(x)
            norm = normalization_layer(normalization, width * 2**block, name=f"{label}_norm")
            x = x if norm is None else norm(x)
            x = keras.layers.ReLU(name=f"{label}_relu")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block + 1}_pool")(x)
    return finish(image, x, pooling=pooling, name=name)


def _classic(application, architecture, weights, image_shape, pooling, name):
    def make_network(*, weights, include_top):
        shape = (224, 224, 3) if include_top else image_shape
        return application(weights=weights, include_top=include_top, input_shape=shape, name=architecture.lower())

    network = build_network(make_network, weights, architecture=architecture)
    image = keras.Input(image_shape, name="image")
    encoder = finish(image, network(PixelScaling("caffe", name="scaling")(image)), pooling=pooling, name=name)
    load_weights(encoder, network, weights, architecture=architecture, make_network=make_network)
    return encoder
