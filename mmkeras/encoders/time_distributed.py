"""Encoder of clips: an image encoder on every frame."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import EachFrame, PaddingMask
from mmkeras.layers.each_frame import check_encoder


def time_distributed(
    encoder,
    num_frames=None,
    *,
    lstm_units=None,
    bidirectional=False,
    dropout_rate=0.0,
    rematerialize=False,
    pooling=None,
    name=None,
):
    """Build an encoder of clips from an encoder of images: one token per frame.

    Args:
        encoder: encoder of an image, such as `vgg(...)` or `resnet50(weights="imagenet")`; where it gives several
            tokens, their mean stands for the frame. Set `encoder.trainable = False` to train what comes behind it.
        num_frames: number of frames of every clip; None lets it vary.
        lstm_units: size of the state of an LSTM over the frames; None for no LSTM.
        bidirectional: whether it reads from both ends; doubles the size of the tokens.
        dropout_rate: share of the frames' values dropped in training.
        rematerialize: whether the encoder computes anew for the gradients what it computed on the way: less memory,
            more time; see `mm.layers.EachFrame`.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `frames`, (batch, frame, height, width, 3) padded with black frames, to tokens
        (batch, frame, dim) with a mask.

    Example:

    >>> still = mm.encoders.vgg(1, 8, image_shape=(16, 16, 3))
    >>> time_distributed(still).output_shape, time_distributed(still, 5, lstm_units=6, pooling="last").output_shape
    ((None, None, 8), (None, 6))
    """
    check_encoder(encoder)
    image_shape = encoder.inputs[0].shape[1:]
    if len(image_shape) != 3 or None in image_shape:
        raise ValueError(
            "time_distributed needs an encoder of images of one size: build it with `image_shape=(height, width, 3)`. "
            f"Received: one of images of shape {image_shape}"
        )
    frames = keras.Input((num_frames, *image_shape), name="frames")
    x = PaddingMask(name="padding")(frames)
    x = EachFrame(encoder, rematerialize=rematerialize, name="each_frame")(x)
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate, name="dropout")(x)
    if lstm_units:
        layer = keras.layers.LSTM(lstm_units, return_sequences=True, name="lstm")
        x = keras.layers.Bidirectional(layer, name="bidirectional")(x) if bidirectional else layer(x)
    return finish(frames, x, pooling=pooling, name=name)
