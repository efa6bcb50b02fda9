"""Clips of the toy world: two things bounce, and one of them is heard."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.toy.attributes import ATTRIBUTES, SPLITS, check_names, split_sizes
from mmkeras.data.toy.audio import SAMPLE_RATE, stroke
from mmkeras.data.toy.image import COLOURS, signed_distance

NUM_FRAMES, FRAME_RATE = 16, 8
HEIGHT, WIDTH = 32, 48
NUM_BOUNCES = 3
# Frames between two bounces of a thing at least, so that it rises in between.
_APART = 3
_FLOOR, _RADIUS = 27.0, 4.5
_FLOOR_COLOUR, _WALL_COLOUR = np.array([96.0, 84, 72]), np.array([228.0, 230, 232])
_SHAPES = ("circle", "square")
_LABELS = {"colour": ATTRIBUTES["colour"], "material": ATTRIBUTES["material"], "source": _SHAPES}
_SENTENCE = "the {colour} {source} is made of {material}"
# What each sentence of the grammar tells.
_TOLD = {
    _SENTENCE.format(**facts): facts
    for facts in (dict(zip(_LABELS, values, strict=True)) for values in itertools.product(*_LABELS.values()))
}
_PITCH = 400.0


@final
class ToyClips:
    """Two seconds of a circle and a square that bounce, each three times; one of them is heard at each of its bounces.

    | label | values | seen | heard |
    |---|---|---|---|
    | `colour`, of both things | red, green, blue, yellow, purple, orange | yes | |
    | `material` | wood, metal, glass | | timbre |
    | `source`, which one is heard | circle, square | only together, at the same moment | |
    | `bounces`, per frame | none, silent, heard | only together | |

    Both bounce equally often, at moments drawn alike and never the same: which one is heard is known to who compares
    when things bounce with when they sound, and to nobody else. `text` says it all, such as "the red circle is made of
    glass". Splits are as in `ToyWorld`, without held-out combinations.

    Args:
        num_samples: number of clips of the three splits together, at least 10.
        seed: non-negative integer. The same arguments give the same data, byte for byte.
        late_frames: by how many frames the sound comes late (early where negative); what is shifted out is lost.

    Example:

    ```python
    >>> clip = ToyClips(20, seed=7).records("train")[0]
    >>> clip["video"].shape, clip["audio"].shape, clip["text"]
    ((16, 32, 48, 3), (16000,), 'the red circle is made of wood')

    ```
    """

    def __init__(self, num_samples: int = 2000, *, seed: int = 0, late_frames: int = 0):
        if num_samples < 10 or seed < 0 or abs(late_frames) >= NUM_FRAMES:
            raise ValueError(
                f"`num_samples` must be at least 10, `seed` 0 or more, `late_frames` within {NUM_FRAMES - 1} frames. "
                f"Received: num_samples={num_samples}, seed={seed}, late_frames={late_frames}"
            )
        self.num_samples = num_samples
        self.seed = seed
        self.late_frames = late_frames
        self._drawn = {}

    def classes(self, label: str) -> list[str]:
        """Class names of a label, in the order of their numbers."""
        check_names([label], (*_LABELS, "bounces"), "label")
        return ["none", "silent", "heard"] if label == "bounces" else list(_LABELS[label])

    def records(self, split: str, labels: Sequence[str] = ("source",)) -> list[dict[str, Any]]:
        """Raw clips of a split, as a reader of files would give them.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            labels: names of the labels to give; a single one is given as `"label"` too. `"bounces"` is a list, one
                for each frame.

        Returns:
            List of dicts with `"video"`, uint8 (16, 32, 48, 3) at 8 frames per second, `"audio"`, float32 (16000,) at
            8,000 Hz, `"text"`, and the labels, by the names of their classes.
        """
        labels = check_names(labels, (*_LABELS, "bounces"), "labels")
        attributes, frames, audio = self._split(split)
        shift = round(self.late_frames * SAMPLE_RATE / FRAME_RATE)
        records = []
        for row, (clip, sound) in enumerate(zip(frames, audio, strict=True)):
            values = {name: _LABELS[name][attributes[name][row]] for name in _LABELS}
            kinds = np.zeros(NUM_FRAMES, int)
            for thing in range(2):
                kinds[attributes["bounces"][row, thing]] = 2 if thing == attributes["source"][row] else 1
            values["bounces"] = [self.classes("bounces")[kind] for kind in kinds]
            record = {
                "video": clip.copy(),
                "audio": _shifted(sound, shift),
                "text": _SENTENCE.format(**values),
                **{name: values[name] for name in labels},
            }
            records.append({**record, "label": values[labels[0]]} if len(labels) == 1 else record)
        return records

    def caption_is_true(self, sentence: str, facts: Mapping[str, Any]) -> bool:
        """Whether a sentence is one of the grammar and tells nothing false of a clip.

        Args:
            sentence: a caption, for example one generated by a model.
            facts: what is true of the clip: any of `colour`, `material` and `source`, such as a record with these
                labels. What is not named there is not asked for.
        """
        asked = [name for name in _LABELS if name in facts]
        if not asked:
            raise ValueError(f"`facts` must name some of {tuple(_LABELS)}. Received: keys {sorted(facts)}")
        told = _TOLD.get(sentence)
        return told is not None and all(told[name] == facts[name] for name in asked)

    def _split(self, split):
        check_names([split], SPLITS, "split")
        if split not in self._drawn:
            rng = np.random.default_rng([self.seed, SPLITS.index(split)])
            count = split_sizes(self.num_samples)[split]
            attributes = {name: rng.integers(len(values), size=count) for name, values in _LABELS.items()}
            attributes["bounces"] = np.stack([_moments(rng) for _ in range(count)])
            frames = np.stack([_film(attributes, row, rng) for row in range(count)])
            self._drawn[split] = attributes, frames, _sounds(attributes, rng)
        return self._drawn[split]


def _moments(rng):
    """Frames in which each of two things bounces, (thing, bounce), all different."""
    while True:
        taken = rng.permutation(np.arange(1, NUM_FRAMES - 1))[: 2 * NUM_BOUNCES].reshape(2, NUM_BOUNCES)
        taken.sort(axis=1)
        if (np.diff(taken, axis=1) >= _APART).all():
            return taken


def _film(attributes, row, rng):
    """Frames of one clip, uint8 (frame, height, width, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    frames = np.where(y[..., None] > _FLOOR, _FLOOR_COLOUR, _WALL_COLOUR)[None].repeat(NUM_FRAMES, axis=0)
    colour = COLOURS[attributes["colour"][row]]
    # Either may stand on either side.
    places = rng.permutation([13.0, 35.0]) + rng.uniform(-3, 3, size=2)
    for thing in range(2):
        height = _heights(attributes["bounces"][row, thing], rng)
        for frame in range(NUM_FRAMES):
            distance = signed_distance(thing, x - places[thing], y - (_FLOOR - _RADIUS - height[frame]), _RADIUS)
            coverage = np.clip(0.5 - distance, 0, 1)[..., None]
            frames[frame] += coverage * (colour - frames[frame])
    frames += rng.normal(0, 4, size=frames.shape)
    return np.clip(np.round(frames), 0, 255).astype("uint8")


def _heights(bounces, rng):
    """How far above the floor a thing is in each frame: parabolas between its bounces."""
    first, last = bounces[0] - rng.integers(3, 6), bounces[-1] + rng.integers(3, 6)
    touches = np.array([first, *bounces, last])
    frames = np.arange(NUM_FRAMES)
    after = np.clip(np.searchsorted(touches, frames, side="right"), 1, len(touches) - 1)
    begin, end = touches[after - 1], touches[after]
    heights = 4.0 * (frames - begin) * (end - frames) / 2.25
    # It comes from above and leaves upwards.
    heights[frames < bounces[0]] = np.maximum(heights[frames < bounces[0]], 3.0)
    heights[frames > bounces[-1]] = np.maximum(heights[frames > bounces[-1]], 3.0)
    return np.clip(heights, 0, _FLOOR - 2 * _RADIUS - 1)


def _sounds(attributes, rng):
    """Sounds of all clips, float32 (clip, sample): a stroke in the middle of each frame in which the source bounces."""
    count = len(attributes["source"])
    samples = NUM_FRAMES * SAMPLE_RATE // FRAME_RATE
    audio = np.zeros((count, samples + SAMPLE_RATE), "float32")
    heard = attributes["bounces"][np.arange(count), attributes["source"]]  # (clip, bounce)
    pitch = _PITCH * rng.uniform(0.85, 1.15, size=count)
    direction = rng.choice([-1, 1], size=count)
    for material in range(len(_LABELS["material"])):
        rows = np.flatnonzero(attributes["material"] == material)
        for bounce in range(NUM_BOUNCES):
            begin = ((heard[rows, bounce] + 0.5) * SAMPLE_RATE / FRAME_RATE).astype(int)
            sound = stroke(pitch[rows], direction[rows], material, SAMPLE_RATE, rng)
            audio[rows[:, None], begin[:, None] + np.arange(SAMPLE_RATE)] += (
                rng.uniform(0.7, 1.0, size=(len(rows), 1)).astype("float32") * sound
            )
    audio = audio[:, :samples]
    audio *= rng.uniform(0.4, 0.9, size=(count, 1)).astype("float32") / np.abs(audio).max(axis=1, keepdims=True)
    return np.clip(audio + 0.004 * rng.standard_normal(audio.shape, dtype="float32"), -1, 1)


def _shifted(sound, samples):
    late = np.zeros_like(sound)
    if samples >= 0:
        late[samples:] = sound[: len(sound) - samples]
    else:
        late[:samples] = sound[-samples:]
    return late
