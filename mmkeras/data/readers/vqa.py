"""Records from VQA v2."""

import os
from collections.abc import Mapping
from typing import final

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
_ANSWER_KEYS = ("answer", "answers", "question_type", "answer_type")


def read_vqa(
    questions: _Paths, annotations: _Paths | None = None, images: _Paths | None = None, *, strict: bool = False
) -> Records:
    """Read VQA v2: one record for each question.

    `{"image": path, "question": text, "answer": the answer most people gave, "answers": the ten people's answers,
    "question_id": ..., "question_type": ..., "answer_type": ...}`, in the order of the questions. Several questions
    show one picture: split by `"image"`. A question without picture or annotation, and an annotation without
    question, is skipped, counted and named.

    Args:
        questions: `v2_OpenEnded_mscoco_train2014_questions.json` or one in its layout; or a dict of such files by
            split, `"train"`, `"val"`, `"test"`, which then is the official split.
        annotations: `v2_mscoco_train2014_annotations.json`; or a dict of files by split, in which a split without
            published answers may be absent: its answers are None. Without any, records have no answers.
        images: folder of the pictures, named `COCO_train2014_000000000009.jpg` or `000000000009.jpg`, or of the
            folder `train2014`; or a dict of folders by split. Without it, records hold `"image_id"` instead.
        strict: raise at the first bad sample.

    Returns:
        Records.

    Example:

    ```python
    read_vqa("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json", "val2014")
    ```
    """
    problems = Problems(task_name("read_vqa", questions), strict)
    packed, splits = Packed(), {}
    if isinstance(questions, Mapping) and isinstance(annotations, (str, os.PathLike)):
        raise ValueError(f"`annotations` must be a dict by split, as `questions` is. Received: {annotations!r}")
    unanswered = {} if annotations is None else dict.fromkeys(_ANSWER_KEYS)
    for split, path, others in by_split(questions, ("annotations",), annotations=annotations, images=images):
        start = len(packed)
        answers = None if others["annotations"] is None else _answers(others["annotations"])
        for record in _records(path, others["images"], answers, unanswered, problems):
            packed.append(record)
        for number in answers or ():
            where = f"{base_name(others['annotations'])}, question {number}"
            problems.add(where, f"an answer to a question that {base_name(path)} does not ask", "answer")
        if split:
            splits[split] = range(start, len(packed))
    return finish(packed, problems, splits)


def _answers(path):
    """question_id -> the keys of its record that come from the annotation."""
    name, found = base_name(path), {}
    for row, item in enumerate(load_json(path, "annotations")["annotations"]):
        where = f"{name}, annotations[{row}]"
        number = field(item, "question_id", where)
        if number in found:
            raise ValueError(f"{where}: a second annotation of question {number}. Expected one for each question")
        found[number] = {
            "answer": field(item, "multiple_choice_answer", where),
            "answers": [field(answer, "answer", where) for answer in field(item, "answers", where)],
            "question_type": item.get("question_type"),
            "answer_type": item.get("answer_type"),
        }
    return found


def _records(path, folder, answers, unanswered, problems):
    """Records of one file of questions, which take their answers out of `answers`, or are `unanswered` without it."""
    name, asked = base_name(path), set()
    content = load_json(path, "questions")
    pictures = None if folder is None else _Pictures(require_folder(folder), content.get("data_subtype"))
    for row, item in enumerate(content["questions"]):
        where = f"{name}, questions[{row}]"
        number, image_id = field(item, "question_id", where), field(item, "image_id", where)
        if number in asked:
            raise ValueError(f"{where}: a second question with id {number}. Expected one of each id")
        asked.add(number)
        found = unanswered if answers is None else answers.pop(number, None)
        image = {"image_id": image_id} if pictures is None else {"image": pictures.find(image_id)}
        asks = f"{name}, question {number}"
        if found is None:
            problems.add(asks, "no annotation", "answer")
        elif pictures and not image["image"]:
            problems.add(asks, f"no file {pictures.names(image_id)[0]!r}", "image")
        else:
            yield {**image, "question": field(item, "question", where), **found, "question_id": number}


@final
class _Pictures:
    """Finds pictures by the number of the image; each is looked for once, though several questions show it."""

    def __init__(self, folder, subtype):
        self.folder = folder
        self.subtype = subtype
        self.found = {}

    def names(self, number):
        """Paths it may have, the official one first."""
        number = f"{int(number):012d}.jpg"
        official = f"COCO_{self.subtype}_{number}"
        names = (official, number, os.path.join(str(self.subtype), official), os.path.join(str(self.subtype), number))
        return [os.path.join(self.folder, name) for name in names]

    def find(self, number):
        if number not in self.found:
            self.found[number] = next((path for path in self.names(number) if os.path.isfile(path)), None)
        return self.found[number]
