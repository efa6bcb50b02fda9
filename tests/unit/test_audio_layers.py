"""The audio layers against NumPy versions of their formulas."""

import math

import keras
import numpy as np
import pytest

from mmkeras import layers as L
from tests.conformance.backend import array, mask_of
from tests.conformance.cases import floats
from tests.conformance.checks import WithMask
from tests.unit import reference
from tests.unit.reference import randomize, weights_of

tensor = keras.ops.convert_to_tensor
RATE, MELS, FRAME, STRIDE = 8000, 20, 128, 48
OPTIONS = {"num_mels": MELS, "frame_length": FRAME, "stride": STRIDE}


def tone(frequency, samples=800):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / RATE).astype("float32")[None]


class TestLogMelSpectrogram:
    @pytest.mark.parametrize("samples", [480, 481, 500, 60])
    def test_equals_a_fourier_transform_frame_by_frame(self, samples):
        layer, audio = L.LogMelSpectrogram(RATE, floor=1e-4, min_frequency=100.0, **OPTIONS), floats(2, samples)
        filters = reference.mel_filters(MELS, FRAME // 2 + 1, RATE, 100.0, RATE / 2)
        actual = array(layer(tensor(audio)))
        assert actual.shape == (2, math.ceil(samples / STRIDE), MELS) == layer.compute_output_shape(audio.shape)
        for row in range(2):
            expected = reference.log_mel(audio[row], filters, FRAME, STRIDE, 1e-4)
            np.testing.assert_allclose(actual[row], expected, atol=2e-4)

    @pytest.mark.parametrize("frequency", [300.0, 1000.0, 2500.0])
    def test_a_tone_is_loudest_in_its_own_bin(self, frequency):
        """The bin whose centre lies nearest on the mel scale, in every frame that the edges do not cut."""
        mels = array(L.LogMelSpectrogram(RATE, **OPTIONS)(tensor(tone(frequency))))[0, 2:-3]
        centres = np.linspace(reference.mel(60.0), reference.mel(RATE / 2), MELS + 2)[1:-1]
        nearest = np.abs(centres - reference.mel(frequency)).argmin()
        # A tone between two bins may lean to either; one bin on is as far as leakage reaches.
        assert (np.abs(mels.argmax(axis=1) - nearest) <= 1).all()
        assert (mels.argmax(axis=1) == nearest).mean() > 0.9

    def test_twice_the_amplitude_is_four_times_the_power(self):
        layer = L.LogMelSpectrogram(RATE, floor=1e-12, **OPTIONS)
        quiet, loud = (array(layer(tensor(gain * floats(1, 480)))) for gain in (np.float32(1), np.float32(2)))
        np.testing.assert_allclose(loud - quiet, math.log(4.0), atol=1e-3)

    def test_silence_inside_a_clip_is_the_floor(self):
        audio = floats(1, 960)
        audio[:, 300:600] = 0
        output = L.LogMelSpectrogram(RATE, floor=1e-3, **OPTIONS)(tensor(audio))
        # The frame centred on sample 8 * 48 = 384 reaches from 320 to 447.
        np.testing.assert_allclose(array(output)[0, 8], math.log(1e-3), atol=1e-5)
        assert mask_of(output).all()

    def test_neighbours_and_padding_do_not_matter(self):
        layer = L.LogMelSpectrogram(RATE, **OPTIONS)
        audio = floats(1, 480)
        alone = layer(tensor(audio))
        batch = np.zeros((3, 700), "float32")
        batch[0, :480], batch[1] = audio[0], 100.0 * floats(700)
        together = layer(tensor(batch))
        np.testing.assert_array_equal(mask_of(together).sum(axis=1), [10, 15, 0])
        assert mask_of(alone).all()
        np.testing.assert_allclose(array(together)[0, :10], array(alone)[0], atol=1e-5)
        assert (array(together)[~mask_of(together)] == 0).all()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.LogMelSpectrogram(RATE, frame_length=64, stride=65), "frame_length=64.*Received: stride=65"),
            (lambda: L.LogMelSpectrogram(RATE, stride=0), "`stride`.*Received: stride=0"),
            (lambda: L.LogMelSpectrogram(RATE)(floats(2, 5, 1)), r"\(batch, sample\). Received: shape \(2, 5, 1\)"),
        ],
        ids=["stride too long", "no stride", "rank"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestConvBlock:
    @pytest.mark.parametrize("stride", [1, 2, 3])
    @pytest.mark.parametrize("kernel_size", [1, 3, 4])
    @pytest.mark.parametrize("shape", [(2, 7, 3), (2, 5, 4, 2)], ids=["time", "frequency"])
    def test_equals_the_loop(self, shape, kernel_size, stride):
        layer, x = L.ConvBlock(5, kernel_size, stride=stride, activation="tanh"), floats(*shape)
        layer.build(shape)
        weights = weights_of(randomize(layer))
        expected = reference.convolution(x, weights["convolution/kernel"], stride)
        expected = np.tanh(reference.layer_norm(weights, "norm", expected))
        assert layer.compute_output_shape(shape) == expected.shape
        np.testing.assert_allclose(array(layer(tensor(x))), expected, atol=5e-5)

    def test_without_normalisation_there_is_a_bias(self):
        layer, x = L.ConvBlock(5, normalize=False, activation=None), floats(2, 7, 3)
        layer.build(x.shape)
        weights = weights_of(randomize(layer))
        assert sorted(weights) == ["convolution/bias", "convolution/kernel"]
        expected = reference.convolution(x, weights["convolution/kernel"], 1) + weights["convolution/bias"]
        np.testing.assert_allclose(array(layer(tensor(x))), expected, atol=2e-5)

    def test_a_clip_ends_in_silence_and_its_mask_is_strided(self):
        """Padding counts as zeros, whatever stands there, and comes out as zeros."""
        mask = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]], dtype=bool)
        x = floats(3, 7, 3)
        layer = L.ConvBlock(5, stride=2)
        layer.build(x.shape)
        weights = weights_of(randomize(layer))
        silent = np.where(mask[..., None], x, 0.0)
        expected = reference.convolution(silent, weights["convolution/kernel"], 2)
        expected = np.maximum(reference.layer_norm(weights, "norm", expected), 0.0)
        expected_mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
        filled = np.where(mask[..., None], x, np.float32(np.nan))
        output = layer(WithMask()([tensor(filled), tensor(mask)]))
        np.testing.assert_array_equal(mask_of(output), expected_mask)
        np.testing.assert_allclose(array(output), np.where(expected_mask[..., None], expected, 0.0), atol=2e-5)

    @pytest.mark.parametrize("shape", [(2, 7), (2, 7, None), (2, 3, 4, 5, 6)], ids=str)
    def test_bad_shapes(self, shape):
        with pytest.raises(ValueError, match=r"ConvBlock expects \(batch, time, channel\).*Received: shape \(2,"):
            L.ConvBlock(4).build(shape)


class TestWhisperScaling:
    def test_equals_the_formula(self):
        """Clip by clip; trailing zero frames have the power 1e-10 of Whisper's own floor."""
        mels = 4.0 * floats(3, 6, 4) - 8.0
        mels[1, 4:] = 0
        mels[2] = 0
        # Loud enough for the lower limit, 8 decades below the loudest, to cut.
        mels[0, 0, 0] = 10.0
        actual = array(L.WhisperScaling()(tensor(mels)))
        for row, frames in enumerate([6, 4, 0]):
            power = np.exp(mels[row].astype("float64"))
            power[frames:] = 1e-10
            decades = np.log10(power)
            expected = (np.maximum(decades, decades.max() - 8.0) + 4.0) / 4.0
            np.testing.assert_allclose(actual[row], expected, atol=1e-5)
        # The limit did cut: 10 / ln 10 - 8 decades, scaled.
        assert actual[0].min() == pytest.approx((10 / math.log(10) - 8 + 4) / 4, abs=1e-5)
