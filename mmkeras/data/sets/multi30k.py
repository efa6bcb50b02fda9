"""Multi30k: captions of the same pictures in several languages."""

import os
import pathlib

from mmkeras.data.problems import Problems
from mmkeras.data.records import Records
from mmkeras.data.sets import common

_LAYOUT = "data/task1/raw/{train,val,test_2016_flickr}.{en,de,fr}[.gz] and data/task1/image_splits/*.txt"
_TEST = "test_2016_flickr"


def multi30k(
    path: str | os.PathLike,
    source: str = "en",
    target: str = "de",
    *,
    images: str | os.PathLike | None = None,
    test: str = _TEST,
    strict: bool = False,
) -> Records:
    """Read Multi30k task 1: a caption, its translation, and the picture that both describe if you have it.

    The pictures are Flickr30k's. Some are in Flickr8k too, under a longer name: where the tables
    `flickr8k_overlap_{part}.tsv` (columns line0, flickr30k_id, flickr8k_file) lie in `path`, `images` may be a folder
    of Flickr8k. Lines without a picture stay, with None, and the notes count them.

    ```python
    train, val, test = mm.data.sets.multi30k("multi30k", "en", "fr", images="flickr30k-images").official_split()
    ```

    Args:
        path: the repository's folder, one above it, or `data/task1`. A part may be absent.
        source: language of `"text"`.
        target: language of `"target_text"`.
        images: folder of pictures; None leaves `"image"` out.
        test: name of the test part, such as `"test_2017_flickr"`.
        strict: raise at the first pair with an empty sentence instead of skipping and naming it.

    Returns:
        Records `{"text", "target_text", "id": name of the picture[, "image": path]}` with the official split.
    """
    names = [f"raw/*.{source}", f"raw/*.{source}.gz"]
    folder = common.find_folder(path, *(f"task1/{name}" for name in names), *names, layout=_LAYOUT)
    folder = folder / "task1" if (folder / "task1").is_dir() else folder
    problems = Problems(f"multi30k({os.fspath(path)!r})", strict)
    pictures = None if images is None else _Pictures(images, [pathlib.Path(path), folder, *folder.parents[:2]])
    records, parts = [], []
    for part, name in (("train", "train"), ("val", "val"), ("test", test)):
        files = [common.find_packed(folder / "raw", f"{name}.{language}") for language in (source, target)]
        if files == [None, None] and name in ("train", "val", _TEST):
            continue
        if None in files:
            lack = f"{name}.{(source, target)[files.index(None)]}"
            raise ValueError(f"A file of the set is missing. Expected {_LAYOUT}. Received: no {lack} in {files}")
        for line, (text, target_text, *image_id) in enumerate(_aligned(folder, files, name)):
            if not (text.strip() and target_text.strip()):
                empty = 1 if text.strip() else 0
                problems.add(f"{files[empty]}, line {line + 1}", "the line is empty", ("text", "target_text")[empty])
                continue
            record = {"text": text, "target_text": target_text, **dict(zip(("id",), image_id, strict=False))}
            records.append(record if pictures is None else {**record, "image": pictures.find(name, line, image_id)})
            parts.append(part)
    if not records:
        raise ValueError(f"No sentences in {source!r} and {target!r}. Expected {_LAYOUT}. Received: {str(folder)!r}")
    problems.warn(len(records) + len(problems))
    notes = [f"{source} to {target}", *([] if pictures is None else [pictures.note(records)])]
    return Records(records, name="multi30k", problems=problems, splits=common.split_rows(parts), notes=notes)


def _aligned(folder, files, name):
    """Lines of the files of a part side by side, the picture's name last where the set has it."""
    listed = folder / "image_splits" / f"{name}.txt"
    files = [*files, listed] if listed.exists() else files
    columns = []
    for file in files:
        try:
            # Only a line feed ends a line here: captions may hold other characters that `splitlines` cuts at.
            lines = common.read_packed(file).decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file} is not UTF-8: {error}") from error
        columns.append([line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])])
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{file} has {len(column):,}" for file, column in zip(files, columns, strict=True))
        raise ValueError(f"The files of a part must have one count of lines. Received: {counts}")
    return zip(*columns, strict=True)


class _Pictures:
    """A folder of pictures, and what they are called there."""

    def __init__(self, folder, tables):
        self.folder = pathlib.Path(folder)
        if not self.folder.is_dir():
            raise ValueError(f"`images` must be a folder of pictures. Received: {os.fspath(folder)!r}")
        self.files = set(os.listdir(self.folder))
        self.tables = tables
        self.renamed = {}

    def find(self, part, line, image_id):
        """Path of the picture of a line; None if it is not in the folder."""
        if part not in self.renamed:
            self.renamed[part] = self._read_overlap(part)
        own, other = (image_id[0] if image_id else None), self.renamed[part].get(line)
        if own is not None and other is not None and own != other[1]:
            raise ValueError(f"{other[2]}: line {line} shows {own!r}. Received: flickr30k_id {other[1]!r}")
        # Names of MSCOCO pictures carry a caption number after a hash.
        names = [name for name in (own and own.partition("#")[0], other and other[0]) if name in self.files]
        return str(self.folder / names[0]) if names else None

    def note(self, records):
        """How many pictures are missing; an error if all are."""
        missing = sum(record["image"] is None for record in records)
        if missing == len(records):
            raise ValueError(
                f"None of the {missing:,} pictures is in the folder. Expected names such as "
                f"{records[0].get('id', '1000092795.jpg')!r}, or Flickr8k's beside flickr8k_overlap_*.tsv. Received: "
                f"images={os.fspath(self.folder)!r} with {sorted(self.files)[:3]}"
            )
        return f"image missing in {missing:,} of {len(records):,}"

    def _read_overlap(self, part):
        files = (folder / f"flickr8k_overlap_{part}.tsv" for folder in self.tables)
        file = next((file for file in files if file.exists()), None)
        rows = {} if file is None else common.read_table(file, ("line0", "flickr30k_id", "flickr8k_file"), "\t")
        found = {}
        for where, row in rows:
            line = common.whole_number(where, "line0", row["line0"])
            if line in found:
                raise ValueError(f"{where}: line {line} has two pictures, see {found[line][2]}")
            found[line] = (row["flickr8k_file"], row["flickr30k_id"], where)
        return found
