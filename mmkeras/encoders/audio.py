"""Audio encoders: on the waveform and on its spectrogram."""

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import AddChannel, ConvBlock, FlattenFrequency, LogMelSpectrogram, PaddingMask


def conv1d_audio(width=64, strides=(16, 4, 2, 2), *, kernel_size=3, first_kernel_size=64, pooling=None, name=None):
    """Build a stack of one-dimensional convolutions on the waveform.

    Args:
        width: channels of the first block; they double with every block but the second, up to 4 * width.
        strides: step of each block; a token stands for as many samples as their product.
        kernel_size: length of the kernels after the first.
        first_kernel_size: length of the first kernel, in samples: long enough to hear a pitch.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `audio`, samples in -1..1 padded with zeros, to tokens with a mask.

    Example:

    >>> conv1d_audio().output_shape
    (None, None, 256)
    """
    audio = keras.Input((None,), name="audio")
    x = AddChannel(name="channel")(audio)
    x = PaddingMask(name="padding")(x)
    for index, stride in enumerate(strides):
        filters = width * min(4, 2 ** max(0, index - 1))
        x = ConvBlock(filters, first_kernel_size if index == 0 else kernel_size, stride=stride, name=f"conv_{index}")(x)
    return finish(audio, x, pooling=pooling, name=name)


def spectrogram_cnn(
    sample_rate=16000,
    width=32,
    *,
    blocks=3,
    dim=128,
    num_mels=64,
    from_waveform=True,
    pooling=None,
    name=None,
):
    """Build two-dimensional convolutions on a log-mel spectrogram, made inside the model or given.

    Args:
        sample_rate: samples per second; sets frame length (1/16 to 1/32 s) and step (a quarter of it).
        width: channels of the first block; they double with every block.
        blocks: number of blocks, each of two convolutions that halve time and frequency together.
        dim: size of the tokens.
        num_mels: number of mel bins.
        from_waveform: whether the input is `audio`, (batch, sample); otherwise it is `spectrogram`,
            (batch, frame, num_mels), natural-log mel padded with zeros.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` to tokens (batch, frames / 2^blocks, dim) with a mask.

    Example:

    >>> spectrogram_cnn(8000, pooling="avg").output_shape
    (None, 128)
    """
    if from_waveform:
        source = keras.Input((None,), name="audio")
        # The largest power of two within 1/16 s: Fourier transforms are fastest there.
        frame_length = 2 ** ((sample_rate // 16).bit_length() - 1)
        x = LogMelSpectrogram(
            sample_rate, num_mels=num_mels, frame_length=frame_length, stride=frame_length // 4, name="log_mel"
        )(source)
    else:
        source = keras.Input((None, num_mels), name="spectrogram")
        x = PaddingMask(name="padding")(source)
    x = ConvBlock(width, 5, stride=2, name="stem")(AddChannel(name="channel")(x))
    for index in range(1, blocks):
        x = ConvBlock(width * 2**index, 3, name=f"conv_{index}_a")(x)
        x = ConvBlock(width * 2**index, 3, stride=2, name=f"conv_{index}_b")(x)
    x = FlattenFrequency(name="flatten")(x)
    x = keras.layers.Dense(dim, activation="relu", name="dense")(x)
    return finish(source, x, pooling=pooling, name=name)
