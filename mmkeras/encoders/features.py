"""Encoder for what another network already computed."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import PaddingMask


def features(shape, dim=None, *, dropout_rate=0.0, normalize=True, pooling=None, name=None):
    """Build an encoder for precomputed features: one vector per sample, or one per time step.

    Args:
        shape: (size,) for a vector, (None, size) or (time, size) for a sequence padded with zeros.
        dim: size of a dense layer over the features; None passes them on as they are.
        dropout_rate: share of the features dropped in training.
        normalize: whether to apply layer normalisation first: precomputed features come in any range.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `features` to tokens; a task feeds it under the modality's own name, such
        as `features_face`.

    Example:

    >>> features((None, 74), 32).output_shape, features((300,)).output_shape
    ((None, None, 32), (None, 1, 300))
    """
    shape = tuple(shape) if isinstance(shape, list) else shape
    if not isinstance(shape, tuple) or len(shape) not in (1, 2) or shape[-1] is None:
        raise ValueError(f"`shape` must be (size,) or (time, size). Received: shape={shape}")
    x = source = keras.Input(shape, name="features")
    if len(shape) == 2:
        x = PaddingMask(name="padding")(x)
    if normalize:
        x = keras.layers.LayerNormalization(name="norm")(x)
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate, name="dropout")(x)
    if dim is not None:
        x = keras.layers.Dense(dim, activation="relu", name="dense")(x)
    return finish(source, x, pooling=pooling, name=name)
