"""Signals and features are filtered, scaled and padded by numbers that one can work out by hand."""

import json

import keras
import numpy as np
import pytest

from mmkeras.preprocessing.features import Features
from mmkeras.preprocessing.filtering import apply_filter, band_taps
from mmkeras.preprocessing.signal import Signal
from mmkeras.preprocessing.statistics import Statistics, root_mean_square

RATE = 160


def waves(*frequencies, seconds=10, rate=RATE):
    time = np.arange(seconds * rate) / rate
    return np.sin(2 * np.pi * np.outer(time, frequencies))


@pytest.mark.parametrize(
    ("band", "kept", "removed"),
    [
        ((8, 30), (8, 15, 30), (1, 4, 40, 70)),
        ((None, 20), (1, 10, 20), (30, 60)),
        ((10, None), (10, 40, 75), (1, 5)),
        ((0.5, 45), (1, 20, 45), (65, 75)),
    ],
)
def test_the_filter_keeps_its_band_and_does_not_delay(band, kept, removed):
    part = Signal(sample_rate=RATE, band=band, normalize=None)
    middle = slice(4 * RATE, 6 * RATE)
    signal = waves(*kept)
    np.testing.assert_allclose(part.array(part.read(signal))[middle], signal[middle], atol=0.01)
    rest = part.array(part.read(waves(*removed)))[middle]
    assert 20 * np.log10(np.abs(rest).max(axis=0)).max() < -40


def test_the_filter_is_a_convolution_with_the_ends_held():
    """By `np.convolve`, with a signal shorter than the filter as well."""
    taps = band_taps(RATE, 8, 30)
    np.testing.assert_array_equal(taps, taps[::-1])
    half = len(taps) // 2
    for length in (5, 700):
        values = np.random.default_rng(0).normal(size=length)
        padded = np.concatenate([np.full(half, values[0]), values, np.full(half, values[-1])])
        expected = np.convolve(padded, taps, mode="valid")
        np.testing.assert_allclose(apply_filter(values[:, np.newaxis], taps)[:, 0], expected, atol=1e-12)


def test_an_offset_is_removed_to_the_very_ends():
    part = Signal(sample_rate=RATE, band=(8, 30), normalize=None)
    assert np.abs(part.array(part.read(np.full((50, 2), 1000.0)))).max() < 1e-6


def test_statistics_of_the_training_set():
    """Mean 3 and 0, deviation sqrt(2/3 * 4) = 1.633 and 0 over the rows (1, 0), (3, 0), (5, 0)."""
    part = Signal(3).adapt([[[1.0, 0.0], [3.0, 0.0]], [[5.0, 0.0]]])
    assert part.statistics == {"channels": 2, "mean": [3.0, 0.0], "scale": [pytest.approx(np.sqrt(8 / 3)), 1.0]}
    got = part.array(part.read([[3 + np.sqrt(8 / 3), 7.0]]))
    np.testing.assert_allclose(got, [[1, 7], [0, 0], [0, 0]], atol=1e-6)


def test_statistics_are_those_of_all_samples_at_once_where_means_are_large():
    rng = np.random.default_rng(0)
    parts = [rng.normal(1e6, 0.5, (length, 3)) for length in (7, 100, 31)]
    learned = Statistics()
    for values in parts:
        learned.add(values, root_mean_square(values))
    whole = np.concatenate(parts)
    np.testing.assert_allclose(learned.mean, whole.mean(axis=0), rtol=1e-14)
    # A deviation of 5e-7 of the size is rounding, in float32 at least.
    np.testing.assert_array_equal(learned.scale(), 1.0)
    learned.size = 0.0
    np.testing.assert_allclose(learned.scale(), whole.std(axis=0), rtol=1e-9)


