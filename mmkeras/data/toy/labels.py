"""Labels of a toy scene, and the best accuracy that a set of modalities allows."""

import numpy as np

from mmkeras.data.toy.attributes import ATTRIBUTES

TAG_ATTRIBUTES = ("shape", "colour", "material")

_PRODUCTS = {
    "item": ("material", "shape"),
    "parcel": ("owner", "material", "shape"),
    **{name: (name,) for name in ATTRIBUTES},
}

SINGLE_LABELS = (*_PRODUCTS, "match")


def class_names(label: str) -> list[str]:
    """Class names of a label, in the order of its class indices."""
    if label == "match":
        return ["no match", "match"]
    if label == "tags":
        return [value for name in TAG_ATTRIBUTES for value in ATTRIBUTES[name]]
    names = [""]
    for attribute in _PRODUCTS[label]:
        names = [f"{name} {value}".strip() for name in names for value in ATTRIBUTES[attribute]]
    return names


def label_values(attributes: dict, label: str) -> np.ndarray:
    """Class indices `(batch,)` of a single label, int32.

    `"match"` asks whether two binary facts agree, one only seen and one only heard, so it is an exclusive or:

    ```
    match = (shape in (circle, star)) == (melody == rising)
    ```
    """
    if label == "match":
        seen = np.isin(attributes["shape"], [ATTRIBUTES["shape"].index(shape) for shape in ("circle", "star")])
        heard = attributes["melody"] == ATTRIBUTES["melody"].index("rising")
        return (seen == heard).astype("int32")
    names = _PRODUCTS[label]
    index = np.ravel_multi_index([attributes[name] for name in names], [len(ATTRIBUTES[name]) for name in names])
    return np.asarray(index, "int32")


def tag_values(attributes: dict) -> np.ndarray:
    """Multi-hot tags `(batch, class)`, float32: one shape, one colour and one material each."""
    parts = [np.eye(len(ATTRIBUTES[name]), dtype="float32")[attributes[name]] for name in TAG_ATTRIBUTES]
    return np.concatenate(parts, axis=-1)


def best_accuracy(combinations: dict, probability: np.ndarray, label: str, *, visible: tuple[str, ...]) -> float:
    """Expected accuracy of the best predictor of `label` that sees the `visible` attributes only.

    ```
    accuracy = sum over visible values v of  max over classes c of  p(v, c)
    ```

    Args:
        combinations: Dict with one index array `(combination,)` per attribute.
        probability: Array `(combination,)` which sums to one.
        label: Name of a single label.
        visible: Names of the attributes that the predictor sees; none gives the share of the largest class.
    """
    classes = label_values(combinations, label)
    num_classes = len(class_names(label))
    group = np.zeros_like(classes, dtype="int64")
    for name in visible:
        group = group * len(ATTRIBUTES[name]) + combinations[name]
    joint = np.bincount(group * num_classes + classes, weights=probability, minlength=(group.max() + 1) * num_classes)
    joint = joint.reshape(-1, num_classes)  # (group, class)
    return float(joint.max(axis=1).sum())
