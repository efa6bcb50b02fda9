"""Late fusion: a weighted average."""

import math

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.vector_fusion import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class WeightedFusion(VectorFusion):
    """Average one vector (or one set of logits) per modality: `h = sum w_i * h_i`, `sum w_i = 1`.

    The weights are the same for every sample: learned (`w = softmax(v)`, uniform at the start) or given. With
    unimodal predictions as encodings this is late fusion. Absent modalities are left out and the weights of the
    others grow to sum to one; where nothing is present, all count.

    Args:
        dim: size of the fused vector; None takes the smallest size among the encodings.
        fixed_weights: one positive number per modality, a dict for a dict of encodings (as in a task) or a list for
            a list, scaled to sum to one; None learns them.
        pooling: how a token sequence becomes a vector: `"avg"`, `"max"`, `"last"` or `"attention"`.

    Call arguments:
        encodings: list or dict of tensors (batch, tokens, dim) or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        return_weights: whether to return the weights too, structured like the encodings, each (batch, 1).

    Output shape: (batch, dim).

    Example:

    >>> fusion = WeightedFusion(fixed_weights=[3, 1])
    >>> round(float(fusion([ops.ones((1, 1)), ops.zeros((1, 1))])[0, 0]), 3)
    0.75
    """

    def __init__(self, dim=None, *, fixed_weights=None, pooling="avg", **kwargs):
        super().__init__(dim, pooling=pooling, **kwargs)
        values = fixed_weights.values() if isinstance(fixed_weights, dict) else fixed_weights or ()
        if any(value <= 0 for value in values):
            raise ValueError(
                "`fixed_weights` must be positive numbers, or None to learn them. "
                f"Received: fixed_weights={fixed_weights}"
            )
        self.fixed_weights = fixed_weights

    def build(self, encodings_shape):
        count = len(self.build_vectors(encodings_shape, self.smallest_dim(encodings_shape)))
        pass_trainable_on(self)
        if self.fixed_weights is None:
            self._logits = self.add_weight(shape=(count,), initializer="zeros", name="logits")
            return
        by_name = isinstance(self.fixed_weights, dict)
        if by_name != (self._names is not None) or (by_name and set(self.fixed_weights) != set(self._names)):
            raise ValueError(
                "WeightedFusion takes a dict of weights for a dict of encodings, with the same keys, and a list for a "
                f"list; the encodings are {self._names or 'a list'}. Received: fixed_weights={self.fixed_weights}"
            )
        if len(self.fixed_weights) != count:
            raise ValueError(
                f"WeightedFusion needs one weight per encoding, {count} in all. "
                f"Received: fixed_weights={self.fixed_weights}"
            )
        self._logits = [math.log(value) for value in self._ordered(self.fixed_weights)]

    def fuse(self, encodings, presence, masks, training):
        vectors = self.vectors(encodings, masks)
        logits = keras.ops.convert_to_tensor(self._logits, dtype=vectors[0].dtype)[None, :]
        allowed = ops.usable(presence)
        if allowed is not None:
            logits = keras.ops.broadcast_to(logits, keras.ops.shape(allowed))
        weights = ops.masked_softmax(logits, allowed)
        columns = [weights[:, index : index + 1] for index in range(len(vectors))]
        return sum(weight * vector for weight, vector in zip(columns, vectors, strict=True)), columns

    def get_config(self):
        return {**super().get_config(), "fixed_weights": self.fixed_weights}
