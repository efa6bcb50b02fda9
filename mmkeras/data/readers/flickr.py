"""Records from Flickr8k and Flickr30k."""

import glob
import os
from collections.abc import Callable
from typing import NamedTuple

from mmkeras.data.problems import Problems
from mmkeras.data.readers.common import (
    Packed,
    base_name,
    field,
    finish,
    load_json,
    modality_of,
    require_folder,
    split_name,
    task_name,
)
from mmkeras.data.readers.rows import csv_rows, text_rows
from mmkeras.data.records import SPLITS, Records


def read_flickr8k(path: str | os.PathLike, *, images: str | os.PathLike | None = None, strict: bool = False) -> Records:
    """Read Flickr8k: one record for each photo, with all its captions.

    `{"image": path, "text": [caption, ...], "id": file name}`, captions in the order of their numbers. A photo without
    captions, captions without a photo and a line that is no caption are skipped, counted and named; the public file
    has one such name, `2258277193_586949ec62.jpg.1`.

    Args:
        path: the folder, in one of the public layouts: photos in `Flicker8k_Dataset`, `Flickr8k_Dataset` or `Images`;
            captions in `Flickr8k.token.txt`, in the table `captions.txt`, or in `dataset_flickr8k.json`; the official
            split in `Flickr_8k.trainImages.txt`, `Flickr_8k.devImages.txt` and `Flickr_8k.testImages.txt`, or in
            `dataset_flickr8k.json`. Each may lie up to two folders deeper, and parts of the split may be absent.
        images: folder of the photos, if it lies elsewhere.
        strict: raise at the first bad sample.

    Returns:
        Records, with the official split if there are files for it.
    """
    return _read(task_name("read_flickr8k", path), path, images, _FLICKR8K, strict)


def read_flickr30k(
    path: str | os.PathLike, *, images: str | os.PathLike | None = None, strict: bool = False
) -> Records:
    """Read Flickr30k: one record for each photo, with all its captions.

    `{"image": path, "text": [caption, ...], "id": file name}`, captions in the order of their numbers. A photo without
    captions, captions without a photo and a line that is no caption are skipped, counted and named; the public
    `results.csv` has one such line.

    Args:
        path: the folder, in one of the public layouts: photos in `flickr30k-images` or `flickr30k_images`; captions in
            `results_20130124.token`, in the table `results.csv`, or in Karpathy's `dataset_flickr30k.json`; the split
            in `flickr30k_train.txt`, `flickr30k_val.txt` and `flickr30k_test.txt`, or in that JSON file. Each may lie
            up to two folders deeper, and parts of the split may be absent.
        images: folder of the photos, if it lies elsewhere.
        strict: raise at the first bad sample.

    Returns:
        Records, with the split if there are files for it.
    """
    return _read(task_name("read_flickr30k", path), path, images, _FLICKR30K, strict)


def _read(task, path, images, layout, strict):
    path = require_folder(path)
    problems = Problems(task, strict)
    folder = _photo_folder(path, layout.folders) if images is None else require_folder(images)
    file, read = _caption_file(path, layout)
    captions = {}
    for where, name, order, text in read(file, problems):
        if text.strip():
            captions.setdefault(name, []).append((order, text.strip()))
        else:
            problems.add(where, "the caption is blank", "text")
    photos = {name for name in os.listdir(folder) if modality_of(name) == "image"}
    packed, rows = Packed(), {}
    for name, found in captions.items():
        if name not in photos:
            problems.add(f"{base_name(file)}, {name}", f"no such photo in {folder!r}", "image")
            continue
        rows[_stem(name)] = len(packed)
        texts = [text for _, text in sorted(found, key=lambda caption: caption[0])]
        packed.append({"image": os.path.join(folder, name), "text": texts, "id": name})
    for name in sorted(photos - captions.keys()):
        problems.add(os.path.join(folder, name), f"no caption in {base_name(file)}", "text")
    known = {_stem(name) for name in (*captions, *photos)}
    return finish(packed, problems, _splits(path, layout, rows, known, problems), stacklevel=3)


def _photo_folder(path, names):
    for found in _places(path, names):
        if os.path.isdir(found) and any(modality_of(name) == "image" for name in os.listdir(found)):
            return found
    raise ValueError(f"{path!r} has no folder of photos. Expected one of {names}, or pass `images`")


def _caption_file(path, layout):
    for name, read in layout.captions.items():
        found = next(_places(path, (name,)), None)
        if found:
            return found, read
    raise ValueError(f"{path!r} has no captions. Expected one of {tuple(layout.captions)}")


def _places(path, names):
    """Where in the folder, at most two folders down, one of the names is."""
    for name in names:
        for depth in range(3):
            yield from sorted(glob.glob(os.path.join(glob.escape(path), *["*"] * depth, name)))


