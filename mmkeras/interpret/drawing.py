"""Panels, one below the other, that show what counted."""

import numpy as np

from mmkeras.data.media.figure import import_figure

_WIDTH = 8.0
_MARGIN = 0.3
_FULL = _WIDTH - 2 * _MARGIN
_TITLE = 0.34
_HEAT = "inferno"
_SIGNED = "RdBu_r"
# So many cells a signed map is summed over along its longer side: single pixels cannot be read.
_CELLS = 32
_FRAMES = 6
_FONT = 12


def grey_spectrogram(spectrogram):
    """A spectrogram (time, frequency) as a picture (height, width, 3), high sounds at the top."""
    low, high = np.percentile(spectrogram, [1, 99])
    grey = np.clip((spectrogram - low) / max(high - low, 1e-9), 0, 1).T[::-1, :, None]
    return np.repeat((255 * grey).astype("uint8"), 3, axis=-1)


class Panels:
    """A figure that grows downwards; sizes are inches.

    Args:
        title: what was answered.
        subtitle: how it was explained.
        signed: whether numbers speak for and against, or lie in 0..1.
        maps: what will be drawn: where a modality counted little beside another, its colours are pale.
    """

    def __init__(self, title, subtitle, signed, maps):
        self._figure_class = import_figure()
        import matplotlib

        self._title, self._subtitle, self._signed = title, subtitle, signed
        self._colours = matplotlib.colormaps[_SIGNED if signed else _HEAT]
        self._panels = []
        totals = [float(np.abs(_in_cells(values)).sum()) for values in maps]
        self._most = max(totals, default=0.0)

    def add_picture(self, title, picture, values):
        """A picture, and beside it its heat."""
        height, width = picture.shape[:2]
        size = min(2.6 * width / height, (_FULL - 0.2) / 2)
        picture, heat = _pixels(picture), self._over(_pixels(picture), values)

        def draw(make_axis):
            for place, shown in enumerate((picture, heat)):
                axis = make_axis(place * (size + 0.2), size, size * height / width)
                _bare(axis).imshow(shown, interpolation="nearest")

        self._panels.append((title, size * height / width, draw))

    def add_frames(self, title, frames, values):
        """A strip of frames, their heat below, and how much each counted."""
        chosen = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
        limit = self._limit_of(_in_cells(values)) if self._signed else 1.0
        plain = [_pixels(frames[index]) for index in chosen]
        heat = [self._over(shown, values[index], limit) for shown, index in zip(plain, chosen, strict=True)]
        width = _FULL / len(chosen)
        high = min(width * frames.shape[1] / frames.shape[2], 2.0)
        width = high * frames.shape[2] / frames.shape[1]
        per_frame = values.sum(axis=(1, 2)) if self._signed else values.max(axis=(1, 2))

        def draw(make_axis):
            for row, strip in enumerate((plain, heat)):
                axis = make_axis(0, width * len(strip), high, below=row * (high + 0.05))
                _bare(axis).imshow(np.concatenate(strip, axis=1), aspect="auto", interpolation="nearest")
            axis = make_axis(0, width * len(chosen), 0.6, below=2 * (high + 0.05) + 0.05)
            self._bars(axis, per_frame)
            axis.set_xlabel("frame", fontsize=8, labelpad=1)

        self._panels.append((title, 2 * high + 1.05, draw))

    def add_spectrogram(self, title, spectrogram, values):
        """A spectrogram in grey, its heat over it."""
        heat = self._over(grey_spectrogram(spectrogram), values.T[::-1])

        def draw(make_axis):
            axis = make_axis(0.25, _FULL - 0.25, 1.6)
            _bare(axis).imshow(heat, aspect="auto", interpolation="nearest")
            axis.set_ylabel("frequency", fontsize=8)
            axis.set_xlabel("time", fontsize=8, labelpad=2)

        self._panels.append((title, 1.8, draw))

    def add_curves(self, title, curves, values):
        """Curves over time, what counted as the colour behind them."""
        cells = _summed(values, min(len(values), 4 * _CELLS), mean=not self._signed)
        limit = self._limit_of(cells) if self._signed else 1.0
        span = np.abs(curves).max(axis=0, keepdims=True)
        curves = curves / np.where(span > 0, span, 1)

        def draw(make_axis):
            axis = _bare(make_axis(0, _FULL, 0.9 + 0.12 * min(curves.shape[1], 12)))
            low = -limit if self._signed else 0.0
            colours = self._colours((cells - low) / (limit - low))
            if not self._signed:
                colours = 1 - (1 - colours) * cells[:, None] * 0.8
            axis.imshow(colours[None, :, :3], extent=(0, 1, -1.1, 1.1), aspect="auto", interpolation="nearest")
            places = np.linspace(0, 1, len(curves))
            thin = 0.5 if len(curves) > 500 else 0.9
            for number in range(curves.shape[1]):
                axis.plot(
                    places, curves[:, number], linewidth=thin, color=f"{0.15 + 0.4 * number / curves.shape[1]:.2f}"
                )
            axis.set_xlim(0, 1)
            axis.set_xlabel("time", fontsize=8, labelpad=2)

        self._panels.append((title, 1.1 + 0.12 * min(curves.shape[1], 12), draw))

    def add_bars(self, title, values):
        """A bar for each number."""

        def draw(make_axis):
            self._bars(make_axis(0.45, _FULL - 0.45, 1.1), values, numbers=True)

        self._panels.append((title, 1.35, draw))

    def add_words(self, title, words, values):
        """Words, each on its colour."""
        from matplotlib.textpath import TextPath

        limit = self._limit_of(values) if self._signed else 1.0
        lines, x = [[]], 0.0
        for word, value in zip(words, values, strict=False):
            # An inch has 72 points.
            width = TextPath((0, 0), word.replace("$", r"\$"), size=_FONT).get_extents().width / 72 + 0.16
            if x + width > _FULL and lines[-1]:
                lines.append([])
                x = 0.0
            lines[-1].append((x, width, word, value))
            x += width + 0.06
        height = 0.42 * len(lines)

        def draw(make_axis):
            from matplotlib.patches import FancyBboxPatch

            axis = make_axis(0, _FULL, height)
            axis.set_axis_off()
            axis.set_xlim(0, _FULL)
            axis.set_ylim(height, 0)
            for row, line in enumerate(lines):
                for x, width, word, value in line:
                    colour = self._colours(0.5 + 0.5 * value / limit if self._signed else value)
                    box = FancyBboxPatch(
                        (x + 0.02, 0.42 * row + 0.05), width - 0.04, 0.3, boxstyle="round,pad=0.02", color=colour, lw=0
                    )
                    axis.add_patch(box)
                    ink = "white" if np.dot(colour[:3], (0.3, 0.6, 0.1)) < 0.5 else "black"
                    place = x + width / 2, 0.42 * row + 0.2
                    axis.text(*place, word.replace("$", r"\$"), fontsize=_FONT, color=ink, ha="center", va="center")

        self._panels.append((title, height, draw))

    def figure(self):
        """All panels as a `matplotlib.figure.Figure`."""
        head = 0.75
        total = head + sum(_TITLE + height + 0.12 for _, height, _ in self._panels) + 0.55
        figure = self._figure_class(figsize=(_WIDTH, total))

        def axis_at(top):
            def make_axis(left, width, height, below=0.0):
                bottom = total - top - below - height
                box = (_MARGIN + left) / _WIDTH, bottom / total, width / _WIDTH, height / total
                return figure.add_axes(box)

            return make_axis

        figure.text(_MARGIN / _WIDTH, 1 - 0.18 / total, _shortened(self._title), fontsize=13, weight="bold", va="top")
        figure.text(_MARGIN / _WIDTH, 1 - 0.44 / total, self._subtitle, fontsize=9, color="0.4", va="top")
        top = head
        for title, height, draw in self._panels:
            figure.text(_MARGIN / _WIDTH, 1 - (top + 0.12) / total, title, fontsize=10, va="center")
            draw(axis_at(top + _TITLE - 0.08))
            top += _TITLE + height + 0.12
        self._legend(axis_at(top + 0.08)(_FULL - 2.2, 2.2, 0.1))
        return figure

    def _legend(self, axis):
        _bare(axis).imshow(self._colours(np.linspace(0, 1, 256))[None, :, :3], aspect="auto", extent=(0, 1, 0, 1))
        ends = ("against it", "for it") if self._signed else ("little", "much")
        axis.set_xticks([0.0, 1.0], ends, fontsize=8)
        axis.tick_params(length=0, pad=2)

    def _over(self, picture, values, limit=None):
        """A picture, greyed, with its heat over it."""
        grey = np.repeat(picture.astype(float).mean(axis=-1, keepdims=True), 3, axis=-1)
        if self._signed:
            cells = _in_cells(values)
            limit = self._limit_of(cells) if limit is None else limit
            rows, columns = (
                np.arange(size) * count // size for size, count in zip(values.shape, cells.shape, strict=True)
            )
            shares = np.clip(cells / limit, -1, 1)[rows][:, columns]
            colours, weight = self._colours(0.5 + 0.5 * shares), np.abs(shares) ** 0.7
            ground = 0.55 * grey + 0.45 * 255
        else:
            shares = np.clip(values, 0, 1)
            colours, weight = self._colours(0.15 + 0.85 * shares), 0.8 * shares**1.3
            ground = 0.45 * picture + 0.35 * grey
        weight = weight[..., None]
        return np.clip((1 - weight) * ground + weight * 255 * colours[..., :3], 0, 255).astype("uint8")

    def _bars(self, axis, values, numbers=False):
        limit = float(np.abs(values).max(initial=0)) or 1.0
        colours = self._colours(0.5 + 0.5 * np.sign(values) * 0.75) if self._signed else self._colours(0.6)
        axis.bar(np.arange(len(values)), values, width=0.8 if len(values) < 100 else 1.0, color=colours)
        axis.axhline(0, color="0.6", linewidth=0.6)
        axis.set_xlim(-0.5, len(values) - 0.5)
        axis.set_ylim(-limit if np.min(values) < 0 else 0, limit)
        axis.tick_params(labelsize=8, length=2)
        axis.spines[["top", "right"]].set_visible(False)
        if len(values) <= 20:
            axis.set_xticks(range(len(values)))
        if not numbers:
            _bare(axis)

    def _limit_of(self, cells):
        """The number that has the full colour."""
        share = float(np.abs(_in_cells(cells)).sum()) / max(self._most, 1e-12)
        return _largest(cells) / np.cbrt(np.clip(share, 0.02, 1.0))


