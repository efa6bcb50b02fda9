"""The Text part with keras-hub tokenizers: their ids, free padding, and a config that carries the vocabulary."""

import io
import json
import os
import pathlib
import pickle
import string
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from mmkeras.preprocessing.text import Text

ROOT = pathlib.Path(__file__).parents[2]
SENTENCES = [
    "a dog runs through the grass",
    "A Dog's ball, isn't it?",
    "",
    "caf\u00e9 \u72d7\u304c \U0001f436 \u201cquote\u201d",
    "tab\tline\nnbsp\u00a0end\x00nul",
    "dog " * 30,
]
PIECES = ["dog", "run", "ball", "the", "grass", *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
FAMILIES = ("word_piece", "byte_pair", "sentence_piece", "byte", "code_point", "bert", "clip", "siglip", "roberta")


def byte_alphabet():
    """The 256 characters that stand for bytes in byte-pair vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in plain] + [chr(256 + index) for index in range(256 - len(plain))]


def sentence_piece(**marks):
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES[:2], "the quick brown fox jumped"] * 3),
        model_writer=model,
        vocab_size=36,
        model_type="unigram",
        minloglevel=2,
        **marks,
    )
    return model.getvalue()


def make(family):
    import keras_hub

    tokenizers, models = keras_hub.tokenizers, keras_hub.models
    alphabet = byte_alphabet()
    if family == "word_piece":
        return tokenizers.WordPieceTokenizer(["[UNK]", *PIECES, "[START]", "[END]"], lowercase=True)
    if family == "byte_pair":
        words = {token: index for index, token in enumerate([*alphabet, "do", "dog"])}
        return tokenizers.BytePairTokenizer(words, ["d o", "do g"])
    if family == "sentence_piece":
        return tokenizers.SentencePieceTokenizer(sentence_piece())
    if family == "byte":
        return tokenizers.ByteTokenizer()
    if family == "code_point":
        return tokenizers.UnicodeCodepointTokenizer(vocabulary_size=500)
    if family == "bert":
        return models.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES], lowercase=True)
    if family == "clip":
        tokens = [*alphabet, *(f"{c}</w>" for c in alphabet), "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
        tokenizer = models.CLIPTokenizer()
        # keras-hub 0.32 cannot make one from a vocabulary where TensorFlow is missing.
        tokenizer.vocabulary, tokenizer.merges = {token: i for i, token in enumerate(tokens)}, ["d o", "do g</w>"]
        tokenizer.set_vocabulary_and_merges(tokenizer.vocabulary, tokenizer.merges)
        return tokenizer
    if family == "siglip":
        return models.SigLIPTokenizer(sentence_piece(pad_id=0, bos_id=1, eos_id=2, unk_id=3))
    tokens = ["<s>", "<pad>", "</s>", *alphabet, "do", "<mask>"]
    return models.RobertaTokenizer({token: index for index, token in enumerate(tokens)}, ["d o"])


@pytest.fixture(scope="module")
def made():
    return {family: make(family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_padded_and_decode_to_the_sentence(family, made):
    text = Text(length=200, tokenizer=made[family])
    ids = text.encode("a dog runs through the grass")
    assert ids.dtype == "int32"
    assert ids.max() < text.num_tokens
    count = np.flatnonzero(ids != ids[-1]).max() + 1
    assert ids[-1] == (2 if family == "siglip" else 0)
    assert (ids[:count] != 0).all() or family == "roberta"
    assert text.decode(ids).replace("[UNK]", "").split()[:2] == ["a", "dog"]
    assert text.decode(np.stack([ids, ids])) == [text.decode(ids)] * 2
    assert text.decode(text.encode("")) == ""


@pytest.mark.parametrize(
    ("family", "num_tokens", "marks"),
    [
        # Id 0 is [UNK]: one higher each; the marks are the last two pieces.
        ("word_piece", 61, (59, 60)),
        # Id 0 is "!": one higher each; 258 tokens, padding, two new marks.
        ("byte_pair", 261, (259, 260)),
        # Id 0 is <unk>: one higher each; <s> and </s> are 1 and 2 there.
        ("sentence_piece", 37, (2, 3)),
        ("byte", 258, (256, 257)),
        ("code_point", 502, (500, 501)),
        ("bert", 62, (2, 3)),
        ("clip", 516, (514, 515)),
        ("siglip", 36, (None, 2)),
        ("roberta", 261, (0, 2)),
    ],
)
def test_padding_has_an_id_of_its_own(family, num_tokens, marks, made):
    text = Text(tokenizer=made[family])
    assert text.num_tokens == num_tokens
    assert (text.start_id, text.end_id) == marks
    ids = text.encode("dog").tolist()
    assert ids[-1] == marks[1]
    assert marks[0] is None or ids[0] == marks[0]


@pytest.mark.parametrize(("family", "cut"), [("word_piece", 5), ("byte", 5), ("bert", 5), ("clip", 5)])
def test_only_a_model_keeps_the_end_of_a_cut_sentence(family, cut, made):
    text = Text(length=cut, tokenizer=made[family])
    ids = text.encode("dog dog dog dog dog dog")
    assert (ids[-1] == text.end_id) == (family in ("bert", "clip"))
    assert text.end_id not in Text(length=cut, tokenizer=made[family], mark_ends=False).encode("dog " * 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_config_carries_the_vocabulary(family, made):
    text = Text(length=20, tokenizer=made[family])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(text)))
    expected = text.encode(SENTENCES)
    for other in (keras.saving.deserialize_keras_object(config), pickle.loads(pickle.dumps(text))):
        assert type(other.tokenizer) is type(text.tokenizer)
        assert np.array_equal(other.encode(SENTENCES), expected)
        assert other.num_tokens == text.num_tokens


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_loads_without_tensorflow(tmp_path, made):
    """A child process in which TensorFlow cannot be imported loads the configs and gives the same ids."""
    texts = {family: Text(length=20, tokenizer=made[family]) for family in FAMILIES}
    configs = {family: keras.saving.serialize_keras_object(text) for family, text in texts.items()}
    file = tmp_path / "texts.json"
    file.write_text(json.dumps([configs, SENTENCES]))
    child = (
        "import sys, json\n"
        "sys.modules['tensorflow'] = sys.modules['tensorflow_text'] = None\n"
        "import keras, mmkeras.preprocessing.text\n"
        f"configs, sentences = json.load(open({str(file)!r}))\n"
        "texts = {key: keras.saving.deserialize_keras_object(value) for key, value in configs.items()}\n"
        "print(json.dumps({key: text.encode(sentences).tolist() for key, text in texts.items()}))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", child], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    given = json.loads(run.stdout.strip().splitlines()[-1])
    assert given == {family: text.encode(SENTENCES).tolist() for family, text in texts.items()}


def test_coverage_counts_pieces_that_are_missing(made):
    text = Text(length=6, tokenizer=made["bert"])
    counts = text.coverage(["dog dog \u72d7", "a dog runs on the grass"])
    assert (counts["words"], counts["unknown"], counts["most_unknown"]) == (9, 1, [["\u72d7", 1]])
    assert counts["cut"] == 1
    assert Text(tokenizer=made["byte"]).coverage(["dog \u72d7"])["unknown"] == 0


def test_nothing_to_adapt(made):
    text = Text(tokenizer=made["byte"])
    assert not text.needs_adapting
    with pytest.raises(ValueError, match="nothing to learn"):
        text.adapt(["a"])


def test_tokenizers_that_cannot_be_used_say_why(made):
    import keras_hub

    tokenizers = keras_hub.tokenizers
    cases = [
        (tokenizers.ByteTokenizer(sequence_length=5), "Text\\(length"),
        (tokenizers.UnicodeCodepointTokenizer(), "vocabulary_size"),
        (tokenizers.WordPieceTokenizer(["[UNK]"], dtype="string"), "int32"),
        (tokenizers.SentencePieceTokenizer(made["sentence_piece"].proto, add_eos=True), "mark_ends"),
        (tokenizers.Tokenizer(), "must be one of"),
    ]
    for tokenizer, message in cases:
        with pytest.raises(ValueError, match=message):
            Text(tokenizer=tokenizer)
    with pytest.raises(ValueError, match="of its own"):
        Text(tokenizer=made["byte"], standardize="lower")


@pytest.mark.tensorflow
def test_tf_data_reads_ids_made_in_python(made):
    import tensorflow as tf

    text = Text(length=20, tokenizer=made["byte_pair"])
    expected = text.encode(SENTENCES)

    def read(row):
        return text.read(SENTENCES[row])

    dataset = tf.data.Dataset.range(len(SENTENCES)).map(lambda row: tf.numpy_function(read, [row], tf.int32))
    dataset = dataset.map(lambda wire: text.graph(tf.ensure_shape(wire, (None,))))
    assert dataset.element_spec == tf.TensorSpec((20,), tf.int32)
    assert np.array_equal(np.stack(list(dataset)), expected)


# The graphs of keras-hub take seconds to trace, those of byte-pair tokenizers many.
IN_GRAPH = [pytest.param(f, marks=() if f == "sentence_piece" else pytest.mark.slow) for f in FAMILIES]


@pytest.mark.tensorflow
@pytest.mark.parametrize("family", IN_GRAPH)
def test_saved_model_tokenises_strings_as_python_does(family, made, tmp_path):
    import tensorflow as tf

    text = Text(length=20, tokenizer=made[family])
    expected = text.array(text.read(SENTENCES))
    # Setting a seed destroys the TensorFlow side of SentencePiece tokenizers.
    keras.utils.set_random_seed(1)
    module = tf.Module()
    module.resources = text.resources
    module.serve = tf.function(text.graph, input_signature=[tf.TensorSpec((None,), tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    served = [sentence.encode() for sentence in SENTENCES]
    assert np.array_equal(loaded.serve(tf.constant(served)).numpy(), expected)
    assert np.array_equal(loaded.serve(tf.constant([b"", b""])).numpy(), text.encode(["", ""]))


@pytest.mark.tensorflow
def test_ids_are_those_of_the_models_own_preprocessors(made):
    import keras_hub

    models = keras_hub.models
    sentences = [sentence.replace("\x00", " ") for sentence in SENTENCES]
    bert = models.BertTextClassifierPreprocessor(made["bert"], sequence_length=16)
    clip = models.CLIPPreprocessor(made["clip"], sequence_length=16, to_lower=True)
    siglip = models.SigLIPPreprocessor(
        made["siglip"], sequence_length=16, canonicalize_text=True, add_start_token=False
    )
    prompts = {"images": None, "prompts": sentences}
    for family, given in [("bert", bert(sentences)), ("clip", clip(prompts)), ("siglip", siglip(prompts))]:
        assert np.array_equal(Text(length=16, tokenizer=made[family]).encode(sentences), given["token_ids"]), family


@pytest.mark.tensorflow
def test_missing_tensorflow_text_is_named(made, monkeypatch):
    import tensorflow as tf

    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ImportError, match="pip install tensorflow-text"):
        Text(length=5, tokenizer=made["bert"]).graph(tf.constant("dog"))


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_join_to_what_decode_says(family, made):
    """What a served graph joins is what Python says, for whole sentences of the vocabulary."""
    text = Text(tokenizer=made[family])
    pieces, between, *_ = text.pieces
    assert len(pieces) == text.num_tokens
    for sentence in SENTENCES[:4]:
        ids = text.encode(sentence)
        said = between.join(pieces[index] for index in ids).decode("utf-8", "replace").strip(" ")
        assert said == text.decode(ids).strip(" "), sentence
