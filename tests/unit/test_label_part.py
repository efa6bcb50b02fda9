"""The Label part: classes learned in a fixed order, and errors that name what does not belong."""

import copy
import json
import os
import pathlib
import pickle
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from mmkeras.preprocessing.label import Label

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["dog", "cat", "dog", "Bird"], ["Bird", "cat", "dog"]),
        ([10, 9, 2, 10], [2, 9, 10]),
        ([np.int64(3), np.int32(-1), np.array(3)], [-1, 3]),
        ([True, False, True], [False, True]),
        ([1.0, 3.0, 2], [1, 2, 3]),
        (["10", "9"], ["10", "9"]),
        (np.array(["b", "a"]), ["a", "b"]),
        ([b"b", "a"], ["a", "b"]),
        ([["stop", "go"], ["go"]], ["go", "stop"]),
    ],
)
def test_classes_are_learned_sorted_and_plain(values, classes):
    label = Label().adapt(values)
    assert label.classes == classes
    assert label.num_classes == len(classes)
    assert [type(name) for name in label.classes] == [type(name) for name in classes]
    assert json.loads(json.dumps(label.get_config()))["classes"] == classes
    assert label.classes == Label().adapt(values[::-1]).classes


@pytest.mark.parametrize("value", ["dog", np.str_("dog"), np.array("dog"), np.array("dog", object), b"dog"])
def test_a_class_becomes_its_number(value):
    wire = Label(["cat", "dog"]).read(value)
    assert (wire.dtype, wire.shape, int(wire)) == (np.dtype("int32"), (), 1)


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2), 2.0, np.float32(2)])
def test_numbers_in_range_stay(value):
    assert int(Label(3).read(value)) == 2
    assert int(Label([0, 5, 2]).read(value)) == 2


@pytest.mark.parametrize("value", [["go", "stop", "go"], ("go", "stop", "go"), np.array(["go", "stop", "go"])])
def test_a_class_for_each_step(value):
    wire = Label(["go", "stop"]).read(value)
    assert (wire.dtype, wire.tolist()) == (np.dtype("int32"), [0, 1, 0])


@pytest.mark.parametrize(
    ("classes", "value", "hot"),
    [
        (["a", "b", "c"], ["c", "a"], [1, 0, 1]),
        (["a", "b", "c"], {"b"}, [0, 1, 0]),
        (["a", "b", "c"], [], [0, 0, 0]),
        (["a", "b", "c"], np.array(["b"]), [0, 1, 0]),
        (["a", "b", "c"], np.array([0.0, 1.0, 1.0]), [0, 1, 1]),
        (3, np.array([True, False, True]), [1, 0, 1]),
        (3, [2, 0], [1, 0, 1]),
        ([5, 7, 9], np.array([9, 5]), [1, 0, 1]),
    ],
)
def test_several_classes_become_zeros_and_ones(classes, value, hot):
    label = Label(classes, multi_label=True)
    wire = label.read(value)
    assert (wire.dtype, wire.tolist()) == (np.dtype("float32"), hot)
    assert label.shape == (3,)


@pytest.mark.parametrize(
    ("value", "target"),
    [(2, 2.0), (-0.5, -0.5), (np.float64(1.5), 1.5), (np.array(3), 3.0), ([1, 2.5], [1.0, 2.5]), ("4.25", 4.25)],
)
def test_numbers_to_predict_stay_numbers(value, target):
    wire = Label(regression=True).read(value)
    assert wire.dtype == "float32"
    assert wire.tolist() == target


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        (Label(["cat", "dog"]), "bird", r"Expected one of \['cat', 'dog'\]. Received: 'bird'"),
        (Label([f"c{n:02}" for n in range(40)]), "x", "'c09'.* and 30 more"),
        (Label([1, 2]), "1", "Received: '1'"),
        (Label(3), 3, "Received: 3"),
        (Label(3), -1, "Received: -1"),
        (Label(["cat"]), float("nan"), "missing"),
        (Label(["cat"]), np.float32("nan"), "missing"),
        (Label([1]), 1.5, "regression=True"),
        (Label(["cat"]), None, "NoneType"),
        (Label(["cat"]), ["cat", None], "NoneType"),
        (Label(["cat"]), {"cat": 1}, "dict"),
        (Label(3), np.zeros((2, 2), int), "one axis"),
        (Label(["a", "b"], multi_label=True), "a", "list of classes"),
        (Label(["a", "b"], multi_label=True), ["a", "z"], "'z'"),
        (Label(4, multi_label=True), [0, 1, 0, 1], "dtype float32 or bool"),
        (Label(4, multi_label=True), np.zeros(3), "zeros and ones"),
        (Label(2, multi_label=True), np.array([0.2, 0.8]), "zeros and ones"),
        (Label(regression=True), float("nan"), "missing"),
        (Label(regression=True), None, "missing"),
        (Label(regression=True), [1.0, float("inf")], "finite"),
        (Label(regression=True), "good", "expected a number"),
    ],
)
def test_what_is_no_label_is_an_error(label, value, message):
    with pytest.raises(ValueError, match=message):
        label.read(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": []}, "at least one"),
        ({"classes": ["a", "a"]}, "different"),
        ({"classes": "ab"}, "list of classes"),
        ({"classes": 0}, "at least 1"),
        ({"classes": True}, "list of classes"),
        ({"classes": [0.5]}, "fraction"),
        ({"classes": 2, "regression": True}, "regression"),
        ({"multi_label": True, "regression": True}, "regression"),
    ],
)
def test_bad_arguments_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Label(**options)


