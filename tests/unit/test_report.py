"""The data report: what it counts, which rows it names, and what cleaning by it leaves."""

import io
import json
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image as Pillow

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.report import DataReport, clean, inspect, passes
from mmkeras.preprocessing import Image, Label, Preprocessor, Text


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five files: 0 and 1 with equal bytes, 2 of the same size as 3, 4 broken."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number, shade in enumerate((0, 0, 1, 2)):
        pixels = rng.integers(0, 256, (20, 10 + 10 * (shade == 2), 3)) if shade else np.arange(600).reshape(20, 10, 3)
        Pillow.fromarray(pixels.astype("uint8")).save(folder / f"{number}.bmp")
    sizes = [(folder / f"{number}.bmp").stat().st_size for number in range(4)]
    assert sizes[0] == sizes[2] != sizes[3]
    (folder / "4.bmp").write_bytes(b"not a picture")
    return [str(folder / f"{number}.bmp") for number in range(5)]


@pytest.fixture(scope="module")
def records(pictures):
    """Twelve records with one of everything."""
    rows = [
        {"image": pictures[0], "text": "a dog", "label": "dog", "id": 0},
        {"image": pictures[1], "text": "a dog", "label": "dog", "id": 1},
        {"image": pictures[0], "text": "one dog", "label": "dog", "id": 2},
        {"image": pictures[2], "text": "a cat", "label": "cat", "id": 3},
        {"image": pictures[2], "text": "a cat", "label": "dog", "id": 4},
        {"image": pictures[4], "text": "a bird", "label": "bird", "id": 5},
        {"image": pictures[3], "text": "", "label": "cat", "id": 6},
        {"image": pictures[3], "text": None, "label": "cat", "id": 7},
        {"text": "no picture", "label": "cat", "id": 8},
        {"image": pictures[3], "text": "no label", "label": None, "id": 9},
        {"image": pictures[3], "text": "bad label", "label": float("nan"), "id": 10},
        {"image": pictures[3], "text": ["two", "captions"], "label": "Dog", "id": 11},
    ]
    problems = Problems("read_csv('toy.csv')")
    problems.add("toy.csv, row 13", "no file 'x.bmp'", "image")
    splits = {"train": range(8), "test": range(8, 12)}
    return Records(rows, name="toy", problems=problems, splits=splits, notes=["made by hand"])


@pytest.fixture(scope="module")
def report(records):
    return inspect(records)


def test_counts(report):
    assert (report.num_records, report.num_inspected, report.seed) == (12, 12, None)
    assert report.kinds == {"image": "image", "text": "text", "label": "label", "id": "other"}
    assert report.present == {"image": 11, "text": 11, "label": 11, "id": 12}
    assert report.missing == {"image": 1, "text": 1, "label": 1, "id": 0}


def test_rows(report):
    assert report.rows("broken") == [5, 6, 10]
    assert report.rows("broken", "text") == [6]
    # A missing label is no missing modality.
    assert report.rows("missing") == [7, 8]
    assert report.rows("missing", "label") == [9]
    # Row 1 holds other bytes' copy and the same text and label; row 2 another text.
    assert report.rows("duplicate") == [1]
    assert report.duplicates == [[0, 1]]
    assert report.rows("duplicate", "image") == [1, 2, 4, 7, 9, 10, 11]
    assert report.rows("duplicate", "text") == [1, 4]
    assert report.rows("conflict") == [3, 4]
    assert report.rows("silent") == []


def test_problems_name_reading_row_and_file(report, pictures):
    assert report.problem_rows == [None, 5, 6, 10]
    assert [problem.key for problem in report.problems] == ["image", "image", "text", "label"]
    assert str(report.problems[0]) == "toy.csv, row 13 [image]: no file 'x.bmp'"
    assert str(report.problems[1]) == (
        f"row 5, {pictures[4]} [image]: not a picture: it looks like text, 'not a picture'"
    )


def test_equal_files_and_values(report):
    assert report.copies == {"image": [[0, 1]]}
    assert report.shared["text"] == [[0, 1], [3, 4]]
    assert report.conflicts == [{"key": "label", "rows": [3, 4], "labels": ["cat", "dog"]}]


def test_balance_and_patterns(report):
    balance = report.balance["label"]
    assert balance["counts"] == {"dog": 4, "cat": 4, "bird": 1, "Dog": 1}
    assert balance["largest_share"] == 0.4
    assert balance["imbalance_ratio"] == 4
    assert balance["singletons"] == ["bird", "Dog"]
    assert report.notes == ["label: 'dog' (4) and 'Dog' (1) may be one class"]
    assert report.patterns == [
        {"present": ["image", "text"], "count": 10},
        {"present": ["text"], "count": 1},
        {"present": ["image"], "count": 1},
    ]


