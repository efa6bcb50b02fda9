"""What a clip shows, in a few frames."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, final

import keras
import numpy as np

from mmkeras.data import FrameSampling, clip_info, read_clip
from mmkeras.data.media.container import import_av
from mmkeras.data.media.figure import import_figure
from mmkeras.retrieval.embeddings import check_count

_FILM_RATE = 25
_BATCH = 8
_SHEET_WIDTH = 4


def select_frames(
    embeddings: Any, count: int, *, scores: Sequence[float] | None = None, score_weight: float = 0.5, gap: int = 0
) -> np.ndarray:
    """Choose the frames that stand for all, and differ from one another.

    Greedily, the next frame is the one that adds most to

        (1 - w) mean_j max_(i chosen) similarity(i, j)  +  w mean_(i chosen) score_i

    the first of which says how well each frame of the clip is stood for by the closest chosen one; a second frame of
    the same kind adds nothing to it.

    Args:
        embeddings: array (frame, dim); similarity is the cosine, from 0 on.
        count: how many frames.
        scores: how much each frame matters, from 0 to 1, such as what a head for each frame says; None for none.
        score_weight: w, how much the scores count.
        gap: fewest frames between two chosen ones.

    Returns:
        Numbers of the frames, in order of time; fewer than `count` where no others are left.

    Example:

    >>> select_frames([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], 2).tolist()
    [1, 3]
    >>> select_frames([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], 1, scores=[0, 0, 1, 0]).tolist()
    [2]
    """
    embeddings = np.asarray(embeddings, "float64")
    count = check_count("count", count)
    weight = 0.0 if scores is None else score_weight
    scores = np.zeros(len(embeddings)) if scores is None else np.asarray(scores, "float64")
    if embeddings.ndim != 2 or not len(embeddings) or scores.shape != embeddings.shape[:1]:
        raise ValueError(
            "`embeddings` must be (frame, dim), at least one, and `scores` a number for each. Received: embeddings of "
            f"shape {embeddings.shape}, scores of shape {scores.shape}"
        )
    if not np.isfinite(embeddings).all() or not 0 <= weight <= 1 or gap < 0:
        raise ValueError(
            "`embeddings` must be finite, `score_weight` lie in [0, 1] and `gap` be 0 or more. "
            f"Received: score_weight={score_weight}, gap={gap}"
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"`scores` must lie in [0, 1]. Received: {scores.min()} to {scores.max()}")
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    similarity = np.maximum(unit @ unit.T, 0.0)
    covered, free, chosen = np.zeros(len(unit)), np.ones(len(unit), bool), []
    while len(chosen) < count and free.any():
        gains = (1 - weight) * np.maximum(similarity - covered, 0.0).mean(axis=1) + weight * scores / count
        best = int(np.argmax(np.where(free, gains, -np.inf)))
        chosen.append(best)
        covered = np.maximum(covered, similarity[best])
        free[max(0, best - gap) : best + gap + 1] = False
    return np.sort(np.array(chosen, "int64"))


@final
class Summary(NamedTuple):
    """The frames that stand for a clip.

    Attributes:
        video: the clip, as it was given.
        times: when each frame is shown, in seconds.
        frames: uint8 array (frame, height, width, 3).
        coverage: how well the chosen frames stand for all that were looked at: the mean similarity of each to the
            closest chosen one, 1 where they are alike.

    Example:

    >>> summary = Summary("clip.mp4", np.array([1.5]), np.zeros((1, 2, 2, 3), "uint8"), 0.9)
    >>> len(summary.times), summary.coverage
    (1, 0.9)
    """

    video: Any
    times: np.ndarray
    frames: np.ndarray
    coverage: float

    def write_sheet(self, path: str | os.PathLike, *, columns: int = _SHEET_WIDTH, width: int = 320) -> None:
        """Write a contact sheet: the frames side by side, each with its time, as a picture.

        Args:
            path: where to, such as `"clip.png"`.
            columns: how many frames stand side by side.
            width: width of a frame in pixels.
        """
        figure_class = import_figure("A contact sheet")
        columns = min(check_count("columns", columns), len(self.times))
        rows = -(-len(self.times) // columns)
        height, breadth = self.frames.shape[1:3]
        size = (columns * width / 100, rows * (width * height / breadth + 24) / 100)
        figure = figure_class(figsize=size, dpi=100, layout="constrained")
        for axis in figure.subplots(rows, columns, squeeze=False).ravel():
            axis.set_axis_off()
        for axis, time, frame in zip(figure.axes, self.times, self.frames, strict=False):
            axis.imshow(frame)
            axis.set_title(f"{int(time // 60)}:{time % 60:04.1f}", fontsize=9)
        figure.savefig(path)

    def write_film(self, path: str | os.PathLike, *, seconds: float = 10.0) -> None:
        """Write a film of the moments around the frames, with their sound, as mp4.

        Args:
            path: where to, such as `"summary.mp4"`.
            seconds: how long the film may be; each frame gets an equal share, half of it before and half behind.
        """
        if not seconds > 0:
            raise ValueError(f"`seconds` must be above 0. Received: seconds={seconds}")
        if not isinstance(self.video, (str, bytes, os.PathLike)):
            raise ValueError("A film is made of a file: the summary is of an array. Received: no path")
        info = clip_info(self.video)
        spans = _spans(self.times, seconds / len(self.times), info.seconds or np.inf)
        moments = (read_clip(self.video, FrameSampling(start=begin, seconds=end - begin)) for begin, end in spans)
        _write_film(path, moments, info.sample_rate)


def summarize(
    video: Any,
    encode: Any,
    *,
    num_frames: int = 8,
    candidates: int = 64,
    scores: Callable[[np.ndarray], Any] | Sequence[float] | None = None,
    score_weight: float = 0.5,
    gap: int = 0,
) -> Summary:
    """Find the frames of a clip that stand for it.

    ```python
    summary = mm.retrieval.summarize("holiday.mp4", mm.encoders.resnet50(weights="imagenet"))
    summary.write_sheet("holiday.png")
    summary.write_film("short.mp4", seconds=20)
    ```

    Where a task has learned what counts, by labels for each frame, what it says of the clip are the scores:

    ```python
    eventful = [1 - moment["probabilities"]["nothing"] for moment in task.tag({"video": "holiday.mp4"})]
    summary = mm.retrieval.summarize("holiday.mp4", encoder, scores=eventful)
    ```

    Args:
        video: path or bytes of a file, or an array (frame, height, width, 3) of levels from 0 to 255.
        encode: an image encoder, or a function from frames, uint8 (frame, height, width, 3), to vectors.
        num_frames: how many frames stand for the clip.
        candidates: how many frames, from all over the clip, are looked at.
        scores: how much each frame matters, 0 to 1: a function from the frames that are looked at to a number for
            each, or numbers that stand for equal parts of the clip from its beginning to its end, however many, such
            as what a head for each frame says; None where there are none.
        score_weight: see `select_frames`.
        gap: fewest candidates between two chosen ones.

    Returns:
        `Summary`. Of an array its times are numbers of frames.

    Example:

    >>> film = np.repeat(np.array([0, 90, 180], "uint8"), 5).reshape(15, 1, 1, 1) * np.ones((1, 4, 4, 3), "uint8")
    >>> summary = summarize(film, lambda frames: np.eye(3)[frames[:, 0, 0, 0] // 90], num_frames=3)
    >>> summary.frames[:, 0, 0, 0].tolist(), summary.coverage
    ([0, 90, 180], 1.0)
    """
    sampling = FrameSampling(check_count("candidates", candidates))
    if isinstance(video, np.ndarray):
        if video.ndim != 4 or not len(video):
            raise ValueError(f"Frames must be (frame, height, width, 3). Received: shape {video.shape}")
        indices = np.unique(sampling.pick_indices(len(video)))
        frames, times = np.clip(np.round(video[indices]), 0, 255).astype("uint8"), indices.astype("float64")
    else:
        clip = read_clip(video, sampling, sound=False)
        frames, times = clip.frames, np.asarray(clip.times)
    vectors = _encoded(encode, frames)
    importance = _importance(scores, frames)
    chosen = select_frames(vectors, num_frames, scores=importance, score_weight=score_weight, gap=gap)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    coverage = float(np.maximum(unit @ unit[chosen].T, 0.0).max(axis=1).mean())
    return Summary(video, times[chosen], frames[chosen], coverage)


def _encoded(encode, frames):
    if isinstance(encode, keras.Model):
        size, vectors = encode.inputs[0].shape[1:3], []
        for start in range(0, len(frames), _BATCH):
            pictures = frames[start : start + _BATCH].astype("float32")
            if None not in size:
                pictures = keras.ops.image.resize(pictures, size, antialias=True)
            found = keras.ops.convert_to_numpy(encode(pictures, training=False)).astype("float32")
            vectors.append(found.reshape(len(found), -1, found.shape[-1]).mean(axis=1))
        vectors = np.concatenate(vectors)
    else:
        vectors = np.asarray(encode(frames), "float64")
    if vectors.ndim != 2 or len(vectors) != len(frames):
        raise ValueError(
            f"`encode` must give a vector for each of {len(frames)} frames. Received: an array of shape {vectors.shape}"
        )
    return vectors


def _importance(scores, frames):
    """A number for each frame, or None."""
    if scores is None:
        return None
    if callable(scores):
        return np.asarray(scores(frames), "float64").reshape(len(frames))
    scores = np.asarray(scores, "float64")
    if scores.ndim != 1 or not len(scores):
        raise ValueError(
            "`scores` must be a function of the frames, or a list of numbers that stand for equal parts of the clip. "
            f"Received: an array of shape {scores.shape}"
        )
    # Each frame stands for an equal part of the clip too, and is in the middle of it.
    return scores[((np.arange(len(frames)) + 0.5) * len(scores) / len(frames)).astype(int)]


def _spans(times, share, end):
    """Spans of time around moments, those that meet joined to one."""
    spans = []
    for time in times:
        begin = min(max(0.0, time - share / 2), max(0.0, end - share))
        if spans and begin <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], min(end, begin + share))
        else:
            spans.append([begin, min(end, begin + share)])
    return spans


def _write_film(path, clips, rate):
    av = import_av("Writing a film")
    with av.open(os.fspath(path), "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=_FILM_RATE)
        track.pix_fmt, track.bit_rate = "yuv420p", 4_000_000
        sound = container.add_stream("aac", rate=rate) if rate else None
        if sound is not None:
            sound.layout = "mono"
        count, heard = 0, []
        for clip in clips:
            if not count:
                # Even numbers, as the format asks for.
                track.height, track.width = (size & ~1 for size in clip.frames.shape[1:3])
            begin = clip.times[0]
            length = float(clip.times[-1] - begin) + 1 / _FILM_RATE
            shown = begin + np.arange(max(1, round(length * _FILM_RATE))) / _FILM_RATE
            for index in np.maximum(np.searchsorted(clip.times, shown + 1e-6, side="right") - 1, 0):
                picture = np.ascontiguousarray(clip.frames[index][: track.height, : track.width])
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = count, Fraction(1, _FILM_RATE)
                container.mux(track.encode(frame))
                count += 1
            if rate:
                wanted = round(len(shown) / _FILM_RATE * rate)
                samples = np.zeros(0, "float32") if clip.audio is None else clip.audio[:wanted]
                heard.append(np.pad(samples, (0, wanted - len(samples))))
        container.mux(track.encode())
        if rate:
            whole = av.AudioFrame.from_ndarray(np.concatenate(heard).astype("float32")[None], "fltp", "mono")
            whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
            context = sound.codec_context
            pieces = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or 1024)
            for piece in pieces.resample(whole) + pieces.resample(None):
                container.mux(sound.encode(piece))
            container.mux(sound.encode())
