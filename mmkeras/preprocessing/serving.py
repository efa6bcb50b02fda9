"""Preprocessing as a server runs it: strings and numbers in, a batch of inputs out, all in the graph."""

from mmkeras.keys import presence_key, serving_key
from mmkeras.preprocessing.part import require_tensorflow
from mmkeras.preprocessing.text import Text
from mmkeras.preprocessing.video import Video

# Kinds that travel as bytes or strings; all others travel as numbers.
_STRINGS = ("image", "audio", "spectrogram", "frames", "token_ids")


def serving_signature(preprocessor, modalities=None):
    """Dict of the `tf.TensorSpec` that `serve` takes, by serving key, for all modalities or for some.

    Pictures, sounds and texts arrive as strings (batch), frames as strings (batch, frame), everything else as numbers,
    whose absence is said by a flag of their own.
    """
    tf = require_tensorflow("A serving signature")
    specs = {}
    for modality, part in _inputs(preprocessor, modalities):
        if part.kind in _STRINGS:
            key = serving_key(modality, part.kind)
            shape = (None, None) if isinstance(part, Video) else (None,)
            specs[key] = tf.TensorSpec(shape, tf.string, name=key)
        else:
            for kind, shape in part.raw_shapes.items():
                key = serving_key(modality, kind)
                specs[key] = tf.TensorSpec((None, *shape), part.dtype, name=key)
            if modality in preprocessor.optional:
                flag = presence_key(modality)
                specs[flag] = tf.TensorSpec((None,), tf.bool, name=flag)
    return specs


def serve(preprocessor, inputs, modalities=None):
    """Batch of inputs from a batch of served tensors, for all modalities or for some."""
    tf = require_tensorflow("Serving")
    batch = {}
    for modality, part in _inputs(preprocessor, modalities):
        served = [inputs[serving_key(modality, kind)] for kind in part.kinds]
        served = served[0] if len(served) == 1 else tf.concat(served, axis=-1)
        if served.dtype == tf.string:
            present = tf.reduce_any(tf.strings.length(served) > 0, axis=-1) if served.shape.rank > 1 else served != b""
        else:
            present = inputs.get(presence_key(modality), tf.ones(tf.shape(served)[:1], tf.bool))
        if modality not in preprocessor.optional:
            present = tf.ones_like(present)
        else:
            batch[presence_key(modality)] = present
        batch |= preprocessor.by_key(modality, _prepared(part, served, present))
    return batch


def _prepared(part, served, present):
    tf = require_tensorflow("Serving")
    if isinstance(part, Text):
        # Texts go through as one vector; the ids of a missing one are zeros.
        ids = part.graph(served)
        return tf.where(present[:, tf.newaxis], ids, tf.zeros_like(ids))

    ragged_rank = part.shape[1:].count(None)

    def one(sample):
        value, there = sample
        filler = tf.zeros(part.filler_shape(part.shape), part.storage_dtype)
        prepared = tf.cond(there, lambda: part.graph(value), lambda: filler)
        return tf.RaggedTensor.from_tensor(prepared, ragged_rank=ragged_rank) if ragged_rank else prepared

    if None in part.shape:
        spec = tf.RaggedTensorSpec(part.shape, part.storage_dtype, ragged_rank=ragged_rank)
        prepared = tf.map_fn(one, (served, present), fn_output_signature=spec).to_tensor()
    else:
        spec = tf.TensorSpec(part.shape, part.storage_dtype)
        prepared = tf.map_fn(one, (served, present), fn_output_signature=spec, parallel_iterations=8)
    return tf.cast(prepared, part.dtype)


def _inputs(preprocessor, modalities):
    parts = {name: part for name, part in preprocessor.parts.items() if part.kind is not None}
    return [(name, parts[name]) for name in (parts if modalities is None else modalities)]
