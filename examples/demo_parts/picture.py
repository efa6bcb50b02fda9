"""The results of the demo as one picture, for a README: what was said, found and heard, and the scores."""

import io
import pathlib

import numpy as np
from matplotlib.figure import Figure

import mmkeras as mm
from demo_parts.clips import FRAME_LABEL
from demo_parts.pieces import in_few_colours
from demo_parts.search import vectors

INK, QUIET, MODEL, CONTROL, RIGHT, WRONG = "#1d2127", "#626a75", "#1f6f8b", "#c9ccd1", "#1e7a46", "#b3372f"
WIDTH, HEIGHT, DPI, CAPTIONS, HITS = 11.2, 6.3, 110, 5, 5


def draw(path, parts, shipped):
    """Write the picture.

    Args:
        path: the .png file.
        parts: dict name -> `Part`.
        shipped: dict name -> list of `Artefact`s; what the last one of each answered is shown.
    """
    answers = {name: made[-1].answers for name, made in shipped.items()}
    panels = [(name, size) for name, size in (("captioner", 2.5), ("search", 1.9), ("clips", 1.9)) if name in parts]
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
    rows = left.subfigures(len(panels), 1, height_ratios=[size for _, size in panels], squeeze=False)[:, 0]
    for row, (name, _) in zip(rows, panels, strict=True):
        {"captioner": _captions, "search": _search, "clips": _clip}[name](row, parts[name], answers[name])
    _scores(right, parts)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    pathlib.Path(path).write_bytes(in_few_colours(buffer.getvalue()))


def _captions(figure, part, answers):
    figure.suptitle("what it says of pictures it never saw", **_title())
    said = [answer["text"] for answer in answers["generate"]][:CAPTIONS]
    true = part.facts["true"](said)
    for axis, picture, sentence, is_true in zip(
        figure.subplots(1, len(said)), part.facts["pictures"], said, true, strict=False
    ):
        _picture(axis, picture, INK)
        words = sentence.split()
        lines = [" ".join(words[start : start + 4]) for start in range(0, len(words), 4)]
        axis.set_xlabel("\n".join(lines), fontsize=7.5, color=INK if is_true else WRONG)


def _search(figure, part, answers):
    text, pictures = vectors(answers)
    scenes = part.facts["scenes"]
    figure.suptitle(f"what it finds for “{part.facts['sentences'][0]}”", **_title())
    hits = mm.retrieval.Index().add(pictures).search(text[0], k=HITS).keys
    for axis, hit in zip(figure.subplots(1, len(hits)), hits, strict=True):
        is_right = scenes[hit] == scenes[0]
        _picture(axis, part.facts["pictures"][hit], RIGHT if is_right else CONTROL, 2.5 if is_right else 1)


def _clip(figure, part, answers):
    clip, answer = part.facts["clips"][0], answers["classify"][0]
    words = f"{answer['colour']} {answer['source']} is heard, of {answer['material']}"
    figure.suptitle(f"what it hears in a clip: the {words}", **_title())
    strip, wave = figure.subplots(2, 1, sharex=True)
    strip.imshow(np.concatenate(list(clip["video"]), axis=1), extent=(0, 1, 0, 1), aspect="auto")
    wave.plot(np.linspace(0, 1, len(clip["audio"])), clip["audio"], color=MODEL, linewidth=0.4)
    moments = answers["tag"][0][FRAME_LABEL]
    for row, moment in enumerate(moments):
        if moment != "none":
            wave.text(
                (row + 0.5) / len(moments),
                1.0,
                moment,
                transform=wave.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=7,
                color=MODEL if moment == "heard" else QUIET,
            )
    for axis in (strip, wave):
        axis.set(xticks=[], yticks=[], xlim=(0, 1))
        axis.spines[:].set_visible(False)


def _scores(figure, parts):
    """A bar for each model and each control, with a mark at the best that could be."""
    figure.suptitle("scores on unseen data, beside controls", **_title())
    axis = figure.subplots()
    place = 0.0
    for part in parts.values():
        axis.text(0, place, part.title, fontsize=8, color=INK, weight="bold", va="center")
        for row in part.rows:
            place += 0.95
            score, best = row.scores[0], row.best[0]
            axis.barh(place + 0.42, score, 0.28, color=CONTROL if row.key else MODEL)
            if best is not None:
                axis.plot([best, best], [place + 0.2, place + 0.64], color=INK, linewidth=1)
            axis.text(0, place + 0.02, row.name, fontsize=7, color=QUIET if row.key else INK, va="center")
            axis.text(1.03, place + 0.42, f"{score:.3f}", fontsize=8, color=QUIET if row.key else INK, va="center")
        place += 1.5
    axis.set(xlim=(0, 1.15), ylim=(place - 0.3, -0.6), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _picture(axis, picture, colour, width=1):
    axis.imshow(picture)
    axis.set_anchor("N")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color(colour)
    axis.spines[:].set_linewidth(width)


def _title():
    return {"x": 0.01, "ha": "left", "fontsize": 9.5, "color": INK, "weight": "bold"}
