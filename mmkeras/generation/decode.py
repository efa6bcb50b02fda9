"""Sentences about a context, the whole loop in the graph."""

import keras

from mmkeras.generation.strategy import Rules, Search, Strategy
from mmkeras.layers import Decoder


@keras.saving.register_keras_serializable(package="mmkeras")
class Decode(keras.layers.Layer):
    """Let a decoder say sentences: the loop over words is part of the graph, whatever runs it.

    Tasks build it for you (`task.generate(...)`); build it yourself to put generation into a model of your own. It
    shares the decoder, so what was trained is what speaks. Each sample stops at its own end mark, the loop when all
    have stopped.

    Args:
        decoder: a `mm.layers.Decoder`.
        strategy: `Greedy()`, `Beam(...)` or `Sample(...)`.
        start_id: id of the start mark, the first word read.
        end_id: id of the end mark.
        max_length: the most words of a sentence, the end mark among them.
        min_length: the end mark comes after as many words at least.
        repetition_penalty: logits of words said before are divided by it if above 0, multiplied if below; 1 for none.
        forbidden_ids: ids never said, padding among them.
        return_attention: whether to give what the decoder looked at, too.

    Call arguments:
        context: tensor (batch, key, dim) or (batch, dim).
        prefix_ids: integer tensor (batch, max_length), the words that sentences begin with, 0 where any may come.
        noise: tensor (batch, num_return, max_length) of numbers from 0 to 1, which `Sample` draws by.
        mask: boolean tensor (batch, key), filled in by Keras with a context alone.
        context_mask: the same, filled in by Keras beside a prefix or noise.

    Output shape: dict of `token_ids` (batch, num_return, max_length), int32, 0 behind the end; `scores` and
    `log_probabilities` (batch, num_return), the latter of the whole sentence by the model; and, if asked for,
    `attention` (batch, num_return, max_length, key). Where there are fewer sentences than asked for, the rest has
    scores of -1e9.

    Example:

    >>> decode = Decode(mm.layers.LSTMDecoder(9, 4), mm.generation.Beam(2), start_id=2, end_id=3, max_length=5)
    >>> sorted(decode(ops.ones((2, 7, 8))))
    ['log_probabilities', 'scores', 'token_ids']
    """

    def __init__(
        self,
        decoder,
        strategy,
        *,
        start_id,
        end_id,
        max_length,
        min_length=0,
        repetition_penalty=1.0,
        forbidden_ids=(0,),
        return_attention=False,
        **kwargs,
    ):
        # Rounding noise to a few bits would draw other words: only the context is cast.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(decoder, Decoder) or not isinstance(strategy, Strategy):
            raise ValueError(
                "Decode needs a mm.layers.Decoder and a strategy such as mm.generation.Greedy(). "
                f"Received: {decoder!r} and {strategy!r}"
            )
        if max_length < 1 or not 0 <= min_length < max_length:
            raise ValueError(
                "`max_length` must be a positive integer and `min_length` below it. "
                f"Received: max_length={max_length}, min_length={min_length}"
            )
        if not repetition_penalty > 0:
            raise ValueError(f"`repetition_penalty` must be above 0. Received: repetition_penalty={repetition_penalty}")
        forbidden_ids = tuple(int(word) for word in forbidden_ids)
        known = range(decoder.vocabulary_size)
        outside = [word for word in (start_id, end_id, *forbidden_ids) if word not in known]
        if outside or end_id in (0, *forbidden_ids):
            raise ValueError(
                f"Ids must be below {decoder.vocabulary_size}, and the end mark neither 0 nor forbidden. Received: "
                f"start_id={start_id}, end_id={end_id}, forbidden_ids={forbidden_ids}"
            )
        self.decoder = decoder
        self.strategy = strategy
        self.start_id = start_id
        self.end_id = end_id
        self.max_length = max_length
        self.min_length = min_length
        self.repetition_penalty = float(repetition_penalty)
        self.forbidden_ids = forbidden_ids
        self.return_attention = return_attention

    def build(self, context_shape, prefix_ids_shape=None, noise_shape=None):
        if not self.decoder.built:
            self.decoder.build((None, None), context_shape)

    def call(self, context, prefix_ids=None, noise=None, mask=None, context_mask=None):
        context_mask = mask if context_mask is None else context_mask
        memory = self.decoder.remember(keras.ops.cast(context, self.decoder.compute_dtype), context_mask)
        state = self.decoder.initial_state(memory, self.max_length)
        if self.return_attention and "attention" not in state:
            raise ValueError(
                "This decoder looks at nothing while it speaks: there is no attention to return. "
                f"Received: {self.decoder!r}"
            )
        rules = Rules(self.end_id, self.forbidden_ids, self.min_length, self.repetition_penalty)
        prefix_ids = None if prefix_ids is None else keras.ops.cast(prefix_ids, "int32")
        return self.strategy.search(
            Search(
                self.decoder,
                rules,
                memory,
                state,
                self.start_id,
                self.max_length,
                prefix_ids,
                noise,
                self.return_attention,
            )
        )

    def compute_output_spec(self, context, prefix_ids=None, noise=None, mask=None, context_mask=None):
        batch, count = context.shape[0], self.strategy.num_return
        spec = {
            "token_ids": keras.KerasTensor((batch, count, self.max_length), "int32"),
            "scores": keras.KerasTensor((batch, count), "float32"),
            "log_probabilities": keras.KerasTensor((batch, count), "float32"),
        }
        if self.return_attention:
            keys = context.shape[1] if len(context.shape) == 3 else 1
            spec["attention"] = keras.KerasTensor((batch, count, self.max_length, keys), "float32")
        return spec

    def compute_mask(self, context, previous_mask=None):
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "strategy": keras.saving.serialize_keras_object(self.strategy),
            "start_id": self.start_id,
            "end_id": self.end_id,
            "max_length": self.max_length,
            "min_length": self.min_length,
            "repetition_penalty": self.repetition_penalty,
            "forbidden_ids": list(self.forbidden_ids),
            "return_attention": self.return_attention,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("decoder", "strategy"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
