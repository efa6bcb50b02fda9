"""`Preprocessor.dataset`: order, groups, caches, buckets, balance, shards, resumption; bad samples named, not lost."""

import functools
import importlib
import io
import operator
import sys
import warnings

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.preprocessing import Features, Image, Label, Preprocessor, Text, Video

SENTENCES = [" ".join(["dog"] * (1 + row % 7)) for row in range(40)]


def numbered(count=40, **columns):
    """Records whose only feature is their number, so that a batch shows which records it holds."""
    columns = {"features": [[float(row)] for row in range(count)], **columns}
    return mm.data.from_arrays(**columns)


@pytest.fixture
def pre():
    return Preprocessor(features=Features(normalize=None))


def rows(dataset):
    """The records of each batch."""
    batches = []
    for batch in dataset:
        x = batch[0] if isinstance(batch, tuple) else batch
        batches.append(np.asarray(x["features"])[:, 0].astype(int).tolist())
    return batches


def flat(dataset):
    return functools.reduce(operator.iadd, rows(dataset), [])


class TestOrder:
    def test_without_shuffling_records_keep_their_order(self, pre):
        assert rows(pre.dataset(numbered(10), 4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    def test_each_epoch_has_an_order_of_its_own_that_the_seed_gives(self, pre):
        dataset = pre.dataset(numbered(), 8, seed=5)
        epochs = [flat(dataset) for _ in range(3)]
        assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
        assert epochs[0] != epochs[1] != epochs[2] != list(range(40))
        again = pre.dataset(numbered(), 8, seed=5)
        assert [flat(again) for _ in range(3)] == epochs
        assert flat(pre.dataset(numbered(), 8, seed=6)) != epochs[0]

    def test_training_resumes_where_it_stopped(self, pre):
        dataset = pre.dataset(numbered(), 8, seed=5)
        epochs = [rows(dataset) for _ in range(3)]
        resumed = pre.dataset(numbered(), 8, seed=5, initial_epoch=1, initial_step=2)
        assert rows(resumed) == epochs[1][2:]
        assert rows(resumed) == epochs[2]

    def test_a_last_batch_may_be_dropped(self, pre):
        assert [len(batch) for batch in rows(pre.dataset(numbered(10), 4, drop_remainder=True))] == [4, 4]

    def test_shards_in_order_leave_nothing_out(self, pre):
        shards = [flat(pre.dataset(numbered(11), 4, shard=(3, index), shuffle=False)) for index in range(3)]
        assert sorted(row for shard in shards for row in shard) == list(range(11))

    def test_shards_are_disjoint_and_of_one_length(self, pre):
        shards = [flat(pre.dataset(numbered(11), 4, shard=(3, index))) for index in range(3)]
        assert [len(shard) for shard in shards] == [3, 3, 3]
        assert len(set(functools.reduce(operator.iadd, shards, []))) == 9

    def test_balance_draws_every_value_equally_often(self, pre):
        records = numbered(400, label=["rare"] * 20 + ["common"] * 380)
        pre = Preprocessor(features=Features(normalize=None), label=Label(["common", "rare"]))
        drawn = np.concatenate([y for _, y in pre.dataset(records, 50, balance="label")])
        assert len(drawn) == 400
        assert 150 < drawn.sum() < 250

    def test_balance_of_modalities(self):
        records = numbered(300, text=["dog"] * 30 + [None] * 270)
        pre = Preprocessor(features=Features(normalize=None), text=Text(vocabulary=["dog"], length=3), optional="text")
        present = np.concatenate([x["text_present"] for x in pre.dataset(records, 50, balance="modalities")])
        assert 110 < present.sum() < 190


class TestTargets:
    def test_one_label_is_an_array_and_two_are_a_dict(self):
        records = numbered(4, label=["a", "b", "b", "a"], answer=["yes", "no", "no", "no"])
        pre = Preprocessor(features=Features(normalize=None), label=Label()).adapt(records)
        _, y = next(iter(pre.dataset(records, 4, shuffle=False)))
        assert np.asarray(y).tolist() == [0, 1, 1, 0]
        pre = Preprocessor(features=Features(normalize=None), label=Label(), answer=Label()).adapt(records)
        _, y = next(iter(pre.dataset(records, 4, shuffle=False)))
        assert {name: np.asarray(value).tolist() for name, value in y.items()} == {
            "label": [0, 1, 1, 0],
            "answer": [1, 0, 0, 0],
        }

    def test_several_labels_and_numbers(self):
        records = numbered(2, tags=[["red", "dog"], []], score=[0.5, -2.0])
        pre = Preprocessor(
            features=Features(normalize=None), tags=Label(multi_label=True), score=Label(regression=True)
        ).adapt(records)
        _, y = next(iter(pre.dataset(records, 2, shuffle=False)))
        assert np.asarray(y["tags"]).tolist() == [[1, 1], [0, 0]]
        assert np.asarray(y["score"]).tolist() == [0.5, -2.0]


class TestTexts:
    records = numbered(6, text=[["dog", "cat", "bird"]] * 6)
    words = Text(vocabulary=["dog", "cat", "bird"], length=3)

    def pre(self):
        return Preprocessor(features=Features(normalize=None), text=self.words)

    def test_another_text_each_epoch_and_the_first_without_shuffling(self):
        dataset = self.pre().dataset(self.records, 6, seed=1)
        seen = np.concatenate([np.asarray(x["token_ids"])[:, 1] for _ in range(8) for x in dataset])
        assert set(seen.tolist()) == {4, 5, 6}
        fixed = self.pre().dataset(self.records, 6, shuffle=False)
        assert [np.asarray(x["token_ids"])[:, 1].tolist() for x in fixed] == [[4] * 6]

    def test_the_grouped_form_holds_them_all(self):
        records = numbered(3, text=[["dog"], ["cat", "dog"], ["dog"] * 5])
        (x,) = self.pre().dataset(records, 3, shuffle=False, group_size=4)
        ids = np.asarray(x["token_ids"])
        assert ids.shape == (3, 4, 3)
        assert (ids.max(axis=-1) > 0).sum(axis=-1).tolist() == [1, 2, 4]
        assert ids[1, :2].tolist() == [[2, 5, 3], [2, 4, 3]]

    def test_training_resumes_with_the_same_texts(self):
        dataset = self.pre().dataset(self.records, 2, seed=1)
        epochs = [[np.asarray(x["token_ids"]).tolist() for x in dataset] for _ in range(3)]
        resumed = self.pre().dataset(self.records, 2, seed=1, initial_epoch=2)
        assert [np.asarray(x["token_ids"]).tolist() for x in resumed] == epochs[2]
        assert epochs[0] != epochs[1] != epochs[2]

    def test_one_label_for_all_texts_of_a_sample(self):
        records = numbered(2, text=[["dog", "cat"], ["cat"]], label=["a", "b"])
        pre = Preprocessor(features=Features(normalize=None), text=self.words, label=Label(["a", "b"]))
        ((x, y),) = pre.dataset(records, 2, shuffle=False, group_size=2)
        assert np.asarray(x["token_ids"]).shape == (2, 2, 3)
        assert np.asarray(y).tolist() == [0, 1]

    def test_optional_text_that_no_record_has(self):
        pre = Preprocessor(features=Features(normalize=None), text=self.words, optional="text")
        (x,) = pre.dataset(numbered(3), 3)
        assert not np.asarray(x["text_present"]).any()
        assert not np.asarray(x["token_ids"]).any()

    def test_an_empty_text_is_missing_where_it_may_be(self):
        pre = Preprocessor(text=self.words, optional="text")
        records = [{"text": ""}, {"text": ["", "dog"]}, {"text": "cat"}]
        (x,) = pre.dataset(records, 3, shuffle=False)
        for batch in (x, pre(records)):
            assert np.asarray(batch["text_present"]).tolist() == [False, True, True]
            assert np.asarray(batch["token_ids"])[:, 1].tolist() == [0, 4, 5]

    def test_token_ids_as_they_are(self):
        (x,) = Preprocessor(text=self.words).dataset([{"text": np.array([2, 4, 3])}] * 2, 2)
        assert np.asarray(x["token_ids"]).tolist() == [[2, 4, 3]] * 2

    def test_a_chosen_text_keeps_no_padding_of_the_others(self):
        pre = Preprocessor(text=Text(vocabulary=["dog"]))
        records = [{"text": ["dog", "dog " * 20]}] * 2
        (x,) = pre.dataset(records, 2, shuffle=False)
        assert np.asarray(x["token_ids"]).shape == pre(records)["token_ids"].shape == (2, 3)

    def test_records_of_one_image_become_one_sample(self):
        images = np.arange(3).repeat([5, 1, 2])
        records = mm.data.from_arrays(
            features=[[float(image)] for image in images],
            id=images.tolist(),
            question=[f"question {row}" for row in range(8)],
            answer=["yes", "no", "yes", "no", "yes", "no", "yes", "no"],
        )
        pre = Preprocessor(features=Features(normalize=None), question=Text(length=4), answer=Label()).adapt(records)
        batches = list(pre.dataset(records, 8, group_by="id", group_size=3))
        x, y, weight = (batches[0][0], *map(np.asarray, batches[0][1:]))
        assert np.asarray(x["question_token_ids"]).shape == (4, 3, 4)
        assert sorted(np.asarray(x["features"])[:, 0].tolist()) == [0, 0, 1, 2]
        # Every record once, and its answer with it: odd rows say no.
        ids = np.asarray(x["question_token_ids"])[..., 2]
        rows = {tuple(pre["question"].encode(f"question {row}")[:3])[2]: row for row in range(8)}
        seen = sorted(rows[ids[place]] for place in zip(*np.nonzero(weight), strict=True))
        assert seen == list(range(8))
        assert all(y[place] == (rows[ids[place]] % 2 == 0) for place in zip(*np.nonzero(weight), strict=True))
        assert weight.sum() == 8

    def test_grouping_needs_a_size_and_a_known_key(self):
        with pytest.raises(ValueError, match="`group_by` needs `group_size`"):
            self.pre().dataset(self.records, group_by="features")
        with pytest.raises(ValueError, match="No record of arrays has the key 'picture'"):
            self.pre().dataset(self.records, group_by="picture", group_size=2)


class TestBadSamples:
    records = numbered(12, text=["dog"] * 4 + [7] + ["dog"] * 7, label=["a"] * 9 + ["c"] + ["b"] * 2)

    def pre(self):
        return Preprocessor(
            features=Features(normalize=None), text=Text(vocabulary=["dog"], length=3), label=Label(["a", "b"])
        )

    def test_they_are_skipped_and_named(self):
        dataset = self.pre().dataset(self.records, 4, shuffle=False)
        with pytest.warns(UserWarning, match=r"skipped 2 of 12: arrays, record 4 \[text\].*record 9 \[label\]"):
            assert flat(dataset) == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
        assert [(p.where, p.key) for p in dataset.problems] == [
            ("arrays, record 4", "text"),
            ("arrays, record 9", "label"),
        ]

    def test_they_are_named_once(self):
        dataset = self.pre().dataset(self.records, 4)
        with pytest.warns(UserWarning, match="skipped 2 of 12"):
            flat(dataset)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(flat(dataset)) == 10
        assert len(dataset.problems) == 2

    def test_strict_raises_and_names_the_first(self):
        dataset = self.pre().dataset(self.records, 4, shuffle=False, strict=True)
        with pytest.raises(Exception, match=r"strict: arrays, record 4 \[text\]"):
            flat(dataset)

    def test_training_goes_on(self):
        pre = Preprocessor(features=Features(normalize=None), label=Label(["a", "b"]))
        task = mm.models.MultimodalClassifier({"features": mm.encoders.features((1,), 4)}, classes=["a", "b"])
        task.compile()
        with pytest.warns(UserWarning, match=r"skipped 1 of 12: arrays, record 9 \[label\]"):
            history = task.fit(pre.dataset(self.records, 4), epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()

    def test_a_missing_modality_needs_to_be_optional(self):
        records = numbered(3, text=["dog", None, "dog"])
        text = Text(vocabulary=["dog"], length=3)
        dataset = Preprocessor(features=Features(normalize=None), text=text).dataset(records, 4, shuffle=False)
        with pytest.warns(UserWarning, match=r"record 1 \[text\]: it is missing: fill it in, or name it in `optional`"):
            assert flat(dataset) == [0, 2]
        pre = Preprocessor(features=Features(normalize=None), text=text, optional="text")
        (x,) = pre.dataset(records, 4, shuffle=False)
        assert np.asarray(x["text_present"]).tolist() == [True, False, True]

    def test_values_of_another_kind_than_the_first(self):
        records = numbered(3, image=[np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4, 3), "float32"), None])
        pre = Preprocessor(features=Features(normalize=None), image=Image((4, 4)), optional="image")
        if keras.backend.backend() == "tensorflow":
            with pytest.warns(UserWarning, match="hold an array of uint8 with 3 axes, this one an array of float32"):
                assert flat(pre.dataset(records, 4, shuffle=False)) == [0, 2]

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"batch_size": 0}, "`batch_size` must be an integer of at least 1"),
            ({"shuffel": True}, r"no arguments \['shuffel'\]; besides its own it takes"),
            ({"shard": (2, 2)}, "`shard` is"),
            ({"group_size": -2}, "`group_size` must be at least 1"),
            ({"batch_size": 2.5}, "must be an integer"),
            ({"initial_step": -1}, "count from 0"),
            ({"balance": "colour"}, "has the key 'colour'"),
        ],
    )
    def test_bad_arguments(self, pre, arguments, reason):
        with pytest.raises(ValueError, match=reason):
            pre.dataset(numbered(), **arguments)

    def test_nothing_to_read(self, pre):
        with pytest.raises(ValueError, match="nothing to read"):
            pre.dataset(mm.data.Records([]))

    def test_nothing_readable(self):
        with pytest.raises(ValueError, match=r"None of the first 2 records can be read: 'image': .*nowhere.png"):
            Preprocessor(image=Image((4, 4))).dataset(mm.data.from_arrays(image=["nowhere.png"] * 2))


