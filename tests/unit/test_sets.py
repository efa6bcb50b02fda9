"""Readers of research sets, on tiny sets written in the public layouts."""

import gzip
import json
import pickle

import numpy as np
import pytest

from mmkeras.data.sets.easy_vqa import easy_vqa
from mmkeras.data.sets.esc import esc
from mmkeras.data.sets.fsdd import fsdd
from mmkeras.data.sets.grid import grid
from mmkeras.data.sets.mnist import mnist
from mmkeras.data.sets.mosi import mosi
from mmkeras.data.sets.multi30k import multi30k


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def sizes(records):
    return [len(part) for part in records.official_split()]


def survives_pickling(records):
    np.testing.assert_equal(list(pickle.loads(pickle.dumps(records))), list(records))


def write_easy_vqa(folder, parts=("train", "test")):
    """`data/{train,test}/images/ID.png`; `questions.json`: [[question, answer, image id], ...]; `answers.txt`."""
    questions = [["what color is the shape?", "red", 1], ["is there a circle?", "no", 0], ["what shape?", "circle", 1]]
    for part in parts:
        data = folder / "easy-VQA" / "data"
        write(data / part / "questions.json", json.dumps(questions if part == "train" else questions[:1]))
        touch(data / part / "images" / "0.png", data / part / "images" / "1.png")
        write(data / "answers.txt", "red\nno\ncircle")
    return folder


def test_easy_vqa(tmp_path):
    root = write_easy_vqa(tmp_path)
    for path in (root, root / "easy-VQA", root / "easy-VQA" / "data", str(root)):
        records = easy_vqa(path)
        assert sizes(records) == [3, 0, 1]
    image = str(root / "easy-VQA" / "data" / "train" / "images" / "1.png")
    assert records[0] == {"image": image, "question": "what color is the shape?", "answer": "red", "image_id": 1}
    assert records[3]["image"] != image
    survives_pickling(records)


def test_easy_vqa_test_part_alone(tmp_path):
    assert sizes(easy_vqa(write_easy_vqa(tmp_path, ["test"]))) == [0, 0, 1]


def test_easy_vqa_names_bad_samples(tmp_path):
    data = write_easy_vqa(tmp_path) / "easy-VQA" / "data"
    (data / "train" / "images" / "0.png").unlink()
    write(data / "answers.txt", "red\nno\n")
    with pytest.warns(
        UserWarning, match=r"skipped 2 of 4: .*questions.json, row 1 \(0-based\) \[image\]: no file '.*0.png'"
    ):
        records = easy_vqa(tmp_path)
    assert sizes(records) == [1, 0, 1]
    assert records.problems[1].reason == "answers.txt does not list 'circle'"
    with pytest.raises(ValueError, match="no file"):
        easy_vqa(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[["q", "a"]]', r"questions.json, row 0 \(0-based\): expected a list of \[question, answer, image id\]"),
        ('[["q", "a", "1"]]', r"Received: \['q', 'a', '1'\]"),
        ('{"questions": []}', "Received: dict"),
        ("[[", "questions.json is not valid JSON"),
    ],
)
def test_easy_vqa_damaged_questions(tmp_path, text, message):
    write(write_easy_vqa(tmp_path) / "easy-VQA" / "data" / "test" / "questions.json", text)
    with pytest.raises(ValueError, match=message):
        easy_vqa(tmp_path)


ENGLISH = ["Two dogs run.", "A man\u2028sleeps.", "A girl sings."]
GERMAN = ["Zwei Hunde rennen.", "Ein Mann schläft.", "Ein Mädchen singt."]


def write_multi30k(folder, packed=True):
    """`data/task1/raw/PART.LANGUAGE[.gz]`, a sentence per line; `data/task1/image_splits/PART.txt`, a picture per line.

    `flickr8k_overlap_PART.tsv`: line0 (0-based), flickr30k_id, flickr8k_file, image_in.
    """
    task = folder / "data" / "task1"
    for count, part in ((3, "train"), (1, "val"), (2, "test_2016_flickr"), (1, "test_2017_flickr")):
        for language, sentences in (("en", ENGLISH), ("de", GERMAN)):
            file = write(task / "raw" / f"{part}.{language}", "\n".join(sentences[:count]) + "\n")
            if packed:
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
                file.unlink()
        write(task / "image_splits" / f"{part}.txt", "".join(f"10{line}.jpg\n" for line in range(count)))
    write(folder / "data" / "task2" / "raw" / "train.1.en", "not this\n")
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_multi30k(tmp_path, packed):
    root = write_multi30k(tmp_path / "multi30k", packed)
    for path in (tmp_path, root, root / "data", root / "data" / "task1"):
        records = multi30k(path)
        assert sizes(records) == [3, 1, 2]
    assert records[0] == {"text": "Two dogs run.", "target_text": "Zwei Hunde rennen.", "id": "100.jpg"}
    assert records[1]["text"] == ENGLISH[1], "a line separator inside a sentence ends no line"
    assert multi30k(root, "de", "en")[2]["target_text"] == "A girl sings."
    assert sizes(multi30k(root, test="test_2017_flickr")) == [3, 1, 1]
    assert sizes(records) == [3, 1, 2]
    survives_pickling(records)


