"""What each set of modalities is worth to one model."""

import itertools
from collections.abc import Callable
from typing import Any

from mmkeras.evaluation.predictions import hide, predict_all
from mmkeras.evaluation.scoring import check_score
from mmkeras.evaluation.scoring import score as score_of
from mmkeras.evaluation.table import Table


def subsets(
    task: Any,
    data: Any,
    *,
    score: str | Callable = "accuracy",
    output: str | None = None,
    batch_size: int = 64,
) -> Table:
    """Score a task with every set of its modalities present, the others declared absent.

    Modalities that are not optional are always there. The last row has nothing but those: where all are optional, what
    the task answers to nothing at all, which is its prior.

    Args:
        task: a task with `optional` modalities.
        data: see `predict_all`.
        score: `"accuracy"`, `"f1_macro"`, `"mae"`, `"rmse"`, `"correlation"`, or a function `(targets, outputs)`.
        output: name of the output; None for the only one.
        batch_size: size of the batches.

    Returns:
        `Table` with a row per set, all modalities first: `present`, the score, and `change` from the first row.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,)), "features_voice": mm.encoders.features((2,))}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2, optional=tuple(encoders))
    >>> x = {"features_face": np.ones((4, 3)), "features_voice": np.ones((4, 2))}
    >>> subsets(task, (x, np.zeros(4, int))).column("present")
    ['features_face + features_voice', 'features_face', 'features_voice', 'nothing']
    """
    check_score(score)
    if not task.optional:
        raise ValueError(
            f"Only optional modalities can be absent: build the task with `optional=` some of {list(task.encoders)}. "
            "Received: a task without any"
        )
    rows, name = [], score if isinstance(score, str) else getattr(score, "__name__", "score")
    for count in range(len(task.optional) + 1):
        for absent in itertools.combinations(reversed(task.optional), count):
            found = predict_all(
                task,
                data,
                output=output,
                change=lambda x, _, absent=absent: hide(x, task, absent),
                batch_size=batch_size,
            )
            present = [modality for modality in task.encoders if modality not in absent]
            value = score_of(found, score)
            rows.append(
                {
                    "present": " + ".join(present) or "nothing",
                    name: value,
                    "change": value - rows[0][name] if rows else 0.0,
                }
            )
    return Table(rows, f"{task.name}: {name} by what is present")
