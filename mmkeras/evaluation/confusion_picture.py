"""A picture of what is taken for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmkeras.data.media.figure import import_figure

# So many classes still have room for a number in each cell.
_WITH_NUMBERS = 15


def plot_confusion(confusion: Any, classes: Sequence[str] | None = None, *, normalize: bool = True) -> Any:
    """Draw a confusion matrix: a row per true class, a column per answer.

    Args:
        confusion: counts (true class, predicted class), such as `classification_report(...)["confusion"]`.
        classes: names of the classes; None numbers them.
        normalize: whether colours and numbers are shares of the samples of the true class, or counts.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig("confusion.png")` saves it.

    Example:

    >>> figure = plot_confusion([[3, 1], [0, 4]], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['75', '25', '0', '100']
    """
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.dtype.kind not in "iu":
        raise ValueError(
            "`confusion` must be counts (true class, predicted class). "
            f"Received: {confusion.dtype} of shape {confusion.shape}"
        )
    names = list(range(len(confusion))) if classes is None else list(classes)
    if len(names) != len(confusion):
        raise ValueError(f"`classes` needs {len(confusion)} names. Received: {len(names)}")
    figure_class = import_figure()

    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    values = 100 * confusion / totals if normalize else confusion
    size = 2.2 + 0.42 * len(names)
    figure = figure_class(figsize=(size + 0.8, size), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="Blues", vmin=0, vmax=100 if normalize else None)
    axis.set_xticks(range(len(names)), names, rotation=45 if max(len(str(name)) for name in names) > 2 else 0)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="answer", ylabel="true class")
    figure.colorbar(picture, ax=axis, label="% of the true class" if normalize else "samples", shrink=0.8)
    if len(names) <= _WITH_NUMBERS:
        for row, column in np.ndindex(values.shape):
            dark = values[row, column] > 0.6 * max(values.max(), 1e-9)
            axis.text(
                column,
                row,
                f"{values[row, column]:.0f}",
                ha="center",
                va="center",
                color="white" if dark else "black",
                fontsize="small",
            )
    return figure
