"""Replacing single characters of a text, alike in Python and in a TensorFlow graph.

Lower-casing, stripping and splitting of the two worlds differ: by Unicode version, by locale, by what counts as a
space. A table from code point to code point, or to nothing, is the same in both.
"""

import functools
import unicodedata
from typing import final

import numpy as np

from mmkeras.preprocessing.part import require_tensorflow

APOSTROPHES = "'`´\u2018\u2019\u201b\u2032\u02bc\uff07"  # noqa: RUF001
_JOINERS = "\u200c\u200d"
_ZERO_WIDTH_SPACE = "\u200b"
_ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

_PAGE = 256
# No code point from here on is changed, but for the format characters of plane 14.
_SCANNED = (range(0x20000), range(0xE0000, 0xE1000))


def lower(character: str) -> str:
    """Lower case of one character as one character: the Turkish dotted capital I loses its dot."""
    return character.lower()[0]


def space(character: str) -> str:
    """A plain space for every white space and for NUL, at which code in C may stop reading."""
    return " " if character.isspace() or character == "\0" else character


def space_for_nul(character: str) -> str:
    """A plain space for NUL alone."""
    return " " if character == "\0" else character


def lower_and_space(character: str) -> str:
    """Lower case, and a plain space for every white space."""
    return space(lower(character))


def lower_and_strip_punctuation(character: str) -> str:
    """Lower case; a space for white space, controls, punctuation and signs; nothing for what cannot be seen."""
    if character in APOSTROPHES:
        return "'"
    if character in _JOINERS:
        return character
    kind = unicodedata.category(character)
    # Skin tones are modifier signs to Unicode, but a part of the emoji before them.
    sign = kind in ("Sc", "Sm", "Sk") and not "\U0001f3fb" <= character <= "\U0001f3ff"
    if kind[0] in "PZ" or kind == "Cc" or sign or character.isspace() or character == _ZERO_WIDTH_SPACE:
        return " "
    if kind == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    return lower(character)


def lower_and_drop_ascii_punctuation(character: str) -> str:
    """Lower case and plain spaces, ASCII punctuation dropped."""
    return "" if character in _ASCII_PUNCTUATION else lower_and_space(character)


@final
class CodePoints(dict):
    """A table for `str.translate` that is filled as it is used, with the same table as a graph.

    Args:
        rule: a function of this file from a character to a character or nothing; None changes nothing.
    """

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def __missing__(self, code):
        character = self.rule(chr(code))
        self[code] = ord(character) if character else None
        return self[code]

    def text(self, text: str) -> str:
        """The text with its characters replaced."""
        return text if self.rule is None else text.translate(self)

    def graph(self, texts):
        """`text` on a vector of strings, in TensorFlow."""
        if self.rule is None:
            return texts
        tf = require_tensorflow("Standardising text in a graph")
        pages, steps, drops = _pages(self.rule)
        # The raw operations give rows and values without the checks of a ragged tensor: half the time per sentence.
        rows, codes = tf.raw_ops.UnicodeDecode(input=texts, input_encoding="UTF-8", Tsplits=tf.int64)
        place = tf.gather(pages, codes // _PAGE) * _PAGE + codes % _PAGE
        codes += tf.gather(steps, place)
        texts = tf.raw_ops.UnicodeEncode(input_values=codes, input_splits=rows, output_encoding="UTF-8")
        return tf.strings.regex_replace(texts, r"\x00", "") if drops else texts


@functools.lru_cache
def _pages(rule):
    """A rule as arrays: page of each block of code points, what to add to each code point of a page; what is dropped.

    Characters to be dropped become NUL on the way, so a rule that drops some must replace NUL itself.
    """
    steps = np.zeros(0x110000, "int32")
    drops = False
    for codes in _SCANNED:
        for code in codes:
            if not 0xD800 <= code < 0xE000:
                character = rule(chr(code))
                drops = drops or not character
                steps[code] = (ord(character) if character else 0) - code
    pages, numbers = np.unique(steps.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return numbers.astype("int32").ravel(), pages.ravel(), drops
