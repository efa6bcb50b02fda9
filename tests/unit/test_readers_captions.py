"""`read_coco`, `read_flickr8k`, `read_flickr30k`, `read_conceptual_captions` on small files in the public layouts."""

import json
import os
import pickle

import pytest

from mmkeras.data.readers.coco import read_coco
from mmkeras.data.readers.conceptual_captions import read_conceptual_captions
from mmkeras.data.readers.flickr import read_flickr8k, read_flickr30k


def write(path, content="-"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def names(records):
    return [os.path.basename(record["image"]) for record in records]


def where(records):
    return [problem.where for problem in records.problems]


def coco_image(number, name):
    """COCO, "Data format": every field of an image."""
    return {
        "license": 3,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/train2017/{name}",
        "height": 360,
        "width": 640,
        "date_captured": "2013-11-14 11:18:45",
        "flickr_url": "http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg",
        "id": number,
    }


def write_coco(path, images, captions, folder, changes=()):
    """`captions_train2017.json` by COCO's "Data format".

    Top: info{year, version, description, contributor, url, date_created}, licenses[{id, name, url}],
    images[{license, file_name, coco_url, height, width, date_captured, flickr_url, id}] and, for captions,
    annotations[{image_id, id, caption}].
    """
    content = {
        "info": {
            "description": "COCO 2017 Dataset",
            "url": "http://cocodataset.org",
            "version": "1.0",
            "year": 2017,
            "contributor": "COCO Consortium",
            "date_created": "2017/09/01",
        },
        "licenses": [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}],
        "images": [coco_image(number, f"{number:012d}.jpg") for number in images],
        "annotations": [{"image_id": image, "id": 48 + row, "caption": text} for row, (image, text) in captions],
        **dict(changes),
    }
    for number in images:
        write(folder / f"{number:012d}.jpg")
    return write(path, json.dumps(content))


SHUFFLED = list(enumerate([(9, "A bowl.\n"), (25, "A giraffe."), (9, " Two bowls. "), (25, "Trees."), (9, "Food.")]))


def test_coco(tmp_path):
    path = write_coco(tmp_path / "annotations/captions_train2017.json", [25, 9], SHUFFLED, tmp_path / "train2017")
    records = read_coco(path, tmp_path / "train2017")
    assert list(records) == [
        {"image": str(tmp_path / "train2017/000000000025.jpg"), "text": ["A giraffe.", "Trees."], "id": 25},
        {"image": str(tmp_path / "train2017/000000000009.jpg"), "text": ["A bowl.", "Two bowls.", "Food."], "id": 9},
    ]
    assert records.name == "read_coco('captions_train2017.json')"
    assert list(pickle.loads(pickle.dumps(records))) == list(records)


def test_coco_names_what_it_skips(tmp_path):
    annotations = [*SHUFFLED, (5, (404, "Of no image.")), (6, (30, "No file.")), (7, (9, " \n")), (8, (34, ""))]
    path = write_coco(tmp_path / "c.json", [9, 25, 30, 34, 42], annotations, tmp_path / "i")
    (tmp_path / "i/000000000030.jpg").unlink()
    with pytest.warns(UserWarning, match=r"read_coco\('c\.json'\) skipped 6 of 8: c\.json, annotations\[5\]") as caught:
        records = read_coco(path, tmp_path / "i")
    assert caught[0].filename == __file__
    assert [record["id"] for record in records] == [9, 25]
    assert len(records[0]["text"]) == 3
    assert [str(problem).partition(": ")[0] for problem in records.problems] == [
        "c.json, annotations[5] [text]",
        "c.json, annotations[7] [text]",
        "c.json, annotations[8] [text]",
        "c.json, image 30 [image]",
        "c.json, image 34 [text]",
        "c.json, image 42 [text]",
    ]
    with pytest.raises(ValueError, match="caption of image 404"):
        read_coco(path, tmp_path / "i", strict=True)


