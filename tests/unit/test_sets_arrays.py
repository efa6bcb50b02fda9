"""Readers of research sets that come as numbers: features, idx files and lists of pairs."""

import csv
import gzip
import pickle

import numpy as np
import pytest

from mmkeras.data.sets.avdigits import avdigits
from mmkeras.data.sets.mnist import mnist
from mmkeras.data.sets.mosi import mosi
from tests.unit.test_sets import sizes, survives_pickling, write, write_fsdd

UTTERANCES = {"train": ["abc_1", "abc_10", "abc_2", "xy_z_1"], "test": ["q_3"]}
DIMS = {"text": 3, "audio": 2, "video": 4}


def mosi_features(part):
    rng = np.random.default_rng(len(part))
    return {key: rng.normal(size=(len(UTTERANCES[part]), dim)).astype("float32") for key, dim in DIMS.items()}


def write_mosi_tables(folder, parts=("train", "test")):
    """`data/{text,audio,video}/*_{train,test}0.csv`: features, label last; all cells quoted.

    `data/text_{train,test}.csv`: row number, 0-based, in `data/transcripts.csv` (id, text, number, label), then the
    text features again.
    """
    data = folder / "data"
    data.mkdir(parents=True)

    def table(name, rows):
        (data / name).parent.mkdir(exist_ok=True)
        with open(data / name, "w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)

    listed = sorted([*UTTERANCES["train"], *UTTERANCES["test"]])
    table("transcripts.csv", [[key, f"SAID IN {key}, OR SO", "34", "0"] for key in listed])
    for part in parts:
        labels = np.arange(len(UTTERANCES[part])) % 2
        features = mosi_features(part)
        for key, values in features.items():
            table(
                f"{key}/{key}_{part}0.csv", [[*row, label] for row, label in zip(values.tolist(), labels, strict=True)]
            )
        numbered = zip(UTTERANCES[part], features["text"].tolist(), strict=True)
        table(f"text_{part}.csv", [[listed.index(key), *row] for key, row in numbered])
    return folder


def write_mosi_arrays(folder, part="train"):
    """`mosi_{train,test}.npz`.

    Padded per video: text, audio, video (video, utterance, dim), label, mask, utterance_id; video_id. Per utterance:
    flat_text, flat_audio, flat_video, flat_label, flat_utterance_id, flat_transcript.
    """
    order = {"abc": [0, 2, 1], "xy_z": [3]} if part == "train" else {"q": [0]}
    shape = len(order), max(map(len, order.values()))
    features, names = mosi_features(part), np.array(UTTERANCES[part])
    arrays = {key: np.full((*shape, dim), 99, "float32") for key, dim in DIMS.items()}
    arrays |= {"label": np.zeros(shape, "int8"), "mask": np.zeros(shape, bool), "utterance_id": np.zeros(shape, "<U9")}
    for row, rows in enumerate(order.values()):
        for key in DIMS:
            arrays[key][row, : len(rows)] = features[key][rows]
        arrays["label"][row, : len(rows)] = np.array(rows) % 2
        arrays["mask"][row, : len(rows)] = True
        arrays["utterance_id"][row, : len(rows)] = names[rows]
    folder.mkdir(exist_ok=True)
    flat = {f"flat_{key}": values for key, values in features.items()}
    flat |= {"flat_label": np.arange(len(names)) % 2, "flat_utterance_id": names}
    flat["flat_transcript"] = np.array([f"SAID IN {key}, OR SO" for key in names])
    np.savez(folder / f"mosi_{part}.npz", video_id=np.array(list(order)), **arrays, **flat)
    return folder


@pytest.fixture(params=[write_mosi_tables, write_mosi_arrays], ids=["tables", "arrays"])
def mosi_folder(request, tmp_path):
    folder = request.param(tmp_path / "mosi")
    if request.param is write_mosi_arrays:
        write_mosi_arrays(folder, "test")
    return folder


def test_mosi_by_utterance(mosi_folder):
    records = mosi(mosi_folder)
    assert sizes(records) == [4, 0, 1]
    assert records.column("utterance_id") == ["abc_1", "abc_2", "abc_10", "xy_z_1", "q_3"]
    assert records.column("video_id") == ["abc", "abc", "abc", "xy_z", "q"]
    assert records.column("label") == [0, 0, 1, 1, 0]
    assert type(records[0]["label"]) is int
    assert records[2]["text"] == "SAID IN abc_10, OR SO"
    for key, values in mosi_features("train").items():
        assert records[0][f"features_{key}"].dtype == "float32"
        np.testing.assert_array_equal(np.stack(records.column(f"features_{key}")[:4]), values[[0, 2, 1, 3]])
    survives_pickling(records)


def test_mosi_by_video(mosi_folder):
    records = mosi(mosi_folder, by="video")
    assert sizes(records) == [2, 0, 1]
    assert records[0]["utterance_id"] == ["abc_1", "abc_2", "abc_10"]
    assert records[0]["features_audio"].shape == (3, 2)
    assert records[0]["label"].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(records[0]["features_video"], mosi_features("train")["video"][[0, 2, 1]])


def test_mosi_opens_no_pickle(tmp_path):
    np.savez(tmp_path / "mosi_train.npz", text=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"mosi_train.npz cannot be read: Object arrays cannot be loaded"):
        mosi(tmp_path)


def test_mosi_damaged_arrays(tmp_path):
    file = write_mosi_arrays(tmp_path) / "mosi_train.npz"
    whole, arrays = file.read_bytes(), dict(np.load(file))
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"mosi_train.npz cannot be read"):
        mosi(tmp_path)
    np.savez(file, **{key: value for key, value in arrays.items() if key not in ("mask", "label")})
    with pytest.raises(ValueError, match=r"lacks the arrays \['label', 'mask'\]"):
        mosi(tmp_path)
    np.savez(file, **{**arrays, "flat_utterance_id": np.array(["abc_1", "abc_3", "abc_2", "xy_z_1"])})
    with pytest.raises(ValueError, match=r"flat_transcript has no text for \['abc_10'\] of video 'abc'"):
        mosi(tmp_path)
    with pytest.raises(ValueError, match=r"`by` must be 'utterance' or 'video'. Received: 'word'"):
        mosi(tmp_path, by="word")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "audio/audio_train0.csv",
            lambda text: text.replace('"1"\n', '"0"\n', 1),
            "audio_train0.csv, line 2: length or label",
        ),
        ("audio/audio_train0.csv", lambda text: text[: text.rindex('"', 0, -9) - 40], "audio_train0.csv, line "),
        (
            "video/video_train0.csv",
            lambda text: text.replace('"-', '"x', 1),
            r"video_train0.csv, line \d: could not convert",
        ),
        (
            "text_train.csv",
            lambda text: '"9"' + text[3:],
            r"text_train.csv, line 1: transcripts.csv has no utterance in row 9",
        ),
        ("text_train.csv", lambda text: text[text.index("\n") + 1 :], "text_train.csv has 3 rows. Received: 4 rows of"),
        ("transcripts.csv", lambda text: '"","","",""' + text[text.index("\n") :], "has no utterance in row 0"),
        ("video/video_train0.csv", None, r"Received: no file '.*video_train0.csv'"),
    ],
)
def test_mosi_damaged_tables(tmp_path, name, change, message):
    file = write_mosi_tables(tmp_path / "mosi", ["train"]) / "data" / name
    if change is None:
        file.unlink()
    else:
        write(file, change(file.read_text()))
    with pytest.raises(ValueError, match=message):
        mosi(tmp_path)