def test_multi30k_with_pictures_of_flickr30k(tmp_path):
    root = write_multi30k(tmp_path / "set")
    touch(tmp_path / "images" / "101.jpg", tmp_path / "images" / "100.jpg")
    records = multi30k(root, images=tmp_path / "images")
    assert records[0]["image"] == str(tmp_path / "images" / "100.jpg")
    assert records[2]["image"] is None
    assert "image missing in 1 of 6" in records.notes
    with pytest.raises(
        ValueError, match=r"None of the 6 pictures .* such as '100.jpg'.*images='.*set' with \['data'\]"
    ):
        multi30k(root, images=root)
    with pytest.raises(ValueError, match="`images` must be a folder"):
        multi30k(root, images=tmp_path / "none")


def test_multi30k_with_pictures_of_flickr8k(tmp_path):
    root = write_multi30k(tmp_path)
    heading = "line0\tflickr30k_id\tflickr8k_file\timage_in\n"
    table = write(
        root / "flickr8k_overlap_train.tsv", f"{heading}1\t101.jpg\t101_ab.jpg\tdev\n2\t102.jpg\t102_cd.jpg\theld\n"
    )
    images = tmp_path / "Flicker8k_Dataset"
    touch(images / "101_ab.jpg")
    for path in (root, root / "data"):
        records = multi30k(path, images=images)
        assert records.column("image") == [None, str(images / "101_ab.jpg"), None, None, None, None]
    write(table, f"{heading}1\t102.jpg\t102_cd.jpg\tdev\n")
    with pytest.raises(
        ValueError, match=r"train.tsv, line 2: line 1 shows '101.jpg'. Received: flickr30k_id '102.jpg'"
    ):
        multi30k(root, images=images)
    write(table, f"{heading}1\t101.jpg\t101_ab.jpg\tdev\n1\t101.jpg\t101_ef.jpg\tdev\n")
    with pytest.raises(ValueError, match=r"line 3: line 1 has two pictures"):
        multi30k(root, images=images)


def test_multi30k_empty_line(tmp_path):
    root = write_multi30k(tmp_path, packed=False)
    write(root / "data" / "task1" / "raw" / "train.de", "a\n \nc\n")
    with pytest.warns(UserWarning, match=r"skipped 1 of 6: .*train.de, line 2 \[target_text\]: the line is empty"):
        records = multi30k(root)
    assert records.column("id")[:2] == ["100.jpg", "102.jpg"]
    with pytest.raises(ValueError, match="the line is empty"):
        multi30k(root, strict=True)


