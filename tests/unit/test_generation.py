"""Generation: the loops in the graph against slow, obvious ones."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats
from tests.unit import generation_reference as reference

G, L = mm.generation, mm.layers
START, END = 2, 3
VOCABULARY, ROWS, KEYS = 8, 3, 5


# As sure of itself as a trained one: otherwise all sentences are alike.
SCALE = {"additive": 4.0, "multi_head": 1.5, None: 6.0, "transformer": 5.0}


def decoder(vocabulary=VOCABULARY, kind="additive", scale=1.0):
    keras.utils.set_random_seed(3)
    made = (
        L.TransformerDecoder(vocabulary, 8, num_layers=1, num_heads=2)
        if kind == "transformer"
        else L.LSTMDecoder(vocabulary, 8, attention=kind)
    )
    made.build((None, None), (None, None, 6))
    made.set_weights([scale * SCALE[kind] * weight for weight in made.get_weights()])
    return made


CONTEXT = floats(ROWS, KEYS, 6)


def decode(speaker, strategy, length=6, context=CONTEXT, **options):
    """What a layer finds: dict of arrays."""
    inputs = {name: options.pop(name) for name in ("prefix_ids", "noise") if name in options}
    layer = G.Decode(speaker, strategy, start_id=START, end_id=END, max_length=length, **options)
    return {name: array(x) for name, x in layer(context, **inputs).items()}


def words(ids):
    """Ids up to the end mark, or all."""
    ids = ids.tolist()
    return ids[: ids.index(END) + 1] if END in ids else [word for word in ids if word]


def references(speaker, context=CONTEXT):
    ids, tokens = keras.Input((8,), dtype="int32"), keras.Input(context.shape[1:])
    model = keras.Model([ids, tokens], speaker(ids, tokens))
    return [reference.Speaker(model, row, START) for row in context]


KINDS = ["additive", "multi_head", None, "transformer"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_word_at_a_time_is_the_whole_sentence(kind):
    speaker = decoder(kind=kind)
    ids = np.array([[START, 5, 4, 7, 6]] * ROWS, "int32")
    mask = np.ones((ROWS, KEYS), bool)
    mask[1, 3:], mask[2] = False, False
    whole = array(speaker(ids, CONTEXT, context_mask=mask))
    memory = speaker.remember(keras.ops.convert_to_tensor(CONTEXT), keras.ops.convert_to_tensor(mask))
    state = speaker.initial_state(memory, ids.shape[1])
    for place in range(ids.shape[1]):
        logits, state = speaker.step(keras.ops.convert_to_tensor(ids[:, place]), place, state, memory)
        np.testing.assert_allclose(array(logits), whole[:, place], atol=1e-4)
    if kind is not None:
        attention = array(state["attention"])
        np.testing.assert_allclose(attention.sum(axis=1), [1, 1, 0], atol=1e-5)
        assert not attention[1, 3:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_greedy(kind):
    speaker = decoder(kind=kind)
    found = decode(speaker, G.Greedy())
    for row, slow in enumerate(references(speaker)):
        expected = reference.greedy(slow, END, 6)
        assert words(found["token_ids"][row, 0]) == expected
        assert not found["token_ids"][row, 0, len(expected) :].any()
        assert found["log_probabilities"][row, 0] == pytest.approx(slow.log_probability(expected), abs=1e-4)


@pytest.mark.parametrize(("kind", "length_penalty"), [("additive", 0.0), ("multi_head", 0.7), ("transformer", 2.0)])
def test_beam_that_holds_everything_finds_the_best_there_is(kind, length_penalty):
    speaker = decoder(vocabulary=5, kind=kind)
    found = decode(speaker, G.Beam(64, length_penalty=length_penalty, num_return=64), length=3, forbidden_ids=(0, 1, 2))
    for row, slow in enumerate(references(speaker)):
        expected = reference.everything(slow, END, 3, length_penalty, forbidden=(0, 1, 2))
        scores = found["scores"][row]
        assert (scores > -1e8).sum() == len(expected)
        np.testing.assert_allclose(scores[: len(expected)], [score for score, _ in expected], atol=1e-4)
        for (_, sentence), ids in zip(expected, found["token_ids"][row], strict=False):
            assert words(ids) == sentence
        assert not found["token_ids"][row, len(expected) :].any()


@pytest.mark.parametrize(("kind", "num_beams"), [("additive", 3), ("transformer", 2)])
def test_beam_stops_early_without_a_difference(kind, num_beams):
    """The reference never stops early."""
    speaker = decoder(kind=kind)
    for penalty in (0.0, 1.0):
        found = decode(speaker, G.Beam(num_beams, length_penalty=penalty, num_return=num_beams), length=7)
        for row, slow in enumerate(references(speaker)):
            expected = reference.beam(slow, END, 7, num_beams, penalty)
            assert [words(ids) for ids in found["token_ids"][row]] == [sentence for _, sentence in expected]
            np.testing.assert_allclose(found["scores"][row], [score for score, _ in expected], atol=1e-4)
            sums = [slow.log_probability(sentence) for _, sentence in expected]
            np.testing.assert_allclose(found["log_probabilities"][row], sums, atol=1e-4)
        alone = decode(speaker, G.Beam(num_beams, length_penalty=penalty), length=7)
        np.testing.assert_array_equal(alone["token_ids"][:, 0], found["token_ids"][:, 0])


def test_one_beam_is_greedy():
    speaker = decoder()
    beam, greedy = decode(speaker, G.Beam(1, length_penalty=0.0), 8), decode(speaker, G.Greedy(), 8)
    np.testing.assert_array_equal(beam["token_ids"], greedy["token_ids"])
    np.testing.assert_allclose(beam["log_probabilities"], greedy["log_probabilities"], atol=1e-5)


@pytest.mark.parametrize("strategy", [G.Greedy(), G.Beam(3, num_return=3)], ids=["greedy", "beam"])
def test_rules(strategy):
    speaker = decoder()
    rules = {"forbidden": (0, 1, 5), "min_length": 2}
    prefix = np.zeros((ROWS, 6), "int32")
    prefix[0, :2] = 6, 4
    options = {"forbidden_ids": (0, 1, 5), "min_length": 2, "repetition_penalty": 3.0, "prefix_ids": prefix}
    found = decode(speaker, strategy, **options)
    for row, slow in enumerate(references(speaker)):
        own = {**rules, "prefix": [6, 4] if row == 0 else []}
        if strategy.num_return == 1:
            expected = [reference.greedy(slow, END, 6, penalty=3.0, **own)]
        else:
            expected = [sentence for _, sentence in reference.beam(slow, END, 6, 3, penalty=3.0, **own)]
        assert [words(ids) for ids in found["token_ids"][row]] == expected
        sums = [slow.log_probability(sentence) for sentence in expected]
        np.testing.assert_allclose(found["log_probabilities"][row], sums, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 2.0, "top_k": 3}, {"top_p": 0.6}, {"temperature": 0.5, "top_k": 5, "top_p": 0.9}]
)
def test_sample(options):
    speaker = decoder(scale=0.5)
    noise = np.random.default_rng(0).uniform(0, 1, (ROWS, 4, 6)).astype("float32")
    found = decode(speaker, G.Sample(num_return=4, **options), noise=noise)["token_ids"]

    def drawn(ranked, numbers, place):
        p = np.exp(ranked / options.get("temperature", 1.0))
        order = np.argsort(-p, kind="stable")
        keep = order[: options.get("top_k", len(p))]
        shares = p[keep] / p[keep].sum()
        keep = keep[np.cumsum(shares) - shares < options.get("top_p", 2.0)]
        p[[word for word in range(len(p)) if word not in keep]] = 0
        return int(np.argmax(np.cumsum(p) > numbers[place] * p.sum()))

    for row, slow in enumerate(references(speaker)):
        for numbers, ids in zip(noise[row], found[row], strict=True):
            choose = lambda ranked, place, numbers=numbers: drawn(ranked, numbers, place)  # noqa: E731
            assert words(ids) == reference.greedy(slow, END, 6, choose=choose)
    assert len({tuple(ids) for ids in found.reshape(-1, 6)}) > 3


def test_noise_of_one_says_no_word_that_is_ruled_out():
    speaker = decoder(scale=0.5)
    found = decode(speaker, G.Sample(top_k=2), noise=np.ones((ROWS, 1, 6), "float32"))
    for row, slow in enumerate(references(speaker)):
        ranked = reference.log_softmax(slow([]))
        ranked[0] = -1e9
        assert found["token_ids"][row, 0, 0] in np.argsort(-ranked)[:2]


def test_samples_follow_the_probabilities():
    speaker = decoder(scale=0.3)
    context = np.repeat(CONTEXT[:1], 2000, axis=0)
    noise = np.random.default_rng(1).uniform(0, 1, (2000, 1, 1)).astype("float32")
    first = decode(speaker, G.Sample(), length=1, context=context, noise=noise)["token_ids"][:, 0, 0]
    p = np.exp(reference.log_softmax(references(speaker)[0]([])))
    p[0] = 0
    shares = np.bincount(first, minlength=VOCABULARY) / 2000
    np.testing.assert_allclose(shares, p / p.sum(), atol=0.04)


@pytest.mark.parametrize("strategy", [G.Greedy(), G.Beam(3)], ids=["greedy", "beam"])
def test_what_was_looked_at(strategy):
    speaker = decoder()
    found = decode(speaker, strategy, return_attention=True)
    for row in range(ROWS):
        ids = np.array([[START, *words(found["token_ids"][row, 0])]], "int32")
        memory = speaker.remember(keras.ops.convert_to_tensor(CONTEXT[row : row + 1]))
        state = speaker.initial_state(memory, 6)
        for place in range(ids.shape[1] - 1):
            _, state = speaker.step(keras.ops.convert_to_tensor(ids[:, place]), place, state, memory)
            expected = array(state["attention"])[0]
            np.testing.assert_allclose(found["attention"][row, 0, place], expected, atol=1e-4)


def test_rows_do_not_depend_on_each_other():
    speaker = decoder()
    together = decode(speaker, G.Beam(3), 7)
    for row in range(ROWS):
        alone = decode(speaker, G.Beam(3), 7, context=CONTEXT[row : row + 1])
        np.testing.assert_array_equal(alone["token_ids"][0], together["token_ids"][row])


@pytest.mark.parametrize("strategy", [G.Greedy(), G.Beam(20, num_return=20)], ids=["greedy", "more beams than words"])
def test_one_word(strategy):
    speaker = decoder()
    found = decode(speaker, strategy, length=1)
    for row, slow in enumerate(references(speaker)):
        expected = reference.everything(slow, END, 1)[: strategy.num_return]
        np.testing.assert_array_equal(
            found["token_ids"][row, : len(expected), 0], [sentence[0] for _, sentence in expected]
        )


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "XLA"])
@pytest.mark.parametrize("kind", ["additive", "transformer"])
def test_compiled(kind, jit):
    speaker = decoder(kind=kind)
    context = keras.Input((None, 6))
    for strategy in (G.Greedy(), G.Beam(3, num_return=2)):
        layer = G.Decode(speaker, strategy, start_id=START, end_id=END, max_length=6, return_attention=True)
        model = keras.Model(context, layer(context))
        model.compile(jit_compile=jit)
        plain = {name: array(x) for name, x in layer(CONTEXT).items()}
        found = model.predict_on_batch(CONTEXT)
        assert {name: x.shape[1:] for name, x in found.items()} == {
            name: (*x.shape[1:-1], plain[name].shape[-1]) for name, x in model.output.items()
        }
        for name, expected in plain.items():
            np.testing.assert_allclose(found[name], expected, atol=1e-4)
        before = found["scores"]
        speaker.set_weights([1.5 * weight for weight in speaker.get_weights()])
        assert np.abs(model.predict_on_batch(CONTEXT)["scores"] - before).max() > 1e-2


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["additive", "transformer"])
def test_samplers_of_keras_hub_drive_a_decoder(kind):
    """A decoder's contract is enough for theirs; their greedy sampler says what ours says."""
    import keras_hub

    speaker = decoder(kind=kind)
    memory = speaker.remember(CONTEXT)

    def following(prompt, cache, index):
        logits, cache = speaker.step(keras.ops.take(prompt, index - 1, axis=1), index - 1, cache, memory)
        # They may say padding and go on behind the end; ours does neither.
        return logits - 1e9 * keras.ops.one_hot(0, VOCABULARY), None, cache

    prompt = np.array([[START, *[0] * 6]] * ROWS, "int32")
    sampler = keras_hub.samplers.GreedySampler()
    told = array(sampler(following, prompt, cache=speaker.initial_state(memory, 6), index=1, stop_token_ids=(END,)))
    ours = decode(speaker, G.Greedy())["token_ids"][:, 0]
    assert [words(ids[1:]) for ids in told] == [words(ids) for ids in ours]


