"""EDF and EDF+ files, written byte for byte as the public format says."""

import pickle

import numpy as np
import pytest

from mmkeras.data.readers.edf import read_edf

RATE, SECONDS = 10, 6
EVENTS = [(1.0, "T1"), (2.5, "T2"), (4.0, "T1")]


def digital(channel, rate=RATE, seconds=SECONDS):
    """A ramp: sample i of channel c is i + 1000 c, so that a value tells where it stood."""
    return np.arange(rate * seconds, dtype="<i2") + 1000 * channel


def write_edf(
    path, signals=None, events=EVENTS, *, times=None, kind="EDF+C", count=None, start=0.0, extra=b"", **replace
):
    """Write an EDF file of data records that last one second.

    Fixed header, 256 bytes: version 8, patient 80, recording 80, start date 8, start time 8, header bytes 8,
    reserved 44 (`EDF+C`, `EDF+D` or blank), number of data records 8, seconds of a data record 8, signals 4. Then for
    all signals each: label 16, transducer 80, physical dimension 8, physical minimum 8 and maximum 8, digital minimum
    8 and maximum 8, prefiltering 80, samples per data record 8, reserved 32. A data record holds the samples of every
    signal, 16-bit little-endian; `EDF Annotations` signals hold text lists `onset[\\x15duration]\\x14text\\x14\\x00`,
    the first one with an empty text for the time of the record.

    `signals` maps a label to (rate, samples); digital -2000..2000 is -200..200 uV.
    """
    signals = signals or {"Fc5.": (RATE, digital(0)), "Fc3.": (RATE, digital(1))}
    num_records = max((len(samples) // rate for rate, samples in signals.values()), default=len(times or [0]))
    times = [start + record for record in range(num_records)] if times is None else times
    lists = [b"+%g\x14\x14\x00" % time for time in times]
    for onset, text in events:
        record = max(row for row in range(num_records) if times[row] <= onset or row == 0)
        text = text if isinstance(text, bytes) else text.encode()
        lists[record] += b"%+g\x150.5\x14%s\x14\x00" % (onset, text)
    width = max(map(len, lists)) + len(extra) + 1
    width += width % 2
    plus = kind.startswith("EDF+")
    labels = [*signals, *(["EDF Annotations"] if plus else [])]
    cells = [
        *((label, 16) for label in labels),
        *(("AgAgCl electrode", 80) for _ in labels),
        *((replace.get("unit", "uV") if label in signals else "", 8) for label in labels),
        *((replace.get("low", "-200") if label in signals else "-1", 8) for label in labels),
        *((replace.get("high", "200") if label in signals else "1", 8) for label in labels),
        *(("-2000" if label in signals else "-32768", 8) for label in labels),
        *(("2000" if label in signals else "32767", 8) for label in labels),
        *(("HP:0Hz LP:0Hz", 80) for _ in labels),
        *((signals[label][0] if label in signals else width // 2, 8) for label in labels),
        *(("", 32) for _ in labels),
    ]
    fixed = [
        *(("0", 8), ("X X X X", 80), ("Startdate 12-AUG-2009 X X BCI2000", 80), ("12.08.09", 8), ("16.15.00", 8)),
        *((256 * (len(labels) + 1), 8), (kind, 44), (num_records if count is None else count, 8)),
        *((replace.get("seconds", 1), 8), (len(labels), 4)),
    ]
    data = b"".join(str(text).ljust(size).encode("latin-1") for text, size in [*fixed, *cells])
    for record in range(num_records):
        for rate, samples in signals.values():
            data += np.asarray(samples[record * rate : (record + 1) * rate], "<i2").tobytes()
        if plus:
            data += (lists[record] + (extra if record == 1 else b"")).ljust(width, b"\0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_whole_recording_in_physical_units(tmp_path):
    records = read_edf(write_edf(tmp_path / "S001R04.edf"))
    (record,) = records
    assert list(record) == ["signal", "onset", "id", "sample_rate", "channels"]
    assert (record["id"], record["sample_rate"], record["onset"]) == ("S001R04", 10.0, 0.0)
    assert record["channels"] == ["Fc5.", "Fc3."]
    assert record["signal"].dtype == "float32"
    # 0.1 uV a step: digital 37 is 3.7 uV, digital 1037 is 103.7 uV.
    np.testing.assert_allclose(record["signal"][37], [3.7, 103.7], rtol=1e-6)
    np.testing.assert_allclose(record["signal"], np.stack([digital(0), digital(1)], axis=1) * 0.1, rtol=1e-6)


def test_offset_and_inverted_polarity(tmp_path):
    record = read_edf(write_edf(tmp_path / "a.edf", low="100", high="-300"))[0]
    # -2000..2000 onto 100..-300: a step is -0.1 and digital 0 is -100.
    np.testing.assert_allclose(record["signal"][:2, 0], [-100.0, -100.1], rtol=1e-6)


def test_plain_edf_has_no_annotations(tmp_path):
    path = write_edf(tmp_path / "a.edf", kind="")
    assert read_edf(path)[0]["signal"].shape == (60, 2)
    with pytest.raises(ValueError, match=r"no annotations to cut at. Use `window=seconds`"):
        read_edf(path, window=(0, 1))


def test_samples_are_read_when_asked_for(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    records = pickle.loads(pickle.dumps(read_edf(path, window=1.0)))
    assert records[5]["signal"][0, 0] == 5.0
    path.unlink()
    assert len(records) == 6
    with pytest.raises(FileNotFoundError):
        records[5]


def test_windows_at_annotations(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    records = read_edf(path, window=(0.5, 1.2))
    assert list(records[0]) == ["signal", "label", "onset", "id", "sample_rate", "channels"]
    assert [(record["label"], record["onset"]) for record in records] == [("T1", 1.0), ("T2", 2.5), ("T1", 4.0)]
    for record, first in zip(records, (15, 30, 45), strict=True):
        np.testing.assert_allclose(record["signal"][:, 0], np.arange(first, first + 12) * 0.1, rtol=1e-6)
    assert [record["onset"] for record in read_edf(path, window=(-1, 1), events="T1")] == [1.0, 4.0]
    assert read_edf(path, window=(-1, 1), events=["T1"])[1]["signal"][0, 0] == 3.0


def test_a_list_may_hold_several_texts_in_any_script(tmp_path):
    events = [(2.5, "later"), (2.0, "Lights off\x14Tür zu"), (1.0, "眠り"), (3.0, "Müde".encode("latin-1"))]
    records = read_edf(write_edf(tmp_path / "a.edf", events=events), window=(0, 1))
    assert records.column("label") == ["眠り", "Lights off", "Tür zu", "later", "Müde"]


def test_onsets_count_from_the_header_time_not_from_the_first_sample(tmp_path):
    records = read_edf(write_edf(tmp_path / "a.edf", start=0.5), window=(0.0, 1.0))
    assert records.column("onset") == [1.0, 2.5, 4.0]
    assert [record["signal"][0, 0].round(4) for record in records] == [0.5, 2.0, 3.5]


def test_consecutive_windows(tmp_path):
    records = read_edf(write_edf(tmp_path / "a.edf"), window=2.5, channels=["Fc3."])
    assert [record["signal"].shape for record in records] == [(25, 1), (25, 1)]
    assert [record["signal"][0, 0] for record in records] == [100.0, 102.5]
    assert records.column("onset") == [0.0, 2.5]
    assert records.notes == ("1 s at the end of recordings lie in no window",)


def test_windows_beyond_the_recording_are_named(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=r"skipped 2 of 3: .*a.edf, annotation 'T2' at 2.5 s .*2.5 to 6.5 s"):
        records = read_edf(path, window=(0, 4))
    assert records.column("onset") == [1.0]
    assert len(records.problems) == 2
    with pytest.warns(UserWarning, match=r"annotation 'T1' at 1 s \[signal\]: its window, -0.5 to 0.5 s"):
        assert len(read_edf(path, window=(-1.5, 1))) == 2
    with pytest.raises(ValueError, match="reaches beyond the recording"):
        read_edf(path, window=(0, 4), strict=True)
    with pytest.warns(UserWarning, match="6 s are shorter than a window of 7 s"):
        assert len(read_edf(path, window=7.0)) == 0
    assert len(read_edf(path, window=(0, 2))) == 3


def test_no_window_reaches_over_the_gap_of_a_discontinuous_file(tmp_path):
    path = write_edf(
        tmp_path / "a.edf", kind="EDF+D", times=[0, 1, 2, 10, 11, 12], events=[(1.5, "a"), (2.5, "b"), (10.5, "c")]
    )
    whole = read_edf(path)
    assert [(record["onset"], record["signal"].shape) for record in whole] == [(0.0, (30, 2)), (10.0, (30, 2))]
    assert whole[1]["signal"][0, 0] == 3.0
    with pytest.warns(UserWarning, match="annotation 'b' at 2.5 s .* over a gap"):
        cut = read_edf(path, window=(0.0, 1.0))
    assert [(record["label"], float(record["signal"][0, 0])) for record in cut] == [("a", 1.5), ("c", 3.5)]
    assert read_edf(path, window=2.0).column("onset") == [0.0, 10.0]


def test_channels_by_label_and_position(tmp_path):
    mixed = {"EEG": (RATE, digital(0)), "Temp": (1, digital(1, 1)), "EOG": (RATE, digital(2)), "-": (RATE, digital(3))}
    path = write_edf(tmp_path / "a.edf", mixed)
    with pytest.raises(ValueError, match=r"one sampling rate. Received: rates in Hz {'EEG': 10.0, 'Temp': 1.0"):
        read_edf(path)
    for channels in (["EOG", "EEG"], [2, 0]):
        record = read_edf(path, channels=channels)[0]
        assert record["channels"] == ["EOG", "EEG"]
        np.testing.assert_allclose(record["signal"][1], [200.1, 0.1], rtol=1e-6)
    assert read_edf(path, channels="Temp")[0]["sample_rate"] == 1.0
    with pytest.raises(ValueError, match=r"a.edf: no such channel. Expected one of \['EEG', .*Received: 'ECG'"):
        read_edf(path, channels=["ECG"])


def test_channels_of_one_label_need_positions(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    path.write_bytes(path.read_bytes().replace(b"Fc3.", b"Fc5."))
    assert read_edf(path)[0]["channels"] == ["Fc5.", "Fc5."]
    assert read_edf(path, channels=1)[0]["signal"][0, 0] == 100.0
    with pytest.raises(ValueError, match="2 channels have this label: give positions"):
        read_edf(path, channels=["Fc5."])


def test_folder_with_subfolders(tmp_path):
    for name in ("S001/R01.edf", "S001/R02.EDF", "S002/R01.edf"):
        write_edf(tmp_path / name)
    (tmp_path / "S001" / "R01.edf.event").write_text("not a recording")
    records = read_edf(tmp_path, window=(0, 1))
    assert records.column("id") == [name for name in ("S001/R01", "S001/R02", "S002/R01") for _ in range(3)]
    first, second = records.split(1 / 3, by="id", seed=0)
    assert not set(first.column("id")) & set(second.column("id"))
    listed = read_edf([tmp_path / "S002" / "R01.edf", tmp_path / "S001" / "R01.edf"])
    assert listed.column("id") == ["S002/R01", "S001/R01"]


def test_a_bad_file_among_several_is_named(tmp_path):
    write_edf(tmp_path / "a.edf")
    (tmp_path / "b.edf").write_bytes(b"")
    path = write_edf(tmp_path / "c.edf")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"read_edf\(3 files\) skipped 2 of 3: .*b.edf: .*; .*c.edf: "):
        records = read_edf(tmp_path)
    assert records.column("id") == ["a"]
    with pytest.raises(ValueError, match=r"b.edf is not an EDF file"):
        read_edf(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"signals": {"Fc5.": (RATE, digital(0))}}, "channels"),
        ({"signals": {"Fc5.": (20, digital(0, 20)), "Fc3.": (20, digital(1, 20))}}, "sampling rate"),
        ({"unit": "mV"}, "units"),
    ],
)
def test_files_that_differ(tmp_path, change, what):
    write_edf(tmp_path / "a.edf")
    write_edf(tmp_path / "b.edf", **change)
    with pytest.raises(ValueError, match=rf"b.edf differs in {what}.*as in .*a.edf"):
        read_edf(tmp_path)


def test_positions_join_files_that_name_channels_differently(tmp_path):
    write_edf(tmp_path / "a.edf", {"T7": (RATE, digital(0))})
    write_edf(tmp_path / "b.edf", {"EEG T7": (RATE, digital(0))})
    assert read_edf(tmp_path, channels=[0]).column("channels") == [["T7"], ["EEG T7"]]


def text_transfer(data):
    return data.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", r"is not an EDF file. Expected: '0' and 7 spaces first. Received: ''"),
        (lambda data: b"\x89PNG\r\n\x1a\n" + data[8:], "is not an EDF file"),
        (lambda data: b"\xffBIOSEMI" + data[8:], "is a BDF file of 24 bits"),
        (lambda data: data[:200], "damaged header: 'number of data records' must be a number. Received: ''"),
        (lambda data: data[:700], "damaged header. Expected 256 bytes, and as many for each of 3 signals"),
        (lambda data: data[:184] + b"512     " + data[192:], "Received: header bytes 512"),
        (
            lambda data: data[:244] + b"one     " + data[252:],
            "'seconds of a data record' must be a number. Received: 'one'",
        ),
        (lambda data: data[:244] + b"0       " + data[252:], "Received: 0 s"),
        (lambda data: data[:252] + b"0   " + data[256:], "for each of 0 signals"),
        (lambda data: data[:-30], r"does not have the size of its data. Expected 6 data records .* 5\.\d\d records$"),
        (lambda data: data + b"\0" * 10, r"Received: [\d,]+ bytes, 6\.\d\d records$"),
        (text_transfer, "before each of its 2 line feeds, as after a transfer as text"),
        (lambda data: text_transfer(data)[:-40], "as after a transfer as text: fetch the file again in binary mode"),
        (lambda data: data.replace(b"200     200     ", b"200     -200    "), "'Fc3.' has no scale"),
        (
            lambda data: data.replace(b"200     200     ", b"200     12,5    "),
            r"maximum of 'Fc3\.'\" must be a number. Received: '12,5'",
        ),
    ],
)
def test_damaged_file(tmp_path, damage, message):
    path = write_edf(tmp_path / "a.edf", kind="EDF+C")
    if damage(b"a\n") == b"a\r\n":
        assert path.read_bytes().count(b"\n") == 2  # digital 10 and 1034 hold a line feed's byte
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"a.edf.*{message}"):
        read_edf(path)


def test_annotations_alone_are_no_recording(tmp_path):
    path = tmp_path / "a.edf"
    write_edf(path, {"EDF Annotations": (RATE, digital(0))}, kind="")
    with pytest.raises(ValueError, match=r"a.edf holds annotations only"):
        read_edf(path)


def test_open_count_of_data_records(tmp_path):
    path = write_edf(tmp_path / "a.edf", count=-1)
    assert read_edf(path)[0]["signal"].shape == (60, 2)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="Expected 5 data records"):
        read_edf(path)


