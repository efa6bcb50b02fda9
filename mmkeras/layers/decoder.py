"""The base of the layers that say a sentence word by word."""

import keras

from mmkeras import ops


class Decoder(keras.layers.Layer):
    """Base of the layers that know which word comes next, given the words before it and a context.

    In training it reads whole sentences, `decoder(token_ids, context)`; in generation one word at a time:

        memory = decoder.remember(context, context_mask)         what it needs of the context, once
        state = decoder.initial_state(memory, length)            before the first word
        logits, state = decoder.step(token, index, state, memory)

    and both ways give the same logits. A context is what encoders make: tokens with a mask, or a vector. `memory` and
    `state` are dicts of tensors, nested or not, whose first axis is the sample: whoever generates repeats and reorders
    them by rows. A decoder that looks at the context holds what it looked at in `state["attention"]`, (batch, key).

    A subclass defines `build_decoder`, `hidden`, `remember`, `initial_state` and `step`.

    Args:
        vocabulary_size: number of token ids, padding (0) included.
        dim: size of the word embeddings, and of what the logits are made of.
        tied: whether the logits are made by the embeddings, transposed, instead of by weights of their own.
        dropout_rate: share of values dropped in training.
    """

    def __init__(self, vocabulary_size, dim, *, tied=False, dropout_rate=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, value, least in (("vocabulary_size", vocabulary_size, 2), ("dim", dim, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
        if not 0.0 <= dropout_rate < 1.0:
            raise ValueError(f"`dropout_rate` must lie in [0, 1). Received: dropout_rate={dropout_rate}")
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        self.tied = tied
        self.dropout_rate = dropout_rate

    def build(self, token_ids_shape, context_shape):
        if len(token_ids_shape) != 2 or len(context_shape) not in (2, 3) or context_shape[-1] is None:
            raise ValueError(
                f"{type(self).__name__} expects token ids (batch, time) and a context (batch, key, dim) or (batch, "
                f"dim). Received: shapes {tuple(token_ids_shape)} and {tuple(context_shape)}"
            )
        self._context_dim = context_shape[-1]
        # Words of size 1: those of Keras' own initialisation, a thirtieth of that, would long be hard to tell apart. In
        # a table that makes logits too they are smaller, as suits these.
        self._scale = self.dim**0.5 if self.tied else 1.0
        self._embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0 / self._scale),
            name="embedding",
            dtype=self.dtype_policy,
        )
        self._embedding.build(token_ids_shape)
        if self.tied:
            self._bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")
        else:
            self._words = self.sublayer(keras.layers.Dense, "words", (None, self.dim), self.vocabulary_size)
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        self.build_decoder(context_shape[-1])

    def build_decoder(self, context_dim):
        """Create the weights between the words and the logits."""
        raise NotImplementedError(f"{type(self).__name__} must define `build_decoder`.")

    def call(self, token_ids, context, context_mask=None, training=None):
        tokens, mask = self.tokens(context, context_mask)
        hidden = self.hidden(self.embed(token_ids, training), tokens, mask, training)
        return self.logits(self._dropout(hidden, training=training))

    def hidden(self, words, tokens, mask, training=None):
        """What the logits after each word of whole sentences are made of, (batch, time, dim).

        Args:
            words: embedded words (batch, time, dim).
            tokens: the context (batch, key, any size).
            mask: boolean tensor (batch, key).
            training: whether to drop values.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `hidden`.")

    def remember(self, context, context_mask=None):
        """What the decoder needs of a context, as a dict of tensors with one row per sample."""
        raise NotImplementedError(f"{type(self).__name__} must define `remember`.")

    def initial_state(self, memory, length):
        """The state before the first word of at most `length`, as a dict of tensors with one row per sample."""
        raise NotImplementedError(f"{type(self).__name__} must define `initial_state`.")

    def step(self, token, index, state, memory):
        """Read one word per sample, (batch,), at place `index`; return the logits of the next one and the state."""
        raise NotImplementedError(f"{type(self).__name__} must define `step`.")

    def embed(self, token_ids, training=None):
        """Vectors of words."""
        return self._dropout(self._embedding(token_ids) * self._scale, training=training)

    def logits(self, hidden):
        """Scores of all words, float32, (..., vocabulary)."""
        if self.tied:
            table = keras.ops.convert_to_tensor(self._embedding.embeddings, dtype=hidden.dtype)
            scores = keras.ops.matmul(hidden, keras.ops.transpose(table))
            return keras.ops.cast(scores, "float32") + keras.ops.cast(self._bias, "float32")
        return keras.ops.cast(self._words(hidden), "float32")

    def sublayer(self, layer_class, name, shape, *args, **kwargs):
        """A built layer of this one."""
        layer = layer_class(*args, **kwargs, dtype=self.dtype_policy, name=name)
        layer.build(shape)
        return layer

    def tokens(self, context, context_mask=None):
        """A context as tokens, zero where there are none, and their mask, boolean (batch, key)."""
        context = context[:, None, :] if len(context.shape) == 2 else context
        return ops.zero_padding(context, context_mask), ops.token_mask(context, context_mask)

    def compute_mask(self, token_ids, previous_mask=None):
        return None

    def compute_output_shape(self, token_ids_shape, context_shape=None):
        return (*token_ids_shape, self.vocabulary_size)

    def compute_output_spec(self, token_ids, context, **kwargs):
        if context.shape[-1] != self._context_dim:
            raise ValueError(
                f"This {type(self).__name__} was built for contexts of size {self._context_dim}: give each task a "
                f"decoder of its own. Received: a context of shape {tuple(context.shape)}"
            )
        return keras.KerasTensor(self.compute_output_shape(token_ids.shape), "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "tied": self.tied,
            "dropout_rate": self.dropout_rate,
        }