def test_decode_from_config():
    layer = G.Decode(
        decoder(),
        G.Beam(3, length_penalty=0.5, num_return=2),
        start_id=START,
        end_id=END,
        max_length=6,
        min_length=1,
        repetition_penalty=1.5,
        forbidden_ids=(0, 5),
    )
    other = G.Decode.from_config(layer.get_config())
    assert other.get_config() == layer.get_config()
    other(CONTEXT)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(other(CONTEXT)["token_ids"]), array(layer(CONTEXT)["token_ids"]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: G.Beam(0), "`num_beams` must be a positive integer"),
        (lambda: G.Beam(3, num_return=1.5), "`num_return` must be a positive integer"),
        (lambda: G.Sample(top_k=2.5), "`top_k` must be a positive integer"),
        (lambda: G.Beam(2, num_return=3), "`num_return` must be from 1 to num_beams=2"),
        (lambda: G.Beam(2, length_penalty=-1), "`length_penalty` must be a number from 0 on"),
        (lambda: G.Sample(0), "`temperature` must be above 0"),
        (lambda: G.Sample(top_k=0), "`top_k` must be a positive integer"),
        (lambda: G.Sample(top_p=1.5), "`top_p` must be above 0"),
        (lambda: decode(decoder(), G.Sample()), "Sample needs `noise`"),
        (lambda: decode(decoder(), "greedy"), "Decode needs a mm.layers.Decoder and a strategy"),
        (lambda: decode(decoder(), G.Greedy(), length=0), "`max_length` must be a positive integer"),
        (lambda: decode(decoder(), G.Greedy(), min_length=6), "`min_length` below it"),
        (lambda: decode(decoder(), G.Greedy(), repetition_penalty=0), "`repetition_penalty` must be above 0"),
        (lambda: decode(decoder(), G.Greedy(), forbidden_ids=(0, END)), "the end mark neither 0 nor forbidden"),
        (lambda: decode(decoder(), G.Greedy(), forbidden_ids=(99,)), "Ids must be below 8"),
        (lambda: decode(decoder(kind=None), G.Greedy(), return_attention=True), "there is no attention to return"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
