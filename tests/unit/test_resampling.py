"""Resampling keeps what both rates can hold, drops the rest, and is one formula in NumPy and in the graph."""

import numpy as np
import pytest

from mmkeras.preprocessing.resampling import resample, resample_graph

# The last pair has no useful common divisor: it takes the way of pieces.
RATES = [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (16000, 44100), (11025, 8000), (7919, 6007)]


def sine(frequency, rate, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype("float32")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.85])
@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_sines_of_the_pass_band_stay_what_they_are(rate, new_rate, share):
    frequency = share * min(rate, new_rate) / 2
    got = resample(sine(frequency, rate), rate, new_rate)
    wanted = np.sin(2 * np.pi * frequency * np.arange(len(got)) / new_rate)
    # Near the ends the filter meets the silence outside.
    edge = round(0.02 * new_rate)
    assert np.abs(got - wanted)[edge:-edge].max() < 1e-3


@pytest.mark.parametrize("share", [1.02, 1.2, 1.9])
@pytest.mark.parametrize(("rate", "new_rate"), [pair for pair in RATES if pair[1] < pair[0]])
def test_what_the_new_rate_cannot_hold_is_suppressed(rate, new_rate, share):
    frequency = min(share * new_rate / 2, 0.98 * rate / 2)
    got = resample(sine(frequency, rate), rate, new_rate)
    edge = round(0.02 * new_rate)
    level = np.sqrt(2 * np.mean(got[edge:-edge] ** 2))
    assert 20 * np.log10(level + 1e-9) < -50


@pytest.mark.parametrize("samples", [1, 2, 159, 441, 1000])
@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_length(rate, new_rate, samples):
    got = resample(np.ones(samples, "float32"), rate, new_rate)
    assert got.shape == (-(-samples * new_rate // rate),)
    assert got.dtype == "float32"
    assert np.isfinite(got).all()


def test_a_constant_stays_constant_and_equal_rates_change_nothing():
    ones = np.ones(4410, "float32")
    assert np.abs(resample(ones, 44100, 16000)[100:-100] - 1).max() < 1e-5
    assert resample(ones, 44100, 44100) is ones


def test_other_software_agrees():
    """swresample, with a filter of its own, on tones well inside the pass band."""
    av = pytest.importorskip("av")
    samples = 0.3 * sine(440, 44100) + 0.3 * sine(3000, 44100)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], "fltp", "mono")
    frame.sample_rate = 44100
    resampler = av.AudioResampler("fltp", "mono", 16000)
    pieces = [piece.to_ndarray()[0] for piece in resampler.resample(frame) + resampler.resample(None)]
    theirs, ours = np.concatenate(pieces), resample(samples, 44100, 16000)
    inside = slice(500, 7000)
    assert np.abs(theirs[inside] - ours[inside]).max() < 2e-3


@pytest.mark.parametrize(("rate", "new_rate"), [(0, 16000), (16000, -1)])
def test_a_rate_that_is_none(rate, new_rate):
    with pytest.raises(ValueError, match="must be positive"):
        resample(np.ones(8, "float32"), rate, new_rate)


@pytest.mark.tensorflow
def test_the_graph_computes_the_same_for_any_rate():
    """One graph for all rates: the rate is an input, as it is for files."""
    import tensorflow as tf

    signature = [tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]
    graph = tf.function(lambda samples, rate: resample_graph(samples, rate, 16000), input_signature=signature)
    noise = np.random.default_rng(0).normal(size=4000).astype("float32")
    for rate in (8000, 11025, 16000, 22050, 32000, 44100, 44101, 48000, 96000):
        for length in (1, 777, 4000):
            samples = noise[:length]
            got, wanted = graph(samples, rate).numpy(), resample(samples, rate, 16000)
            assert got.shape == wanted.shape, rate
            assert np.abs(got - wanted).max() < 1e-5, rate
