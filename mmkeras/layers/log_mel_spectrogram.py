"""From a waveform to what an audio encoder reads."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class LogMelSpectrogram(keras.layers.Layer):
    """Turn a waveform into a natural-log mel spectrogram inside the model.

    `log(max(M |STFT(x)|^2, floor))`, M the mel filter bank. Frame i is centred on sample i * stride. Trailing zeros
    are padding: their frames are zero and masked. `keras.layers.MelSpectrogram` supplies the filter bank; its own
    decibel scale is not used because it refers to the loudest sample of the batch, and its frames reflect at the
    end of the clip, so that neighbours and padding would change the numbers.

    Args:
        sample_rate: samples per second.
        num_mels: number of mel bins.
        frame_length: samples per frame; also the length of the Fourier transform.
        stride: samples between frames.
        min_frequency: lower edge of the lowest bin, in hertz.
        floor: smallest power before the logarithm.

    Call arguments:
        audio: tensor (batch, sample) in -1..1.

    Output shape: (batch, ceil(sample / stride), num_mels), with a mask.

    Example:

    >>> tuple(LogMelSpectrogram(8000, num_mels=32)(ops.ones((2, 8000))).shape)
    (2, 63, 32)
    """

    def __init__(
        self, sample_rate=16000, *, num_mels=64, frame_length=512, stride=128, min_frequency=60.0, floor=1e-5, **kwargs
    ):
        # A waveform rounded to bfloat16 is noise to a Fourier transform: cast what comes out, not what goes in.
        super().__init__(autocast=False, **kwargs)
        if min(sample_rate, num_mels) < 1:
            raise ValueError(
                "`sample_rate` and `num_mels` must be positive integers. "
                f"Received: sample_rate={sample_rate}, num_mels={num_mels}"
            )
        if not 0 < stride <= frame_length:
            raise ValueError(
                f"`stride` must lie in 1..frame_length={frame_length}, or samples go unheard. Received: stride={stride}"
            )
        self.sample_rate = sample_rate
        self.num_mels = num_mels
        self.frame_length = frame_length
        self.stride = stride
        self.min_frequency = min_frequency
        self.floor = floor

    def build(self, audio_shape):
        if len(audio_shape) != 2:
            raise ValueError(f"LogMelSpectrogram expects audio (batch, sample). Received: shape {tuple(audio_shape)}")
        filters = keras.layers.MelSpectrogram(dtype="float32").linear_to_mel_weight_matrix(
            num_mel_bins=self.num_mels,
            num_spectrogram_bins=self.frame_length // 2 + 1,
            sampling_rate=self.sample_rate,
            lower_edge_hertz=self.min_frequency,
            upper_edge_hertz=self.sample_rate / 2,
        )
        self._filters = keras.ops.convert_to_numpy(filters)

    def call(self, audio):
        audio = keras.ops.cast(audio, "float32")
        # One whole frame on the right leaves room for the frame centred on the last sample.
        padded = keras.ops.pad(audio, [(0, 0), (self.frame_length // 2, self.frame_length)])
        real, imaginary = keras.ops.stft(padded, self.frame_length, self.stride, self.frame_length, center=False)
        mask = self._frame_mask(audio)
        power = (keras.ops.square(real) + keras.ops.square(imaginary))[:, : keras.ops.shape(mask)[1]]
        mels = keras.ops.matmul(power, self._filters)
        mels = ops.zero_padding(keras.ops.log(keras.ops.maximum(mels, self.floor)), mask)
        return keras.ops.cast(mels, self.compute_dtype)

    def compute_mask(self, audio, previous_mask=None):
        return self._frame_mask(audio)

    def compute_output_shape(self, audio_shape):
        batch, samples = audio_shape
        return (batch, None if samples is None else -(-samples // self.stride), self.num_mels)

    def get_config(self):
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "num_mels": self.num_mels,
            "frame_length": self.frame_length,
            "stride": self.stride,
            "min_frequency": self.min_frequency,
            "floor": self.floor,
        }

    def _frame_mask(self, audio):
        return ops.stride_mask(ops.trailing_mask(audio), self.stride)
