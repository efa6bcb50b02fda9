"""An LSTM that says a sentence about a context."""

import keras

from mmkeras import ops
from mmkeras.layers.cross_modal_attention import CrossModalAttention
from mmkeras.layers.decoder import Decoder
from mmkeras.layers.sublayers import pass_trainable_on

_ATTENTION = ("additive", "multi_head", None)


@keras.saving.register_keras_serializable(package="mmkeras")
class LSTMDecoder(Decoder):
    """LSTM over the words so far, started from the context and, unless told otherwise, looking at it at every word.

    The first state is `tanh(W mean(context))`. With `h_t` the state after word t, the next word is said from:

    - `"additive"`: `score_k = v tanh(W_q h_(t-1) + W_k context_k)`, `z_t = softmax(score) context`,
      `h_t = LSTM([E(word_t); z_t], h_(t-1))`, `tanh(W [h_t; z_t])`, as Bahdanau's translator and Show, Attend and Tell.
    - `"multi_head"`: `CrossModalAttention` of `h_t` over the context. The recurrence does not wait for the attention,
      which then takes all words at once: the fastest to train.
    - `None`: `h_t` alone, as Show and Tell: the context is the first state and nothing else.

    Args:
        vocabulary_size: number of token ids, padding (0) included.
        units: size of the state.
        dim: size of the word embeddings; None takes `units`.
        attention: `"additive"`, `"multi_head"` or None.
        num_layers: number of LSTM layers.
        num_heads: number of heads of `"multi_head"`.
        tied: whether the logits are made by the embeddings, transposed.
        dropout_rate: share of values dropped in training.

    Call arguments:
        token_ids: integer tensor (batch, time), padded on the right.
        context: tensor (batch, key, any size) or (batch, any size).
        context_mask: boolean tensor (batch, key); padding is not attended to.

    Output shape: logits (batch, time, vocabulary_size), of the word after each one; float32.

    Example:

    >>> tuple(LSTMDecoder(50, 16)(ops.ones((2, 5), "int32"), ops.ones((2, 9, 8))).shape)
    (2, 5, 50)

    References:
        Vinyals et al. 2015, Show and Tell. Xu et al. 2015, Show, Attend and Tell. Bahdanau et al. 2015, Neural Machine
        Translation by Jointly Learning to Align and Translate.
    """

    def __init__(
        self,
        vocabulary_size,
        units=256,
        *,
        dim=None,
        attention="additive",
        num_layers=1,
        num_heads=4,
        tied=False,
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(vocabulary_size, units if dim is None else dim, tied=tied, dropout_rate=dropout_rate, **kwargs)
        if attention not in _ATTENTION:
            raise ValueError(f"`attention` must be one of {_ATTENTION}. Received: attention={attention!r}")
        if units < 1 or num_layers < 1:
            raise ValueError(
                f"`units` and `num_layers` must be positive integers. Received: units={units}, num_layers={num_layers}"
            )
        self.units = units
        self.attention = attention
        self.num_layers = num_layers
        self.num_heads = num_heads

    def build_decoder(self, context_dim):
        additive = self.attention == "additive"
        self._starts, self._layers_of_time = [], []
        for index in range(self.num_layers):
            start = self.sublayer(
                keras.layers.Dense, f"start_{index}", (None, context_dim), 2 * self.units, activation="tanh"
            )
            self._starts.append(start)
            size = self.units if index else self.dim + (context_dim if additive else 0)
            layer = self.sublayer(
                keras.layers.LSTM, f"lstm_{index}", (None, None, size), self.units, return_sequences=True
            )
            self._layers_of_time.append(layer)
        if additive:
            self._query = self.sublayer(keras.layers.Dense, "query", (None, self.units), self.units, use_bias=False)
            self._key = self.sublayer(keras.layers.Dense, "key", (None, None, context_dim), self.units)
            self._score = self.sublayer(keras.layers.Dense, "score", (None, None, self.units), 1, use_bias=False)
        elif self.attention == "multi_head":
            self._attention = CrossModalAttention(self.num_heads, dtype=self.dtype_policy, name="attention")
            self._attention.build((None, None, self.units), (None, None, context_dim))
        self._output = None
        if additive or self.units != self.dim:
            size = self.units + (context_dim if additive else 0)
            self._output = self.sublayer(keras.layers.Dense, "output", (None, None, size), self.dim, activation="tanh")
        pass_trainable_on(self)

    def hidden(self, words, tokens, mask, training=None):
        memory = self.remember(tokens, mask)
        state = self.initial_state(memory, None)
        if self.attention == "additive":
            return self._output(self._scanned(words, state["layers"], memory))
        x = words
        for layer, pair in zip(self._layers_of_time, state["layers"], strict=True):
            x = layer(x, initial_state=pair, training=training)
        if self.attention == "multi_head":
            x = self._attention(x, tokens, context_mask=mask, training=training)
        return x if self._output is None else self._output(x)

    def remember(self, context, context_mask=None):
        tokens, mask = self.tokens(context, context_mask)
        memory = {"start": ops.masked_mean(tokens, mask), "mask": mask}
        if self.attention == "additive":
            memory |= {"tokens": tokens, "key": self._key(tokens)}
        elif self.attention == "multi_head":
            memory["key"], memory["value"] = self._attention.project(tokens, mask)
        return memory

    def initial_state(self, memory, length):
        pairs = [keras.ops.split(start(memory["start"]), 2, axis=-1) for start in self._starts]
        state = {"layers": [list(pair) for pair in pairs]}
        if self.attention is not None:
            state["attention"] = keras.ops.zeros_like(memory["mask"], dtype="float32")
        return state

    def step(self, token, index, state, memory):
        x, state = self._read(self.embed(token), state, memory)
        return self.logits(x if self._output is None else self._output(x)), state

    def _scanned(self, words, pairs, memory):
        """States after each word, and what was looked at, side by side (batch, time, dim)."""

        def read(carried, word):
            *flat, _ = carried
            state = {"layers": keras.tree.pack_sequence_as(pairs, flat)}
            x, state = self._read(word, state, memory)
            carried = (*keras.tree.flatten(state["layers"]), x[:, self.units :])
            # On TensorFlow what a scan gives has the structure of what it carries.
            return carried, carried

        start = (*keras.tree.flatten(pairs), keras.ops.zeros_like(memory["tokens"][:, 0]))
        _, stacked = keras.ops.scan(read, start, keras.ops.swapaxes(words, 0, 1))
        return keras.ops.swapaxes(keras.ops.concatenate([stacked[-3], stacked[-1]], axis=-1), 0, 1)

    def _read(self, word, state, memory):
        """Read an embedded word (batch, dim); return what is said from and the new state."""
        x, attention = word, state.get("attention")
        if self.attention == "additive":
            query = self._query(state["layers"][-1][0])[:, None, :]
            scores = self._score(keras.ops.tanh(query + memory["key"]))[..., 0]
            weights = ops.masked_softmax(scores, memory["mask"])
            looked_at = keras.ops.einsum("bk,bkd->bd", weights, memory["tokens"])
            attention = keras.ops.cast(weights, "float32")
            x = keras.ops.concatenate([word, looked_at], axis=-1)
        pairs = []
        for layer, pair in zip(self._layers_of_time, state["layers"], strict=True):
            x, pair = layer.cell(x, pair)
            pairs.append(list(pair))
        if self.attention == "additive":
            x = keras.ops.concatenate([x, looked_at], axis=-1)
        elif self.attention == "multi_head":
            mask = memory["mask"][:, None, None, :]
            x, weights = self._attention.attend(x[:, None, :], memory["key"], memory["value"], mask=mask)
            x, attention = x[:, 0], keras.ops.cast(keras.ops.mean(weights[:, :, 0], axis=1), "float32")
        return x, {"layers": pairs} if attention is None else {"layers": pairs, "attention": attention}

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "attention": self.attention,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
        }
