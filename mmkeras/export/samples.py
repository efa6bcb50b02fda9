"""Records that nobody gave: what a model is tried on when there is nothing else."""

import numpy as np

from mmkeras.keys import PRESENT
from mmkeras.preprocessing import Audio, Graph, Image, Preprocessor, Text, Video

# Steps of a series whose length nothing says.
_STEPS = 8
_SECONDS = 1.0


def sample_records(preprocessor, modalities, count, seed=0):
    """Raw records of noise and of words of the vocabulary.

    Args:
        preprocessor: a Preprocessor.
        modalities: which to make.
        count: how many.
        seed: integer.
    """
    rng = np.random.default_rng(seed)
    return [{name: _raw(preprocessor[name], rng) for name in modalities} for _ in range(count)]


def sample_inputs(task, model, count, seed=0):
    """A batch for a model of a task: prepared records where there is a preprocessor, else numbers that fit.

    Args:
        task: the task.
        model: a functional model that shares its inputs.
        count: number of rows.
        seed: integer.
    """
    if isinstance(task.preprocessor, Preprocessor):
        names = [name for name, part in task.preprocessor.parts.items() if part.kind is not None]
        batch = task.preprocessor(sample_records(task.preprocessor, names, count, seed))
        if all(tensor.name in batch for tensor in model.inputs):
            return {tensor.name: batch[tensor.name] for tensor in model.inputs}
    rng = np.random.default_rng(seed)
    num_ids = min((layer.input_dim for layer in _layers(task) if hasattr(layer, "input_dim")), default=2)
    return {tensor.name: _numbers(tensor, count, num_ids, rng) for tensor in model.inputs}


def _raw(part, rng):
    if isinstance(part, Text):
        words, *_ = part.pieces
        words = [word.decode("utf-8", "ignore").strip() for word in words if word.strip()]
        return " ".join(rng.choice(words, min(len(words), (part.length or _STEPS) - 2 * part.mark_ends)))
    if isinstance(part, Image):
        return _picture(part.size, rng)
    if isinstance(part, Video):
        return np.stack([_picture(part.size, rng) for _ in range(part.num_frames)])
    if isinstance(part, Audio):
        return 0.1 * rng.normal(size=round((part.seconds or _SECONDS) * part.sample_rate)).astype("float32")
    if isinstance(part, Graph):
        count = part.max_nodes or _STEPS
        edges = [(index, index + 1) for index in range(count - 1)]
        return {"nodes": rng.normal(size=(count, part.node_dim)).astype("float32"), "edges": edges}
    (shape,) = part.raw_shapes.values()
    return rng.normal(size=[size or _STEPS for size in shape]).astype("float32")


def _picture(size, rng):
    """Coarse noise: what decoders of pictures keep."""
    coarse = rng.integers(0, 256, (4, 4, 3), dtype="uint8")
    rows, columns = (np.arange(n) * 4 // n for n in size)
    return coarse[rows][:, columns]


def _numbers(tensor, count, num_ids, rng):
    shape = (count, *(size or _STEPS for size in tensor.shape[1:]))
    if tensor.name.endswith(PRESENT):
        return np.ones(shape, bool)
    if tensor.dtype == "int32":
        return rng.integers(1, max(2, num_ids), shape).astype("int32")
    scale = 255.0 if tensor.name.endswith(("image", "frames")) else 1.0
    return (scale * rng.uniform(0, 1, shape)).astype(tensor.dtype)


def _layers(task):
    return task._flatten_layers(recursive=True, include_self=False)
