"""One sentence per row, word by word: what greedy search and sampling share."""

import keras
from keras import ops

from mmkeras.generation.strategy import Search, one_word, write


def walk(search: Search, choose, count=1):
    """Say sentences, each word chosen from what the words before leave.

    Args:
        search: what is searched.
        choose: function of logarithms (row, vocabulary) and the place of the word that gives words (row,).
        count: how many sentences per sample.

    Returns:
        Dict as `Strategy.search` gives it.
    """
    decoder, rules, length = search.decoder, search.rules, search.max_length
    memory, state, prefix_ids = search.repeated(count)
    structure, flat = state, keras.tree.flatten(state)
    rows = search.rows() * count
    keeps_seen, keeps_attention = rules.repetition_penalty != 1.0, search.return_attention
    start = {
        "index": ops.zeros((), "int32"),
        "word": ops.full((rows,), search.start_id, "int32"),
        "done": ops.zeros((rows,), "bool"),
        "ids": ops.zeros((rows, length), "int32"),
        "sum": ops.zeros((rows,), "float32"),
    }
    if keeps_seen:
        start["seen"] = ops.zeros((rows, decoder.vocabulary_size), "bool")
    if keeps_attention:
        start["attention"] = ops.repeat(ops.zeros_like(state["attention"])[:, None, :], length, axis=1)
    names = list(start)

    def unfinished(*variables):
        return ops.logical_and(variables[0] < length, ops.logical_not(ops.all(variables[2])))

    def say(*variables):
        now = dict(zip(names, variables, strict=False))
        index, done = now["index"], now["done"]
        state = keras.tree.pack_sequence_as(structure, list(variables[len(names) :]))
        logits, state = decoder.step(now["word"], index, state, memory)
        forced = None if prefix_ids is None else ops.take(prefix_ids, index, axis=1)
        ranked, probable = rules(logits, index, now.get("seen"), forced)
        word = ops.where(done, 0, ops.cast(choose(ranked, index), "int32"))
        then = {
            "index": index + 1,
            "word": word,
            "done": ops.logical_or(done, ops.equal(word, rules.end_id)),
            "ids": write(now["ids"], index, word, -1),
            # Without penalties a word is chosen by its probability, and there is nothing else to keep.
            "sum": now["sum"] + ops.where(done, 0.0, one_word(probable if keeps_seen else ranked, word)),
        }
        if keeps_seen:
            said = ops.equal(ops.arange(decoder.vocabulary_size, dtype="int32"), word[:, None])
            then["seen"] = ops.logical_or(now["seen"], said)
        if keeps_attention:
            looked_at = ops.where(done[:, None], 0.0, state["attention"])
            then["attention"] = write(now["attention"], index, looked_at, -2)
        return (*then.values(), *keras.tree.flatten(state))

    made = dict(zip(names, ops.while_loop(unfinished, say, (*start.values(), *flat)), strict=False))
    found = {
        "token_ids": ops.reshape(made["ids"], (-1, count, length)),
        "scores": ops.reshape(made["sum"], (-1, count)),
        "log_probabilities": ops.reshape(made["sum"], (-1, count)),
    }
    if keeps_attention:
        found["attention"] = ops.reshape(made["attention"], (-1, count, *ops.shape(made["attention"])[1:]))
    return found
