"""What every encoder has in common: tokens out, optional pooling, one named input."""

import math

import keras

from mmkeras.layers import FusedBatchNormalization, FusedGroupNormalization, Tokens, pooling_layer

NORMALIZATIONS = ("group", "layer", "batch", None)


def finish(inputs, tokens, *, pooling=None, name=None):
    """Close an encoder: hand over tokens by the contract, pool them if asked, and make the model.

    Use it at the end of an encoder of your own. The input's name says what the encoder reads: `"image"`,
    `"token_ids"`, `"audio"`, `"spectrogram"`, `"signal"`, `"frames"` or `"features"`.

    Args:
        inputs: the `keras.Input` of the encoder, or a list of them.
        tokens: tensor (batch, tokens, dim), (batch, height, width, dim) or (batch, dim).
        pooling: None for tokens (batch, tokens, dim); `"avg"`, `"max"`, `"last"` or `"attention"` for (batch, dim).
        name: name of the model.

    Returns:
        A functional `keras.Model`.

    Example:

    >>> signal = keras.Input((None, 4), name="signal")
    >>> finish(signal, keras.layers.Dense(8)(signal), pooling="max").output_shape
    (None, 8)
    """
    unnamed = [source.name for source in keras.tree.flatten(inputs) if source.name.startswith("keras_tensor")]
    if unnamed:
        raise ValueError(
            "Name the input of an encoder by what it reads, as in keras.Input(shape, name='signal'): data, models and "
            f"servers find it by that name. Received: inputs named {unnamed}"
        )
    # An encoder that goes on from the output of another one has its layers, too.
    taken = {layer.name for layer in keras.Model(inputs, tokens).layers}
    outputs = Tokens(name=_free("tokens", taken))(tokens)
    if pooling is not None:
        outputs = pooling_layer(pooling, name=_free("pooling", taken))(outputs)
    return keras.Model(inputs, outputs, name=name)


def _free(name, taken):
    """A name, or a number behind it where it is taken."""
    return next(
        free for free in (name, *(f"{name}_{number}" for number in range(1, len(taken) + 2))) if free not in taken
    )


def normalization_layer(normalization, channels, *, name=None):
    """Make the layer that a `normalization=` argument names; None stands for no layer."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: normalization={normalization!r}")
    if normalization is None:
        return None
    if normalization == "batch":
        return FusedBatchNormalization(name=name)
    if normalization == "layer":
        return keras.layers.LayerNormalization(name=name)
    return FusedGroupNormalization(math.gcd(8, channels), name=name)
