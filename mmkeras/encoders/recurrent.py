"""Recurrent text encoders."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.encoders.word_vectors import embedding_layer


def lstm(
    vocabulary_size=None,
    units=128,
    *,
    embedding_dim=128,
    num_layers=1,
    bidirectional=False,
    dropout_rate=0.0,
    word_vectors=None,
    pooling=None,
    name=None,
):
    """Build an LSTM over token ids: embedding, one or more LSTM layers, one token per word.

    Args:
        vocabulary_size: number of token ids, padding (0) included; may be left out with `word_vectors`.
        units: size of the state, of each direction where there are two.
        embedding_dim: size of the word embedding; `word_vectors` decide where given.
        num_layers: number of LSTM layers.
        bidirectional: whether to read from both ends; doubles the size of the tokens.
        dropout_rate: share of the values between layers dropped in training.
        word_vectors: array (vocabulary, dim) that the embedding starts from; `read_word_vectors` makes one from a
            GloVe file.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `token_ids` to tokens (batch, time, units), with a mask.

    Example:

    >>> lstm(1000, 32, bidirectional=True).output_shape
    (None, None, 64)
    """
    return _recurrent(
        keras.layers.LSTM,
        vocabulary_size,
        units,
        embedding_dim,
        num_layers,
        bidirectional,
        dropout_rate,
        word_vectors,
        pooling,
        name,
    )


def gru(
    vocabulary_size=None,
    units=128,
    *,
    embedding_dim=128,
    num_layers=1,
    bidirectional=False,
    dropout_rate=0.0,
    word_vectors=None,
    pooling=None,
    name=None,
):
    """Build a GRU over token ids: embedding, one or more GRU layers, one token per word.

    Args:
        vocabulary_size: number of token ids, padding (0) included; may be left out with `word_vectors`.
        units: size of the state, of each direction where there are two.
        embedding_dim: size of the word embedding; `word_vectors` decide where given.
        num_layers: number of GRU layers.
        bidirectional: whether to read from both ends; doubles the size of the tokens.
        dropout_rate: share of the values between layers dropped in training.
        word_vectors: array (vocabulary, dim) that the embedding starts from; `read_word_vectors` makes one from a
            GloVe file.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `token_ids` to tokens (batch, time, units), with a mask.

    Example:

    >>> gru(1000, 32, pooling="last").output_shape
    (None, 32)
    """
    return _recurrent(
        keras.layers.GRU,
        vocabulary_size,
        units,
        embedding_dim,
        num_layers,
        bidirectional,
        dropout_rate,
        word_vectors,
        pooling,
        name,
    )


def _recurrent(
    cell, vocabulary_size, units, embedding_dim, num_layers, bidirectional, dropout_rate, word_vectors, pooling, name
):
    if num_layers < 1:
        raise ValueError(f"`num_layers` must be a positive integer. Received: num_layers={num_layers}")
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = embedding_layer(vocabulary_size, embedding_dim, word_vectors)(token_ids)
    for index in range(num_layers):
        if dropout_rate:
            x = keras.layers.Dropout(dropout_rate, name=f"dropout_{index + 1}")(x)
        layer = cell(units, return_sequences=True, name=f"recurrent_{index + 1}")
        if bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{index + 1}")
        x = layer(x)
    return finish(token_ids, x, pooling=pooling, name=name)