def test_sizes_count_every_file_once(report):
    # Files 0 to 3 can be opened: three of width 10, one of width 20.
    assert report.sizes["image"]["width"]["values"] == [10, 20]
    assert report.sizes["image"]["width"]["counts"] == [3, 1]
    assert report.tags["image"]["format"] == {"BMP": 4}
    assert report.sizes["text"]["words"]["most"] == 2
    assert report.sizes["text"]["in a list"]["values"] == [2]


def test_a_file_is_opened_once_and_only_equal_sizes_are_compared(records, monkeypatch):
    opened, compared = [], []
    look_at, file_hash = passes.look_at, passes.file_hash

    def watched(kind, value):
        if kind == "image":
            opened.append(value)
        return look_at(kind, value)

    def watched_hash(path):
        compared.append(path)
        return file_hash(path)

    monkeypatch.setattr(passes, "look_at", watched)
    monkeypatch.setattr(passes, "file_hash", watched_hash)
    inspect(records, workers=1)
    assert sorted(path[-5:] for path in opened) == ["0.bmp", "1.bmp", "2.bmp", "3.bmp", "4.bmp"]
    assert sorted(path[-5:] for path in compared) == ["0.bmp", "1.bmp", "2.bmp"]


def test_the_number_of_workers_changes_nothing(records, report):
    assert inspect(records, workers=4).to_dict() == report.to_dict()