def test_each_window_by_itself():
    part = Signal(normalize="window")
    got = part.array(part.read([[2.0, 7.0], [4.0, 7.0], [6.0, 7.0], [0.0, 0.0]]))
    # Deviation sqrt(8/3); the last row is padding and counts for nothing.
    np.testing.assert_allclose(got[:, 0], np.array([-2, 0, 2, 0]) / np.sqrt(8 / 3), atol=1e-6)
    np.testing.assert_array_equal(got[:, 1], 0)


@pytest.mark.parametrize("normalize", ["adapt", "window", None])
@pytest.mark.parametrize("band", [None, (8, 30)])
def test_what_is_constant_or_empty_stays_finite(normalize, band):
    part = Signal(64, sample_rate=RATE, band=band, normalize=normalize)
    constant = np.full((50, 2), 5.0)
    part.adapt([constant, constant])
    got = part.array(part.read(constant))
    assert np.abs(got).max() < 1e-6 if (normalize or band) else (got[:50] == 5).all()
    np.testing.assert_array_equal(part.array(part.read(np.zeros((50, 2)))), np.zeros((64, 2)))


def test_long_signals_are_cut_and_one_channel_may_be_flat():
    part = Signal(3, normalize=None)
    assert part.array(part.read([1, 2, 3, 4])).tolist() == [[1], [2], [3]]
    assert part.array(part.read([1, 2])).tolist() == [[1], [2], [0]]


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (Signal(), [[1, np.nan], [np.inf, 2]], "2 of 4 values are NaN or infinite, at time 0, channel 1; time 1"),
        (Signal(), np.full((9, 9), np.nan), "81 of 81 .*and 78 more"),
        (Signal(), [[1, 2], [3]], "rows of different lengths"),
        (Signal(), np.zeros((2, 2, 2)), r"\(time\) or \(time, channel\)"),
        (Signal(), np.zeros((0, 2)), "empty"),
        (Signal(), ["a", "b"], "numbers"),
        (Signal(), [[1e300]], "NaN or infinite"),
        (Signal().adapt([np.ones((4, 2))]), np.ones((4, 3)), "a signal of 2 channels"),
        (Signal().adapt([np.ones((4, 2))]), np.ones(4), "a signal of 2 channels"),
        (Features(), [1, np.nan], "1 of 2 values are NaN or infinite, at dim 1"),
        (Features(), [[1, 2], [np.nan, 1]], "at time 1, dim 0"),
        (Features(4), [1.0, 2.0], r"\(time, dim\)"),
        (Features().adapt([[1.0, 2.0]]), [1.0], r"features \(dim,\) of dim 2"),
        (Features().adapt([[1.0, 2.0]]), [[1.0, 2.0]], r"features \(dim,\) of dim 2"),
        (Features().adapt([[[1.0, 2.0]]]), [1.0, 2.0], r"features \(time, dim\) of dim 2"),
    ],
)
def test_bad_values_are_named(part, value, message):
    with pytest.raises(ValueError, match=message):
        part.read(value)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (Signal(), [], "at least one signal"),
        (Signal(), [np.ones((4, 2)), np.ones((4, 3))], "one number of channels. Received: 2 and 3"),
        (Features(), [], "at least one array"),
        (Features(), [np.ones(4), np.ones(3)], r"one size. Received: shapes \(4,\) and \(3,\)"),
        (Features(), [np.ones((1, 3)), np.ones(3)], "one size"),
    ],
)
def test_sets_that_cannot_be_learned_from(part, values, message):
    with pytest.raises(ValueError, match=message):
        part.adapt(values)


