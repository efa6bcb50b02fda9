"""Words by the luck of the draw."""

import keras
from keras import ops

from mmkeras.generation.strategy import IMPOSSIBLE, Strategy, check_counts
from mmkeras.generation.walk import walk


@keras.saving.register_keras_serializable(package="mmkeras")
class Sample(Strategy):
    """Draw each word from the probabilities of the model: varied sentences, some of them odd.

    Probabilities at temperature T are `p^(1/T)`, scaled to sum to one; then the `top_k` likeliest words stay, and of
    these the likeliest that together hold `top_p` of the probability. Word t of sentence n falls to the number
    `noise[n, t]` between 0 and 1, where the probabilities of all words lie side by side in the order of their ids: the
    same noise gives the same sentences on every backend and in every exported form, but where two sums differ by a
    rounding.

    Args:
        temperature: T; below 1 likelier words gain, above 1 they lose.
        top_k: how many words stay; None for all.
        top_p: how much of the probability stays; None for all.
        num_return: how many sentences for each sample.

    Example:

    >>> sample = Sample(temperature=0.8, top_k=4, num_return=3)
    >>> decode = mm.generation.Decode(mm.layers.LSTMDecoder(9, 4), sample, start_id=2, end_id=3, max_length=5)
    >>> tuple(decode(ops.ones((2, 7, 8)), noise=ops.full((2, 3, 5), 0.5))["token_ids"].shape)
    (2, 3, 5)

    References:
        Fan et al. 2018, Hierarchical Neural Story Generation. Holtzman et al. 2020, The Curious Case of Neural Text
        Degeneration.
    """

    draws = True

    def __init__(self, temperature=1.0, *, top_k=None, top_p=None, num_return=1):
        check_counts(num_return=num_return, **({} if top_k is None else {"top_k": top_k}))
        if not temperature > 0:
            raise ValueError(f"`temperature` must be above 0. Received: temperature={temperature}")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1, or None. Received: top_p={top_p}")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.num_return = num_return

    def search(self, search):
        if search.noise is None:
            raise ValueError(
                "Sample needs `noise`, numbers from 0 to 1 of shape (batch, num_return, max_length). Received: None"
            )
        noise = ops.reshape(search.noise, (-1, search.max_length))

        def choose(ranked, index):
            kept = self._kept(ranked / self.temperature)
            shares = ops.softmax(kept, axis=-1)
            sums = ops.cumsum(shares, axis=-1)
            place = ops.take(noise, index, axis=1)[:, None] * sums[:, -1:]
            passed = ops.sum(ops.cast(sums <= place, "int32"), axis=-1)
            # Noise of 1 falls behind the last word that may be said.
            words = ops.arange(ranked.shape[-1], dtype="int32")
            return ops.minimum(passed, ops.max(ops.where(shares > 0, words, 0), axis=-1))

        return walk(search, choose, self.num_return)

    def _kept(self, logits):
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = ops.top_k(logits, self.top_k)[0][:, -1:]
            logits = ops.where(logits < least, IMPOSSIBLE, logits)
        if self.top_p is not None and self.top_p < 1:
            falling = ops.top_k(logits, logits.shape[-1])[0]
            shares = ops.softmax(falling, axis=-1)
            # A word stays if those before it hold less than asked for: the first one always does.
            stays = ops.cumsum(shares, axis=-1) - shares < self.top_p
            least = ops.min(ops.where(stays, falling, falling[:, :1]), axis=-1, keepdims=True)
            logits = ops.where(logits < least, IMPOSSIBLE, logits)
        return logits

    def get_config(self):
        return {
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "num_return": self.num_return,
        }