def test_sample(records):
    first, again, other = (inspect(records, sample=6, seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict() != other.to_dict()
    assert (first.num_records, first.num_inspected, first.seed) == (12, 6, 1)
    assert "of which 6 were looked at" in str(first)
    assert inspect(records, sample=99).seed is None


def test_captions_of_one_picture_are_no_duplicates(pictures):
    captions = [f"caption {number}" for number in range(5)]
    report = inspect([{"image": pictures[0], "text": text} for text in captions])
    assert report.duplicates == []
    assert report.shared == {"image": [[0, 1, 2, 3, 4]]}
    assert report.copies == {}


def test_questions_on_one_picture_are_no_conflicts(pictures):
    rows = [{"image": pictures[0], "question": question, "answer": question[-3:]} for question in ("a red", "a box")]
    assert inspect(rows).conflicts == []


def test_a_path_is_a_path_in_every_form(pictures):
    report = inspect([{"image": pictures[0]}, {"image": pathlib.Path(pictures[0])}])
    assert report.duplicates == [[0, 1]]
    assert report.copies == {}
    assert report.sizes["image"]["width"]["count"] == 1


def test_kind_of_files_that_exist_and_kinds_by_name(pictures):
    rows = [{"scan": path, "photo": path} for path in pictures]
    assert inspect(rows).kinds == {"scan": "image", "photo": "image"}
    assert inspect(rows, kinds={"scan": "other"}).kinds == {"scan": "other", "photo": "image"}


def test_preprocessor_reads_each_file_once(pictures):
    seen = []

    class Counting(Image):
        def read(self, value, rng=None):
            seen.append(value)
            if value == pictures[3]:
                raise ValueError("too wide")
            return super().read(value, rng)

    report = inspect([{"image": path} for path in pictures + pictures], Preprocessor(image=Counting()), workers=1)
    assert sorted(seen) == pictures[:4]
    assert report.rows("broken") == [3, 4, 8, 9]
    assert "the preprocessor's 'image' part: too wide" in report.problems[0].reason


def test_preprocessor_learned_from_what_was_cleaned(records, report):
    preprocessor = Preprocessor(image=Image(), text=Text(length=4), label=Label())
    with pytest.raises(ValueError, match=r"'text' part is not ready: .*Call `adapt`"):
        inspect(records, preprocessor)
    preprocessor.adapt(clean(records, report, missing="label"))
    again = inspect(records, preprocessor)
    # Row 5, whose picture is broken, has the only bird.
    assert again.rows("broken") == [5, 6, 10]
    assert again.rows("broken", "label") == [5, 10]
    assert again.vocabulary["text"]["most_unknown"] == [["label", 2], ["bird", 1], ["bad", 1]]
    assert again.vocabulary["text"]["cut"] == 0


@pytest.mark.parametrize(
    ("arguments", "left", "note"),
    [
        ({}, [0, 1, 2, 3, 4, 7, 8, 9, 11], "cleaned of 3 of 12: 3 broken"),
        ({"drop": ()}, list(range(12)), "cleaned: nothing to drop"),
        ({"drop": "duplicate"}, [0, *range(2, 12)], "cleaned of 1 of 12: 1 duplicate"),
        ({"drop": ("missing",)}, [0, 1, 2, 3, 4, 5, 6, 9, 10, 11], "cleaned of 2 of 12: 2 missing"),
        ({"drop": (), "missing": "image"}, [*range(8), 9, 10, 11], "cleaned of 1 of 12: 1 without 'image'"),
        ({"drop": (), "missing": ("image", "label")}, [*range(8), 10, 11], "1 without 'image', 1 without 'label'"),
        ({"drop": "conflict"}, [0, 1, 2, *range(5, 12)], "cleaned of 2 of 12: 2 conflict"),
        # Rows 6, 7, 9, 10 and 11 show one picture; 6 and 10 are broken, so 7 is the first that stays.
        ({"same": "image"}, [0, 3, 7, 8], "3 broken, 5 same 'image'"),
        ({"drop": ("broken", "silent", "duplicate")}, [0, 2, 3, 4, 7, 8, 9, 11], "3 broken, 1 duplicate"),
    ],
)
def test_clean(records, report, arguments, left, note):
    kept = clean(records, report, **arguments)
    assert [record["id"] for record in kept] == left
    assert note in repr(kept)
    assert kept.notes[0] == "made by hand"
    assert kept.problems == records.problems
    assert [record["id"] for record in pickle.loads(pickle.dumps(kept))] == left
    train, val, test = kept.official_split()
    assert [record["id"] for record in train] == [row for row in left if row < 8]
    assert [record["id"] for record in test] == [row for row in left if row >= 8]
    assert len(val) == 0


def test_clean_counts_a_record_once():
    rows = [{"text": "", "label": None}, {"text": "a", "label": None}, {"text": "b", "label": "c"}]
    kept = clean(rows, inspect(rows), missing="label")
    assert kept.notes == ("cleaned of 2 of 3: 1 broken, 1 without 'label'",)


def test_clean_by_a_report_from_a_file(records, report):
    saved = json.loads(json.dumps(report.to_dict()))
    restored = DataReport.from_dict(saved)
    assert restored.to_dict() == report.to_dict()
    assert str(restored) == str(report)
    assert len(clean(records, restored)) == 9


def test_clean_by_a_sample_says_so(records):
    sample = inspect(records, sample=8, seed=0)
    assert "(only 8 were inspected)" in repr(clean(records, sample))


@pytest.mark.parametrize("other", ["fewer", "shuffled", "changed"])
def test_clean_refuses_a_report_of_other_records(records, report, other):
    others = {
        "fewer": lambda: records.take(11),
        "shuffled": lambda: records.shuffle(seed=1),
        "changed": lambda: records.map(_with_another_text),
    }
    with pytest.raises(ValueError, match="made from other records"):
        clean(others[other](), report)


def _with_another_text(record):
    return {**record, "text": "another"} if record["id"] == 3 else record


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda records, report: report.rows("wrong"), "`kind` must be one of .*Received: kind='wrong'"),
        (lambda records, report: report.rows("broken", "sound"), "`key` must be one of .*Received: key='sound'"),
        (lambda records, report: clean(records, report, drop="wrong"), "Received: kind='wrong'"),
        (lambda records, report: clean(records, report, missing="sound"), "Received: key='sound'"),
        (lambda records, report: clean(records, report, same=("sound",)), "Received: key='sound'"),
        (lambda records, report: clean(records, {}), "`report` must be what `inspect` gave"),
        (lambda records, report: inspect(records, workers=0), "workers=0"),
        (lambda records, report: inspect(records, sample=0), "sample=0"),
        (lambda records, report: inspect(records, kinds={"image": "picture"}), "'picture'"),
        (lambda records, report: inspect(records, kinds={"sound": "audio"}), r"no record has.*Received: \['sound'\]"),
    ],
)
def test_bad_arguments(records, report, call, message):
    with pytest.raises(ValueError, match=message):
        call(records, report)


def test_table(report):
    text = str(report)
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "toy: 12 records, all looked at",
        "3 records with a broken value",
        '1 record without label: missing="label"',
        "Dog",
        "'x.bmp'",
        "0, 1",
    ):
        assert part in text
    assert repr(report) == "<DataReport of toy: 12 of 12 records; rows: 3 broken, 2 missing, 1 duplicate, 2 conflict>"


def test_figure(report):
    titles = [axis.get_title(loc="left") for axis in report.plot().axes]
    assert titles == [
        "Records by key",
        "Modalities that occur together",
        "label: 4 classes",
        "image: width, median 10",
        "image: width / height, median 0.5",
        "text: words, median 2",
        "text: characters, median 6",
    ]


def test_progress_on_a_terminal(records, report, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert inspect(records).to_dict() == report.to_dict()
    assert "opening files of image" in terminal.getvalue()
    assert capsys.readouterr().out == ""
