"""What a user of the toy world relies on."""

import doctest
import itertools

import numpy as np
import pytest

from mmkeras.data.toy import ToyWorld, graph, image, text, world
from mmkeras.data.toy.attributes import ATTRIBUTES, IMAGE_ATTRIBUTES, SPLITS, value_names

NUM_SAMPLES = 800


@pytest.fixture(scope="module")
def toy_world():
    return ToyWorld(NUM_SAMPLES, seed=3)


def one_sample(attributes, sample):
    return {name: int(values[sample]) for name, values in attributes.items()}


def scenes(**fixed):
    """Attributes of one scene per combination of the given value indices, all others being the first value."""
    rows = list(itertools.product(*fixed.values()))
    columns = dict(zip(fixed, np.array(rows).T, strict=True))
    return {name: columns.get(name, np.zeros(len(rows), dtype=int)) for name in ATTRIBUTES}


def num_strokes(audio):
    """Count the steep rises of loudness in one second of sound."""
    frames = np.abs(audio[:7980]).reshape(-1, 60).max(axis=1)
    before = np.maximum(np.maximum(frames[:-2], frames[1:-1]), 0.02)
    rises = np.flatnonzero(frames[2:] > 1.35 * np.minimum(before, 1))
    rises = rises[frames[rises + 2] > 0.3 * frames.max()]
    return 1 + int((np.diff(rises) > 8).sum())


def test_doctest_of_the_class():
    results = doctest.testmod(world)
    assert results.attempted > 0
    assert results.failed == 0


class TestSeed:
    def test_same_seed_same_bytes(self):
        first, second = (ToyWorld(30, seed=5, captions_per_sample=2) for _ in range(2))
        second.arrays("test")  # the order of calls does not matter
        for split in SPLITS:
            for ours, theirs in zip(first.records(split), second.records(split), strict=True):
                assert ours["image"].tobytes() == theirs["image"].tobytes()
                assert ours["audio"].tobytes() == theirs["audio"].tobytes()
                for key in ("text", "question", "answer", "graph", "label"):
                    assert ours[key] == theirs[key]

    def test_other_seed_other_data(self):
        first, second = ToyWorld(30, seed=5).records("train"), ToyWorld(30, seed=6).records("train")
        for key in ("image", "audio"):
            assert all((a[key] != b[key]).any() for a, b in zip(first, second, strict=True))
        for key in ("text", "question"):
            assert [a[key] for a in first] != [b[key] for b in second]

    def test_options_of_one_modality_leave_the_others(self):
        plain, changed = ToyWorld(30), ToyWorld(30, text_attributes=("owner",), max_distractors=0)
        assert (plain.arrays("val")[0]["audio"] == changed.arrays("val")[0]["audio"]).all()
        assert (plain.arrays("val")[1] == changed.arrays("val")[1]).all()

    def test_what_is_returned_can_be_changed_safely(self):
        toy_world = ToyWorld(10)
        before = toy_world.records("val")[0]
        before["image"][:] = 0
        toy_world.attributes("val")["shape"][:] = 99
        toy_world.arrays("val")[0]["audio"][:] = 0
        after = toy_world.records("val")[0]
        assert after["image"].any()
        assert after["audio"].any()
        assert toy_world.attributes("val")["shape"].max() < 4


class TestSplits:
    @pytest.mark.parametrize(
        ("num_samples", "expected"), [(10, (7, 1, 2)), (800, (520, 80, 200)), (5000, (3250, 500, 1250))]
    )
    def test_exact_counts(self, num_samples, expected):
        toy_world = ToyWorld(num_samples)
        assert tuple(len(toy_world.attributes(split)["shape"]) for split in SPLITS) == expected

    @pytest.mark.parametrize("seed", range(6))
    def test_test_combinations_are_unseen_but_their_parts_are_seen(self, seed):
        toy_world = ToyWorld(5000, seed=seed)
        held_out, seen = ("colour", "size", "shape", "count", "position"), {}
        for split in SPLITS:
            attributes = toy_world.attributes(split)
            seen[split] = set(zip(*(attributes[name].tolist() for name in held_out), strict=True))
            for name, values in ATTRIBUTES.items():
                assert set(attributes[name].tolist()) == set(range(len(values)))
        assert seen["test"].isdisjoint(seen["train"] | seen["val"])
        assert len(seen["test"]) > 180  # of 192
        assert len({combination[:3] for combination in seen["train"]}) == 48
        assert len({combination[2:] for combination in seen["train"]}) == 64

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_attributes_are_uniform_and_independent(self, split):
        attributes = ToyWorld(20000).attributes(split)
        for first, second in itertools.combinations(ATTRIBUTES, 2):
            shape = len(ATTRIBUTES[first]), len(ATTRIBUTES[second])
            pairs = np.ravel_multi_index((attributes[first], attributes[second]), shape)
            frequency = np.bincount(pairs, minlength=np.prod(shape)) / len(pairs)
            # 5,000 draws: the standard deviation of each frequency is below 0.007.
            np.testing.assert_allclose(frequency, 1 / np.prod(shape), atol=0.03)


