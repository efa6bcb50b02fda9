"""Words without their order."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.encoders.word_vectors import embedding_layer


def bag_of_words(
    vocabulary_size=None, dim=256, *, word_dropout_rate=0.0, word_vectors=None, pooling="attention", name=None
):
    """Build a text encoder that reads words without their order: an embedding, pooled.

    With `pooling="attention"` it learns which words matter. Small and fast; for search by short texts, and where there
    are few texts to learn from.

    Args:
        vocabulary_size: number of token ids, padding (0) included; may be left out with `word_vectors`.
        dim: size of the word embedding; `word_vectors` decide where given.
        word_dropout_rate: share of the words left out in training.
        word_vectors: array (vocabulary, dim) that the embedding starts from: `read_word_vectors` makes one from a GloVe
            file, `learn_word_vectors` from your own texts.
        pooling: `"avg"`, `"max"`, `"last"` or `"attention"` for a vector; None for a token per word.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `token_ids` to (batch, dim), or to tokens (batch, time, dim) with a mask.

    Example:

    >>> bag_of_words(1000, 32).output_shape, bag_of_words(1000, 32, pooling=None).output_shape
    ((None, 32), (None, None, 32))
    """
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = embedding_layer(vocabulary_size, dim, word_vectors)(token_ids)
    if word_dropout_rate:
        x = keras.layers.Dropout(word_dropout_rate, noise_shape=(None, None, 1), name="word_dropout")(x)
    return finish(token_ids, x, pooling=pooling, name=name)
