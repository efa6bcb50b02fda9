"""Autoencoders that share their code."""

import functools

import keras
import numpy as np
from keras import ops

from mmkeras.layers import ProjectionHead, ZeroAbsent
from mmkeras.losses import Reconstruction, agreement
from mmkeras.models.branches import check_encoders, encode_modalities
from mmkeras.models.decoders import PIXELS, WORDS, kind_of, make_decoders, to_unit_range, words_missed
from mmkeras.models.embedding_task import EmbeddingTask, without_single_sides
from mmkeras.models.groups import fold, repeat_rows
from mmkeras.models.joint_rows import check_pairs
from mmkeras.ops import num_replicas


@keras.saving.register_keras_serializable(package="mmkeras")
class AutoencoderEmbedding(EmbeddingTask):
    """Embed modalities by autoencoders that share their code, to search across them and to make one of another.

    Each modality has an encoder, a projection head to a code of size `dim`, and a decoder from a code back to its
    input. Nothing is pushed apart as in a `JointEmbedding`, so batches may be small and samples alike. With code c_m
    and decoder d_m of modality m,

    `loss = mean_m R(x_m, d_m(c_m)) + cross_weight * mean_(s, t) R(x_t, d_t(c_s)) + agreement_weight * mean_(s, t)
    ||c_s - c_t||^2`

    over the modalities m, the ordered pairs (s, t) and the pairs. R is the mean squared error (or 1 - cosine) of a
    sample's values, of pixels brought to -1..1, and of a text, as a bag of words, the mean over its words of
    `-log p(word)`. Values of features are taken as they are, padding too: bring them near unit scale, or the largest
    decide.

    Both kinds of terms are needed. The reconstructions alone, with both weights 0, give each modality a code of its
    own that says nothing about the others: search stays at chance. Agreement alone would be perfect with one and the
    same code for all; the reconstructions forbid that, unless `agreement_weight` is so large that it drowns them:
    watch the recall. Agreement also favours small codes, which the layer norm of heads with a `hidden_dim` prevents.

    A sample counts for a term only where it has the modalities of the term; an empty text (all padding) is absent. In
    the grouped form, `token_ids` (batch, group, time), each caption makes a pair with the picture of its sample.

    Args:
        encoders: dict of two or more encoders by modality, each with one input.
        decoders: dict of functional models by modality, from (dim,) to the shape of the input (pixels in -1..1), for
            `token_ids` to logits (vocabulary,); the name of a modality before it stands for its decoder. What is
            missing gets a default, which needs a fixed shape: transposed convolutions for images, a layer of logits
            for text, two dense layers for the rest.
        dim: size of the code.
        hidden_dim: size of the hidden layer of the projection heads; None for linear heads.
        pooling: how token sequences are pooled for the heads: `"avg"`, `"max"`, `"last"` or `"attention"`.
        distance: how values and pixels are compared: `"squared"` or `"cosine"`.
        agreement_weight: weight of the distance between codes.
        cross_weight: weight of reconstructions from the code of another modality.
        pairs: list of pairs of modalities that are decoded from one another and agree; None for all.
        optional: modalities that may be absent.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with the code (batch, dim) under the name of each modality, zero where the modality is absent, and
    `<to>_from_<from>`, the reconstruction of each modality from its own code and from those of its partners: pixels in
    -1..1, log-probabilities (batch, vocabulary) of words, other values as they are.

    Example:

    >>> task = AutoencoderEmbedding(
    ...     {"image": mm.encoders.vgg(2, 8, image_shape=(16, 16, 3)), "text": mm.encoders.lstm(50, 8)}, dim=4
    ... )
    >>> x = {"image": np.zeros((4, 16, 16, 3)), "token_ids": np.arange(20).reshape(4, 5)}
    >>> task.compile()
    >>> history = task.fit(x, verbose=0)
    >>> task.reconstruct({"token_ids": x["token_ids"][0]}, "image", given="text").shape
    (16, 16, 3)

    References:
        Ngiam et al. 2011, Multimodal Deep Learning.
        Feng et al. 2014, Cross-modal Retrieval with Correspondence Autoencoder.
    """

    def __init__(
        self,
        encoders,
        decoders=None,
        *,
        dim=64,
        hidden_dim=None,
        pooling="avg",
        distance="squared",
        agreement_weight=1.0,
        cross_weight=1.0,
        pairs=None,
        optional=(),
        preprocessor=None,
        **kwargs,
    ):
        # === Layers ===
        encoders = check_encoders(encoders)
        pairs = check_pairs(pairs, encoders)
        _check_weights(agreement_weight=agreement_weight, cross_weight=cross_weight)
        heads = {name: ProjectionHead(dim, hidden_dim, pooling=pooling, name=f"{name}_head") for name in encoders}
        # Codes are compared, stored and served in float32 under every dtype policy.
        codes = {name: keras.layers.Identity(dtype="float32", name=f"{name}_code") for name in encoders}
        decoders = make_decoders(decoders, encoders, dim, preprocessor)
        # Models of our own names that share the layers of the user's, as for the encoders.
        wrapped = {name: keras.Model(d.inputs, d.outputs, name=f"{name}_decoder") for name, d in decoders.items()}
        kinds = {name: kind_of(encoder) for name, encoder in encoders.items()}
        last = {name: _last_layer(kind, name=f"{name}_reconstruction") for name, kind in kinds.items()}
        sources = {f"{name}_from_{name}": (name, name) for name in encoders}
        sources |= {f"{target}_from_{source}": (target, source) for target, source in _both_ways(pairs)}
        _check_names(encoders, sources)

        # === Functional model ===
        branches = encode_modalities(encoders, optional=optional, null_embeddings=False)
        outputs = {}
        for name, encoding in branches.encodings.items():
            outputs[name] = codes[name](heads[name](encoding))
            if name in branches.presence:
                outputs[name] = ZeroAbsent(name=f"{name}_or_nothing")([outputs[name], branches.presence[name]])
        for name, (target, source) in sources.items():
            (decoded,) = keras.tree.flatten(wrapped[target](outputs[source]))
            outputs[name] = last[target](decoded)
        super().__init__(inputs=branches.inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.decoders = decoders
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.pooling = pooling
        self.distance = distance
        self.agreement_weight = agreement_weight
        self.cross_weight = cross_weight
        self.pairs = pairs
        self.optional = tuple(optional)
        self.preprocessor = preprocessor
        self._kinds = kinds
        self._sources = sources
        self._reconstruction = Reconstruction(distance)

    def output_modality(self, name):
        return name if name in self.encoders else self._sources[name][1]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        rows = {name: self.rows(x, y, y_pred, name, sample_weight) for name in self.encoders}
        loss = _mean([self._miss(x, y_pred, rows, name, name) for name in self.encoders])
        if self.cross_weight:
            cross = [self._miss(x, y_pred, rows, target, source) for target, source in _both_ways(self.pairs)]
            loss += self.cross_weight * _mean(cross)
        if self.agreement_weight:
            apart = []
            for pair in self.pairs:
                codes = _aligned([rows[name].embeddings for name in pair], pair, y_pred)
                apart.append(agreement(*codes, _all_valid(rows, pair, y_pred)))
            loss += self.agreement_weight * _mean(apart)
        for extra in self.losses:
            loss += ops.sum(extra)
        # Every replica has averaged over rows of its own, and their gradients are added up.
        return loss / num_replicas()

    def reconstruct(self, records, modality, given=None, *, batch_size=32):
        """Reconstruct one modality of raw records from another, or from itself.

        Args:
            records: one record (a dict with the modality that is given; it needs no other) or a list of them; or the
                raw values of that modality themselves: what `embed` takes.
            modality: what to make.
            given: the modality to make it from; None for the same.
            batch_size: how many records are prepared and decoded together.

        Returns:
            Array (records, ...), without the first axis for one record: pixels in 0..255; for a text how probable
            each word of the vocabulary is, (vocabulary,) by token id; other values as they are prepared. From an
            optional modality that is absent comes what a code of zeros decodes to.
        """
        given = modality if given is None else given
        name = f"{modality}_from_{given}"
        if name not in self._sources:
            raise ValueError(
                f"This task makes (to, from) {sorted(self._sources.values())}. Received: modality={modality!r}, "
                f"given={given!r}"
            )
        found = self.encode(given, records, outputs=(name,), batch_size=batch_size)[name]
        if self._kinds[modality] == WORDS:
            found = np.exp(found)
        elif self._kinds[modality] == PIXELS:
            found = np.clip(127.5 * (found + 1.0), 0.0, 255.0)
        return without_single_sides(found, records, ())

    def get_config(self):
        names = {}
        for modality, decoder in self.decoders.items():
            same = next(first for first, other in self.decoders.items() if other is decoder)
            names[modality] = keras.saving.serialize_keras_object(decoder) if same == modality else same
        return {
            **super().get_config(),
            "decoders": names,
            "dim": self.dim,
            "hidden_dim": self.hidden_dim,
            "pooling": self.pooling,
            "distance": self.distance,
            "agreement_weight": self.agreement_weight,
            "cross_weight": self.cross_weight,
            "pairs": [list(pair) for pair in self.pairs],
        }

    def _miss(self, x, y_pred, rows, target, source):
        """How far the reconstruction of the target from the code of the source is from what was given."""
        name, pair = f"{target}_from_{source}", (source, target)
        output = y_pred[name]
        output = fold(output) if len(output.shape) > len(self.output[name].shape) else output
        (output,) = _aligned([output], pair, y_pred)
        (key,) = self._keys_of(target)
        # Left out of the whole batch: the term counts no sample, but the gradient exists and is zero.
        values = ops.zeros_like(output)
        if key in x:
            values = ops.convert_to_tensor(x[key])
            single = self.encoders[target].inputs[0]
            values = fold(values) if len(values.shape) > len(single.shape) else values
            (values,) = _aligned([values], pair[::-1], y_pred)
        valid = _all_valid(rows, pair, y_pred)
        if self._kinds[target] == WORDS:
            return words_missed(output, values, valid)
        if self._kinds[target] == PIXELS and key in x:
            values = to_unit_range(values)
        return self._reconstruction(output, values, valid)


def _all_valid(rows, pair, y_pred):
    """Which rows of a pair have both modalities; None for all."""
    flags = _aligned([rows[name].valid for name in pair], pair, y_pred)
    flags = [valid for valid in flags if valid is not None]
    return functools.reduce(ops.logical_and, flags) if flags else None


def _aligned(values, names, y_pred):
    """Bring rows of the first of these modalities in line with groups: once per sample becomes once per member."""
    sizes = [y_pred[name].shape[1] if len(y_pred[name].shape) == 3 else 1 for name in names]
    largest = max(sizes)
    if not set(sizes) <= {1, largest}:
        raise ValueError(
            "Modalities that are both grouped must have groups of one size, the first of one beside the first of the "
            f"other. Received: groups {dict(zip(names, sizes, strict=True))}"
        )
    return [
        value if value is None or size == largest else repeat_rows(value, largest)
        for value, size in zip(values, sizes, strict=False)
    ]


def _both_ways(pairs):
    return [way for first, second in pairs for way in ((first, second), (second, first))]


def _mean(terms):
    return sum(terms) / len(terms)


def _last_layer(kind, name):
    if kind == WORDS:
        return keras.layers.Activation("log_softmax", dtype="float32", name=name)
    return keras.layers.Identity(dtype="float32", name=name)


def _check_weights(**weights):
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(f"`{name}` must not be negative. Received: {name}={weight}")


def _check_names(encoders, sources):
    taken = sorted(set(encoders) & set(sources))
    if taken:
        raise ValueError(f"The outputs {taken} are reconstructions: name no modality so. Received: {list(encoders)}")
