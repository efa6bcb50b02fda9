"""Pieces of a page that needs nothing but itself: pictures and sounds inside it, bars, tables."""

import base64
import html
import io

import numpy as np
import PIL.Image
import soundfile


def escape(value):
    return html.escape(str(value))


def image(data, alt, css="", width=None):
    """An `<img>` of PNG bytes, or of a picture as an array; with what it shows in words."""
    if isinstance(data, np.ndarray):
        buffer = io.BytesIO()
        PIL.Image.fromarray(data).save(buffer, "PNG", optimize=True)
        data = buffer.getvalue()
    size = f' width="{width}"' if width else ""
    source = base64.b64encode(data).decode()
    return f'<img class="{css}" alt="{escape(alt)}"{size} src="data:image/png;base64,{source}">'


def figure(drawn, alt, dpi=110):
    """An `<img>` of a matplotlib figure."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=dpi)
    return image(in_few_colours(buffer.getvalue()), alt, "figure")


def in_few_colours(data):
    """PNG bytes with a palette, a third of the size; colours of small things stay, which a median cut would lose."""
    buffer, picture = io.BytesIO(), PIL.Image.open(io.BytesIO(data)).convert("RGB")
    reduced = picture.quantize(256, PIL.Image.Quantize.MAXCOVERAGE, kmeans=3, dither=PIL.Image.Dither.NONE)
    reduced.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def wave(audio, columns=400, height=48):
    """A sound as an SVG: its lowest and highest value in each of many columns."""
    parts = np.array_split(np.asarray(audio), columns)
    loudest = max(float(np.abs(audio).max()), 1e-6)
    ends = [(height / 2) * (1 - np.array([part.max(), part.min()]) / loudest) for part in parts]
    lines = "".join(f"M{index} {top:.1f}V{bottom + 0.5:.1f}" for index, (top, bottom) in enumerate(ends))
    return (
        f'<svg class="wave" viewBox="0 0 {columns} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform"><path d="{lines}"/></svg>'
    )


def sound(audio, rate=8_000):
    """Something to press and hear."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format="WAV", subtype="PCM_16")
    return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"></audio>'


def bar(score, best, is_control):
    """A score as a number and a bar, with a mark at the best that it could be."""
    kind = "control" if is_control else "model"
    mark = "" if best is None else f'<i style="left:{100 * best:.1f}%" title="best possible: {best:.3f}"></i>'
    filled = f'<b class="{kind}" style="width:{100 * min(1.0, score):.1f}%"></b>'
    return f'<span class="score">{score:.3f}</span><span class="bar">{filled}{mark}</span>'


def table(header, rows, css="", right=()):
    """A table of cells that are HTML already; it scrolls sideways where the screen is narrow.

    Args:
        header: names of the columns.
        rows: list of lists of HTML; a string stands for a line across all columns.
        css: class of the table.
        right: numbers of the columns that are set flush right.
    """

    def cells(tag, values):
        return "".join(
            f"<{tag}{' class=right' if index in right else ''}>{value}</{tag}>" for index, value in enumerate(values)
        )

    body = "".join(
        f'<tr class="group"><th colspan="{len(header)}">{row}</th></tr>'
        if isinstance(row, str)
        else f"<tr>{cells('td', row)}</tr>"
        for row in rows
    )
    head = cells("th", map(escape, header))
    return f'<div class="wide"><table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def scores(part):
    """The scores of a part beside its controls."""
    rows = [
        [
            f'<span class="{"quiet" if row.key else "strong"}">{escape(row.name)}</span>',
            *(bar(score, best, row.key) for score, best in zip(row.scores, row.best, strict=True)),
        ]
        for row in part.rows
    ]
    return table(["", *part.columns.values()], rows, "scores many" if len(part.columns) > 1 else "scores")


def told(is_right):
    """A mark of right or wrong that is not told by colour alone."""
    return '<span class="yes">true</span>' if is_right else '<span class="no">wrong</span>'
