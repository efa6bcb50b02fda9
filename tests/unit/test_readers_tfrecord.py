"""`write_tfrecord`, `read_tfrecord` and `from_tfds`: equal values back, stopped runs, damaged files, foreign files."""

import json
import math
import os
import pathlib
import pickle
import types

import numpy as np
import pytest

from mmkeras.data.readers import framing
from mmkeras.data.readers.arrays import from_arrays
from mmkeras.data.readers.tfds import from_tfds
from mmkeras.data.readers.tfrecord import read_tfrecord, write_tfrecord

RECORDS = [
    {"text": ["a dog", "Straße 🐕"], "label": "dog", "id": 7, "score": 0.1, "good": True, "note": None},
    {"text": "one", "label": b"\xff\x00", "id": -(2**62), "score": float("inf"), "good": False, "note": ""},
    {"text": [], "id": [1, 2], "score": [0.5, 1e300], "note": ["", "x"]},
    {
        "features": np.arange(6, dtype="float32").reshape(2, 3),
        "signal": np.zeros((0, 2), "int16"),
        "image": np.full((2, 2, 3), 255, "uint8"),
        "score": np.float16(0.5),
        "id": np.int64(3),
        "mask": np.array([True, False]),
        "audio": (np.array([0.5, -0.5]), 16000),
        "graph": {"nodes": np.ones((2, 1)), "edges": [[0, 1], [1, 0]]},
        "mixed": [1, "a", None, 2.5],
    },
]


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs)
        assert_same(list(ours.values()), list(theirs.values()))
    else:
        assert ours == theirs


def numbered(count):
    return from_arrays(id=list(range(count)), text=[f"text {row}" for row in range(count)])


def ids(records):
    return [record["id"] for record in records]


@pytest.mark.tensorflow
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_round_trip(tmp_path, compression):
    shards = write_tfrecord(RECORDS, tmp_path / "out/set", num_shards=3, compression=compression)
    ending = "tfrecord.gz" if compression else "tfrecord"
    assert [os.path.basename(shard) for shard in shards] == [f"set-{shard:05d}-of-00003.{ending}" for shard in range(3)]
    records = read_tfrecord(tmp_path / "out/set")
    assert len(records) == len(RECORDS)
    for row in (3, 0, 2, 1, 3):
        assert_same(records[row], RECORDS[row])
    assert records.name == "read_tfrecord('set')"
    assert_same(pickle.loads(pickle.dumps(records))[1], RECORDS[1])
    for path in (tmp_path / "out", tmp_path / "out/set-*"):
        assert [record["note"] for record in read_tfrecord(path).take(2)] == [None, ""]
    assert_same(read_tfrecord(shards[0])[0], RECORDS[0])


@pytest.mark.tensorflow
def test_nan_comes_back(tmp_path):
    write_tfrecord([{"score": math.nan, "x": [1.0, math.nan]}], tmp_path / "set")
    (record,) = read_tfrecord(tmp_path / "set")
    assert math.isnan(record["score"])
    assert record["x"][0] == 1
    assert math.isnan(record["x"][1])


