"""Where every attention of a task looked."""

import contextlib
import inspect
from typing import Any

import keras
import numpy as np

from mmkeras.interpret.explained import explain
from mmkeras.interpret.probing import as_array, calls_through, encoder_of, replaced
from mmkeras.layers import AttentionPooling, CrossModalAttention, GraphAttention
from mmkeras.models import EmbeddingTask, SentenceTask
from mmkeras.models.records import as_record


def attention_maps(task: Any, record: Any) -> dict[str, np.ndarray]:
    """Take down where every attention of a task looks for a record.

    Names tell the layers on the way, such as `"image_encoder/block_1/self_attention"` or `"fusion/attention_0"`. The
    cells of a picture are tokens row by row, words and moments are in their order; a fusion that joins modalities has
    their tokens one modality after the other, in the order of their sorted names. Where attention looks is no proof of
    what it took from there: `integrated_gradients` says what counted.

    Found are `CrossModalAttention` and whatever is built on it, `AttentionPooling` (one query), `GraphAttention`, and
    `keras.layers.MultiHeadAttention`. What a captioner with an LSTM looks at while it speaks is in
    `task.generate(record, return_attention=True)`.

    Args:
        task: a task; one that says sentences reads that which it says.
        record: a raw record, or its inputs without a preprocessor.

    Returns:
        Dict name -> array (heads, query, key) of weights that add up to one for each query, zero on padding; with
        an axis of frames in front of an encoder that sees each frame by itself.

    Example:

    >>> encoders = {"image": mm.encoders.vision_transformer(4, 8, num_layers=1, image_shape=(8, 8, 3))}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2)
    >>> {name: maps.shape for name, maps in attention_maps(task, {"image": np.ones((8, 8, 3))}).items()}
    {'image_encoder/block_1/self_attention': (4, 4, 4)}
    """
    run = _run_of(task, record)
    found, path = {}, []

    def keep(scores, *names):
        scores = as_array(scores).astype("float32")
        name = "/".join([*path, *names])
        same = sum(other.split(" (")[0] == name for other in found)
        found[name if not same else f"{name} ({same + 1})"] = scores[0] if len(scores) == 1 else scores

    def around(layer, call, args, kwargs):
        if id(layer) in unnamed:
            return call(*args, **kwargs)
        path.append(layer.name)
        try:
            return _called(layer, call, args, kwargs, keep)
        finally:
            path.pop()

    layers = {id(layer): layer for layer in task._flatten_layers(include_self=False)}
    named = {id(encoder_of(task, name)) for name in task.encoders}
    # Models within encoders have names that Keras has numbered.
    unnamed = {key for key, layer in layers.items() if isinstance(layer, keras.Model)} - named
    with contextlib.ExitStack() as stack:
        for layer in layers.values():
            if isinstance(layer, CrossModalAttention):
                stack.enter_context(replaced(layer, "attend", _attending(layer, path, keep)))
        stack.enter_context(calls_through(layers.values(), around))
        run()
    if not found:
        raise ValueError(
            "This task has no attention to look at: take an encoder, a pooling or a fusion with attention, or "
            "`integrated_gradients`, which needs none. What an LSTM looks at while it speaks is in "
            f"`task.generate(record, return_attention=True)`. Received: {task!r}"
        )
    return found


def _run_of(task, record):
    """A function that runs the task on a record."""
    if isinstance(task, SentenceTask | EmbeddingTask):
        explained = explain(task, record)
        return lambda: explained.scores(explained.x)
    x = {name: keras.ops.convert_to_tensor(value) for name, value in task.prepare(as_record(task, record)).items()}
    return lambda: task(x, training=False)


def _called(layer, call, args, kwargs, keep):
    """Call a layer so that it gives where it looked too."""
    if isinstance(layer, AttentionPooling):
        output, scores = call(*args, **{**kwargs, "return_attention_scores": True})
        keep(scores[:, :, None])
        return (output, scores) if kwargs.get("return_attention_scores") else output
    if isinstance(layer, GraphAttention):
        output, scores = call(*args, **{**kwargs, "return_weights": True})
        keep(scores)
        return (output, scores) if kwargs.get("return_weights") else output
    asked = "return_attention_scores"
    if isinstance(layer, keras.layers.MultiHeadAttention) and asked in inspect.signature(call).parameters:
        output, scores = call(*args, **{**kwargs, asked: True})
        keep(scores)
        return (output, scores) if kwargs.get(asked) else output
    return call(*args, **kwargs)


def _attending(layer, path, keep):
    attend = layer.attend

    def through(*args, **kwargs):
        output, scores = attend(*args, **kwargs)
        # A fusion may ask for it without calling the layer.
        keep(scores, *([] if path and path[-1] == layer.name else [layer.name]))
        return output, scores

    return through
