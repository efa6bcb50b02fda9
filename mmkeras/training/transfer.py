"""Transfer: which weights of a trained encoder learn, and which stay."""

from typing import Any

import keras

from mmkeras.layers import BackboneTokens, ConvBlock

# A height, width or length that stands for one that varies: large enough for the deepest networks.
_PROBE = 256


def stages(model: Any) -> list[list[Any]]:
    """Part an encoder into stages, from its input to its output: lists of layers that have weights.

    In a network of pictures, sounds or signals a stage is what works at one resolution. In a network of words a stage
    is a recurrent layer, a Transformer block or a dense layer, with the normalisation behind it. Networks of keras-hub
    and keras.applications are looked into.

    Args:
        model: an encoder, or any functional `keras.Model`.

    Returns:
        List of lists of layers.

    Example:

    >>> [len(layers) for layers in stages(mm.encoders.vgg(2, 8, image_shape=(16, 16, 3)))]
    [4, 4]
    """
    _check_model(model)
    found, last = [], None
    for layer, size in _leaves(model):
        convolves = len(size) > 1 or isinstance(layer, keras.layers.Conv1D | ConvBlock)
        matrix = any(len(weight.shape) > 1 for weight in layer.weights)
        if not found or size != last or (matrix and not convolves):
            found.append([])
        found[-1].append(layer)
        last = size
    return found


def freeze(model: Any, num_stages: int | None = None) -> list[str]:
    """Keep weights as they are: those of the first stages of an encoder, or all.

    The encoder of a task is `task.encoders["image"]`. Compile the task afterwards: what learns is fixed there. Frozen
    batch normalisation keeps its statistics too. A task remembers what is frozen when it is saved.

    Args:
        model: an encoder, or any functional `keras.Model`.
        num_stages: how many `stages` from the input on; None for all.

    Returns:
        Names of the layers that were frozen.

    Example:

    >>> encoder = mm.encoders.vgg(2, 8, image_shape=(16, 16, 3))
    >>> names = freeze(encoder, 1)
    >>> len(names), len(encoder.trainable_weights), len(encoder.weights)
    (4, 6, 12)
    """
    return _set(_some(stages(model), num_stages, first=True), False)


def unfreeze(model: Any, num_stages: int | None = None, *, batch_statistics: bool = False) -> list[str]:
    """Let weights learn again: those of the last stages of an encoder, or all; the others stay as they are.

    Train the new layers first, then the last stage of the encoder, then more, at a lower learning rate each time (see
    `LearningRates`). Compile the task after each change.

    Args:
        model: an encoder, or any functional `keras.Model`.
        num_stages: how many `stages` up to the output; None for all.
        batch_statistics: whether batch normalisation learns too. Small batches spoil the statistics of a pretrained
            network, and absent modalities may not enter any, so they stay as they are by default.

    Returns:
        Names of the layers that learn now.

    Example:

    >>> encoder = mm.encoders.vgg(2, 8, image_shape=(16, 16, 3))
    >>> names = freeze(encoder) and unfreeze(encoder, 1)
    >>> len(names), len(encoder.trainable_weights)
    (4, 6)
    """
    chosen = _some(stages(model), num_stages, first=False)
    if not batch_statistics:
        chosen = [layer for layer in chosen if not isinstance(layer, keras.layers.BatchNormalization)]
    return _set(chosen, True)


def add_lora(model: Any, rank: int = 4, *, alpha: float | None = None) -> list[str]:
    """Freeze an encoder and let a product of two thin matrices learn beside each of its matrices (LoRA).

    `W x` becomes `W x + (alpha / rank) * B (A x)` in all Dense, EinsumDense (attention) and Embedding layers, also
    inside other layers: a few percent of the weights learn, the answers start as they were. Compile the task
    afterwards. A saved task holds the sum of both and goes on learning from there.

    Args:
        model: an encoder with weights of such layers.
        rank: the thin side of the two matrices.
        alpha: how much the product counts; None takes `rank`.

    Returns:
        Paths of the layers that learn now.

    Example:

    >>> encoder = mm.encoders.transformer_text(50, 16, num_layers=1, num_heads=2)
    >>> len(add_lora(encoder, 2)) > 0, all("lora" in weight.path for weight in encoder.trainable_weights)
    (True, True)

    References:
        Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models.
    """
    _check_model(model)
    if rank < 1:
        raise ValueError(f"`rank` must be a positive integer. Received: rank={rank}")
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Dense | keras.layers.EinsumDense | keras.layers.Embedding)
    ]
    if not layers:
        raise ValueError(
            "LoRA is for Dense, EinsumDense and Embedding layers, and this model has none: `unfreeze` its last stage "
            f"instead. Received: {model!r}"
        )
    again = [layer.path for layer in layers if layer.lora_enabled]
    if again:
        raise ValueError(f"LoRA is there already. Received: a model whose layer {again[0]!r} has it")
    freeze(model)
    for layer in layers:
        layer.trainable = True  # `enable_lora` freezes the matrix itself.
        layer.enable_lora(rank, lora_alpha=alpha)
        for weight in layer.trainable_weights:
            weight.trainable = "lora" in weight.path
    return [layer.path for layer in layers]


def _check_model(model):
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "Stages are those of a functional keras.Model, such as an encoder; a layer, such as a decoder, is frozen "
            f"as a whole by layer.trainable = False. Received: {model!r}"
        )


def _leaves(model):
    """The layers with weights, in order, and the sizes of their outputs between batch and channels.

    It looks into models and into layers that stand for one.
    """
    inner = {layer: layer.network if isinstance(layer, BackboneTokens) else layer for layer in model.layers}
    plain = [layer for layer in model.layers if not isinstance(inner[layer], keras.Model) and layer.weights]
    sizes = _sizes(model, plain)
    for layer in model.layers:
        if isinstance(inner[layer], keras.Model):
            yield from _leaves(inner[layer])
        elif layer.weights:
            yield layer, sizes[layer]


def _sizes(model, layers):
    """Sizes of the outputs of layers, those that vary as for an input of _PROBE."""
    if not layers:
        return {}
    outputs = [keras.tree.flatten(layer.output)[0] for layer in layers]
    sources = keras.tree.map_structure(
        lambda x: keras.KerasTensor((1, *[size or _PROBE for size in x.shape[1:]]), x.dtype), model.input
    )
    made = keras.Model(model.input, outputs).compute_output_spec(sources)
    return {layer: tuple(x.shape[1:-1]) for layer, x in zip(layers, keras.tree.flatten(made), strict=True)}


def _some(found, num_stages, first):
    if num_stages is not None and not 0 <= num_stages <= len(found):
        raise ValueError(
            f"`num_stages` must be a number of stages in 0..{len(found)}, as many as there are, or None for all. "
            f"Received: num_stages={num_stages}"
        )
    count = len(found) if num_stages is None else num_stages
    return [layer for layers in (found[:count] if first else found[len(found) - count :]) for layer in layers]


def _set(layers, trainable):
    for layer in layers:
        layer.trainable = trainable
    return [layer.name for layer in layers]