class TestSignal:
    def test_form(self, toy_world):
        x, _ = toy_world.arrays("val", inputs=("signal",))
        assert (x["signal"].dtype, x["signal"].shape) == (np.float32, (80, 96, 3))
        np.testing.assert_array_equal(toy_world.records("val")[4]["signal"], x["signal"][4])

    def test_tells_owner_size_and_melody(self, toy_world):
        """By the axis of the largest swings, by zero crossings, and by the swings of both halves."""
        attributes = toy_world.attributes("test")
        signal = toy_world.arrays("test", inputs=("signal",))[0]["signal"]
        signal = signal - signal.mean(axis=1, keepdims=True)
        owner = signal.std(axis=1).argmax(axis=1)
        assert (owner == attributes["owner"]).all()
        strongest = signal[np.arange(len(signal)), :, owner]
        early, late = strongest[:, :48].std(axis=1), strongest[:, 48:].std(axis=1)
        assert ((late < early) == attributes["melody"]).all()
        frequency = np.abs(np.fft.rfft(strongest, axis=1))[:, 1:].argmax(axis=1) + 1
        assert ((frequency < 9.5) == attributes["size"]).all()


class TestGraph:
    @staticmethod
    def told(nodes, adjacency):
        """Read a graph by hand: the values of its objects that are not grey, and how many these are."""
        kinds = [graph.NODE_KINDS[node.argmax()] if node.any() else None for node in nodes]
        objects = [
            {kinds[j] for j in np.flatnonzero(edges)}
            for kind, edges in zip(kinds, adjacency, strict=True)
            if kind == "object"
        ]
        coloured = [values for values in objects if "grey" not in values]
        assert all(values == coloured[0] for values in coloured)
        return coloured[0], len(coloured), len(objects) - len(coloured)

    def test_tells_what_the_picture_tells(self, toy_world):
        x, _ = toy_world.arrays("val", inputs=("nodes", "adjacency"))
        assert (x["nodes"].shape, x["adjacency"].shape) == ((80, 13, 18), (80, 13, 13))
        assert x["nodes"].dtype == x["adjacency"].dtype == np.float32
        distractors = []
        for sample, (nodes, adjacency) in enumerate(zip(x["nodes"], x["adjacency"], strict=True)):
            names = value_names(toy_world.attributes("val"), sample)
            values, count, others = self.told(nodes, adjacency)
            assert values == {names[name] for name in ("shape", "colour", "size", "position")}
            assert count == 1 + ATTRIBUTES["count"].index(names["count"])
            there = nodes.any(axis=1)
            assert (np.diff(there.astype(int)) <= 0).all()
            assert not adjacency[~there].any()
            np.testing.assert_array_equal(adjacency, adjacency.T)
            distractors.append(others)
        assert set(distractors) == {0, 1, 2}

    def test_records_tell_the_same_graph(self, toy_world):
        x, _ = toy_world.arrays("val", inputs=("nodes", "adjacency"))
        for record, nodes, adjacency in zip(toy_world.records("val"), x["nodes"], x["adjacency"], strict=True):
            told = record["graph"]
            assert told["nodes"] == [graph.NODE_KINDS[node.argmax()] for node in nodes if node.any()]
            found = np.zeros_like(adjacency)
            for one, other in told["edges"]:
                found[one, other] = found[other, one] = 1
            np.testing.assert_array_equal(found, adjacency)

    def test_without_distractors_it_is_smaller(self):
        x, _ = ToyWorld(30, max_distractors=0).arrays("val", inputs=("nodes",))
        assert x["nodes"].shape == (3, 8, 18)
        assert not x["nodes"][..., -1].any()

    def test_ceilings(self, toy_world):
        assert toy_world.ceiling("shape", ("graph",)) == pytest.approx(1)
        assert toy_world.ceiling("owner", ("signal",)) == pytest.approx(1)
        assert toy_world.ceiling("owner", ("graph", "audio")) == pytest.approx(1 / 3)
        assert toy_world.ceiling("parcel", ("graph", "audio", "signal")) == pytest.approx(1)


