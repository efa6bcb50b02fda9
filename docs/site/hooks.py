"""Pages that MkDocs does not find in docs/: files of the repository, and one page of reference for each room."""

import os
import pathlib
import posixpath
import re
import sys

from mkdocs.structure.files import File

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import links
import names
import notebook_pages

# Files of the repository that are pages of the site.
PAGES = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
NOTEBOOKS = sorted((names.ROOT / "notebooks").glob("*.ipynb"))
if NOTEBOOKS:
    PAGES["notebooks/README.md"] = "notebooks/index.md"
    PAGES |= {f"notebooks/{file.name}": f"notebooks/{file.stem}.md" for file in NOTEBOOKS}
# More is shown of what a class inherits where users call it.
INHERITING = {"models": "true", "preprocessing": '["adapt"]'}


def on_config(config):
    """Let the navigation lead to each notebook and each room, and to guides that it does not list."""
    listed = {page for item in config.nav for pages in item.values() for page in pages}
    for item in config.nav:
        if "Guides" in item:
            item["Guides"] += sorted({file.name for file in (names.ROOT / "docs").glob("*.md")} - listed)
    parts = {
        "Notebooks": [page for source, page in PAGES.items() if source.startswith("notebooks/")],
        "API": ["api/index.md", *({f"mm.{room}": f"api/{room}.md"} for room in names.rooms())],
    }
    config.nav = [{name: parts.get(name, pages)} for item in config.nav for name, pages in item.items()]
    config.nav = [item for item in config.nav if [] not in item.values()]
    return config


def on_files(files, config):
    """Add the pages that are made, each under the name of what it is made from."""
    made = {page: (names.ROOT / source).read_text() for source, page in PAGES.items() if source.endswith(".md")}
    for file in NOTEBOOKS:
        made[f"notebooks/{file.stem}.md"], pictures = notebook_pages.page(file)
        made |= {f"notebooks/{name}": picture for name, picture in pictures.items()}
    made["examples.md"] = _examples()
    made["api/index.md"] = _reference_index()
    made |= {f"api/{room}.md": _reference(room) for room in names.rooms()}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Make links to files of the repository lead to their pages, and public names to the reference."""
    made = page.file.src_uri
    if made.startswith("api/"):
        return markdown
    source = {made: source for source, made in PAGES.items()}.get(made, f"docs/{made}")
    led = re.sub(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)", lambda link: _led(link, source, made), markdown)
    return led if source == "CHANGELOG.md" else links.linked(led)


def on_page_content(html, page, config, files):
    """Let texts name a room."""
    room = pathlib.PurePosixPath(page.file.src_uri)
    if room.parent.name == "api" and room.stem in names.rooms():
        config.plugins["autorefs"].register_anchor(page, names.anchor(room.stem))
    return html


def _led(link, source, page):
    """A link from a file of the repository as one from a page of the site; its text alone where there is no page."""
    picture, text, target, fragment = link.groups(default="")
    if picture and source.endswith(".ipynb"):
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if (names.ROOT / target / "README.md").is_file():
        target = posixpath.join(target, "README.md")
    if target in PAGES:
        target = PAGES[target]
    elif target.startswith("docs/"):
        target = target.removeprefix("docs/")
    elif target.startswith("examples"):
        target, fragment = "examples.md", f"#{pathlib.PurePath(target).stem}" if target.endswith(".py") else ""
    else:
        return text
    return f"{picture}[{text}]({os.path.relpath(target, posixpath.dirname(page) or '.')}{fragment})"


def _examples():
    """The scripts of examples/, each with what it says of itself."""
    lines = ["# Examples", "", "Scripts to run as they are, and to begin your own from.", ""]
    for file in sorted((names.ROOT / "examples").glob("[!_]*.py")):
        code = file.read_text().rstrip()
        lines += [f"## {file.name} {{#{file.stem}}}", "", f'```python title="examples/{file.name}"', code, "```", ""]
    return "\n".join(lines)


def _reference_index():
    rows = [f"| [`mm.{room}`]({room}.md) | {names.opening(room)} |" for room in names.rooms()]
    head = ["# API", "", "`import mmkeras as mm`, and one room for each kind of thing:", "", "| room | what is in it |"]
    return "\n".join([*head, "|---|---|", *rows, ""])


def _reference(room):
    """The public names of a room in a table, and below it all about each of them."""
    head = f"# mm.{room} {{#{names.anchor(room)}}}"
    lines = [head, "", names.opening(room), "", "| name | what it is |", "|---|---|"]
    members = [(name, names.path(room, name)) for name in names.members(room)]
    for name, path in members:
        lines.append(f"| [`{name}`][{path}] | {links.linked(names.first_line(path)).replace('|', chr(92) + '|')} |")
    for name, path in members:
        options = [f"      heading: mm.{room}.{name}", f"      toc_label: {name}"]
        if room in INHERITING:
            options.append(f"      inherited_members: {INHERITING[room]}")
        lines += ["", f"::: {path}", "    options:", *options]
    return "\n".join([*lines, ""])
