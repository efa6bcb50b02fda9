"""Frames of clips through an encoder of images."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, gradients, mask_of
from tests.conformance.cases import frames

E, L = mm.encoders, mm.layers


def still(**options):
    return E.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3), **options)


def noisy():
    return E.vision_transformer(4, 8, num_layers=1, num_heads=2, image_shape=(8, 8, 3), dropout_rate=0.1)


def test_each_frame_is_encoded_by_itself():
    encoder = still()
    found = array(E.time_distributed(encoder)(frames()))
    for frame in range(4):
        expected = array(encoder(frames()[:, frame])).mean(axis=1)
        np.testing.assert_allclose(found[0, frame], expected[0], atol=1e-5)
    np.testing.assert_array_equal(found[1, 2:], 0)


def test_black_frames_end_a_clip_and_do_not_interrupt_it():
    clips = frames()
    clips[0, 1] = 0
    assert array(mask_of(E.time_distributed(still())(clips))).tolist()[:2] == [[True] * 4, [True, True, False, False]]


def test_the_lstm_sees_no_padding():
    encoder = E.time_distributed(still(), lstm_units=4, pooling="last")
    np.testing.assert_allclose(array(encoder(frames()))[1], array(encoder(frames()[1:2, :2]))[0], atol=1e-5)


def test_computed_anew_the_gradients_are_the_same():
    plain = L.EachFrame(still())
    thrifty = L.EachFrame(plain.encoder, rematerialize=True)

    def loss(layer):
        return lambda _: keras.ops.sum(keras.ops.square(layer(frames(), training=True)))

    expected, actual = (gradients(loss(layer), plain.encoder.trainable_variables, [])[1] for layer in (plain, thrifty))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_frozen_encoder_stays_as_it_is():
    encoder = still()
    encoder.trainable = False
    task = mm.models.MultimodalClassifier({"video": E.time_distributed(encoder, lstm_units=4)}, classes=2)
    before = [array(weight) for weight in encoder.weights]
    task.compile()
    task.fit({"frames": frames()}, np.array([0, 1, 1]), verbose=0)
    for old, weight in zip(before, encoder.weights, strict=True):
        np.testing.assert_array_equal(array(weight), old)


@pytest.mark.tensorflow
def test_saved_with_open_batch_and_frames_it_gives_the_same(tmp_path):
    """What Keras' TimeDistributed does not: its SavedModel exchanges samples and frames."""
    import tensorflow as tf

    encoder = E.time_distributed(still(), lstm_units=4)
    encoder.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(tf.constant(frames())).numpy(), array(encoder(frames())), atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: E.time_distributed(E.vgg(1, 4)), r"build it with `image_shape=\(height, width, 3\)`"),
        (lambda: E.time_distributed("vgg"), "must be a functional keras.Model"),
        (lambda: E.time_distributed(E.features((4,))), r"build it with `image_shape=\(height, width, 3\)`"),
        (lambda: L.EachFrame(keras.layers.Dense(3)), "must be a functional keras.Model from one input"),
        (lambda: L.EachFrame(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])), "to vectors"),
        (lambda: L.EachFrame(E.resnet((1,), 8, normalization="batch"), rematerialize=True), "runs the encoder twice"),
        (lambda: L.EachFrame(noisy(), rematerialize=True), "runs the encoder twice"),
    ],
)
def test_bad_encoders(build, message):
    with pytest.raises(ValueError, match=message):
        build()
