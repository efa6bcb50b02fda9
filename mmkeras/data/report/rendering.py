"""A report as text for a terminal and as an HTML page."""

import base64
import html
import io

from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.sections import BARS, headline, printable, sections, verdict

_WIDTH = 100

_STYLE = """
.mmkeras-report { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; max-width: 62em; margin: 0 auto; }
.mmkeras-report h1 { font-size: 1.35em; margin: 0 0 .4em; }
.mmkeras-report h2 { font-size: 1.05em; margin: 1.8em 0 .4em; }
.mmkeras-report table { border-collapse: collapse; min-width: 30em; }
.mmkeras-report th, .mmkeras-report td { padding: .25em .9em .25em 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e3e8ee; overflow-wrap: anywhere; }
.mmkeras-report th { color: #5a6b7d; font-weight: 600; white-space: nowrap; }
.mmkeras-report .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.mmkeras-report .bars { color: #3b6fb6; white-space: pre; letter-spacing: -.5px; }
.mmkeras-report .note { color: #5a6b7d; margin: .4em 0 0; }
.mmkeras-report ul { margin: 0; padding-left: 1.2em; }
.mmkeras-report img { max-width: 100%; margin-top: 1.5em; }
"""


def to_text(report: DataReport) -> str:
    """Tables of at most 100 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Whatever notebook or terminal this runs in, the text goes into the string and nowhere else.
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, force_terminal=False, force_jupyter=False)
    console.print(Text(printable(headline(report))))
    for line in verdict(report):
        console.print(Text(f"- {line}"))
    for section in sections(report):
        console.print()
        if not any(section.columns):
            console.print(Text(f"{section.title}\n"))
            for (line,) in section.rows:
                console.print(Text(f"  {printable(line)}"))
            continue
        title = Text(printable(section.title))
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
        for name in section.columns:
            table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
        if section.note:
            console.print(Text(f"  {printable(section.note)}"))
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def to_body(report: DataReport, figure: str = "") -> str:
    """The tables as a piece of HTML with its style; `figure` is HTML to be put before them."""
    parts = [f"<style>{_STYLE}</style>", '<div class="mmkeras-report">', f"<h1>{_escape(headline(report))}</h1>"]
    parts += [*_list(verdict(report)), figure]
    for section in sections(report):
        parts.append(f"<h2>{_escape(section.title)}</h2>")
        if not any(section.columns):
            parts += _list(line for (line,) in section.rows)
            continue
        classes = [_class(name) for name in section.columns]
        parts += ["<table>", _row("th", (name.lstrip(">") for name in section.columns), classes)]
        parts += [*(_row("td", row, classes) for row in section.rows), "</table>"]
        if section.note:
            parts.append(f'<p class="note">{_escape(section.note)}</p>')
    return "\n".join([*parts, "</div>"])


def to_page(report: DataReport) -> str:
    """A whole page, the figure inside."""
    buffer = io.BytesIO()
    report.plot().savefig(buffer, format="png", dpi=110)
    picture = base64.b64encode(buffer.getvalue()).decode()
    body = to_body(report, f'<img alt="Distributions" src="data:image/png;base64,{picture}">')
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_escape(report.name)}</title>\n'
        f"<style>body {{ margin: 2em; }}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _list(lines):
    return ["<ul>", *(f"<li>{_escape(line)}</li>" for line in lines), "</ul>"]


def _row(tag, cells, classes):
    cells = (f"<{tag}{name}>{_escape(cell)}</{tag}>" for cell, name in zip(cells, classes, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _class(name):
    if name.startswith(">"):
        return ' class="number"'
    return ' class="bars"' if name in BARS else ""


def _escape(text):
    return html.escape(printable(text))
