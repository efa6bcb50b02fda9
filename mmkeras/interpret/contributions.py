"""What each modality counted for the answer about a record."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np

from mmkeras.data.media.figure import import_figure
from mmkeras.evaluation import Table
from mmkeras.evaluation.shapley import shapley_values, subsets_of
from mmkeras.interpret.explained import explain
from mmkeras.interpret.probing import as_array
from mmkeras.keys import presence_key
from mmkeras.models.records import as_records

_MOST = 6
_ROWS = 32


@final
class Contributions(NamedTuple):
    """What modalities counted for answers, one row per record.

    Attributes:
        modalities: their names.
        answers: what is explained of each record.
        scores: array (record,): the probability of a class, a number, the log-probability of a sentence, a similarity.
        nothing: array (record,): the score without any modality.
        values: array (record, modality) of Shapley values, which make up the difference.

    Example:

    >>> found = Contributions(("image", "text"), ["cat"], np.array([0.9]), np.array([0.5]), np.array([[0.3, 0.1]]))
    >>> print(found)
    Shapley values of modalities
    answer  nothing  image   text  score
    ------  -------  -----  -----  -----
    cat       0.500  0.300  0.100  0.900
    """

    modalities: tuple[str, ...]
    answers: list
    scores: np.ndarray
    nothing: np.ndarray
    values: np.ndarray

    def table(self) -> Table:
        """A row per record: its answer, the score with nothing, what each modality adds, and the score."""
        rows = [
            {
                "answer": _told(answer),
                "nothing": float(nothing),
                **{name: float(value) for name, value in zip(self.modalities, values, strict=True)},
                "score": float(score),
            }
            for answer, score, nothing, values in zip(self.answers, self.scores, self.nothing, self.values, strict=True)
        ]
        return Table(rows, "Shapley values of modalities")

    def __str__(self):
        return str(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()

    def plot(self) -> Any:
        """Draw how each score comes about: from nothing, modality by modality.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig("contributions.png")` saves it.
        """
        figure_class = import_figure()
        count = len(self.modalities)
        figure = figure_class(figsize=(8, 1.1 + len(self.answers) * (0.3 * count + 0.25)), layout="constrained")
        axis = figure.subplots()
        ticks = []
        for row, (start, values) in enumerate(zip(self.nothing, self.values, strict=True)):
            here = start
            for place, value in enumerate(values):
                y = row * (count + 0.8) + place
                axis.barh(
                    y,
                    value,
                    left=here,
                    height=0.8,
                    color=f"C{place}",
                    label=self.modalities[place] if not row else None,
                )
                axis.annotate(
                    f"{value:+.2g}",
                    (max(here, here + value), y),
                    (3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color="0.3",
                )
                here += value
                end = y + (1 if place < count - 1 else 0.4)
                axis.plot([here, here], [y - 0.4, end], color="0.5", linewidth=0.8)
            axis.plot([start, start], [row * (count + 0.8) - 0.4] * 2, color="0.4", marker="v", markersize=5)
            ticks.append(row * (count + 0.8) + (count - 1) / 2)
        axis.set_yticks(ticks, [_told(answer, 28) for answer in self.answers])
        axis.invert_yaxis()
        axis.use_sticky_edges = False
        axis.margins(x=0.1)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.set_xlabel("score, from nothing (▼) on")
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 1.0 + 0.5 / figure.get_size_inches()[1]),
            ncols=count,
            frameon=False,
        )
        return figure


def contributions(
    task: Any,
    records: Any,
    *,
    output: str | None = None,
    target: Any = None,
    background: Sequence | None = None,
    step: int | None = None,
) -> Contributions:
    """Share the score of the answer about each record out among its modalities, by Shapley values.

    A value is what a modality adds to the score, on average over all orders in which modalities could come; all sets
    of them are tried, and values add up to the score less that of nothing. Where all modalities are optional, one that
    is not in a set is declared absent: that asks what the task would say without it. Otherwise it is that of
    `background` records in turn, and the score their mean: that asks what the task would say had it been another one.

    `mm.evaluation.contributions` shares out the score of a data set.

    Args:
        task: a task with up to six modalities.
        records: one record or a list of them, raw, or their inputs without a preprocessor.
        output: which of several answers; None for the only one.
        target: a class (name or number), a sentence, or the number of one of several numbers; None for what the task
            answers about each record.
        background: records like those the task was trained on, ten or so; None declares modalities absent.
        step: at which step, where the task answers at each.

    Returns:
        `Contributions`, with `values` (record, modality), a table in print, and `plot()`.

    Example:

    >>> encoders = {"features_face": mm.encoders.features((3,)), "features_voice": mm.encoders.features((2,))}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=2, optional=tuple(encoders))
    >>> found = contributions(task, {"features_face": np.ones(3), "features_voice": np.ones(2)})
    >>> bool(np.allclose(found.values.sum(axis=1), found.scores - found.nothing, atol=1e-6))
    True

    References:
        Shapley 1953, A Value for n-Person Games.
    """
    records = as_records(task, records)
    if not records:
        raise ValueError("At least one record is needed. Received: an empty list")
    if not 1 <= len(task.encoders) <= _MOST:
        raise ValueError(
            f"All sets of up to {_MOST} modalities are tried; `mm.evaluation.contributions` takes more. "
            f"Received: {len(task.encoders)} modalities"
        )
    background = [] if background is None else list(background)
    if not background and not set(task.encoders) <= set(task.optional):
        missing = sorted(set(task.encoders) - set(task.optional))
        raise ValueError(
            f"{missing} cannot be absent: give `background`, ten or so records of the training set that stand in for "
            f"them, or build the task with optional={tuple(task.encoders)}. Received: background=None"
        )
    rows = [_of_record(task, record, background, output, target, step) for record in records]
    modalities = tuple(task.encoders)
    return Contributions(
        modalities,
        [explained.answer for explained, _ in rows],
        np.array([worth[frozenset(explained.keys)] for explained, worth in rows]),
        np.array([worth[frozenset()] for _, worth in rows]),
        np.array([_values(worth, modalities) for _, worth in rows]),
    )


def _values(worth, modalities):
    values = shapley_values(worth)
    return [values.get(name, 0.0) for name in modalities]


def _of_record(task, record, background, output, target, step):
    """What is explained of a record, and its score with each set of modalities."""
    explained = explain(task, record, output, target, step)
    names = list(explained.keys)
    sets = subsets_of(names)
    if background:
        x = task.prepare([record, *background], tuple(names))
        takes = [
            (kept, other) for kept in sets for other in range(1, len(background) + 1 if len(kept) < len(names) else 2)
        ]
        rows = {
            key: np.stack([value[0 if task.modality_of(key) in kept else other] for kept, other in takes])
            for key, value in x.items()
            if key in explained.x
        }
    else:
        takes = [(kept, 0) for kept in sets]
        rows = explained.rows(len(sets))
        for name in names:
            rows[presence_key(name)] &= np.array([name in kept for kept in sets])
    scores = []
    for start in range(0, len(takes), _ROWS):
        part = {key: value[start : start + _ROWS] for key, value in rows.items()}
        scores.append(as_array(explained.scores(part)))
    scores = np.concatenate(scores)
    worth = {
        kept: float(np.mean([s for s, (own, _) in zip(scores, takes, strict=True) if own == kept])) for kept in sets
    }
    return explained, worth


def _told(answer, length=40):
    text = f"{answer:.3g}" if isinstance(answer, float) else str(answer)
    return text if len(text) <= length else text[: length - 1] + "…"
