"""The Free Spoken Digit Dataset."""

import os
import pathlib
import re

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sets import common

_LAYOUT = "free-spoken-digit-dataset/recordings/{digit}_{speaker}_{index}.wav"
_NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")
_TEST_BELOW = 5


def fsdd(path: str | os.PathLike, *, strict: bool = False) -> Records:
    """Read the Free Spoken Digit Dataset: 3,000 recordings of ten digits by six speakers.

    The official test part holds recordings 0 to 4 of every digit and speaker, so its speakers are known from
    training. To hear unknown ones, leave a speaker out:

    ```python
    digits = mm.data.sets.fsdd("free-spoken-digit-dataset")
    train, test = digits.filter(lambda r: r["speaker"] != "theo"), digits.filter(lambda r: r["speaker"] == "theo")
    ```

    Args:
        path: the repository's folder, its `recordings`, or a folder above.
        strict: raise at the first wav file with another name instead of skipping and naming it.

    Returns:
        Records `{"audio": path, "label": digit, "speaker", "index"}` with the official split into train and test.
    """
    problems = Problems(f"fsdd({os.fspath(path)!r})", strict)
    folder = find_recordings(path)
    found = []
    for file in sorted(name for name in os.listdir(folder) if name.lower().endswith(".wav")):
        match = _NAME.fullmatch(file)
        if match:
            digit, speaker, index = int(match[1]), match[2], int(match[3])
            found.append((digit, speaker, index, str(folder / file)))
        else:
            problems.add(str(folder / file), "not named {digit}_{speaker}_{index}.wav", "audio")
    records = [
        {"audio": file, "label": digit, "speaker": speaker, "index": index}
        for digit, speaker, index, file in sorted(found)
    ]
    parts = ["test" if record["index"] < _TEST_BELOW else "train" for record in records]
    problems.warn(len(records) + len(problems))
    return Records(records, name="fsdd", problems=problems, splits=common.split_rows(parts))


def find_recordings(path: str | os.PathLike) -> pathlib.Path:
    """The folder of the wav files, from the path a user gives."""
    folder = common.find_folder(path, "recordings/[0-9]_*_*.wav", "[0-9]_*_*.wav", layout=_LAYOUT)
    return folder / "recordings" if (folder / "recordings").is_dir() else folder
