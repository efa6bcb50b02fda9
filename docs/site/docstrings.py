"""Docstrings of the house as Markdown: examples become blocks of code, and public names become links."""

import pathlib
import re
import sys

import griffe

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import links

# What Keras' order of a docstring has beside the sections that griffe knows.
_LISTED = ("Call arguments", "Attributes of a subclass", "References")
_TEXT = ("Returns",)


class Docstrings(griffe.Extension):
    """Rewrite each docstring as it is read from the source."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text):
    """One docstring, without its indentation, as Markdown that griffe takes for text, but for `Args:` and the like."""
    blocks, lines, index = [], text.split("\n"), 0
    while index < len(lines):
        section = re.fullmatch(rf"({'|'.join((*_LISTED, *_TEXT))}):", lines[index])
        if lines[index].startswith(">>> "):
            stop = _until(lines, index, lambda line: not line.strip())
            blocks += ["```pycon", *lines[index:stop], "```"]
            index = stop
        elif section:
            stop = _until(lines, index + 1, lambda line: line.strip() and not line.startswith(" "))
            body = _dedent(lines[index + 1 : stop])
            blocks += [f"**{section[1]}:**", "", *(_items(body) if section[1] in _LISTED else body), ""]
            index = stop
        elif re.match(r"(Example|Output shape):", lines[index]):
            blocks.append(re.sub(r"^(\w[\w ]*:)", r"**\1**", lines[index]))
            index += 1
        else:
            blocks.append(lines[index])
            index += 1
    return links.linked("\n".join(blocks))


def _until(lines, start, ends):
    return next((index for index in range(start, len(lines)) if ends(lines[index])), len(lines))


def _dedent(lines):
    return [line[4:] if line.startswith("    ") else line for line in lines]


def _items(lines):
    """`name: what it is`, with deeper lines below, as a list of Markdown."""
    items = []
    for line in lines:
        named = re.match(r"([\w*, ]+): (.*)", line)
        if named:
            items.append(f"- `{named[1]}`: {named[2]}")
        elif line and not line.startswith(" "):
            items.append(f"- {line}")
        else:
            items.append(line)
    return items