class TestImage:
    def test_form(self, toy_world):
        images = np.stack([record["image"] for record in toy_world.records("val")])
        assert images.dtype == np.uint8
        assert images.shape == (80, 64, 64, 3)
        x, _ = toy_world.arrays("val", inputs=("image",))
        assert x["image"].dtype == np.float32
        np.testing.assert_array_equal(x["image"], images)

    def test_colour_lies_in_the_right_quadrant_only(self, toy_world):
        attributes = toy_world.attributes("test")
        images = toy_world.arrays("test", inputs=("image",))[0]["image"]
        is_coloured = images.max(axis=-1) - images.min(axis=-1) > 60
        quadrants = is_coloured.reshape(-1, 2, 32, 2, 32).sum(axis=(2, 4)).reshape(-1, 4)
        assert (quadrants[np.arange(len(images)), attributes["position"]] > 15).all()
        assert ((quadrants > 0).sum(axis=1) == 1).all()
        for sample, mask in enumerate(is_coloured):
            colour = np.median(images[sample][mask], axis=0)
            nearest = np.abs(image.COLOURS - colour).sum(axis=1).argmin()
            assert nearest == attributes["colour"][sample]

    def test_area_grows_with_count_and_size_and_differs_by_shape(self):
        attributes = scenes(shape=range(4), size=range(2), count=range(4), owner=[0] * 10)
        images = image.render_images(attributes, max_distractors=0, rng=np.random.default_rng(0))
        area = (np.ptp(images.astype(int), axis=-1) > 60).sum(axis=(1, 2)).reshape(4, 2, 4, 10)
        per_object = area / np.arange(1, 5)[:, None]
        # A circle of radius 4 or 7 covers 50 or 154 pixels.
        np.testing.assert_allclose(per_object[0].mean(axis=(1, 2)), [50, 154], rtol=0.1)
        for size in range(2):
            mean = per_object[:, size].mean(axis=(1, 2))
            assert mean[0] > mean[1]
            # Half the box or less: triangles and stars are thin, and tell apart by outline (next test).
            assert mean[1] > 1.4 * mean[2:].max()
        assert (per_object[:, 0].max(axis=(1, 2)) < per_object[:, 1].min(axis=(1, 2))).all()

    def test_each_shape_is_told_from_the_others_at_both_sizes(self):
        """The average picture of a shape in half of the samples must be nearest to its own in the other half."""
        attributes = scenes(size=range(2), shape=range(4), owner=[0] * 200)
        images = image.render_images(attributes, max_distractors=0, rng=np.random.default_rng(1))
        mask = (np.ptp(images.astype(int), axis=-1) > 60).reshape(2, 4, 200, 64, 64)
        for size in range(2):
            profiles = np.stack([[centred(picture) for picture in pictures] for pictures in mask[size]])
            centroids = profiles[:, :100].mean(axis=1)
            distance = ((profiles[:, 100:, None] - centroids) ** 2).sum(axis=(-1, -2))
            assert (distance.argmin(axis=-1) == np.arange(4)[:, None]).mean() > 0.95

    def test_distractors_are_grey_and_as_many_as_asked(self):
        attributes = scenes(position=range(4), owner=[0] * 50)
        without, few = (
            image.render_images(attributes, max_distractors=number, rng=np.random.default_rng(2)) for number in (0, 2)
        )
        dark = [(pictures.max(axis=-1) < 190).any(axis=(1, 2)) for pictures in (without, few)]
        assert not dark[0].any()
        assert 0.5 < dark[1].mean() < 0.8  # none in a third of the pictures


def centred(mask):
    """Window of 18 x 18 pixels around the centre of the only object."""
    row, column = (int(np.flatnonzero(mask.any(axis=axis))[[0, -1]].mean()) for axis in (1, 0))
    return np.pad(mask, 9)[row : row + 18, column : column + 18].astype(float)


