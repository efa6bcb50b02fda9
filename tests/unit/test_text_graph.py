"""The Text part gives the same ids by graph, by NumPy and without TensorFlow, on any text."""

import json
import os
import pathlib
import random
import subprocess
import sys
import unicodedata
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from mmkeras.preprocessing import code_points
from mmkeras.preprocessing.text import Text

ROOT = pathlib.Path(__file__).parents[2]
# What Keras can run on in a process that has no TensorFlow.
STRIP = "lower_and_strip_punctuation"
MODES = [(standardize, split) for standardize in (STRIP, "lower", None) for split in ("word", "character")]
CAPTIONS = [
    "A dog runs through the grass .",
    "The dog's ball, a red one!",
    "Two dogs don't run.",
    "A man in a T-shirt runs.",
]
ODD = [
    "",
    " ",
    "\t\n\r\x0b\x0c",
    "a\tdog\nruns\r\nfar",
    "a\u00a0dog\u2003runs\u3000far\u2028now\u0085then",
    "zero\u200bwidth soft\u00adhyphen \ufeffmark word\u2060joiner",
    "\x00",
    "a\x00dog\x00",
    "\x01\x1b[31m\x7f",
    "A\x1cDOG\x1fRUNS",
    "dog \U0001f436\U0001f436 heart \u2764\ufe0f \u2764",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family \U0001f44d\U0001f3fd thumb",
    "\U0001f1e9\U0001f1ea flag",
    "\u4e00\u6761\u72d7\u5728\u8dd1\u3002\u5feb\uff0c\u5feb\uff01",
    "\u72ac\u304c\u8d70\u308b\u3001\u30ab\u30bf\u30ab\u30ca",
    "\uac1c\uac00 \ub6f4\ub2e4",
    "\u0643\u0644\u0628 \u064a\u062c\u0631\u064a\u060c \u0647\u0646\u0627\u061f",
    "\u0915\u0941\u0924\u094d\u0924\u093e \u0926\u094c\u0921\u093c\u0924\u093e \u0939\u0948\u0964",
    "\u0e2b\u0e21\u0e32\u0e27\u0e34\u0e48\u0e07",
    "I\u015eIK \u0130STANBUL \u0131\u015f\u0131k istanbul",
    "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2 \u03a3 \u03a3\u03a3",
    "STRASSE stra\u00dfe \u1e9e \ufb01sh \u01c4 \u01c5",
    "caf\u00e9 cafe\u0301 CAF\u00c9 a\u0300\u0323\u0327\u0489",
    "Z\u0335\u0321a\u0338\u0334l\u0337\u0322g\u0335\u0322o\u0337\u0321",
    "\ud7a3\U00010400\U00016e40\U0001e900 \u2c2f \ua7c0 \U00010570",
    "don't DON\u2019T don`t don\u00b4t don\u02bct dogs' 'quoted' ''double'' rock'n'roll o'clock",
    "' '' ' 'a' b' 'c ' d ''' e'f 's 's x 's 's",
    "the dog 's ball , they do n't run , he 'll , I 'm , we 've been",
    "\u201cHello\u201d \u2018world\u2019 \u2014 \u2026 \u00bfqu\u00e9? \u00a1s\u00ed! \u00abnon\u00bb",
    "t-shirt black-and-white e-mail@example.com #tag $5.00 \u20ac5 50% a/b a_b C++ f(x)=y^2 <b> ~10",
    "[UNK] [START] [END]",
    "[START]",
    "\x00[END]\x00",
    "3.14 1,000 \u0663\u0664 \u00bd \u2167 \u2460",
    "\ufffd\ufffe\uffff\U0010ffff\ue000\U000f0000",
    "\u202eevil\u202c \u200fright\u200e",
    "\ufe00\ufe0f\U000e0100 \U000e0067\U000e007f",
    "x" * 5000,
    "dog " * 10_000,
    ", " * 500,
    "\n".join(CAPTIONS),
    "  a   dog  ",
    "A DOG RUNS",
    "runs" * 3 + "\u0301",
    "\\1 \\0 $1 .* [a-z]+ (?i)dog",
    "'\u2019`\u00b4 dog\u2019s",
    "'n't 'n't n't a n't b 're'",
]


