"""Which weights of a task learn, as its config holds it."""

import keras


def what_learns(task):
    """Numbers of the weights that are frozen, and the layers with thin matrices beside their own (LoRA).

    The config of a layer does not tell what was frozen, nor that of a layer made of others what those have.
    """
    return {
        "frozen": [index for index, weight in enumerate(task.weights) if not weight.trainable],
        "lora": [
            [index, layer.lora_rank, layer.lora_alpha]
            for index, layer in enumerate(task._flatten_layers())
            if getattr(layer, "lora_enabled", False)
        ],
    }


def let_learn(task, frozen, lora):
    """Bring a task that was just built to what `what_learns` said."""
    layers = list(task._flatten_layers())
    for index, rank, alpha in lora:
        if not layers[index].lora_enabled:
            layers[index].enable_lora(rank, lora_alpha=alpha)
    for index, weight in enumerate(task.weights):
        weight.trainable = index not in frozen


def revive_lora(task):
    """Let thin matrices that a file brought back learn again.

    Keras adds their product to the matrix it saves and loads both as zeros, where neither has a gradient.
    """
    for layer in task._flatten_layers():
        if not getattr(layer, "lora_enabled", False):
            continue
        first = layer.lora_embeddings_a if isinstance(layer, keras.layers.Embedding) else layer.lora_kernel_a
        if not keras.ops.any(first.value != 0):
            first.assign(keras.initializers.HeUniform()(first.shape, dtype=first.dtype))