def _token_lines(path, problems):
    """`1000268201_693b08cb0e.jpg#0<tab>A child ...`."""
    with open(path, "rb") as file:
        for row in text_rows(file):
            where = f"{base_name(path)}, line {row.line}"
            name, _, text = (row.content or "").partition("\t")
            name, _, order = name.rpartition("#")
            if row.reason or not name or not order.isdecimal():
                problems.add(where, row.reason or f"expected 'file#number<tab>caption'. Received: {row.content!r}")
            else:
                yield where, name, int(order), text


def _pipe_lines(path, problems):
    """`1000092795.jpg| 0| Two young guys ...` under a header."""
    with open(path, "rb") as file:
        for row in text_rows(file):
            where = f"{base_name(path)}, line {row.line}"
            cells = [cell.strip() for cell in (row.content or "").split("|", 2)]
            if row.line == 1 and cells[0] == "image_name":
                continue
            if row.reason or len(cells) != 3 or not cells[1].isdecimal():
                problems.add(where, row.reason or f"expected 'file| number| caption'. Received: {row.content!r}")
            else:
                yield where, cells[0], int(cells[1]), cells[2]


def _table_rows(path, problems):
    """`1000268201_693b08cb0e.jpg,A child ...` under a header, with quotes where a caption has commas."""
    with open(path, "rb") as file:
        for row in csv_rows(file, ","):
            where = f"{base_name(path)}, line {row.line}"
            if row.line == 1:
                if row.content not in (["image", "caption"], ["image_name", "comment_number", "comment"]):
                    raise ValueError(f"{path!r}: expected the header 'image,caption'. Received: {row.content}")
            elif row.reason:
                problems.add(where, row.reason)
            else:
                yield where, row.content[0], row.line, row.content[-1]


def _karpathy_captions(path, problems):
    for row, image in enumerate(load_json(path, "images")["images"]):
        where = f"{base_name(path)}, images[{row}]"
        for order, sentence in enumerate(field(image, "sentences", where)):
            yield where, field(image, "filename", where), order, field(sentence, "raw", where)


def _splits(path, layout, rows, known, problems):
    """{split: rows} from the official lists, or else from Karpathy's file."""
    members = []
    for split in SPLITS:
        file = next(_places(path, (layout.lists[split],)), None)
        if file:
            with open(file, "rb") as lines:
                named = [(f"{base_name(file)}, line {row.line}", row.content) for row in text_rows(lines)]
            members += [(split, where, name.strip()) for where, name in named if name and name.strip()]
    file = next(_places(path, (layout.karpathy,)), None)
    if file and not members:
        for row, image in enumerate(load_json(file, "images")["images"]):
            where = f"{base_name(file)}, images[{row}]"
            split = split_name(field(image, "split", where))
            if split is None:
                raise ValueError(f"{where}: `split` takes {SPLITS}. Received: {image['split']!r}")
            members.append((split, where, field(image, "filename", where)))
    splits, seen = {}, {}
    for split, where, name in members:
        if seen.setdefault(_stem(name), split) != split:
            raise ValueError(f"{where}: {name!r} is in two parts of the split. Received: {seen[_stem(name)]}, {split}")
        if _stem(name) in rows:
            splits.setdefault(split, {})[rows[_stem(name)]] = None
        elif _stem(name) not in known:
            problems.add(where, f"{name!r} has neither a photo nor captions", "image")
    return {split: sorted(found) for split, found in splits.items()}


def _stem(name):
    return name.removesuffix(".jpg")


class _Layout(NamedTuple):
    """Names of the public files: photo folders, caption files with their readers, split lists, Karpathy's file."""

    folders: tuple[str, ...]
    captions: dict[str, Callable]
    lists: dict[str, str]
    karpathy: str


_FLICKR8K = _Layout(
    folders=("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),
    captions={
        "Flickr8k.token.txt": _token_lines,
        "captions.txt": _table_rows,
        "dataset_flickr8k.json": _karpathy_captions,
    },
    lists=dict(zip(SPLITS, (f"Flickr_8k.{part}Images.txt" for part in ("train", "dev", "test")), strict=True)),
    karpathy="dataset_flickr8k.json",
)
_FLICKR30K = _Layout(
    folders=("flickr30k-images", "flickr30k_images", "Images", "images"),
    captions={
        "results_20130124.token": _token_lines,
        "results.csv": _pipe_lines,
        "captions.txt": _table_rows,
        "dataset_flickr30k.json": _karpathy_captions,
    },
    lists={split: f"flickr30k_{split}.txt" for split in SPLITS},
    karpathy="dataset_flickr30k.json",
)
