"""Generation, slow and obvious: what the loops in the graph must agree with."""

import itertools

import numpy as np


def log_softmax(x):
    x = np.asarray(x, "float64")
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


class Speaker:
    """Logits of the next word, asked of a model by whole sentences, for one context."""

    def __init__(self, model, context, start_id, length=8):
        self.model, self.context, self.start_id, self.length = model, context[None], start_id, length
        self.known = {}

    def __call__(self, words):
        key = tuple(words)
        if key not in self.known:
            # Words behind the last one change nothing before them.
            ids = np.zeros((1, self.length), "int32")
            ids[0, : len(words) + 1] = [self.start_id, *words]
            logits = np.asarray(self.model.predict_on_batch([ids, self.context]))
            self.known[key] = logits[0, len(words)].astype("float64")
        return self.known[key]

    def log_probability(self, words):
        return sum(log_softmax(self(words[:place]))[word] for place, word in enumerate(words))


def allowed(index, word, *, end_id, forbidden=(0,), min_length=0, prefix=()):
    if index < len(prefix):
        return word == prefix[index]
    return word not in forbidden and not (word == end_id and index < min_length)


def penalised(logits, words, penalty):
    logits = logits.copy()
    for word in set(words):
        logits[word] = logits[word] / penalty if logits[word] > 0 else logits[word] * penalty
    return logits


def greedy(speaker, end_id, max_length, *, penalty=1.0, choose=None, **rules):
    words = []
    while len(words) < max_length and (not words or words[-1] != end_id):
        ranked = log_softmax(penalised(speaker(words), words, penalty))
        for word in range(len(ranked)):
            if not allowed(len(words), word, end_id=end_id, **rules):
                ranked[word] = -1e9
        words.append(int(ranked.argmax()) if choose is None else choose(ranked, len(words)))
    return words


def everything(speaker, end_id, max_length, length_penalty=1.0, **rules):
    """All sentences there are with their scores, the best first."""
    vocabulary = range(len(speaker([])))
    found = []
    for length in range(1, max_length + 1):
        for words in itertools.product(vocabulary, repeat=length):
            ends = end_id in words
            if (ends and words.index(end_id) < length - 1) or (not ends and length < max_length):
                continue
            if all(allowed(place, word, end_id=end_id, **rules) for place, word in enumerate(words)):
                found.append((speaker.log_probability(list(words)) / length**length_penalty, list(words)))
    return sorted(found, key=lambda pair: -pair[0])


def beam(speaker, end_id, max_length, num_beams, length_penalty=1.0, penalty=1.0, **rules):
    """Beam search to the very end, without stopping early; all finished sentences, the best first."""
    alive, finished = [(0.0, [])], []
    for index in range(max_length):
        candidates = []
        for total, words in alive:
            ranked = log_softmax(penalised(speaker(words), words, penalty))
            for word in range(len(ranked)):
                if allowed(index, word, end_id=end_id, **rules):
                    candidates.append((total + ranked[word], [*words, word]))
        candidates.sort(key=lambda pair: -pair[0])
        candidates = candidates[: 2 * num_beams]
        for total, words in candidates[:num_beams]:
            if words[-1] == end_id:
                finished.append((total / len(words) ** length_penalty, words))
        alive = [pair for pair in candidates if pair[1][-1] != end_id][:num_beams]
    finished += [(total / max_length**length_penalty, words) for total, words in alive]
    return sorted(finished, key=lambda pair: -pair[0])[:num_beams]
