"""What each modality adds to the answers of a model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mmkeras.evaluation.predictions import predict_all
from mmkeras.evaluation.scoring import check_score
from mmkeras.evaluation.scoring import score as score_of
from mmkeras.evaluation.shapley import shapley_values, subsets_of
from mmkeras.evaluation.shuffling import joined, moved
from mmkeras.evaluation.table import Table

_MOST = 8


def contributions(
    task: Any,
    data: Any,
    *,
    score: str | Callable = "accuracy",
    output: str | None = None,
    repeats: int = 3,
    batch_size: int = 64,
    seed: int = 0,
) -> Table:
    """Share the score of a task out among its modalities.

    A modality is taken away by giving each sample that of another one: nothing is left of what it says about this
    sample, and the inputs stay such as the task knows. The contribution of a modality is its Shapley value, what it
    adds to the score on average over all orders in which modalities could be added; together they make the difference
    between all modalities and none. Where two say the same they share its worth, where they only tell something
    together they share that; `alone` and `without` show which. A task that was trained on one modality only, whatever
    it was given, shows it here.

    Any task will do; modalities need not be optional, as they must be for `subsets`.

    Args:
        task: a task of up to eight modalities.
        data: see `predict_all`; not in groups.
        score: a measure that is better the higher: `"accuracy"`, `"f1_macro"`, `"correlation"`, or a function
            `(targets, outputs)`.
        output: name of the output; None for the only one.
        repeats: how often samples are mixed anew.
        batch_size: size of the batches.
        seed: seed of the mixing.

    Returns:
        `Table` with a row per modality: `modality`, `contribution`, the score with it `alone`, and `without` it.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,)), "features_voice": mm.encoders.features((2,))}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2)
    >>> x = {"features_face": np.ones((4, 3)), "features_voice": np.ones((4, 2))}
    >>> contributions(task, (x, np.zeros(4, int))).column("contribution")
    [0.0, 0.0]

    References:
        Shapley 1953, A Value for n-Person Games.
    """
    check_score(score)
    modalities = list(task.encoders)
    if score in ("mae", "rmse") or not 1 <= len(modalities) <= _MOST or repeats < 1:
        raise ValueError(
            f"`contributions` takes a measure that is better the higher, up to {_MOST} modalities, which make up to "
            f"{2**_MOST} sets, and one repeat at least. Received: score={score!r}, {len(modalities)} modalities, "
            f"repeats={repeats}"
        )
    x, y, weight = joined(task, data, batch_size)
    worth = {}
    for kept in subsets_of(modalities):
        away = [name for name in modalities if name not in kept]
        scores = []
        for repeat in range(repeats if away else 1):
            change = _instead(moved(task, x, away, seed + repeat))
            found = predict_all(task, (x, y, weight), output=output, change=change, batch_size=batch_size)
            scores.append(score_of(found, score))
        worth[kept] = float(np.mean(scores))
    everything, values = frozenset(modalities), shapley_values(worth)
    rows = [
        {
            "modality": name,
            "contribution": values[name],
            "alone": worth[frozenset([name])],
            "without": worth[everything - {name}],
        }
        for name in modalities
    ]
    measure = score if isinstance(score, str) else getattr(score, "__name__", "score")
    title = f"{task.name}: {measure} {worth[everything]:.3f} with all, {worth[frozenset()]:.3f} with none"
    return Table(rows, title)


def _instead(mixed):
    """A change of batches, one after the other, to the rows of other inputs."""
    done = 0

    def change(x, _):
        nonlocal done
        rows = slice(done, done + len(next(iter(x.values()))))
        done = rows.stop
        return {name: values[rows] for name, values in mixed.items()}

    return change
