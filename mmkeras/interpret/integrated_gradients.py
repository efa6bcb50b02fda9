"""How much each part of every modality counted for an answer."""

import warnings
from typing import Any

import keras
import numpy as np

from mmkeras.interpret.explained import explain
from mmkeras.interpret.explanation import Explanation
from mmkeras.interpret.probing import as_array, differentiated, watched

# Points of a stretch of the path, which pass the task together.
_POINTS = 8
# Where the path begins: so near to the baseline that nothing is left, and what is padding still can be told.
_START = 1e-6
# Shares of the range of scores by which maps may miss their sum in all, and stretches theirs added up.
_TOLERANCE = 0.01
_TOLERANCE_OF_PARTS = 0.05
_MOST_TIMES = 8


def integrated_gradients(
    task: Any,
    record: Any,
    *,
    output: str | None = None,
    target: Any = None,
    steps: int = 32,
    baseline: dict | None = None,
    step: int | None = None,
) -> Explanation:
    """Share the score of an answer out among pixels, samples, steps, features and words, by integrated gradients.

    From a baseline in which there is nothing to the record, along a straight line through all modalities at once:

        map = (x - baseline) * mean over the line of  d score / d x

    so that all maps together add up to the score less that of the baseline (`explanation.baseline`). What is positive
    spoke for the answer, what is negative against it. The score is the probability of a class, the log-probability of
    a sentence, a similarity or a number. For words the line runs in the space of their embeddings.

    The baseline is a black picture, silence, signals and features of zero, words without meaning. What is as the
    baseline gets nothing, a black thing on a black picture too: give another one where that matters. What is padding
    or absent stays so, edges of a graph stay as they are.

    Points are added where the score changes in leaps, up to 8 times `steps`, until maps add up within 1 % of how far
    the score moves along the line; a warning says where they miss by more than 5 %.

    Args:
        task: a task with an answer.
        record: a raw record, or its inputs without a preprocessor.
        output: which of several answers; None for the only one.
        target: a class (name or number), a sentence, or the number of one of several numbers; None for what the task
            answers.
        steps: number of points on the line to begin with.
        baseline: dict modality -> number or array, as it is prepared, to begin from in place of nothing.
        step: at which step, where the task answers at each.

    Returns:
        `Explanation` with signed maps: (height, width) of a picture, (frame, height, width) of frames, (frame, mel) of
        a spectrogram, (sample,) of sound, (time,) of signals, nodes and series of features, (dim,) of features, (word,)
        of a text.

    Example:

    >>> task = mm.models.MultimodalRegressor({"features": mm.encoders.features((3,), normalize=False)})
    >>> why = integrated_gradients(task, {"features": np.array([1.0, 0.0, -2.0])})
    >>> bool(np.isclose(why.maps["features"].sum(), why.score - why.baseline, atol=1e-3))
    True

    References:
        Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be a positive integer. Received: steps={steps}")
    explained = explain(task, record, output, target, step)
    line = _Line(explained, baseline or {})
    edges = np.linspace(0, 1, -(-steps // _POINTS) + 1)
    stretches = [line.stretch(*edges[index : index + 2]) for index in range(len(edges) - 1)]
    while len(stretches) * _POINTS < _MOST_TIMES * steps:
        if _fits(stretches, _TOLERANCE, _TOLERANCE_OF_PARTS):
            break
        worst = max(stretches, key=lambda s: abs(s.gap))
        middle = (worst.begin + worst.end) / 2
        stretches = [s for s in stretches if s is not worst]
        stretches += [line.stretch(worst.begin, middle), line.stretch(middle, worst.end)]
    stretches.sort(key=lambda s: s.begin)
    score, start = stretches[-1].scores[1], stretches[0].scores[0]
    if not _fits(stretches, 5 * _TOLERANCE, 1.0):
        found = score - start - sum(s.gap for s in stretches)
        warnings.warn(
            f"The maps add up to {found:.3g} in place of {score - start:.3g}: the score leaps on the way. Take more "
            f"`steps`, {8 * steps} or so; where it leaps at the baseline itself, give another `baseline`",
            stacklevel=2,
        )
    maps = {name: sum(s.maps[name] for s in stretches).astype("float32") for name in explained.modalities}
    return Explanation(
        "integrated gradients",
        explained.answer,
        score,
        start,
        maps,
        explained.shown(),
        dict(explained.kinds),
        explained.words(),
    )


def _fits(stretches, tolerance, tolerance_of_parts):
    """Whether what was added up makes the change of the score, in all and part by part."""
    gaps = [s.gap for s in stretches]
    low, high = min(s.low for s in stretches), max(s.high for s in stretches)
    # A change that float32 hardly resolves needs no sharing out.
    least = 1e-4 * max(abs(low), abs(high))
    in_all, in_parts = (max(share * (high - low), least) for share in (tolerance, tolerance_of_parts))
    return abs(sum(gaps)) <= in_all and sum(map(abs, gaps)) <= in_parts


class _Stretch:
    """A part of the line: what its points add to the maps, and by how much that misses the change of the score."""

    def __init__(self, begin, end, scores, maps):
        self.begin, self.end = begin, end
        self.scores = float(scores[0]), float(scores[-1])
        self.low, self.high = float(scores.min()), float(scores.max())
        self.maps = maps
        self.gap = self.scores[1] - self.scores[0] - sum(float(values.sum()) for values in maps.values())


class _Line:
    """The straight line from a baseline to a record."""

    def __init__(self, explained, baseline):
        self.explained = explained
        unknown = sorted(set(baseline) - {m for m in explained.modalities if explained.kinds[m] != "token_ids"})
        if unknown:
            raise ValueError(
                "`baseline` is given by modality, and words begin from nothing: modalities of numbers here are "
                f"{[m for m in explained.modalities if explained.kinds[m] != 'token_ids']}. Received: {unknown}"
            )
        self.ends, self.starts, self.places = {}, {}, {}
        for name in explained.modalities:
            if explained.kinds[name] != "token_ids":
                key = explained.keys[name]
                self.ends[name] = np.asarray(explained.x[key], "float32")
                self.starts[name] = _start(name, explained.kinds[name], self.ends[name], baseline.get(name))
        self._find_words()
        self._nodes, self._weights = np.polynomial.legendre.leggauss(_POINTS)
        on_line = {explained.keys[name] for name in self.ends if name in explained.keys}
        # The ends of a stretch pass with its points.
        self._rest = {key: x for key, x in explained.rows(_POINTS + 2).items() if key not in on_line}
        self._differentiate = differentiated(explained.task, self._total)

    def stretch(self, begin, end):
        """Take the points between two moments of 0..1, which are closer together near the baseline."""
        times = np.concatenate([[begin], (begin + end) / 2 + (end - begin) / 2 * self._nodes, [end]])
        shares = _START + (1 - _START) * times**2
        weights = self._weights * (end - begin) / 2 * 2 * times[1:-1] * (1 - _START)
        points = {
            name: (self.starts[name] + _column(shares, value) * (value - self.starts[name])).astype("float32")
            for name, value in self.ends.items()
        }
        scores, slopes = self._differentiate(points)
        maps = {}
        for name, value in self.ends.items():
            mean = np.tensordot(weights, slopes[name][1:-1], 1)
            modality = name.split("/")[0]
            own = self._summed(modality, mean * (value - self.starts[name])[0])
            maps[modality] = maps.get(modality, 0) + own
        return _Stretch(begin, end, scores, maps)

    def _total(self, tensors):
        """The scores of some points, added up, and each."""

        def change(place, args, output):
            for name, (chosen, _) in self.places.items():
                if place.is_at(chosen):
                    return keras.ops.cast(tensors[name], output.dtype)
            return output

        keys = self.explained.keys
        x = {**self._rest, **{keys[name]: values for name, values in tensors.items() if name in keys}}
        with watched(self.explained.task, change):
            scores = keras.ops.cast(self.explained.scores(x), "float32")
        return keras.ops.sum(scores), scores

    def _summed(self, modality, values):
        """A map without the axis of channels, or of the dimensions of words."""
        kind = self.explained.kinds[modality]
        if kind == "token_ids":
            return values.sum(axis=-1)[: len(self.explained.tokens(modality))]
        return values if kind in ("spectrogram", "audio") or values.ndim == 1 else values.sum(axis=-1)

    def _find_words(self):
        """Where in each encoder of text ids become vectors, and these."""
        explained = self.explained
        texts = {name for name in explained.modalities if explained.kinds[name] == "token_ids"}
        found = dict.fromkeys(texts, 0)

        def change(place, args, output):
            if place.modality in texts and isinstance(place.layer, keras.layers.Embedding):
                ids = keras.ops.convert_to_numpy(args[0])
                if np.array_equal(ids, explained.x[explained.keys[place.modality]]):
                    name = f"{place.modality}/{found[place.modality]}"
                    found[place.modality] += 1
                    self.places[name] = place, output
                    self.ends[name] = as_array(output).astype("float32")
                    self.starts[name] = np.zeros_like(self.ends[name])
            return output

        if texts:
            with watched(explained.task, change):
                explained.scores(explained.x)
        without = sorted(name for name, count in found.items() if not count)
        if without:
            raise ValueError(
                "Words are followed in the space of their embeddings: a keras.layers.Embedding that reads the token "
                f"ids. Received: encoders of {without} without one"
            )


def _column(shares, value):
    return shares.reshape(-1, *[1] * (value.ndim - 1))


def _start(modality, kind, value, given):
    """Where the line begins: nothing, or what was given; padding is padding."""
    there = np.cumsum(value.reshape(value.shape[1], -1).any(axis=1)[::-1])[::-1] > 0 if value.ndim > 1 else None
    if given is None:
        # The logarithm of silence is no zero.
        given = value[:, there].min(initial=0.0) if kind == "spectrogram" else 0.0
    try:
        start = np.broadcast_to(np.asarray(given, "float32"), value.shape).copy()
    except ValueError:
        raise ValueError(
            f"The baseline of {modality!r} must be a number, or an array of shape {value.shape[1:]}. "
            f"Received: one of shape {np.shape(given)}"
        ) from None
    if kind in ("spectrogram", "audio", "signal", "frames", "nodes") or value.ndim == 3:
        start[:, ~there] = 0.0
    return start
