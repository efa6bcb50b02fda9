"""AV digits: pairs of an MNIST picture and a spoken digit."""

import os

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sets import common
from mmkeras.data.sets.fsdd import find_recordings
from mmkeras.data.sets.mnist import mnist as read_mnist
from mmkeras.data.sources import Chained, Merged

_LAYOUT = "pairs_train.csv, pairs_val.csv or pairs_test.csv with the columns mnist_index, wav, label"
_PARTS = ("train", "val", "test")


def avdigits(
    path: str | os.PathLike, *, mnist: str | os.PathLike, fsdd: str | os.PathLike, strict: bool = False
) -> Records:
    """Read lists of pairs that say which MNIST picture and which spoken digit belong together.

    `mnist_index` counts MNIST's train files from 0, and its t10k files in `pairs_test.csv`. The label of a pair is
    compared with that of the picture and that of the recording.

    ```python
    train, val, _ = mm.data.sets.avdigits("pairs", mnist="MNIST/raw", fsdd="free-spoken-digit-dataset").official_split()
    ```

    Args:
        path: the folder of the lists. A part may be absent.
        mnist: the folder of MNIST's idx files, as `mnist` takes it.
        fsdd: the folder of the Free Spoken Digit Dataset, as `fsdd` takes it.
        strict: raise at the first pair without a recording instead of skipping and naming it.

    Returns:
        Records `{"image": uint8 (28, 28), "label": int, "audio": path}` with the split into train, val and test.
    """
    folder = common.find_folder(path, *(f"pairs_{part}.csv" for part in _PARTS), layout=_LAYOUT)
    wavs = find_recordings(fsdd)
    problems = Problems(f"avdigits({os.fspath(path)!r})", strict)
    seen, _, unseen = read_mnist(mnist).official_split()
    recordings = set(os.listdir(wavs))
    sources, parts = [], []
    for part in _PARTS:
        file, digits = folder / f"pairs_{part}.csv", unseen if part == "test" else seen
        if not file.exists():
            continue
        pairs, rows = [], []
        for where, row in common.read_table(file, ("mnist_index", "wav", "label")):
            index, label = (common.whole_number(where, column, row[column]) for column in ("mnist_index", "label"))
            if not 0 <= index < len(digits):
                raise ValueError(f"{where}: MNIST has {len(digits):,} such pictures. Received: mnist_index {index}")
            if not digits[index]["label"] == label == common.whole_number(where, "wav", row["wav"].split("_")[0]):
                raise ValueError(
                    f"{where}: the label must be that of the picture and of the recording; are these the MNIST files "
                    f"the list was made for? Received: {label}, picture {digits[index]['label']}, wav {row['wav']!r}"
                )
            if row["wav"] in recordings:
                pairs.append({"audio": str(wavs / row["wav"]), "label": label})
                rows.append(index)
            else:
                problems.add(where, f"no file {str(wavs / row['wav'])!r}", "audio")
        sources.append(Merged(pairs, digits, rows))
        parts += [part] * len(pairs)
    problems.warn(len(parts) + len(problems))
    return Records(Chained(sources), name="avdigits", problems=problems, splits=common.split_rows(parts))
