"""`read_csv`, `read_jsonl` and `read_parquet`: cells, columns, paths, broken rows, and memory that stays flat."""

import csv
import io
import json
import pickle
import tracemalloc

import numpy as np
import pytest

from mmkeras.data.readers.parquet import read_parquet
from mmkeras.data.readers.tables import read_csv, read_jsonl


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path, columns, row_group_size=None, **schema):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: pyarrow.array(values, type=schema.get(name)) for name, values in columns.items()}
    parquet.write_table(pyarrow.table(arrays), path, row_group_size=row_group_size)
    return path


def write_table(path, columns):
    """The same table in the format that the ending of the path says, with its reader."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        return read_parquet, write_parquet(path, columns)
    if path.suffix == ".jsonl":
        return read_jsonl, write(path, lines(*rows))
    mark = "\t" if path.suffix == ".tsv" else ","
    file = io.StringIO()
    csv.writer(file, delimiter=mark).writerows([columns, *(row.values() for row in rows)])
    return read_csv, write(path, file.getvalue())


FORMATS = ["t.csv", "t.tsv", "t.jsonl", "t.parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_columns_become_keys(tmp_path, name):
    read, path = write_table(tmp_path / name, {"text": ["a dog", "Straße 🐕", None], "label": ["x", None, "y"]})
    records = read(path)
    assert list(records) == [
        {"text": "a dog", "label": "x"},
        {"text": "Straße 🐕", "label": None},
        {"text": None, "label": "y"},
    ]
    assert records.name == f"{read.__name__}({name!r})"
    assert list(pickle.loads(pickle.dumps(records))) == list(records)
    assert records[-1] == records[2]


@pytest.mark.parametrize("name", FORMATS)
def test_files_are_relative_to_the_table_and_must_be_there(tmp_path, name):
    write(tmp_path / "photos/a.jpg", "-")
    other = write(tmp_path / "elsewhere/b.jpg", "-")
    photos = ["photos/a.jpg", "photos/gone.jpg", None, str(other)]
    read, path = write_table(tmp_path / name, {"photo": photos, "what": ["a", "b", "c", "d"]})
    with pytest.warns(UserWarning, match="skipped 1 of 4") as caught:
        records = read(path, columns={"left_image": "photo", "label": "what"})
    assert caught[0].filename == __file__
    assert [record["left_image"] for record in records] == [str(tmp_path / "photos/a.jpg"), None, str(other)]
    (problem,) = records.problems
    line = {"csv": "line 3", "tsv": "line 3", "jsonl": "line 2", "parquet": "row 1 (from 0)"}[path.suffix[1:]]
    assert problem.where == f"{name}, {line}"
    assert problem.key == "left_image"
    assert "column 'photo': no file" in problem.reason
    with pytest.raises(ValueError, match=rf"strict: {name}, {line[:5]}.*gone\.jpg"):
        read(path, columns={"image": "photo"}, strict=True)
    # The same column under a name that is no file keeps its text.
    assert read(path, columns={"file_name": "photo"})[1]["file_name"] == "photos/gone.jpg"


@pytest.mark.parametrize("name", FORMATS)
def test_root_moves_the_files(tmp_path, name):
    write(tmp_path / "media/x.wav", "-")
    read, path = write_table(tmp_path / "tables" / name, {"audio": ["x.wav"]})
    assert read(path, root=tmp_path / "media")[0]["audio"] == str(tmp_path / "media/x.wav")


@pytest.mark.parametrize("name", FORMATS)
def test_several_columns_make_a_list(tmp_path, name):
    for photo in "abc":
        write(tmp_path / f"{photo}.jpg", "-")
    table = {
        "p1": ["a.jpg", "c.jpg", None],
        "p2": ["b.jpg", None, None],
        "c10": ["x", "z", None],
        "c9": ["y", "w", None],
    }
    read, path = write_table(tmp_path / name, table)
    records = read(path, columns={"image": ["p2", "p1"], "text": "c*"})
    assert [record["image"] for record in records] == [
        [str(tmp_path / "b.jpg"), str(tmp_path / "a.jpg")],
        [str(tmp_path / "c.jpg")],
        None,
    ]
    assert [record["text"] for record in records] == [["x", "y"], ["z", "w"], None]


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_become_an_array(tmp_path, name):
    table = {
        "f0": ["1.5", "x", None, "1", "1"],
        "f1": ["-2e3", "2", None, None, "2"],
        "s": ["0.5 1", "[1, 2]", "[1 2.5]", "7", "7"],
    }
    read, path = write_table(tmp_path / name, table)
    with pytest.warns(UserWarning, match="skipped 2 of 5"):
        records = read(path, columns={"features_face": "f*", "signal": "s"})
    first, second, third = records
    assert first["features_face"].dtype == first["signal"].dtype == "float32"
    np.testing.assert_array_equal(first["features_face"], [1.5, -2000])
    np.testing.assert_array_equal(first["signal"], [0.5, 1])
    assert second["features_face"] is None
    np.testing.assert_array_equal(second["signal"], [1, 2.5])
    np.testing.assert_array_equal(third["features_face"], [1, 2])
    np.testing.assert_array_equal(third["signal"], np.array([7], "float32"), strict=True)
    assert "column 'f0': expected numbers. Received: 'x'" in records.problems[0].reason
    assert "column 'f1': expected numbers. Received: " in records.problems[1].reason


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("wanted", ["capshun", ["text", "capshun"], "cap*"])
def test_missing_column_is_an_error(tmp_path, name, wanted):
    read, path = write_table(tmp_path / name, {"text": ["a"], "label": ["b"]})
    with pytest.raises(ValueError, match=r"no column 'cap.*asked for as 'text'.*\['text', 'label'\]") as error:
        read(path, columns={"text": wanted})
    assert str(path) in str(error.value)


@pytest.mark.parametrize("read", [read_csv, read_jsonl, read_parquet])
def test_missing_file_is_an_error(tmp_path, read):
    with pytest.raises(ValueError, match=r"No .*nowhere"):
        read(tmp_path / "nowhere")


def test_csv_quotes_line_ends_and_byte_order_mark(tmp_path):
    text = '\ufefftext,label\r\n"a ""big"" dog, here",1\r\n\r\n"two\r\nlines",2\r\nplain,3'
    records = read_csv(write(tmp_path / "t.csv", text))
    assert records.column("text") == ['a "big" dog, here', "two\r\nlines", "plain"]
    assert records.column("label") == ["1", "2", "3"]
    assert [records[row]["label"] for row in (2, 0, 1)] == ["3", "1", "2"]


def test_csv_broken_rows_are_named_and_swallow_nothing(tmp_path):
    rows = [
        b"text,label",
        b"ok,1",
        b'"never closed,2',
        b"too,many,cells",
        b"few",
        b"caf\xe9,3",
        b'"a"b,4',
        b"ok,5",
        b"",
    ]
    path = write(tmp_path / "t.csv", b"\n".join(rows))
    with pytest.warns(UserWarning, match="skipped 5 of 7"):
        records = read_csv(path)
    assert records.column("label") == ["1", "5"]
    assert [problem.where for problem in records.problems] == [f"t.csv, line {line}" for line in (3, 4, 5, 6, 7)]
    reasons = [problem.reason for problem in records.problems]
    assert [reason.split(":")[0].split(".")[0] for reason in reasons] == [
        "not a row of quoted cells",
        "expected 2 cells as in the header",
        "expected 2 cells as in the header",
        "not UTF-8",
        "not a row of quoted cells",
    ]
    assert "Received: 3" in reasons[1]
    assert "Received: 1" in reasons[2]
    assert "0xe9" in reasons[3]


def test_csv_lines_are_counted_over_quoted_line_ends(tmp_path):
    path = write(tmp_path / "t.csv", b'text,label\n"a\n\nb",1\n"caf\xe9\n",2\nbad\nc,3\n')
    with pytest.warns(UserWarning, match="skipped 2 of 4"):
        records = read_csv(path)
    assert records.column("text") == ["a\n\nb", "c"]
    assert list(map(str, records.problems)) == [
        "t.csv, line 5: not UTF-8: byte 0xe9",
        "t.csv, line 7: expected 2 cells as in the header. Received: 1",
    ]


def test_csv_stray_quote_loses_one_line_only(tmp_path):
    # The quote of line 3 closes at the one of line 5: three lines that look like one row of the right length.
    path = write(tmp_path / "t.csv", 'text,label\na,1\n"b,2\nc,3\nd","4\ne,5\n')
    with pytest.warns(UserWarning, match="skipped 2 of"):
        records = read_csv(path)
    assert records.column("label") == ["1", "3", "5"]
    assert [problem.where for problem in records.problems] == ["t.csv, line 3", "t.csv, line 5"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no header row"),
        ("0.5,1,-2e3\n1,2,3\n", r"no header row.*numbers \['0.5', '1', '-2e3'\]"),
        ("a;b\n1;2\n", r"delimiter=';'"),
        ("a\tb\n1\t2\n", r"delimiter='\\t'"),
        ("a,b,a\n1,2,3\n", r"two columns have one name.*\['a'\]"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"caf\xe9,b\n", "no header row.*0xe9"),
    ],
)
def test_csv_header_errors(tmp_path, content, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_csv(write(tmp_path / "t.csv", content))
    assert str(tmp_path / "t.csv") in str(error.value)


def test_csv_delimiter_and_a_column_without_name(tmp_path):
    path = write(tmp_path / "t.txt", ";text\n0;a,b\n")
    assert list(read_csv(path, delimiter=";")) == [{"column_0": "0", "text": "a,b"}]
    assert list(read_csv(write(tmp_path / "t.csv", "0,1\n5,6\n"))) == [{"0": "5", "1": "6"}]
    with pytest.raises(ValueError, match="must be one character"):
        read_csv(path, delimiter="; ")


def test_jsonl_values_stay_what_they_are(tmp_path):
    for photo in "ab":
        write(tmp_path / f"{photo}.jpg", "-")
    rows = [
        {"image": ["a.jpg", "b.jpg"], "text": ["one", "two"], "label": 3, "meta": {"a": [None]}},
        {"image": [], "text": "", "features": [[1, 2], [3, 4]], "label": 0.5},
        {"extra": True},
    ]
    records = read_jsonl(write(tmp_path / "t.jsonl", "\ufeff" + lines(*rows) + "\n"))
    assert all(list(record) == ["image", "text", "label", "meta", "features", "extra"] for record in records)
    first, second, third = records
    assert first["image"] == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert first["text"] == ["one", "two"]
    assert (first["label"], first["meta"]) == (3, {"a": [None]})
    assert (second["image"], second["text"], second["label"]) == (None, None, 0.5)
    np.testing.assert_array_equal(second["features"], np.array([[1, 2], [3, 4]], "float32"))
    assert third == {**dict.fromkeys(first), "extra": True}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "not JSON"),
        (b'["a"]', "expected a JSON object.*Received: list"),
        (b'{"text": "caf\xe9"}', "not UTF-8: byte 0xe9"),
        (b'{"image": "gone.jpg"}', "column 'image': no file"),
        (b'{"image": 7}', "column 'image': expected the path of a file. Received: 7"),
        (b'{"image": ["gone.jpg"]}', "column 'image': no file"),
        (b'{"features": [1, null]}', "column 'features': expected numbers"),
        (b'{"features": [[1], [2, 3]]}', "column 'features': expected numbers"),
        (b'{"features": {"a": 1}}', "column 'features': expected numbers"),
        (b'{"signal": true}', "column 'signal': expected numbers. Received: True"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_jsonl_broken_lines_are_named(tmp_path, line, reason):
    path = write(tmp_path / "t.jsonl", b'{"text": "first"}\n' + line + b'\n{"text": "last"}')
    with pytest.warns(UserWarning, match=r"skipped 1 of 3: t\.jsonl, line 2"):
        records = read_jsonl(path)
    assert records.column("text") == ["first", "last"]
    with pytest.raises(ValueError, match=f"strict: .*{reason}"):
        read_jsonl(path, strict=True)


def test_jsonl_that_is_one_list_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"one JSON list.*object on each line"):
        read_jsonl(write(tmp_path / "t.jsonl", '[{"text": "a"},\n{"text": "b"}]'))


def test_parquet_bytes_structs_and_arrays(tmp_path):
    """Hugging Face's files: struct<bytes: binary, path: string> for pictures and sounds, lists for sequences."""
    table = {
        "image": [{"bytes": b"jpeg", "path": "x.jpg"}, {"bytes": None, "path": "x.jpg"}, None],
        "audio": [b"wav", None, b""],
        "features": [[1.5, 2.5], None, []],
        "signal": [[[1.0], [2.0]], [[3.0], [4.0]], None],
        "label": [3, 4, 5],
        "captions": [["a", "b"], [], ["c"]],
    }
    path = write_parquet(tmp_path / "t.parquet", table)
    records = read_parquet(path, root="photos")
    first, second, third = pickle.loads(pickle.dumps(records))
    assert (first["image"], second["image"], third["image"]) == (b"jpeg", "photos/x.jpg", None)
    assert (first["audio"], second["audio"]) == (b"wav", None)
    np.testing.assert_array_equal(first["features"], np.array([1.5, 2.5], "float32"))
    assert first["features"].dtype == first["signal"].dtype == "float32"
    assert second["features"] is None
    assert third["features"] is None
    assert second["signal"].shape == (2, 1)
    assert [record["label"] for record in records] == [3, 4, 5]
    assert [record["captions"] for record in records] == [["a", "b"], None, ["c"]]


