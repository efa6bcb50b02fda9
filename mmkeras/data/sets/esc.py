"""ESC-50 and ESC-10: environmental sounds."""

import os

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sets import common

_LAYOUT = "meta/esc50.csv and audio/{fold}-{clip}-{take}-{target}.wav"
_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")


def esc(path: str | os.PathLike, subset: str | None = None, *, strict: bool = False) -> Records:
    """Read ESC-50, or its ten easy classes ESC-10: clips of five seconds in five folds.

    The set has no official split; its figures are means over five runs, each with one fold held out. Takes of one
    recording share `"clip"` and never stand in two folds:

    ```python
    clips = mm.data.sets.esc("ESC-50")
    for fold in range(1, 6):
        train = clips.filter(lambda record: record["fold"] != fold)
        test = clips.filter(lambda record: record["fold"] == fold)
    ```

    Args:
        path: the repository's folder, or one above it.
        subset: `"esc10"` for the clips that `meta/esc50.csv` marks as ESC-10; None for all.
        strict: raise at the first clip without a file instead of skipping and naming it.

    Returns:
        Records `{"audio": path, "label": category, "fold", "target", "clip"}`.
    """
    if subset not in (None, "esc10"):
        raise ValueError(f"`subset` must be None or 'esc10'. Received: {subset!r}")
    folder = common.find_folder(path, "meta/esc50.csv", layout=_LAYOUT)
    problems = Problems(f"esc({os.fspath(path)!r})", strict)
    if not (folder / "audio").is_dir():
        raise ValueError(f"The clips are not here. Expected {_LAYOUT}. Received: no folder {str(folder / 'audio')!r}")
    files = set(os.listdir(folder / "audio"))
    records, seen = [], {}
    for where, row in common.read_table(folder / "meta" / "esc50.csv", _COLUMNS):
        name = row["filename"]
        if name in seen:
            raise ValueError(f"{where}: a clip may stand in one row only. Received: {name!r}, also in {seen[name]}")
        seen[name] = where
        if subset and row["esc10"].strip().lower() != "true":
            continue
        fold, target = (common.whole_number(where, column, row[column]) for column in ("fold", "target"))
        if name not in files:
            problems.add(where, f"no file {str(folder / 'audio' / name)!r}", "audio")
            continue
        audio = str(folder / "audio" / name)
        records.append(
            {"audio": audio, "label": row["category"], "fold": fold, "target": target, "clip": row["src_file"]}
        )
    problems.warn(len(records) + len(problems))
    return Records(records, name=subset or "esc50", problems=problems)
