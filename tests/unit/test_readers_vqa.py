"""`read_vqa` on small files in the layout of VQA v2: every field of the format page, in shuffled order."""

import json
import os
import pickle

import pytest

from mmkeras.data.readers.vqa import read_vqa

# question_id: (image_id, question, multiple_choice_answer, question_type, answer_type)
TRAIN = {
    9000: (9, "Is this a lemon?", "no", "is this a", "yes/no"),
    25001: (25, "How many giraffes?", "2", "how many", "number"),
    9001: (9, "What is in the bowl?", "food", "what is in the", "other"),
}
INFO = {
    "description": "This is v2.0 of the VQA dataset.",
    "url": "http://visualqa.org",
    "version": "2.0",
    "year": 2017,
    "contributor": "VQA Team",
    "date_created": "2017-04-26 17:07:13",
}
LICENSE = {"url": "http://creativecommons.org/licenses/by/4.0/", "name": "Creative Commons Attribution 4.0"}


def answers(answer):
    return [answer] * 7 + ["maybe", "i don't know", answer]


def write_questions(path, rows, subtype="train2014"):
    """`v2_OpenEnded_mscoco_train2014_questions.json`.

    info{year, version, description, contributor, url, date_created}, task_type, data_type, data_subtype,
    license{name, url}, questions[{question_id, image_id, question}].
    """
    content = {
        "info": INFO,
        "task_type": "Open-Ended",
        "data_type": "mscoco",
        "license": LICENSE,
        "data_subtype": subtype,
        "questions": [
            {"image_id": image, "question": question, "question_id": number}
            for number, (image, question, *_) in rows.items()
        ],
    }
    path.write_text(json.dumps(content))
    return path


def write_annotations(path, rows, subtype="train2014"):
    """`v2_mscoco_train2014_annotations.json`.

    info, data_type, data_subtype, license and annotations[{question_id, image_id, question_type, answer_type,
    answers[{answer_id, answer, answer_confidence}], multiple_choice_answer}], here in the reverse order of questions.
    """
    annotations = [
        {
            "question_type": question_type,
            "multiple_choice_answer": answer,
            "answers": [
                {"answer": given, "answer_confidence": "yes", "answer_id": person}
                for person, given in enumerate(answers(answer), start=1)
            ],
            "image_id": image,
            "answer_type": answer_type,
            "question_id": number,
        }
        for number, (image, _, answer, question_type, answer_type) in reversed(rows.items())
    ]
    content = {"info": INFO, "license": LICENSE, "data_subtype": subtype, "data_type": "mscoco"}
    path.write_text(json.dumps({**content, "annotations": annotations}))
    return path


def write_images(folder, numbers, pattern="COCO_train2014_{:012d}.jpg"):
    for number in numbers:
        path = folder / pattern.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return folder


@pytest.fixture
def files(tmp_path):
    return (
        write_questions(tmp_path / "questions.json", TRAIN),
        write_annotations(tmp_path / "annotations.json", TRAIN),
        write_images(tmp_path / "train2014", (9, 25)),
    )


def test_questions_are_joined_with_answers_and_pictures(files):
    records = read_vqa(*files)
    assert list(records) == [
        {
            "image": str(files[2] / f"COCO_train2014_{image:012d}.jpg"),
            "question": question,
            "answer": answer,
            "answers": answers(answer),
            "question_type": question_type,
            "answer_type": answer_type,
            "question_id": number,
        }
        for number, (image, question, answer, question_type, answer_type) in TRAIN.items()
    ]
    assert len(records[0]["answers"]) == 10
    assert records.name == "read_vqa('questions.json')"
    assert list(pickle.loads(pickle.dumps(records))) == list(records)


@pytest.mark.parametrize("pattern", ["{:012d}.jpg", "train2014/COCO_train2014_{:012d}.jpg", "train2014/{:012d}.jpg"])
def test_names_of_pictures(files, tmp_path, pattern):
    images = write_images(tmp_path / "images", (9, 25), pattern)
    assert [record["image"] for record in read_vqa(*files[:2], images)] == [
        str(images / pattern.format(number)) for number in (9, 25, 9)
    ]


