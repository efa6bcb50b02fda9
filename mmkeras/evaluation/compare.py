"""Which fusion for my data?"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.evaluation.bootstrap import paired_bootstrap
from mmkeras.evaluation.fitting import fitted, several_models
from mmkeras.evaluation.predictions import batches, predict_all
from mmkeras.evaluation.scoring import sample_scores
from mmkeras.evaluation.table import Table


@several_models()
def compare(
    make_task: Callable[[Any], Any],
    choices: Mapping[str, Callable] | Sequence[Callable],
    train: Any,
    test: Any,
    *,
    fit: Mapping[str, Any] | Callable = {"epochs": 10},  # noqa: B006, it is never changed
    seeds: int = 3,
    batch_size: int = 64,
) -> Table:
    """Train the same task with one fusion after the other, and show score beside cost.

    To choose by the table, `test` must be a part of the train set that nothing is trained on: what was selected on a
    test set can no longer be reported on it.

    Args:
        make_task: function `(fusion) -> task`, a classifier of single labels, with whatever `choices` make.
        choices: the fusions: classes, or functions that make a layer, such as `mm.layers.GatedFusion`; a dict names
            them.
        train: data set to train on, see `predict_all`.
        test: data set to score.
        fit: arguments of `task.fit`, or a function `(task, train)`.
        seeds: how often each is trained.
        batch_size: size of the batches in scoring and timing.

    Returns:
        `Table`, the best first: `fusion`, `accuracy`, its `deviation` over seeds, `behind` (by how much the best is
        better, with a 95 % interval by `paired_bootstrap`; with one seed it knows nothing of other trainings),
        `parameters` of the task and `step_ms`, the time of a training step.

    Example:

    >>> x = {"features_left": np.ones((8, 2), "float32"), "features_right": np.ones((8, 3), "float32")}
    >>> def make_task(fusion):
    ...     encoders = {"features_left": mm.encoders.features((2,)), "features_right": mm.encoders.features((3,))}
    ...     return mm.models.MultimodalClassifier(encoders, fusion, classes=2)
    >>> fusions = [mm.layers.ConcatFusion, mm.layers.GatedFusion]
    >>> data = (x, np.zeros(8, int))
    >>> table = compare(make_task, fusions, data, data, fit={"epochs": 1}, seeds=1)
    >>> sorted(table.column("fusion"))
    ['ConcatFusion', 'GatedFusion']
    """
    if not isinstance(choices, Mapping):
        names = [getattr(choice, "__name__", str(choice)) for choice in choices]
        if len(set(names)) < len(names):
            raise ValueError(f"Fusions need different names: give a dict. Received: {names}")
        choices = dict(zip(names, choices, strict=True))
    if not choices or seeds < 1:
        raise ValueError(f"At least one fusion and one seed are needed. Received: {list(choices)}, seeds={seeds}")
    scores, costs = {}, {}
    for name, choice in choices.items():
        each = []
        for seed in range(seeds):
            task = fitted(lambda choice=choice: make_task(choice()), train, fit, seed)
            each.append(sample_scores(predict_all(task, test, batch_size=batch_size)))
        scores[name] = np.array(each)
        costs[name] = {"parameters": task.count_params(), "step_ms": _step_ms(task, train, batch_size)}
    order = sorted(scores, key=lambda name: -scores[name].mean())
    best, rows = scores[order[0]], []
    for name in order:
        means = scores[name].mean(axis=1)
        spread = float(means.std(ddof=1)) if seeds > 1 else None
        behind = paired_bootstrap(best, scores[name]) if name != order[0] else None
        rows.append(
            {"fusion": name, "accuracy": float(means.mean()), "deviation": spread, "behind": behind, **costs[name]}
        )
    return Table(rows, f"Fusions, {seeds} seed(s), {best.shape[1]:,} samples")


def _step_ms(task, data, batch_size, repeats=5):
    """The fastest of several training steps on one batch, after one that compiles; it is the task's last use."""
    x, y, weight = next(iter(batches(task, data, batch_size)))
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        task.train_on_batch(x, y, sample_weight=weight)
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds[1:])