def test_multi30k_damaged(tmp_path):
    root = write_multi30k(tmp_path)
    raw = root / "data" / "task1" / "raw"
    with pytest.raises(ValueError, match=r"Received: no train.fr in"):
        multi30k(root, target="fr")
    with pytest.raises(ValueError, match=r"Received: no test_2018_flickr.en in"):
        multi30k(root, test="test_2018_flickr")
    with pytest.raises(ValueError, match=r"The set is not in .*Received: a folder with data"):
        multi30k(root, source="cs")
    packed = (raw / "train.en.gz").read_bytes()
    (raw / "train.en.gz").write_bytes(packed[:-9])
    with pytest.raises(ValueError, match=r"train.en.gz cannot be read: .*Expected a whole file"):
        multi30k(root)
    (raw / "train.en.gz").write_bytes(gzip.compress("á\n".encode("latin-1") * 3))
    with pytest.raises(ValueError, match=r"train.en.gz is not UTF-8"):
        multi30k(root)
    (raw / "train.en.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    with pytest.raises(ValueError, match=r"train.en.gz has 2, .*train.de.gz has 3, .*train.txt has 3"):
        multi30k(root)


def write_fsdd(folder):
    """`recordings/{digit}_{speaker}_{index}.wav`; index 0 to 4 is the test part."""
    names = [
        f"{digit}_{speaker}_{index}.wav" for digit in (3, 7) for speaker in ("theo", "lucas") for index in (4, 5, 10)
    ]
    touch(*(folder / "free-spoken-digit-dataset" / "recordings" / name for name in names))
    write(folder / "free-spoken-digit-dataset" / "metadata.py", "")
    return folder


def test_fsdd(tmp_path):
    recordings = write_fsdd(tmp_path) / "free-spoken-digit-dataset" / "recordings"
    for path in (tmp_path, recordings.parent, recordings):
        records = fsdd(path)
        assert sizes(records) == [8, 0, 4]
    assert records[2] == {"audio": str(recordings / "3_lucas_10.wav"), "label": 3, "speaker": "lucas", "index": 10}
    assert set(records.official_split()[2].column("index")) == {4}
    touch(recordings / "noise.wav")
    with pytest.warns(UserWarning, match=r"skipped 1 of 13: .*noise.wav \[audio\]: not named"):
        assert len(fsdd(tmp_path)) == 12
    with pytest.raises(ValueError, match=r"noise.wav"):
        fsdd(tmp_path, strict=True)


def write_esc(folder):
    """`audio/{fold}-{clip}-{take}-{target}.wav`.

    `meta/esc50.csv`: filename, fold, target, category, esc10, src_file, take.
    """
    rows = [
        "1-100032-A-0.wav,1,0,dog,True,100032,A",
        "2-17367-A-10.wav,2,10,rain,True,17367,A",
        "5-9032-A-0.wav,5,0,dog,True,9032,A",
        "3-1000-B-42.wav,3,42,siren,False,1000,B",
    ]
    write(folder / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take\n" + "\n".join(rows) + "\n")
    touch(*(folder / "audio" / row.split(",")[0] for row in rows))
    return folder


def test_esc(tmp_path):
    root = write_esc(tmp_path / "ESC-50")
    records = esc(tmp_path)
    audio = str(root / "audio" / "2-17367-A-10.wav")
    assert records[1] == {"audio": audio, "label": "rain", "fold": 2, "target": 10, "clip": "17367"}
    assert records.column("label") == ["dog", "rain", "dog", "siren"]
    assert esc(root, "esc10").column("label") == ["dog", "rain", "dog"]
    assert len(records.filter(lambda record: record["fold"] == 5)) == 1
    with pytest.raises(ValueError, match="has no official split"):
        records.official_split()


def test_esc_bad_input(tmp_path):
    table = write_esc(tmp_path) / "meta" / "esc50.csv"
    (tmp_path / "audio" / "5-9032-A-0.wav").unlink()
    with pytest.warns(UserWarning, match=r"skipped 1 of 4: .*esc50.csv, line 4 \[audio\]: no file"):
        assert len(esc(tmp_path)) == 3
    with pytest.raises(ValueError, match="no file"):
        esc(tmp_path, strict=True)
    with pytest.raises(ValueError, match=r"`subset` must be None or 'esc10'. Received: 'esc5'"):
        esc(tmp_path, "esc5")
    text = table.read_text()
    write(table, text.replace("1,0,dog", "one,0,dog", 1))
    with pytest.raises(ValueError, match=r"line 2: 'fold' must be a whole number. Received: 'one'"):
        esc(tmp_path)
    write(table, text.replace(",category,", ",class,"))
    with pytest.raises(ValueError, match=r"lacks the columns \['category'\]. Received: columns \['filename'"):
        esc(tmp_path)
    write(table, text.replace(",True,17367,A", ""))
    with pytest.raises(ValueError, match="line 3 does not have 7 cells"):
        esc(tmp_path)
    write(table, text + "1-100032-A-0.wav,2,0,dog,True,100032,A\n")
    with pytest.raises(ValueError, match="line 6: a clip may stand in one row only"):
        esc(tmp_path)


ALIGN = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 34000 sp\n34000 35500 at\n35500 74500 sil\n"


def write_grid(folder, speakers=("s1", "s2", "s10")):
    """`sN/mouth/ID.jpg`: 75 crops of 32x64 one under the other; `sN/audio/ID.wav`.

    `sN/align/ID.align`: start end word, 25,000 units a second.
    """
    from PIL import Image

    for speaker in speakers:
        for clip in ("bbaf2n", "lrwl5s"):
            root = folder / speaker
            write(root / "align" / f"{clip}.align", ALIGN)
            touch(root / "audio" / f"{clip}.wav")
            # Frame number as grey level, a multiple of 3 so that JPEG cannot blur two frames into one.
            strip = np.repeat(np.arange(75, dtype="uint8") * 3, 32)[:, None].repeat(64, axis=1)
            (root / "mouth").mkdir(exist_ok=True)
            Image.fromarray(strip).save(root / "mouth" / f"{clip}.jpg", quality=95)
    return folder


def test_grid_mouths(tmp_path):
    records = grid(write_grid(tmp_path))
    assert records.column("speaker") == ["s1", "s1", "s2", "s2", "s10", "s10"]
    first = records[0]
    assert first["video"].shape == (75, 32, 64, 3)
    assert first["video"].dtype == "uint8"
    np.testing.assert_allclose(first["video"].mean(axis=(1, 2, 3)), np.arange(75) * 3, atol=1)
    assert first["text"] == "bin blue at"
    # 23,750 / 25,000 = 0.95 s
    assert first["words"] == [(0.95, 1.18, "bin"), (1.18, 1.36, "blue"), (1.36, 1.42, "at")]
    assert (first["audio"], first["id"]) == (str(tmp_path / "s1" / "audio" / "bbaf2n.wav"), "bbaf2n")
    assert records.notes == ()
    assert len(grid(tmp_path / "s2")) == 2
    survives_pickling(records)


@pytest.mark.parametrize("inner", ["", "video"])
def test_grid_films(tmp_path, inner):
    touch(tmp_path / "s1" / inner / "bbaf2n.mpg", tmp_path / "s1" / inner / "lrwl5s.mpg")
    write(tmp_path / "alignments" / "s1" / "bbaf2n.align", ALIGN)
    records = grid(tmp_path)
    assert records[0]["video"] == str(tmp_path / "s1" / inner / "bbaf2n.mpg")
    assert records[0]["text"] == "bin blue at"
    assert records[1]["words"] is None
    assert records.notes == ("audio missing in 2 of 2", "text missing in 1 of 2")


def test_grid_missing_files_stay_and_are_counted(tmp_path):
    write_grid(tmp_path, ["s1"])
    (tmp_path / "s1" / "mouth" / "bbaf2n.jpg").unlink()
    (tmp_path / "s1" / "audio" / "lrwl5s.wav").unlink()
    records = grid(tmp_path)
    assert records[0]["video"] is None
    assert records[1]["audio"] is None
    assert records.notes == ("video missing in 1 of 2", "audio missing in 1 of 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 100 bin\n90 200 blue\n", r"bbaf2n.align, line 2: times must not go back. Received: '90 200 blue'"),
        ("100 0 bin\n", "line 1: times must not go back"),
        ("0 1.5 bin\n", "line 1: expected 'start end word'"),
        ("0 100\n", "line 1: expected 'start end word'. Received: '0 100'"),
    ],
)
def test_grid_bad_alignment(tmp_path, text, message):
    write(write_grid(tmp_path, ["s1"]) / "s1" / "align" / "bbaf2n.align", text)
    with pytest.warns(UserWarning, match=rf"skipped 1 of 2: .*{message}"):
        assert grid(tmp_path).column("id") == ["lrwl5s"]
    with pytest.raises(ValueError, match=message):
        grid(tmp_path, strict=True)