@pytest.mark.tensorflow
def test_bfloat16_comes_back(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    record = {"features": np.array([1.5, -2], ml_dtypes.bfloat16)}
    write_tfrecord([record], tmp_path / "set")
    assert_same(read_tfrecord(tmp_path / "set")[0], record)


@pytest.mark.tensorflow
def test_files_are_embedded(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.wav"):
        (tmp_path / name).write_bytes(name.encode())
    path = {name: str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.wav")}
    record = {"left_image": path["a.jpg"], "video": [path["a.jpg"], path["b.jpg"]], "text": path["c.wav"]}
    write_tfrecord([{**record, "audio": tmp_path / "c.wav", "image": b"as it is"}], tmp_path / "set")
    assert list(read_tfrecord(tmp_path / "set")) == [
        {
            "left_image": b"a.jpg",
            "video": [b"a.jpg", b"b.jpg"],
            "text": path["c.wav"],
            "audio": b"c.wav",
            "image": b"as it is",
        }
    ]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"image": "gone.jpg"}, r"\[image\]: no such file: 'gone.jpg'"),
        ({"label": object()}, r"\[label\]: expected text, bytes, numbers.*Received: object"),
        ({"x": np.array([None])}, r"\[x\]: expected an array of numbers. Received: dtype object"),
        ({"id": 2**70}, r"\[id\]"),
        ({"x": [1, "a"], "x/0": 2}, r"\[x/0\]: the name is also that of an item"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, record, reason):
    with pytest.raises(ValueError, match=rf"write_tfrecord, record 1 \(from 0\) {reason}"):
        write_tfrecord([{"text": "fine"}, record], tmp_path / "set", num_shards=1)
    with pytest.raises(ValueError, match="No TFRecord files"):
        read_tfrecord(tmp_path / "set")


@pytest.mark.parametrize(("name", "value"), [("compression", "ZIP"), ("num_shards", 0)])
def test_bad_arguments(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"`{name}` takes|`{name}` at least 1"):
        write_tfrecord([{}], tmp_path / "set", **{name: value})


class Stopping(list):
    """Records that stop the run at one of them, and count how often each was read."""

    stop = None

    def __getitem__(self, row):
        if row == self.stop:
            raise KeyboardInterrupt
        self.asked.append(row)
        return super().__getitem__(row)


@pytest.mark.tensorflow
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_stopped_run_goes_on(tmp_path, compression):
    records = Stopping(numbered(40))
    # The last of shard 2's ten rows that is not looked at before its writing begins.
    records.asked, records.stop = [], 28
    with pytest.raises(KeyboardInterrupt):
        write_tfrecord(records, tmp_path / "set", num_shards=4, compression=compression)
    with pytest.raises(ValueError, match=r"2 shards of .* are missing.*set-00002-of-00004"):
        read_tfrecord(tmp_path / "set")
    done = sorted(tmp_path.glob("set-0000[01]-of-00004.tfrecord*"))
    before = [path.stat().st_mtime_ns for path in done]
    records.asked, records.stop = [], None
    shards = write_tfrecord(records, tmp_path / "set", num_shards=4, compression=compression)
    assert [path.stat().st_mtime_ns for path in done] == before
    assert sorted(row for row in records.asked if row < 20) == [0, 5, 9, 10, 15, 19]
    assert ids(read_tfrecord(tmp_path / "set")) == list(range(40))
    assert sorted(os.listdir(tmp_path)) == sorted([*map(os.path.basename, shards), "set.tfrecord.json"])
    manifest = json.loads((tmp_path / "set.tfrecord.json").read_text())
    assert (manifest["records"], manifest["num_shards"], manifest["keys"]) == (40, 4, ["id", "text"])
    # A shard that lost its end since is written again.
    with open(shards[1], "r+b") as file:
        file.truncate(100)
    write_tfrecord(records, tmp_path / "set", num_shards=4, compression=compression)
    assert ids(read_tfrecord(tmp_path / "set", strict=True)) == list(range(40))


@pytest.mark.tensorflow
def test_other_records_are_never_mixed_in(tmp_path):
    write_tfrecord(numbered(6), tmp_path / "set", num_shards=2)
    with pytest.raises(ValueError, match=r"'num_shards': 2.*overwrite=True.*'num_shards': 3"):
        write_tfrecord(numbered(6), tmp_path / "set", num_shards=3)
    with pytest.raises(ValueError, match=r"set-00000-of-00002\.tfrecord' holds other records.*overwrite=True"):
        write_tfrecord(numbered(6).map(backwards), tmp_path / "set", num_shards=2)
    write_tfrecord(numbered(9).map(backwards), tmp_path / "set", num_shards=3, overwrite=True)
    assert ids(read_tfrecord(tmp_path)) == [-row for row in range(9)]
    (tmp_path / "set.tfrecord.json").unlink()
    with pytest.raises(ValueError, match=r"is there, but not its list"):
        write_tfrecord(numbered(9), tmp_path / "set", num_shards=3)


def backwards(record):
    return {**record, "id": -record["id"]}


@pytest.mark.tensorflow
def test_no_more_shards_than_records(tmp_path):
    assert len(write_tfrecord(numbered(3), tmp_path / "set")) == 3
    assert len(write_tfrecord([], tmp_path / "none")) == 1
    assert len(read_tfrecord(tmp_path / "none")) == 0


@pytest.mark.tensorflow
@pytest.mark.parametrize("compression", [None, "GZIP"])
@pytest.mark.parametrize("with_list", [True, False])
def test_truncated_shard_is_named(tmp_path, compression, with_list):
    shards = write_tfrecord(numbered(40), tmp_path / "set", num_shards=2, compression=compression)
    with open(shards[0], "r+b") as file:
        file.truncate(os.path.getsize(shards[0]) * 2 // 3)
    if not with_list:
        (tmp_path / "set.tfrecord.json").unlink()
    with pytest.warns(UserWarning, match=r"skipped 1 of .*-00002\.tfrecord.*, record \d+ \(from 0\)") as caught:
        records = read_tfrecord(tmp_path / "set")
    assert caught[0].filename == __file__
    kept = len(records) - 20
    assert 0 < kept < 20
    assert ids(records) == [*range(kept), *range(20, 40)]
    assert records.problems[0].where == f"{os.path.basename(shards[0])}, record {kept} (from 0)"
    with pytest.raises(ValueError, match="strict"):
        read_tfrecord(tmp_path / "set", strict=True)


@pytest.mark.tensorflow
def test_shard_that_lost_whole_records_is_named(tmp_path):
    (shard,) = write_tfrecord(numbered(5), tmp_path / "set", num_shards=1)
    data = pathlib.Path(shard).read_bytes()
    # All records are of one size: length, its checksum, data, its checksum.
    last = len(data) - (12 + int.from_bytes(data[:8], "little") + 4)
    with open(shard, "r+b") as file:
        file.truncate(last)
    with pytest.warns(UserWarning, match=r"record 4 \(from 0\): the file ends early: 5 records were written"):
        assert ids(read_tfrecord(tmp_path / "set")) == [0, 1, 2, 3]


@pytest.mark.tensorflow
def test_file_that_ends_within_a_length_is_named(tmp_path):
    (shard,) = write_tfrecord(numbered(2), tmp_path / "set", num_shards=1)
    data = pathlib.Path(shard).read_bytes()
    (tmp_path / "cut.tfrecord").write_bytes(data[: len(data) // 2 + 5])
    with pytest.warns(UserWarning, match=r"cut\.tfrecord, record 1 \(from 0\): the file ends within the length"):
        assert ids(read_tfrecord(tmp_path / "cut.tfrecord")) == [0]


@pytest.mark.tensorflow
def test_gzip_files_joined_and_without_their_end(tmp_path):
    shards = write_tfrecord(numbered(6), tmp_path / "set", num_shards=2, compression="GZIP")
    joined = b"".join(pathlib.Path(shard).read_bytes() for shard in shards)
    (tmp_path / "joined.tfrecord.gz").write_bytes(joined)
    assert ids(read_tfrecord(tmp_path / "joined.tfrecord.gz")) == list(range(6))
    (tmp_path / "cut.tfrecord.gz").write_bytes(joined[:-4])
    with pytest.warns(UserWarning, match=r"record 6 \(from 0\): the compressed file ends early"):
        assert ids(read_tfrecord(tmp_path / "cut.tfrecord.gz")) == list(range(6))


@pytest.mark.tensorflow
@pytest.mark.parametrize(("place", "record"), [(0, 0), (9, 0), ("second", 1)])
def test_damaged_framing_is_named(tmp_path, place, record):
    (shard,) = write_tfrecord(numbered(5), tmp_path / "set", num_shards=1)
    data = bytearray(pathlib.Path(shard).read_bytes())
    data[int.from_bytes(data[:8], "little") + 16 if place == "second" else place] ^= 1
    pathlib.Path(shard).write_bytes(data)
    with pytest.warns(UserWarning, match=rf"record {record} \(from 0\): the length .* does not match its checksum"):
        assert len(read_tfrecord(shard)) == record


@pytest.mark.tensorflow
def test_what_is_no_example_is_named_when_read(tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    with tensorflow.io.TFRecordWriter(str(tmp_path / "x.tfrecord")) as writer:
        writer.write(b"\xff\xff no message")
    with pytest.raises(ValueError, match=r"x\.tfrecord': not a tf.train.Example"):
        read_tfrecord(tmp_path / "x.tfrecord")[0]


def foreign_example(tensorflow, **features):
    """`tf.train.Example`: features{feature: map<string, Feature>}, Feature{bytes_list | float_list | int64_list}."""
    train = tensorflow.train
    kinds = {
        bytes: lambda values: train.Feature(bytes_list=train.BytesList(value=values)),
        int: lambda values: train.Feature(int64_list=train.Int64List(value=values)),
        float: lambda values: train.Feature(float_list=train.FloatList(value=values)),
        type(None): lambda values: train.Feature(),
    }
    feature = {name: kinds[type(values[0])](values) for name, values in features.items()}
    return train.Example(features=train.Features(feature=feature)).SerializeToString()


@pytest.mark.tensorflow
@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("name", ["{}.tfrecord", "{}-00000-of-00001.tfrecords", "set-{}.tfrecord-00000-of-00001"])
def test_foreign_files(tmp_path, compression, name):
    tensorflow = pytest.importorskip("tensorflow")
    for part, count in {"train": 3, "test": 2}.items():
        path = str(tmp_path / name.format(part))
        with tensorflow.io.TFRecordWriter(path, tensorflow.io.TFRecordOptions(compression_type=compression)) as writer:
            for row in range(count):
                features = {"image": [b"jpeg"], "label": [row], "box": [0.5, 0.25], "ids": [1, 2], "empty": [None]}
                writer.write(foreign_example(tensorflow, **features))
    (tmp_path / "dataset_info.json").write_text("{}")
    records = read_tfrecord(tmp_path)
    train, val, test = records.official_split()
    assert ([record["label"] for record in train], len(val), len(test)) == ([0, 1, 2], 0, 2)
    assert test[1] == {"image": b"jpeg", "label": 1, "box": [0.5, 0.25], "ids": [1, 2], "empty": None}
    assert list(pickle.loads(pickle.dumps(records))) == list(records)


@pytest.mark.tensorflow
def test_tensorflow_reads_what_we_write(tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    shards = write_tfrecord(numbered(10), tmp_path / "set", num_shards=2, compression="GZIP")
    spec = {name: tensorflow.io.FixedLenFeature([], kind) for name, kind in (("id", "int64"), ("text", "string"))}
    dataset = tensorflow.data.TFRecordDataset(shards, "GZIP")
    parsed = [tensorflow.io.parse_single_example(example, spec) for example in dataset]
    assert [int(example["id"]) for example in parsed] == list(range(10))
    assert parsed[3]["text"].numpy() == b"text 3"


@pytest.mark.tensorflow
def test_compressed_shards_are_opened_once_in_order(tmp_path, monkeypatch):
    shards = write_tfrecord(numbered(40), tmp_path / "set", num_shards=4, compression="GZIP")
    opened, original = [], framing.decompress
    monkeypatch.setattr(framing, "decompress", lambda path: opened.append(path) or original(path))
    records = read_tfrecord(tmp_path / "set")
    assert not opened
    assert ids(records) == list(range(40))
    assert opened == shards
    assert [records[row]["id"] for row in (39, 25, 38, 24)] == [39, 25, 38, 24]
    assert opened == shards


@pytest.mark.parametrize("path", ["nowhere", "nowhere-*.tfrecord", "."])
def test_nothing_to_read(tmp_path, path):
    with pytest.raises(ValueError, match=r"No TFRecord files"):
        read_tfrecord(tmp_path / path)


class Builder:
    """The part of a tensorflow-datasets builder that is public: name, info.features, info.splits, as_data_source."""

    def __init__(self, **splits):
        self.name = "birds"
        label = types.SimpleNamespace(names=["wren", "owl"])
        audio = types.SimpleNamespace(sample_rate=8000)
        self.info = types.SimpleNamespace(splits=splits, features={"label": label, "song": {"audio": audio}})

    def as_data_source(self, split):
        return self.info.splits[split]


def example(number):
    """What a data source gives: arrays, NumPy scalars, bytes for text, dicts for nested features."""
    return {
        "image": np.full((4, 5, 3), number, "uint8"),
        "text": f"Zaunkönig {number}".encode(),
        "captions": np.array([b"a", b"b"], dtype=object),
        "label": np.int64(number % 2),
        "song": {"audio": np.array([0, 16384, -32768])},
        "count": 3,
    }


def test_tfds_examples():
    records = from_tfds(Builder(train=[example(0), example(1)], test=[example(2)]))
    assert len(records) == 2
    record = pickle.loads(pickle.dumps(records))[1]
    np.testing.assert_array_equal(record.pop("image"), np.full((4, 5, 3), 1, "uint8"))
    np.testing.assert_array_equal(record.pop("song")["audio"], [0, 16384, -32768])
    assert record == {"text": "Zaunkönig 1", "captions": ["a", "b"], "label": "owl", "count": 3}
    assert records.name == "from_tfds('birds', 'train')"


def test_tfds_columns():
    builder = Builder(train=[example(0)], test=[example(2)])
    columns = {"audio": "song/audio", "target_text": "text"}
    (record,) = from_tfds(builder, "test", columns=columns)
    assert list(record) == ["audio", "target_text"]
    samples, rate = record["audio"]
    np.testing.assert_array_equal(samples, np.array([0, 0.5, -1], "float32"))
    assert (samples.dtype, rate, record["target_text"]) == ("float32", 8000, "Zaunkönig 2")
    for wanted in ("txt", "song/sound", "image/x"):
        with pytest.raises(ValueError, match=rf"'birds' has no feature '{wanted}', asked for as 'text'.*'captions', "):
            from_tfds(builder, columns={"text": wanted})


def test_tfds_official_split():
    parts = {
        "test": [example(5)],
        "train": [example(0), example(1)],
        "validation": [example(4)],
        "unlabelled": [example(6)],
    }
    records = from_tfds(Builder(**parts), None, columns={"text": "text"})
    assert len(records) == 5
    assert [[record["text"][-1] for record in part] for part in records.official_split()] == [["0", "1"], ["4"], ["5"]]
    assert "unlabelled belongs to no part" in repr(records)


def test_tfds_label_that_is_missing():
    unlabelled = {**example(0), "label": np.int64(-1)}
    assert from_tfds(Builder(train=[unlabelled]))[0]["label"] is None


def test_tfds_sound_of_unknown_range():
    loud = {**example(0), "song": {"audio": np.array([70000])}}
    with pytest.raises(ValueError, match="more than 16 bits"):
        from_tfds(Builder(train=[loud]), columns={"audio": "song/audio"})[0]


class Unprepared(Builder):
    def as_data_source(self, split):
        raise AssertionError("Dataset birds: could not find data")


class InTFRecordFiles(Builder):
    """A set prepared as TFRecord files: no data source, but `file_instructions` and `deserialize_example_np`."""

    def __init__(self, folder, count):
        parts = [types.SimpleNamespace(filename=folder / "birds-train.tfrecord-00000-of-00001", skip=1, take=count)]
        super().__init__(train=types.SimpleNamespace(file_instructions=parts))
        self.info.features = Features()

    def as_data_source(self, split):
        raise NotImplementedError("Random access data source for file format tfrecord is not supported.")


class Features(dict):
    def deserialize_example_np(self, data):
        return {"text": data}


@pytest.mark.parametrize("kind", [Unprepared, InTFRecordFiles])
@pytest.mark.parametrize("split", ["train", None])
def test_tfds_unprepared(tmp_path, kind, split):
    builder = kind() if kind is Unprepared else kind(tmp_path, 0)
    builder.info.splits = {}
    with pytest.raises(ValueError, match=r"'birds' has not prepared split .* builder.download_and_prepare\(\) first"):
        from_tfds(builder, split)


def test_tfds_unknown_split():
    with pytest.raises(ValueError, match=r"'birds' has not prepared split 'tran'.*Received: splits \['train'\]"):
        from_tfds(Builder(train=[]), "tran")


@pytest.mark.tensorflow
def test_tfds_in_tfrecord_files(tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    with tensorflow.io.TFRecordWriter(str(tmp_path / "birds-train.tfrecord-00000-of-00001")) as writer:
        for row in range(5):
            writer.write(f"text {row}".encode())
    records = from_tfds(InTFRecordFiles(tmp_path, 3), "train")
    assert records.column("text") == ["text 1", "text 2", "text 3"]
    assert pickle.loads(pickle.dumps(records))[2] == {"text": "text 3"}
    with pytest.raises(ValueError, match=r"record 5 \(from 0\): the file ends early"):
        from_tfds(InTFRecordFiles(tmp_path, 5), "train")
