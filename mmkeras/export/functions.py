"""The functions that a server offers: raw values or prepared tensors in, answers out, all in the graph."""

from typing import Any, NamedTuple

import numpy as np

from mmkeras.export.replies import HOLDS
from mmkeras.keys import PRESENT, prepared_key
from mmkeras.models import Endpoint
from mmkeras.preprocessing import Preprocessor, Text

PREPARED = "_prepared"
_TAKEN = ("predict", "predict_missing", "serving_default")


class ServedFunction(NamedTuple):
    """A function to be exported as a signature.

    Attributes:
        function: Python function from tensors, by keyword, to a dict of tensors.
        specs: dict of the `tf.TensorSpec`s it takes, by name.
        endpoint: the `mm.models.Endpoint` behind it.
        raw: whether it takes raw values.
        constants: dict of inputs of the model that the function fills in.
    """

    function: Any
    specs: dict
    endpoint: Endpoint
    raw: bool
    constants: dict


def functions_of(task, endpoints, *, raw=True):
    """Every signature of a task by name.

    `predict` takes prepared tensors that are all there, `predict_missing` flags beside them; every endpoint has a
    signature of its own name for raw values, where there is a preprocessor, and one that ends in `_prepared` unless
    that would be `predict` again. `serving_default` is the raw form of the first endpoint, or else `predict`.

    Args:
        task: a task.
        endpoints: dict of `mm.models.Endpoint`s.
        raw: whether to make signatures for raw values.
    """
    for name, endpoint in endpoints.items():
        _check_names(name, endpoint)
    whole = Endpoint(task, tuple(task.encoders), {})
    flags = {tensor.name: True for tensor in task.inputs if tensor.name.endswith(PRESENT)}
    complete = prepared_function(whole)
    found = {"predict": _with_constants(complete, flags) if flags else complete}
    if flags:
        found["predict_missing"] = complete
    raw = raw and isinstance(task.preprocessor, Preprocessor)
    for name, endpoint in endpoints.items():
        prepared = complete if endpoint.model is task else prepared_function(endpoint)
        if raw:
            found[name] = raw_function(task.preprocessor, endpoint, prepared)
        if endpoint.model is not task:
            found[name + PREPARED] = prepared
    first = next(iter(endpoints), None)
    default = found[first] if raw and first is not None else found["predict"]
    return {"serving_default": default, **found}


def _check_names(name, endpoint):
    """Raise an error where two answers, or two signatures, would have one name."""
    if name in _TAKEN or set(name) & set("/#"):
        raise ValueError(
            f"An endpoint needs a name of its own, without '/' and '#', none of {_TAKEN}. Received: {name!r}"
        )
    answers = []
    for output in endpoint.model.output:
        kind = endpoint.replies.get(output, {}).get("kind")
        answers.append(endpoint.replies[output]["name"] if kind == "sentence" else output)
        answers += [f"{output}_score"] if kind == "class" else []
        answers += [f"{output}_probabilities"] if kind in ("class", "classes") else []
    twice = sorted({answer for answer in answers if answers.count(answer) > 1 or set(answer) & set("/#")})
    if twice:
        raise ValueError(
            f"What {name!r} answers needs names of their own, without '/' and '#': rename the heads. Received: {twice}"
        )


def prepared_function(endpoint, shapes=None):
    """A function of prepared tensors.

    Args:
        endpoint: an `mm.models.Endpoint`.
        shapes: dict of fixed shapes, batch included, by input; None leaves the batch and what varies open.
    """
    import tensorflow as tf

    constants = dict.fromkeys(endpoint.zeros, 0)
    specs = {}
    for tensor in endpoint.model.inputs:
        if tensor.name not in constants:
            shape = tensor.shape if shapes is None else shapes[tensor.name]
            specs[tensor.name] = tf.TensorSpec(shape, tensor.dtype, name=tensor.name)
    # Traced once, however many signatures call it.
    function = tf.function(lambda **given: _run(endpoint.model, given, constants), autograph=False)
    concrete = function.get_concrete_function(**specs)
    return ServedFunction(lambda **given: dict(concrete(**given)), specs, endpoint, False, constants)