def test_grid_bad_pictures(tmp_path):
    from PIL import Image

    mouth = write_grid(tmp_path, ["s1"]) / "s1" / "mouth"
    whole = (mouth / "lrwl5s.jpg").read_bytes()
    touch(mouth / "bbaf2n.jpg")
    with pytest.warns(UserWarning, match=r"bbaf2n.jpg is not a readable picture"):
        assert len(grid(tmp_path)) == 1
    Image.new("L", (64, 64)).save(mouth / "bbaf2n.jpg")
    with pytest.warns(UserWarning, match=r"75 crops of 32x64 .* Received: \(64, 64\)"):
        assert len(grid(tmp_path)) == 1
    (mouth / "bbaf2n.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"bbaf2n.jpg: not a readable picture"):
        grid(tmp_path)[0]


def test_grid_without_clips(tmp_path):
    with pytest.raises(ValueError, match="No folders of speakers"):
        grid(tmp_path)
    (tmp_path / "s1").mkdir()
    with pytest.raises(ValueError, match="No clips here"):
        grid(tmp_path)


@pytest.mark.parametrize("reader", [easy_vqa, multi30k, fsdd, esc, mosi, mnist])
def test_wrong_folder(tmp_path, reader):
    write(tmp_path / "holiday.txt", "")
    with pytest.raises(ValueError, match=r"The set is not in .* Expected .* Received: a folder with holiday.txt"):
        reader(tmp_path)
    with pytest.raises(ValueError, match=r"There is no such folder. Expected .* Received: '.*none'"):
        reader(tmp_path / "none")


def test_two_copies_of_a_set(tmp_path):
    for name in ("one", "two"):
        write_esc(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"Two folders hold this set: give one of them. Received: \['.*one', '.*two'\]"
    ):
        esc(tmp_path)