@pytest.mark.parametrize(
    ("label", "values", "message"),
    [
        (Label(), [], "no labels"),
        (Label(), "dog", "one string"),
        (Label(), ["dog", 3], "all text or all numbers"),
        (Label(), ["dog", float("nan")], "Label 1 .* missing"),
        (Label(), [0.5, 1.0], "Label 0 .*regression=True"),
        (Label(multi_label=True), ["dog"], "Label 0 .*list of classes"),
        (Label(multi_label=True), [np.array([0.0, 1.0, 1.0])], "give an array of dtype float32 or bool, and `classes`"),
        (Label(["dog"]), ["cat"], "has its classes"),
        (Label(3), [1], "has its classes"),
        (Label(regression=True), [1.0], "is for numbers"),
    ],
)
def test_adapt_refuses_what_teaches_nothing(label, values, message):
    with pytest.raises(ValueError, match=message):
        label.adapt(values)


def test_a_label_learns_again_but_given_classes_stay():
    label = Label().adapt(["a", "b"])
    assert label.needs_adapting
    label.read("a")
    assert int(label.adapt(["0", "a"]).read("a")) == 1
    for fixed in (Label.from_config(label.get_config()), Label(3), Label(regression=True)):
        assert not fixed.needs_adapting


@pytest.mark.parametrize("use", [lambda p: p.read("a"), lambda p: p.names([0]), lambda p: p.num_classes])
def test_use_before_adapt_names_the_cure(use):
    with pytest.raises(ValueError, match="call `adapt`"):
        use(Label())


def test_names_maps_back():
    label = Label(["cat", "dog"])
    assert label.names(1) == "dog"
    assert label.names(label.read("dog")) == "dog"
    assert label.names(keras.ops.convert_to_tensor([[1, 0], [0, 0]])) == [["dog", "cat"], ["cat", "cat"]]
    assert Label(3).names([2]) == [2]
    several = Label(["a", "b", "c"], multi_label=True)
    assert several.names(several.read(["c", "a"])) == ["a", "c"]
    assert several.names(np.array([[0, 0, 0], [0, 1, 0]])) == [[], ["b"]]


@pytest.mark.parametrize(
    ("label", "indices", "message"),
    [
        (Label(["cat", "dog"]), 2, "0..1"),
        (Label(["cat", "dog"]), [-1], "0..1"),
        (Label(["cat", "dog"]), [0.2, 0.8], "argmax"),
        (Label(2, multi_label=True), [0.2, 0.8], "threshold"),
        (Label(2, multi_label=True), [1, 0, 1], "threshold"),
        (Label(regression=True), [0], "numbers have no classes"),
    ],
)
def test_names_refuses_what_are_no_numbers_of_classes(label, indices, message):
    with pytest.raises(ValueError, match=message):
        label.names(indices)


@pytest.mark.parametrize(
    ("options", "dtype", "shape"),
    [
        ({"classes": ["a", "b"]}, "int32", ()),
        ({"classes": 4}, "int32", ()),
        ({"classes": [False, True]}, "int32", ()),
        ({"classes": [3, 1], "multi_label": True}, "float32", (2,)),
        ({"regression": True}, "float32", ()),
    ],
)
def test_every_argument_survives_config_pickle_and_copy(options, dtype, shape):
    label = Label(**options)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(label)))
    for other in (keras.saving.deserialize_keras_object(config), pickle.loads(pickle.dumps(label)), copy.copy(label)):
        assert other.get_config() == label.get_config()
        assert (other.kind, other.dtype, other.storage_dtype, other.shape) == (None, dtype, dtype, shape)


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_loads_without_tensorflow():
    config = keras.saving.serialize_keras_object(Label().adapt(np.array([7, 3])))
    child = (
        "import sys, json\n"
        "sys.modules['tensorflow'] = None\n"
        "import keras, mmkeras.preprocessing.label\n"
        "label = keras.saving.deserialize_keras_object(json.load(sys.stdin))\n"
        "print(label.array(label.read(7)), label.names([0]))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", child],
        env=environment,
        input=json.dumps(config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1", "[3]"]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("label", "value"),
    [
        (Label(["a", "b"]), "b"),
        (Label(2), [0, 1, 1]),
        (Label(["a", "b"], multi_label=True), ["a"]),
        (Label(regression=True), 2),
    ],
)
def test_graph_and_array_give_the_wire_form_itself(label, value):
    import tensorflow as tf

    wire = label.read(value)
    dataset = tf.data.Dataset.from_tensors(wire).map(label.graph)
    assert dataset.element_spec == tf.TensorSpec(wire.shape, label.storage_dtype)
    assert np.array_equal(next(iter(dataset)).numpy(), label.array(wire))
