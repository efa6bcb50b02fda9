"""Say what the bytes of a file look like, for those that are not what their name promises."""

_STARTS = (
    (b"\xff\xd8", "a JPEG"),
    (b"\x89PNG", "a PNG"),
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"OggS", "an Ogg sound"),
    (b"fLaC", "a FLAC sound"),
    (b"ID3", "an MP3 sound"),
    (b"\xff\xfb", "an MP3 sound"),
    (b"\x1a\x45\xdf\xa3", "a WebM or Matroska video"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull`"),
)


def sniff(data: bytes) -> str:
    """Tell what a file looks like by its first bytes.

    Args:
        data: at least the first hundred bytes of the file.

    Example:

    >>> sniff(b"<!DOCTYPE html><title>404 Not Found</title>")
    'it looks like an HTML page'
    """
    head = data[:512]
    for start, name in _STARTS:
        if head.startswith(start):
            return f"it looks like {name}"
    if head[:4] == b"RIFF":
        name = {b"WAVE": "a WAV sound", b"AVI ": "an AVI video", b"WEBP": "a WebP"}.get(head[8:12], "a RIFF file")
        return f"it looks like {name}"
    if head[4:8] == b"ftyp":
        return "it looks like an MP4 video"
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros"
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return "it looks like an HTML page"
    # A character may be cut at the end of the head.
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text):
        return f"it looks like text, {' '.join(text.split())[:40]!r}"
    return f"its first bytes are {head[:8].hex(' ')}"