def test_parquet_hole_in_a_signal(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", {"signal": [[1.5, None]]})
    with pytest.raises(ValueError, match=r"column 'signal': expected numbers. Received: \[1.5, None\]"):
        read_parquet(path)[0]


def test_parquet_bad_rows_of_several_files(tmp_path):
    write(tmp_path / "a.jpg", "-")
    for name in ("1", "2"):
        write_parquet(tmp_path / f"{name}.parquet", {"image": ["a.jpg", "gone.jpg", "a.jpg"], "id": [0, 1, int(name)]})
    with pytest.warns(UserWarning, match="skipped 2 of 6"):
        records = read_parquet(tmp_path)
    assert records.column("id") == [0, 1, 0, 2]
    assert [problem.where for problem in records.problems] == [f"{name}.parquet, row 1 (from 0)" for name in "12"]


def test_parquet_decodes_one_row_group_for_one_row(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "t.parquet", {"text": [str(row) for row in range(10)], "big": [b"-"] * 10}, 3)
    records = read_parquet(path, columns={"text": "text"})
    parquet = pytest.importorskip("pyarrow.parquet")
    asked, original = [], parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        parquet.ParquetFile, "read_row_group", lambda *args, **kw: asked.append((args[1], kw)) or original(*args, **kw)
    )
    assert [records[row]["text"] for row in (4, 9, 3, 5, 0)] == ["4", "9", "3", "5", "0"]
    assert asked == [(group, {"columns": ["text"]}) for group in (1, 3, 0)]


