"""Classification by nearest prompt: no training examples, only a sentence or more for each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mmkeras.retrieval.embeddings import Embeddings, inverse, vector_lengths


class ZeroShot(NamedTuple):
    """Classes chosen by prompts: `labels[row]` is best by `scores[row]`, whose columns are `classes`."""

    labels: list[Any]
    scores: np.ndarray
    classes: tuple[Any, ...]


def zero_shot(queries, prompts: Mapping[Any, Any]) -> ZeroShot:
    """Give each query the class whose prompts it is nearest to.

    A class is the mean of its prompts at length one, brought to length one again, so that each way of saying it
    counts alike; its score is the cosine with the query. Of equal scores the class named first wins.
    With a task, `queries` are `task.embed("image", photos)`, and prompts
    `{name: task.embed("text", texts) for name, texts in sentences.items()}`.

    Args:
        queries: array (queries, dim) of embeddings, such as images.
        prompts: dict from class to an array (prompts, dim), or (dim,), of embeddings of its prompts.

    Returns:
        `ZeroShot(labels, scores, classes)`: a class for each query, cosines (queries, classes), the classes in
        order. A zero query scores 0 with every class.

    Example:

    >>> prompts = {"dog": np.array([[1.0, 0.0], [0.8, 0.6]]), "cat": np.array([0.0, 1.0])}
    >>> found = zero_shot(np.array([[2.0, 1.0], [0.1, 3.0]]), prompts)
    >>> found.labels, found.scores.shape
    (['dog', 'cat'], (2, 2))
    """
    if not isinstance(prompts, Mapping) or not prompts:
        raise ValueError(f"`prompts` must be a dict from class to embeddings. Received: {prompts!r}")
    queries = Embeddings(queries, "queries")
    classes = tuple(prompts)
    vectors = np.stack([_class_vector(name, prompts[name], queries.dim) for name in classes])
    scores = np.empty((len(queries), len(classes)), "float32")
    for place, _ in queries.blocks():
        scores[place] = queries.unit(place.start, place.stop) @ vectors.T
    return ZeroShot([classes[index] for index in scores.argmax(axis=1)], scores, classes)


def _class_vector(name, prompts, dim):
    prompts = np.asarray(prompts)
    embeddings = Embeddings(prompts[None] if prompts.ndim == 1 else prompts, f"prompts[{name!r}]", dim)
    mean = embeddings.unit(0, len(embeddings)).mean(axis=0)
    # Opposite prompts leave only rounding.
    if vector_lengths(mean[None]) < 1e-6:
        raise ValueError(
            f"The prompts of class {name!r} must have a direction in common. Received: {len(embeddings)} prompts whose "
            "mean is zero"
        )
    return mean * inverse(vector_lengths(mean[None]).astype("float32"))
