"""Transformer encoders for text and images, small enough to learn from scratch."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import PixelScaling, PositionEmbedding, Tokens, TransformerBlock


def transformer_text(
    vocabulary_size,
    dim=128,
    *,
    num_layers=2,
    num_heads=4,
    max_length=256,
    dropout_rate=0.0,
    pooling=None,
    name=None,
):
    """Build a Transformer over token ids.

    Args:
        vocabulary_size: number of token ids, padding (0) included.
        dim: size of the tokens.
        num_layers: number of Transformer blocks.
        num_heads: number of attention heads.
        max_length: longest text.
        dropout_rate: share of values dropped in training.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `token_ids` to tokens (batch, time, dim), with a mask.

    Example:

    >>> transformer_text(1000, 32).output_shape
    (None, None, 32)
    """
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(vocabulary_size, dim, mask_zero=True, name="embedding")(token_ids)
    x = PositionEmbedding(max_length, name="positions")(x)
    return finish(token_ids, _blocks(x, num_layers, num_heads, dropout_rate), pooling=pooling, name=name)


def vision_transformer(
    patch_size=8,
    dim=128,
    *,
    num_layers=4,
    num_heads=4,
    image_shape=(64, 64, 3),
    dropout_rate=0.0,
    pooling=None,
    name=None,
):
    """Build a thin Vision Transformer: patches, learned positions, Transformer blocks.

    Args:
        patch_size: side of a patch in pixels; must divide height and width.
        dim: size of the tokens.
        num_layers: number of Transformer blocks.
        num_heads: number of attention heads.
        image_shape: height, width and 3.
        dropout_rate: share of values dropped in training.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, pixels in 0..255, to tokens (batch, patches, dim).

    Example:

    >>> vision_transformer(image_shape=(32, 32, 3)).output_shape
    (None, 16, 128)
    """
    if patch_size < 1 or None in image_shape or image_shape[0] % patch_size or image_shape[1] % patch_size:
        raise ValueError(
            f"`image_shape` must have a height and a width that patch_size={patch_size} divides. "
            f"Received: image_shape={image_shape}"
        )
    image = keras.Input(image_shape, name="image")
    x = PixelScaling("symmetric", name="scaling")(image)
    x = keras.layers.Conv2D(dim, patch_size, strides=patch_size, name="patches")(x)
    x = Tokens(name="patch_tokens")(x)
    x = PositionEmbedding(x.shape[1], name="positions")(x)
    return finish(image, _blocks(x, num_layers, num_heads, dropout_rate), pooling=pooling, name=name)


def _blocks(x, num_layers, num_heads, dropout_rate):
    for index in range(num_layers):
        x = TransformerBlock(num_heads, dropout_rate=dropout_rate, name=f"block_{index + 1}")(x)
    return keras.layers.LayerNormalization(name="norm")(x)
