"""ResNet image encoders: the classics and a compact one for training from scratch."""

import keras

from mmkeras.encoders.contract import finish, normalization_layer
from mmkeras.encoders.pretrained import build_network, load_weights
from mmkeras.layers import FrozenStatistics, PixelScaling


def resnet50(*, weights=None, image_shape=(None, None, 3), frozen_statistics=None, pooling=None, name=None):
    """Build ResNet50 as an image encoder: one 2048-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file.
        image_shape: height, width and 3; None where they vary.
        frozen_statistics: whether batch normalisation uses its stored statistics in training too; None freezes
            them exactly when weights are given. Freeze them too where images may be missing: the black pictures
            that stand in for absent ones would enter the statistics.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 2048).

    Example:

    >>> resnet50(image_shape=(64, 64, 3)).output_shape
    (None, 4, 2048)
    """
    return _bottleneck(keras.applications.ResNet50, "ResNet50", weights, image_shape, frozen_statistics, pooling, name)


def resnet101(*, weights=None, image_shape=(None, None, 3), frozen_statistics=None, pooling=None, name=None):
    """Build ResNet101 as an image encoder: one 2048-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file.
        image_shape: height, width and 3; None where they vary.
        frozen_statistics: whether batch normalisation uses its stored statistics in training too; None freezes
            them exactly when weights are given.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 2048).

    Example:

    >>> resnet101(image_shape=(64, 64, 3), pooling="avg").output_shape
    (None, 2048)
    """
    return _bottleneck(
        keras.applications.ResNet101, "ResNet101", weights, image_shape, frozen_statistics, pooling, name
    )


def resnet18(*, weights=None, image_shape=(None, None, 3), frozen_statistics=None, pooling=None, name=None):
    """Build ResNet18 (the network is keras-hub's) as an image encoder: one 512-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file of keras-hub's backbone.
        image_shape: height, width and 3; None where they vary.
        frozen_statistics: whether batch normalisation uses its stored statistics in training too; None freezes
            them exactly when weights are given.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 512).

    Example:

    >>> resnet18(image_shape=(64, 64, 3)).output_shape
    (None, 4, 512)
    """
    return _basic((2, 2, 2, 2), "ResNet18", weights, image_shape, frozen_statistics, pooling, name)


def resnet34(*, weights=None, image_shape=(None, None, 3), frozen_statistics=None, pooling=None, name=None):
    """Build ResNet34 (the network is keras-hub's) as an image encoder: one 512-dim token per 32x32 patch.

    Args:
        weights: None, "imagenet" (fetched on call), or the path of a weights file of keras-hub's backbone.
        image_shape: height, width and 3; None where they vary.
        frozen_statistics: whether batch normalisation uses its stored statistics in training too; None freezes
            them exactly when weights are given.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, 512).

    Example:

    >>> resnet34(image_shape=(64, 64, 3), pooling="avg").output_shape
    (None, 512)
    """
    return _basic((3, 4, 6, 3), "ResNet34", weights, image_shape, frozen_statistics, pooling, name)


def resnet(
    blocks=(1, 1, 1),
    width=32,
    *,
    stem_stride=2,
    normalization="group",
    image_shape=(None, None, 3),
    pooling=None,
    name=None,
):
    """Build a compact pre-activation ResNet that learns from scratch on two cores.

    Args:
        blocks: residual blocks per stage; stage i has width * 2^i channels, every stage after the first halves.
        width: channels of the first stage.
        stem_stride: step of the first convolution.
        normalization: `"group"` or `"layer"` (no batch statistics), `"batch"`, or None.
        image_shape: height, width and 3; None where they vary.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, tokens, channels).

    Example:

    >>> resnet(image_shape=(64, 64, 3)).output_shape
    (None, 64, 128)
    """
    image = keras.Input(image_shape, name="image")
    x = PixelScaling("symmetric", name="scaling")(image)
    x = _convolution(width, stem_stride, name="stem")(x)
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            x = _residual_block(x, width * 2**stage, stride, normalization, f"stage{stage + 1}_{index + 1}")
    x = _activate(x, normalization, "final")
    return finish(image, x, pooling=pooling, name=name)


def _convolution(filters, stride, *, name, kernel_size=3):
    return keras.layers.Conv2D(filters, kernel_size, strides=stride, padding="same", use_bias=False, name=name)


def _activate(x, normalization, name):
    norm = normalization_layer(normalization, x.shape[-1], name=f"{name}_norm")
    x = x if norm is None else norm(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _residual_block(x, filters, stride, normalization, name):
    activated = _activate(x, normalization, f"{name}_a")
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _convolution(filters, stride, name=f"{name}_shortcut", kernel_size=1)(activated)
    x = _convolution(filters, stride, name=f"{name}_a")(activated)
    x = _activate(x, normalization, f"{name}_b")
    x = _convolution(filters, 1, name=f"{name}_b")(x)
    return keras.layers.Add(name=f"{name}_add")([shortcut, x])


def _bottleneck(application, architecture, weights, image_shape, frozen_statistics, pooling, name):
    def make_network(*, weights, include_top):
        shape = (224, 224, 3) if include_top else image_shape
        return application(weights=weights, include_top=include_top, input_shape=shape, name=architecture.lower())

    return _classic(make_network, architecture, "caffe", weights, image_shape, frozen_statistics, pooling, name)


def _basic(blocks, architecture, weights, image_shape, frozen_statistics, pooling, name):
    # keras-hub takes seconds to import, so only those who ask for one of its networks pay for it.
    import keras_hub

    def make_network(*, weights, include_top):
        if weights == "imagenet":
            return keras_hub.models.ResNetBackbone.from_preset(f"resnet_{architecture[6:]}_imagenet")
        return keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=list(blocks),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block",
            image_shape=image_shape,
            name=architecture.lower(),
        )

    return _classic(make_network, architecture, "torch", weights, image_shape, frozen_statistics, pooling, name)


def _classic(make_network, architecture, scaling, weights, image_shape, frozen_statistics, pooling, name):
    network = build_network(make_network, weights, architecture=architecture)
    frozen = weights is not None if frozen_statistics is None else frozen_statistics
    run = FrozenStatistics(network, name="frozen_statistics") if frozen else network
    image = keras.Input(image_shape, name="image")
    encoder = finish(image, run(PixelScaling(scaling, name="scaling")(image)), pooling=pooling, name=name)
    # The classifier's name tells full files apart, and only keras.applications has such files.
    with_classifier = make_network if scaling == "caffe" else None
    load_weights(encoder, network, weights, architecture=architecture, make_network=with_classifier)
    return encoder
