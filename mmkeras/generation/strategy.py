"""What ways of generating have in common."""

import numbers
from typing import Any, NamedTuple

import keras
from keras import ops

# Far below any sum of logarithms, and still a number that arithmetic in float32 bears.
IMPOSSIBLE = -1e9


class Rules(NamedTuple):
    """What may be said, and at what price, whatever the strategy."""

    end_id: int
    forbidden_ids: tuple
    min_length: int
    repetition_penalty: float

    def __call__(self, logits, index, seen, forced):
        """Judge every word.

        Args:
            logits: tensor (row, vocabulary).
            index: place of the word, an integer scalar.
            seen: boolean tensor (row, vocabulary) of words said before, or None.
            forced: integer tensor (row,), the word that must come here, 0 for any; or None.

        Returns:
            Two tensors (row, vocabulary): logarithms by which to choose, and those of the probabilities of the model.
        """
        probable = ops.log_softmax(logits, axis=-1)
        ranked = probable
        words = ops.arange(logits.shape[-1], dtype="int32")
        if seen is not None:
            dear = ops.where(logits > 0, logits / self.repetition_penalty, logits * self.repetition_penalty)
            ranked = ops.log_softmax(ops.where(seen, dear, logits), axis=-1)
        forbidden = [ops.equal(words, word) for word in self.forbidden_ids]
        if self.min_length:
            forbidden.append(ops.logical_and(ops.equal(words, self.end_id), index < self.min_length))
        for word in forbidden:
            ranked = ops.where(word, IMPOSSIBLE, ranked)
        if forced is not None:
            must = ops.where(ops.equal(words, forced[:, None]), probable, IMPOSSIBLE)
            ranked = ops.where(forced[:, None] > 0, must, ranked)
        return ranked, probable


class Search(NamedTuple):
    """What a strategy searches: a decoder in front of its context, one row per sample."""

    decoder: Any
    rules: Rules
    memory: dict
    state: dict
    start_id: int
    max_length: int
    prefix_ids: Any
    noise: Any
    return_attention: bool

    def rows(self):
        return ops.shape(keras.tree.flatten(self.state)[0])[0]

    def repeated(self, count):
        """Memory, state and prefix with each row `count` times."""
        if count == 1:
            return self.memory, self.state, self.prefix_ids
        repeat = lambda x: None if x is None else ops.repeat(x, count, axis=0)  # noqa: E731
        memory, state = (keras.tree.map_structure(repeat, part) for part in (self.memory, self.state))
        return memory, state, repeat(self.prefix_ids)


class Strategy:
    """Base of the ways of generating: what `mm.generation.Decode` takes.

    A subclass defines `search`, has `num_return`, how many sentences there are for each sample, and says whether it
    `draws` words by noise.
    """

    num_return = 1
    draws = False

    def search(self, search: Search) -> dict:
        """Find sentences.

        Returns:
            Dict of `token_ids` (row, num_return, time), `scores` and `log_probabilities` (row, num_return), and where
            asked for `attention` (row, num_return, time, key).
        """
        raise NotImplementedError(f"{type(self).__name__} must define `search`.")

    def get_config(self) -> dict:
        if type(self).__init__ is not object.__init__:
            raise NotImplementedError(f"{type(self).__name__} takes arguments, so it must define `get_config`.")
        return {}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


def check_counts(**values):
    """Raise an error where an argument is no positive integer."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")


def write(buffer, index, values, axis):
    """A buffer with these values at a place of an axis, counted from the end; values lack that axis."""
    here = ops.equal(ops.arange(buffer.shape[axis], dtype="int32"), index)
    here = ops.reshape(here, (-1, *[1] * (-axis - 1)))
    return ops.where(here, ops.expand_dims(values, axis), buffer)


def one_word(values, words):
    """The value of one word per row: (row, vocabulary) and (row,) -> (row,)."""
    return ops.take_along_axis(values, words[:, None], axis=1)[:, 0]
