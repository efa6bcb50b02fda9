"""Collections of records: lazy, sized, picklable; every operation keeps groups, rows and notes straight."""

import pickle
import tracemalloc

import numpy as np
import pytest

import mmkeras as mm
from mmkeras.data.sources import Lines

VIDEOS = [f"v{row // 3}" for row in range(60)]


@pytest.fixture
def records():
    return mm.data.from_arrays(text=[f"t{row}" for row in range(60)], video=VIDEOS, id=list(range(60)))


def test_indexing(records):
    assert records[2] == {"text": "t2", "video": "v0", "id": 2}
    assert records[-1]["id"] == 59
    assert records[5:8].column("id") == [5, 6, 7]
    assert records[[9, 3]].column("id") == [9, 3]
    assert records[np.arange(60) % 20 == 1].column("id") == [1, 21, 41]
    assert records.take(2).column("id") == [0, 1]
    assert len(records.take(1000)) == 60
    with pytest.raises(IndexError, match=r"has 60 records.*index 60"):
        records[60]


def test_a_record_is_the_callers_own(records):
    records[0]["text"] = "changed"
    assert records[0]["text"] == "t0"


def test_repr_says_what_it_is(records):
    assert repr(records) == "<arrays: 60 records (text, video, id)>"
    assert "20 of 60 kept by a filter" in repr(records.filter(lambda record: record["id"] < 20))


class TestSplit:
    @pytest.mark.parametrize("fractions", [(0.5,), (0.6, 0.2), (0.8, 0.1, 0.1), (1.0,), (1 / 3, 1 / 3, 1 / 3)])
    def test_parts_are_disjoint_and_complete(self, records, fractions):
        parts = records.split(*fractions)
        assert len(parts) == len(fractions) + (sum(fractions) < 1 - 1e-9)
        assert sorted(number for part in parts for number in part.column("id")) == list(range(60))
        for part, fraction in zip(parts, fractions, strict=False):
            assert len(part) == round(60 * fraction)

    def test_the_seed_decides(self, records):
        first, again, other = (records.split(0.5, seed=seed)[0].column("id") for seed in (1, 1, 2))
        assert first == again != other

    def test_groups_stay_whole_and_say_so(self, records):
        train, rest = records.split(0.7, by="video", seed=3)
        assert not set(train.column("video")) & set(rest.column("video"))
        assert len(train) == 42
        assert "14 of 20 groups of 'video', each whole" in repr(train)

    def test_uneven_groups_meet_the_share_as_nearly_as_they_can(self):
        records = mm.data.from_arrays(speaker=["a"] * 50 + ["b"] * 30 + ["c"] * 20)
        for seed in range(5):
            large, small = records.split(0.5, by="speaker", seed=seed)
            assert len(large) + len(small) == 100
            assert not set(large.column("speaker")) & set(small.column("speaker"))

    @pytest.mark.parametrize("fractions", [(), (0.0,), (-0.1, 0.5), (0.8, 0.3)])
    def test_impossible_fractions(self, records, fractions):
        with pytest.raises(ValueError, match="must be positive and sum to at most 1"):
            records.split(*fractions)

    def test_unknown_key(self, records):
        with pytest.raises(ValueError, match=r"No record of arrays has the key 'speaker'.*'id', 'text', 'video'"):
            records.split(0.5, by="speaker")

    def test_an_official_split_is_always_three(self):
        records = mm.data.Records([{"n": n} for n in range(5)], splits={"train": [3, 1], "val": [0]})
        train, val, test = records.official_split()
        assert (train.column("n"), val.column("n"), len(test)) == ([3, 1], [0], 0)
        assert "no test part here" in repr(test)
        with pytest.raises(ValueError, match="has no official split here: use"):
            train.official_split()


def test_map_is_lazy_and_filter_keeps_order(records):
    calls = []
    mapped = records.map(lambda record: calls.append(record["id"]) or {**record, "text": record["text"].upper()})
    assert not calls
    assert mapped[7]["text"] == "T7"
    assert calls == [7]
    assert records.filter(lambda record: record["id"] % 25 == 0).column("id") == [0, 25, 50]


