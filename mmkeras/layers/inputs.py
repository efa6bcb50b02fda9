"""Checks of what reaches a layer, made once for all of them."""

import keras


def check_batch(layer, tensors):
    """Refuse tensors that are not numbers with a fraction, or not of one batch.

    Args:
        layer: the layer they reach, named in the error.
        tensors: dict of tensors by the name of their argument.
    """
    for name, x in tensors.items():
        dtype = keras.backend.standardize_dtype(x.dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(layer).__name__} takes floating-point encodings; embed ids and scale pixels first. "
                f"Received: `{name}` of dtype {dtype}"
            )
    sizes = {name: x.shape[0] for name, x in tensors.items()}
    if len({size for size in sizes.values() if size is not None}) > 1:
        raise ValueError(f"{type(layer).__name__} takes tensors of one batch. Received: batch sizes {sizes}")
