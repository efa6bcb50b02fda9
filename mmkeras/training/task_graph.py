"""The layers of a task as a graph, for TensorBoard."""

import warnings

import keras

from mmkeras.training.summaries import import_summary


def write_task_graph(task):
    """Write the layers of a task to the writer that is the default, as what the GRAPHS tab shows first.

    Keras' callback writes the layers of plain functional models only, and TensorBoard overlooks tensors in dicts and
    keyword arguments, so that fusions and encoders would stand apart. Here layers are nodes, encoders are boxes of
    nodes, and what flows between them has its shape.
    """
    import tensorflow as tf

    try:
        config = keras.Model(task.inputs, task.output, name=task.name).get_config()
    except (NotImplementedError, TypeError, ValueError) as error:
        # The graph is no reason not to train.
        warnings.warn(f"TensorBoard does not show the layers of {task.name!r}: {error}", stacklevel=3)
        return
    graph = tf.compat.v1.GraphDef()
    _add_layers(graph, config, "", [])
    import_summary("give write_graph=False").graph(graph)


def _add_layers(graph, model, scope, fed):
    """Add the layers of a functional model's config.

    Args:
        graph: the `GraphDef` to add to.
        model: the config.
        scope: what the names of nodes begin with.
        fed: nodes that the inputs of a model within another are fed by.

    Returns:
        The nodes that make its outputs.
    """
    fed, made = iter(fed), {}
    for layer in model["layers"]:
        config, tensors = layer["config"], list(_tensors(layer["inbound_nodes"]))
        sources = []
        for tensor in tensors:
            name, _, index = tensor["keras_history"]
            # What several layers within a model make comes out of that model by number.
            source = made[name][min(index, len(made[name]) - 1)]
            _set_shape(source, tensor["shape"])
            sources.append(source)
        if "layers" in config and "output_layers" in config:
            made[layer["name"]] = _add_layers(graph, config, f"{scope}{layer['name']}/", sources)
            continue
        node = graph.node.add(name=f"{scope}{layer['name']}", op=layer["class_name"])
        if layer["class_name"] == "InputLayer":
            sources = [source for source in [next(fed, None)] if source is not None]
        node.input.extend(dict.fromkeys(source.name for source in sources))
        made[layer["name"]] = [node]
    return [made[name][min(index, len(made[name]) - 1)] for name, index in _ends(model["output_layers"])]


def _tensors(call):
    """The configs of the tensors among the arguments of calls, wherever they stand."""
    if isinstance(call, dict) and call.get("class_name") == "__keras_tensor__":
        yield call["config"]
    elif isinstance(call, dict | list | tuple):
        for value in call.values() if isinstance(call, dict) else call:
            yield from _tensors(value)


def _ends(outputs):
    """Outputs as pairs of a layer's name and the number of its tensor, wherever they stand."""
    outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs
    if len(outputs) == 3 and isinstance(outputs[0], str):
        yield outputs[0], outputs[2]
    else:
        for output in outputs:
            yield from _ends(output)


def _set_shape(node, shape):
    if "_output_shapes" not in node.attr:
        dims = node.attr["_output_shapes"].list.shape.add()
        for size in shape:
            dims.dim.add(size=-1 if size is None else size)