@pytest.mark.tensorflow
class TestCache:
    @pytest.mark.parametrize("place", ["memory", "file"])
    def test_files_are_read_once_and_orders_still_differ(self, pre, place, tmp_path):
        reads = []

        def counted(record):
            reads.append(int(record["features"][0]))
            return record

        records = numbered(20).map(counted)
        cache = "memory" if place == "memory" else str(tmp_path / "cache")
        dataset = pre.dataset(records, 4, cache=cache, seed=2)
        looked = len(reads)
        epochs = [flat(dataset) for _ in range(3)]
        assert len(reads) - looked == 20
        assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
        assert epochs[0] != epochs[1]
        again = pre.dataset(numbered(20), 4, cache="memory", seed=2)
        assert [flat(again) for _ in range(3)] == epochs

    def test_a_cache_serves_nobody_else(self, pre, tmp_path):
        path = str(tmp_path / "cache")
        bad = numbered(8).map(lambda record: {**record, "features": "x"} if record["features"] == [3.0] else record)
        with pytest.warns(UserWarning, match="skipped 1 of 8"):
            assert len(flat(pre.dataset(bad, 4, cache=path))) == 7
        again = pre.dataset(bad, 4, cache=path)
        assert len(again.problems) == 1
        assert len(flat(again)) == 7
        with pytest.raises(ValueError, match="holds other samples"):
            pre.dataset(numbered(6), 4, cache=path)
        with pytest.raises(ValueError, match="holds other samples"):
            Preprocessor(features=Features()).adapt(bad.take(2)).dataset(bad, 4, cache=path)

    def test_resuming_is_refused(self, pre):
        with pytest.raises(ValueError, match="`cache` keeps no order to resume in"):
            pre.dataset(numbered(), cache="memory", initial_step=1)

    def test_another_text_each_epoch_from_the_cache(self):
        pre = Preprocessor(text=TestTexts.words)
        dataset = pre.dataset(TestTexts.records, 6, cache="memory")
        seen = np.concatenate([x["token_ids"][:, 1] for _ in range(8) for x in dataset])
        assert set(seen.tolist()) == {4, 5, 6}

    def test_pictures_stay_bytes(self):
        pre = Preprocessor(image=Image((4, 4)))
        records = mm.data.from_arrays(image=np.full((6, 4, 4, 3), 7, "uint8"))
        (x,) = pre.dataset(records, 6, cache="memory")
        assert x["image"].dtype == "float32"
        assert np.unique(x["image"]).tolist() == [7]


