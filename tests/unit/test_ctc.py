"""Recognisers that say one id per frame: head, loss, greedy and beam decoding, against all paths."""

import itertools

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import floats

G = mm.generation


def collapsed(path):
    return [word for word, _ in itertools.groupby(path) if word]


def all_sentences(logits):
    """Probability of every sentence, summed over all paths."""
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    found = {}
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        said = tuple(collapsed(path))
        found[said] = found.get(said, 0.0) + np.prod([p[time, word] for time, word in enumerate(path)])
    return found


def test_greedy_is_the_likeliest_path():
    logits = 2 * floats(6, 9, 4)
    found = {name: array(x) for name, x in G.CTCGreedy()(logits).items()}
    paths = logits.argmax(axis=-1)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    for row, path in enumerate(paths):
        said = collapsed(path)
        assert found["token_ids"][row].tolist() == said + [0] * (9 - len(said))
        assert found["log_probabilities"][row] == pytest.approx(log_p[row].max(axis=-1).sum(), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_beams_that_hold_everything_find_the_likeliest_sentence(seed):
    logits = floats(5, 3, seed=seed)
    expected = sorted(all_sentences(logits).items(), key=lambda item: -item[1])
    found = G.ctc_beam(logits, 400, num_return=4)
    assert len(found) == 4
    for sentence, (said, probability) in zip(found, expected, strict=False):
        assert sentence.token_ids == list(said)
        assert np.exp(sentence.log_probability) == pytest.approx(probability, rel=1e-6)


def test_a_beam_finds_what_the_likeliest_path_does_not():
    """The likeliest path says nothing; most paths say 1."""
    logits = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert array(G.CTCGreedy()(logits[None].astype("float32"))["token_ids"]).tolist() == [[0, 0]]
    (best,), (again,) = G.ctc_beam(logits), G.ctc_beam(logits[None])[0]
    assert best.token_ids == again.token_ids == [1]
    assert np.exp(best.log_probability) == pytest.approx(1 - 0.36)
    # Two frames say nothing or 1; the same word twice needs a third.
    assert [sentence.token_ids for sentence in G.ctc_beam(logits, num_return=5)] == [[1], []]


def test_padding_changes_neither_loss_nor_sentence():
    head = mm.layers.CTCHead(5)
    tokens, targets = floats(2, 4, 3), np.array([[1, 2], [3, 0]], "int32")
    alone = head(tokens)
    padded = head(np.pad(tokens, [(0, 0), (0, 3), (0, 0)], constant_values=9.0), mask=np.arange(7) < [[4], [4]])
    loss = keras.losses.CTC(reduction=None)
    np.testing.assert_allclose(array(loss(targets, padded)), array(loss(targets, alone)), rtol=1e-5)
    expected = [-np.log(all_sentences(array(alone)[row])[said]) for row, said in enumerate([(1, 2), (3,)])]
    np.testing.assert_allclose(array(loss(targets, alone)), expected, rtol=1e-4)
    ids = [array(G.CTCGreedy()(logits)["token_ids"]) for logits in (alone, padded)]
    np.testing.assert_array_equal(ids[1][:, :4], ids[0])
    np.testing.assert_array_equal(ids[1][:, 4:], 0)
    assert not hasattr(padded, "_keras_mask") or padded._keras_mask is None


def test_it_learns_where_nobody_said_when():
    """Two tones at unknown times, one after the other, to two words."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = 0.1 * rng.normal(size=(128, 12, 2)).astype("float32"), rng.integers(1, 3, (128, 2))
    for row in range(128):
        for word, start in zip(y[row], (rng.integers(0, 3), rng.integers(6, 9)), strict=True):
            x[row, start : start + 3, word - 1] += 1
    tokens = keras.Input((None, 2))
    model = keras.Model(
        tokens, mm.layers.CTCHead(3)(keras.layers.Conv1D(8, 3, padding="same", activation="relu")(tokens))
    )
    model.compile(keras.optimizers.Adam(0.05), keras.losses.CTC())
    model.fit(x, y, epochs=15, batch_size=32, verbose=0)
    said = array(G.CTCGreedy()(model.predict(x, verbose=0))["token_ids"])
    assert (said[:, :2] == y).all(axis=1).mean() > 0.95
    assert (said[:, 2:] == 0).all(axis=1).mean() > 0.95


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mm.layers.CTCHead(0), "the blank and a word"),
        (lambda: mm.layers.CTCHead(5, activation="softmax"), "gives logits"),
        (lambda: G.ctc_beam(np.zeros(3)), r"`logits` must be \(batch, time, vocabulary\)"),
        (lambda: G.ctc_beam(np.zeros((2, 3)), 2, num_return=3), "`num_return` at most `num_beams`"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
