"""A report as one figure, with a panel for everything that varies."""

import math

from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.sections import headline, printable

# Columns of the figure by the number of panels; three for more.
_COLUMNS = {1: 1, 2: 2, 4: 2}
_PANEL_INCHES = (4.2, 2.9)
_MAX_BARS = 15
# Room for at least so many bars, so that few of them do not grow into blocks.
_MIN_BARS = 5
_MAX_NAME = 26
_FINE, _BROKEN, _MISSING = "#4878b0", "#c8453b", "#d5dae1"
_COLORS = {"image": "#4878b0", "audio": "#5f9e6e", "video": "#8a6fae", "text": "#c58a3d", "array": "#5aa0a8"}
_OTHER = "#7c8896"


def draw(report: DataReport):
    """Draw the figure; nothing is shown or saved.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("Drawing a report needs matplotlib: pip install 'mmkeras[plots]'") from error
    panels = [_draw_keys, *_pattern_panels(report), *_class_panels(report), *_size_panels(report)]
    columns = _COLUMNS.get(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    # No pyplot: a figure of its own is drawn on any machine and is gone with its last reference.
    figure = Figure(figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 0.5), layout="constrained")
    figure.suptitle(_name(headline(report), 60 * columns), fontsize=11, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, axis in zip(panels, axes, strict=False):
        panel(report, axis)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        # Records are counted, along the bars.
        counts = axis.xaxis if axis.yaxis_inverted() else axis.yaxis
        counts.set_major_locator(MaxNLocator(5, integer=True))
    for axis in axes[len(panels) :]:
        axis.remove()
    return figure


def _draw_keys(report, axis):
    keys = list(report.kinds)
    broken = [len(report.rows("broken", key)) for key in keys]
    missing = [report.missing[key] for key in keys]
    fine = [report.present[key] - count for key, count in zip(keys, broken, strict=True)]
    start = [0] * len(keys)
    for counts, color, label in ((fine, _FINE, "fine"), (broken, _BROKEN, "broken"), (missing, _MISSING, "missing")):
        if any(counts):
            axis.barh(range(len(keys)), counts, left=start, color=color, label=label, height=0.65)
        start = [a + b for a, b in zip(start, counts, strict=True)]
    _name_bars(axis, keys)
    if any(broken) or any(missing):
        axis.legend(fontsize=7, loc="lower right", framealpha=0.9)
    _entitle(axis, "Records by key")


def _pattern_panels(report):
    if len(report.patterns) < 2:
        return []

    def draw_patterns(report, axis):
        shown = report.patterns[:_MAX_BARS]
        names = [" + ".join(pattern["present"]) or "nothing" for pattern in shown]
        _bars(axis, names, [pattern["count"] for pattern in shown], _OTHER)
        _entitle(axis, "Modalities that occur together")

    return [draw_patterns]


def _class_panels(report):
    def panel(key, balance):
        def draw_classes(report, axis):
            shown = list(balance["counts"].items())[:_MAX_BARS]
            _bars(axis, [name for name, _ in shown], [count for _, count in shown], _OTHER)
            more = f", the largest {len(shown)}" if balance["num_classes"] > len(shown) else ""
            _entitle(axis, f"{key}: {balance['num_classes']:,} classes{more}")

        return draw_classes

    return [panel(key, balance) for key, balance in report.balance.items()]


def _size_panels(report):
    def panel(key, quantity, size):
        def draw_sizes(report, axis):
            color = _COLORS.get(report.kinds[key], _OTHER)
            if "values" in size:
                names = [f"{value:,}" for value in size["values"]]
                axis.bar(names, size["counts"], color=color, width=0.7)
                axis.tick_params(axis="x", rotation=45 if max(map(len, names)) * len(names) > 36 else 0)
            else:
                edges = size["edges"]
                axis.stairs(size["counts"], edges, fill=True, color=color)
                if edges[0] > 0 and not math.isclose(edges[2] - edges[1], edges[1] - edges[0], rel_tol=1e-3):
                    axis.set_xscale("log")
                axis.axvline(size["median"], color="#1d2733", linewidth=1, linestyle=":")
            _entitle(axis, f"{key}: {quantity}, median {size['median']:,.4g}")

        return draw_sizes

    return [
        panel(key, quantity, size)
        for key, quantities in report.sizes.items()
        for quantity, size in quantities.items()
        # What is the same everywhere stands in the table.
        if len(size["counts"]) > 1
    ]


def _bars(axis, names, counts, color):
    bars = axis.barh(range(len(names)), counts, color=color, height=0.65)
    axis.bar_label(bars, [f"{count:,}" for count in counts], fontsize=7, padding=2)
    axis.margins(x=0.15)
    _name_bars(axis, names)


def _name_bars(axis, names):
    axis.set_yticks(range(len(names)), [_name(name) for name in names], parse_math=False)
    axis.set_ylim(max(len(names), _MIN_BARS) - 0.5, -0.5)


def _entitle(axis, title):
    axis.set_title(_name(title, 48), fontsize=9.5, loc="left", parse_math=False)


def _name(text, longest=_MAX_NAME):
    """Text as the figure's font can draw it."""
    from matplotlib.font_manager import findfont, get_font

    characters = get_font(findfont("DejaVu Sans")).get_charmap()
    text = "".join(c if ord(c) in characters else "□" for c in printable(text))
    return text if len(text) <= longest else text[: longest - 3] + "..."
