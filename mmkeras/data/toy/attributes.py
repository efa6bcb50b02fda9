"""The attributes of a toy scene, which modality carries them, and how splits draw them."""

from collections.abc import Iterable

import numpy as np

ATTRIBUTES = {
    "shape": ("circle", "square", "triangle", "star"),
    "colour": ("red", "green", "blue", "yellow", "purple", "orange"),
    "size": ("small", "large"),
    "count": ("one", "two", "three", "four"),
    "position": ("top left", "top right", "bottom left", "bottom right"),
    "material": ("wood", "metal", "glass"),
    "melody": ("rising", "falling"),
    "owner": ("Ann", "Ben", "Cleo"),
}

IMAGE_ATTRIBUTES = ("shape", "colour", "size", "count", "position")
AUDIO_ATTRIBUTES = ("material", "size", "count", "melody")
SIGNAL_ATTRIBUTES = ("size", "melody", "owner")

SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.25
VAL_FRACTION = 0.1

# Shape, count and position have four values each, so that a sum of value indices is uniform modulo four.
NUM_RESIDUES = 4


def split_sizes(num_samples: int) -> dict[str, int]:
    """Number of samples per split; the three add up to `num_samples`."""
    num_test = round(TEST_FRACTION * num_samples)
    num_val = round(VAL_FRACTION * num_samples)
    return {"train": num_samples - num_test - num_val, "val": num_val, "test": num_test}


def is_held_out(attributes: dict, remainder: int) -> np.ndarray:
    """Whether each combination of visible attributes belongs to the test split.

    The rule adds up the value indices of all five attributes of the picture. Any four of them tell nothing about the
    fifth: a model cannot learn in training which combinations never come.
    """
    return sum(attributes[name] for name in IMAGE_ATTRIBUTES) % NUM_RESIDUES == remainder


def distribution(split: str, remainder: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every combination of attribute values, with its probability in a split.

    Combinations are equally likely. In every split each attribute is uniform, and any set of attributes that leaves
    out one of shape, count and position is independent.

    Args:
        split: One of `"train"`, `"val"` (same distribution as train) and `"test"`.
        remainder: Integer in 0..3 which selects the combinations held out for the test split.

    Returns:
        Pair `(combinations, probability)`: a dict with one index array `(combination,)` per attribute, and the
        probabilities `(combination,)`, which sum to one.
    """
    grid = np.indices([len(values) for values in ATTRIBUTES.values()])
    combinations = {name: axis.ravel() for name, axis in zip(ATTRIBUTES, grid, strict=True)}
    allowed = is_held_out(combinations, remainder) == (split == "test")
    return combinations, allowed / allowed.sum()


def sample_attributes(num_samples: int, split: str, remainder: int, *, rng: np.random.Generator) -> dict:
    """Draw scenes of a split: a dict with one index array `(batch,)` per attribute."""
    combinations, probability = distribution(split, remainder)
    rows = rng.choice(len(probability), size=num_samples, p=probability)
    return {name: values[rows] for name, values in combinations.items()}


def value_names(attributes: dict, sample: int) -> dict[str, str]:
    """Names of the attribute values of one sample."""
    return {name: values[int(attributes[name][sample])] for name, values in ATTRIBUTES.items()}


def check_names(names: Iterable[str], known: Iterable[str], what: str) -> tuple[str, ...]:
    """Return `names` as a tuple, or raise a `ValueError` which lists the known ones."""
    if isinstance(names, str):
        raise ValueError(f"`{what}` must be a tuple or list of names, not one string. Received: {what}={names!r}")
    names = tuple(names)
    unknown = [name for name in names if name not in tuple(known)]
    if unknown:
        raise ValueError(f"Unknown name in `{what}`: {unknown}. Expected some of {tuple(known)}. Received: {names}")
    return names