def raw_function(preprocessor, endpoint, prepared):
    """A function of raw values: strings for pictures, sounds and texts, numbers for the rest.

    Args:
        preprocessor: a Preprocessor.
        endpoint: an `mm.models.Endpoint`.
        prepared: the `ServedFunction` of its prepared tensors.
    """
    import tensorflow as tf

    specs = dict(preprocessor.signature(endpoint.modalities))
    own = {prepared_key(name, kind) for name in endpoint.modalities for kind in preprocessor[name].kinds}
    for key, spec in prepared.specs.items():
        if key not in own and not key.endswith(PRESENT):
            specs[key] = tf.TensorSpec(spec.shape, spec.dtype, name=key)
    pieces = {name: part.pieces for name, part in preprocessor.parts.items() if isinstance(part, Text)}

    def answer(**given):
        batch = {**given, **preprocessor.graph(given, endpoint.modalities)}
        outputs = prepared.function(**{key: batch[key] for key in prepared.specs})
        return _in_words(outputs, endpoint.replies, pieces)

    return ServedFunction(answer, specs, endpoint, True, prepared.constants)


def _with_constants(function, constants):
    """A function of prepared tensors some of which are the same for all samples."""
    import tensorflow as tf

    def answer(**given):
        rows = tf.shape(next(iter(given.values())))[0]
        filled = {key: tf.fill([rows], tf.constant(value)) for key, value in constants.items()}
        return function.function(**given, **filled)

    specs = {key: spec for key, spec in function.specs.items() if key not in constants}
    return function._replace(function=answer, specs=specs, constants={**function.constants, **constants})


def resources_of(preprocessor, modalities):
    """TensorFlow objects that must be saved with the raw functions of some modalities."""
    if not isinstance(preprocessor, Preprocessor):
        return []
    parts = [preprocessor[name] for name in modalities]
    return [resource for part in parts if isinstance(part, Text) for resource in part.resources]


def _run(model, given, constants):
    import tensorflow as tf

    rows = tf.shape(next(iter(given.values())))[0]
    tensors = []
    for tensor in model.inputs:
        x = given.get(tensor.name)
        if x is None:
            value = tf.cast(constants[tensor.name], tensor.dtype)
            x = tf.fill(tf.concat([[rows], np.array(tensor.shape[1:], "int32")], 0), value)
            x = tf.ensure_shape(x, tensor.shape)
        tensors.append(x)
    outputs = model(tensors, training=False)
    return {name: tf.cast(x, tf.float32) if x.dtype.is_floating else x for name, x in outputs.items()}


def _in_words(outputs, replies, pieces):
    """What `mmkeras.export.replies.in_words` says, in a graph."""
    import tensorflow as tf

    answer = {}
    said = [outputs[name] for name, reply in replies.items() if reply["kind"] == "sentence"]
    single = bool(said) and said[0].shape.rank == 3 and said[0].shape[1] == 1
    for name, values in outputs.items():
        reply = replies.get(name, {"kind": "numbers"})
        if reply["kind"] == "sentence":
            answer[reply["name"]] = _sentences(values[:, 0] if single else values, *pieces[reply["part"]])
        elif reply["kind"] == "class":
            answer[name] = tf.gather(tf.constant(reply["names"]), tf.argmax(values, axis=-1))
            answer[f"{name}_score"] = tf.reduce_max(values, axis=-1)
            answer[f"{name}_probabilities"] = values
        elif reply["kind"] == "classes":
            answer[name] = tf.where(values >= HOLDS, tf.constant(reply["names"]), "")
            answer[f"{name}_probabilities"] = values
        else:
            answer[name] = values[:, 0] if single and name in ("scores", "log_probabilities") else values
    return answer


def _sentences(ids, words, between, strips, end):
    import tensorflow as tf

    shape = tf.shape(ids)
    said = tf.gather(tf.constant(words), ids)
    if end is not None:
        said = tf.where(tf.cumsum(tf.cast(ids == end, tf.int32), axis=-1) > 0, b"", said)
    rows = tf.reshape(said, [-1, shape[-1]])
    said = tf.ragged.boolean_mask(rows, rows != b"")
    said = tf.strings.reduce_join(said, axis=-1, separator=between)
    # Only plain spaces go, as in Python.
    said = tf.strings.regex_replace(said, r"^ +| +$", "") if strips else said
    return tf.ensure_shape(tf.reshape(said, shape[:-1]), ids.shape[:-1])
