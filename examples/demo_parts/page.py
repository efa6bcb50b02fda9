"""The page of the demo: one HTML file that holds its pictures, its sounds and its style."""

import os
import pathlib
import platform
import string

import keras

from demo_parts import sections
from demo_parts.pieces import escape, table

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
GUIDES = (
    ("README.md", "the library in ten lines of code, your own files, all encoders and fusions"),
    ("docs/retrieval.md", "towers, losses over pairs, measures, an index"),
    ("docs/choosing.md", "which data, encoder and fusion, and how to tell that it helped"),
    ("docs/sentences.md", "captioners and translators: decoders, beams, measures"),
    ("docs/video.md", "clips with sound: which task, how the streams meet, explanations"),
    ("docs/fusion.md", "which fusion, and whether it helped"),
    ("docs/export.md", "TF Serving, phones, browsers, and what it says when it says no"),
)

# How each model is asked from the command line: the ending of its file, and what it is asked about.
ASKS = (
    ("captioner", ".tflite", "--image {}/0.png"),
    ("search", ".tflite", '--signature embed_text --text "a big red star at the top left"'),
    ("clips", "", "--video {}/0.mkv"),
    ("parcels", ".tflite", "--records {}/records.jsonl"),
)


def write(path, parts, shipped, *, seconds):
    """Write the page.

    Args:
        path: the file.
        parts: dict name -> `Part`.
        shipped: dict name -> list of `Artefact`s.
        seconds: how long that took.
    """
    path = pathlib.Path(path)
    shown = [getattr(sections, name)(part, shipped[name]) for name, part in parts.items()]
    page = string.Template((HERE / "page.html").read_text()).substitute(
        css=(HERE / "page.css").read_text(),
        seconds=f"{seconds:.0f}",
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}, Keras {keras.__version__}.",
        cards="".join(map(card, parts.values())),
        sections="\n".join([*shown, artefacts(parts, shipped, path.parent), onward(parts, path.parent)]),
    )
    path.write_text(page, encoding="utf-8")
    return path


def card(part):
    """The first score of a part beside that of its best control, as a link to its section."""
    first, control = part.rows[0], max(part.rows[1:], key=lambda row: row.scores[0])
    return (
        f'<a class="card" href="#{part.name}"><small>{escape(part.title)}</small><b>{first.scores[0]:.3f}</b>'
        f"<small>{escape(next(iter(part.columns.values())))}</small>"
        f"<small>{control.scores[0]:.3f}: {escape(control.name)}</small></a>"
    )


def artefacts(parts, shipped, folder):
    """What was shipped: where it is, how large, how fast, and how far from Keras."""
    rows = []
    for name, part in parts.items():
        rows.append(
            f"{escape(part.title)}: <code>{escape(part.signatures[0])}</code>, {len(part.records)} records asked"
        )
        for one in shipped[name]:
            rows.append(
                [
                    f"<code>{escape(os.path.relpath(one.path, folder))}</code>",
                    escape(one.kind),
                    f"{one.num_bytes / 1024:,.0f} KB",
                    f"{one.score:.3f}",
                    f"{one.difference:.0e}" if one.difference else "0",
                    "" if one.agreement is None else f"{100 * one.agreement:.1f} %",
                    f"{one.milliseconds:.2f} ms",
                ]
            )
    header = ("file", "format", "size", "score", "differs by", "same words", "one request")
    return (
        '<section id="artefacts"><h2>What was shipped</h2><p>Each export was loaded by a process that has neither '
        "Keras nor mmkeras, compared, and only then put in place. Then it was asked what stands on this page, from the "
        "bytes of PNG, wav and Matroska files: the SavedModel by TensorFlow's C library, as a server does it, the "
        "TFLite file by LiteRT.</p>"
        + table(header, rows, "artefacts", right=(2, 3, 4, 5, 6))
        + '<p class="note">Differences are from what Keras answers here: the largest of any number, and the share of '
        "answers in words that are the same; for <code>.keras</code> files, of a fresh process that loads them. One "
        "request is the median for one record. For <code>.keras</code> it is <code>model.predict</code> on prepared "
        "tensors; the others read the file, too. <code>.keras</code> holds the state of the optimizer besides, so that "
        "training can go on.</p></section>"
    )


def onward(parts, folder):
    """How to make it again, how to ask what is there, and what to read."""
    place = os.path.relpath(folder, ROOT)
    place = place if not place.startswith("..") else str(folder)
    asks = [
        f"mmkeras predict {place}/{name}{ending} {words.format(f'{place}/asked/{name}')}"
        for name, ending, words in ASKS
        if name in parts
    ]
    guides = "".join(
        f'<li><a href="{escape(os.path.relpath(ROOT / guide, folder))}"><code>{guide}</code></a>: {escape(words)}</li>'
        for guide, words in GUIDES
        if (ROOT / guide).is_file()
    )
    lines = [
        "make demo",
        "",
        "# ask what was shipped; `make` puts this command into .venv/bin",
        *asks,
        "",
        "# what TF Serving reads",
    ]
    return (
        '<section id="next"><h2>Make it again, and go on</h2>'
        f"<pre>{escape(chr(10).join([*lines, f'mmkeras serve-config {place}']))}</pre><ul>{guides}</ul></section>"
    )
