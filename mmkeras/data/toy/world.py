"""The toy world: scenes with pictures, sounds, sentences and labels, split into train, val and test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.data.toy import text
from mmkeras.data.toy.attributes import (
    ATTRIBUTES,
    AUDIO_ATTRIBUTES,
    IMAGE_ATTRIBUTES,
    NUM_RESIDUES,
    SIGNAL_ATTRIBUTES,
    SPLITS,
    check_names,
    distribution,
    sample_attributes,
    split_sizes,
)
from mmkeras.data.toy.audio import render_audio
from mmkeras.data.toy.graph import name_graph, render_graphs
from mmkeras.data.toy.image import MAX_DISTRACTORS, render_images
from mmkeras.data.toy.labels import SINGLE_LABELS, best_accuracy, class_names, label_values, tag_values
from mmkeras.data.toy.signal import render_signals

INPUTS = ("image", "token_ids", "question_token_ids", "target_token_ids", "audio", "signal", "nodes", "adjacency")
LABELS = (*SINGLE_LABELS, "tags", "answer")

# Each part of the data draws from a stream of its own, so that no option of one part changes another.
_STREAMS = ("attributes", "image", "captions", "questions", "audio", "signal", "graph")


@final
class ToyWorld:
    """A seeded world of small scenes that can be seen, heard and told.

    Use it where a model or a pipeline needs multimodal data at once, offline and with a known truth: demos, tests,
    tutorials. Each modality tells a part of the scene:

    | attribute | values | image, graph | audio | signal | text |
    |---|---|---|---|---|---|
    | `shape` | circle, square, triangle, star | yes | | | default |
    | `colour` | red, green, blue, yellow, purple, orange | yes | | | default |
    | `size` | small, large | yes | pitch | speed | default |
    | `count` | one to four | yes | strokes | | default |
    | `position` | top left, top right, bottom left, bottom right | yes | | | default |
    | `material` | wood, metal, glass | | timbre | | if asked |
    | `melody` | rising, falling | | glide | growth | if asked |
    | `owner` | Ann, Ben, Cleo | | | axis | if asked |

    Labels are every attribute by its name, and

    - `"item"`: material and shape (12 classes), which takes hearing and sight or text;
    - `"parcel"`: owner, material and shape (36 classes), which takes all three;
    - `"match"`: whether "the shape is a circle or star" and "the melody rises" agree: any one modality alone is at
      exactly 50 %;
    - `"tags"`: multi-hot shape, colour and material (13 classes);
    - `"answer"`: the answer to the sample's question about its picture (22 classes, see `answers`).

    A tenth of the samples are the val split, a quarter the test split. The test split holds combinations of shape,
    colour, size, count and position that train and val never show; every combination of four of them they do show.
    Attributes are uniform and independent, but for that.

    Data is rendered when first asked for, and kept.

    Args:
        num_samples: Number of samples of the three splits together, at least 10.
        seed: Non-negative integer. The same arguments give the same data, byte for byte.
        text_attributes: Names of the attributes that captions tell. Without `"shape"` captions speak of "things",
            without `"count"` of "at least one".
        captions_per_sample: Number of captions per sample, each in another sentence form.
        max_distractors: Pictures and graphs hold between none and this many grey shapes besides the objects.
        sequence_length: Number of tokens that sentences are padded to.

    Example:

    ```python
    >>> world = ToyWorld(20, seed=7)
    >>> x, y = world.arrays("train", inputs=("image", "token_ids"), label="item")
    >>> x["image"].shape, x["token_ids"].shape, y.shape
    ((13, 64, 64, 3), (13, 24), (13,))
    >>> round(world.ceiling("item", ("image",)), 3), round(world.ceiling("item", ("image", "audio")), 3)
    (0.333, 1.0)

    ```
    """

    def __init__(
        self,
        num_samples: int = 5000,
        *,
        seed: int = 0,
        text_attributes: Sequence[str] = IMAGE_ATTRIBUTES,
        captions_per_sample: int = 1,
        max_distractors: int = 2,
        sequence_length: int = 24,
    ):
        text_attributes = check_names(text_attributes, ATTRIBUTES, "text_attributes")
        if not text_attributes:
            raise ValueError(
                "Captions need something to tell: `text_attributes` is empty. Expected some of "
                f"{tuple(ATTRIBUTES)}. Received: text_attributes=()"
            )
        _check_integer("num_samples", num_samples, 10)
        _check_integer("seed", seed, 0)
        _check_integer("captions_per_sample", captions_per_sample, 1, len(text.caption_forms(text_attributes)))
        _check_integer("max_distractors", max_distractors, 0, MAX_DISTRACTORS)
        _check_integer("sequence_length", sequence_length, text.longest_sentence(text_attributes))
        self.num_samples = num_samples
        self.seed = seed
        self.text_attributes = text_attributes
        self.captions_per_sample = captions_per_sample
        self.max_distractors = max_distractors
        self.sequence_length = sequence_length
        self._remainder = int(np.random.default_rng(seed).integers(NUM_RESIDUES))
        self._cache = {}

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Value indices `(batch,)` of each attribute; `world.classes(name)` names the values."""
        return {name: values.copy() for name, values in self._attributes(split).items()}

    def records(self, split: str, label: str = "item") -> list[dict[str, Any]]:
        """Raw samples of a split, as a reader of files would give them.

        Each is a dict with `"image"` (uint8 array `(64, 64, 3)`), `"text"` (a caption, or a list of them if
        `captions_per_sample > 1`), `"question"`, `"answer"`, `"audio"` (float32 array `(8000,)` at 8,000 Hz),
        `"signal"` (float32 array `(96, 3)`), `"graph"` (a dict: `"nodes"`, a list of names, and `"edges"`, a list of
        pairs of node numbers) and `"label"` (a class name, or a list of them for `label="tags"`).
        """
        targets = self._targets(split, label)
        names = self.classes(label)
        captions = self._captions(split)
        questions, answers = self._questions(split)
        return [
            {
                "image": image,
                "text": captions[sample] if self.captions_per_sample > 1 else captions[sample][0],
                "question": questions[sample],
                "answer": answers[sample],
                "audio": audio,
                "signal": signal,
                "graph": name_graph(*graph),
                "label": [names[tag] for tag in np.flatnonzero(target)] if label == "tags" else names[target],
            }
            for sample, (image, audio, signal, graph, target) in enumerate(
                zip(
                    self._images(split).copy(),
                    self._audio(split).copy(),
                    self._signals(split).copy(),
                    zip(*self._graphs(split), strict=True),
                    targets,
                    strict=True,
                )
            )
        ]

    def arrays(
        self, split: str, inputs: Sequence[str] = ("image", "token_ids", "audio"), label: str = "item"
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Prepared samples of a split, `(x, y)`.

        Args:
            split: One of `"train"`, `"val"`, `"test"`.
            inputs: Keys of `x`: `"image"` (float32 `(batch, 64, 64, 3)` in 0..255), `"token_ids"` (int32
                `(batch, sequence_length)`, the first caption), `"question_token_ids"` (likewise),
                `"target_token_ids"` (the first caption between start and end tokens), `"audio"` (float32
                `(batch, 8000)`), `"signal"` (float32 `(batch, 96, 3)`), `"nodes"` (float32 `(batch, node, 18)`) with
                `"adjacency"` (float32 `(batch, node, node)`).
            label: Name of the label: `y` is int32 `(batch,)`, or float32 `(batch, 13)` for `"tags"`.
        """
        prepare = {
            "image": lambda: self._images(split).astype("float32"),
            "token_ids": lambda: self.tokenize(self._first_captions(split)),
            "question_token_ids": lambda: self.tokenize(self._questions(split)[0]),
            "target_token_ids": lambda: text.encode(self._first_captions(split), self.sequence_length, mark_ends=True),
            "audio": lambda: self._audio(split).copy(),
            "signal": lambda: self._signals(split).copy(),
            "nodes": lambda: self._graphs(split)[0].copy(),
            "adjacency": lambda: self._graphs(split)[1].copy(),
        }
        inputs = check_names(inputs, INPUTS, "inputs")
        targets = self._targets(split, label)
        return {key: prepare[key]() for key in inputs}, targets

    def classes(self, label: str) -> list[str]:
        """Class names of a label, in the order of its class indices."""
        _check_choice("label", label, LABELS)
        return self.answers if label == "answer" else class_names(label)

    @property
    def answers(self) -> list[str]:
        """All answers to questions; the classes of `label="answer"`."""
        return list(text.ANSWERS)

    @property
    def vocabulary(self) -> list[str]:
        """All words of the world's sentences, by token id; `""` (padding), `[UNK]`, `[START]`, `[END]` come first."""
        return list(text.VOCABULARY)

    def tokenize(self, sentences: Sequence[str]) -> np.ndarray:
        """Token ids `(batch, sequence_length)` of sentences, int32, zero-padded or cut on the right."""
        if isinstance(sentences, str):
            raise ValueError(f"`sentences` must be a list of sentences, not one string. Received: {sentences!r}")
        return text.encode(sentences, self.sequence_length)

    def detokenize(self, token_ids: np.ndarray) -> list[str]:
        """Sentences of token ids `(batch, time)`: up to the end token, without padding and start tokens."""
        token_ids = np.asarray(token_ids)
        num_words = len(text.VOCABULARY)
        if token_ids.ndim != 2 or not np.issubdtype(token_ids.dtype, np.integer):
            raise ValueError(
                "`token_ids` has the wrong form. Expected integers of shape (batch, time). "
                f"Received: shape={token_ids.shape}, dtype={token_ids.dtype}"
            )
        if token_ids.size and not 0 <= token_ids.min() <= token_ids.max() < num_words:
            raise ValueError(
                f"`token_ids` leaves the vocabulary. Expected ids in 0..{num_words - 1}. "
                f"Received: ids in {token_ids.min()}..{token_ids.max()}"
            )
        return text.decode(token_ids)

    def ceiling(self, label: str, modalities: Sequence[str] = ("image",), split: str = "test") -> float:
        """Best expected accuracy of a predictor that sees these modalities only.

        It is exact, from all combinations of attribute values, and an upper bound: the predictor reads its modalities
        without error and even knows the distribution of the split. Read it against a measured accuracy to see how
        much a model leaves unused; a model above it, beyond chance, has seen what it should not.

        Args:
            label: Any label but `"tags"` and `"answer"`.
            modalities: Some of `"image"`, `"graph"`, `"audio"`, `"signal"`, `"text"`; none gives the share of the
                largest class.
            split: One of `"train"`, `"val"`, `"test"`.
        """
        _check_choice("label", label, SINGLE_LABELS)
        _check_choice("split", split, SPLITS)
        told = {
            "image": IMAGE_ATTRIBUTES,
            "graph": IMAGE_ATTRIBUTES,
            "audio": AUDIO_ATTRIBUTES,
            "signal": SIGNAL_ATTRIBUTES,
            "text": self.text_attributes,
        }
        modalities = check_names(modalities, told, "modalities")
        visible = tuple(name for name in ATTRIBUTES if any(name in told[modality] for modality in modalities))
        return best_accuracy(*distribution(split, self._remainder), label, visible=visible)

    def caption_is_true(self, sentence: str, attributes: Mapping[str, int]) -> bool:
        """Whether a sentence is a true and complete caption of one sample, whatever its form.

        It must be a sentence of the grammar, tell each of `text_attributes`, and tell nothing false.

        Args:
            sentence: A caption, for example one generated by a model.
            attributes: Value index of each attribute of the sample:
                `{name: values[0] for name, values in world.attributes(split).items()}`.
        """
        missing = [name for name in ATTRIBUTES if name not in attributes]
        if missing:
            raise ValueError(
                f"`attributes` lacks {missing}. Expected a value index for each of {tuple(ATTRIBUTES)}. "
                f"Received: attributes={dict(attributes)}"
            )
        facts = text.parse_caption(sentence)
        if facts is None or not set(self.text_attributes) <= set(facts):
            return False
        return all(ATTRIBUTES[name][int(attributes[name])] == value for name, value in facts.items())

    def _attributes(self, split):
        _check_choice("split", split, SPLITS)
        num_samples = split_sizes(self.num_samples)[split]
        return self._keep(
            "attributes", split, lambda rng: sample_attributes(num_samples, split, self._remainder, rng=rng)
        )

    def _images(self, split):
        scenes = self._attributes(split)
        return self._keep(
            "image", split, lambda rng: render_images(scenes, max_distractors=self.max_distractors, rng=rng)
        )

    def _audio(self, split):
        scenes = self._attributes(split)
        return self._keep("audio", split, lambda rng: render_audio(scenes, rng=rng))

    def _signals(self, split):
        scenes = self._attributes(split)
        return self._keep("signal", split, lambda rng: render_signals(scenes, rng=rng))

    def _graphs(self, split):
        scenes = self._attributes(split)
        return self._keep(
            "graph", split, lambda rng: render_graphs(scenes, max_distractors=self.max_distractors, rng=rng)
        )

    def _captions(self, split):
        scenes = self._attributes(split)
        return self._keep(
            "captions",
            split,
            lambda rng: text.write_captions(
                scenes, self.text_attributes, captions_per_sample=self.captions_per_sample, rng=rng
            ),
        )

    def _first_captions(self, split):
        return [captions[0] for captions in self._captions(split)]

    def _questions(self, split):
        scenes = self._attributes(split)
        return self._keep("questions", split, lambda rng: text.write_questions(scenes, rng=rng))

    def _targets(self, split, label):
        _check_choice("label", label, LABELS)
        if label == "answer":
            return np.array([text.ANSWERS.index(answer) for answer in self._questions(split)[1]], dtype="int32")
        return tag_values(self._attributes(split)) if label == "tags" else label_values(self._attributes(split), label)

    def _keep(self, stream, split, make: Callable):
        key = (stream, split)
        if key not in self._cache:
            self._cache[key] = make(np.random.default_rng([self.seed, _STREAMS.index(stream), SPLITS.index(split)]))
        return self._cache[key]


def _check_choice(name, value, known):
    if value not in known:
        raise ValueError(f"Unknown `{name}`. Expected one of {tuple(known)}. Received: {name}={value!r}")


def _check_integer(name, value, low, high=None):
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"`{name}` is out of range. Expected an integer {bounds}. Received: {name}={value!r}")
