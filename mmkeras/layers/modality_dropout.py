"""Teach a model to do without."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class ModalityDropout(keras.layers.Layer):
    """Drop whole modalities at random in training, by clearing their presence flags.

    What an absent flag does is up to the layers that read it (`ZeroAbsent`, `NullEmbedding`, the fusions): a model
    that handles absence handles dropout in the same way, and learns to answer from what is left. At inference the
    flags pass unchanged.

    Args:
        rate: probability that a present modality is dropped, each on its own, per sample.
        keep_one: leave a sample as it was where the draw would drop the last modality it has.
        seed: integer seed, or None.

    Call arguments:
        presence: list or dict of boolean tensors (batch,).

    Output: presence of the same structure.

    Example:

    >>> flags = {"image": ops.array([True, True]), "text": ops.array([True, False])}
    >>> dropped = ModalityDropout(0.5, seed=1)(flags, training=True)
    >>> sorted(dropped), np.asarray(ModalityDropout(0.5)(flags)["text"]).tolist()
    (['image', 'text'], [True, False])

    References:
        Neverova et al. 2016, ModDrop.
    """

    def __init__(self, rate, *, keep_one=True, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"`rate` must lie in [0, 1). Received: rate={rate}")
        self.rate = rate
        self.keep_one = keep_one
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, presence, training=None):
        if not training or self.rate == 0.0:
            return keras.tree.map_structure(lambda flag: keras.ops.cast(flag, "bool"), presence)
        flags = keras.ops.stack([keras.ops.cast(f, "bool") for f in keras.tree.flatten(presence)], axis=1)
        draws = keras.random.uniform(keras.ops.shape(flags), seed=self._generator)
        kept = keras.ops.logical_and(flags, draws >= self.rate)
        if self.keep_one:
            kept = keras.ops.where(keras.ops.any(kept, axis=1, keepdims=True), kept, flags)
        columns = [kept[:, index] for index in range(kept.shape[1])]
        return keras.tree.pack_sequence_as(presence, columns)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "keep_one": self.keep_one, "seed": self.seed}
