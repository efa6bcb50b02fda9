"""`read_folder`: both layouts, the official split, and every file that cannot be used is named."""

import os
import pickle

import pytest

from mmkeras.data.readers.folder import read_folder


def fill(folder, files):
    """Write files: a name, or a name with its content; readers of paths open none but texts."""
    files = dict.fromkeys(files, b"-") if not isinstance(files, dict) else files
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(records, key="image"):
    return [record[key] and os.path.basename(record[key]) for record in records]


def test_class_folders(tmp_path):
    fill(tmp_path, ["dog/b.jpg", "dog/a.JPEG", "dog/puppies/small/c.webp", "dog/puppies/d/e.gif", "cat/a.png"])
    fill(tmp_path, [".cache/x.jpg", "cat/Thumbs.db", "cat/.DS_Store"])
    records = read_folder(tmp_path)
    assert list(records) == [
        {"image": str(tmp_path / "cat/a.png"), "label": "cat"},
        {"image": str(tmp_path / "dog/a.JPEG"), "label": "dog"},
        {"image": str(tmp_path / "dog/b.jpg"), "label": "dog"},
        {"image": str(tmp_path / "dog/puppies/d/e.gif"), "label": "dog"},
        {"image": str(tmp_path / "dog/puppies/small/c.webp"), "label": "dog"},
    ]
    assert records.name == f"read_folder({tmp_path.name!r})"
    assert not records.problems
    with pytest.raises(ValueError, match="no official split"):
        records.official_split()


@pytest.mark.parametrize(
    ("key", "extension"),
    [("image", extension) for extension in ("jpg", "jpeg", "png", "gif", "bmp", "webp")]
    + [("audio", extension) for extension in ("wav", "flac", "ogg", "mp3")]
    + [("video", extension) for extension in ("mp4", "mpg", "mpeg", "webm", "avi", "mov", "mkv")],
)
def test_modality_comes_from_the_extension(tmp_path, key, extension):
    fill(tmp_path, [f"a/x.{extension}", f"b/y.{extension.upper()}"])
    assert names(read_folder(tmp_path), key) == [f"x.{extension}", f"y.{extension.upper()}"]


def test_siblings_in_class_folders_are_one_sample_with_every_key(tmp_path):
    fill(
        tmp_path,
        {"dog/1.mp4": "-", "dog/1.wav": "-", "dog/1.txt": "one\ntwo\n", "cat/2.mp4": "-", "cat/sub/1.wav": "-"},
    )
    first, second, third = read_folder(tmp_path)
    assert first == {"audio": None, "video": str(tmp_path / "cat/2.mp4"), "text": None, "label": "cat"}
    assert second == {"audio": str(tmp_path / "cat/sub/1.wav"), "video": None, "text": None, "label": "cat"}
    assert third["text"] == "one\ntwo"
    assert third["label"] == "dog"
    assert list(first) == list(second) == list(third)


def test_flat_siblings(tmp_path):
    texts = {"a.txt": "a dog\n\n  two dogs  \n", "b.txt": "\ufeffa cat\n", "c.txt": " \n", "e.txt": "line\u2028break"}
    fill(tmp_path, {"b.jpg": "-", "a.jpg": "-", "a.wav": "-", "c.jpg": "-", "d.gif": "-", **texts})
    records = read_folder(tmp_path)
    assert [record["id"] for record in records] == ["a", "b", "c", "d", "e"]
    assert [record["text"] for record in records] == [["a dog", "two dogs"], "a cat", None, None, "line\u2028break"]
    assert names(records) == ["a.jpg", "b.jpg", "c.jpg", "d.gif", None]
    assert names(records, "audio") == ["a.wav", None, None, None, None]
    assert all(list(record) == ["image", "audio", "text", "id"] for record in records)


