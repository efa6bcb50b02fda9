"""Weights files as they come: with a classifier, in the old format, and none at all."""

import keras
import numpy as np
import pytest

from mmkeras.encoders.contract import finish
from mmkeras.encoders.pretrained import build_network, load_weights


def make_network(*, weights, include_top):
    """A network built like those of keras.applications, in miniature."""
    if weights == "imagenet":
        raise OSError("URL fetch failure on https://example.org/tiny_notop.h5")
    x = image = keras.Input((8, 8, 3) if include_top else (None, None, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, name="block1_conv1")(x)
    x = keras.layers.Conv2D(5, 3, name="block1_conv2")(x)
    if include_top:
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(2, name="predictions")(x)
    return keras.Model(image, x, name="tiny")


def encoder_of(network):
    image = keras.Input((None, None, 3), name="image")
    return finish(image, network(image))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("include_top", [True, False])
def test_old_files_with_and_without_classifier(include_top, tmp_path):
    source = make_network(weights=None, include_top=include_top)
    path = tmp_path / "tiny.h5"
    source.save(path)
    network = build_network(make_network, path, architecture="Tiny")
    load_weights(encoder_of(network), network, path, architecture="Tiny", make_network=make_network)
    for name in ("block1_conv1", "block1_conv2"):
        expected, loaded = source.get_layer(name).get_weights(), network.get_layer(name).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(expected, loaded, strict=True))
        assert np.abs(loaded[0]).max() > 0


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_classifier_file_of_another_architecture(tmp_path):
    image = keras.Input((8, 8, 3))
    other = keras.layers.Dense(2, name="predictions")(keras.layers.Flatten(name="flatten")(image))
    path = tmp_path / "other.h5"
    keras.Model(image, other).save(path)
    network = make_network(weights=None, include_top=False)
    with pytest.raises(ValueError, match=r"other.h5' does not hold weights of Tiny"):
        load_weights(encoder_of(network), network, path, architecture="Tiny", make_network=make_network)


def test_no_network_is_an_error_with_a_cure():
    with pytest.raises(ValueError, match=r"Tiny could not be fetched.*weights='PATH'.*URL fetch failure"):
        build_network(make_network, "imagenet", architecture="Tiny")
