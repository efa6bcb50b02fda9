"""The site says what the package has: every public name has its place, and texts lead there."""

import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import mmkeras as mm

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site():
    """Modules of docs/site, which stand outside of packages."""
    sys.path.insert(0, str(ROOT / "docs" / "site"))
    try:
        yield {name: importlib.import_module(name) for name in ("names", "links", "notebook_pages")}
    finally:
        sys.path.remove(str(ROOT / "docs" / "site"))


def test_the_reference_has_every_public_name(site):
    names = site["names"]
    assert {room for room in names.rooms() if "." not in room} == set(mm.__all__) - {"__version__"}
    for room in names.rooms():
        module = importlib.import_module(f"mmkeras.{room}")
        listed = set(getattr(module, "__all__", ())) - {"corruption", "sets", "toy"}
        assert listed <= set(names.members(room))
        assert all(names.first_line(names.path(room, name)) for name in listed if callable(getattr(module, name)))


def test_code_that_is_a_public_name_becomes_a_link(site):
    linked = site["links"].linked
    assert linked("by `GatedFusion(64)`,") == "by [`GatedFusion(64)`][mmkeras.layers.GatedFusion],"
    # A module of that name hides the function.
    path = "mmkeras.training.class_weights.class_weights"
    assert linked("`mm.training.class_weights`") == f"[`mm.training.class_weights`][{path}]"
    assert linked("`mm.data.toy`") == "[`mm.data.toy`][mm-data-toy]"
    for same in ("`signal`", "`no_such_name`", "## `GatedFusion`", "[`GatedFusion`](x.md)", "```python\n`Image`\n```"):
        assert linked(same) == same


def test_a_notebook_becomes_a_page(site, tmp_path):
    file = tmp_path / "01_walls.ipynb"
    file.write_text(
        '{"cells": [{"cell_type": "markdown", "source": ["# Walls\\n", "red"]}, {"cell_type": "code", "source": "1", '
        '"outputs": [{"output_type": "stream", "text": ["\\u001b[1mseen\\u001b[0m\\n"]}, '
        '{"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}}]}]}'
    )
    text, pictures = site["notebook_pages"].page(file)
    assert text.split("\n\n")[:3] == ["# Walls\nred", "```python\n1\n```", "```text\nseen\n```"]
    assert re.findall(r"!\[.*\]\((.*)\)", text) == list(pictures) == ["01_walls_00.png"]


def test_docstrings_become_markdown(site):
    pytest.importorskip("griffe")
    markdown = importlib.import_module("docstrings").markdown
    text = "Call arguments:\n    x: tensor,\n        any.\n\nExample:\n\n>>> 1 + 1\n2\n\nReferences:\n    A 2020, B."
    assert re.split(r"\n{2,}", markdown(text).strip()) == [
        "**Call arguments:**",
        "- `x`: tensor,\n    any.",
        "**Example:**",
        "```pycon\n>>> 1 + 1\n2\n```",
        "**References:**",
        "- A 2020, B.",
    ]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text() for page in tmp_path.glob("**/*.html")}
    assert {"index.html", "faq.html", "api/layers.html"} <= set(pages)
    # No page asks the network for anything.
    assert not [name for name, page in pages.items() if re.search(r'<(script|img|link)[^>]*"(https?:)?//', page)]
