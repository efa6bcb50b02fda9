"""Always the likeliest word."""

import keras
from keras import ops

from mmkeras.generation.strategy import Strategy
from mmkeras.generation.walk import walk


@keras.saving.register_keras_serializable(package="mmkeras")
class Greedy(Strategy):
    """Say the likeliest word each time: fast, the same every time, and a little short-sighted.

    `score` and `log_probability` are the sum of the logarithms of the probabilities of the words, the end mark among
    them.

    Example:

    >>> decode = mm.generation.Decode(mm.layers.LSTMDecoder(9, 4), Greedy(), start_id=2, end_id=3, max_length=5)
    >>> tuple(decode(ops.ones((2, 7, 8)))["token_ids"].shape)
    (2, 1, 5)
    """

    def search(self, search):
        return walk(search, lambda ranked, index: ops.top_k(ranked, 1)[1][:, 0])