def test_questions_without_answers(tmp_path):
    """`v2_OpenEnded_mscoco_test2015_questions.json` has no annotations."""
    questions = write_questions(tmp_path / "q.json", TRAIN, "test2015")
    images = write_images(tmp_path / "test2015", (9, 25), "COCO_test2015_{:012d}.jpg")
    records = read_vqa(questions, images=images)
    assert records.keys == ["image", "question", "question_id"]
    assert read_vqa(questions)[1] == {"image_id": 25, "question": "How many giraffes?", "question_id": 25001}


def test_official_split(files, tmp_path):
    test = {1000: (1, "Where?", None, None, None)}
    questions = {"test": write_questions(tmp_path / "test.json", test, "test2015"), "train": files[0]}
    images = {"test": write_images(tmp_path / "i", (1,), "COCO_test2015_{:012d}.jpg"), "train": files[2]}
    records = read_vqa(questions, {"train": files[1]}, images)
    train, val, test = records.official_split()
    assert ([record["question_id"] for record in train], len(val), len(test)) == (list(TRAIN), 0, 1)
    assert list(test[0]) == list(train[0])
    assert (test[0]["answer"], test[0]["answers"]) == (None, None)
    with pytest.raises(ValueError, match=r"`images` must have the splits"):
        read_vqa(questions, {"train": files[1]}, {"train": files[2]})
    with pytest.raises(ValueError, match=r"`annotations` must have the splits"):
        read_vqa(questions, {"val": files[1]}, images)
    with pytest.raises(ValueError, match=r"`annotations` must be a dict by split"):
        read_vqa(questions, files[1], images)


def test_what_is_skipped_is_named(files, tmp_path):
    more = {
        **TRAIN,
        30000: (30, "No picture?", "no", "is", "yes/no"),
        30001: (30, "None?", "no", "is", "yes/no"),
        9002: (9, "No answer?", None, None, None),
    }
    questions = write_questions(tmp_path / "q.json", more)
    asked = {number: row for number, row in more.items() if number != 9002}
    annotations = write_annotations(tmp_path / "a.json", {**asked, 77: (9, "", "yes", "is", "yes/no")})
    with pytest.warns(UserWarning, match=r"read_vqa\('q\.json'\) skipped 4 of 7") as caught:
        records = read_vqa(questions, annotations, files[2])
    assert caught[0].filename == __file__
    assert [record["question_id"] for record in records] == list(TRAIN)
    path = os.path.join(files[2], "COCO_train2014_000000000030.jpg")
    assert list(map(str, records.problems)) == [
        f"q.json, question 30000 [image]: no file {path!r}",
        f"q.json, question 30001 [image]: no file {path!r}",
        "q.json, question 9002 [answer]: no annotation",
        "a.json, question 77 [answer]: an answer to a question that q.json does not ask",
    ]
    with pytest.raises(ValueError, match=r"strict: q\.json, question 30000"):
        read_vqa(questions, annotations, files[2], strict=True)


def twice(path, key):
    content = json.loads(path.read_text())
    content[key].append(content[key][0])
    path.write_text(json.dumps(content))


def test_two_questions_or_annotations_of_one_id_are_an_error(files):
    twice(files[1], "annotations")
    with pytest.raises(ValueError, match=r"annotations\.json, annotations\[3\]: a second annotation of question 9001"):
        read_vqa(*files)
    twice(files[0], "questions")
    with pytest.raises(ValueError, match=r"questions\.json, questions\[3\]: a second question with id 9000"):
        read_vqa(files[0], images=files[2])


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        ((1, 1, 2), r"annotations\.json': expected an object with a list 'questions'.*'annotations', 'data_subtype'"),
        ((0, 0, 2), r"questions\.json': expected an object with a list 'annotations'"),
        ((0, 1, 1), "No such folder"),
        ((2, 1, 2), "No such file"),
    ],
)
def test_files_in_the_wrong_place(files, swap, reason):
    with pytest.raises(ValueError, match=reason):
        read_vqa(*(files[place] for place in swap))
