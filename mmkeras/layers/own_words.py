"""Some of the words read in training are the model's own."""

import keras

from mmkeras.layers.decoder import Decoder


@keras.saving.register_keras_serializable(package="mmkeras")
class OwnWords(keras.layers.Layer):
    """Scheduled sampling: replace words that a decoder reads in training by those it would have said there.

    In generation a decoder reads its own words, mistakes among them, and in training only true ones. Here, in training,
    each word after the first is replaced with probability `rate` by the likeliest word after the true words before it.
    All places are asked in one pass beforehand, without gradients, so sentences need no loop; the price is that pass.
    `rate` is a variable: `layer.rate.assign(...)` changes it between epochs without compiling anew.

    Args:
        decoder: the `mm.layers.Decoder` whose words are read.
        rate: probability that a word is replaced.
        seed: integer seed, or None.

    Call arguments:
        token_ids: integer tensor (batch, time), padded on the right.
        context: tensor (batch, key, dim) or (batch, dim).
        context_mask: boolean tensor (batch, key).

    Output shape: token ids (batch, time). At inference they pass unchanged.

    Example:

    >>> layer = OwnWords(mm.layers.LSTMDecoder(9, 4), 0.5)
    >>> np.asarray(layer(ops.array([[2, 5, 3, 0]]), ops.ones((1, 3, 8)))).tolist()
    [[2, 5, 3, 0]]

    References:
        Bengio et al. 2015, Scheduled Sampling. Mihaylova and Martins 2019, Scheduled Sampling for Transformers.
    """

    def __init__(self, decoder, rate=0.25, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(decoder, Decoder):
            raise ValueError(f"`decoder` must be a mm.layers.Decoder. Received: decoder={decoder!r}")
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"`rate` must lie in [0, 1]. Received: rate={rate}")
        # Its weights are not of this layer, so that files of weights are the same with and without scheduled sampling.
        self._others = _Others(decoder)
        self.initial_rate = float(rate)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)
        self.rate = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(rate), trainable=False, dtype="float32", name="rate"
        )

    def build(self, token_ids_shape, context_shape):
        if not self._others.decoder.built:
            self._others.decoder.build(token_ids_shape, context_shape)

    def call(self, token_ids, context, context_mask=None, training=None):
        token_ids = keras.ops.cast(token_ids, "int32")
        if not training:
            return token_ids
        logits = self._others.decoder(token_ids, context, context_mask=context_mask, training=False)
        # The place of padding and of the first word is not the decoder's to fill.
        likeliest = keras.ops.top_k(keras.ops.stop_gradient(logits[..., 1:]), 1)[1][..., 0] + 1
        own = keras.ops.cast(likeliest, "int32")
        own = keras.ops.concatenate([token_ids[:, :1], own[:, :-1]], axis=1)
        drawn = keras.random.uniform(keras.ops.shape(token_ids), seed=self._generator) < self.rate
        return keras.ops.where(keras.ops.logical_and(drawn, token_ids > 0), own, token_ids)

    def compute_output_spec(self, token_ids, context, **kwargs):
        return keras.KerasTensor(token_ids.shape, "int32")

    def compute_mask(self, token_ids, previous_mask=None):
        return None

    def load_own_variables(self, store):
        # A file of weights learned without scheduled sampling has no rate.
        if store.keys():
            super().load_own_variables(store)

    def get_config(self):
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self._others.decoder),
            "rate": self.initial_rate,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "decoder": keras.saving.deserialize_keras_object(config["decoder"])})


class _Others:
    """What a layer uses and does not own, which Keras would take for its own as an attribute."""

    def __init__(self, decoder):
        self.decoder = decoder