class TestAudio:
    def test_form(self, toy_world):
        audio = toy_world.arrays("test", inputs=("audio",))[0]["audio"]
        assert audio.dtype == np.float32
        assert audio.shape == (200, 8000)
        assert np.abs(audio).max() <= 1
        assert (np.abs(audio).max(axis=1) > 0.35).all()
        np.testing.assert_array_equal(toy_world.records("test")[7]["audio"], audio[7])

    @pytest.mark.parametrize("expected", [1, 2, 3, 4])
    def test_the_counter_of_strokes_counts(self, expected):
        time = np.arange(8000) / 8000
        onsets = 0.05 + 0.225 * np.arange(expected)[:, None]
        strokes = np.where(time > onsets, np.exp(-np.maximum(time - onsets, 0) / 0.1), 0).sum(axis=0)
        assert num_strokes(strokes * np.sin(2 * np.pi * 400 * time)) == expected

    def test_strokes_are_as_many_as_objects(self, toy_world):
        attributes = toy_world.attributes("train")
        audio = toy_world.arrays("train", inputs=("audio",))[0]["audio"]
        counted = np.array([num_strokes(sound) for sound in audio])
        for material in range(3):
            chosen = attributes["material"] == material
            assert (counted == attributes["count"] + 1)[chosen].mean() > 0.9

    def test_small_things_sound_higher(self, toy_world):
        attributes = toy_world.attributes("train")
        spectrum = np.abs(np.fft.rfft(toy_world.arrays("train", inputs=("audio",))[0]["audio"]))
        pitch = spectrum.argmax(axis=1)  # one bin is one hertz
        for material in range(3):
            small, large = (pitch[(attributes["material"] == material) & (attributes["size"] == i)] for i in (0, 1))
            assert np.median(small) > 1.6 * np.median(large)

    def test_melody_moves_the_pitch_within_a_stroke(self, toy_world):
        attributes = toy_world.attributes("train")
        audio = toy_world.arrays("train", inputs=("audio",))[0]["audio"]
        start = np.argmax(np.abs(audio) > 0.15, axis=1)[:, None]
        early, late = (
            np.abs(np.fft.rfft(np.take_along_axis(audio, start + np.arange(first, first + 320), 1), 8000)).argmax(
                axis=1
            )
            for first in (0, 560)
        )
        one_partial = attributes["material"] == 0
        risen = (late > early)[one_partial]
        assert (risen == (attributes["melody"] == 0)[one_partial]).mean() > 0.95

    def test_material_is_heard_by_nearest_centroid(self, toy_world):
        def features(split):
            audio = toy_world.arrays(split, inputs=("audio",))[0]["audio"]
            spectrum = np.abs(np.fft.rfft(audio)[:, :4000]).reshape(len(audio), 40, 100).mean(axis=-1)
            return np.log(spectrum / spectrum.mean(axis=1, keepdims=True))

        known, unseen = features("train"), features("test")
        # Pitch moves all partials, so there is one centroid per material and size.
        kinds = [toy_world.attributes(split)["material"] * 2 + toy_world.attributes(split)["size"] for split in SPLITS]
        centroids = np.stack([known[kinds[0] == kind].mean(axis=0) for kind in range(6)])
        nearest = ((unseen[:, None] - centroids) ** 2).sum(axis=-1).argmin(axis=1)
        assert (nearest // 2 == toy_world.attributes("test")["material"]).mean() > 0.9


class TestCaptions:
    @pytest.mark.parametrize(
        "text_attributes",
        [IMAGE_ATTRIBUTES, ("owner", "count"), ("colour",), ("owner", "material", "melody"), tuple(ATTRIBUTES)],
    )
    def test_every_caption_is_true_and_complete(self, text_attributes):
        toy_world = ToyWorld(120, text_attributes=text_attributes, captions_per_sample=6)
        attributes = toy_world.attributes("train")
        for sample, record in enumerate(toy_world.records("train")):
            assert len(set(record["text"])) == 6
            for caption in record["text"]:
                assert caption == caption.lower()
                assert toy_world.caption_is_true(caption, one_sample(attributes, sample)), caption

    @pytest.mark.parametrize("changed", list(ATTRIBUTES))
    def test_a_caption_of_another_fact_is_false(self, changed):
        toy_world = ToyWorld(60, text_attributes=tuple(ATTRIBUTES))
        attributes = toy_world.attributes("train")
        for sample, record in enumerate(toy_world.records("train")):
            truth = one_sample(attributes, sample)
            for value in range(len(ATTRIBUTES[changed])):
                other = {**truth, changed: value}
                assert toy_world.caption_is_true(record["text"], other) == (other == truth)

    @pytest.mark.parametrize("name", IMAGE_ATTRIBUTES)
    def test_an_incomplete_caption_is_false(self, name):
        told = [other for other in IMAGE_ATTRIBUTES if other != name]
        toy_world = ToyWorld(40, text_attributes=told)
        complete = ToyWorld(40)
        attributes = toy_world.attributes("train")
        for sample, record in enumerate(toy_world.records("train")):
            assert toy_world.caption_is_true(record["text"], one_sample(attributes, sample))
            assert not complete.caption_is_true(record["text"], one_sample(attributes, sample))

    @pytest.mark.parametrize(
        ("sentence", "expected"),
        [
            ("there are three small red circles at the top left", True),
            ("In the top left corner are three little red circles.", True),
            ("the top left holds three small red circles", True),
            ("there is three small red circles at the top left", False),
            ("there are three small red circle at the top left", False),
            ("there are three red small circles at the top left", False),
            ("there are three three small red circles at the top left", False),
            ("there are three small red blue circles at the top left", False),
            ("there are three small red circles at the top left at the top left", False),
            ("there are three small red wooden circles at the top left", True),
            ("there are three small red glass circles at the top left", False),
            ("there are three small red circles", False),
            ("red circles three small top left", False),
            ("top", False),
            ("", False),
        ],
    )
    def test_judgement_by_hand(self, toy_world, sentence, expected):
        sample = dict.fromkeys(ATTRIBUTES, 0) | {"count": 2}
        assert toy_world.caption_is_true(sentence, sample) is expected

    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"count": "one", "colour": "orange", "shape": "star"}, {"an orange star", "one orange star"}),
            ({"count": "one", "size": "large"}, {"a large thing", "one large thing", "a big thing", "one big thing"}),
            ({"count": "four", "owner": "Ann"}, {"ann's four things", "four of ann's things"}),
            ({"count": "one", "owner": "Ben"}, {"ben's thing", "one of ben's things"}),
            ({"owner": "Cleo", "material": "wood"}, {"at least one of cleo's wooden things"}),
            ({"shape": "circle", "melody": "rising"}, {"at least one circle with a rising tone"}),
        ],
    )
    def test_noun_phrases_by_hand(self, facts, expected):
        assert set(text.noun_phrases(facts)) == expected

    def test_a_caption_hides_what_it_does_not_tell(self):
        """The form must not give the count away where captions do not tell it."""
        names = {"owner": "Ann", "colour": "red"}
        assert not any(
            " are " in caption for form in text.caption_forms(names) for caption in text.captions_in_form(form, names)
        )

    @pytest.mark.parametrize("text_attributes", [("count",), ("position",), IMAGE_ATTRIBUTES])
    def test_at_least_six_forms(self, text_attributes):
        toy_world = ToyWorld(400, text_attributes=text_attributes)
        values = {value for name in text_attributes for value in ATTRIBUTES[name]}
        words = {word for value in values for word in (value, f"{value}s", *value.split())}
        words |= {"is", "are", "sit", "sits", "a", "an", "one", "thing", "things", "little", "big"}
        skeletons = {
            " ".join(word for word in record["text"].split() if word not in words)
            for record in toy_world.records("train")
        }
        assert len(skeletons) >= 6

    def test_one_caption_is_a_string(self, toy_world):
        assert all(isinstance(record["text"], str) for record in toy_world.records("val"))


