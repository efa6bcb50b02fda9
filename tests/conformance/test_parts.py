"""What every part and every augmentation promises."""

import pickle

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance import checks
from tests.conformance.parts import AUGMENTATIONS, PARTS, WITHOUT_CASE

ALL = {**PARTS, **AUGMENTATIONS}


def test_every_public_name_has_a_case():
    assert {name.split("/")[0] for name in ALL} | WITHOUT_CASE == set(mm.preprocessing.__all__)


@pytest.mark.parametrize("name", ALL)
def test_config(name):
    made = ALL[name][0]()
    checks.check_config(made)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert repr(restored) == repr(made)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_keeps_its_word_in_numpy(name):
    make, raw = PARTS[name]
    part = make()
    prepared = part.array(part.read(raw))
    assert prepared.dtype == part.storage_dtype
    assert len(prepared.shape) == len(part.shape)
    assert all(size in (None, given) for size, given in zip(part.shape, prepared.shape, strict=True))
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    np.testing.assert_array_equal(restored.array(restored.read(raw)), prepared)


@pytest.mark.parametrize("name", PARTS)
def test_parts_pickle(name):
    make, raw = PARTS[name]
    part = pickle.loads(pickle.dumps(make()))
    np.testing.assert_array_equal(part.array(part.read(raw)), make().array(make().read(raw)))


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", PARTS)
def test_the_graph_computes_the_same(name):
    import tensorflow as tf

    make, raw = PARTS[name]
    part = make()
    wire = part.read(raw)
    tensor = tf.constant(wire)
    graph = tf.function(part.graph, input_signature=[tf.TensorSpec([None] * len(tensor.shape), tensor.dtype)])
    made = graph(tensor)
    assert made.dtype == part.storage_dtype
    expected = part.array(wire)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6 if expected.dtype.kind == "f" else 0)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_keep_shapes_and_obey_their_seed(name):
    make, batch = AUGMENTATIONS[name]
    first, again = make()(batch, (3, 4)), make()(batch, (3, 4))
    others = [make()(batch, (3, seed)) for seed in range(5, 15)]
    same = keras.tree.map_structure(lambda a, b: bool((a.numpy() == b.numpy()).all()), first, again)
    assert all(keras.tree.flatten(same))
    given = keras.tree.flatten(batch)
    for value, original in zip(keras.tree.flatten(first), given, strict=True):
        assert value.shape == original.shape
        assert value.dtype == original.dtype
    changes = [
        any((a.numpy() != b).any() for a, b in zip(keras.tree.flatten(other), given, strict=True)) for other in others
    ]
    assert any(changes)