def random_texts(count, seed=0):
    """Texts of characters from everywhere: plain ones, marks, spaces and quotes often, the rest at random."""
    draw = random.Random(seed)
    frequent = "abc DOG  ''\u2019.,-\t\n\u0130\u03a3\u03c2\u00ad\u200b\u200d\ufe0f\u0301\u00a0\x00\U0001f600\u4e2d[]"
    blocks = [(0x20, 0x7F), (0, 0x250), (0x250, 0x3100), (0x3100, 0xD800), (0xE000, 0x20000), (0x20000, 0x110000)]

    def character():
        return draw.choice(frequent) if draw.random() < 0.6 else chr(draw.randrange(*draw.choice(blocks)))

    return ["".join(character() for _ in range(draw.randrange(30))) for _ in range(count)]


@pytest.fixture(scope="module")
def text():
    return Text(length=8).adapt(CAPTIONS)


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_loads_without_tensorflow(tmp_path):
    """A child process in which TensorFlow cannot be imported loads the config and gives the same ids."""
    text = Text(40, 12).adapt(CAPTIONS)
    sentences = [*CAPTIONS, *ODD]
    file = tmp_path / "text.json"
    file.write_text(json.dumps([keras.saving.serialize_keras_object(text), sentences]))
    child = (
        "import sys, json, numpy as np\n"
        "sys.modules['tensorflow'] = sys.modules['tensorflow_text'] = None\n"
        "import keras, mmkeras.preprocessing.text\n"
        f"config, sentences = json.load(open({str(file)!r}))\n"
        "text = keras.saving.deserialize_keras_object(config)\n"
        "ids = text.array(text.read(sentences))\n"
        f"np.save({str(tmp_path / 'ids.npy')!r}, ids)\n"
        "print(text.decode(ids[0]))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", child], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "a dog runs through the grass"
    assert np.array_equal(np.load(tmp_path / "ids.npy"), text.encode(sentences))


def test_no_character_outside_the_scanned_blocks_changes():
    rest = "".join(map(chr, [*range(0x20000, 0xE0000), *range(0xE1000, 0x110000)]))
    for rule in (code_points.lower_and_strip_punctuation, code_points.lower_and_space):
        assert not [c for c in rest if rule(c) != c]


def test_lower_case_is_pythons_one_by_one():
    letters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    assert [letter for letter in letters if letter.lower() != code_points.lower(letter)] == ["\u0130"]


def test_every_space_and_punctuation_mark_is_stripped_and_no_letter():
    strip = code_points.lower_and_strip_punctuation
    characters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    apart = [c for c in characters if c.isspace() or unicodedata.category(c)[0] == "P"]
    assert len(apart) > 700
    assert {strip(c) for c in apart} == {" ", "'"}
    letters = [c for c in characters if c.isalnum() and c not in code_points.APOSTROPHES]
    assert [c for c in letters if strip(c) != c.lower()[0]] == []


@pytest.mark.tensorflow
@pytest.mark.parametrize(("standardize", "split"), MODES)
def test_graph_equals_python_on_any_text(standardize, split):
    import tensorflow as tf

    sentences = [*ODD, *CAPTIONS, *random_texts(400, seed=MODES.index((standardize, split)))]
    assert len(ODD) >= 40
    # Half the texts teach the words, so that known and unknown ones meet.
    text = Text(length=40, standardize=standardize, split=split).adapt(sentences[::2])
    wire = text.read(sentences)
    expected = text.array(wire)
    assert np.array_equal(text.graph(tf.constant(wire)).numpy(), expected)
    assert np.array_equal(text.encode(sentences), expected)
    assert len({tuple(row) for row in expected}) > 200


