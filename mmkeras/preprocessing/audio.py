"""Sound: from a file, bytes or an array to what an audio encoder reads."""

import os

import numpy as np

from mmkeras.data.media.audio import check_samples, load_audio, plain_wav, wav_bytes
from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.preprocessing.resampling import resample, resample_graph
from mmkeras.preprocessing.spectrogram import log_mel, log_mel_graph
from mmkeras.registration import registered

OUTPUTS = ("waveform", "log_mel")
# An array (sample, channel) of more channels has its axes the other way round.
_MAX_CHANNELS = 32
_MIN_RATE = 500


@registered
class Audio(Part):
    """Turn a sound into one channel of samples in -1..1, or into its log-mel spectrogram.

    A raw value is a path or the bytes of a file (wav, flac, ogg, mp3; the sound track of a video), an array (sample,)
    or (sample, channel) at the rate of the part, or a pair of an array and its rate. Floats lie in -1..1, integers
    are scaled by the range of their type. Channels are averaged.

    A wav file of 16-bit samples is decoded in the graph; all else is decoded first and passed on as such a file.
    What is shorter than `seconds` is padded with zeros on the right, which the layers read as padding.

    Args:
        sample_rate: samples per second of the prepared sound.
        seconds: length of the prepared sound; None leaves each its own.
        output: `"waveform"`, or `"log_mel"` for what `mm.layers.LogMelSpectrogram` makes of it, with zeros where a
            frame lies on padding.
        num_mels: number of mel bins.
        frame_length: samples per frame of the spectrogram.
        stride: samples between frames.
        trim_db: None, or how far below its loudest sample, in decibels, the sound at either end counts as silence
            and is cut off.

    Example:

    >>> part = Audio(8000, seconds=0.5)
    >>> part.shape, part.array(part.read((np.ones((4410, 2)), 44100))).shape
    ((4000,), (4000,))
    """

    def __init__(
        self,
        sample_rate=16000,
        *,
        seconds=None,
        output="waveform",
        num_mels=64,
        frame_length=512,
        stride=128,
        trim_db=None,
    ):
        if sample_rate != int(sample_rate) or min(sample_rate, num_mels) < 1:
            raise ValueError(
                "`sample_rate` and `num_mels` must be positive integers. "
                f"Received: sample_rate={sample_rate}, num_mels={num_mels}"
            )
        if sample_rate < _MIN_RATE:
            raise ValueError(
                f"`sample_rate` is in samples per second, at least {_MIN_RATE}; a length is given by `seconds`. "
                f"Received: sample_rate={sample_rate}"
            )
        if (seconds is not None and round(seconds * sample_rate) < 1) or (trim_db is not None and trim_db <= 0):
            raise ValueError(
                f"`seconds` and `trim_db` must be positive or None. Received: seconds={seconds}, trim_db={trim_db}"
            )
        if output not in OUTPUTS:
            raise ValueError(f"`output` must be one of {OUTPUTS}. Received: output={output!r}")
        if not 0 < stride <= frame_length:
            raise ValueError(
                f"`stride` must lie in 1..frame_length={frame_length}, or samples go unheard. Received: stride={stride}"
            )
        self.sample_rate = int(sample_rate)
        self.seconds = seconds
        self.output = output
        self.num_mels = num_mels
        self.frame_length = frame_length
        self.stride = stride
        self.trim_db = trim_db
        self._length = None if seconds is None else round(seconds * sample_rate)
        if output == "waveform":
            self.kind, self.shape = "audio", (self._length,)
        else:
            frames = None if self._length is None else -(-self._length // stride)
            self.kind, self.shape = "spectrogram", (frames, num_mels)

    def read(self, value, rng=None):
        if isinstance(value, tuple) and len(value) == 2 and np.ndim(value[1]) == 0:
            return resample(_mono(value[0]), value[1], self.sample_rate)
        if isinstance(value, (np.ndarray, list, tuple)):
            return _mono(value)
        data = _wav_data(value)
        if data is not None:
            plain = plain_wav(data)
            if plain is not None:
                if not len(plain[0]):
                    raise ValueError("the sound has no samples")
                return data
            value = data
        samples, rate = load_audio(value)
        return wav_bytes(samples.mean(axis=1), rate)

    def graph(self, wire):
        tf = require_tensorflow("Preparing sound in a graph")
        if wire.dtype == tf.string:
            samples, rate = tf.audio.decode_wav(wire)
            samples = resample_graph(tf.reduce_mean(samples, axis=1), rate, self.sample_rate)
        else:
            samples = tf.cast(wire, tf.float32)
        if self.trim_db is not None:
            loud = tf.where(tf.abs(samples) >= self._threshold() * tf.reduce_max(tf.abs(samples)))
            samples = samples[loud[0, 0] : loud[-1, 0] + 1]
        if self._length is not None:
            samples = samples[: self._length]
            samples = tf.pad(samples, [[0, self._length - tf.size(samples)]])
        if self.output == "log_mel":
            samples = log_mel_graph(samples, *self._mel_arguments())
        return tf.ensure_shape(samples, self.shape)

    def array(self, wire):
        if isinstance(wire, bytes):
            plain = plain_wav(wire)
            if plain is None:
                raise ValueError("expected a wav file of 16-bit samples, as `read` gives it")
            levels, rate = plain
            wire = resample((levels.astype("float32") / 2**15).mean(axis=1), rate, self.sample_rate)
        samples = np.asarray(wire, "float32")
        if self.trim_db is not None:
            loud = np.flatnonzero(np.abs(samples) >= self._threshold() * np.abs(samples).max())
            samples = samples[loud[0] : loud[-1] + 1]
        if self._length is not None:
            samples = samples[: self._length]
            samples = np.pad(samples, (0, self._length - len(samples)))
        return log_mel(samples, *self._mel_arguments()) if self.output == "log_mel" else samples

    def get_config(self):
        return {
            "sample_rate": self.sample_rate,
            "seconds": self.seconds,
            "output": self.output,
            "num_mels": self.num_mels,
            "frame_length": self.frame_length,
            "stride": self.stride,
            "trim_db": self.trim_db,
        }

    def _mel_arguments(self):
        return self.sample_rate, self.num_mels, self.frame_length, self.stride

    def _threshold(self):
        return float(np.float32(10 ** (-self.trim_db / 20)))


def _wav_data(value):
    """The bytes of a wav file, or None: other files may be far too long to be read into memory at once."""
    if isinstance(value, bytes):
        return value if _is_wav_head(value) else None
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(
            "expected a path, bytes, an array of samples or a pair of an array and its sample rate. "
            f"Received: {type(value).__name__}"
        )
    try:
        with open(value, "rb") as file:
            head = file.read(12)
            return head + file.read() if _is_wav_head(head) else None
    except OSError:
        # `load_audio` says what is wrong.
        return None


def _is_wav_head(data):
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def _mono(samples):
    """float32 (sample,) from an array of samples."""
    samples = np.asarray(samples)
    if samples.dtype.kind not in "iuf" or samples.dtype in ("int64", "uint64"):
        raise ValueError(
            f"expected floats in -1..1, or integers of 8, 16 or 32 bits that use their range. Received: {samples.dtype}"
        )
    if samples.dtype.kind == "i":
        samples = samples.astype("float64") / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind == "u":
        middle = (float(np.iinfo(samples.dtype).max) + 1) / 2
        samples = (samples.astype("float64") - middle) / middle
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    if samples.ndim != 2 or not 1 <= samples.shape[-1] <= _MAX_CHANNELS:
        raise ValueError(
            f"expected an array (sample,) or (sample, channel) of 1 to {_MAX_CHANNELS} channels. "
            f"Received: shape {samples.shape}"
        )
    if not len(samples):
        raise ValueError("the sound has no samples")
    return check_samples(samples).mean(axis=1, dtype="float64").astype("float32")