class TestQuestions:
    def test_answers_follow_from_the_scene(self, toy_world):
        attributes = toy_world.attributes("train")
        kinds = {form: kind for kind, forms in text.QUESTIONS.items() for form in forms}
        seen = dict.fromkeys(text.QUESTIONS, 0)
        for sample, record in enumerate(toy_world.records("train")):
            names = value_names(attributes, sample)
            kind = kinds.get(record["question"], "existence")
            seen[kind] += 1
            if kind == "existence":
                words = text.split_words(record["question"])
                truth = names["colour"] in words and names["shape"] in words
                assert record["answer"] == ("yes" if truth else "no")
                assert sum(word in ATTRIBUTES["colour"] for word in words) == 1
                assert sum(word in ATTRIBUTES["shape"] for word in words) == 1
            else:
                assert record["answer"] == names[kind]
        assert max(seen.values()) - min(seen.values()) <= 1
        assert all(len(forms) >= 4 for forms in text.QUESTIONS.values())

    def test_half_of_the_existence_questions_are_true(self, toy_world):
        answers = [record["answer"] for record in toy_world.records("train")]
        assert abs(answers.count("yes") - answers.count("no")) <= 1

    def test_answer_as_label(self, toy_world):
        records = toy_world.records("val", label="answer")
        _, y = toy_world.arrays("val", inputs=("question_token_ids",), label="answer")
        assert y.dtype == np.int32
        assert toy_world.classes("answer") == toy_world.answers
        assert [toy_world.answers[index] for index in y] == [record["answer"] for record in records]
        assert [record["label"] for record in records] == [record["answer"] for record in records]


