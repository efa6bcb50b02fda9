"""Do these two belong together? A head that looks at both, and how it is taught."""

import keras
import numpy as np
from keras import ops

from mmkeras.layers import PaddingMask, pooling_layer
from mmkeras.losses.pairs import mean_where
from mmkeras.models.groups import fold

# How strongly negatives near the anchor are preferred: cosines 0.1 apart differ by e^2 in how often they are drawn.
_SHARPNESS = 20.0


def matching_model(matcher, encodings, dim):
    """Build the model from what is known of two samples to the probability that they match.

    `sigmoid(w silu(W [matcher(tokens); e1 * e2] + b) + c)`: the products of the embeddings, whose sum is their
    cosine, give it what a search knows already.

    Args:
        matcher: a fusion layer.
        encodings: dict of two symbolic encodings by modality.
        dim: size of the embeddings.

    Returns:
        A functional `keras.Model` from `<modality>` (batch, dim) and `<modality>_tokens`, padded with zeros, of both to
        `match` (batch,).
    """
    tokens = {name: keras.Input(x.shape[1:], name=f"{name}_tokens") for name, x in encodings.items()}
    embeddings = {name: keras.Input((dim,), name=name) for name in encodings}
    masked = {name: PaddingMask(name=f"{name}_mask")(x) if len(x.shape) == 3 else x for name, x in tokens.items()}
    fused = matcher(masked)
    if len(fused.shape) == 3:
        fused = pooling_layer("avg", name="pooling")(fused)
    products = keras.layers.Multiply(name="products")(list(embeddings.values()))
    features = keras.layers.Concatenate(name="features")([fused, products])
    hidden = keras.layers.Dense(dim, activation="silu", name="hidden")(features)
    match = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(hidden)
    match = keras.layers.Reshape((), dtype="float32", name="match")(match)
    return keras.Model([*embeddings.values(), *tokens.values()], {"match": match}, name="matching")


def matching_loss(model, first, second, outputs, seed, training):
    """Cross-entropy of telling each pair from the same with one side exchanged for a hard negative.

    For every row of `first` with a partner and a negative: the pair itself, the row with the negative, and a row of
    `first` that is a negative of the partner with the partner. Negatives are drawn from the batch, the nearer the
    likelier; outside of training the nearest is taken.

    Args:
        model: what `matching_model` made.
        first: the `Rows` of one modality.
        second: the `Rows` of the other.
        outputs: two dicts of what the model reads of each, (batch, ...) or (batch, group, ...).
        seed: a `keras.random.SeedGenerator`.
        training: whether to draw.

    Returns:
        Scalar tensor, 0 where nothing can be asked.
    """
    ranks = {tensor.name: len(tensor.shape) for tensor in model.inputs}
    positives = ops.equal(first.groups[:, None], second.groups[None, :])
    negatives = ops.logical_not(positives)
    for side, flags in ((first.valid, lambda x: x[:, None]), (second.valid, lambda x: x[None, :])):
        if side is not None:
            positives, negatives = (ops.logical_and(x, flags(side)) for x in (positives, negatives))
    scores = ops.stop_gradient(ops.matmul(first.embeddings, ops.transpose(second.embeddings))) * _SHARPNESS
    partner = _choose(ops.zeros_like(scores), positives, seed, training)
    other_second = _choose(scores, negatives, seed, training)
    towards_partner = [ops.transpose(ops.take(x, partner, axis=1)) for x in (scores, negatives)]
    other_first = _choose(*towards_partner, seed, training)
    counted = ops.logical_and(
        ops.any(positives, axis=1), ops.logical_and(ops.any(negatives, axis=1), ops.any(towards_partner[1], axis=1))
    )
    rows = ops.arange(ops.shape(scores)[0])
    sides = (rows, rows, other_first), (partner, other_second, partner)
    pairs = {
        name: ops.concatenate([ops.take(fold(x) if len(x.shape) > ranks[name] else x, index, axis=0) for index in side])
        for given, side in zip(outputs, sides, strict=True)
        for name, x in given.items()
    }
    probability = model(pairs, training=training)["match"]
    truth = ops.concatenate([ops.ones_like(rows), ops.zeros_like(rows), ops.zeros_like(rows)])
    terms = keras.losses.binary_crossentropy(ops.cast(truth, "float32")[:, None], probability[:, None])
    return mean_where(terms, ops.concatenate([counted] * 3))


def _choose(scores, allowed, seed, training):
    """One column for each row: drawn by the softmax of the scores in training, else the highest; any where none is."""
    scores = ops.where(allowed, ops.cast(scores, "float32"), -1e9)
    if training:
        return ops.cast(keras.random.categorical(scores, 1, dtype="int32", seed=seed)[:, 0], "int32")
    return ops.cast(ops.argmax(scores, axis=1), "int32")


def match_pairs(model, outputs, rows, batch_size):
    """Probabilities that rows of one modality match rows of another, a batch of pairs at a time.

    Args:
        model: what `matching_model` made.
        outputs: two dicts of what the model reads of each modality, arrays.
        rows: two integer arrays (pairs,), the rows of a pair in each.
        batch_size: number of pairs computed together.

    Returns:
        Array (pairs,).
    """
    found = []
    for start in range(0, len(rows[0]), batch_size):
        chosen = [side[start : start + batch_size] for side in rows]
        batch = {name: x[index] for given, index in zip(outputs, chosen, strict=True) for name, x in given.items()}
        found.append(ops.convert_to_numpy(model.predict_on_batch(batch)["match"]))
    return np.concatenate(found)
