"""Signals from EDF and EDF+ files: EEG, sleep, muscles, heart."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np

from mmkeras.data.media import edf
from mmkeras.data.problems import Problems
from mmkeras.data.records import Records


def read_edf(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    window: float | tuple[float, float] | None = None,
    events: str | Sequence[str] | None = None,
    channels: str | int | Sequence[str | int] | None = None,
    strict: bool = False,
) -> Records:
    """Read EDF and EDF+ recordings, whole or cut into windows, in the units that the files state.

    Samples are read when a record is asked for. All records have the same channels, rate and units: files that differ
    are an error until you choose `channels` that they share. A discontinuous file (EDF+D) counts as several
    recordings, and no window reaches over a gap.

    ```python
    cues = mm.data.read_edf("eegmmidb/", window=(0.0, 4.0), events=["T1", "T2"])       # 4 s from every cue
    epochs = mm.data.read_edf("sleep.edf", window=30.0, channels=["EEG Fpz-Cz"])       # 30 s after 30 s
    train, val = cues.split(0.8, by="id")                                              # whole recordings
    ```

    Args:
        path: a file, a list of files, or a folder, searched for `*.edf` with its subfolders. A file that cannot be
            read is an error if it is given alone; among several it is skipped and named.
        window: None for one record per recording; `(start, seconds)` for one record per annotation, beginning
            `start` seconds after its onset, or before it if negative; a number of seconds for consecutive windows.
            Windows that reach beyond the recording are skipped and named. What consecutive windows leave at the end
            of recordings is counted in the notes.
        events: texts of the annotations to cut at; None for all.
        channels: labels as the files have them, or positions from 0, in the order you want; None for all.
        strict: raise at the first bad file, annotation or window instead of skipping and naming it.

    Returns:
        Records `{"signal": float32 (time, channel)[, "label": text of the annotation], "onset": seconds from the
        start time of the file (of the annotation where there is one), "id": the file as seen from the folder,
        without suffix, "sample_rate", "channels": list of labels}`.
    """
    start, seconds = _check_window(window, events)
    events, channels = _as_tuple(events), _as_tuple(channels)
    files, alone = _find_files(path)
    problems = Problems(f"read_edf({files[0][0]!r})" if alone else f"read_edf({len(files)} files)", strict)
    recordings, cuts, texts, left = [], [], set(), 0.0
    for file, name in files:
        try:
            header = edf.read_header(file)
            annotations, times = edf.read_annotations(header, problems)
        except ValueError as error:
            if alone:
                raise
            problems.add(file, str(error))
            continue
        recording = _choose(header, name, channels, times)
        recordings.append(recording)
        _check_alike(recordings[0], recording, channels)
        if start is None:
            found, rest = _cut_all(recording, seconds, problems)
            left += rest
        else:
            wanted = [event for event in annotations if events is None or event[1] in events]
            found = _cut_at(recording, wanted, start, seconds, problems)
            texts.update(text for _, text in annotations)
        cuts += [_Cut(len(recordings) - 1, *cut) for cut in found]
    if start is not None and recordings and not texts.issuperset(events or ()):
        raise ValueError(
            f"{path}: no annotation says {sorted({*events} - texts)}. Received: annotations {sorted(texts)}"
        )
    if start is not None and recordings and not texts:
        raise ValueError(f"{path}: no annotations to cut at. Use `window=seconds` for consecutive windows")
    problems.warn(len(cuts) + len(problems))
    return Records(
        _Windows(recordings, cuts),
        name="edf",
        problems=problems,
        notes=[f"{left:g} s at the end of recordings lie in no window"] if left else [],
    )


class _Recording(NamedTuple):
    """Chosen channels of a file. A piece without a gap is (seconds at its start, first sample, samples)."""

    header: edf.Header
    id: str
    rows: list[int]
    scales: list[tuple[float, float]]
    sample_rate: float
    pieces: list[tuple[float, int, int]]

    def field(self, name):
        """A header field of the chosen channels."""
        return [self.header.fields[name][row] for row in self.rows]


class _Cut(NamedTuple):
    recording: int
    first: int
    count: int
    onset: float
    label: str | None


@final
class _Windows(Sequence):
    """Stretches of recordings, read when they are asked for."""

    def __init__(self, recordings, cuts):
        self.recordings = recordings
        self.cuts = cuts

    def __len__(self):
        return len(self.cuts)

    def __getitem__(self, row) -> dict[str, Any]:
        cut = self.cuts[row]
        recording = self.recordings[cut.recording]
        signal = edf.read_samples(recording.header, recording.rows, recording.scales, cut.first, cut.count)
        return {
            "signal": signal,
            **({} if cut.label is None else {"label": cut.label}),
            "onset": cut.onset,
            "id": recording.id,
            "sample_rate": recording.sample_rate,
            "channels": recording.field("label"),
        }


def _as_tuple(value):
    return (value,) if isinstance(value, (str, int)) else None if value is None else tuple(value)


def _check_window(window, events):
    """Start and seconds of a window; no start for consecutive ones, and no seconds for whole recordings."""
    parts = tuple(window) if isinstance(window, (tuple, list)) else (None, window)
    numbers = [part for part in parts if part is not None]
    kinds = (int, float, np.number)
    if len(parts) != 2 or not all(isinstance(number, kinds) and np.isfinite(number) for number in numbers):
        raise ValueError(f"`window` must be None, seconds, or (start, seconds). Received: {window!r}")
    if parts[1] is not None and parts[1] <= 0:
        raise ValueError(f"A window must last longer than 0 s. Received: {window!r}")
    if events is not None and parts[0] is None:
        raise ValueError(f"`events` need a window around them: (start, seconds). Received: window={window!r}")
    return parts


def _find_files(path):
    """Files as (path, id), and whether one file was given alone."""
    one = isinstance(path, (str, os.PathLike))
    folder = one and pathlib.Path(path).is_dir()
    files = [pathlib.Path(path)] if one else [pathlib.Path(file) for file in path]
    if folder:
        files = sorted(file for file in files[0].rglob("*") if file.suffix.lower() == ".edf")
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        received = f"no such file {missing[0]!r}" if missing else f"{path!r} without any"
        raise ValueError(f"Expected a file, a list of files, or a folder of *.edf. Received: {received}")
    base = path if folder else os.path.commonpath([file.absolute().parent for file in files])
    names = [file.absolute().relative_to(pathlib.Path(base).absolute()).with_suffix("").as_posix() for file in files]
    return list(zip(map(str, files), names, strict=True)), one and not folder


def _choose(header, name, channels, times):
    """The recording of the chosen channels, which must have one rate."""
    ordinary = [row for row, label in enumerate(header.fields["label"]) if label != edf.ANNOTATIONS]
    labels = [header.fields["label"][row] for row in ordinary]
    rows = []
    for channel in range(len(ordinary)) if channels is None else channels:
        found = [row for place, row in enumerate(ordinary) if channel in (place, labels[place])]
        if len(found) != 1:
            reason = f"{len(found)} channels have this label: give positions" if found else "no such channel"
            raise ValueError(f"{header.path}: {reason}. Expected one of {labels}. Received: {channel!r}")
        rows += found
    rates = {header.fields["label"][row]: header.lengths[row] / header.record_seconds for row in rows}
    if len(set(rates.values())) != 1:
        raise ValueError(f"{header.path}: choose `channels` of one sampling rate. Received: rates in Hz {rates}")
    rate, length = rates.popitem()[1], header.lengths[rows[0]]
    # A gap is a jump of more than half a sample between two data records.
    jumps = np.abs(np.diff(times) - header.record_seconds) > 0.5 / rate
    starts = [0, *(np.flatnonzero(jumps) + 1).tolist()]
    ends = [*starts[1:], header.num_records]
    pieces = [(float(times[a]), a * length, (b - a) * length) for a, b in zip(starts, ends, strict=True)]
    return _Recording(header, name, rows, [edf.read_scale(header, row) for row in rows], rate, pieces)


def _check_alike(first, recording, channels):
    """Say where the chosen channels differ from those of the first file; positions may differ in label."""
    named = channels is None or any(isinstance(channel, str) for channel in channels)
    kinds = [
        (each.field("label") if named else None, each.sample_rate, each.field("unit")) for each in (first, recording)
    ]
    for what, expected, received in zip(("channels", "sampling rate", "units"), *kinds, strict=True):
        if expected != received:
            raise ValueError(
                f"{recording.header.path} differs in {what}: choose `channels` that all files share, or read them "
                f"apart. Expected {expected} as in {first.header.path}. Received: {received}"
            )


def _cut_at(recording, events, start, seconds, problems):
    """Windows (first sample, samples, onset, text) that begin `start` seconds after events."""
    rate, count = recording.sample_rate, _num_samples(recording, seconds)
    starts = np.array([piece[0] for piece in recording.pieces])
    for onset, text in events:
        # Half a sample of tolerance, which is then rounded away.
        place = int(np.searchsorted(starts, onset + start + 0.5 / rate, side="right")) - 1
        begin, first, length = recording.pieces[max(place, 0)]
        skip = round((onset + start - begin) * rate)
        if place < 0 or skip + count > length:
            where = f"{recording.header.path}, annotation {text!r} at {onset:g} s"
            reach = f"{onset + start:g} to {onset + start + seconds:g} s"
            problems.add(where, f"its window, {reach}, reaches beyond the recording or over a gap", "signal")
        else:
            yield first + skip, count, onset, text


def _cut_all(recording, seconds, problems):
    """Windows side by side, or the pieces whole, and the seconds that lie in none."""
    rate, count = recording.sample_rate, None if seconds is None else _num_samples(recording, seconds)
    found, left = [], 0
    for begin, first, length in recording.pieces:
        step = count or length
        if length < step:
            where = f"{recording.header.path}, from {begin:g} s"
            problems.add(where, f"{length / rate:g} s are shorter than a window of {seconds:g} s", "signal")
        else:
            found += [(first + skip, step, begin + skip / rate, None) for skip in range(0, length - step + 1, step)]
            left += length % step
    return found, left / rate


def _num_samples(recording, seconds):
    count = round(seconds * recording.sample_rate)
    if not count:
        raise ValueError(f"A window must hold a sample at {recording.sample_rate:g} Hz. Received: {seconds} s")
    return count