class TestTokens:
    def test_special_tokens_come_first(self, toy_world):
        assert toy_world.vocabulary[:4] == ["", "[UNK]", "[START]", "[END]"]
        assert len(set(toy_world.vocabulary)) == len(toy_world.vocabulary)

    def test_no_word_of_the_world_is_unknown(self):
        toy_world = ToyWorld(600, text_attributes=tuple(ATTRIBUTES), captions_per_sample=6)
        records = toy_world.records("train")
        sentences = [caption for record in records for caption in record["text"]]
        sentences += [record[key] for record in records for key in ("question", "answer")]
        token_ids = toy_world.tokenize(sentences)
        assert token_ids.dtype == np.int32
        assert token_ids.shape == (len(sentences), 24)
        assert not (token_ids == 1).any()

    def test_round_trip(self, toy_world):
        captions = [record["text"] for record in toy_world.records("val")]
        x, _ = toy_world.arrays("val", inputs=("token_ids", "target_token_ids", "question_token_ids"))
        assert toy_world.detokenize(x["token_ids"]) == captions
        assert toy_world.detokenize(x["target_token_ids"]) == captions
        assert (x["target_token_ids"][:, 0] == 2).all()
        assert ((x["target_token_ids"] == 3).sum(axis=1) == 1).all()
        questions = [record["question"].strip("?") for record in toy_world.records("val")]
        assert toy_world.detokenize(x["question_token_ids"]) == questions

    def test_by_hand(self, toy_world):
        red, star = (toy_world.vocabulary.index(word) for word in ("red", "star"))
        token_ids = toy_world.tokenize(["Red star!", "", "red elephant " * 20])
        assert token_ids[0].tolist() == [red, star] + [0] * 22
        assert not token_ids[1].any()
        assert token_ids[2].tolist() == [red, 1] * 12
        assert toy_world.detokenize([[2, red, star, 3, star, 0]]) == ["red star"]

    def test_shortest_sequence_holds_every_caption(self):
        with pytest.raises(ValueError, match="at least 13"):
            ToyWorld(10, sequence_length=12)
        x, _ = ToyWorld(400, sequence_length=13).arrays("train", inputs=("target_token_ids",))
        assert ((x["target_token_ids"] == 3).sum(axis=1) == 1).all()


class TestLabels:
    def test_names_follow_from_the_scene(self, toy_world):
        attributes = toy_world.attributes("val")
        records = {label: toy_world.records("val", label) for label in world.LABELS}
        for sample in range(80):
            names = value_names(attributes, sample)
            agree = (names["shape"] in ("circle", "star")) == (names["melody"] == "rising")
            expected = {
                **names,
                "item": f"{names['material']} {names['shape']}",
                "parcel": f"{names['owner']} {names['material']} {names['shape']}",
                "match": "match" if agree else "no match",
                "tags": [names["shape"], names["colour"], names["material"]],
            }
            for label, value in expected.items():
                assert records[label][sample]["label"] == value

    def test_arrays_agree_with_records(self, toy_world):
        for label in world.LABELS:
            classes = toy_world.classes(label)
            _, y = toy_world.arrays("val", inputs=(), label=label)
            for target, record in zip(y, toy_world.records("val", label), strict=True):
                if label == "tags":
                    assert [name for name, hot in zip(classes, target, strict=True) if hot] == record["label"]
                else:
                    assert classes[target] == record["label"]
        assert y.dtype == np.int32
        assert toy_world.arrays("val", inputs=(), label="tags")[1].dtype == np.float32

    def test_numbers_of_classes(self, toy_world):
        numbers = {label: len(toy_world.classes(label)) for label in ("item", "parcel", "match", "tags", "answer")}
        assert numbers == {"item": 12, "parcel": 36, "match": 2, "tags": 13, "answer": 22}