@pytest.mark.parametrize("part", [Signal(), Features()])
def test_adapting_comes_first(part):
    assert part.needs_adapting
    with pytest.raises(ValueError, match="call `adapt`"):
        part.array(part.read([[1.0, 2.0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Signal(0), "length"),
        (lambda: Signal(normalize="minmax"), "normalize"),
        (lambda: Signal(band=(8, 30)), "needs a `sample_rate`"),
        (lambda: Signal(sample_rate=50, band=(8, 30)), "twice its edges"),
        (lambda: Signal(sample_rate=160, band=(30, 8)), "low below high"),
        (lambda: Signal(sample_rate=160, band=(None, None)), "low below high"),
        (lambda: Signal(sample_rate=160, band=(0, 8)), "low below high"),
        (lambda: Features(-1), "length"),
        (lambda: Features(normalize="window"), "normalize"),
    ],
)
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_vectors_and_series_of_features():
    vectors = Features().adapt([[0.0, 5.0], [4.0, 5.0]])
    assert vectors.array(vectors.read([4, 6])).tolist() == [1.0, 1.0]
    assert (vectors.shape, vectors.raw_shape) == ((2,), (2,))
    # Padding at the end of a series is not counted: mean 2, deviation 2.
    series = Features(4).adapt([[[0.0], [4.0], [0.0], [0.0]], [[4.0], [0.0], [0.0]], [[0.0], [4.0]], [[4.0]]])
    assert series.statistics["mean"] == [pytest.approx(16 / 6)]
    assert (series.shape, series.raw_shape) == ((4, 1), (None, 1))
    got = series.array(series.read([[4.0], [0.0], [4.0], [0.0], [0.0], [0.0]]))
    assert got.shape == (4, 1)
    assert (got[:3] != 0).all()
    assert got[3] == 0
    raw = Features(normalize=None)
    assert raw.array(raw.read([4, 6])).tolist() == [4, 6]


@pytest.mark.parametrize(
    "part",
    [
        Signal(100, sample_rate=RATE, band=(8, None), normalize="window"),
        Signal().adapt([np.random.default_rng(0).normal(size=(9, 3))]),
        Features(7).adapt([np.random.default_rng(0).normal(size=(9, 3))]),
        Features(normalize=None),
    ],
    ids=str,
)
def test_config_brings_the_part_back(part):
    config = keras.saving.serialize_keras_object(part)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert again.get_config() == part.get_config()
    value = np.random.default_rng(1).normal(size=(9, 3))
    np.testing.assert_array_equal(again.array(again.read(value)), part.array(part.read(value)))


@pytest.mark.tensorflow
@pytest.mark.parametrize("length", [None, 300, 900])
@pytest.mark.parametrize("normalize", ["adapt", "window", None])
@pytest.mark.parametrize("band", [None, (8, 30)])
def test_one_signal_three_ways(band, normalize, length):
    import tensorflow as tf

    part = Signal(length, sample_rate=RATE, band=band, normalize=normalize)
    rng = np.random.default_rng(0)
    values = [3 + rng.normal(size=(steps, 2)) for steps in (640, 37, 1)]
    values.append(np.concatenate([values[0], np.zeros((100, 2))]))
    values.append(np.zeros((20, 2)))
    part.adapt(values)
    traced = tf.function(part.graph, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    wires = [part.read(value) for value in values]
    signature = tf.TensorSpec([None, None], tf.float32)
    piped = tf.data.Dataset.from_generator(lambda: iter(wires), output_signature=signature).map(part.graph)
    for wire, from_pipe in zip(wires, piped.as_numpy_iterator(), strict=True):
        expected = part.array(wire)
        assert expected.shape == (length or len(wire), 2)
        np.testing.assert_array_equal(traced(wire), from_pipe)
        assert np.abs(from_pipe - expected).max() < 1e-6


@pytest.mark.tensorflow
@pytest.mark.parametrize("shape", [(5,), (12, 5)])
def test_one_set_of_features_two_ways(shape):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    values = [rng.normal(2, 3, shape) for _ in range(6)]
    part = Features(8 if len(shape) == 2 else None).adapt(values)
    traced = tf.function(part.graph, input_signature=[tf.TensorSpec([None] * len(shape), tf.float32)])
    for value in values:
        wire = part.read(value)
        got = traced(wire).numpy()
        assert got.shape == part.shape
        np.testing.assert_allclose(got, part.array(wire), atol=1e-6)
    raw = Features(normalize=None)
    np.testing.assert_array_equal(raw.graph(tf.constant(wire)), wire)
