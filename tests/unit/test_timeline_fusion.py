"""Series of different rates on one time line: what each step knows, and of when."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, mask_of


def _series(length, dim=4, seed=0):
    return np.random.default_rng([seed, length]).standard_normal((2, length, dim)).astype("float32")


def _plain(**kwargs):
    """Nothing over time but what the layer itself brings together."""
    keras.utils.set_random_seed(0)
    return mm.layers.TimelineFusion(mm.layers.ConcatFusion(6), context=None, **kwargs)


def _steps_changed(layer, encodings, name, token):
    """Which steps change where a token does."""
    other = {**encodings, name: encodings[name].copy()}
    other[name][:, token] += 5.0
    return np.abs(array(layer(other)) - array(layer(encodings))).max(axis=(0, 2)) > 1e-6


@pytest.mark.parametrize(
    ("kwargs", "token", "steps"),
    [
        # Twelve sounds over four frames: three each. A sound reaches the frame it falls on and those beside it.
        ({"num_heads": 0}, 4, [1]),
        ({"num_heads": 0}, 3, [0, 1]),
        # Sounds at 10 per second, frames at 4: sound 6 lies at 0.65 s, between the frames at 0.625 and 0.875 s.
        ({"num_heads": 0, "rates": {"video": 4, "audio": 10}}, 6, [2, 3]),
        # The frame at 0.375 s is 0.275 s away.
        ({"num_heads": 2, "rates": {"video": 4, "audio": 10}, "window": 0.28}, 6, [1, 2, 3]),
        ({"num_heads": 2, "rates": {"video": 4, "audio": 10}, "window": 0.27}, 6, [2, 3]),
        # In steps of the time line where there are no rates.
        ({"num_heads": 2, "window": 0.6}, 4, [1]),
        ({"num_heads": 2}, 4, [0, 1, 2, 3]),
    ],
)
def test_a_sound_reaches_the_steps_around_it(kwargs, token, steps):
    encodings = {"video": _series(4), "audio": _series(12)}
    layer = _plain(**kwargs)
    layer(encodings)
    # What frames tell the sound comes back with it, where the sound lies: look at one direction alone.
    if kwargs["num_heads"]:
        kernel = layer._attentions[0]._output_dense.kernel
        kernel.assign(np.zeros(kernel.shape, "float32"))
    assert np.flatnonzero(_steps_changed(layer, encodings, "audio", token)).tolist() == steps


def test_scores_say_where_was_looked_and_stay_inside_the_window():
    layer = _plain(num_heads=2, window=0.6)
    encodings = {"video": _series(4), "audio": _series(12)}
    _, scores = layer(encodings, return_attention_scores=True)
    seen = array(scores["video"])  # (batch, head, frame, sound)
    assert seen.shape == (2, 2, 4, 12)
    assert array(scores["audio"]).shape == (2, 2, 12, 4)
    np.testing.assert_allclose(seen.sum(axis=-1), 1, atol=1e-5)
    times = (np.arange(12) + 0.5) / 3
    assert (seen[:, :, np.abs(np.arange(4)[:, None] + 0.5 - times) > 0.6] == 0).all()


def _masked(lengths, longest, dim=4):
    x = _series(longest, dim)
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    return mm.layers.PaddingMask()(keras.ops.convert_to_tensor(x))


@pytest.mark.parametrize(
    ("frames", "sounds", "rates", "steps"),
    [
        # The line is that of the frames, and ends with them.
        ((4, 2), (12, 12), None, (4, 2)),
        # A single picture stands for as long as the sound does.
        ((4, 1), (12, 6), None, (4, 4)),
        ((4, 1), (12, 7), {"video": 4, "audio": 10}, (4, 3)),
        ((1, 4), (1, 1), None, (1, 4)),
    ],
)
def test_the_line_is_as_long_as_what_is_there(frames, sounds, rates, steps):
    layer = _plain(num_heads=2, rates=rates)
    fused = layer({"video": _masked(frames, 4), "audio": _masked(sounds, 12)})
    assert mask_of(fused).sum(axis=1).tolist() == list(steps)
    assert (np.abs(array(fused)).sum(axis=-1) > 0).sum(axis=1).tolist() == list(steps)


def test_a_picture_that_stands_alone_is_seen_by_all_of_the_sound():
    layer = _plain(num_heads=2, window=0.5, rates={"video": 4, "audio": 12})
    _, scores = layer({"video": _masked((1, 4), 4), "audio": _masked((12, 12), 12)}, return_attention_scores=True)
    heard = array(scores["audio"])  # (batch, head, sound, frame)
    np.testing.assert_allclose(heard[0, :, :, 0], 1, atol=1e-5)
    # The frame sees all of the sound; one of four sees what is near.
    assert (array(scores["video"])[0, :, 0] > 0).all()
    assert (array(scores["video"])[1, :, 0] == 0).any()


def test_a_vector_stands_at_every_step_and_another_series_may_give_the_line():
    layer = _plain(like="audio")
    fused = layer({"video": _series(4), "audio": _series(12), "speaker": np.ones((2, 3), "float32")})
    assert fused.shape == (2, 12, 3 * 6)
    assert _plain(like=1)([_series(4), _series(12)]).shape == (2, 12, 2 * 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mm.layers.TimelineFusion(keras.layers.Dense(3)), "a fusion layer for one step"),
        (lambda: mm.layers.TimelineFusion(mm.layers.StepwiseFusion(mm.layers.GatedFusion())), "for one step"),
        (lambda: mm.layers.TimelineFusion(context="gru"), "a layer over time"),
        (lambda: mm.layers.TimelineFusion(window=0), "`window` a number above 0"),
        (lambda: mm.layers.TimelineFusion(rates={"video": 0}), "above 0"),
        (lambda: _plain(like="sound")({"video": _series(4), "audio": _series(12)}), "like='sound'"),
        (lambda: _plain()({"video": np.ones((2, 4)), "audio": np.ones((2, 4))}), "without `pooling`"),
        (lambda: _plain(rates={"video": 4})({"video": _series(4), "audio": _series(12)}), r"none for \['audio'\]"),
        (
            lambda: mm.layers.TimelineFusion(context=keras.layers.GRU(5))({"video": _series(4), "audio": _series(12)}),
            "return_sequences=True",
        ),
        (lambda: _plain(dim=7)({"video": _series(4), "audio": _series(12)}), "multiple of num_heads=4"),
        (lambda: _plain()({"video": _series(4)}, return_weights=True), "no weights to show"),
    ],
)
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
