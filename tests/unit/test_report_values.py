"""The data report on values of many forms: kinds of keys, shapes, labels, names that no table expects, memory."""

import html.parser
import io
import tracemalloc

import numpy as np
import pytest

from mmkeras.data.records import Records
from mmkeras.data.report import clean, inspect
from mmkeras.data.report.distribution import Distribution
from mmkeras.data.report.kinds import kind_of


def test_many_records_keep_their_order():
    records = Records([{"text": f"text {row % 1500}", "label": row % 3} for row in range(2000)])
    report = inspect(records, workers=4)
    assert report.duplicates == [[row, row + 1500] for row in range(500)]
    assert report.conflicts == []


def test_what_has_no_label_contradicts_none():
    rows = [{"text": "a dog", "label": "dog"}, {"text": "a dog", "label": None}, {"text": "a dog"}]
    report = inspect(rows)
    assert report.conflicts == []
    assert report.duplicates == [[1, 2]]


def test_broken_values_are_not_equal():
    report = inspect([{"text": ""}, {"text": ""}, {"text": " "}])
    assert report.rows("broken") == [0, 1, 2]
    assert report.shared == {}
    assert report.duplicates == []


def test_arrays_without_a_common_shape_are_left_alone():
    report = inspect([{"features": np.ones((3, size))} for size in (4, 4, 5, 6)])
    assert report.problems == []
    assert report.tags["features"]["shape"] == {"(3, 4)": 2, "(3, 5)": 1, "(3, 6)": 1}


def test_arrays_must_have_the_axes_of_the_others():
    rng = np.random.default_rng(0)
    features = [rng.random((5 + row % 3, 4)) for row in range(10)]
    features[3] = rng.random((5, 7))
    features[4] = rng.random(4)
    features[5] = np.full((5, 4), np.nan)
    features[6] = [[1.0, 2.0], [3.0]]
    features[7] = "features.npy"
    report = inspect([{"features_face": value} for value in features])
    reasons = {row: problem.reason for row, problem in zip(report.problem_rows, report.problems, strict=True)}
    assert set(reasons) == {3, 4, 5, 6, 7}
    assert reasons[3] == "shape (5, 7), where 5 of 7 have (any, 4)"
    assert reasons[4] == "shape (4,), where 5 of 7 have (any, 4)"
    assert reasons[5] == "20 of 20 numbers are NaN or infinite"
    assert "unequal lengths" in reasons[6]
    assert "'features.npy'" in reasons[7]


@pytest.mark.parametrize(("key", "expected"), [("features_face", [2]), ("signal", [])])
def test_a_single_axis_may_vary_unless_it_is_a_vector(key, expected):
    values = [np.ones(4), np.ones(4), np.ones(5), np.ones(4)]
    assert inspect([{key: value} for value in values]).rows("broken") == expected


@pytest.mark.parametrize(
    ("key", "values", "kind"),
    [
        ("image", [], "image"),
        ("left_image", [], "image"),
        ("image_2", [], "image"),
        ("image_id", [7], "other"),
        ("image_width", [640], "category"),
        ("audio", [], "audio"),
        ("target_text", [], "text"),
        ("question", [], "text"),
        ("question_type", ["what is"], "category"),
        ("answer", [], "label"),
        ("answer_type", ["yes/no"], "category"),
        ("features_face", [], "array"),
        ("features_audio", [], "array"),
        ("text_features", [], "array"),
        ("signal", [], "array"),
        ("url", ["http://example.org/a.jpg"], "other"),
        ("clip", ["1-100032-A"], "category"),
        ("address", ["http://example.org/a.jpg"], "category"),
        ("speaker", ["george"], "category"),
        ("comment", ["a dog runs"], "text"),
        ("onset", [0.5], "number"),
        ("fold", [3], "category"),
        ("channels", [["Fp1", "Fp2"]], "other"),
        ("picture", [np.zeros((4, 4, 3), "uint8")], "image"),
        ("embedding", [np.zeros((4, 4))], "array"),
        ("recording", [(np.zeros(9), 8000)], "audio"),
        ("words", [[(0.0, 0.5, "bin")]], "other"),
        ("anything", [], "other"),
    ],
)
def test_kind_of_key(key, values, kind):
    assert kind_of(key, values) == kind