@pytest.mark.parametrize("layout", ["{}-00000-of-00001-ab12.parquet", "data/{}-00000.parquet", "{}/0000.parquet"])
def test_parquet_folder_has_its_official_split(tmp_path, layout):
    for part, texts in {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}.items():
        write_parquet(tmp_path / layout.format(part), {"text": texts})
    parts = read_parquet(tmp_path).official_split()
    assert [part.column("text") for part in parts] == [["a", "b"], ["c"], ["d"]]
    assert len(read_parquet(str(tmp_path / layout.format("*")))) == 4


def test_parquet_files_must_fit_together(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"text": ["a"], "label": [1]})
    write_parquet(tmp_path / "b.parquet", {"text": ["b"], "class": [1]})
    with pytest.raises(ValueError, match=r"b\.parquet.*other columns"):
        read_parquet(tmp_path)
    assert read_parquet(tmp_path, columns={"text": "text"}).column("text") == ["a", "b"]
    write(tmp_path / "c.parquet", "no table")
    with pytest.raises(ValueError, match=r"c\.parquet' is not a Parquet file"):
        read_parquet(tmp_path, columns={"text": "text"})


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_memory_stays_flat(tmp_path, name):
    """50,000 rows of 200 bytes: where they lie takes 16 bytes each, and finding that out next to nothing more."""
    count, text = 50_000, "word " * 36
    row = f'{{"text": "{text}", "label": %d}}\n' if name == "t.jsonl" else f"{text},%d\n"
    header = "" if name == "t.jsonl" else "text,label\n"
    path = write(tmp_path / name, header + "".join(row % number for number in range(count)))
    read = read_jsonl if name == "t.jsonl" else read_csv
    list(read(write(tmp_path / f"warm_up_{name}", header + row % 0)))
    # What is allocated here, whatever other threads of the process do.
    tracemalloc.start()
    records = read(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 16 * count + 2**20
    assert peak < 32 * count + 2**22
    assert len(records) == count
    assert int(records[count - 1]["label"]) == count - 1
    assert len(pickle.dumps(records)) < 16 * count + 2**12
