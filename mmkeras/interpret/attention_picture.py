"""Where attention looked, over what it looked at."""

from typing import Any

import numpy as np

from mmkeras.data.media.figure import import_figure
from mmkeras.data.media.image import load_image
from mmkeras.interpret.drawing import grey_spectrogram
from mmkeras.models import Sentence

# A veil over what was not looked at, and a warm light over what was: red, green, blue and how much they cover.
_VEIL_TO_LIGHT = (
    (0.05, 0.05, 0.12, 0.62),
    (0.30, 0.08, 0.16, 0.45),
    (0.90, 0.30, 0.10, 0.42),
    (1.00, 0.66, 0.12, 0.46),
    (1.00, 0.95, 0.55, 0.58),
)
# Inches of a panel, between panels, above one, and at the right for the scale.
_PANEL, _GAP, _TITLE, _BAR = 1.4, 0.08, 0.27, 0.85
# How much wider or higher than a square a cell may be where a grid is looked for.
_STRETCH = 1.5
# How flat the panel of a long sound may be.
_FLAT = 0.4


def plot_attention(
    picture: Any, sentence: Sentence | Any, *, grid: tuple[int, int] | None = None, columns: int = 6
) -> Any:
    """Draw a picture or a spectrogram once for each word of a sentence, lit up where the decoder looked for it.

    All panels have one scale, so that a word for which the decoder looked at one place glows, and one for which it
    looked everywhere or did not need the picture stays dim.

    Args:
        picture: array (height, width, 3) in 0..255, or the path or the bytes of a picture; or a spectrogram (time,
            frequency) of floats, such as `mm.layers.LogMelSpectrogram` makes.
        sentence: what `task.generate(record, return_attention=True)` returned for it; or an array (query, token), such
            as one head of what `attention_maps` gives.
        grid: rows and columns of the tokens that were looked at, which are cells of the picture row by row. None takes
            a square, or where their number is no square, the grid whose cells are nearest to one on this picture; the
            tokens of a spectrogram are moments.
        columns: how many words stand side by side.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig("attention.png")` saves it.

    Example:

    >>> attention = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    >>> sentence = mm.models.Sentence("dog", ["dog", "[END]"], 0.0, 0.0, attention)
    >>> figure = plot_attention(np.full((32, 32, 3), 200, "uint8"), sentence)
    >>> [axis.get_title() for axis in figure.axes[:2]]
    ['dog', '[END]']
    """
    attention, words = _attention_of(sentence)
    if not isinstance(columns, int) or columns < 1:
        raise ValueError(f"`columns` must be a positive integer. Received: columns={columns!r}")
    is_sound = isinstance(picture, np.ndarray) and picture.ndim == 2 and picture.dtype.kind == "f"
    picture = grey_spectrogram(picture) if is_sound else _levels(picture)
    num_words, num_tokens = attention.shape
    if grid is None and is_sound:
        grid = 1, num_tokens
    if grid is None:
        grid = attention_grid(num_tokens, picture.shape)
        if grid is None:
            raise ValueError(
                "The tokens must be cells of the picture, and their number fits no grid on one of this shape: give "
                "`grid=(rows, columns)`, or leave out tokens that are no cells, sentence._replace(attention="
                f"sentence.attention[:, 1:]). Received: {num_tokens} tokens, a picture of shape {picture.shape}"
            )
    elif len(grid) != 2 or grid[0] * grid[1] != num_tokens:
        raise ValueError(
            f"`grid` must be (rows, columns) of the {num_tokens} tokens that were looked at. Received: grid={grid!r}"
        )
    figure_class = import_figure()
    from matplotlib.colors import LinearSegmentedColormap

    height, width = picture.shape[:2]
    columns = min(columns, num_words)
    rows = -(-num_words // columns)
    # Placed by hand: Matplotlib's own layouts measure every axis, which takes them most of a second.
    panel_height = _PANEL * min(2.0, max(_FLAT, height / width) if is_sound else height / width)
    size = columns * (_PANEL + _GAP) + _BAR, rows * (panel_height + _TITLE) + _GAP
    figure = figure_class(figsize=size)
    light = LinearSegmentedColormap.from_list("veil_to_light", _VEIL_TO_LIGHT)
    for number, (word, looked) in enumerate(zip(words, attention, strict=True)):
        row, column = divmod(number, columns)
        left, bottom = _GAP + column * (_PANEL + _GAP), size[1] - (row + 1) * (panel_height + _TITLE)
        axis = figure.add_axes((left / size[0], bottom / size[1], _PANEL / size[0], panel_height / size[1]))
        aspect = "auto" if is_sound else "equal"
        axis.imshow(picture, extent=(0, width, height, 0), aspect=aspect)
        shown = axis.imshow(
            looked.reshape(grid),
            extent=(0, width, height, 0),
            cmap=light,
            vmin=0,
            vmax=max(attention.max(), 1e-9),
            interpolation="bicubic",
            aspect=aspect,
        )
        axis.set_title(str(word), fontsize=10, pad=4)
        axis.set_axis_off()
    long = min(size[1] - 2 * _TITLE, 2.5)
    bar = figure.add_axes(((size[0] - _BAR + 0.1) / size[0], 0.5 - long / size[1] / 2, 0.1 / size[0], long / size[1]))
    figure.colorbar(shown, cax=bar, format=lambda share, _: f"{100 * share:.0f} %")
    bar.set_ylabel("share of a moment" if is_sound else "share of a cell", fontsize=7)
    bar.tick_params(labelsize=7)
    return figure


def attention_grid(num_tokens: int, picture_shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns of tokens that are cells of a picture; None where no grid has cells that are nearly square."""
    side = round(num_tokens**0.5)
    if side**2 == num_tokens:
        return side, side
    height, width = picture_shape[:2]
    grids = [(rows, num_tokens // rows) for rows in range(1, num_tokens + 1) if num_tokens % rows == 0]
    stretch, grid = min((abs(np.log(height / rows / (width / columns))), (rows, columns)) for rows, columns in grids)
    return grid if stretch < np.log(_STRETCH) else None


def _attention_of(sentence):
    """Attention as an array (word, token), and the words."""
    attention, words = getattr(sentence, "attention", None), getattr(sentence, "words", None)
    if isinstance(sentence, np.ndarray):
        attention, words = sentence, list(range(len(sentence))) if sentence.ndim else []
    if attention is None:
        raise ValueError(
            "`sentence` must hold what was looked at: task.generate(record, return_attention=True), of a decoder that "
            f"attends. Received: {sentence!r:.120}"
        )
    attention = np.asarray(attention, "float32")
    if attention.ndim != 2 or not attention.size or len(attention) != len(words):
        raise ValueError(
            "The attention of a sentence has a row for each word, (word, token), of one word at least, and that of "
            f"`attention_maps` one for each query: take one head. Received: shape {attention.shape}, {len(words)} words"
        )
    return attention, words


def _levels(picture):
    if isinstance(picture, (list, tuple)):
        picture = np.asarray(picture)
    picture = load_image(picture)
    if picture.dtype.kind == "f" and picture.max() <= 1 and (picture != np.round(picture)).any():
        raise ValueError(
            "`picture` is in 0..1, but pictures are in 0..255 here: multiply it by 255. Received: values in "
            f"{picture.min():.3g}..{picture.max():.3g}"
        )
    return np.clip(picture, 0, 255).astype("uint8")
