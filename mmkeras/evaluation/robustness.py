"""How a model bears worse data than it was trained on."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.data import corruption
from mmkeras.data.media.figure import import_figure
from mmkeras.evaluation.predictions import predict_all
from mmkeras.evaluation.scoring import check_score
from mmkeras.evaluation.scoring import score as score_of
from mmkeras.evaluation.table import Table
from mmkeras.keys import TABLE


def robustness(
    task: Any,
    records: Any,
    corruptors: Mapping[str, Sequence[type]] | None = None,
    *,
    severities: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    score: str | Callable = "accuracy",
    unimodal: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> "RobustnessCurves":
    """Score a task on records that get worse and worse, one modality and one kind of damage at a time.

    Args:
        task: a task with a preprocessor that has labels.
        records: `Records`, or a list of dicts.
        corruptors: dict modality -> corruptors of `mm.data.corruption` (classes, or functions `severity -> corruptor`);
            None takes all that `mm.data.corruption.CORRUPTORS` has for the task's modalities, `Missing` for those that
            are optional unless `unimodal` is given.
        severities: numbers from 0 (untouched) to 1.
        score: a measure that is better the higher: `"accuracy"`, `"f1_macro"`, `"correlation"`, or a function
            `(targets, outputs)`.
        unimodal: dict with a task trained on each modality alone: the average of their answers is what the effective
            robustness of the task is measured by.
        batch_size: size of the batches.
        seed: seed of the noise; the same noise, only more of it, at every severity.

    Returns:
        `RobustnessCurves`.

    Example:

    >>> records = mm.data.from_arrays(text=["a dog", "a cat"] * 4, label=["dog", "cat"] * 4)
    >>> parts = {"text": mm.preprocessing.Text(10, length=4), "label": mm.preprocessing.Label()}
    >>> pre = mm.preprocessing.Preprocessor(**parts).adapt(records)
    >>> encoders = {"text": mm.encoders.bag_of_words(10, 4)}
    >>> task = mm.models.MultimodalClassifier(encoders, classes=["cat", "dog"], preprocessor=pre)
    >>> curves = robustness(task, records, {"text": [corruption.TextDrop]}, severities=(0, 1))
    >>> curves.table().column("corruptor"), len(curves.curves["text", "TextDrop"])
    (['TextDrop'], 2)
    """
    check_score(score)
    if score in ("mae", "rmse"):
        raise ValueError(
            "Curves need a measure that is better the higher, such as 'accuracy' or 'correlation'. "
            f"Received: score={score!r}"
        )
    severities = sorted({0.0, *map(float, severities)})
    curves, baselines = {}, {}
    for modality, kinds in _chosen(task, corruptors, unimodal).items():
        for kind in kinds:
            label = modality, getattr(kind, "__name__", str(kind))
            if label in curves:
                raise ValueError(f"Corruptors need different names. Received: {label[1]!r} of {modality!r} twice")
            curves[label], baselines[label] = [], []
            for severity in severities:
                worse = corruption.corrupt(records, seed=seed, **{modality: kind(severity)}) if severity else records
                found = predict_all(task, worse, batch_size=batch_size)
                curves[label].append(score_of(found, score))
                if unimodal:
                    answers = [predict_all(other, worse, batch_size=batch_size) for other in unimodal.values()]
                    if any(not np.array_equal(answer.targets, found.targets) for answer in answers):
                        raise ValueError(
                            "The task and the unimodal ones must answer the same records: clean them, or leave "
                            f"out what makes some be skipped. Received: {kind(severity)!r} of {modality!r}"
                        )
                    average = np.mean([answer.outputs for answer in answers], axis=0)
                    baselines[label].append(score_of(found._replace(outputs=average), score))
    return RobustnessCurves(severities, curves, baselines if unimodal else {})


@dataclasses.dataclass(frozen=True)
class RobustnessCurves:
    """Scores against severity, by modality and corruptor.

    Args:
        severities: numbers in 0..1.
        curves: dict `(modality, corruptor)` -> one score per severity.
        baselines: the same of the average of unimodal models; empty where none were given.

    Example:

    >>> blur = ("image", "ImageBlur")
    >>> curves = RobustnessCurves([0.0, 1.0], {blur: [0.9, 0.5]}, {blur: [0.8, 0.2]})
    >>> row = curves.table()[0]
    >>> round(row["relative"], 3), round(row["effective"], 3)
    (0.7, 0.1)
    """

    severities: Sequence[float]
    curves: Mapping[tuple[str, str], Sequence[float]]
    baselines: Mapping[tuple[str, str], Sequence[float]] = dataclasses.field(default_factory=dict)

    def table(self) -> Table:
        """A row per corruptor: the clean and the worst score, relative and effective robustness.

        Relative robustness is the mean score over severities (the area under the curve). Effective robustness is by
        how much the curve lies, on average, above that of the average of unimodal models moved to the same clean score:
        above 0 the task bears this damage better than they do, whatever either scores on clean data.

        References:
            Liang et al. 2021, MultiBench: Multiscale Benchmarks for Multimodal Representation Learning.
        """
        rows = []
        for label, curve in self.curves.items():
            curve, baseline = np.array(curve), self.baselines.get(label)
            row = dict(zip(("modality", "corruptor"), label, strict=True))
            row |= {"clean": float(curve[0]), "worst": float(curve[-1]), "relative": self._area(curve)}
            if self.baselines:
                row["effective"] = None
            if baseline is not None:
                moved = np.array(baseline) + (curve[0] - baseline[0])
                row["effective"] = self._area(curve - moved)
            rows.append(row)
        return Table(rows, "Robustness")

    def plot(self):
        """Draw one panel per modality, a line per corruptor, dashed for the average of unimodal models.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig("curves.png")` saves it.
        """
        figure_class = import_figure("Drawing curves")

        modalities = list(dict.fromkeys(modality for modality, _ in self.curves))
        figure = figure_class(figsize=(4 * len(modalities), 3.2), layout="tight")
        axes = figure.subplots(1, len(modalities), sharey=True, squeeze=False)
        for axis, modality in zip(axes[0], modalities, strict=True):
            for (owner, name), curve in self.curves.items():
                if owner == modality:
                    (line,) = axis.plot(self.severities, curve, marker="o", markersize=3, label=name)
                    if (owner, name) in self.baselines:
                        axis.plot(
                            self.severities, self.baselines[owner, name], "--", color=line.get_color(), linewidth=1
                        )
            axis.set(title=modality, xlabel="severity")
            axis.legend(fontsize="small")
        axes[0, 0].set_ylabel("score")
        return figure

    def _area(self, values):
        span = self.severities[-1] - self.severities[0]
        return float(np.trapezoid(values, self.severities) / span) if span else float(values[0])


def _chosen(task, corruptors, unimodal):
    if corruptors is not None:
        unknown = sorted(set(corruptors) - set(task.encoders))
        if unknown:
            raise ValueError(
                f"`corruptors` must name modalities of the task, {list(task.encoders)}. Received: {unknown}"
            )
        return corruptors
    chosen = {}
    for modality in task.encoders:
        source = task.encoders[modality].inputs[0].name
        kind = next((key.modality for key in TABLE if key.prepared == source), modality)
        kinds = corruption.CORRUPTORS.get(kind, ())
        # A unimodal task has nothing to answer to where its modality is missing.
        missing = modality in task.optional and not unimodal
        chosen[modality] = [kind for kind in kinds if kind is not corruption.Missing or missing]
    return {modality: kinds for modality, kinds in chosen.items() if kinds}