def test_discontinuous_file_without_times(tmp_path):
    path = write_edf(tmp_path / "a.edf", kind="EDF+D")
    path.write_bytes(path.read_bytes().replace(b"+3\x14\x14", b"\0\0\0\0"))
    with pytest.raises(ValueError, match=r"data record 3 \(0-based\) of an EDF\+D file must say its time"):
        read_edf(path)


def test_broken_annotation_is_named(tmp_path):
    path = write_edf(tmp_path / "a.edf", extra=b"soon\x14T9\x14\0")
    with pytest.warns(UserWarning, match=r"data record 1 \(0-based\): not a time-stamped annotation: b'soon"):
        assert len(read_edf(path, window=(0, 1))) == 3
    with pytest.raises(ValueError, match="not a time-stamped annotation"):
        read_edf(path, window=(0, 1), strict=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "longer than 0 s. Received: 0"),
        ({"window": (1, -2)}, r"longer than 0 s. Received: \(1, -2\)"),
        ({"window": (1, 2, 3)}, r"None, seconds, or \(start, seconds\). Received: \(1, 2, 3\)"),
        ({"window": "2 s"}, "Received: '2 s'"),
        ({"window": float("nan")}, "Received: nan"),
        ({"window": 0.01}, "must hold a sample at 10 Hz"),
        ({"events": ["T1"]}, "`events` need a window around them"),
        ({"events": ["T1"], "window": 2.0}, "`events` need a window around them"),
        (
            {"events": ["T1", "T9"], "window": (0, 1)},
            r"no annotation says \['T9'\]. Received: annotations \['T1', 'T2'\]",
        ),
        ({"channels": [7]}, "no such channel"),
        ({"channels": []}, "choose `channels`"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_edf(write_edf(tmp_path / "a.edf"), **arguments)


def test_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"no such file '.*none.edf'"):
        read_edf(tmp_path / "none.edf")
    with pytest.raises(ValueError, match=r"no such file '.*none.edf'"):
        read_edf([write_edf(tmp_path / "data" / "a.edf"), tmp_path / "none.edf"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"a folder of \*.edf. Received: .*empty"):
        read_edf(tmp_path / "empty")