def test_texts_are_read_when_asked_for(tmp_path):
    records = read_folder(fill(tmp_path, {"a.txt": "early"}))
    (tmp_path / "a.txt").write_text("late")
    assert records[0]["text"] == "late"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a/x.jpg", "a/x.png"), ("x.JPG", "x.jpg"), ("x.mp3", "x.wav"), ("train/a/n/x.mp4", "train/a/n/x.webm")],
)
def test_two_files_for_one_sample_are_an_error(tmp_path, first, second):
    fill(tmp_path, [first, second])
    with pytest.raises(ValueError, match="Two files") as error:
        read_folder(tmp_path)
    assert repr(str(tmp_path / first)) in str(error.value)
    assert repr(str(tmp_path / second)) in str(error.value)


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("test", ["test", "testing"])
def test_official_split(tmp_path, train, val, test):
    fill(tmp_path, [f"{train}/dog/1.jpg", f"{train}/cat/2.jpg", f"{val}/dog/3.jpg", f"{test}/4.jpg", f"{test}/5.jpg"])
    records = read_folder(tmp_path)
    parts = records.official_split()
    assert [names(part) for part in parts] == [["2.jpg", "1.jpg"], ["3.jpg"], ["4.jpg", "5.jpg"]]
    assert [part[0]["label"] for part in parts] == ["cat", "dog", None]
    assert [part[0]["id"] for part in parts] == [None, None, "4"]


def test_part_that_is_not_there_is_empty(tmp_path):
    train, val, test = read_folder(fill(tmp_path, ["train/a/1.jpg", "test/a/2.jpg"])).official_split()
    assert (len(train), len(val), len(test)) == (1, 0, 1)


def test_train_may_be_a_class(tmp_path):
    records = read_folder(fill(tmp_path, ["train/1.jpg", "car/2.jpg", "ship/3.jpg"]))
    assert records.column("label") == ["car", "ship", "train"]


def test_folder_beside_the_split_is_named(tmp_path):
    fill(tmp_path, ["train/a/1.jpg", "val/a/2.jpg", "extra/a/3.jpg", "labels.csv"])
    with pytest.warns(UserWarning, match=r"skipped 2 of 4.*extra.*labels\.csv"):
        records = read_folder(tmp_path)
    assert names(records) == ["1.jpg", "2.jpg"]


def test_two_folders_for_one_part_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"two folders for 'val'.*\['dev', 'valid'\]"):
        read_folder(fill(tmp_path, ["train/a/1.jpg", "dev/a/2.jpg", "valid/a/3.jpg"]))


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        ({"a.jpg": "-"}, {"a.json": "{}"}, "unknown kind of file"),
        ({"a.jpg": "-"}, {"a.jpg.1": "-"}, "unknown kind of file"),
        ({"x/a.jpg": "-"}, {"x/a.psd": "-"}, "unknown kind of file"),
        ({"x/a.jpg": "-"}, {"noextension": "-"}, "beside the class folders"),
        ({"x/a.jpg": "-", "y/a.jpg": "-"}, {"sheet.jpg": "-"}, "beside the class folders"),
        ({"x/a.jpg": "-"}, {"y/notes.md": "-"}, "no files in it"),
        ({"a.jpg": "-"}, {"thumbnails/a.jpg": "-"}, "beside the samples"),
        ({"a.txt": "a"}, {"b.txt": b"caf\xe9"}, "not UTF-8: byte 0xe9"),
    ],
)
def test_what_cannot_be_used_is_named_once(tmp_path, good, bad, reason):
    fill(tmp_path, good | bad)
    with pytest.warns(UserWarning, match="skipped 1 of") as caught:
        records = read_folder(tmp_path)
    (problem,) = records.problems
    assert caught[0].filename == __file__
    assert reason in problem.reason
    assert next(iter(bad)).startswith(os.path.relpath(problem.where, tmp_path))
    assert len(records) == len(good)
    with pytest.raises(ValueError, match=r"read_folder\(.*strict"):
        read_folder(tmp_path, strict=True)


def test_names_that_are_not_unicode(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    with open(path, "wb"):
        pass
    (record,) = read_folder(tmp_path)
    assert os.fsencode(record["image"]) == path


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "No such folder"), (".", "holds no files")])
def test_nothing_to_read(tmp_path, name, reason):
    with pytest.raises(ValueError, match=reason):
        read_folder(tmp_path / name)


def test_pickles(tmp_path):
    fill(tmp_path, {"train/a.txt": "x\ny", "train/a.jpg": "-", "test/b.jpg": "-"})
    records = read_folder(tmp_path)
    again = pickle.loads(pickle.dumps(records))
    assert list(again) == list(records)
    assert list(again.official_split()[2]) == [records[1]]
