"""Encoders one behind the other."""

import keras

from mmkeras import ops
from mmkeras.encoders.contract import finish


def chain(first, *others, name=None):
    """Build an encoder of several: each of the others reads what the one before it gives.

    Use it where what stands behind a frozen encoder was learned from its features (`mm.data.cache_features`), to get
    an encoder of the raw thing again: `mm.training.replace_encoders(task, pre, video=chain(frozen, learned))`. All keep
    their weights, which the chain shares.

    Args:
        first: an encoder.
        *others: encoders of features, such as `mm.encoders.features(...)`.
        name: name of the model.

    Returns:
        A functional `keras.Model` from the inputs of the first to what the last gives.

    Example:

    >>> still = mm.encoders.vgg(1, 8, image_shape=(16, 16, 3), pooling="avg")
    >>> chain(still, mm.encoders.features((8,), 4)).output_shape
    (None, 1, 4)
    """
    sources = [keras.Input(x.shape[1:], dtype=x.dtype, name=x.name) for x in first.inputs]
    sources = sources if len(sources) > 1 else sources[0]
    x = first(sources)
    for encoder in others:
        if len(encoder.inputs) != 1 or encoder.inputs[0].name != "features":
            raise ValueError(
                "Behind another encoder stands one of features, such as mm.encoders.features((2048,), 128). "
                f"Received: one of {[source.name for source in encoder.inputs]}"
            )
        x = encoder(_ZeroPadding()(x))
    if len(x.shape) == 2:
        return keras.Model(sources, x, name=name)
    return finish(sources, x, name=name)


@keras.saving.register_keras_serializable(package="mmkeras")
class _ZeroPadding(keras.layers.Layer):
    """Padding as zeros in place of a mask, which is how an encoder reads it."""

    def call(self, x, mask=None):
        return x if mask is None else ops.zero_padding(x, mask)

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, x_shape):
        return x_shape
