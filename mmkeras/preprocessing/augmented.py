"""Augmentation in the pipeline: which transformation runs on which tensor of a batch, with which seed."""

from mmkeras.preprocessing.augmentation import Augmentation


def augmenter(preprocessor, augment):
    """Make the function that adds augmentation to a dataset of batches.

    Args:
        preprocessor: the Preprocessor, which knows the keys.
        augment: dict modality -> transformation or list of them. Keras layers are called with `training=True`, all
            others with a seed of their own for every batch. Under `"modalities"` stand those that take the whole batch.

    Returns:
        Function that makes a dataset of augmented batches from one of batches and seeds, int64 (2,).
    """
    import keras
    import tensorflow as tf

    steps = []
    for modality, given in augment.items():
        transformations = given if isinstance(given, (list, tuple)) else [given]
        known = [name for name, part in preprocessor.parts.items() if part.kind is not None]
        if modality not in (*known, "modalities"):
            raise ValueError(f"`augment` names modalities, here {known}, or 'modalities'. Received: {modality!r}")
        wrong = [step for step in transformations if not callable(step)]
        if wrong:
            raise ValueError(f"`augment` takes Keras layers and augmentations for {modality!r}. Received: {wrong}")
        key = None if modality == "modalities" else preprocessor.key(modality)
        steps += [(key, transformation) for transformation in transformations]

    def transformed(batch, seed):
        batch = dict(batch)
        for index, (key, step) in enumerate(steps):
            # A seed for every step, or two of a kind would draw the same.
            mixed = (seed + tf.constant([7919 * index, index], tf.int64)) % (2**31)
            own_seed = tf.cast(mixed, "int32")
            if key is None:
                batch = step(batch, own_seed)
            elif isinstance(step, keras.layers.Layer):
                batch[key] = tf.cast(step(batch[key], training=True), batch[key].dtype)
            else:
                changed = step(batch[key], own_seed)
                # Augmentations know the shape of what they make.
                known = isinstance(step, Augmentation)
                batch[key] = changed if known else tf.ensure_shape(changed, batch[key].shape)
        return batch

    def apply(dataset):
        # Keras layers hold random state: one after the other, or the order of batches would change what they draw.
        stateful = any(isinstance(step, keras.layers.Layer) for _, step in steps)
        workers = None if stateful else tf.data.AUTOTUNE
        return dataset.map(tf.autograph.experimental.do_not_convert(transformed), num_parallel_calls=workers)

    return apply
