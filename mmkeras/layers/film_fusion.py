"""Fusion by modulation: one modality reads the others in its own light."""

import itertools

import keras

from mmkeras import ops
from mmkeras.layers.film import FiLM
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class FiLMFusion(TokenFusion):
    """Pass the tokens of each modality through layers that another modality scales and shifts.

    `x = x + W_2 relu(FiLM(W_1 norm(x), condition))`, `num_layers` times. With `by="question"` the question is the
    condition of all others, and what comes out are their tokens; without, the condition of each modality is the mean
    of all others, and all tokens come out. A condition is the mean of its tokens, padding left out.

    Use it where one modality asks and the others answer. An absent modality is a condition of zeros.

    Args:
        dim: size of the tokens; None takes the smallest size among the encodings.
        by: the modality that modulates the others: its key in a dict of encodings, its index in a list; None for each
            by all others.
        num_layers: number of modulated layers.
        dropout_rate: share of values dropped in training.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.

    Output shape: (batch, sum of tokens, dim), with the joined mask.

    Example:

    >>> encodings = {"image": ops.ones((2, 9, 8)), "question": ops.ones((2, 8))}
    >>> tuple(FiLMFusion(by="question")(encodings).shape), tuple(FiLMFusion()(encodings).shape)
    ((2, 9, 8), (2, 10, 8))
    """

    def __init__(self, dim=None, *, by=None, num_layers=2, dropout_rate=0.0, **kwargs):
        super().__init__(dim, **kwargs)
        if num_layers < 1:
            raise ValueError(f"`num_layers` must be a positive integer. Received: num_layers={num_layers}")
        self.by = by
        self.num_layers = num_layers
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        count, dim = self.build_tokens(encodings_shape)
        names = self._names or list(range(count))
        if count < 2 or (self.by is not None and self.by not in names):
            raise ValueError(
                f"FiLMFusion needs at least two encodings, and `by` must be one of {names} or None. "
                f"Received: by={self.by!r}, encodings of shapes {encodings_shape}"
            )
        self._by = None if self.by is None else names.index(self.by)
        options = {"dropout_rate": self.dropout_rate, "dtype": self.dtype_policy}
        self._layers_of = [
            []
            if index == self._by
            else [_Modulated(name=f"modulated_{index}_{number}", **options) for number in range(self.num_layers)]
            for index in range(count)
        ]
        for layer in itertools.chain(*self._layers_of):
            layer.build((None, None, dim), (None, dim))
        self._norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        self._norm.build((None, None, dim))
        pass_trainable_on(self)

    def fuse(self, encodings, presence, masks, training):
        tokens, masks = self.tokens(encodings, presence, masks)
        summaries = [ops.masked_mean(x, mask) for x, mask in zip(tokens, masks, strict=True)]
        modulated = []
        for index, x in enumerate(tokens):
            if index == self._by:
                continue
            if self._by is None:
                condition = sum(summaries[:index] + summaries[index + 1 :]) / (len(summaries) - 1)
            else:
                condition = summaries[self._by]
            for layer in self._layers_of[index]:
                x = layer(x, condition, training=training)
            modulated.append(x)
        return self._norm(keras.ops.concatenate(modulated, axis=1)), None

    def compute_mask(self, encodings, previous_mask=None):
        encodings, _, masks = self.arrange(encodings, None, previous_mask)
        kept = [index for index in range(len(encodings)) if index != self._by]
        return ops.join_masks([self._sequence(encodings[index]) for index in kept], [masks[index] for index in kept])

    def get_config(self):
        return {
            **super().get_config(),
            "by": self.by,
            "num_layers": self.num_layers,
            "dropout_rate": self.dropout_rate,
        }


class _Modulated(keras.layers.Layer):
    """A residual layer whose hidden values are modulated."""

    def __init__(self, dropout_rate, **kwargs):
        super().__init__(**kwargs)
        self.dropout_rate = dropout_rate

    def build(self, x_shape, condition_shape):
        dim = x_shape[-1]
        self._norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        self._hidden = keras.layers.Dense(dim, dtype=self.dtype_policy, name="hidden")
        self._film = FiLM(dtype=self.dtype_policy, name="film")
        self._output = keras.layers.Dense(dim, dtype=self.dtype_policy, name="output")
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        for layer in (self._norm, self._hidden, self._output):
            layer.build(x_shape)
        self._film.build(x_shape, condition_shape)
        pass_trainable_on(self)

    def call(self, x, condition, x_mask=None, training=None):
        hidden = keras.ops.relu(self._film(self._hidden(self._norm(x)), condition))
        return x + self._dropout(self._output(hidden), training=training)

    def compute_mask(self, x, previous_mask=None):
        return previous_mask