def idx(array):
    """An idx file: two zero bytes, 8 for unsigned bytes, number of axes; each axis as big-endian uint32; the bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype("uint8").tobytes()


def write_mnist(folder, packed=True, dot=False):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 12), ("t10k", 5)):
        images = rng.integers(0, 256, (count, 28, 28))
        images[:, 0, 0] = np.arange(count)
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", images),
            (f"{prefix}-labels-idx1-ubyte", np.arange(count) % 10),
        ):
            name = name.replace("-idx", ".idx") if dot else name
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


@pytest.mark.parametrize(("packed", "dot"), [(True, False), (False, False), (False, True)])
def test_mnist(tmp_path, packed, dot):
    write_mnist(tmp_path / "MNIST" / "raw", packed, dot)
    records = mnist(tmp_path)
    assert sizes(records) == [12, 0, 5]
    record = records[11]
    assert (record["image"].shape, record["image"].dtype, type(record["label"])) == ((28, 28), np.uint8, int)
    assert (record["image"][0, 0], record["label"]) == (11, 1)
    assert records.official_split()[2][3]["image"][0, 0] == 3
    assert type(record["image"]) is np.ndarray
    assert record["image"].base is None
    survives_pickling(records)
    assert len(pickle.dumps(records)) < 2000, "pictures stay in the file"


def test_mnist_part_alone_and_pair_incomplete(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="has train-labels but no train-images"):
        mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert sizes(mnist(tmp_path)) == [0, 0, 5]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], r"header promises shape \(5, 28, 28\), 3,936 bytes. Received: 3,935 bytes"),
        (lambda data: data + b"\0", "Received: 3,937 bytes"),
        (lambda data: data[:10], "is cut or damaged"),
        (lambda data: b"", "first bytes 00000803. Received: nothing"),
        (lambda data: b"\0\0\x08\x01" + data[4:], "no idx file of 3 axes .* Received: 00000801"),
        (lambda data: idx(np.zeros((4, 28, 28))), "holds 4 pictures. Received: 5 labels"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_damaged(tmp_path, damage, message, packed):
    file = write_mnist(tmp_path, packed) / f"t10k-images-idx3-ubyte{'.gz' * packed}"
    data = file.read_bytes()
    file.write_bytes(gzip.compress(damage(gzip.decompress(data))) if packed else damage(data))
    with pytest.raises(ValueError, match=rf"t10k-images-idx3-ubyte.*{message}"):
        mnist(tmp_path)


def test_mnist_damaged_packing(tmp_path):
    file = write_mnist(tmp_path) / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz cannot be read"):
        mnist(tmp_path)


def write_avdigits(folder):
    """`pairs_{train,val,test}.csv`: mnist_index, wav, label; the index counts the t10k files in the test list."""
    write_mnist(folder / "mnist")
    write_fsdd(folder / "fsdd")
    for part, rows in (("train", ["7,7_theo_10.wav,7", "3,3_theo_5.wav,3"]), ("val", ["3,3_lucas_5.wav,3"])):
        write(folder / "pairs" / f"pairs_{part}.csv", "mnist_index,wav,label\n" + "\n".join(rows) + "\n")
    return folder


def read_avdigits(folder, **arguments):
    return avdigits(folder / "pairs", mnist=folder / "mnist", fsdd=folder / "fsdd", **arguments)


def test_avdigits(tmp_path):
    records = read_avdigits(write_avdigits(tmp_path))
    assert sizes(records) == [2, 1, 0]
    assert (records[0]["image"][0, 0], records[0]["label"]) == (7, 7)
    assert records[0]["audio"].endswith("7_theo_10.wav")
    survives_pickling(records)
    write(tmp_path / "pairs" / "pairs_test.csv", "mnist_index,wav,label\n3,3_theo_4.wav,3\n")
    records = read_avdigits(tmp_path)
    assert sizes(records) == [2, 1, 1]
    np.testing.assert_array_equal(records[3]["image"], mnist(tmp_path / "mnist").official_split()[2][3]["image"])


def test_avdigits_bad_input(tmp_path):
    table = write_avdigits(tmp_path) / "pairs" / "pairs_val.csv"
    write(table, "mnist_index,wav,label\n3,3_lucas_9.wav,3\n3,3_lucas_5.wav,3\n")
    with pytest.warns(
        UserWarning, match=r"skipped 1 of 4: .*pairs_val.csv, line 2 \[audio\]: no file '.*3_lucas_9.wav'"
    ):
        assert sizes(read_avdigits(tmp_path)) == [2, 1, 0]
    with pytest.raises(ValueError, match="no file"):
        read_avdigits(tmp_path, strict=True)
    write(table, "mnist_index,wav,label\n12,3_lucas_5.wav,3\n")
    with pytest.raises(
        ValueError, match=r"pairs_val.csv, line 2: MNIST has 12 such pictures. Received: mnist_index 12"
    ):
        read_avdigits(tmp_path)
    for row in ("4,3_lucas_5.wav,3", "3,7_lucas_5.wav,3", "3,3_lucas_5.wav,4"):
        write(table, f"mnist_index,wav,label\n{row}\n")
        with pytest.raises(ValueError, match="line 2: the label must be that of the picture and of the recording"):
            read_avdigits(tmp_path)
