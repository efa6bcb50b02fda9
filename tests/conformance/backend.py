"""Gradients on either backend."""

import keras
import numpy as np


def gradients(function, variables, inputs):
    """Value of `function(inputs)` (a scalar) and its gradients.

    Args:
        function: function of a list of tensors to a scalar tensor, reading `variables`.
        variables: list of keras variables.
        inputs: list of float arrays.

    Returns:
        The value, the gradients by the variables, the gradients by the inputs (None where there is none).
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(x) for x in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(tensors)
        flat = tape.gradient(value, [v.value for v in variables] + tensors)
        flat = [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in flat]
    else:
        import jax

        def stateless(values, tensors):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(tensors)

        values = [v.value for v in variables]
        tensors = [jax.numpy.asarray(x) for x in inputs]
        value, (by_values, by_tensors) = jax.value_and_grad(stateless, argnums=(0, 1))(values, tensors)
        flat = [np.asarray(g) for g in [*by_values, *by_tensors]]
    return float(value), flat[: len(variables)], flat[len(variables) :]


def array(tensor):
    """NumPy array of a tensor of any dtype, bfloat16 included."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = keras.ops.cast(tensor, "float32")
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def mask_of(tensor):
    """The Keras mask of a tensor as an array, or None."""
    mask = getattr(tensor, "_keras_mask", None)
    return None if mask is None else array(mask)
