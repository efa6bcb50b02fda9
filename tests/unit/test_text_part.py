"""The Text part: a vocabulary, marks, raw values, and errors that name the cure."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

from mmkeras.preprocessing.text import Text

STRIP = "lower_and_strip_punctuation"
CAPTIONS = [
    "A dog runs through the grass .",
    "The dog's ball, a red one!",
    "Two dogs don't run.",
    "A man in a T-shirt runs.",
]


@pytest.fixture(scope="module")
def text():
    return Text(length=8).adapt(CAPTIONS)


def test_ids_follow_frequency_then_alphabet(text):
    assert text.vocabulary[:8] == ["", "[UNK]", "[START]", "[END]", "a", "runs", "the", "ball"]
    assert text.vocabulary[8:] == sorted(text.vocabulary[8:])
    assert text.num_tokens == len(text.vocabulary) == 22
    assert (text.start_id, text.end_id) == (2, 3)
    assert text.encode("A dog runs").tolist() == [2, 4, text.vocabulary.index("dog"), 5, 3, 0, 0, 0]


def test_vocabulary_size_counts_special_tokens_and_leaves_out_the_rarest():
    text = Text(6).adapt(CAPTIONS)
    assert text.vocabulary == ["", "[UNK]", "[START]", "[END]", "a", "runs"]
    assert text.encode("a ball runs").tolist() == [2, 4, 1, 5, 3]


def test_adapt_does_not_depend_on_order_or_grouping():
    given = [Text().adapt(values).vocabulary for values in (CAPTIONS, CAPTIONS[::-1], [CAPTIONS[:2], *CAPTIONS[2:]])]
    given.append(Text().adapt(iter([None, *CAPTIONS])).vocabulary)
    assert all(vocabulary == given[0] for vocabulary in given)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Don't! DON\u2019T don`t", ["don't"] * 3),
        ("a dog's 'big' ball, the dogs' ball", ["a", "dog's", "big", "ball", "the", "dogs", "ball"]),
        ("the dog 's ball , they do n't", ["the", "dog's", "ball", "they", "don't"]),
        ("\u201cHi\u201d \u2014 black-and-white\u2026 t-shirt", ["hi", "black", "and", "white", "t", "shirt"]),
        ("\u4f60\u597d\uff0c\u72d7\u3002", ["\u4f60\u597d", "\u72d7"]),
        ("dog \u2764\ufe0f $5 50%", ["dog", "\u2764", "5", "50"]),
        ("\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f467", ["\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f467"]),
        ("\u0130stanbul \u039f\u0394\u039f\u03a3", ["istanbul", "\u03bf\u03b4\u03bf\u03c3"]),
        ("a\u00a0b\u3000c\x1cd\u200be", ["a", "b", "c", "d", "e"]),
        ("soft\u00adhyphen \ufeffmark", ["softhyphen", "mark"]),
        (" .,;! '' ", []),
    ],
)
def test_words_are_what_a_reader_of_captions_expects(sentence, words):
    text = Text(vocabulary=sorted(set(words)) or ["a"], mark_ends=False)
    assert text.decode(text.encode(sentence)) == " ".join(words)


@pytest.mark.parametrize(
    ("options", "sentence", "back"),
    [
        ({"standardize": "lower"}, "Dog, 'DOG' \u00c9", "dog, 'dog' \u00e9"),
        ({"standardize": None}, "Dog,\tdog", "Dog, dog"),
        ({"split": "character"}, "  Bin  BLUE. ", "bin blue"),
        ({"split": "character", "standardize": "lower"}, "A  b\n", "a  b\n"),
        ({"split": "character", "standardize": None}, "A b\t", "A b\t"),
    ],
)
def test_other_ways_to_standardise_and_split(options, sentence, back):
    text = Text(**options).adapt([sentence])
    assert text.decode(text.encode(sentence)) == back


@pytest.mark.parametrize("standardize", [STRIP, "lower", None])
def test_written_marks_are_no_marks(standardize):
    text = Text(standardize=standardize).adapt(["[START] dog [END] [UNK]", "dog"])
    assert text.vocabulary.count("[END]") == 1
    assert 2 not in text.encode("dog [START] dog")[1:-1]
    assert 3 not in text.encode("dog [END] dog")[1:-1]


def test_a_cut_sentence_has_no_end(text):
    assert text.encode("a " * 6).tolist() == [2, 4, 4, 4, 4, 4, 4, 3]
    assert text.encode("a " * 7).tolist() == [2, 4, 4, 4, 4, 4, 4, 4]
    assert Text(length=3, vocabulary=["a"], mark_ends=False).encode("a a a a").tolist() == [4, 4, 4]


def test_an_empty_sentence_is_a_sentence(text):
    assert text.encode(["", " .. "]).tolist() == [[2, 3, 0, 0, 0, 0, 0, 0]] * 2
    assert text.decode(text.encode([""])) == [""]
    assert not Text(length=4, vocabulary=["a"], mark_ends=False).encode("").any()


def test_without_length_the_longest_sentence_counts():
    text = Text(vocabulary=["a"])
    assert text.shape == (None,)
    assert text.encode(["a", "a a a"]).tolist() == [[2, 4, 3, 0, 0], [2, 4, 4, 4, 3]]


def test_decode_gives_the_words_back(text):
    ids = text.encode(["a dog runs", "two dogs"])
    assert ids.dtype == "int32"
    assert text.decode(ids) == ["a dog runs", "two dogs"]
    assert text.decode(ids[0]) == "a dog runs"
    assert text.decode(ids[np.newaxis]) == [["a dog runs", "two dogs"]]
    assert text.decode(keras.ops.convert_to_tensor(ids)) == ["a dog runs", "two dogs"]
    assert text.decode([[4], [5, 6, 3, 4]]) == ["a", "runs the"]
    assert text.decode([2, 4, 0, 1, 3]) == "a [UNK]"


@pytest.mark.parametrize("ids", [[22], [-1], [0.5, 1.0], 4, np.zeros((2, 2, 5), "float32")])
def test_decode_refuses_what_are_no_ids(text, ids):
    with pytest.raises(ValueError, match="Received"):
        text.decode(ids)


def test_raw_values_become_wire_forms(text):
    assert text.read("a d\u00f6g") == "a d\u00f6g".encode()
    assert text.read(["a", "b"]) == text.read(("a", b"b")) == text.read(np.array(["a", "b"])) == [b"a", b"b"]
    assert text.read(np.array(["a", "b"], object)) == [b"a", b"b"]
    for ids in ([2, 4, 3], np.array([2, 4, 3], "int64"), (2, 4, 3)):
        wire = text.read(ids)
        assert wire.dtype == "int32"
        assert text.array(wire).tolist() == [2, 4, 3, 0, 0, 0, 0, 0]
    assert text.array(text.read([[2, 4, 3], [5]])).shape == (2, 8)
    assert text.array(text.read(np.arange(12) + 2)).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3.5, "float 3.5"),
        (float("nan"), "a missing sentence is None"),
        (None, "expected a sentence"),
        ([], "not empty"),
        (["a", None], "NoneType"),
        (["a", 3], "int 3"),
        ({"a": 1}, "expected a sentence"),
        (np.zeros((2, 3, 4), int), "shape"),
        (np.zeros(3), "float64"),
        (np.array([True]), "bool"),
        ([2, 22], "0..21"),
        ([-1, 2], "0..21"),
        ([2**32 + 4], "0..21"),
        ("half \ud83d", "surrogate"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_bad_values_are_errors(text, value, message):
    with pytest.raises(ValueError, match=message):
        text.read(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 4}, "at least 5"),
        ({"vocabulary_size": 8000.0}, "integer"),
        ({"length": 2}, "at least 3"),
        ({"length": 0, "mark_ends": False}, "at least 1"),
        ({"standardize": "upper"}, "standardize"),
        ({"split": "words"}, "split"),
        ({"vocabulary": "dog"}, "list of words"),
        ({"vocabulary": []}, "at least one"),
        ({"vocabulary": ["a", "a"]}, "once"),
        ({"vocabulary": ["a", ""]}, "special tokens"),
        ({"vocabulary": ["[UNK]", "a"]}, "special tokens"),
        ({"vocabulary": ["a", 3]}, "strings"),
        ({"vocabulary": ["a", "b"], "vocabulary_size": 5}, "fit into"),
        ({"tokenizer": "bert_base_en"}, "keras-hub tokenizer"),
    ],
)
def test_bad_arguments_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Text(**options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "no words"),
        (["", " . ", None], "no words"),
        ("a dog", "one string"),
        ([np.array([1, 2])], "in value 0"),
        (["a dog", 3.0], "in value 1"),
    ],
)
def test_adapt_refuses_what_teaches_nothing(values, message):
    with pytest.raises(ValueError, match=message):
        Text().adapt(values)


def test_a_text_learns_again_but_a_given_vocabulary_stays():
    text = Text(length=4).adapt(["dog"])
    assert text.needs_adapting
    text.encode("dog")
    assert text.adapt(["cat"]).encode("cat").tolist() == [2, 4, 3, 0]
    fixed = Text.from_config(text.get_config())
    assert not fixed.needs_adapting
    with pytest.raises(ValueError, match="has its vocabulary"):
        fixed.adapt(["dog"])


@pytest.mark.parametrize("use", [lambda t: t.encode("a"), lambda t: t.decode([1]), lambda t: t.num_tokens])
def test_use_before_adapt_names_the_cure(use):
    with pytest.raises(ValueError, match="Call `adapt`"):
        use(Text())


def test_coverage_counts_what_does_not_fit():
    text = Text(length=5, vocabulary=["a", "dog"])
    counts = text.coverage(["a dog", ["a cat, a cat", "the cat sat on a dog"], "", None])
    assert counts == {
        "sentences": 4,
        "empty": 1,
        "cut": 2,
        "words": 12,
        "unknown": 6,
        "most_unknown": [["cat", 3], ["on", 1], ["sat", 1], ["the", 1]],
    }
    json.dumps(counts)


def test_every_argument_survives_config_pickle_and_copy():
    text = Text(50, 6, vocabulary=["hund"], standardize="lower", split="character", mark_ends=False)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(text)))
    text.encode("hund")
    for other in (keras.saving.deserialize_keras_object(config), pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert other.get_config() == text.get_config()
        assert other.encode("hund").tolist() == text.encode("hund").tolist()
