"""Records from Conceptual Captions."""

import os
from array import array
from collections.abc import Callable, Sequence
from typing import final
from urllib.parse import unquote, urlsplit

import numpy as np

from mmkeras.data.problems import Problems
from mmkeras.data.readers.common import base_name, finish, modality_of, require_file, require_folder, task_name
from mmkeras.data.readers.rows import text_rows
from mmkeras.data.records import Records
from mmkeras.data.sources import Lines


def read_conceptual_captions(
    tsv: str | os.PathLike,
    images: str | os.PathLike | Callable[[int, str], str | None],
    *,
    strict: bool = False,
) -> Records:
    """Read Conceptual Captions and the pictures you downloaded for it.

    `{"image": path, "text": caption, "url": address}`. Many addresses no longer answer: a row without a picture is
    skipped, counted and named by its row, from 0. Only where rows lie stays in memory.

    Args:
        tsv: `Train_GCC-training.tsv` or `Validation_GCC-1.1.0-Validation.tsv`: caption, tab, address, no header.
        images: folder of the pictures, named by the number of their row, from 0, with or without leading zeros
            (`123.jpg`, `000000123.jpg`, or `00000/000000123.jpg` as img2dataset does for 10,000 pictures a folder), or
            as the last part of their address; which of the two is told by looking: names that are all numbers are
            rows. Of different addresses that end alike, and so share one file, none is used. Or a function of row and
            address that returns the path, or None where there is none.
        strict: raise at the first row without a picture.

    Returns:
        Records, one per row that has its picture.
    """
    tsv = require_file(tsv)
    name = base_name(tsv)
    find = images if callable(images) else _Downloads(require_folder(images))
    problems = Problems(task_name("read_conceptual_captions", tsv), strict)
    spans, numbers, paths, urls = (array("q") for _ in range(4))
    with open(tsv, "rb") as file:
        row = -1
        for line in text_rows(file):
            cells = (line.content or "").split("\t")
            # Downloaders want a header, and count rows without it.
            if line.line == 1 and cells == ["caption", "url"]:
                continue
            row += 1
            where = f"{name}, row {row} (from 0)"
            if line.reason or len(cells) != 2 or not cells[0].strip():
                problems.add(where, line.reason or f"expected 'caption<tab>address'. Received: {line.content!r}")
                continue
            path = find(row, cells[1].strip())
            if path is None or not os.path.isfile(path):
                problems.add(where, f"no picture of {cells[1].strip()!r}{f' at {path!r}' if path else ''}", "image")
                continue
            spans.extend((line.start, line.stop))
            numbers.append(row)
            paths.append(hash(os.fspath(path)))
            urls.append(hash(cells[1].strip()))
    # A function knows which file belongs to which row; names of files may mislead.
    shared = _shared(np.array(paths, "int64"), np.array(urls, "int64")) & (not callable(images))
    numbers = np.array(numbers, "int64")
    for row in numbers[shared]:
        problems.add(f"{name}, row {row} (from 0)", "its file is also the file of another address", "image")
    lines = Lines(tsv, np.array(spans, "int64").reshape(-1, 2)[~shared], _cells)
    return finish(_Found(lines, numbers[~shared], find), problems)


def _shared(paths, urls):
    """Which rows have a path that a row with another address has too."""
    if not len(paths):
        return np.zeros(0, dtype=bool)
    order = np.argsort(paths, kind="stable")
    paths, urls = paths[order], urls[order]
    starts = np.flatnonzero(np.concatenate([[True], paths[1:] != paths[:-1]]))
    differ = np.minimum.reduceat(urls, starts) != np.maximum.reduceat(urls, starts)
    shared = np.empty(len(paths), dtype=bool)
    shared[order] = np.repeat(differ, np.diff(starts, append=len(paths)))
    return shared


def _cells(data):
    caption, url = data.decode("utf-8").rstrip("\r\n").split("\t")
    return {"text": caption.strip(), "url": url.strip()}


@final
class _Found(Sequence):
    """Rows with the paths of their pictures, found again when asked for."""

    def __init__(self, lines, numbers, find):
        self.lines = lines
        self.numbers = numbers
        self.find = find

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, row):
        record = self.lines[row]
        path = self.find(int(self.numbers[row]), record["url"])
        if path is None:
            raise ValueError(f"the picture of row {self.numbers[row]} (from 0), {record['url']!r}, is gone")
        return {"image": os.fspath(path), **record}


@final
class _Downloads:
    """Finds the picture of a row in a folder whose naming rule it learns from the names."""

    def __init__(self, folder):
        self.folder = folder
        with os.scandir(folder) as entries:
            entries = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
        shards = [name for name, is_folder in entries if is_folder and name.isdecimal()]
        names = [name for name, is_folder in entries if not is_folder]
        for shard in shards:
            names += os.listdir(os.path.join(folder, shard))
        names = [os.path.splitext(name) for name in names if modality_of(name) == "image"]
        if not names:
            raise ValueError(f"{folder!r} holds no pictures. Expected names by row number or as in the addresses")
        self.by_row = all(stem.isdecimal() for stem, _ in names)
        self.widths = sorted({len(stem) for stem, _ in names}) if self.by_row else []
        self.extensions = sorted({extension for _, extension in names})
        self.shard_widths = sorted({len(shard) for shard in shards})

    def __call__(self, row, url):
        for name in self._numbered(row) if self.by_row else _last_parts(url):
            path = os.path.join(self.folder, name)
            if os.path.isfile(path):
                return path
        return None

    def _numbered(self, row):
        for stem in dict.fromkeys([str(row), *(f"{row:0{width}d}" for width in self.widths)]):
            for extension in self.extensions:
                if len(stem) in self.widths:
                    yield stem + extension
                    yield from (os.path.join(stem[:width], stem + extension) for width in self.shard_widths)


def _last_parts(url):
    """Names a downloader may give what lies at an address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    name = parts.path.rsplit("/", 1)[-1]
    names = (f"{name}?{parts.query}" if parts.query else name, name, unquote(name))
    return [name for name in dict.fromkeys(names) if name]
