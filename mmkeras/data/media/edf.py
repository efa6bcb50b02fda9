"""The EDF and EDF+ file format: header, annotations, samples."""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmkeras.data.problems import Problems

ANNOTATIONS = "EDF Annotations"
_BYTES = 256
# Name and bytes of each field; the header holds a field of all signals, then the next one.
_FIXED = {
    "version": 8,
    "patient": 80,
    "recording": 80,
    "start date": 8,
    "start time": 8,
    "header bytes": 8,
    "reserved": 44,
    "number of data records": 8,
    "seconds of a data record": 8,
    "number of signals": 4,
}
_PER_SIGNAL = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical minimum": 8,
    "physical maximum": 8,
    "digital minimum": 8,
    "digital maximum": 8,
    "prefiltering": 80,
    "samples per data record": 8,
    "reserved": 32,
}
_TIMED_TEXTS = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(?:\d+(?:\.\d*)?)?)?\x14(.*)", re.DOTALL)


class Header(NamedTuple):
    """What the header of a file says. `fields` maps a field's name to its text for each signal.

    `lengths` are samples per data record of each signal; `num_records` is a count of data records.
    """

    path: str
    fields: dict[str, list[str]]
    lengths: list[int]
    size: int
    num_records: int
    record_seconds: float
    discontinuous: bool


def read_header(path: str) -> Header:
    """Header of a file, compared with the size of the file.

    Args:
        path: the file.
    """
    with open(path, "rb") as file:
        fixed = _cells(file.read(_BYTES), _FIXED)
        if fixed["version"] != ["0"]:
            kind = "a BDF file of 24 bits: convert it to EDF" if "BIOSEMI" in fixed["version"][0] else "not an EDF file"
            raise ValueError(f"{path} is {kind}. Expected: '0' and 7 spaces first. Received: {fixed['version'][0]!r}")
        numbers = {key: _number(path, key, fixed[key][0]) for key in list(_FIXED)[7:]}
        size = _number(path, "header bytes", fixed["header bytes"][0])
        num_signals = int(numbers["number of signals"])
        data = file.read(_BYTES * max(num_signals, 0))
    if num_signals < 1 or not size == _BYTES * (num_signals + 1) == _BYTES + len(data):
        raise ValueError(
            f"{path} has a damaged header. Expected {_BYTES} bytes, and as many for each of {num_signals} signals. "
            f"Received: header bytes {size:g}, of which the file has {_BYTES + len(data)}"
        )
    fields = _cells(data, _PER_SIGNAL, num_signals)
    key = "samples per data record"
    lengths = [int(_number(path, key, cell)) for cell in fields[key]]
    seconds = numbers["seconds of a data record"]
    if set(fields["label"]) == {ANNOTATIONS}:
        raise ValueError(f"{path} holds annotations only. Expected at least one signal")
    if min(lengths) < 1 or not seconds > 0:
        raise ValueError(f"{path} has a damaged header. Received: {seconds:g} s and {lengths} samples per data record")
    num_records = _count_records(path, int(numbers["number of data records"]), int(size), 2 * sum(lengths))
    return Header(path, fields, lengths, int(size), num_records, seconds, fixed["reserved"][0].startswith("EDF+D"))


def read_annotations(header: Header, problems: Problems) -> tuple[list[tuple[float, str]], np.ndarray]:
    """Annotations of an EDF+ file as (onset, text) in order of time, and when each data record begins.

    Times are seconds from the start time of the header. Texts are UTF-8 as the format demands, else Latin-1.

    Args:
        header: of the file.
        problems: where annotations that cannot be read are named.
    """
    ends = np.cumsum(header.lengths)
    spans = [
        (end - length, end)
        for label, length, end in zip(header.fields["label"], header.lengths, ends, strict=True)
        if label == ANNOTATIONS
    ]
    found, times = [], {}
    data = _samples(header)
    for record in range(header.num_records if spans else 0):
        for signal, (start, end) in enumerate(spans):
            for item in filter(None, data[record, start:end].tobytes().split(b"\0")):
                match = _TIMED_TEXTS.fullmatch(item)
                if match is None:
                    where = f"{header.path}, data record {record} (0-based)"
                    problems.add(where, f"not a time-stamped annotation: {item[:40]!r}")
                    continue
                onset, texts = float(match[1]), match[2].split(b"\x14")
                if signal == 0 and not texts[0]:
                    # An empty text keeps the time of the data record: it is no event.
                    times.setdefault(record, onset)
                found += [(onset, _decode(text)) for text in texts if text]
    found.sort(key=lambda event: event[0])
    if not header.discontinuous:
        return found, times.get(0, 0.0) + np.arange(header.num_records) * header.record_seconds
    missing = [record for record in range(header.num_records) if record not in times]
    if missing:
        raise ValueError(f"{header.path}: data record {missing[0]} (0-based) of an EDF+D file must say its time")
    return found, np.array([times[record] for record in range(header.num_records)])