def test_names_and_numbers_are_no_classes():
    rows = [{"clip": f"clip{row}", "speaker": "ab"[row % 2], "set": "one"} for row in range(8)]
    report = inspect(rows)
    assert set(report.kinds.values()) == {"category"}
    assert set(report.balance) == {"speaker"}


def test_labels_of_many_forms():
    values = [
        ["red", "round"],
        {"red"},
        [],
        np.array([1, 0, 1], bool),
        np.array([3, 3]),
        0.25,
        b"red",
        np.int64(7),
        " ",
    ]
    report = inspect([{"label": value} for value in values])
    assert report.rows("broken") == [8]
    assert report.present == {"label": 9}
    assert report.balance["label"]["counts"] == {"red": 3, "round": 1, "0": 1, "2": 1, "3": 1, "7": 1}
    assert report.sizes["label"]["value"]["values"] == [0.25]


def test_ten_answers_and_still_clips_repeat_nothing():
    frames = [np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4, 3), "uint8")]
    rows = [{"video": frames, "answers": ["yes", "yes"]}, {"video": [*frames, frames[0]], "answers": ["no"]}]
    report = inspect(rows)
    assert report.rows("repeated") == []
    assert report.shared == {}


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), [], b""], ids=repr)
@pytest.mark.parametrize("key", ["text", "image", "speaker"])
def test_missing_as_tables_and_files_leave_it(key, value):
    report = inspect([{key: value}, {key: None}])
    assert report.missing == {key: 2}
    assert report.problems == []


def test_unreadable_records_are_named():
    def broken_in_the_middle(record):
        return {"text": ["a", "b", "c"][record["row"]]}

    records = Records([{"row": 0}, {"row": 9}, {"row": 2}]).map(broken_in_the_middle)
    report = inspect(records)
    assert report.rows("broken") == [1]
    assert report.rows("missing") == []
    assert str(report.problems[0]) == "row 1: the record cannot be read: IndexError: list index out of range"
    assert len(clean(records, report)) == 2


@pytest.mark.parametrize("values", [[], [{}], [{"image": None}], [{"text": "a"}]])
def test_little_is_enough(values, tmp_path):
    report = inspect(values)
    assert report.num_records == len(values)
    assert str(report)
    report.to_html(tmp_path / "little.html")
    assert len(clean(values, report)) == len(values)


class Part:
    """A part of a Preprocessor that knows three words and keeps two."""

    kind = "token_ids"
    regression = False

    def __init__(self, kind="token_ids", fails=()):
        self.kind = kind
        self.fails = fails
        self.num_classes = 2

    def read(self, value, rng=None):
        if value in self.fails:
            raise ValueError(f"unknown class. Received: {value!r}")

    def coverage(self, sentences):
        words = [word for sentence in sentences for word in sentence.split()]
        unknown = [word for word in words if word not in ("a", "dog", "cat")]
        cut = sum(len(sentence.split()) > 2 for sentence in sentences)
        return {
            "sentences": len(sentences),
            "empty": 0,
            "cut": cut,
            "words": len(words),
            "unknown": len(unknown),
            "most_unknown": [[word, unknown.count(word)] for word in sorted(set(unknown))],
        }


class Preprocessor:
    """What `inspect` needs of one."""

    def __init__(self, **parts):
        self.parts = parts


def test_preprocessor_reads_every_value_and_says_what_it_covers():
    records = [
        {"text": "a dog", "label": "dog"},
        {"text": ["a dog runs far", "a cat"], "label": "owl"},
        {"text": "dogs runs", "label": "dog"},
    ]
    report = inspect(records, Preprocessor(text=Part(), label=Part(None, fails=("owl",)), image=Part("image")))
    assert report.rows("broken", "label") == [1]
    assert report.problems[0].reason == "the preprocessor's 'label' part: unknown class. Received: 'owl'"
    assert report.rows("cut") == [1]
    assert report.vocabulary["text"] == {
        "sentences": 4,
        "cut": 1,
        "words": 10,
        "unknown": 4,
        "covered": 0.6,
        "most_unknown": [["runs", 2], ["far", 1], ["dogs", 1]],
    }
    assert report.notes == ["the preprocessor has a part for 'image', which no record has"]
    assert "60.0 %" in str(report)


