"""Ways to look into a task while it runs, and to leave it as it was."""

import contextlib
import functools
from typing import Any, NamedTuple

import keras
import numpy as np

from mmkeras.models import Task


class Place(NamedTuple):
    """Where in a task a value is made: the n-th call of a layer within the encoder of a modality."""

    modality: str
    layer: Any
    number: int

    def is_at(self, other):
        return self.modality == other.modality and self.layer is other.layer and self.number == other.number


@contextlib.contextmanager
def replaced(thing, name, value):
    """Give an object another attribute for a while, out of sight of Keras, which keeps track of what is set."""
    own = vars(thing)
    kept = {name: own[name]} if name in own else {}
    object.__setattr__(thing, name, value)
    try:
        yield
    finally:
        if kept:
            object.__setattr__(thing, name, kept[name])
        else:
            object.__delattr__(thing, name)


@contextlib.contextmanager
def calls_through(layers, around):
    """Let every call of these layers pass through `around(layer, call, args, kwargs)`."""
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced(layer, "call", _through(layer, around)))
        yield


def _through(layer, around):
    call = layer.call

    # Fusions look up which arguments a layer takes.
    @functools.wraps(call)
    def through(*args, **kwargs):
        return around(layer, call, args, kwargs)

    return through


@contextlib.contextmanager
def watched(task, change):
    """Let `change(place, args, output)` see, and replace, what every layer within an encoder gives.

    Nothing is built anew: encoders keep their layers, and masks travel as they always do.
    """
    encoders = {id(encoder_of(task, name)): name for name in task.encoders}
    inside, counts = [], {}

    def around(layer, call, args, kwargs):
        if id(layer) in encoders:
            inside.append(encoders[id(layer)])
            try:
                return call(*args, **kwargs)
            finally:
                inside.pop()
        output = call(*args, **kwargs)
        if not inside:
            return output
        key = inside[-1], id(layer)
        counts[key] = counts.get(key, -1) + 1
        return change(Place(inside[-1], layer, counts[key]), args, output)

    layers = {}
    for name in task.encoders:
        layers |= {id(layer): layer for layer in encoder_of(task, name)._flatten_layers()}
    with calls_through(layers.values(), around):
        yield


def encoder_of(task: Task, modality: str) -> keras.Model:
    """The encoder of a modality as the task holds it: a model of its own that shares the user's layers."""
    return task.get_layer(f"{modality}_encoder")


def differentiated(task, function):
    """Make a function that gives the gradients of another one, and whatever else that gives.

    Args:
        task: the task it runs.
        function: a function of a dict of tensors, which gives a scalar and anything else.

    Returns:
        A function of a dict of arrays, which gives what else there was, and a dict of gradients, all as arrays.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def run(tensors):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(tensors)
                scalar, more = function(tensors)
            return more, tape.gradient(scalar, tensors, unconnected_gradients="zero")

    elif backend == "jax":
        import jax

        # Loops over time would be compiled at every call; weights are arguments, lest they become constants.
        variables = task.variables

        def with_weights(tensors, values):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return function(tensors)

        compiled = jax.jit(jax.value_and_grad(with_weights, has_aux=True))

        def run(tensors):
            (_, more), gradients = compiled(tensors, [variable.value for variable in variables])
            return more, gradients

    else:
        raise ValueError(f"Gradients need one of the backends ['jax', 'tensorflow']. Received: {backend!r}")

    def gradients_of(arrays):
        tensors = {name: keras.ops.convert_to_tensor(value) for name, value in arrays.items()}
        return keras.tree.map_structure(as_array, run(tensors))

    return gradients_of


def as_array(tensor):
    """A tensor of numbers as an array that can be added up."""
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), "float64")