def read_scale(header: Header, row: int) -> tuple[float, float]:
    """Gain and offset that turn the digital values of one signal into its unit.

    Args:
        header: of the file.
        row: position of the signal, 0-based.
    """
    keys = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
    label = header.fields["label"][row]
    low, high, first, last = (_number(header.path, f"{key} of {label!r}", header.fields[key][row]) for key in keys)
    if low == high or first >= last:
        raise ValueError(
            f"{header.path}: {label!r} has no scale. Expected two physical values, and digital minimum < maximum. "
            f"Received: physical {low:g} to {high:g}, digital {first:g} to {last:g}"
        )
    gain = (high - low) / (last - first)
    return gain, low - first * gain


def read_samples(
    header: Header, rows: Sequence[int], scales: Sequence[tuple[float, float]], first: int, count: int
) -> np.ndarray:
    """Samples of signals of one rate in their units: float32 (time, channel).

    Args:
        header: of the file.
        rows: positions of the signals, 0-based.
        scales: gain and offset of each.
        first: number of the first sample.
        count: how many samples.
    """
    ends, length = np.cumsum(header.lengths), header.lengths[rows[0]]
    start, stop = first // length, -(-(first + count) // length)
    data = _samples(header)
    signal = np.empty((count, len(rows)), dtype="float32")
    for channel, (row, (gain, offset)) in enumerate(zip(rows, scales, strict=True)):
        digital = data[start:stop, ends[row] - length : ends[row]].reshape(-1)[first - start * length :][:count]
        signal[:, channel] = digital.astype("float64") * gain + offset
    return signal


def _samples(header):
    """Digital values (data record, sample of any signal), mapped: nothing stays open after use."""
    shape = (header.num_records, sum(header.lengths))
    return np.memmap(header.path, dtype="<i2", mode="r", offset=header.size, shape=shape)


def _cells(data, fields, count=1):
    """Texts of fields that stand one after the other, `count` times each."""
    cells, place = {}, 0
    for name, width in fields.items():
        starts = range(place, place + count * width, width)
        cells[name] = [data[start : start + width].decode("latin-1").strip(" \0") for start in starts]
        place += count * width
    return cells


def _number(path, name, cell):
    try:
        number = float(cell)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"{path} has a damaged header: {name!r} must be a number. Received: {cell!r}")
    return number


def _count_records(path, promised, size, width):
    """Number of data records, if the file has exactly those."""
    found = os.path.getsize(path)
    # -1 stands while a recording runs, and stays where it was stopped by force.
    count = (found - size) // width if promised == -1 else promised
    if count > 0 and found == size + count * width:
        return count
    text = (
        f"{path} does not have the size of its data. Expected {count} data records of {width:,} bytes after a header "
        f"of {size:,}: {size + count * width:,} bytes. Received: {found:,} bytes, {(found - size) / width:.2f} records"
    )
    data = pathlib.Path(path).read_bytes()
    line_feeds = data.count(b"\n")
    if line_feeds and line_feeds == data.count(b"\r\n"):
        text += (
            f". A carriage return stands before each of its {line_feeds} line feeds, as after a transfer as text: "
            "fetch the file again in binary mode"
        )
    raise ValueError(text)


def _decode(text):
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