class TestCeiling:
    @pytest.mark.parametrize("split", ["train", "test"])
    @pytest.mark.parametrize(
        ("label", "modalities", "expected"),
        [
            # The image tells the shape, so one of three materials must be guessed; the audio leaves four shapes.
            ("item", (), 1 / 12),
            ("item", ("image",), 1 / 3),
            ("item", ("audio",), 1 / 4),
            ("item", ("text",), 1 / 12),
            ("item", ("image", "audio"), 1),
            # The text tells the owner: 4 shapes x 3 materials are left.
            ("parcel", ("text",), 1 / 12),
            ("parcel", ("image",), 1 / 9),
            ("parcel", ("audio",), 1 / 12),
            ("parcel", ("image", "audio"), 1 / 3),
            ("parcel", ("image", "text"), 1 / 3),
            ("parcel", ("audio", "text"), 1 / 4),
            ("parcel", ("image", "audio", "text"), 1),
            ("match", ("image",), 1 / 2),
            ("match", ("audio",), 1 / 2),
            ("match", ("text",), 1 / 2),
            ("match", ("image", "text"), 1 / 2),
            ("match", ("image", "audio"), 1),
            ("size", ("audio",), 1),
            ("position", ("audio",), 1 / 4),
            ("count", ("text",), 1),
        ],
    )
    def test_by_hand(self, split, label, modalities, expected):
        toy_world = ToyWorld(10, seed=1, text_attributes=("owner", "count"))
        assert toy_world.ceiling(label, modalities, split) == pytest.approx(expected, abs=1e-9)

    def test_default_text_tells_what_the_image_shows(self, toy_world):
        assert toy_world.ceiling("item", ("text",)) == pytest.approx(1 / 3)

    def test_no_look_up_table_beats_it(self):
        """The best table from heard attributes to colour, fitted on the samples themselves, meets the ceiling."""
        toy_world = ToyWorld(40000, seed=2)
        attributes = toy_world.attributes("test")
        counts = np.zeros((2, 6))
        np.add.at(counts, (attributes["size"], attributes["colour"]), 1)
        fitted = counts.max(axis=1).sum() / counts.sum()
        assert fitted == pytest.approx(toy_world.ceiling("colour", ("audio",)), abs=0.02)


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"num_samples": 9}, "num_samples"),
            ({"num_samples": 10.5}, "num_samples"),
            ({"num_samples": True}, "num_samples"),
            ({"seed": -1}, "seed"),
            ({"text_attributes": ("weight",)}, "weight"),
            ({"text_attributes": ()}, "text_attributes"),
            ({"text_attributes": "colour"}, "not one string"),
            ({"captions_per_sample": 0}, "captions_per_sample"),
            ({"captions_per_sample": 11}, "1..10"),
            ({"max_distractors": 13}, "0..12"),
            ({"sequence_length": 3}, "sequence_length"),
        ],
    )
    def test_bad_argument(self, arguments, message):
        with pytest.raises(ValueError, match=message) as error:
            ToyWorld(**{"num_samples": 20, **arguments})
        assert "Expected" in str(error.value) or "must be" in str(error.value)
        assert "Received" in str(error.value)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda toy: toy.arrays("dev"), "'train', 'val', 'test'"),
            (lambda toy: toy.records("train", label="weight"), "'item'"),
            (lambda toy: toy.arrays("train", inputs=("image", "video")), "'question_token_ids'"),
            (lambda toy: toy.arrays("train", inputs="image"), "not one string"),
            (lambda toy: toy.classes("weight"), "label"),
            (lambda toy: toy.ceiling("tags"), "label"),
            (lambda toy: toy.ceiling("item", ("smell",)), "'signal', 'text'"),
            (lambda toy: toy.ceiling("item", ("image",), "dev"), "split"),
            (lambda toy: toy.tokenize("a star"), "sentences"),
            (lambda toy: toy.detokenize([[1, 9999]]), "9999"),
            (lambda toy: toy.detokenize([1, 2]), "batch, time"),
            (lambda toy: toy.caption_is_true("a star", {"shape": 0}), "lacks"),
        ],
    )
    def test_bad_call(self, toy_world, call, message):
        with pytest.raises(ValueError, match=message) as error:
            call(toy_world)
        assert "Received" in str(error.value)
