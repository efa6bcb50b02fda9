"""Decoders from a code back to an input: the defaults, and what else fits."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.cases import floats
from tests.unit.test_autoencoder_embedding import PICTURES, autoencoder, linear, loss_of, picture_encoders


def signal(shape):
    source = keras.Input(shape, name="signal")
    return mm.encoders.finish(source, keras.layers.Dense(4)(source))


def words():
    source = keras.Input((None,), dtype="int32", name="token_ids")
    return mm.encoders.finish(source, keras.layers.CategoryEncoding(20, "count")(source))


def two_inputs():
    nodes, adjacency = keras.Input((5, 3), name="nodes"), keras.Input((5, 5), name="adjacency")
    return mm.encoders.finish([nodes, adjacency], keras.layers.Dot(1)([adjacency, nodes]))


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 20, 3), (37, 18, 3)])
def test_images_of_any_size(shape):
    encoders = {"image": mm.encoders.vgg(0, image_shape=shape), "features_a": mm.encoders.features((3,))}
    task = autoencoder(encoders)
    out = task({"image": np.zeros((2, *shape), "float32"), "features_a": floats(2, 3)})
    assert out["image_from_features_a"].shape == (2, *shape)


def test_sequences_of_fixed_length():
    task = autoencoder({"signal": signal((6, 2)), "features_a": mm.encoders.features((5, 3))})
    x = {"signal": floats(3, 6, 2), "features_a": floats(3, 5, 3)}
    assert task(x)["signal_from_features_a"].shape == (3, 6, 2)
    assert np.isfinite(loss_of(task, x))


def test_the_preprocessor_tells_the_length():
    pre = mm.preprocessing.Preprocessor(
        audio=mm.preprocessing.Audio(8000, seconds=0.02), features_a=mm.preprocessing.Features()
    ).adapt([{"features_a": [1.0, 2.0, 3.0]}, {"features_a": [3.0, 2.0, 2.0]}])
    encoders = {"audio": mm.encoders.conv1d_audio(4, (8, 2)), "features_a": mm.encoders.features((3,))}
    task = autoencoder(encoders, preprocessor=pre)
    assert task.output["audio_from_features_a"].shape == (None, 160)


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        (lambda: signal((None, 2)), None, r"fixed shape\. Fix.*decoders=\{'left': .*Received.*\(None, 2\)"),
        (lambda: mm.encoders.vgg(1), None, r"fixed shape.*\(None, None, 3\)"),
        (lambda: words(), None, r"size of the vocabulary.*Received: an encoder without one"),
        (lambda: two_inputs(), None, r"must have one\. Received: an encoder of \['nodes', 'adjacency'\]"),
        (lambda: signal((6, 2)), lambda: linear(12), r"\(batch, 4\) to \(batch, 6, 2\).*\[\(12,\)\]"),
        (lambda: mm.encoders.lstm(20, 4), lambda: linear(19), r"to \(batch, 20\).*\[\(19,\)\]"),
        (lambda: mm.encoders.lstm(20, 4), lambda: keras.layers.Dense(20), r"functional keras.Model.*Dense"),
        (lambda: mm.encoders.lstm(20, 4), lambda: "right", r"before it, among \[\]. Received: 'right'"),
    ],
)
def test_what_does_not_fit(encoder, decoder, message):
    decoders = None if decoder is None else {"left": decoder()}
    with pytest.raises(ValueError, match=message):
        autoencoder({"left": encoder(), "right": mm.encoders.lstm(20, 4)}, decoders)


def test_words_of_an_unknown_vocabulary_take_a_decoder():
    task = autoencoder({"text": words(), "image": picture_encoders()["image"]}, {"text": linear(20)})
    assert np.isfinite(loss_of(task, PICTURES))
