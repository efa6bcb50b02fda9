"""Samples without some of their modalities."""

from mmkeras.keys import PRESENT
from mmkeras.preprocessing.augmentation.augmentation import Augmentation, check_rate, split
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.registration import registered


@registered
class DropModality(Augmentation):
    """Drop whole modalities in the pipeline, by clearing their presence flags.

    The values stay; what an absent flag does is up to the model. `mm.layers.ModalityDropout` does the same inside a
    model: use one of the two.

    Args:
        rate: probability that a present modality is dropped, each on its own, per sample.
        keep_one: leave a sample as it was where the draw would drop the last flagged modality it has. False where a
            modality without a flag is always there.

    Call arguments:
        batch: dict of tensors with flags `<modality>_present` (batch,).
        seed: int32 tensor (2,).

    Example:

    >>> flags = {"image_present": np.array([True, True]), "text_present": np.array([True, False])}
    >>> {key: flag.numpy().tolist() for key, flag in DropModality(1.0)(flags, seed=(1, 2)).items()}
    {'image_present': [True, True], 'text_present': [True, False]}
    """

    def __init__(self, rate=0.1, keep_one=True):
        check_rate("rate", rate)
        self.rate = rate
        self.keep_one = keep_one

    def __call__(self, batch, seed):
        tf = require_tensorflow("DropModality")
        # In a fixed order: the draw must not depend on that of the keys.
        keys = sorted(key for key in batch if key.endswith(PRESENT))
        if not keys:
            raise ValueError(
                f"DropModality clears flags `<modality>{PRESENT}`: name the modalities that may be missing in the "
                f"Preprocessor's `optional`. Received: keys {sorted(batch)}"
            )
        flags = tf.stack([tf.cast(batch[key], "bool") for key in keys], axis=1)
        seed = tf.convert_to_tensor(seed, "int32")
        kept = flags & (tf.random.stateless_uniform(tf.shape(flags), next(split(seed, 1))) >= self.rate)
        if self.keep_one:
            kept = tf.where(tf.reduce_any(kept, axis=1, keepdims=True), kept, flags)
        return {**batch, **{key: kept[:, index] for index, key in enumerate(keys)}}

    def get_config(self):
        return {"rate": self.rate, "keep_one": self.keep_one}