def _largest(values):
    # One pixel that stands out must not leave all others pale.
    sizes = np.abs(values)
    return max(float(np.percentile(sizes, 99) if sizes.size > 100 else sizes.max(initial=0)), 1e-9)


def _bare(axis):
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    return axis


def _pixels(picture):
    picture = np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture
    return np.clip(picture, 0, 255).astype("uint8")


def _in_cells(values):
    """Sums of a map over cells, along its last two axes or its only one."""
    if values.ndim == 1:
        return _summed(values, min(len(values), 4 * _CELLS)) if len(values) else values
    side = max(values.shape[-2:])
    for axis in (-2, -1):
        count = max(1, min(values.shape[axis], round(_CELLS * values.shape[axis] / side)))
        values = np.moveaxis(_summed(np.moveaxis(values, axis, 0), count), 0, axis)
    return values


def _summed(values, count, mean=False):
    """Sums, or means, of equal parts of a series."""
    edges = np.arange(count) * len(values) // count
    sums = np.add.reduceat(values, edges, axis=0)
    sizes = np.diff([*edges, len(values)]).reshape(-1, *[1] * (sums.ndim - 1))
    return sums / sizes if mean else sums


def _shortened(text, length=72):
    return text if len(text) <= length else text[: length - 1] + "…"
