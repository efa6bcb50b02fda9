"""Moving pictures: from a file, bytes, an array or single frames to what a video encoder reads."""

import os

import numpy as np

from mmkeras.data.media.audio import wav_bytes
from mmkeras.data.media.picking import FrameSampling
from mmkeras.data.media.video import read_clip
from mmkeras.preprocessing.image import Image, png_bytes
from mmkeras.preprocessing.part import Part, require_tensorflow
from mmkeras.registration import registered


@registered
class Video(Part):
    """Turn a clip into a fixed number of float32 RGB frames (frame, height, width, 3) in 0..255, whole levels.

    A raw value is a path or the bytes of a video file (anything that PyAV reads, animations too), an array
    (frame, height, width) or (frame, height, width, channel), or a list of single frames, each a path, bytes or an
    array. A clip of fewer frames is followed by frames of zeros, which count as padding.

    Args:
        num_frames: number of frames.
        size: (height, width) of the frames.
        fit: `"stretch"` changes the aspect ratio; `"crop"` keeps it and cuts what stands out on either side; `"pad"`
            keeps it and fills with black.
        sampling: `"uniform"` takes the middles of equal parts of the clip; `"random"` a random moment of each part in
            training and the middle elsewhere; `"stride"` every `stride`-th frame from the start.
        stride: frames from one to the next, for `"stride"`.
        start: seconds to pass over; of files only.
        seconds: length of the span that is looked at; None for the rest of the clip. Of files only.
        moment: where in each part of a clip the frame is taken if not at random, from 0 (its beginning) to 1.

    Example:

    >>> part = Video(8, (32, 48))
    >>> part.shape, part.array(part.read(np.ones((5, 32, 48), "uint8")))[:, 0, 0, 0].tolist()
    ((8, 32, 48, 3), [1, 1, 1, 1, 1, 0, 0, 0])
    """

    kind = "frames"
    storage_dtype = "uint8"

    def __init__(
        self,
        num_frames=16,
        size=(112, 112),
        *,
        fit="stretch",
        sampling="uniform",
        stride=1,
        start=0.0,
        seconds=None,
        moment=0.5,
    ):
        if num_frames is None:
            raise ValueError("`num_frames` must be a positive integer. Received: num_frames=None")
        self._sampling = FrameSampling(num_frames, sampling, stride, start, seconds, moment)
        self._frame = Image(size, fit=fit)
        self.num_frames = num_frames
        self.size = self._frame.size
        self.fit = fit
        self.sampling = sampling
        self.stride = stride
        self.start = start
        self.seconds = seconds
        self.moment = moment
        self.shape = (num_frames, *self.size, 3)
        self.random_read = sampling == "random"

    def read(self, value, rng=None):
        if isinstance(value, (list, tuple)) and len(value) and isinstance(value[0], (list, tuple)):
            value = np.asarray(value)
        if isinstance(value, np.ndarray):
            array = _check_frames(value)
            return array[self._sampling.pick_indices(len(array), rng)]
        if isinstance(value, (list, tuple)):
            return self._read_pictures(value, rng)
        return self._read_file(value, rng, sound=False).frames

    def read_with_sound(self, value, rng=None):
        """Wire form of a video file and that of the sound of the same span, in one pass over the file.

        Args:
            value: a path or the bytes of a file.
            rng: NumPy generator for random sampling, or None.

        Returns:
            The frames, and the bytes of a wav file or None where the span has no sound.
        """
        clip = self._read_file(value, rng, sound=True)
        silent = clip.audio is None or not len(clip.audio)
        return clip.frames, None if silent else wav_bytes(clip.audio, clip.sample_rate)

    def frames_bytes(self, value) -> list[bytes]:
        """The chosen frames of a raw value as the bytes of picture files, the form in which a server receives them.

        Frames that are files already are passed on; others become PNG, which loses nothing.

        Args:
            value: a raw value.
        """
        wire = self.read(value)
        return wire if isinstance(wire, list) else [png_bytes(self._frame.array(frame)) for frame in wire]

    def graph(self, wire):
        tf = require_tensorflow("Preparing frames in a graph")
        if wire.dtype == tf.string:
            wire = wire[: tf.reduce_max(tf.where(wire != b"", tf.range(1, tf.size(wire) + 1), 0))]
        count = tf.shape(wire)[0]
        # More frames than asked for come from a client that did not choose: the middles of equal parts.
        middles = (2 * tf.range(self.num_frames) + 1) * count // (2 * self.num_frames)
        wire = tf.cond(count > self.num_frames, lambda: tf.gather(wire, middles), lambda: wire)

        def fitted(function):
            return tf.map_fn(function, wire, fn_output_signature=tf.TensorSpec(self._frame.shape, tf.uint8))

        if wire.dtype == tf.string:
            black = tf.zeros(self._frame.shape, tf.uint8)
            frames = fitted(lambda frame: tf.cond(frame == b"", lambda: black, lambda: self._frame.graph(frame)))
        else:
            fits = tf.reduce_all(tf.shape(wire)[1:3] == self.size)
            frames = tf.cond(fits, lambda: tf.cast(wire, tf.uint8), lambda: fitted(self._frame.graph))
        frames = tf.pad(frames, [[0, self.num_frames - tf.shape(frames)[0]], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(frames, self.shape)

    def array(self, wire):
        count = len(wire)
        if count > self.num_frames:
            wire = [wire[(2 * index + 1) * count // (2 * self.num_frames)] for index in range(self.num_frames)]
        frames = np.zeros(self.shape, "uint8")
        for index, frame in enumerate(wire):
            if not (isinstance(frame, bytes) and not frame):
                frames[index] = self._frame.array(frame)
        return frames

    def get_config(self):
        return {
            "num_frames": self.num_frames,
            "size": list(self.size),
            "fit": self.fit,
            "sampling": self.sampling,
            "stride": self.stride,
            "start": self.start,
            "seconds": self.seconds,
            "moment": self.moment,
        }

    def _read_file(self, value, rng, sound):
        if not isinstance(value, (str, os.PathLike, bytes)):
            raise ValueError(
                "expected a path, bytes, an array (frame, height, width, channel) or a list of pictures. "
                f"Received: {type(value).__name__}"
            )
        rng = rng if self.sampling == "random" else None
        # Samples are read side by side: threads within one clip would cost more than they bring.
        return read_clip(value, self._sampling, size=self.size, fit=self.fit, sound=sound, threads=1, rng=rng)

    def _read_pictures(self, pictures, rng):
        if not pictures:
            raise ValueError("the list of frames is empty")
        frames = []
        for index in self._sampling.pick_indices(len(pictures), rng):
            try:
                frames.append(self._frame.read(pictures[index]))
            except ValueError as error:
                raise ValueError(f"frame {index} of {len(pictures)}: {error}") from error
        if all(isinstance(frame, np.ndarray) and frame.shape == frames[0].shape for frame in frames):
            return _check_frames(np.stack(frames))
        return [frame if isinstance(frame, bytes) else png_bytes(_levels(frame)) for frame in frames]


def _check_frames(array):
    """uint8 (frame, height, width, 3) from an array of frames in 0..255."""
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            "expected frames (frame, height, width) or (frame, height, width, channel) of 1, 3 or 4 channels. "
            f"Received: shape {array.shape}"
        )
    if array.dtype.kind not in "uif":
        raise ValueError(f"expected frames of numbers in 0..255. Received: dtype {array.dtype}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError("the frames hold NaN or infinite values")
        if array.max() <= 1 and (array != np.round(array)).any():
            raise ValueError(
                "the frames are in 0..1, but pictures are in 0..255 here: multiply them by 255. Received: values in "
                f"{array.min():.3g}..{array.max():.3g}"
            )
    return np.repeat(_levels(array), 3, axis=-1) if array.shape[-1] == 1 else _levels(array[..., :3])


def _levels(array):
    return array if array.dtype == "uint8" else np.clip(np.round(array), 0, 255).astype("uint8")
