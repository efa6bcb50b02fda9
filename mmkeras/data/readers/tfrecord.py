"""Records in TFRecord files."""

import glob
import hashlib
import itertools
import json
import os
import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from mmkeras.data.problems import Problems
from mmkeras.data.readers import framing
from mmkeras.data.readers.common import base_name, finish, load_json, split_name, task_name
from mmkeras.data.readers.examples import from_example, import_tensorflow, to_example
from mmkeras.data.records import Records
from mmkeras.data.sources import Chained, Lines

_COMPRESSIONS = (None, "GZIP")
_FORMAT = 1
_SHARD = re.compile(r"(?P<name>.+?)(?P<part>-(\d+)-of-(\d+))?\.tfrecords?(\.gz)?(?P<tail>-(\d+)-of-(\d+))?$")


def write_tfrecord(
    records: Sequence,
    path: str | os.PathLike,
    *,
    num_shards: int = 8,
    compression: str | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write records to TFRecord files of one `tf.train.Example` each, with their files inside.

    Pictures, sounds and clips that records name by path are embedded as bytes. `read_tfrecord` gives back the same
    values and types; other readers find text, bytes, integers and floats under their own keys.

    A shard has its name only when it is complete, so that a stopped run goes on where it stopped: shards that are there
    in full, and of which three records are compared, are kept. The list of shards is the file `PATH.tfrecord.json`.

    Args:
        records: Records, or any sequence of dicts.
        path: where to write, without ending: `"out/clips"` gives `out/clips-00000-of-00008.tfrecord`.
        num_shards: number of files; no more than records.
        compression: None, for fast access in any order, or `"GZIP"`, for room; pictures hardly shrink.
        overwrite: remove what an earlier run has written under this name, instead of going on or raising an error.

    Returns:
        Paths of the shards.
    """
    if compression not in _COMPRESSIONS or num_shards < 1:
        raise ValueError(
            f"`compression` takes {_COMPRESSIONS}, `num_shards` at least 1. Received: {compression!r}, {num_shards}"
        )
    path = os.fspath(path)
    num_shards = max(1, min(num_shards, len(records)))
    plan = {"format": _FORMAT, "records": len(records), "num_shards": num_shards, "compression": compression}
    manifest = _manifest_to_continue(path, plan, overwrite)
    bounds = np.linspace(0, len(records), num_shards + 1).round().astype("int64").tolist()
    ending = ".tfrecord.gz" if compression else ".tfrecord"
    shards = [f"{path}-{shard:05d}-of-{num_shards:05d}{ending}" for shard in range(num_shards)]
    for shard, start, stop in zip(shards, bounds[:-1], bounds[1:], strict=True):
        entry = manifest["shards"].get(base_name(shard))
        fingerprint = _fingerprint(records, start, stop)
        if entry and entry["fingerprint"] != fingerprint:
            raise ValueError(f"{shard!r} holds other records. Pass overwrite=True to replace them")
        if entry and os.path.isfile(shard) and os.path.getsize(shard) == entry["bytes"]:
            continue
        keys = _write_shard(shard, records, range(start, stop), compression)
        manifest["keys"] += [key for key in keys if key not in manifest["keys"]]
        size = os.path.getsize(shard)
        manifest["shards"][base_name(shard)] = {"records": stop - start, "bytes": size, "fingerprint": fingerprint}
        _replace(_manifest_path(path), json.dumps(manifest, indent=1))
    return shards


def read_tfrecord(path: str | os.PathLike, *, strict: bool = False) -> Records:
    """Read TFRecord files of `tf.train.Example`, by `write_tfrecord` or by others.

    Records of uncompressed files are read one by one, in any order, from where they lie; this takes 16 bytes a record.
    A compressed file is decompressed as a whole when one of its records is asked for, and two stay open: to shuffle,
    write with `compression=None`. Of files by others, every feature is a value under its own name: bytes, an integer
    or a float, or a list of them where there are several.

    A file that ends early or whose framing is damaged is named, with the number of its first lost record.

    Args:
        path: a file, a pattern such as `"out/clips-*.tfrecord"`, a folder, or the path that `write_tfrecord` took. Of
            a folder or such a path, all shards must be there. Files of a folder named train, val and test are the
            official split.
        strict: raise for a damaged file.

    Returns:
        Records in the order of the files' names.
    """
    path = os.fspath(path)
    problems = Problems(task_name("read_tfrecord", path), strict)
    written, counts, sources = _written(path), [], []
    shards = _shards(path)
    for compressed, group in itertools.groupby(shards, framing.is_compressed):
        run, start = list(group), len(counts)
        if compressed:
            counts += [_count_compressed(shard, written.get(base_name(shard)), problems) for shard in run]
            sources.append(framing.CompressedShards(run, counts[start:], _parse))
            continue
        for shard in run:
            spans, reason = framing.index_file(shard)
            counts.append(_count(shard, spans, reason, written.get(base_name(shard)), problems))
            sources.append(Lines(shard, spans, partial(_parse, path=shard)))
    return finish(Chained(sources), problems, _splits(shards, counts))


def _manifest_path(path):
    return path + ".tfrecord.json"


def _manifest_to_continue(path, plan, overwrite):
    """The list of shards to go on with: that of an earlier run with the same plan, or a new one, written at once."""
    file = _manifest_path(path)
    shards = glob.glob(glob.escape(path) + "-?????-of-?????.tfrecord*")
    if overwrite:
        for old in [*shards, file]:
            if os.path.exists(old):
                os.remove(old)
    elif os.path.exists(file):
        manifest = load_json(file)
        if any(manifest.get(key) != value for key, value in plan.items()):
            found = {key: manifest.get(key) for key in plan}
            raise ValueError(f"{file!r} lists a set of {found}. Pass overwrite=True to replace it. Received: {plan}")
        return manifest
    elif any(not shard.endswith(".partial") for shard in shards):
        raise ValueError(f"{shards[0]!r} is there, but not its list {file!r}. Pass overwrite=True to replace it")
    manifest = {**plan, "keys": [], "shards": {}}
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    _replace(file, json.dumps(manifest, indent=1))
    return manifest


def _write_shard(path, records, rows, compression):
    """Write records under a temporary name, then give the file its own; returns their keys."""
    io = import_tensorflow("Writing TFRecord files").io
    keys = {}
    with io.TFRecordWriter(path + ".partial", io.TFRecordOptions(compression_type=compression or "")) as writer:
        for row in rows:
            record = records[row]
            keys.update(dict.fromkeys(record))
            try:
                writer.write(to_example(record))
            except ValueError as error:
                raise ValueError(f"write_tfrecord, record {row} (from 0) {error}") from error
    os.replace(path + ".partial", path)
    return keys


def _replace(path, text):
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".partial", path)


def _fingerprint(records, start, stop):
    """Digest of the first, middle and last record of a shard, without the content of files."""
    rows = sorted({start, (start + stop) // 2, stop - 1}) if stop > start else []
    text = json.dumps([records[row] for row in rows], default=_digest, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(value):
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, (np.ndarray, np.generic)):
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return str(value)


def _shards(path):
    """Paths of the files; of a set that was written together, all of them."""
    if os.path.isfile(path):
        return [path]
    if glob.has_magic(path) and not os.path.isdir(path):
        found = sorted(file for file in glob.glob(path) if _SHARD.match(file))
        whole = found
    else:
        pattern = os.path.join(glob.escape(path), "*") if os.path.isdir(path) else glob.escape(path) + "-*-of-*"
        found = sorted(file for file in glob.glob(pattern) if _SHARD.match(file))
        whole = [name for file in found for name in _siblings(file)]
    if not found:
        raise ValueError(f"No TFRecord files: {path!r}. Expected a file, a pattern, a folder, or a path without ending")
    missing = sorted(set(whole) - set(found))
    if missing:
        raise ValueError(f"{len(missing)} shards of {path!r} are missing. Expected all. Received: no {missing[0]!r}")
    return found


def _siblings(file):
    """Names of all shards of the set that a file belongs to, as its own name counts them."""
    match = _SHARD.match(file)
    group = "part" if match["part"] else "tail"
    if not match[group]:
        return [file]
    total = match[group].rpartition("-")[2]
    names = (f"-{shard:0{len(total)}d}-of-{total}" for shard in range(int(total)))
    return [file[: match.start(group)] + name + file[match.end(group) :] for name in names]


def _written(path):
    """What `write_tfrecord` noted of the shards in a folder: name -> entry."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    entries = {}
    for file in glob.glob(os.path.join(glob.escape(folder), "*.tfrecord.json")):
        entries.update(load_json(file).get("shards", {}))
    return entries


def _count(shard, spans, reason, entry, problems):
    """Number of records that can be read; names the first that cannot."""
    if entry and not reason and len(spans) < entry["records"]:
        reason = f"the file ends early: {entry['records']} records were written"
    if reason:
        problems.add(f"{base_name(shard)}, record {len(spans)} (from 0)", f"{reason}; it and what follows is lost")
    return len(spans)


def _count_compressed(shard, entry, problems):
    if entry and entry["bytes"] == os.path.getsize(shard):
        return entry["records"]
    data, broken = framing.decompress(shard)
    spans, reason = framing.index(data)
    return _count(shard, spans, broken or reason, entry, problems)


def _splits(shards, counts):
    """{split: rows} if every file's name says its part, and they say more than one."""
    parts = []
    for shard in shards:
        match = _SHARD.match(base_name(shard))
        words = re.split(r"[-_.]", match["name"]) if match else []
        found = {split_name(word) for word in words} - {None}
        parts.append(found.pop() if len(found) == 1 else None)
    if None in parts or len(set(parts)) < 2:
        return None
    of_row = np.repeat(parts, counts)
    return {part: np.flatnonzero(of_row == part) for part in dict.fromkeys(parts)}


def _parse(data, path):
    try:
        return from_example(data)
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from error