def test_coco_official_split(tmp_path):
    files = {
        "val": write_coco(tmp_path / "captions_val2017.json", [9], SHUFFLED[::2], tmp_path / "val2017"),
        "train": write_coco(tmp_path / "captions_train2017.json", [25], SHUFFLED[1::2], tmp_path / "train2017"),
    }
    records = read_coco(files, {"train": tmp_path / "train2017", "val": tmp_path / "val2017"})
    train, val, test = records.official_split()
    assert ([record["id"] for record in train], [record["id"] for record in val], len(test)) == ([25], [9], 0)
    assert val[0]["image"] == str(tmp_path / "val2017/000000000009.jpg")
    assert records.name == "read_coco('captions_val2017.json', 'captions_train2017.json')"
    for bad in ({"train": tmp_path}, {"train": tmp_path, "val": tmp_path, "test": tmp_path}):
        with pytest.raises(ValueError, match=r"`images` must have the splits \['train', 'val'\]"):
            read_coco(files, bad)
    with pytest.raises(ValueError, match=r"keys from .*'test'.*Received: keys \['dev'\]"):
        read_coco({"dev": files["val"]}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": None}, r"c\.json'?: expected an object with a list 'annotations'.*'images', 'info'"),
        ({"annotations": [{"image_id": 9, "id": 1, "bbox": []}]}, r"annotations\[0\]: .*'caption'.*\['bbox', 'id'"),
        ({"images": [coco_image(9, "a.jpg"), coco_image(9, "b.jpg")]}, r"images\[1\]: a second image with id 9"),
    ],
)
def test_coco_that_is_no_captions_file(tmp_path, changes, reason):
    path = write_coco(tmp_path / "c.json", [9], SHUFFLED[:1], tmp_path / "i", changes)
    with pytest.raises(ValueError, match=reason):
        read_coco(path, tmp_path / "i")


@pytest.mark.parametrize(
    ("annotations", "images", "reason"),
    [("gone.json", ".", "No such file"), ("c.json", "gone", "No such folder"), ("broken.json", ".", "not a JSON file")],
)
def test_coco_files_must_be_there(tmp_path, annotations, images, reason):
    write_coco(tmp_path / "c.json", [9], SHUFFLED[:1], tmp_path)
    write(tmp_path / "broken.json", '{"images": [')
    with pytest.raises(ValueError, match=reason):
        read_coco(tmp_path / annotations, tmp_path / images)