def test_shuffle_and_sum(records):
    assert sorted(records.shuffle(4).column("id")) == list(range(60)) != records.shuffle(4).column("id")
    both = records.take(2) + records[58:]
    assert both.column("id") == [0, 1, 58, 59]


def test_unfold_gives_one_record_per_item():
    records = mm.data.from_arrays(text=[["a", "b"], "c", ["d"], []], image=["1", "2", "3", "4"])
    unfolded = records.unfold("text")
    assert [(r["image"], r["text"]) for r in unfolded] == [("1", "a"), ("1", "b"), ("2", "c"), ("3", "d")]


class TestJoin:
    def test_missing_matches_are_missing_modalities(self, records):
        sounds = mm.data.from_arrays(id=[1, 3], audio=["1.wav", "3.wav"])
        joined = records.take(4).join(sounds, on="id")
        assert [record.get("audio") for record in joined] == [None, "1.wav", None, "3.wav"]
        assert "joined on 'id': 2 of 4 without a match" in repr(joined)

    def test_two_records_of_one_value_are_an_error(self, records):
        with pytest.raises(ValueError, match="row 2 of arrays and row 0 both have 5"):
            records.join(mm.data.from_arrays(id=[5, 6, 5], audio=["a", "b", "c"]), on="id")

    def test_own_values_stay(self, records):
        assert records.join([{"id": 0, "text": "other"}], on="id")[0]["text"] == "t0"


class TestPair:
    def test_half_match_and_none_is_paired_with_its_own_group(self, records):
        pairs = records.pair("text", by="video", seed=5)
        assert len(pairs) == 120
        for row, pair in enumerate(pairs):
            own = pair["video"] == VIDEOS[int(pair["text"][1:])]
            assert pair["label"] == ("no-match" if row % 2 else "match")
            assert own == (pair["label"] == "match")

    def test_partners_are_spread(self, records):
        partners = [pair["text"] for pair in records.pair("text", seed=1)][1::2]
        assert len(set(partners)) > 30

    def test_nothing_to_exchange(self, records):
        with pytest.raises(ValueError, match=r"have the keys \('sound',\)"):
            records.pair("sound")
        with pytest.raises(ValueError, match="differ in 'video'"):
            records.take(3).pair("text", by="video")


def _upper(record):
    return {**record, "text": record["text"].upper()}


def test_everything_pickles(records):
    made = records.map(_upper).pair("text", by="video").split(0.5, by="video")[0] + records
    restored = pickle.loads(pickle.dumps(made))
    assert list(restored) == list(made)


def _number(line):
    return {"n": int(line)}


def test_lines_are_read_when_asked_for(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_bytes(b"10\n200\n3\n")
    lines = Lines(str(path), [0, 3, 7, 9], _number)
    assert [line["n"] for line in lines] == [10, 200, 3]
    assert pickle.loads(pickle.dumps(lines))[1] == {"n": 200}


def test_a_hundred_thousand_rows_cost_little_memory(tmp_path):
    path = tmp_path / "many.txt"
    path.write_bytes(b"".join(b"%06d\n" % n for n in range(100_000)))
    tracemalloc.start()
    records = mm.data.Records(Lines(str(path), np.arange(0, 700_001, 7), _number))
    total = sum(record["n"] for record in records.shuffle(0))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert total == sum(range(100_000))
    assert grown < 5e6


def test_problems_raise_if_strict_and_speak_if_not():
    strict = mm.data.Problems("read_csv('a.csv')", strict=True)
    with pytest.raises(ValueError, match=r"read_csv\('a.csv'\), strict: row 4 \[image\]: no file"):
        strict.add("row 4", "no file", "image")
    problems = mm.data.Problems("read_csv('a.csv')")
    for row in range(5):
        problems.add(f"row {row}", "no file", "image")
    with pytest.warns(UserWarning, match=r"skipped 5 of 9: row 0 \[image\]: no file; .*and 2 more"):
        problems.warn(9)
    problems.warn(9, already=5)
    assert pickle.loads(pickle.dumps(problems)) == problems
