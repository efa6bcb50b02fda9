"""What training writes for TensorBoard beyond numbers: tables, figures, and samples that can be looked at."""

import os
import textwrap

import numpy as np

# Inches and letters of a sample in a figure of several.
_PANEL, _LETTERS = 2.1, 28


def import_summary(otherwise):
    """`tf.summary`, or an error that says what to do without TensorFlow."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(f"Writing for TensorBoard needs TensorFlow: install it, or {otherwise}.") from error
    return tf.summary


def import_figure(otherwise):
    """Matplotlib's `Figure`, or an error that says what to do without it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"Pictures for TensorBoard need matplotlib: pip install 'mmkeras[plots]', or {otherwise}."
        ) from error
    return Figure


def write_table(name, header, rows):
    """Write a table as text, to the writer and the step that are the default."""
    lines = [header, ["---"] * len(header), *rows]
    import_summary("leave it out").text(name, "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))


def write_figure(name, figure):
    """Write a Matplotlib figure as a picture, to the writer and the step that are the default."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # (1, height, width, 3)
    import_summary("leave it out").image(name, np.asarray(canvas.buffer_rgba())[None, :, :, :3])


def draw_samples(pictures, captions, notes):
    """A figure of pictures side by side, each with a caption above and a note in grey below it."""
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    wrapped = [[_wrapped(str(text)) for text in pair] for pair in zip(captions, notes, strict=True)]
    lines = max(sum(text.count("\n") + 1 for text in pair) for pair in wrapped)
    figure = import_figure("leave pictures out")(
        figsize=(columns * _PANEL, rows * (_PANEL + 0.15 * lines)), dpi=110, layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[len(pictures) :]:
        axis.set_axis_off()
    for axis, picture, (caption, note) in zip(axes, pictures, wrapped, strict=False):
        axis.imshow(picture)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(caption, fontsize=8)
        axis.set_xlabel(note, fontsize=7.5, color="0.45")
    return figure


def picture_of(task, modalities=None):
    """The first modality that can be looked at: whose encoder reads pictures, or clips; None where none can."""
    for kind in ("image", "frames"):
        for modality, encoder in task.encoders.items():
            if (modalities is None or modality in modalities) and reads(encoder, kind):
                return modality
    return None


def reads(encoder, kind):
    """Whether an encoder reads inputs of a kind, such as `"image"`."""
    return kind in [tensor.name for tensor in encoder.inputs]


def pictures_of(task, records, modality):
    """Pictures of records as the task sees them, uint8 (height, width, 3); of clips the frame in the middle."""
    (values,) = (x for x in task.prepare(records, (modality,)).values() if x.ndim > 3)
    if values.ndim == 5:
        # Padding is no part of a clip.
        there = [np.flatnonzero(clip.any(axis=(1, 2, 3))) for clip in values]
        values = [
            clip[places[len(places) // 2] if len(places) else 0] for clip, places in zip(values, there, strict=True)
        ]
    return [np.clip(value, 0, 255).astype("uint8") for value in values]


def in_words(record, modalities):
    """What can be read of a record: its texts, and the names of its files."""
    values = (record.get(modality) for modality in modalities)
    values = (value[0] if isinstance(value, list | tuple) and value else value for value in values)
    return "; ".join(
        os.path.basename(value) if isinstance(value, os.PathLike) or os.path.sep in value else value
        for value in values
        if isinstance(value, str | os.PathLike) and value
    )


def _wrapped(text):
    return "\n".join(textwrap.fill(line, _LETTERS) for line in text.splitlines())


def _cell(value):
    return str(value).replace("|", "\\|").replace("\n", " ")
