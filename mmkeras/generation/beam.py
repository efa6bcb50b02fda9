"""Several beginnings at once."""

import keras
from keras import ops

from mmkeras.generation.strategy import IMPOSSIBLE, Strategy, check_counts, write


@keras.saving.register_keras_serializable(package="mmkeras")
class Beam(Strategy):
    """Keep the likeliest beginnings of sentences and go on with all of them.

    At each place the `2 * num_beams` likeliest continuations of all beginnings are found. Those among the first
    `num_beams` that end a sentence finish it; the likeliest others are the beginnings of the next place. A finished
    sentence scores

        score = log p(sentence) / length^length_penalty

    with the end mark counted in; a sentence that reaches the maximum length scores as it is. A sample is done when no
    beginning can still beat what is finished, which its own score at the maximum length bounds from above: the result
    is that of a search to the end. One beam without length penalty is greedy search.

    Args:
        num_beams: how many beginnings are kept.
        length_penalty: exponent of the length; 0 for none, which favours short sentences, 1 for the mean over words.
        num_return: how many of the best sentences are given for each sample, the best first.

    Example:

    >>> beam = Beam(4, num_return=2)
    >>> decode = mm.generation.Decode(mm.layers.LSTMDecoder(9, 4), beam, start_id=2, end_id=3, max_length=5)
    >>> tuple(decode(ops.ones((2, 7, 8)))["scores"].shape)
    (2, 2)

    References:
        Wu et al. 2016, Google's Neural Machine Translation System.
    """

    def __init__(self, num_beams=4, *, length_penalty=1.0, num_return=1):
        check_counts(num_beams=num_beams, num_return=num_return)
        if not length_penalty >= 0:
            raise ValueError(f"`length_penalty` must be a number from 0 on. Received: length_penalty={length_penalty}")
        if num_return > num_beams:
            raise ValueError(f"`num_return` must be from 1 to num_beams={num_beams}. Received: num_return={num_return}")
        self.num_beams = num_beams
        self.length_penalty = float(length_penalty)
        self.num_return = num_return

    def search(self, search):
        decoder, rules, length, beams = search.decoder, search.rules, search.max_length, self.num_beams
        memory, state, prefix_ids = search.repeated(beams)
        structure, flat = state, keras.tree.flatten(state)
        batch, vocabulary = search.rows(), decoder.vocabulary_size
        each = min(2 * beams, vocabulary)
        first = ops.arange(beams, dtype="int32") > 0
        worthless = ops.full((batch, beams), IMPOSSIBLE, "float32")
        start = {
            "index": ops.zeros((), "int32"),
            "done": ops.zeros((batch,), "bool"),
            "word": ops.full((batch * beams,), search.start_id, "int32"),
            # One beginning, the empty one.
            "ranked": ops.where(first[None, :], worthless, 0.0),
            "score": worthless,
        }
        # What belongs to a sentence, begun and finished.
        begun = {
            "ids": ops.zeros((batch, beams, length), "int32"),
            "sum": ops.zeros((batch, beams), "float32"),
        }
        if search.return_attention:
            looked_at = ops.reshape(ops.zeros_like(state["attention"]), (batch, beams, 1, -1))
            begun["attention"] = ops.repeat(looked_at, length, axis=2)
        if rules.repetition_penalty != 1.0:
            start["seen"] = ops.zeros((batch * beams, vocabulary), "bool")
        names, kept = list(start), list(begun)

        def unfinished(*variables):
            return ops.logical_and(variables[0] < length, ops.logical_not(ops.all(variables[1])))

        def say(*variables):
            now = dict(zip(names, variables, strict=False))
            rest = list(variables[len(names) :])
            before, finished = (dict(zip(kept, rest[place * len(kept) :], strict=False)) for place in (0, 1))
            index = now["index"]
            state = keras.tree.pack_sequence_as(structure, rest[2 * len(kept) :])
            logits, state = decoder.step(now["word"], index, state, memory)
            forced = None if prefix_ids is None else ops.take(prefix_ids, index, axis=1)
            ranked, probable = rules(logits, index, now.get("seen"), forced)
            alive = ops.where(now["done"][:, None], IMPOSSIBLE, now["ranked"])
            # What is best of all is among the best of its beginning.
            ranked, words = ops.top_k(ranked, each)
            best, place = ops.top_k(_joined(alive, ranked), 2 * beams)
            best, place = ops.maximum(best, IMPOSSIBLE), ops.cast(place, "int32")
            words = ops.reshape(ops.cast(words, "int32"), (-1, beams * each))
            parent, word = place // each, ops.take_along_axis(words, place, axis=1)
            longer = {"ids": write(_picked(before["ids"], parent), index, word, -1)}
            longer["sum"] = best
            if rules.repetition_penalty != 1.0:
                longer["sum"] = ops.take_along_axis(
                    _joined(before["sum"], probable), parent * vocabulary + word, axis=1
                )
            if "attention" in before:
                seen_here = ops.reshape(state["attention"], (-1, beams, *ops.shape(state["attention"])[1:]))
                longer["attention"] = write(_picked(before["attention"], parent), index, _picked(seen_here, parent), -2)
            ends = ops.equal(word, rules.end_id)
            ending = ops.logical_and(ends, best > IMPOSSIBLE / 2)
            score, finished = self._best(
                now["score"],
                finished,
                ops.where(ending, self._score(best, index + 1), IMPOSSIBLE)[:, :beams],
                {name: x[:, :beams] for name, x in longer.items()},
            )
            going, order = ops.top_k(ops.where(ends, IMPOSSIBLE, best), beams)
            order = ops.cast(order, "int32")
            parent, word = (ops.take_along_axis(x, order, axis=1) for x in (parent, word))
            rows = ops.reshape(parent + ops.arange(batch, dtype="int32")[:, None] * beams, (-1,))
            # The best that a beginning can come to, since every further word costs.
            hope = self._score(going[:, 0], length)
            hopeless = ops.logical_or(going[:, 0] <= IMPOSSIBLE / 2, score[:, self.num_return - 1] >= hope)
            then = {
                "index": index + 1,
                "done": ops.logical_or(now["done"], hopeless),
                "word": ops.reshape(word, (-1,)),
                "ranked": going,
                "score": score,
            }
            if "seen" in now:
                said = ops.equal(ops.arange(vocabulary, dtype="int32"), then["word"][:, None])
                then["seen"] = ops.logical_or(ops.take(now["seen"], rows, axis=0), said)
            before = {name: _picked(x, order) for name, x in longer.items()}
            state = [ops.take(x, rows, axis=0) for x in keras.tree.flatten(state)]
            return (*then.values(), *before.values(), *finished.values(), *state)

        variables = (*start.values(), *begun.values(), *begun.values(), *flat)
        made = ops.while_loop(unfinished, say, variables)
        last = dict(zip(names, made, strict=False))
        begun, finished = (dict(zip(kept, made[len(names) + place * len(kept) :], strict=False)) for place in (0, 1))
        # Sentences that reached the maximum length without an end.
        cut = ops.where(last["done"][:, None], IMPOSSIBLE, last["ranked"])
        cut = ops.where(cut > IMPOSSIBLE / 2, self._score(cut, length), IMPOSSIBLE)
        score, found = self._best(last["score"], finished, cut, begun)
        real = score > IMPOSSIBLE / 2
        chosen = {
            "token_ids": ops.where(real[..., None], found["ids"], 0),
            "scores": score,
            "log_probabilities": ops.where(real, found["sum"], IMPOSSIBLE),
        }
        if "attention" in found:
            chosen["attention"] = found["attention"]
        return {name: x[:, : self.num_return] for name, x in chosen.items()}

    def _score(self, ranked, length):
        if self.length_penalty == 0.0:
            return ranked
        return ranked / ops.power(ops.cast(length, "float32"), self.length_penalty)

    def _best(self, score, sentences, other_score, others):
        """The best `num_beams` of two lots of sentences."""
        score, order = ops.top_k(ops.concatenate([score, other_score], axis=1), self.num_beams)
        order = ops.cast(order, "int32")
        both = {name: ops.concatenate([x, others[name]], axis=1) for name, x in sentences.items()}
        return score, {name: _picked(x, order) for name, x in both.items()}

    def get_config(self):
        return {
            "num_beams": self.num_beams,
            "length_penalty": self.length_penalty,
            "num_return": self.num_return,
        }


def _joined(sums, steps):
    """Sums of beginnings (batch, beam) and steps (batch * beam, word) as sums (batch, beam * word)."""
    beams, vocabulary = sums.shape[1], steps.shape[1]
    joined = sums[:, :, None] + ops.reshape(steps, (-1, beams, vocabulary))
    return ops.reshape(joined, (-1, beams * vocabulary))


def _picked(x, places):
    """Some entries of axis 1: (batch, from, ...) and (batch, to) -> (batch, to, ...)."""
    places = ops.reshape(places, (*ops.shape(places), *[1] * (len(x.shape) - 2)))
    return ops.take_along_axis(x, places, axis=1)