def test_preprocessor_that_is_not_ready_says_so_once():
    class Unready(Part):
        def coverage(self, sentences):
            raise ValueError("no vocabulary yet. Call `adapt`")

    with pytest.raises(ValueError, match=r"'text' part is not ready: no vocabulary yet"):
        inspect([{"text": "a"}], Preprocessor(text=Unready()))


def test_a_missing_library_is_no_broken_file():
    class Bare(Part):
        def read(self, value, rng=None):
            raise ImportError("pip install 'mmkeras[media]'")

    with pytest.raises(ImportError, match="media"):
        inspect([{"text": "a"}], Preprocessor(text=Bare()))


@pytest.fixture(scope="module")
def foreign():
    """Names that no table, font, page or terminal expects."""
    names = [
        "<script>alert(1)</script>",
        "狗",
        "$x$ & $y",
        "[bold]dog[/bold]",
        "a\x1b[31mred",
        "\ud83d half",
        "x" * 200,
    ]
    return inspect(Records([{"label": name, "text": f"{name} {name}"} for name in names], name="<b>all</b>"))


def test_page(foreign, tmp_path):
    path = tmp_path / "report.html"
    foreign.to_html(path)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "http" not in text.replace("https://git-lfs", "")
    assert 'src="data:image/png;base64,iVBOR' in text
    checker = _Nesting()
    checker.feed(text)
    assert checker.open == []
    assert checker.cells >= 30
    assert "<b>all" not in foreign._repr_html_()


class _Nesting(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells = [], 0

    def handle_starttag(self, tag, attrs):
        self.cells += tag == "td"
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_foreign_names_print(foreign):
    text = str(foreign)
    text.encode("utf-8")
    assert "\x1b" not in text
    assert any(line.startswith("  [bold]dog[/bold] ") for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 100


def test_foreign_names_draw(foreign):
    # A character that the font lacks would warn, and warnings are errors here.
    foreign.plot().savefig(io.BytesIO())


def test_distribution():
    words = Distribution()
    for number in (3, 4, 4, 5, 90):
        words.add(number)
    summary = words.summary()
    assert (summary["count"], summary["least"], summary["median"], summary["most"]) == (5, 3, 4, 90)
    assert (summary["mean"], summary["values"], summary["counts"]) == (21.2, [3, 4, 5, 90], [1, 2, 1, 1])


def test_distribution_with_a_long_tail_has_bins_that_grow():
    words = Distribution()
    for number in [*range(1, 31), 10_000]:
        words.add(number)
    edges = words.summary()["edges"]
    assert edges[2] - edges[1] < 1 < edges[-1] - edges[-2]
    assert sum(words.summary()["counts"]) == 31


def test_distribution_of_many_numbers_stays_small():
    numbers = np.random.default_rng(0).lognormal(3, 1, 50_000)
    seconds = Distribution()
    for number in numbers.tolist():
        seconds.add(number)
    summary = seconds.summary()
    assert len(seconds.counts) < 5000
    assert sum(summary["counts"]) == len(numbers)
    assert summary["median"] == pytest.approx(np.median(numbers), rel=0.01)
    assert summary["95%"] == pytest.approx(np.quantile(numbers, 0.95), rel=0.01)
    assert summary["most"] == pytest.approx(numbers.max())
    assert len(summary["edges"]) == len(summary["counts"]) + 1
    assert np.all(np.diff(summary["edges"]) > 0)


class Generated:
    """Long texts made when they are asked for."""

    def __len__(self):
        return 3000

    def __getitem__(self, row):
        return {"text": f"{row} " + "word" * 1250, "features": np.full((10, 50), float(row))}


def test_memory_stays_flat():
    records = Records(Generated())
    inspect(records.take(64))
    tracemalloc.start()
    report = inspect(records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.num_inspected == 3000
    # The texts and arrays together take 27 MB.
    assert peak < 4e6
