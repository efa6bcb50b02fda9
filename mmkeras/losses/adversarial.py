"""Adversarial alignment: embeddings that do not betray their modality."""

import keras
from keras import ops

from mmkeras.losses.gradient_reversal import GradientReversal
from mmkeras.losses.pairs import mean_where
from mmkeras.ops import directions


def adversarial(logits, valid=None):
    """Cross-entropy of telling modalities apart, each modality weighing the same however many rows it has.

    `mean over modalities k of mean over its valid rows of -log softmax(logits)[k]`.

    Args:
        logits: list with one tensor (batch, modality) per modality, in the order of their columns.
        valid: list with one boolean tensor (batch,) per modality, None where all rows are valid; or None.

    Returns:
        Scalar tensor, 0 where no row is valid.

    Example:

    >>> bool(ops.isclose(adversarial([ops.zeros((3, 2)), ops.zeros((5, 2))]), ops.log(2.0)))
    True
    """
    valid = [None] * len(logits) if valid is None else valid
    means, counted = [], []
    for index, (rows, flags) in enumerate(zip(logits, valid, strict=True)):
        flags = ops.ones_like(rows[:, 0], "bool") if flags is None else ops.cast(flags, "bool")
        means.append(mean_where(-ops.log_softmax(rows, axis=-1)[:, index], flags))
        counted.append(ops.any(flags))
    return mean_where(ops.stack(means), ops.stack(counted))


@keras.saving.register_keras_serializable(package="mmkeras")
class Adversarial(keras.layers.Layer):
    """Make the embeddings of different modalities look alike as a whole, by a discriminator that they learn to fool.

    A small network tells from an embedding which modality it came from,
    `softmax(W2 leaky_relu(W1 h + b1) + b2)`, and its cross-entropy is the loss. Between the embeddings and the network
    the gradient is reversed: minimising the loss trains the network to tell them apart and the encoders, with
    `strength`, to prevent it. At the balance the loss is `log(number of modalities)`: no better than chance.

    It closes the gap between modalities but pairs nothing up: add it to a loss over pairs. It needs no pairs itself, so
    rows that have one modality only take part too. It computes in float32 under every dtype policy. A row that is not
    valid changes neither the value nor a gradient; a modality without valid rows is left out.

    Args:
        hidden_dim: size of the hidden layer.
        strength: factor of the gradient that reaches the embeddings.
        normalize: whether the embeddings are scaled to length one first, as where they are compared by cosine.

    Call arguments:
        embeddings: list or dict of tensors (batch, dim), one per modality, of one dim; batches may differ.
        valid: list or dict of boolean tensors (batch,), None or left out where all rows are valid; or None.

    Output: scalar, float32.

    Example:

    >>> loss = Adversarial(hidden_dim=8)
    >>> value = loss({"image": ops.ones((3, 4)), "text": ops.zeros((5, 4))})
    >>> bool(value > 0), len(loss.trainable_weights)
    (True, 4)

    References:
        Ganin et al. 2016, Domain-Adversarial Training of Neural Networks.
        Wang et al. 2017, Adversarial Cross-Modal Retrieval.
    """

    def __init__(self, hidden_dim=256, strength=1.0, *, normalize=True, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if hidden_dim < 1:
            raise ValueError(f"`hidden_dim` must be a positive integer. Received: hidden_dim={hidden_dim}")
        self.hidden_dim = hidden_dim
        self.strength = strength
        self.normalize = normalize
        self._reverse = GradientReversal(strength, dtype="float32", name="reverse")

    def build(self, embeddings_shape):
        self._names = sorted(embeddings_shape) if isinstance(embeddings_shape, dict) else None
        shapes = [tuple(shape) for shape in self._ordered(embeddings_shape)]
        if len(shapes) < 2 or len({shape[1:] for shape in shapes}) > 1 or any(len(shape) != 2 for shape in shapes):
            raise ValueError(
                "Adversarial tells apart a list or dict of at least two embeddings (batch, dim) of one dim. "
                f"Received: shapes {embeddings_shape}"
            )
        self._hidden = keras.layers.Dense(self.hidden_dim, activation="leaky_relu", dtype="float32", name="hidden")
        self._hidden.build((None, shapes[0][1]))
        self._output = keras.layers.Dense(len(shapes), dtype="float32", name="output")
        self._output.build((None, self.hidden_dim))
        # Keras passes `trainable` on to sublayers only when it is set after they exist.
        self._hidden.trainable = self._output.trainable = self.trainable

    def call(self, embeddings, valid=None):
        embeddings = self._ordered(embeddings)
        valid = self._flags(valid, len(embeddings))
        logits = [self._discriminate(rows, flags) for rows, flags in zip(embeddings, valid, strict=True)]
        return adversarial(logits, valid)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "strength": self.strength,
            "normalize": self.normalize,
        }

    def _discriminate(self, embeddings, valid):
        embeddings = ops.cast(embeddings, "float32")
        if valid is not None:
            embeddings = ops.where(valid[:, None], embeddings, ops.zeros_like(embeddings))
        embeddings = directions(embeddings) if self.normalize else embeddings
        return self._output(self._hidden(self._reverse(embeddings)))

    def _ordered(self, structure):
        if isinstance(structure, dict):
            return [structure[name] for name in sorted(structure)]
        return list(structure)

    def _flags(self, valid, count):
        if valid is None:
            return [None] * count
        if isinstance(valid, dict) != (self._names is not None) or (
            set(valid) - set(self._names) if isinstance(valid, dict) else len(valid) != count
        ):
            raise ValueError(
                "Adversarial takes `valid` in the structure of the embeddings, "
                f"{self._names or f'a list of {count}'}. Received: valid={valid}"
            )
        flags = [valid.get(name) for name in self._names] if isinstance(valid, dict) else valid
        return [None if flag is None else ops.cast(flag, "bool") for flag in flags]
