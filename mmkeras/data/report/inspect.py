"""`inspect`: look at every record and say what is there, what is missing, broken, repeated or uneven."""

import contextlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mmkeras.data.records import Records
from mmkeras.data.report.column import is_missing
from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.kinds import KINDS, kind_of
from mmkeras.data.report.passes import Subject, num_files, see_files, see_records
from mmkeras.data.report.summary import summarise

# So many records are looked at to tell what a key holds where its name does not.
_LOOKED_AT = 64


def inspect(
    records: Records | Sequence[Mapping],
    preprocessor=None,
    *,
    sample: int | None = None,
    kinds: Mapping[str, str] | None = None,
    workers: int = 2,
    seed: int = 0,
) -> DataReport:
    """Look at every record, open every file, and report what is there, missing, broken, repeated or uneven.

    Values are checked by what their key means: `image`, `audio`, `video`, `text`, `label` and the like by name, other
    keys by their values. Of all that is read only counts and hashes are kept, so that memory stays flat. Records are
    read twice where they name files.

    Args:
        records: `Records`, or a list of dicts.
        preprocessor: a `Preprocessor` whose parts shall be able to read every value; the report then also says how
            much of the text its vocabulary covers, and which sentences it cuts.
        sample: look at so many records only, drawn at random; the report says so.
        kinds: key -> kind, for keys whose name says something else: `{"scan": "image"}`.
        workers: number of threads that open files.
        seed: integer; the same seed draws the same sample.

    Returns:
        A `DataReport`: print it, or call its `plot`, `to_html`, `rows` and `to_dict`. `clean` drops what it names.

    Example:

    >>> records = mm.data.from_arrays(text=["a dog", "", "a dog", None], label=["one", "one", "one", "two"])
    >>> report = inspect(records)
    >>> report.rows("broken"), report.rows("duplicate"), report.rows("missing", "text")
    ([1], [2], [3])
    >>> print(report.problems[0])
    row 1 [text]: empty text
    """
    records = records if isinstance(records, Records) else Records(records)
    unknown = {key: kind for key, kind in (kinds or {}).items() if kind not in KINDS}
    if unknown:
        raise ValueError(f"`kinds` takes {KINDS}. Received: {unknown}")
    if workers < 1 or (sample is not None and sample < 1):
        raise ValueError(f"`workers` and `sample` must be at least 1. Received: workers={workers}, sample={sample}")
    rows = np.arange(len(records))
    is_sample = sample is not None and sample < len(rows)
    if is_sample:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), sample, replace=False))
    parts = {} if preprocessor is None else dict(preprocessor.parts)
    _check_adapted(parts)
    subject = Subject(records, rows, parts, {**_kinds(records, rows, parts), **(kinds or {})})
    with _quiet_pillow(), _progress() as track, ThreadPoolExecutor(workers) as pool:
        columns, broken = see_records(subject, pool, track("reading records", len(rows)))
        absent = sorted(key for key in kinds or () if not columns[key].num_present)
        if absent:
            raise ValueError(
                f"`kinds` names keys that no record has. Expected some of {sorted(set(columns) - set(absent))}. "
                f"Received: {absent}"
            )
        for key, column in columns.items():
            see_files(subject, column, pool, track(f"opening files of {key}", num_files(column)))
    return summarise(subject, columns, broken, seed if is_sample else None)


def _check_adapted(parts):
    # A part that has yet to learn its vocabulary or classes says so once, and not for every record.
    for key, part in parts.items():
        try:
            if part.kind == "token_ids":
                part.coverage([])
            elif part.kind is None and not part.regression:
                _ = part.num_classes
        except ValueError as error:
            raise ValueError(f"The preprocessor's {key!r} part is not ready: {error}") from error


def _kinds(records, rows, parts):
    """Kinds of the keys of some records spread over all."""
    values = {}
    for row in np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).astype("int64")) if len(rows) else ():
        # A record that cannot be read is reported when its turn comes.
        with contextlib.suppress(Exception):
            for key, value in records[int(rows[row])].items():
                values.setdefault(key, []).append(value)
    given = {key: [v for v in found if not is_missing(v, "category")] for key, found in values.items()}
    return {key: kind_of(key, found, parts.get(key)) for key, found in given.items() if found}


@contextlib.contextmanager
def _quiet_pillow():
    # Pillow warns of odd headers without naming the file; what matters of it is marked in the report.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextlib.contextmanager
def _progress():
    """Progress bars on a terminal; gives a function (what, total) -> advance."""
    if not sys.stderr.isatty():
        yield lambda what, total: lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:

        def track(what, total):
            task = progress.add_task(what, total=total, visible=total > 0)
            return lambda count: progress.advance(task, count)

        yield track
