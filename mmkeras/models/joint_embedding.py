"""Modalities in one space, where what belongs together is near."""

import keras
import numpy as np
from keras import ops

from mmkeras.layers import ProjectionHead, UnitLength, ZeroAbsent
from mmkeras.losses import Adversarial, InfoNCE, PairLoss
from mmkeras.models.branches import check_encoders, check_fusion, encode_modalities
from mmkeras.models.embedding_task import EmbeddingTask, without_single_sides
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.joint_rows import Rows, check_pairs
from mmkeras.models.matching import match_pairs, matching_loss, matching_model
from mmkeras.ops import gather_rows, num_replicas, replica_index

# Group numbers of different replicas must differ; a batch of this many rows on one replica is out of reach.
_ROWS_OF_A_REPLICA = 2**20


@keras.saving.register_keras_serializable(package="mmkeras")
class JointEmbedding(EmbeddingTask):
    """Embed two or more modalities in one space, for search and for classes named by prompts.

    Each modality has an encoder and a projection head. An objective over pairs pulls together what belongs together
    and pushes apart the rest of the batch: any of `mm.losses.InfoNCE`, `SigmoidContrastive`, `Triplet`,
    `MarginContrastive`, or a `PairLoss` of your own; with three modalities or more, the mean over pairs of modalities.
    The bigger the batch, the better the question it asks: `compile(step=mm.training.GradientCache(micro_batch=64))`
    trains large batches in little memory, and under `tf.distribute` the negatives come from all replicas.

    Row i of one modality belongs to row i of the others. Samples that belong together besides (of one class, of one
    picture) are named by integer targets, equal for them: then they are no false negatives of each other. Several
    captions of a picture come best in the grouped form, `token_ids` (batch, group, time), made by
    `pre.dataset(records, group_size=5)`: the picture is encoded once.

    A modality in `optional` may be absent from any sample; the sample is then used for what it has. An empty text (all
    padding) is absent too.

    A `matcher` looks at both of two modalities together, by cross-modal attention, and says whether they match: slower
    and sharper than a cosine. It learns beside the objective from each pair and the hardest negatives of the batch, and
    `rerank` orders the best of a search anew by it.

    Args:
        encoders: dict of two or more encoders by modality; with a `matcher`, two that return tokens.
        objective: the loss over pairs of embeddings; None takes `InfoNCE()`.
        dim: size of the joint space.
        hidden_dim: size of the hidden layer of the projection heads; None for linear heads.
        pooling: how token sequences are pooled for the heads: `"avg"`, `"max"`, `"last"` or `"attention"`.
        dropout_rate: share of the encodings dropped in training before the heads.
        pairs: list of pairs of modalities that the objective compares; None for all.
        alignment: an `mm.losses.Adversarial` layer, which makes modalities indistinguishable as a whole; or None.
        matcher: a fusion layer such as `mm.layers.CoAttention()`; or None.
        optional: modalities that may be absent.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with an embedding (batch, dim) under the name of each modality, of length one unless the objective
    says `normalize=False`, zero where the modality is absent; with a matcher also `<modality>_tokens`.

    Example:

    >>> task = JointEmbedding({"text": mm.encoders.lstm(50, 8), "image": mm.encoders.vgg(2, 8)}, dim=4)
    >>> x = {"image": np.zeros((4, 16, 16, 3)), "token_ids": np.arange(20).reshape(4, 5)}
    >>> task.compile()
    >>> history = task.fit(x, verbose=0)
    >>> task.embed("text", {"token_ids": x["token_ids"][0]}).shape
    (4,)
    """

    def __init__(
        self,
        encoders,
        objective=None,
        *,
        dim=256,
        hidden_dim=None,
        pooling="avg",
        dropout_rate=0.0,
        pairs=None,
        alignment=None,
        matcher=None,
        optional=(),
        preprocessor=None,
        **kwargs,
    ):
        # === Layers ===
        encoders = check_encoders(encoders)
        objective = _check_objective(InfoNCE() if objective is None else objective)
        matcher = check_fusion(matcher)
        pairs = check_pairs(pairs, encoders)
        _check_extras(encoders, alignment, matcher)
        heads = {
            name: ProjectionHead(dim, hidden_dim, pooling=pooling, dropout_rate=dropout_rate, name=f"{name}_head")
            for name in encoders
        }
        # Embeddings are compared, stored and served in float32 under every dtype policy.
        scaling = UnitLength if objective.normalize else keras.layers.Identity
        scalings = {name: scaling(dtype="float32", name=f"{name}_embedding") for name in encoders}

        # === Functional model ===
        branches = encode_modalities(encoders, optional=optional, null_embeddings=False)
        outputs = {}
        for name, encoding in branches.encodings.items():
            outputs[name] = scalings[name](heads[name](encoding))
            if name in branches.presence:
                outputs[name] = ZeroAbsent(name=f"{name}_or_nothing")([outputs[name], branches.presence[name]])
        if matcher is not None:
            for name, encoding in branches.encodings.items():
                outputs[f"{name}_tokens"] = keras.layers.Identity(dtype="float32", name=f"{name}_tokens")(encoding)
        super().__init__(inputs=branches.inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.objective = objective
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.pooling = pooling
        self.dropout_rate = dropout_rate
        self.pairs = pairs
        self.alignment = alignment
        self.matcher = matcher
        self.optional = tuple(optional)
        self.preprocessor = preprocessor
        self.similarity = "cosine" if objective.normalize else "dot"
        # Keras builds a layer that it reads from a config.
        if alignment is not None and not alignment.built:
            alignment.build(dict.fromkeys(encoders, (None, dim)))
        self._matching = None if matcher is None else matching_model(matcher, branches.encodings, dim)
        self._seed = keras.random.SeedGenerator()

    def output_modality(self, name):
        return name.removesuffix("_tokens") if name not in self.encoders else name

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        local = {name: self.rows(x, y, y_pred, name, sample_weight) for name in self.encoders}
        rows = {name: _of_all_replicas(side, own_groups=y is None) for name, side in local.items()}
        loss = sum(self._compare(rows[first], rows[second]) for first, second in self.pairs) / len(self.pairs)
        if self.alignment is not None:
            embeddings = {name: side.embeddings for name, side in rows.items()}
            loss += self.alignment(embeddings, {name: side.valid for name, side in rows.items()})
        if self._matching is not None:
            (names,) = self.pairs
            read = [{key: y_pred[key] for key in (name, f"{name}_tokens")} for name in names]
            loss += matching_loss(self._matching, *(local[name] for name in names), read, self._seed, training)
        for extra in self.losses:
            loss += ops.sum(extra)
        # Every replica has computed the loss over the rows of all, and their gradients are added up.
        return loss / num_replicas()

    def endpoints(self):
        found = super().endpoints()
        if self._matching is not None:
            matched = self._matching([self.output[tensor.name] for tensor in self._matching.inputs])
            model = keras.Model(self.inputs, matched, name="match")
            found["match"] = Endpoint(model, tuple(self.encoders), {})
        return found

    def match(self, first, second, *, modalities=None, batch_size=32):
        """Say for raw records of two modalities, each with each, how probably they match; needs a `matcher`.

        Args:
            first: one record or a list of them, such as `{"image": "dog.jpg"}`.
            second: one record or a list of them.
            modalities: which modality of `first` is compared with which of `second`; None where each holds one only.
            batch_size: how many records, and pairs, are computed together.

        Returns:
            Array (first, second) of probabilities, without the axis of a side that is a single record.
        """
        sides = self._sides(first, second, modalities)
        encoded = self._encoded(sides, batch_size)
        sizes = [len(outputs[name]) for (name, _), outputs in zip(sides, encoded, strict=True)]
        scores = match_pairs(self._matching, encoded, np.indices(sizes).reshape(2, -1), batch_size).reshape(sizes)
        return without_single_sides(scores, first, second)

    def rerank(self, first, second, k=10, *, modalities=None, batch_size=32):
        """Search by embedding, then order the k nearest anew by the matcher.

        Args:
            first: one record or a list of them, the queries.
            second: list of records, the items.
            k: how many items of each query the matcher looks at.
            modalities: which modality of `first` is compared with which of `second`; None where each holds one only.
            batch_size: how many records, and pairs, are computed together.

        Returns:
            Array (first, second) of probabilities, `-inf` beyond the k nearest; (second,) for one query. It is what
            `mm.retrieval.evaluate_scores` takes.
        """
        sides = self._sides(first, second, modalities)
        encoded = self._encoded(sides, batch_size)
        nearest = self.similarities(*(outputs[name] for (name, _), outputs in zip(sides, encoded, strict=True)))
        k = min(k, nearest.shape[1])
        columns = np.argpartition(-nearest, k - 1, axis=1)[:, :k]
        rows = np.repeat(np.arange(len(nearest)), k), columns.ravel()
        scores = np.full(nearest.shape, -np.inf, "float32")
        scores[rows] = match_pairs(self._matching, encoded, rows, batch_size)
        return without_single_sides(scores, first, second)

    def get_config(self):
        return {
            **super().get_config(),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "dim": self.dim,
            "hidden_dim": self.hidden_dim,
            "pooling": self.pooling,
            "dropout_rate": self.dropout_rate,
            "pairs": [list(pair) for pair in self.pairs],
            "alignment": keras.saving.serialize_keras_object(self.alignment),
            "matcher": keras.saving.serialize_keras_object(self.matcher),
        }

    def _compare(self, first, second):
        groups = first.groups, second.groups
        return self.objective(first.embeddings, second.embeddings, *groups, first.valid, second.valid)

    def _encoded(self, sides, batch_size):
        if self._matching is None:
            raise ValueError(
                "Matching needs a task that was built and trained with one: `matcher=mm.layers.CoAttention()`. "
                "Received: matcher=None"
            )
        names = [name for name, _ in sides]
        if set(names) != set(self.encoders):
            raise ValueError(f"The matcher compares {sorted(self.encoders)}. Received: {names}")
        return [self.encode(name, records, batch_size=batch_size) for name, records in sides]


def _of_all_replicas(rows, own_groups):
    if num_replicas() == 1:
        return rows
    groups = rows.groups
    if own_groups:
        groups = groups + ops.cast(replica_index(), groups.dtype) * _ROWS_OF_A_REPLICA
    valid = None if rows.valid is None else gather_rows(rows.valid)
    return Rows(gather_rows(rows.embeddings), gather_rows(groups), valid)


def _check_objective(objective):
    if not isinstance(objective, PairLoss):
        raise ValueError(
            "`objective` must be a loss over pairs of embeddings, such as mm.losses.InfoNCE(), or None. Received: "
            f"objective={objective!r}"
        )
    return objective


def _check_extras(encoders, alignment, matcher):
    if alignment is not None and not isinstance(alignment, Adversarial):
        raise ValueError(f"`alignment` must be an mm.losses.Adversarial layer. Received: alignment={alignment!r}")
    if matcher is not None and len(encoders) != 2:
        raise ValueError(f"A `matcher` looks at exactly two modalities. Received: encoders of {list(encoders)}")
