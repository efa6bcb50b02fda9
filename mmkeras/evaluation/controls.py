"""Did fusion help at all? What simpler answers score on the same samples."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.evaluation.bootstrap import paired_bootstrap
from mmkeras.evaluation.fitting import fitted, several_models
from mmkeras.evaluation.predictions import batches, predict_all
from mmkeras.evaluation.scoring import sample_scores
from mmkeras.evaluation.shuffling import joined, moved
from mmkeras.evaluation.table import Table


@several_models()
def controls(
    make_task: Callable[[tuple[str, ...]], Any],
    modalities: Sequence[str],
    train: Any,
    test: Any,
    *,
    fit: Mapping[str, Any] | Callable = {"epochs": 10},  # noqa: B006, it is never changed
    prior: str | None = None,
    seeds: int = 3,
    batch_size: int = 64,
) -> Table:
    """Score a multimodal classifier beside everything that it has to beat.

    - `majority`: the largest class of the train set, always.
    - `prior of <input>`: to an input seen in training its most frequent class, else the majority: what can be known
      from the question alone, word for word.
    - `<modality> only`: the same task with one modality.
    - `late average`: the mean of what these answer.
    - `shuffled <modality>`: the multimodal task, each sample with this modality of another one. Where that costs
      nothing, the task does not use it.
    - `all modalities`: the multimodal task.

    Every task is trained once per seed, by the same recipe. The column `behind` says by how much a control is behind
    the multimodal task, with a 95 % interval by `paired_bootstrap`: an interval above 0 is a difference. With one seed
    it covers the samples alone, not what another training would change.

    The test set is prepared once, by the multimodal task, and held in memory; samples of weight 0 are left out.

    Args:
        make_task: function of a tuple of modalities that makes a classifier of single labels with these; compiled, or
            by `compile()`'s defaults.
        modalities: all of its modalities.
        train: data set to train on, see `predict_all`; finite, and not in groups.
        test: data set to score.
        fit: arguments of `task.fit`, or a function `(task, train)`.
        prior: name of the input, such as `"question_token_ids"`, for the prior; None for none.
        seeds: how often every task is trained.
        batch_size: size of the batches in scoring.

    Returns:
        `Table` with `model`, `accuracy`, its `deviation` over seeds, and `behind`.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> x = {f"features_{name}": rng.normal(size=(64, 2)).astype("float32") for name in ("left", "right")}
    >>> y = (x["features_left"][:, 0] * x["features_right"][:, 0] > 0).astype(int)
    >>> def make_task(modalities):
    ...     encoders = {name: mm.encoders.features((2,), 8) for name in modalities}
    ...     return mm.models.MultimodalClassifier(encoders, classes=2)
    >>> table = controls(make_task, tuple(x), (x, y), (x, y), fit={"epochs": 1}, seeds=1)
    >>> [row["model"] for row in table][:4]
    ['majority', 'features_left only', 'features_right only', 'late average']
    """
    modalities = tuple(modalities)
    if len(modalities) < 2 or seeds < 1:
        raise ValueError(
            f"Controls are for two modalities or more and one seed or more. Received: {modalities}, seeds={seeds}"
        )
    task = make_task(modalities)
    x, y, weight = joined(task, test, batch_size)
    y, kept = _classes(y, weight)
    x, y = {name: values[kept] for name, values in x.items()}, y[kept]
    if not len(y):
        raise ValueError("At least one sample with a weight is needed. Received: none")
    test = x, y
    runs = _priors(task, train, *test, prior, batch_size)
    for seed in range(seeds):
        alone = []
        for name in modalities:
            task = fitted(lambda name=name: make_task((name,)), train, fit, seed)
            alone.append(predict_all(task, test, batch_size=batch_size))
            runs[f"{name} only"].append(sample_scores(alone[-1]))
        average = alone[0]._replace(outputs=np.mean([found.outputs for found in alone], axis=0))
        runs["late average"].append(sample_scores(average))
        task = fitted(lambda: make_task(modalities), train, fit, seed)
        for name in modalities:
            shuffled = moved(task, x, [name], seed), y
            runs[f"shuffled {name}"].append(sample_scores(predict_all(task, shuffled, batch_size=batch_size)))
        runs["all modalities"].append(sample_scores(predict_all(task, test, batch_size=batch_size)))
    best = np.array(runs["all modalities"])
    rows = []
    for name, each in runs.items():
        means = np.mean(each, axis=1)
        behind = paired_bootstrap(best, np.broadcast_to(each, best.shape)) if name != "all modalities" else None
        spread = float(means.std(ddof=1)) if len(means) > 1 else None
        rows.append({"model": name, "accuracy": float(means.mean()), "deviation": spread, "behind": behind})
    return Table(rows, f"Controls, {seeds} seed(s), {best.shape[1]:,} samples")


def _classes(y, weight):
    """Classes as integers (sample,), and which samples count."""
    y = np.asarray(next(iter(y.values())) if isinstance(y, dict) else y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1:
        raise ValueError(
            "Controls are for one class per sample: unfold groups (`group_by` of the dataset) first, and score "
            f"several labels by `classification_report`. Received: labels of shape {y.shape}"
        )
    return y.astype("int64"), slice(None) if weight is None else np.asarray(weight) > 0


def _priors(task, train, x_test, y_test, prior, batch_size):
    """Scores of the answers that need no training."""
    if prior is not None and prior not in x_test:
        raise ValueError(f"`prior` must be one of the inputs {sorted(x_test)}. Received: prior={prior!r}")
    total, counts = collections.Counter(), collections.defaultdict(collections.Counter)
    for x, y, weight in batches(task, train, batch_size):
        y, kept = _classes(y, weight)
        total.update(y[kept].tolist())
        if prior is not None:
            for value, label in zip(x[prior][kept], y[kept].tolist(), strict=True):
                counts[_key(value)][label] += 1
    runs = collections.defaultdict(list)
    runs["majority"].append((y_test == total.most_common(1)[0][0]).astype("float64"))
    if prior is not None:
        answers = np.array([(counts.get(_key(value)) or total).most_common(1)[0][0] for value in x_test[prior]])
        runs[f"prior of {prior}"].append((y_test == answers).astype("float64"))
    return runs


def _key(value):
    """An input as it counts: without the zeros that pad it."""
    value = np.asarray(value, "float64")
    rows = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
    filled = np.flatnonzero(rows.any(axis=1))
    return rows[: filled[-1] + 1 if len(filled) else 0].tobytes()
