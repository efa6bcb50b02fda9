"""What looking at one value finds."""

from typing import Any, NamedTuple

# What is odd but not broken, and what it means for a model.
MARKS = {
    "rotated": "turned upright by its EXIF tag",
    "animated": "several frames, of which a picture is the first",
    "cmyk": "CMYK, turned into RGB",
    "16-bit": "16 bits a channel, cut to 8",
    "alpha": "transparent: what lies under the transparency shows",
    "blank": "a single colour all over",
    "0..1 range": "pixels in 0..1 where 0..255 is expected",
    "huge": "more pixels than most programs agree to open",
    "wrong extension": "a name that belongs to another format",
    "silent": "nothing to be heard",
    "too loud": "samples beyond -1..1, which files cannot hold",
    "still": "all frames looked at are equal",
    "no sound": "a clip without a sound track",
    "odd characters": "control characters or U+FFFD: often a wrong encoding",
    "cut": "longer than the preprocessor keeps",
    "repeated": "the same item twice in one list",
}


class Look(NamedTuple):
    """What one value is like.

    `sizes` are numbers to be counted in histograms, `tags` names to be counted, `marks` keys of `MARKS`, `classes`
    the labels that it holds, `shape` that of an array.
    """

    sizes: dict[str, float] = {}  # noqa: RUF012
    tags: dict[str, str] = {}  # noqa: RUF012
    marks: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()
    shape: tuple[int, ...] | None = None