PHOTOS = ["1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "1002674143_1b742ab4b8.jpg"]
CAPTIONS = {
    PHOTOS[1]: ["A black dog , and a spotted dog .", "Two dogs ."],
    PHOTOS[0]: ['A child in a "pink" dress .'],
    PHOTOS[2]: ["A little girl , painting ."],
}


def write_tokens(path):
    """`Flickr8k.token.txt` and `results_20130124.token`: file#number, tab, caption; here the numbers are shuffled."""
    lines = [f"{name}#{order}\t{text}" for name, texts in CAPTIONS.items() for order, text in enumerate(texts)]
    return write(path, "\n".join(reversed(lines)) + "\n")


def write_table(path):
    """`captions.txt` of Kaggle: header image,caption, and quotes around captions with commas or quotes."""
    rows = ((name, text.replace('"', '""')) for name, texts in CAPTIONS.items() for text in texts)
    return write(path, "image,caption\n" + "".join(f'{name},"{text}"\n' for name, text in rows))


def write_pipes(path):
    """`results.csv` of Kaggle: header image_name| comment_number| comment."""
    rows = ((name, order, text) for name, texts in CAPTIONS.items() for order, text in enumerate(texts))
    lines = "".join(f"{name}| {order}| {text}\n" for name, order, text in rows)
    return write(path, "image_name| comment_number| comment\n" + lines)


def write_karpathy(path, parts=("train", "val", "test")):
    """Karpathy: images[{sentids, imgid, sentences[{tokens, raw, imgid, sentid}], split, filename}], dataset."""
    images = [
        {
            "sentids": list(range(len(CAPTIONS[name]))),
            "imgid": row,
            "sentences": [
                {"tokens": text.lower().split(), "raw": text, "imgid": row, "sentid": number}
                for number, text in enumerate(CAPTIONS[name])
            ],
            "split": part,
            "filename": name,
        }
        for row, (name, part) in enumerate(zip(PHOTOS, parts, strict=True))
    ]
    return write(path, json.dumps({"images": images, "dataset": "flickr"}))


def write_photos(folder):
    for name in PHOTOS:
        write(folder / name)


def write_lists(folder, names, ending=".jpg"):
    for name, photo in zip(names, PHOTOS, strict=True):
        write(folder / name, photo.removesuffix(".jpg") + ending + "\n")


FLICKR8K_LISTS = ["Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt", "Flickr_8k.testImages.txt"]
FLICKR30K_LISTS = ["flickr30k_train.txt", "flickr30k_val.txt", "flickr30k_test.txt"]


def check_captions_and_split(records):
    assert {record["id"]: record["text"] for record in records} == CAPTIONS
    assert all(os.path.basename(record["image"]) == record["id"] for record in records)
    assert [names(part) for part in records.official_split()] == [[name] for name in PHOTOS]
    assert not records.problems
    again = pickle.loads(pickle.dumps(records))
    assert list(again.official_split()[1]) == list(records.official_split()[1])


@pytest.mark.parametrize(
    "photos", ["Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "Flickr8k_Dataset/Flicker8k_Dataset"]
)
@pytest.mark.parametrize("texts", [".", "Flickr8k_text"])
@pytest.mark.parametrize(
    ("write_captions", "name"), [(write_tokens, "Flickr8k.token.txt"), (write_table, "captions.txt")]
)
def test_flickr8k(tmp_path, photos, texts, write_captions, name):
    write_photos(tmp_path / photos)
    write_captions(tmp_path / texts / name)
    write_lists(tmp_path / texts, FLICKR8K_LISTS)
    check_captions_and_split(read_flickr8k(tmp_path))


@pytest.mark.parametrize("photos", ["flickr30k-images", "flickr30k_images", "flickr30k_images/flickr30k_images"])
@pytest.mark.parametrize(
    ("write_captions", "name"),
    [
        (write_tokens, "results_20130124.token"),
        (write_pipes, "results.csv"),
        (write_karpathy, "dataset_flickr30k.json"),
    ],
)
@pytest.mark.parametrize("split", ["lists", "karpathy"])
def test_flickr30k(tmp_path, photos, write_captions, name, split):
    write_photos(tmp_path / photos)
    if split == "karpathy":
        write_karpathy(tmp_path / "dataset_flickr30k.json")
    else:
        write_lists(tmp_path, FLICKR30K_LISTS, ending="")
    write_captions(tmp_path / name)
    check_captions_and_split(read_flickr30k(tmp_path))


def test_karpathy_split_of_another_name_is_an_error(tmp_path):
    write_photos(tmp_path / "Images")
    write_karpathy(tmp_path / "dataset_flickr30k.json", ("train", "train", "rest"))
    with pytest.raises(ValueError, match=r"dataset_flickr30k\.json, images\[2\]: `split` takes .*Received: 'rest'"):
        read_flickr30k(tmp_path)


def test_flickr8k_photos_elsewhere_and_parts_that_are_absent(tmp_path):
    write_photos(tmp_path / "photos")
    write_tokens(tmp_path / "set/Flickr8k.token.txt")
    records = read_flickr8k(tmp_path / "set", images=tmp_path / "photos")
    assert records.name == "read_flickr8k('set')"
    with pytest.raises(ValueError, match="no official split"):
        records.official_split()
    write(tmp_path / "set/Flickr_8k.devImages.txt", f"{PHOTOS[2]}\n\n{PHOTOS[0]}\n")
    parts = read_flickr8k(tmp_path / "set", images=tmp_path / "photos").official_split()
    assert [names(part) for part in parts] == [[], [PHOTOS[2], PHOTOS[0]], []]


def test_flickr8k_names_what_it_skips(tmp_path):
    """The public token file has captions of `2258277193_586949ec62.jpg.1`, which names no file."""
    write_photos(tmp_path / "Flicker8k_Dataset")
    write(tmp_path / "Flicker8k_Dataset/lonely.jpg")
    tokens = write_tokens(tmp_path / "Flickr8k.token.txt")
    with tokens.open("a") as file:
        file.write("".join(f"2258277193_586949ec62.jpg.1#{order}\tPeople .\n" for order in range(5)))
        file.write(f"{PHOTOS[0]}#1\t \n{PHOTOS[0]} no number\tA dog .\n\n")
    write(tmp_path / "Flickr_8k.trainImages.txt", f"2258277193_586949ec62.jpg.1\n{PHOTOS[0]}\nghost.jpg\nlonely.jpg\n")
    with pytest.warns(UserWarning, match="skipped 6 of 9") as caught:
        records = read_flickr8k(tmp_path)
    assert caught[0].filename == __file__
    assert names(records.official_split()[0]) == [PHOTOS[0]]
    assert sorted(where(records)) == sorted(
        [
            "Flickr8k.token.txt, line 10",
            "Flickr8k.token.txt, line 11",
            "Flickr8k.token.txt, line 12",
            "Flickr8k.token.txt, 2258277193_586949ec62.jpg.1",
            str(tmp_path / "Flicker8k_Dataset/lonely.jpg"),
            "Flickr_8k.trainImages.txt, line 3",
        ]
    )
    with pytest.raises(ValueError, match=r"strict: Flickr8k\.token\.txt, line 10"):
        read_flickr8k(tmp_path, strict=True)


def test_flickr30k_line_without_its_bars(tmp_path):
    """The public `results.csv` has the line `2199200615.jpg| 4   A dog runs across the grass .`."""
    write_photos(tmp_path / "flickr30k_images")
    with write_pipes(tmp_path / "results.csv").open("a") as file:
        file.write(f"{PHOTOS[0]}| 4   A dog runs across the grass .\n{PHOTOS[0]}| 1| A dog | or not .\n")
    with pytest.warns(UserWarning, match=r"skipped 1 of 4: results\.csv, line 6: expected 'file\| number\| caption'"):
        records = read_flickr30k(tmp_path)
    assert records[1]["text"] == [*CAPTIONS[PHOTOS[0]], "A dog | or not ."]


def test_flickr_photo_in_two_parts_is_an_error(tmp_path):
    write_photos(tmp_path / "Images")
    write_tokens(tmp_path / "Flickr8k.token.txt")
    write_lists(tmp_path, FLICKR8K_LISTS)
    write(tmp_path / FLICKR8K_LISTS[2], f"{PHOTOS[2]}\n{PHOTOS[0]}\n")
    with pytest.raises(ValueError, match=rf"testImages\.txt, line 2: '{PHOTOS[0]}' is in two parts.*train, test"):
        read_flickr8k(tmp_path)


@pytest.mark.parametrize(
    ("present", "reason"),
    [("photos", "has no captions. Expected one of .*'Flickr8k.token.txt'"), ("captions", "has no folder of photos")],
)
def test_flickr_structure(tmp_path, present, reason):
    (tmp_path / "Images").mkdir()
    if present == "photos":
        write_photos(tmp_path / "Images")
    else:
        write_tokens(tmp_path / "Flickr8k.token.txt")
    with pytest.raises(ValueError, match=reason):
        read_flickr8k(tmp_path)


URLS = ["http://a.com/dog.jpg", "http://b.com/x/caf%C3%A9.jpg?w=300", "http://c.com/3.png", "http://d.com/e/", "x://["]


def write_gcc(path, urls=URLS, header=""):
    """`Validation_GCC-1.1.0-Validation.tsv`: caption, tab, address; no header, no quotes."""
    return write(path, header + "".join(f'author : "a life" , row {row}\t{url}\n' for row, url in enumerate(urls)))


GCC_LAYOUTS = {
    "number": ["0.jpg", "1.jpg", None, "3.png"],
    "padded": ["000000000.jpg", "000000001.jpg", None, "000000003.png"],
    "shards": ["00000/000000000.jpg", "00000/000000001.jpg", None, "00000/000000003.png"],
    "address": ["dog.jpg", "café.jpg", None, None],
    "address with query": ["dog.jpg", "caf%C3%A9.jpg?w=300", None, None],
}


@pytest.mark.parametrize("layout", GCC_LAYOUTS)
@pytest.mark.parametrize("header", ["", "caption\turl\n"])
def test_conceptual_captions(tmp_path, layout, header):
    tsv = write_gcc(tmp_path / "Validation_GCC-1.1.0-Validation.tsv", header=header)
    files = {row: name for row, name in enumerate(GCC_LAYOUTS[layout]) if name}
    for name in files.values():
        write(tmp_path / "images" / name)
        write((tmp_path / "images" / name).with_suffix(".json"), "{}")
    with pytest.warns(UserWarning, match=rf"skipped {5 - len(files)} of 5: {tsv.name}, row 2 \(from 0\)"):
        records = read_conceptual_captions(tsv, tmp_path / "images")
    assert list(records) == [
        {"image": str(tmp_path / "images" / name), "text": f'author : "a life" , row {row}', "url": URLS[row]}
        for row, name in files.items()
    ]
    assert list(pickle.loads(pickle.dumps(records))) == list(records)
    with pytest.raises(ValueError, match=r"strict: .*row 2 \(from 0\) \[image\]: no picture of 'http://c.com/3.png'"):
        read_conceptual_captions(tsv, tmp_path / "images", strict=True)


FOLDER = {"path": None}


def own_rule(row, url):
    return os.path.join(FOLDER["path"], f"picture{row}.jpg") if row < 2 else None


def test_conceptual_captions_by_function(tmp_path):
    FOLDER["path"] = str(tmp_path)
    write(tmp_path / "picture1.jpg")
    with pytest.warns(UserWarning, match=r"no picture of 'http://a.com/dog.jpg' at '.*picture0.jpg'"):
        records = read_conceptual_captions(write_gcc(tmp_path / "t.tsv"), own_rule)
    assert names(records) == ["picture1.jpg"]
    assert where(records) == [f"t.tsv, row {row} (from 0)" for row in (0, 2, 3, 4)]
    assert names(pickle.loads(pickle.dumps(records))) == ["picture1.jpg"]


def test_conceptual_captions_never_guesses_between_addresses(tmp_path):
    urls = ["http://a.com/1.jpg", "http://b.com/dog.jpg", "http://c.com/1.jpg", "http://b.com/dog.jpg"]
    write(tmp_path / "i/1.jpg")
    write(tmp_path / "i/dog.jpg")
    with pytest.warns(UserWarning, match="skipped 2 of 4") as caught:
        records = read_conceptual_captions(write_gcc(tmp_path / "t.tsv", urls), tmp_path / "i")
    assert caught[0].filename == __file__
    assert names(records) == ["dog.jpg", "dog.jpg"]
    assert [(problem.where, problem.reason) for problem in records.problems] == [
        (f"t.tsv, row {row} (from 0)", "its file is also the file of another address") for row in (0, 2)
    ]


def test_conceptual_captions_broken_lines(tmp_path):
    tsv = write(tmp_path / "t.tsv", "")
    tsv.write_bytes(b"a\thttp://a/0.jpg\nno address\n\ncaf\xe9\thttp://a/3.jpg\n \thttp://a/4.jpg\nf\thttp://a/5.jpg\n")
    for row in range(6):
        write(tmp_path / f"i/{row}.jpg")
    with pytest.warns(UserWarning, match="skipped 4 of 6"):
        records = read_conceptual_captions(tsv, tmp_path / "i")
    assert [(record["text"], os.path.basename(record["image"])) for record in records] == [
        ("a", "0.jpg"),
        ("f", "5.jpg"),
    ]
    assert where(records) == [f"t.tsv, row {row} (from 0)" for row in (1, 2, 3, 4)]


def test_conceptual_captions_picture_that_is_gone(tmp_path):
    write(tmp_path / "i/0.jpg")
    write(tmp_path / "i/1.jpg")
    records = read_conceptual_captions(write_gcc(tmp_path / "t.tsv", URLS[:2]), tmp_path / "i")
    (tmp_path / "i/1.jpg").unlink()
    assert names(records[:1]) == ["0.jpg"]
    with pytest.raises(ValueError, match=r"picture of row 1 \(from 0\)"):
        records[1]


def test_conceptual_captions_without_pictures(tmp_path):
    write(tmp_path / "i/readme.txt")
    with pytest.raises(ValueError, match="holds no pictures"):
        read_conceptual_captions(write_gcc(tmp_path / "t.tsv"), tmp_path / "i")
