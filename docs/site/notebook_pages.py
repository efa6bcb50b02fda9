"""Notebooks as pages: what they say, their code, and the outputs that are kept in them."""

import base64
import html
import json
import re

_PICTURES = {"image/png": "png", "image/jpeg": "jpg"}
# Colours of a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def page(file):
    """Markdown of a notebook, and its pictures: dict name -> bytes, to lie beside the page."""
    blocks, pictures = [], {}
    for cell in json.loads(file.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            blocks.append(_fenced(source, "python"))
            for output in cell["outputs"]:
                blocks.append(_output(output, file.stem, pictures))
    return "\n\n".join(block for block in blocks if block) + "\n", pictures


def _output(output, name, pictures):
    if output["output_type"] == "stream":
        return _fenced(_COLOURS.sub("", "".join(output["text"])), "text")
    data = output.get("data", {})
    for kind, ending in _PICTURES.items():
        if kind in data:
            picture = f"{name}_{len(pictures):02}.{ending}"
            pictures[picture] = base64.b64decode("".join(data[kind]))
            return f"![What the code above shows]({picture})"
    if "text/html" in data:
        # Blank lines would end the block of HTML.
        return "<div>" + re.sub(r"\n\s*\n", "\n", "".join(data["text/html"])) + "</div>"
    if "text/plain" in data:
        return _fenced("".join(data["text/plain"]), "text")
    return f"<pre>{html.escape(output['ename'])}</pre>" if "ename" in output else ""


def _fenced(text, language):
    return f"```{language}\n{text.rstrip()}\n```" if text.strip() else ""