@pytest.mark.tensorflow
class TestBuckets:
    def test_like_lengths_come_together(self):
        records = mm.data.from_arrays(text=SENTENCES * 10)
        pre = Preprocessor(text=Text(vocabulary=["dog"]))
        apart, together = (
            sum(int((x["token_ids"].numpy() == 0).sum()) for x in pre.dataset(records, 8, bucket_by=bucket))
            for bucket in (None, "text")
        )
        assert together < apart / 2
        assert sum(len(x["token_ids"]) for x in pre.dataset(records, 8, bucket_by="text")) == 400

    def test_a_fixed_length_has_no_buckets(self):
        pre = Preprocessor(text=Text(vocabulary=["dog"], length=9))
        with pytest.raises(ValueError, match=r"'text' has the fixed shape \(9,\)"):
            pre.dataset(mm.data.from_arrays(text=SENTENCES), bucket_by="text")


@pytest.mark.tensorflow
class TestAugmentation:
    records = mm.data.from_arrays(image=np.arange(8 * 48, dtype="uint8").reshape(8, 4, 4, 3))

    def batches(self, step, seed=0):
        pre = Preprocessor(image=Image((4, 4)))
        return [x["image"].numpy() for x in pre.dataset(self.records, 4, seed=seed, augment={"image": step})]

    def test_a_seed_gives_the_same_pictures(self):
        first, again = (self.batches(mm.preprocessing.RandomFlip(), seed=3) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        plain = [x["image"].numpy() for x in Preprocessor(image=Image((4, 4))).dataset(self.records, 4, seed=3)]
        assert any((a != b).any() for a, b in zip(first, plain, strict=True))

    def test_keras_layers_and_lists(self):
        steps = [keras.layers.RandomBrightness(0.2, value_range=(0, 255), seed=1), mm.preprocessing.RandomFlip()]
        first, _second = self.batches(steps)
        assert first.shape == (4, 4, 4, 3)
        assert first.dtype == np.float32

    def test_training_resumes_with_the_same_pictures(self):
        pre, step = Preprocessor(image=Image((4, 4))), {"image": mm.preprocessing.RandomFlip()}
        dataset = pre.dataset(self.records, 4, seed=3, augment=step)
        epochs = [[x["image"].numpy() for x in dataset] for _ in range(2)]
        resumed = pre.dataset(self.records, 4, seed=3, augment=step, initial_epoch=1)
        np.testing.assert_array_equal([x["image"].numpy() for x in resumed], epochs[1])

    def test_unknown_modality(self):
        with pytest.raises(ValueError, match=r"`augment` names modalities, here \['image'\].*Received: 'audio'"):
            Preprocessor(image=Image((4, 4))).dataset(self.records, augment={"audio": mm.preprocessing.RandomFlip()})
        with pytest.raises(ValueError, match="takes Keras layers and augmentations"):
            self.batches("flip")


class TestWithoutTensorFlow:
    @pytest.fixture
    def blocked(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)

    def test_the_same_batches(self, blocked, pre):
        dataset = pre.dataset(numbered(10), 4, seed=5)
        assert isinstance(dataset, keras.utils.PyDataset)
        assert len(dataset) == 3
        epochs = []
        for _ in range(2):
            batches = [dataset[index]["features"][:, 0].astype(int).tolist() for index in range(3)]
            epochs.append([row for batch in batches for row in batch])
            dataset.on_epoch_end()
        assert sorted(epochs[0]) == list(range(10))
        assert epochs[0] != epochs[1]
        if importlib.util.find_spec("tensorflow_io") and keras.backend.backend() == "tensorflow":
            sys.modules.pop("tensorflow")
            assert flat(pre.dataset(numbered(10), 4, seed=5)) == epochs[0]

    def test_groups_labels_and_missing_values(self, blocked):
        records = mm.data.from_arrays(id=[0, 0, 1], question=["a dog", "a cat", None], answer=["yes", "no", "yes"])
        pre = Preprocessor(question=Text(length=4), answer=Label(), optional="question").adapt(records)
        x, y, weight = pre.dataset(records, 2, shuffle=False, group_by="id", group_size=2)[0]
        assert x["question_token_ids"].shape == (2, 2, 4)
        assert x["question_present"].tolist() == [True, False]
        assert y.tolist() == [[1, 0], [1, 0]]
        assert weight.tolist() == [[1, 1], [1, 0]]

    def test_bad_samples_are_named(self, blocked):
        records = numbered(4, label=["a", "b", "c", "a"])
        dataset = Preprocessor(features=Features(normalize=None), label=Label(["a", "b"])).dataset(records, 4)
        _, y = dataset[0]
        assert len(y) == 3
        with pytest.warns(UserWarning, match=r"skipped 1 of 4: arrays, record 2 \[label\]"):
            dataset.on_epoch_end()

    def test_pictures_of_any_size(self, blocked):
        """A JPEG, a PNG and an array, each of another size, and frames of such: all are resized by NumPy."""
        pil = pytest.importorskip("PIL.Image")
        values = []
        for form, size in (("JPEG", (61, 40)), ("PNG", (30, 50))):
            buffer = io.BytesIO()
            pil.fromarray(np.full((*size, 3), 90, "uint8")).save(buffer, form)
            values.append(buffer.getvalue())
        values.append(np.full((9, 7, 3), 90, "uint8"))
        pre = Preprocessor(image=Image((16, 24)), video=Video(3, (16, 24)))
        x = pre.dataset([{"image": value, "video": [value] * 3} for value in values], 3, shuffle=False)[0]
        np.testing.assert_array_equal(x["image"], np.full((3, 16, 24, 3), 90.0))
        np.testing.assert_array_equal(x["frames"], np.full((3, 3, 16, 24, 3), 90.0))

    def test_what_needs_tensorflow_says_so(self, blocked, pre):
        with pytest.raises(ImportError, match="need TensorFlow"):
            pre.dataset(numbered(), cache="memory")


@pytest.mark.tensorflow
class TestLeftInTheMiddle:
    def test_an_abandoned_epoch_loses_nothing_and_blames_nobody(self, pre):
        dataset = pre.dataset(numbered(400, label=[0] * 400), 4, balance="label", seed=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                assert len(flat(dataset.take(2))) == 8
            assert len(flat(dataset)) == 400
        assert not dataset.problems

    def test_two_iterators_at_once(self, pre):
        dataset = pre.dataset(numbered(), 8, seed=5)
        first, second = iter(dataset), iter(dataset)
        batches = [(next(first), next(second)) for _ in range(5)]
        for side in range(2):
            seen = [int(row) for pair in batches for row in pair[side]["features"][:, 0]]
            assert sorted(seen) == list(range(40))

    def test_broken_files_are_named_though_keras_stops_at_the_last_batch(self, tmp_path):
        good, bad = tmp_path / "good.png", tmp_path / "bad.png"
        pytest.importorskip("PIL.Image").fromarray(np.zeros((4, 4, 3), "uint8")).save(good)
        bad.write_bytes(good.read_bytes()[:40])
        pre = Preprocessor(image=Image((4, 4)), label=Label([0, 1]))
        records = mm.data.from_arrays(image=[str(good)] * 5 + [str(bad)] + [str(good)] * 3, label=[0, 1, 0] * 3)
        task = mm.models.MultimodalClassifier({"image": mm.encoders.vgg(1, 4, image_shape=(4, 4, 3))}, classes=2)
        task.compile()
        dataset = pre.dataset(records, 3)
        with pytest.warns(
            UserWarning, match=r"skipped 1 of 9: arrays, record 5 \(.*bad.png\) \[image\]: it cannot be decoded"
        ):
            task.fit(dataset, epochs=2, verbose=0)
        assert len(dataset.problems) == 1
