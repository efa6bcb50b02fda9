"""Records from COCO captions."""

import os
from collections.abc import Mapping

from mmkeras.data.problems import Problems
from mmkeras.data.readers.common import (
    Packed,
    base_name,
    by_split,
    field,
    finish,
    load_json,
    require_folder,
    task_name,
)
from mmkeras.data.records import Records

_Paths = str | os.PathLike | Mapping[str, str | os.PathLike]


def read_coco(annotations: _Paths, images: _Paths, *, strict: bool = False) -> Records:
    """Read COCO captions: one record for each image, with all its captions.

    `{"image": path, "text": [caption, ...], "id": image id}`, in the order of the file's images; captions without
    blanks around them, in the order of its annotations. An image that has no file or no caption, a caption that is
    blank or whose image the file does not list, is skipped, counted and named.

    Args:
        annotations: `captions_train2017.json` or one in its layout; or a dict of such files by split, `"train"`,
            `"val"`, `"test"`, which then is the official split.
        images: folder of the pictures, such as `train2017`; or a dict of folders by split.
        strict: raise at the first bad sample.

    Returns:
        Records.

    Example:

    ```python
    train, val, _ = read_coco(
        {"train": "annotations/captions_train2017.json", "val": "annotations/captions_val2017.json"},
        {"train": "train2017", "val": "val2017"},
    ).official_split()
    ```
    """
    problems = Problems(task_name("read_coco", annotations), strict)
    packed, splits = Packed(), {}
    for split, path, others in by_split(annotations, images=images):
        start = len(packed)
        for record in _records(path, require_folder(others["images"]), problems):
            packed.append(record)
        if split:
            splits[split] = range(start, len(packed))
    return finish(packed, problems, splits)


def _records(path, folder, problems):
    name = base_name(path)
    content = load_json(path, "images", "annotations")
    captions = {}
    for row, image in enumerate(content["images"]):
        number = field(image, "id", f"{name}, images[{row}]")
        if number in captions:
            raise ValueError(f"{name}, images[{row}]: a second image with id {number}. Expected one of each id")
        captions[number] = []
    for row, annotation in enumerate(content["annotations"]):
        where = f"{name}, annotations[{row}]"
        text = (field(annotation, "caption", where) or "").strip()
        number = field(annotation, "image_id", where)
        if number not in captions:
            problems.add(where, f"caption of image {number}, which the file does not list", "text")
        elif not text:
            problems.add(where, "the caption is blank", "text")
        else:
            captions[number].append(text)
    for row, image in enumerate(content["images"]):
        where = f"{name}, image {image['id']}"
        file = os.path.join(folder, field(image, "file_name", f"{name}, images[{row}]"))
        if not captions[image["id"]]:
            problems.add(where, "no caption", "text")
        elif not os.path.isfile(file):
            problems.add(where, f"no file {file!r}", "image")
        else:
            yield {"image": file, "text": captions[image["id"]], "id": image["id"]}
