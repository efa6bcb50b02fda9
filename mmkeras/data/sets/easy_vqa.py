"""easy-VQA: questions about one coloured shape."""

import json
import os

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sets import common

_LAYOUT = "easy-VQA/data with train/questions.json, train/images/ID.png, test/... and answers.txt"


def easy_vqa(path: str | os.PathLike, *, strict: bool = False) -> Records:
    """Read easy-VQA: 64x64 pictures of a shape, questions, and one of 13 answers.

    Several questions show one picture: split by `"image"`, since `image_id` counts from 0 in either part.

    ```python
    train, _, test = mm.data.sets.easy_vqa("easy-VQA").official_split()
    train, val = train.split(0.9, by="image")
    ```

    Args:
        path: the folder `easy-VQA/data`, or one above it. Either part may be absent.
        strict: raise at the first bad sample (no such picture, an answer that `answers.txt` does not list) instead
            of skipping and naming it.

    Returns:
        Records `{"image": path, "question", "answer", "image_id"}` with the official split into train and test.
    """
    folder = common.find_folder(path, "train/questions.json", "test/questions.json", layout=_LAYOUT)
    problems = Problems(f"easy_vqa({os.fspath(path)!r})", strict)
    listed = folder / "answers.txt"
    answers = set(listed.read_text(encoding="utf-8").split("\n")) if listed.exists() else None
    records, parts = [], []
    for part in ("train", "test"):
        file, images = folder / part / "questions.json", folder / part / "images"
        if not file.exists():
            continue
        if not images.is_dir():
            raise ValueError(f"{file} has no pictures. Expected {_LAYOUT}. Received: no folder {str(images)!r}")
        pictures = set(os.listdir(images))
        for row, (question, answer, image_id) in enumerate(_questions(file)):
            where = f"{file}, row {row} (0-based)"
            if f"{image_id}.png" not in pictures:
                problems.add(where, f"no file '{images / str(image_id)}.png'", "image")
            elif answers is not None and answer not in answers:
                problems.add(where, f"answers.txt does not list {answer!r}", "answer")
            else:
                image = str(images / f"{image_id}.png")
                records.append({"image": image, "question": question, "answer": answer, "image_id": image_id})
                parts.append(part)
    problems.warn(len(records) + len(problems))
    return Records(records, name="easy_vqa", problems=problems, splits=common.split_rows(parts))


def _questions(file):
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    kind = "a list of [question, answer, image id]"
    if not isinstance(rows, list):
        raise ValueError(f"{file} must hold {kind}. Received: {type(rows).__name__}")
    for row, item in enumerate(rows):
        if not isinstance(item, list) or [type(cell) for cell in item] != [str, str, int]:
            raise ValueError(f"{file}, row {row} (0-based): expected {kind}. Received: {item!r}")
    return rows
