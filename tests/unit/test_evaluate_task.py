"""The measures of a task on raw records: what is a row, what matches what, and how often anything is read."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

import mmkeras as mm
from mmkeras.retrieval import evaluate_pair, evaluate_task

INPUTS = {"image": "image", "text": "token_ids", "audio": "audio", "video": "frames"}


class Lookup:
    """Stands for an embedding task: looks the embedding of a value up, and keeps what it was asked."""

    similarity = "cosine"

    def __init__(self, table, modalities=("image", "text")):
        self.table = {_hashable(value): vector for value, vector in table.items()}
        self.encoders = {name: SimpleNamespace(inputs=[SimpleNamespace(name=INPUTS[name])]) for name in modalities}
        self.asked = []

    def embed(self, modality, records, *, batch_size):
        assert len(records) <= batch_size
        self.asked.append((modality, [record.get(modality, record) for record in records]))
        for row, record in enumerate(records):
            if _hashable(record.get(modality)) == "broken":
                raise ValueError(f"Record {row}: it cannot be decoded")
        return np.stack([self.table[_hashable(record.get(modality, record.get("video")))] for record in records])

    def values(self, modality):
        return [value for asked, values in self.asked if asked == modality for value in values]


def _hashable(value):
    return tuple(map(str, value)) if isinstance(value, list) else value


# Two photos, and captions near the one or the other.
TABLE = {
    "a.jpg": [1.0, 0.0],
    "b.jpg": [0.0, 1.0],
    "dog": [5.0, 1.0],
    "hound": [1.0, 2.0],
    "cat": [0.0, 3.0],
    "kitten": [2.0, 1.0],
}
PHOTOS = [{"image": "a.jpg", "text": ["dog", "hound"]}, {"image": "b.jpg", "text": ["cat", "kitten"]}]


def expected(*rows, ks=(1,), names=("image", "text"), **options):
    """What `evaluate_pair` says of (value, group) of each side."""
    sides = [[TABLE[value] for value, _ in side] for side in rows]
    groups = [[group for _, group in side] for side in rows]
    return evaluate_pair(*map(np.array, sides), *groups, names=names, ks=ks, **options)


def test_captions_of_photos_by_hand():
    """The hound lies nearer to b, the kitten nearer to a: half of the captions find their photo first."""
    results = evaluate_task(Lookup(TABLE), PHOTOS, ks=(1,))
    assert results["r@1_image_to_text"] == 1.0
    assert results["r@1_text_to_image"] == 0.5
    assert results["num_queries_text_to_image"] == 4
    assert results == expected(
        [("a.jpg", 0), ("b.jpg", 1)], [("dog", 0), ("hound", 0), ("cat", 1), ("kitten", 1)], ks=(1,)
    )


@pytest.mark.parametrize("kind", [str, pathlib.Path, str.encode])
def test_unfolding_captions_changes_nothing(kind):
    table = {**TABLE, **{kind(name): TABLE[name] for name in ("a.jpg", "b.jpg")}}
    records = mm.data.Records([{**record, "image": kind(record["image"])} for record in PHOTOS])
    folded, unfolded = Lookup(table), Lookup(table)
    results = evaluate_task(folded, records)
    assert evaluate_task(unfolded, records.unfold("text").shuffle(1)) == pytest.approx(results)
    assert len(unfolded.values("image")) == 2
    assert sorted(unfolded.values("text")) == sorted(folded.values("text"))


def test_equal_sentences_stay_apart():
    """Both photos are called "dog": it finds b behind a, and a in front of b."""
    records = [{"image": "a.jpg", "text": ["dog"]}, {"image": "b.jpg", "text": "dog"}]
    results = evaluate_task(Lookup(TABLE), records, ks=(1,))
    assert results == expected([("a.jpg", 0), ("b.jpg", 1)], [("dog", 0), ("dog", 1)])
    assert results["mean_rank_text_to_image"] == 1.5


def test_equal_arrays_stay_apart():
    task = mm.models.JointEmbedding({name: mm.encoders.features((2,)) for name in ("features", "features_b")}, dim=3)
    same = np.ones((4, 2), "float32")
    results = evaluate_task(task, mm.data.from_arrays(features=same, features_b=same), ks=(1,))
    # Nothing tells the four apart.
    assert results["mean_rank_features_to_features_b"] == 4


@pytest.mark.parametrize("labels", [(3, 7), ("three", "seven"), (np.int64(3), np.int64(7))])
def test_groups_join_records_of_different_sets(labels):
    three, seven = labels
    pictures = mm.data.Records([{"image": "a.jpg", "label": three}, {"image": "b.jpg", "label": seven}])
    sounds = mm.data.Records([{"text": name, "label": label} for name, label in (
        ("dog", three), ("cat", three), ("kitten", seven)
    )])  # fmt: skip
    results = evaluate_task(Lookup(TABLE), pictures + sounds, group_by="label", ks=(1, 2))
    rows = [("a.jpg", 0), ("b.jpg", 1)], [("dog", 0), ("cat", 0), ("kitten", 1)]
    assert results == expected(*rows, ks=(1, 2))
    assert results["precision@2_image_to_text"] == pytest.approx((0.5 + 0.5) / 2)


def test_a_record_without_a_group_stands_alone():
    records = [{**PHOTOS[0], "label": 1}, {**PHOTOS[1], "label": 1}, {"text": "dog", "label": None}]
    results = evaluate_task(Lookup(TABLE), records, group_by="label", ks=(1,))
    assert results["num_without_match_text_to_image"] == 1
    assert results["r@1_text_to_image"] == 1.0


@pytest.mark.parametrize("missing", [None, float("nan"), "", [], np.zeros(0)])
def test_what_is_missing_is_no_row(missing):
    records = [*PHOTOS, {"image": missing, "text": "dog"}, {"image": "b.jpg", "text": missing}, {}]
    task = Lookup(TABLE)
    results = evaluate_task(task, records, ks=(1,))
    rows = [("dog", 0), ("hound", 0), ("cat", 1), ("kitten", 1), ("dog", 2)]
    assert results == expected([("a.jpg", 0), ("b.jpg", 1)], rows)
    assert (len(task.values("image")), len(task.values("text"))) == (2, 5)


def test_a_flag_says_that_a_value_is_missing():
    records = [*PHOTOS, {"image": "c.jpg", "image_present": False, "text": "dog"}]
    assert evaluate_task(Lookup(TABLE), records)["num_queries_image_to_text"] == 2


def test_empty_texts_in_a_list_are_no_rows():
    records = [PHOTOS[0], {"image": "b.jpg", "text": [None, "cat", "", "kitten"]}]
    assert evaluate_task(Lookup(TABLE), records) == evaluate_task(Lookup(TABLE), PHOTOS)


def test_every_record_is_read_once_and_batches_are_bounded():
    read, flushed = [], []

    class Watched(Lookup):
        def embed(self, modality, records, *, batch_size):
            flushed.append((modality, len(read)))
            return super().embed(modality, records, batch_size=batch_size)

    def photo(record):
        read.append(record["row"])
        return {"image": f"{record['row']}.jpg", "text": [f"text {record['row']}"] * 2, **record}

    table = {key: np.eye(7)[row] for row in range(7) for key in (f"{row}.jpg", f"text {row}")}
    task = Watched(table)
    records = mm.data.Records([{"row": row} for row in range(7)]).map(photo)
    results = evaluate_task(task, records, batch_size=4, ks=(1,))
    assert read == list(range(7))
    assert [(name, len(values)) for name, values in task.asked] == [
        ("text", 4), ("image", 4), ("text", 4), ("text", 4), ("image", 3), ("text", 2)
    ]  # fmt: skip
    # A batch is embedded as soon as it is full, before more is read.
    assert flushed[:2] == [("text", 2), ("image", 4)]
    assert results["r@1_image_to_text"] == results["r@1_text_to_image"] == 1.0
    assert evaluate_task(Watched(table), iter(records), ks=(1,)) == results


def test_the_similarity_is_that_of_the_task():
    """By cosine the long kitten loses to the dog at photo a, by dot product it wins."""
    task = Lookup({**TABLE, "kitten": [50.0, 40.0]})
    records = [{"image": "a.jpg", "text": "dog"}, {"image": "b.jpg", "text": "kitten"}]
    assert evaluate_task(task, records, ks=(1,))["r@1_image_to_text"] == 1.0
    task.similarity = "dot"
    assert evaluate_task(task, records, ks=(1,))["r@1_image_to_text"] == 0.5


def test_three_modalities():
    table = {**TABLE, "a.wav": [3.0, 1.0], "b.wav": [1.0, 3.0], "c.wav": [1.0, 1.0]}
    records = [
        {**PHOTOS[0], "audio": "a.wav"},
        {**PHOTOS[1], "audio": ["b.wav", "c.wav"]},
        {"text": "dog", "audio": None},
    ]
    task = Lookup(table, ("image", "text", "audio"))
    results = evaluate_task(task, records, ks=(1,))
    directions = {key.removeprefix("map_") for key in results if key.startswith("map_")}
    assert directions == {f"{a}_to_{b}" for a in INPUTS for b in INPUTS if a != b and "video" not in (a, b)}
    # Each value once, though each modality is in two pairs.
    assert [len(task.values(name)) for name in ("image", "text", "audio")] == [2, 5, 3]
    only = Lookup(table, ("image", "text", "audio"))
    pair = evaluate_task(only, records, modalities=("audio", "image"), ks=(1,))
    assert pair.items() <= results.items()
    assert {name for name, _ in only.asked} == {"audio", "image"}
    two = evaluate_task(Lookup(table, ("image", "audio")), records, ks=(1,))
    assert two.items() <= results.items()


def test_a_list_of_frames_is_one_clip_and_has_a_sound():
    clips = [["1.png", "2.png"], ["3.png"], "c.mp4"]
    table = dict(zip(map(_hashable, clips), np.eye(3), strict=True)) | {"a.wav": np.eye(3)[0], "b.wav": np.eye(3)[1]}
    task = Lookup(table, ("video", "audio"))
    records = [{"video": clips[0], "audio": "a.wav"}, {"video": clips[1], "audio": "b.wav"}, {"video": clips[2]}]
    results = evaluate_task(task, records, ks=(1,))
    assert task.values("video") == clips
    # Where there is a file alone, its sound track is the sound.
    assert task.values("audio") == ["a.wav", "b.wav", {"video": "c.mp4"}]
    assert results["r@1_video_to_audio"] == results["r@1_audio_to_video"] == 1.0


def test_token_ids_are_one_text_and_lists_of_them_several():
    task = mm.models.JointEmbedding({"image": mm.encoders.vgg(1, 4), "text": mm.encoders.lstm(9, 4)}, dim=3)
    task.preprocessor = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((8, 8)),
        text=mm.preprocessing.Text(length=4, vocabulary=["a", "b", "c"], mark_ends=False),
    )
    pictures = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), "uint8")
    texts = ["a b", np.array([4, 5]), [[4, 6], [6, 6, 5]]]
    records = [{"image": image, "text": text} for image, text in zip(pictures, texts, strict=True)]
    results = evaluate_task(task, records, ks=(1, 2))
    rows = task.embed("text", [{"text": text} for text in ("a b", "a b", "a c", "c c b")])
    groups = [0, 1, 2], [0, 1, 2, 2]
    pair = evaluate_pair(task.embed("image", list(pictures)), rows, *groups, names=("image", "text"), ks=(1, 2))
    assert results == pytest.approx(pair)


def test_prepared_records_of_a_task_without_preprocessor():
    task = mm.models.JointEmbedding({"image": mm.encoders.vgg(1, 4), "text": mm.encoders.lstm(9, 4)}, dim=3)
    rng = np.random.default_rng(0)
    x = {"image": rng.uniform(0, 255, (5, 8, 8, 3)), "token_ids": rng.integers(1, 9, (5, 3))}
    sides = [task.embed("image", mm.data.from_arrays(image=x["image"]))]
    sides.append(task.embed("text", mm.data.from_arrays(token_ids=x["token_ids"])))
    results = evaluate_task(task, mm.data.from_arrays(**x), batch_size=2)
    assert results == pytest.approx(evaluate_pair(*sides, names=("image", "text")))


def test_the_record_that_cannot_be_embedded_is_named():
    records = [*PHOTOS, {"image": None, "text": "cat"}, {"image": "broken", "text": "dog"}]
    with pytest.raises(ValueError, match=r"'image' of record 3 cannot be embedded: .*cannot be decoded"):
        evaluate_task(Lookup(TABLE), records)


def test_records_that_fail_together_only_are_named():
    task = mm.models.JointEmbedding({name: mm.encoders.features((None, 2)) for name in ("features", "features_b")})
    rows = [{"features": np.ones((time, 2)), "features_b": np.ones((1, 2))} for time in (2, 3)]
    with pytest.raises(ValueError, match=r"'features' of records 0 to 1 cannot be embedded together: .*one shape"):
        evaluate_task(task, rows)


def test_one_file_in_common_is_enough():
    """Photo a is in three records, and each of its captions in one."""
    records = [{"image": "a.jpg", "text": text} for text in ("dog", "hound", "cat")] + [
        {"image": "b.jpg", "text": "cat"}
    ]
    rows = [("dog", 0), ("hound", 0), ("cat", 0), ("cat", 1)]
    results = evaluate_task(Lookup(TABLE), records, ks=(1,))
    assert results == expected([("a.jpg", 0), ("b.jpg", 1)], rows)


CROSSED = [{"image": image, "audio": audio} for image, audio in (("a.jpg", "1"), ("b.jpg", "1"), ("a.jpg", "2"))]
LABELLED = [{**record, "label": label} for record, label in zip(CROSSED, (0, 0, 1), strict=True)]
BAD = {
    "no task": (lambda: evaluate_task(object(), PHOTOS), "embeds modalities.*Received: object, which has no `embed`"),
    "unknown": (lambda: _call(modalities=("image", "sound")), r"among \['image', 'text'\].*\('image', 'sound'\)"),
    "one": (lambda: _call(modalities=("image",)), "two or more different"),
    "twice": (lambda: _call(modalities=("image", "image")), "two or more different"),
    "a word": (lambda: _call(modalities="image"), "two or more different"),
    "single encoder": (lambda: evaluate_task(Lookup(TABLE, ("image",)), PHOTOS), "two or more"),
    "nothing": (lambda: _call([]), "At least one record"),
    "one record": (lambda: _call(PHOTOS[0]), "collection of dicts.*Received: str 'image'"),
    "no side": (
        lambda: _call([{"image": "a.jpg", "caption": "dog"}]),
        r"No record has 'text'.*1 records with the keys \['caption', 'image'\]",
    ),
    "apart": (
        lambda: _call([{"image": "a.jpg"}, {"text": "dog"}]),
        "no record, or group of them, has both 'image' and 'text'.*group_by=None",
    ),
    "apart by group": (
        lambda: _call([{"image": "a.jpg", "label": 1}, {"text": "dog", "label": "1"}], group_by="label"),
        "has both 'image' and 'text'.*1 rows of 'image', 1 of 'text', group_by='label'",
    ),
    "no group": (lambda: _call(group_by="label"), r"group_by='label', keys \['image', 'text'\]"),
    "grouped by lists": (lambda: _call([{**PHOTOS[0], "tags": ["x"]}], group_by="tags"), "'tags'.*list in record 0"),
    "handed on": (lambda: _call(CROSSED, ("image", "audio")), "3 records.*2 have image 'a.jpg', and no more"),
    "named twice": (
        lambda: _call([{**CROSSED[0], "image": ["a.jpg"] * 2}, *CROSSED[1:]], ("image", "audio")),
        "2 have",
    ),
    "torn": (lambda: _call(LABELLED, ("image", "audio"), group_by="label"), "3 records.*group_by='label', of which 2"),
    "ks": (lambda: _call(ks=(0,)), "`ks` must be a whole number"),
    "batch size": (lambda: _call(batch_size=0), "`batch_size` must be a whole number"),
}


def _call(records=PHOTOS, modalities=None, **options):
    task = Lookup({**TABLE, "1": [1, 0], "2": [0, 1]}, ("image", "text") if modalities is None or "audio" not in
                  modalities else modalities)  # fmt: skip
    return evaluate_task(task, records, modalities=modalities, **options)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_arguments_are_checked_before_anything_is_embedded():
    task = Lookup(TABLE)
    for options in ({"ks": ()}, {"batch_size": 1.5}, {"modalities": ("image", "smell")}):
        with pytest.raises(ValueError, match="Received"):
            evaluate_task(task, PHOTOS, **options)
    assert task.asked == []


def test_a_label_joins_what_files_alone_would_chain():
    same = [{**record, "label": 1} for record in CROSSED]
    task = Lookup({**TABLE, "1": [1, 0], "2": [0, 1]}, ("image", "audio"))
    assert evaluate_task(task, same, group_by="label", ks=(1,))["r@1_image_to_audio"] == 1.0
