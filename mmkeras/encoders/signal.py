"""Encoder of signals: EEG, movement, whatever sensors record."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import ConvBlock, PaddingMask


def signal(
    channels, width=32, strides=(2, 2, 2), *, kernel_size=7, lstm_units=None, dropout_rate=0.0, pooling=None, name=None
):
    """Build convolutions over time, all channels together, and a bidirectional LSTM behind them if asked for.

    Args:
        channels: number of channels of the signal.
        width: filters of the first convolution; they double with every one, up to 4 * width.
        strides: step of each convolution; a token stands for as many time steps as their product.
        kernel_size: length of the kernels, in steps.
        lstm_units: size of the state of the LSTM, of each direction; None for no LSTM.
        dropout_rate: share of whole channels dropped in training before each convolution but the first, and of the
            tokens' values at the end.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `signal`, (batch, time, channels) padded with zeros, to tokens with a mask.

    Example:

    >>> signal(64).output_shape, signal(3, 16, (4, 2), lstm_units=24).output_shape
    ((None, None, 128), (None, None, 48))
    """
    source = keras.Input((None, channels), name="signal")
    x = PaddingMask(name="padding")(source)
    for index, stride in enumerate(strides):
        if index and dropout_rate:
            x = keras.layers.SpatialDropout1D(dropout_rate, name=f"dropout_{index}")(x)
        x = ConvBlock(width * min(4, 2**index), kernel_size, stride=stride, name=f"conv_{index}")(x)
    if lstm_units:
        x = keras.layers.Bidirectional(keras.layers.LSTM(lstm_units, return_sequences=True), name="lstm")(x)
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate, name="dropout")(x)
    return finish(source, x, pooling=pooling, name=name)