@pytest.mark.tensorflow
@pytest.mark.parametrize("rule", [code_points.lower_and_strip_punctuation, code_points.lower_and_space])
def test_graph_replaces_every_character_as_python_does(rule):
    import tensorflow as tf

    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    lines = ["".join(characters[i : i + 512]) for i in range(0, len(characters), 512)]
    points = code_points.CodePoints(rule)
    given = points.graph(tf.constant([line.encode() for line in lines])).numpy()
    assert [line.decode() for line in given] == [points.text(line) for line in lines]


@pytest.mark.tensorflow
@pytest.mark.parametrize("broken", [b"\xff", b"a dog\xc3", b"\xed\xa0\x80 a", b"\xf0\x9f\x98 dog", b"\xc0\x80"])
def test_a_served_sentence_may_be_broken(text, broken):
    import tensorflow as tf

    assert np.array_equal(text.graph(tf.constant(broken)).numpy(), text.array(broken))


@pytest.mark.tensorflow
@pytest.mark.parametrize("length", [None, 3, 5])
@pytest.mark.parametrize("mark_ends", [True, False])
def test_graph_cuts_marks_and_pads_alike(length, mark_ends):
    import tensorflow as tf

    text = Text(length=length, vocabulary=["a", "b"], mark_ends=mark_ends)
    for values in (["a", "a b a b a b", ""], ["a a", "b b b"], ["a b a"]):
        wire = text.read(values)
        assert np.array_equal(text.graph(tf.constant(wire)).numpy(), text.array(wire))
        for one in wire:
            assert np.array_equal(text.graph(tf.constant(one)).numpy(), text.array(one))
    for ids in ([2, 4, 3], [[4, 5], [4, 0]], list(range(6))):
        wire = text.read(ids)
        assert np.array_equal(text.graph(tf.constant(wire)).numpy(), text.array(wire))
    batch = text.graph(tf.constant([["a", "b"], ["", "a b"]]))
    assert batch.shape[:2] == (2, 2)
    assert np.array_equal(batch[1, 1], text.encode(["", "a b", "a", "b"])[1][: batch.shape[2]])


@pytest.mark.tensorflow
def test_tf_data_knows_shapes_and_builds_the_table_outside():
    import tensorflow as tf

    text = Text(length=8).adapt(CAPTIONS)
    dataset = tf.data.Dataset.from_tensor_slices(CAPTIONS).map(text.graph)
    assert dataset.element_spec == tf.TensorSpec((8,), tf.int32)
    assert np.array_equal(np.stack(list(dataset)), text.encode(CAPTIONS))
    strings = tf.TensorSpec((None,), tf.string)
    several = tf.data.Dataset.from_generator(lambda: [CAPTIONS[:3], CAPTIONS[:1]], output_signature=strings)
    assert [ids.shape for ids in several.map(text.graph)] == [(3, 8), (1, 8)]
    numbers = tf.data.Dataset.from_generator(lambda: [[2, 3]], output_signature=tf.TensorSpec((None,), tf.int32))
    assert numbers.map(text.graph).element_spec == tf.TensorSpec((8,), tf.int32)
    mapped = tf.map_fn(text.graph, tf.constant(CAPTIONS), fn_output_signature=tf.int32)
    assert np.array_equal(mapped, text.encode(CAPTIONS))
    assert text.graph(tf.constant([], tf.string)).shape == (0, 8)


@pytest.mark.tensorflow
def test_saved_model_gives_the_same_ids(tmp_path):
    import tensorflow as tf

    text = Text(length=8).adapt(CAPTIONS)
    module = tf.Module()
    module.resources = text.resources
    module.serve = tf.function(text.graph, input_signature=[tf.TensorSpec((None,), tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    sentences = [*CAPTIONS, *ODD]
    loaded = tf.saved_model.load(str(tmp_path))
    assert np.array_equal(loaded.serve(tf.constant(text.read(sentences))).numpy(), text.encode(sentences))
