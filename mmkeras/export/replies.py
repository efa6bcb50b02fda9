"""Outputs put in words, in NumPy: what a served model answers, from what its network gives.

It runs wherever an answer is read, also without TensorFlow and Keras; `mmkeras.export.functions` says the same in a
graph, and every export compares the two.
"""

import numpy as np

# At least even odds: that a class holds, where any number may.
HOLDS = 0.5


def in_words(outputs, replies, pieces):
    """Turn the outputs of a network into what a raw signature answers.

    Args:
        outputs: dict of arrays, one row per sample.
        replies: dict output -> how it is put in words (see `mm.models.Endpoint`).
        pieces: dict part -> what `Text.pieces` says of it.

    Returns:
        Dict of arrays. Of classes the name of the best, its probability (`_score`) and all (`_probabilities`), or the
        names of those that hold, empty strings for the others; of token ids the sentences as bytes; numbers are left.

    Example:

    >>> outputs = {"label": np.array([[0.25, 0.75]])}
    >>> answer = in_words(outputs, {"label": {"kind": "class", "names": ["cat", "dog"]}}, {})
    >>> answer["label"].tolist(), answer["label_score"].tolist()
    ([b'dog'], [0.75])
    """
    answer = {}
    single = _says_one_sentence(outputs, replies)
    for name, values in outputs.items():
        reply = replies.get(name, {"kind": "numbers"})
        if reply["kind"] == "sentence":
            values = values[:, 0] if single else values
            answer[reply["name"]] = sentences(values, *pieces[reply["part"]])
        elif reply["kind"] == "class":
            names = np.array([name.encode() for name in reply["names"]], object)
            answer[name] = names[values.argmax(axis=-1)]
            answer[f"{name}_score"] = values.max(axis=-1)
            answer[f"{name}_probabilities"] = values
        elif reply["kind"] == "classes":
            names = np.array([name.encode() for name in reply["names"]], object)
            answer[name] = np.where(values >= HOLDS, names, np.array(b"", object))
            answer[f"{name}_probabilities"] = values
        else:
            answer[name] = values[:, 0] if single and name in ("scores", "log_probabilities") else values
    return answer


def sentences(ids, words, between, strips, end):
    """Sentences of token ids (..., time), as an array (...) of bytes, by what `Text.pieces` says."""
    rows = np.asarray(ids)
    said = np.empty(rows.shape[:-1], object)
    for place in np.ndindex(said.shape):
        row = rows[place].tolist()
        row = row[: row.index(end)] if end in row else row
        sentence = between.join(words[index] for index in row if words[index])
        said[place] = sentence.strip(b" ") if strips else sentence
    return said


def plain(answer, row):
    """One row of an answer as plain Python values: strings decoded, and steps of padding left out (`there`)."""
    found = {}
    there = answer["there"][row] > 0 if "there" in answer else None
    if there is not None:
        answer = {
            name: [values[row][there]] if np.shape(values[row])[:1] == there.shape else [values[row]]
            for name, values in answer.items()
            if name != "there"
        }
        return plain(answer, 0)
    for name, values in answer.items():
        value = values[row].tolist() if isinstance(values[row], np.ndarray) else values[row]
        value = value.item() if isinstance(value, np.generic) else value
        found[name] = _text(value)
    return found


def _text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_text(item) for item in value] if isinstance(value, list) else value


def _says_one_sentence(outputs, replies):
    """Whether token ids have an axis for several sentences of which there is one."""
    said = [outputs[name] for name, reply in replies.items() if reply["kind"] == "sentence"]
    return bool(said) and said[0].ndim == 3 and said[0].shape[1] == 1
