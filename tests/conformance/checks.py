"""The promises as functions that raise AssertionError; `test_checks.py` shows that each one can fail."""

import copy
import inspect
import re

import keras
import numpy as np

from tests.conformance.backend import array, gradients, mask_of


@keras.saving.register_keras_serializable(package="tests")
class WithMask(keras.layers.Layer):
    """Attach a given mask to a tensor."""

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask=None):
        return keras.ops.cast(inputs[1], "bool")


def padding_mask(x):
    """Every case's padding: the last two steps of the second row."""
    mask = np.ones(x.shape[:2], dtype=bool)
    mask[1, -2:] = False
    return mask


def feed(case, masks=None):
    """Tensors of a layer case, masks attached."""
    masks = {name: padding_mask(case.inputs[name]) for name in case.masked} if masks is None else masks
    fed = {}
    for name, x in case.inputs.items():
        tensor = keras.ops.convert_to_tensor(x)
        fed[name] = WithMask()([tensor, keras.ops.convert_to_tensor(masks[name])]) if name in masks else tensor
    return fed


def init_parameters(cls):
    """Names of a class's own init parameters, those of its bases in the package included."""
    names = {}
    for base in inspect.getmro(cls):
        if base.__module__.startswith("keras") or base is object:
            continue
        if "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():
                if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    names.setdefault(name, parameter.default)
            break
    return names


def check_config(layer):
    """Every init argument is an attribute and a config key, and survives the round trip."""
    config = layer.get_config()
    for name in init_parameters(type(layer)):
        assert name in config, f"init argument {name!r} is missing from get_config"
        assert hasattr(layer, name), f"init argument {name!r} is not an attribute"
    # Keras empties the configs of nested models while it reads them.
    clone = type(layer).from_config(copy.deepcopy(config))
    assert _comparable(clone.get_config()) == _comparable(config)
    for name in init_parameters(type(layer)):
        value = getattr(layer, name)
        if not isinstance(value, keras.layers.Layer):
            assert getattr(clone, name) == value, f"{name!r} changed in the round trip"
    registered = keras.saving.get_registered_name(type(layer))
    assert registered.startswith("mmkeras>"), f"{type(layer).__name__} is not registered"


def check_symbolic(case):
    """The symbolic output has the shape and dtype of the eager one."""
    symbolic = case(
        case.make(), {k: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=k) for k, x in case.inputs.items()}
    )
    eager = case(case.make(), feed(case))
    assert tuple(symbolic.shape) == tuple(eager.shape)
    assert keras.backend.standardize_dtype(symbolic.dtype) == keras.backend.standardize_dtype(eager.dtype)


def valid_part(output, values):
    """Values of an output at the positions its mask allows."""
    mask = mask_of(output)
    return values if mask is None else values[mask]


def check_mask_invariance(case):
    """What stands at padded positions never reaches a valid part of the output."""
    layer = case.make()
    before = case(layer, feed(case))
    changed = dict(case.inputs)
    for name in case.masked:
        x = changed[name].copy()
        x[~padding_mask(x)] = np.nan
        changed[name] = x
    other = type(case)(**{**vars(case), "inputs": changed})
    after = case(layer, feed(other))
    expected, actual = valid_part(before, array(before)), valid_part(after, array(after))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def check_empty_row(case):
    """A row that is all padding gives finite values and finite gradients."""
    layer = case.make()
    masks = {name: padding_mask(case.inputs[name]) for name in case.masked}
    for mask in masks.values():
        mask[0] = False
    output = case(layer, feed(case, masks))
    assert np.isfinite(array(output)).all()
    weights = layer.trainable_variables
    _, by_weights, by_inputs = loss_gradients(case, layer, masks)
    assert all(g is None or np.isfinite(g).all() for g in [*by_weights, *by_inputs])
    assert len(by_weights) == len(weights)


def loss_gradients(case, layer, masks=None):
    """Gradients of a generic loss over a layer case."""
    fed = feed(case, masks)
    floats = [name for name, x in case.inputs.items() if x.dtype == np.float32]

    def loss(tensors):
        x = dict(fed)
        for name, tensor in zip(floats, tensors, strict=True):
            mask = getattr(fed[name], "_keras_mask", None)
            x[name] = tensor if mask is None else WithMask()([tensor, mask])
        output = case(layer, x)
        ramp = keras.ops.cast(keras.ops.arange(int(np.prod(output.shape))), "float32")
        ramp = keras.ops.reshape(keras.ops.sin(1.0 + ramp), output.shape)
        return keras.ops.sum(keras.ops.cast(output, "float32") * ramp)

    case(layer, fed)
    return gradients(loss, layer.trainable_variables, [case.inputs[name] for name in floats])


def check_weights(case):
    """The number of weights is exact and each one gets a gradient."""
    layer = case.make()
    _, by_weights, _ = loss_gradients(case, layer)
    assert len(layer.weights) == case.weights, f"expected {case.weights} weights, found {len(layer.weights)}"
    check_gradients(layer.trainable_variables, by_weights)


def check_gradients(variables, gradients):
    """No weight is left without a gradient."""
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, f"{variable.path} gets no gradient"
        assert np.abs(gradient).max() > 0, f"{variable.path} gets a gradient of zero"


def check_mixed_precision(case):
    """Under mixed bfloat16 a layer computes in bfloat16 and stays near its float32 values."""
    layer = case.make()
    expected = array(case(layer, feed(case)))
    low = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    case(low, feed(case))
    low.set_weights(layer.get_weights())
    output = case(low, feed(case))
    dtype = keras.backend.standardize_dtype(output.dtype)
    expected_dtypes = ("float32", "bool") if case.passes_on or case.answers else ("bfloat16", "bool")
    assert dtype in expected_dtypes, f"output is {dtype}"
    np.testing.assert_allclose(array(output).astype("float32"), expected, atol=0.05 * (1 + np.abs(expected).max()))


def documented_arguments(documented):
    """Names under `Args:` in a docstring."""
    match = re.search(r"\n *Args:\n(.*?)(\n\n|\Z)", inspect.getdoc(documented) or "", re.DOTALL)
    return set(re.findall(r"^ {4}\**(\w+):", match.group(1), re.MULTILINE)) if match else set()


def check_docstring(documented, parameters, *, with_example=True):
    """`Args:` names exactly the parameters, and an example follows."""
    assert documented_arguments(documented) == set(parameters)
    assert not with_example or ">>> " in inspect.getdoc(documented), "no runnable example"


def _comparable(value):
    """A config without the ids that Keras numbers afresh in every process."""
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key != "shared_object_id"}
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value
