"""Sentences of recognisers that say one id per frame."""

from typing import NamedTuple

import keras
import numpy as np

from mmkeras.generation.strategy import check_counts


@keras.saving.register_keras_serializable(package="mmkeras")
class CTCGreedy(keras.layers.Layer):
    """The likeliest id of each frame, repetitions merged, blanks (0) left out: part of the graph, wherever it runs.

    Call arguments:
        logits: tensor (batch, time, vocabulary), such as `mm.layers.CTCHead` gives.

    Output shape: dict of `token_ids` (batch, time), int32, 0 behind the end; and `log_probabilities` (batch,), of the
    likeliest path, which is one of those that say the sentence.

    Example:

    >>> logits = keras.ops.one_hot(ops.array([[2, 2, 0, 2, 3, 0]]), 4)
    >>> np.asarray(CTCGreedy()(logits)["token_ids"]).tolist()
    [[2, 2, 3, 0, 0, 0]]
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, logits):
        ops = keras.ops
        logits = ops.cast(logits, "float32")
        likeliest, ids = ops.top_k(logits, 1)
        ids = ops.cast(ids[..., 0], "int32")
        before = ops.concatenate([ops.zeros_like(ids[:, :1]), ids[:, :-1]], axis=1)
        said = ops.logical_and(ids > 0, ops.not_equal(ids, before))
        # What is said moves to the front in its order.
        places = ops.cumsum(ops.ones_like(logits[..., 0]), axis=1)
        order = ops.argsort(ops.where(said, places, places + ops.max(places)), axis=1)
        found = ops.take_along_axis(ops.where(said, ids, 0), order, axis=1)
        sums = ops.sum(likeliest[..., 0] - ops.logsumexp(logits, axis=-1), axis=1)
        return {"token_ids": ops.cast(found, "int32"), "log_probabilities": sums}

    def compute_output_spec(self, logits):
        return {
            "token_ids": keras.KerasTensor(logits.shape[:2], "int32"),
            "log_probabilities": keras.KerasTensor(logits.shape[:1], "float32"),
        }


class Recognised(NamedTuple):
    """A sentence as token ids, and the logarithm of its probability, over all paths that were followed.

    Example:

    >>> Recognised([2, 3], -0.5).token_ids
    [2, 3]
    """

    token_ids: list[int]
    log_probability: float


def ctc_beam(logits, num_beams=10, *, num_return=1):
    """Find the likeliest sentences of recognisers that say one id per frame, outside of the graph.

    A sentence is as likely as all paths that say it together, and a beam search over beginnings of sentences adds them
    up; `CTCGreedy` knows the likeliest path only. With enough beams the result is exact.

    Args:
        logits: array (batch, time, vocabulary), or (time, vocabulary) of one sample; id 0 is the blank.
        num_beams: how many beginnings are followed.
        num_return: how many sentences are returned for each sample, at most `num_beams`.

    Returns:
        For each sample a list of `Recognised`, the likeliest first, fewer where fewer are possible; for one sample
        that list.

    Example:

    >>> (best,) = ctc_beam(np.log([[0.4, 0.6, 1e-9], [0.4, 1e-9, 0.6]]))
    >>> best.token_ids, round(float(np.exp(best.log_probability)), 2)
    ([1, 2], 0.36)

    References:
        Graves et al. 2006, Connectionist Temporal Classification. Hannun et al. 2014, First-Pass Large Vocabulary
        Continuous Speech Recognition using Bi-Directional Recurrent DNNs.
    """
    check_counts(num_beams=num_beams, num_return=num_return)
    logits = np.asarray(keras.ops.convert_to_numpy(logits), "float64")
    if num_return > num_beams or logits.ndim not in (2, 3):
        raise ValueError(
            "`logits` must be (batch, time, vocabulary) or (time, vocabulary), and `num_return` at most `num_beams`. "
            f"Received: shape {logits.shape}, num_beams={num_beams}, num_return={num_return}"
        )
    if logits.ndim == 3:
        return [ctc_beam(sample, num_beams, num_return=num_return) for sample in logits]
    # Logarithms of the probability of each beginning, by whether its last frame was blank.
    beams = {(): (0.0, -np.inf)}
    for frame in logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True):
        following = {}
        candidates = np.argsort(-frame[1:])[: 2 * num_beams] + 1
        for said, (blank, word) in beams.items():
            either = np.logaddexp(blank, word)
            _add(following, said, either + frame[0], -np.inf)
            if said:
                # The same id again, without a blank between, is the same word.
                _add(following, said, -np.inf, word + frame[said[-1]])
            for candidate in candidates.tolist():
                before = blank if said and said[-1] == candidate else either
                # Twice the same needs a blank between, for which there may have been no frame.
                if before > -np.inf:
                    _add(following, (*said, candidate), -np.inf, before + frame[candidate])
        ranked = sorted(following.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = dict(ranked[:num_beams])
    return [Recognised(list(said), float(np.logaddexp(*sums))) for said, sums in list(beams.items())[:num_return]]


def _add(beams, said, blank, word):
    known = beams.get(said, (-np.inf, -np.inf))
    beams[said] = (np.logaddexp(known[0], blank), np.logaddexp(known[1], word))
