"""Decoders: from a code back to what an encoder reads, and how far the two are apart."""

import math

import keras
from keras import ops

from mmkeras.losses.pairs import mean_where
from mmkeras.preprocessing.preprocessor import Preprocessor

PIXELS, WORDS, VALUES = "pixels", "words", "values"
# Sizes of the default decoders: side of the first feature map at least, its channels at most, units of a hidden layer.
_FIRST_SIDE, _FIRST_FILTERS, _HIDDEN = 4, 128, 512


def kind_of(encoder):
    """What an encoder reads: pixels, words or other values."""
    name = encoder.inputs[0].name
    if name.endswith("token_ids"):
        return WORDS
    return PIXELS if name.endswith(("image", "frames")) else VALUES


def to_unit_range(pixels):
    """0..255 -> -1..1."""
    return ops.cast(pixels, "float32") / 127.5 - 1.0


def words_missed(log_probabilities, token_ids, valid=None):
    """Average over samples, and over the words of each, of `-log p(word)`; padding is no word.

    Args:
        log_probabilities: tensor (rows, vocabulary).
        token_ids: integer tensor (rows, time), 0 for padding.
        valid: boolean tensor (rows,); None for all.

    Returns:
        Scalar tensor, 0 where no word takes part.
    """
    words = ops.cast(token_ids, "int32")
    if valid is not None:
        words = ops.where(valid[:, None], words, ops.zeros_like(words))
    there = ops.not_equal(words, 0)
    surprises = -ops.take_along_axis(log_probabilities, words, axis=1)
    return mean_where(mean_where(surprises, there, axis=1), ops.any(there, axis=1))


def make_decoders(decoders, encoders, dim, preprocessor=None):
    """Complete and check the decoders of an autoencoder.

    Args:
        decoders: dict of functional models by modality, or names of modalities earlier in `encoders` whose decoder is
            shared; or None. What is missing gets a default.
        encoders: dict of encoders by modality.
        dim: size of the code.
        preprocessor: tells the shapes that encoders leave open, if it is a `Preprocessor`; or None.

    Returns:
        Dict of functional models (batch, dim) -> (batch, ...), one for each encoder.
    """
    decoders = dict(decoders or {})
    unknown = sorted(set(decoders) - set(encoders))
    if unknown:
        raise ValueError(
            f"`decoders` must name modalities that have an encoder, among {list(encoders)}. Received: {unknown}"
        )
    made = {}
    for modality, encoder in encoders.items():
        if len(encoder.inputs) != 1:
            raise ValueError(
                f"An autoencoder gives back one input of each modality, so the encoder of {modality!r} must have one. "
                f"Received: an encoder of {[source.name for source in encoder.inputs]}"
            )
        shape = _output_shape(modality, encoder, preprocessor)
        decoder = decoders.get(modality)
        if isinstance(decoder, str):
            if decoder not in made:
                raise ValueError(
                    f"The decoder of {modality!r} may be that of a modality before it, among {list(made)}. Received: "
                    f"{decoder!r}"
                )
            decoder = made[decoder]
        made[modality] = _default(modality, encoder, shape, dim) if decoder is None else decoder
        _check(modality, made[modality], shape, dim)
    return made


def _output_shape(modality, encoder, preprocessor):
    """Shape that a decoder must give, None where that is open."""
    if kind_of(encoder) == WORDS:
        sizes = {layer.input_dim for layer in _embeddings(encoder)}
        return (sizes.pop() if len(sizes) == 1 else None,)
    shape = tuple(encoder.inputs[0].shape[1:])
    if isinstance(preprocessor, Preprocessor) and modality in preprocessor.parts:
        prepared = preprocessor[modality].shape
        if len(prepared) == len(shape):
            shape = tuple(other if size is None else size for size, other in zip(shape, prepared, strict=True))
    return shape


def _embeddings(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.Embedding):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from _embeddings(layer)


def _default(modality, encoder, shape, dim):
    kind = kind_of(encoder)
    cure = f"give one yourself: decoders={{{modality!r}: a functional keras.Model from ({dim},)"
    if kind == WORDS and shape[0] is None:
        raise ValueError(
            f"The default decoder of {modality!r} needs the size of the vocabulary, which it reads from the one "
            f"keras.layers.Embedding of the encoder; {cure} to logits (vocabulary,)}}. Received: an encoder "
            f"without one, or with several"
        )
    if None in shape or (kind == PIXELS and len(shape) != 3):
        raise ValueError(
            f"The default decoder of {modality!r} needs one image or values of a fixed shape. Fix the shape of the "
            f"encoder's input (or, by length or size, of its part of the preprocessor), or {cure} to that shape}}. "
            f"Received: inputs of shape {shape}"
        )
    code = keras.Input((dim,), name="code")
    if kind == WORDS:
        output = keras.layers.Dense(shape[0], dtype="float32", name="words")(code)
    elif kind == PIXELS:
        output = _image(code, *shape)
    else:
        output = _values(code, shape)
    return keras.Model(code, output, name=f"{modality}_decoder")


def _image(code, height, width, channels):
    doublings = max(0, int(math.log2(min(height, width) / _FIRST_SIDE)))
    rows, columns = (math.ceil(size / 2**doublings) for size in (height, width))
    filters = min(_FIRST_FILTERS, 16 * 2**doublings)
    x = keras.layers.Dense(rows * columns * filters, activation="relu", name="dense")(code)
    x = keras.layers.Reshape((rows, columns, filters), name="map")(x)
    for index in range(doublings):
        filters = max(16, filters // 2)
        # Kernels that are a multiple of the stride leave no checkerboard.
        up = keras.layers.Conv2DTranspose(filters, 4, 2, padding="same", activation="relu", name=f"up_{index + 1}")
        x = up(x)
    x = keras.layers.Conv2D(channels, 3, padding="same", activation="tanh", dtype="float32", name="pixels")(x)
    surplus = (0, rows * 2**doublings - height), (0, columns * 2**doublings - width)
    return keras.layers.Cropping2D(surplus, dtype="float32", name="crop")(x)


def _values(code, shape):
    size = math.prod(shape)
    hidden = max(code.shape[-1], min(size, _HIDDEN))
    x = keras.layers.Dense(hidden, activation="relu", name="dense")(code)
    x = keras.layers.Dense(size, dtype="float32", name="values")(x)
    return keras.layers.Reshape(shape, dtype="float32", name="shape")(x)


def _check(modality, decoder, shape, dim):
    expected = f"(batch, {dim}) to (batch, {', '.join('?' if size is None else str(size) for size in shape)})"
    if not isinstance(decoder, keras.Model) or not getattr(decoder, "inputs", None):
        raise ValueError(
            f"The decoder of {modality!r} must be a functional keras.Model from {expected}. Received: {decoder!r}"
        )
    inputs, outputs = ([tuple(x.shape[1:]) for x in side] for side in (decoder.inputs, decoder.outputs))
    fits = len(outputs) == 1 and len(outputs[0]) == len(shape) and None not in outputs[0]
    if inputs != [(dim,)] or not fits or any(size not in (None, x) for size, x in zip(shape, outputs[0], strict=True)):
        raise ValueError(
            f"The decoder of {modality!r} must map {expected}, with all sizes fixed. Received: one from {inputs} to "
            f"{outputs}"
        )
