"""Public names in a text become links to the reference; in the repository they stay plain code."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import names

_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
# Code in the text, unless it stands in the words or the address of a link, or in a heading.
_CODE = re.compile(r"(?<![\[`\w])`((?:mm\.)?[A-Za-z_][\w.]*)((?:\([^`]*\))?)`(?![`\]])")


def linked(text):
    """The text with a link around each piece of code that is a public name, or a call of one."""
    kept, place = [], 0
    for fence in _FENCE.finditer(text):
        kept += [_linked_lines(text[place : fence.start()]), fence[0]]
        place = fence.end()
    return "".join([*kept, _linked_lines(text[place:])])


def _linked_lines(text):
    return "\n".join(line if line.startswith("#") else _CODE.sub(_link, line) for line in text.split("\n"))


def _link(code):
    path = names.identifiers().get(code[1])
    return f"[{code[0]}][{path}]" if path else code[0]
