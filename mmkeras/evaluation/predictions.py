"""What a task answers on a data set, sample by sample."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from mmkeras.evaluation.fitting import is_dataset
from mmkeras.keys import presence_key
from mmkeras.models import FusionTask


class Predictions(NamedTuple):
    """Targets and outputs of a task, one row per sample (or per valid step of one), and how much each row counts.

    Example:

    >>> Predictions(np.array([1]), np.array([[0.1, 0.9]]), np.ones(1)).outputs.argmax(axis=1).tolist()
    [1]
    """

    targets: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray


def predict_all(
    task: Any,
    data: Any,
    *,
    output: str | None = None,
    change: Callable[[dict, np.random.Generator], dict] | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> Predictions:
    """Run a task over a data set and keep targets and outputs together.

    Args:
        task: a task with outputs per sample, such as `mm.models.MultimodalClassifier`.
        data: `(x, y)` or `(x, y, sample_weight)` of arrays; a dataset of such batches, from `pre.dataset(records,
            shuffle=False)`; or records, where the task has a preprocessor with labels.
        output: name of the output; None for the only one.
        change: function `(x, rng) -> x` of a batch of inputs, to see what it does.
        batch_size: size of the batches.
        seed: seed of the generator that `change` gets.

    Returns:
        `Predictions`. Samples that the data skips (and names) have no row; rows of weight 0 are left out.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((3,))}, classes=2)
    >>> found = predict_all(task, ({"features": np.ones((5, 3))}, np.zeros(5, int)))
    >>> found.targets.shape, found.outputs.shape
    ((5,), (5, 2))
    """
    rng = np.random.default_rng(seed)
    targets, outputs, weights = [], [], []
    for x, y, weight in batches(task, data, batch_size):
        answered = task.predict_on_batch(x if change is None else change(dict(x), rng))
        name = _output_name(answered, output)
        if isinstance(task, FusionTask):
            # Steps of padding and labels that are not known have no weight, whatever the change makes of them.
            own = task.weights_of_samples(x, y, weight)[name]
            weight = None if own is None else keras.ops.convert_to_numpy(own)
        made = keras.ops.convert_to_numpy(answered[name])
        y = np.asarray(y[name] if isinstance(y, dict) else y)
        steps = 2 if made.ndim > 2 else 1
        weight = np.ones(y.shape[:steps]) if weight is None else np.asarray(weight)
        weight = np.broadcast_to(weight.reshape(*weight.shape, *[1] * (steps - weight.ndim)), y.shape[:steps])
        flat = weight.reshape(-1)
        kept = flat > 0
        weights.append(flat[kept])
        targets.append(y.reshape(-1, *y.shape[steps:])[kept])
        outputs.append(made.reshape(-1, *made.shape[steps:])[kept])
    if not sum(map(len, targets)):
        raise ValueError("At least one sample with a target is needed. Received: none")
    return Predictions(*(np.concatenate(parts) for parts in (targets, outputs, weights)))


def _output_name(answered, output):
    name = next(iter(answered)) if output is None and len(answered) == 1 else output
    if name not in answered:
        raise ValueError(f"`output` must be one of {sorted(answered)}. Received: output={output!r}")
    return name


def batches(task: Any, data: Any, batch_size: int) -> Iterator[tuple[dict, Any, Any]]:
    """Give `(x, y, sample_weight)` of a data set (see `predict_all`) batch by batch, as arrays.

    Example:

    >>> [len(y) for x, y, weight in batches(None, ({"features": np.ones((5, 3))}, np.zeros(5)), 2)]
    [2, 2, 1]
    """
    if isinstance(data, tuple):
        if len(data) not in (2, 3) or not isinstance(data[0], Mapping):
            raise ValueError(
                "Arrays are given as (x, y) or (x, y, sample_weight), x a dict by name of the input. "
                f"Received: a tuple of {[type(part).__name__ for part in data]}"
            )
        x, y, weight = (*data, None)[:3]
        x = {name: np.asarray(values) for name, values in x.items()}
        y = {name: np.asarray(values) for name, values in y.items()} if isinstance(y, Mapping) else np.asarray(y)
        for start in range(0, len(next(iter(x.values()))), batch_size):
            rows = slice(start, start + batch_size)
            yield (
                {name: values[rows] for name, values in x.items()},
                {name: values[rows] for name, values in y.items()} if isinstance(y, dict) else y[rows],
                None if weight is None else np.asarray(weight)[rows],
            )
        return
    if not is_dataset(data):
        if getattr(task, "preprocessor", None) is None:
            raise ValueError(
                "Raw records need a task with `preprocessor=`; without one give arrays, (x, y), or a dataset. "
                f"Received: {type(data).__name__}"
            )
        data = task.preprocessor.dataset(data, batch_size, shuffle=False)
    for batch in data if not isinstance(data, keras.utils.PyDataset) else map(data.__getitem__, range(len(data))):
        if not isinstance(batch, tuple) or len(batch) < 2:
            raise ValueError(
                "Each batch needs targets, (x, y): give the Preprocessor a `Label` part. Received: batches without"
            )
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        parts = [part for part in (x, y, weight) if part is not None]
        x, y, *weight = (keras.tree.map_structure(keras.ops.convert_to_numpy, part) for part in parts)
        yield x, y, weight[0] if weight else None


def hide(x: dict, task: Any, modalities: Any) -> dict:
    """Declare modalities of a batch absent, in all samples.

    Args:
        x: dict of inputs.
        task: a task with `optional` modalities.
        modalities: which of them.

    Returns:
        Dict of inputs, with the flags.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,)), "features_voice": mm.encoders.features((2,))}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2, optional=("features_voice",))
    >>> x = hide({"features_face": np.ones((2, 3)), "features_voice": np.ones((2, 2))}, task, ["features_voice"])
    >>> x["features_voice_present"].tolist()
    [False, False]
    """
    rows = len(next(iter(x.values())))
    unknown = sorted(set(modalities) - set(task.optional))
    if unknown:
        raise ValueError(
            f"Only optional modalities can be absent, here {list(task.optional)}: build the task with them in "
            f"`optional`. Received: {unknown}"
        )
    return {**x, **{presence_key(name): np.zeros(rows, bool) for name in modalities}}
