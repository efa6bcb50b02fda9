"""What do the layers cost beside their nearest Keras equivalents?

One training step's worth of work (forward, and the gradient for weights and inputs of `mean(output ** 2)`), compiled
by the backend, in interleaved pairs. Ratios are time here / time there: below 1 is faster. Before anything is timed,
both sides get the same weights and must agree on loss and input gradients.
"""

import time

import keras
import numpy as np
from common import interleaved, mean_over_seeds, parser, report, show

import mmkeras as mm

BATCH, QUERIES, KEYS, DIM, HEADS = 32, 49, 32, 256, 8
VECTORS = 256
PICTURES = (32, 32, 32, 64)
GOALS = {
    "keras_multi_head_attention": 1.10,
    "keras_multi_head_attention_masked": 1.10,
    "plain_formula": 1.15,
    "keras_batch_normalization": 1.0,
    "keras_group_normalization": 0.6,
}


class KerasAttention(keras.layers.Layer):
    """`keras.layers.MultiHeadAttention` behind the call of `CrossModalAttention`."""

    def build(self, query_shape, context_shape):
        self.attention = keras.layers.MultiHeadAttention(HEADS, DIM // HEADS)
        self.attention.build(query_shape, context_shape)

    def call(self, query, context, context_mask=None):
        mask = None if context_mask is None else context_mask[:, None, :]  # (batch, 1, key)
        return self.attention(query, context, attention_mask=mask)


class PlainFormula(keras.layers.Layer):
    """Gated fusion as one would write it down."""

    def build(self, first_shape, second_shape):
        self.dense = keras.layers.Dense(first_shape[-1])
        self.dense.build((None, first_shape[-1] + second_shape[-1]))

    def call(self, first, second):
        gate = keras.ops.sigmoid(self.dense(keras.ops.concatenate([first, second], axis=-1)))
        return gate * first + (1.0 - gate) * second


class Fusion(keras.layers.Layer):
    """`mm.layers.GatedFusion` behind the call of `PlainFormula`."""

    def build(self, first_shape, second_shape):
        self.fusion = mm.layers.GatedFusion(DIM)
        self.fusion.build([first_shape, second_shape])

    def call(self, first, second):
        return self.fusion([first, second])


class Training(keras.layers.Layer):
    """A normalisation as it is in training, and the ReLU behind it: the mean square of the former is a constant."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        batch = isinstance(layer, keras.layers.BatchNormalization)
        self.options = {"training": True} if batch else {}

    def build(self, x_shape):
        self.layer.build(x_shape)

    def call(self, x):
        return keras.ops.relu(self.layer(x, **self.options))


def compiled_step(layer, inputs, mask=None):
    """Return a callable that runs forward and backward, waits, and gives loss and input gradients."""
    options = {} if mask is None else {"context_mask": mask}
    if keras.backend.backend() == "jax":
        return _jax_step(layer, inputs, options)
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_step(layer, inputs, options)
    raise ValueError(f"The backend must be tensorflow or jax. Received: {keras.backend.backend()}")


def _tensorflow_step(layer, inputs, options):
    import tensorflow as tf

    inputs = [tf.constant(x) for x in inputs]

    @tf.function
    def step(*inputs, **options):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = keras.ops.mean(keras.ops.square(layer(*inputs, **options)))
        weights = [weight.value for weight in layer.trainable_variables]
        return loss, *tape.gradient(loss, [weights, list(inputs)])

    def run():
        loss, _, gradients = step(*inputs, **options)
        return float(loss), gradients

    return run


def _jax_step(layer, inputs, options):
    import jax

    state = [weight.value for weight in layer.non_trainable_variables]

    def loss_of(weights, inputs, options):
        output, _ = layer.stateless_call(weights, state, *inputs, **options)
        return keras.ops.mean(keras.ops.square(output))

    step = jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1)))
    weights = [weight.value for weight in layer.trainable_variables]
    inputs = [jax.numpy.asarray(x) for x in inputs]

    def run():
        loss, (_, gradients) = jax.block_until_ready(step(weights, inputs, options))
        return float(loss), gradients

    return run


def attention_sides(rng, *, masked):
    """Return both steps of the attention comparison, with equal weights."""
    inputs = [rng.normal(size=(BATCH, length, DIM)).astype("float32") for length in (QUERIES, KEYS)]
    mask = None
    if masked:
        lengths = rng.integers(KEYS // 4, KEYS + 1, size=BATCH)
        mask = keras.ops.convert_to_tensor(np.arange(KEYS) < lengths[:, None])
    ours = mm.layers.CrossModalAttention(HEADS, residual=False, normalize=False)
    theirs = KerasAttention()
    for layer in (ours, theirs):
        layer(*inputs)
    query, query_bias, key, value, value_bias, output, output_bias = ours.get_weights()
    head_shape = (DIM, HEADS, DIM // HEADS)
    # A bias on the keys shifts all scores of a query alike, so it changes nothing and CrossModalAttention has none.
    theirs.set_weights(
        [
            query.reshape(head_shape),
            query_bias.reshape(head_shape[1:]),
            key.reshape(head_shape),
            np.zeros(head_shape[1:], "float32"),
            value.reshape(head_shape),
            value_bias.reshape(head_shape[1:]),
            output.reshape(*head_shape[1:], DIM),
            output_bias,
        ]
    )
    return compiled_step(ours, inputs, mask), compiled_step(theirs, inputs, mask)


def fusion_sides(rng):
    """Return both steps of the gated fusion comparison, with equal weights."""
    inputs = [rng.normal(size=(VECTORS, DIM)).astype("float32") for _ in range(2)]
    ours, theirs = Fusion(), PlainFormula()
    for layer in (ours, theirs):
        layer(*inputs)
    theirs.set_weights(ours.get_weights())
    return compiled_step(ours, inputs), compiled_step(theirs, inputs)


def normalization_sides(rng, *makers):
    """Return both steps of the comparison of normalisations, with equal weights."""
    x = rng.normal(size=PICTURES).astype("float32")
    ours, theirs = (Training(make()) for make in makers)
    for layer in (ours, theirs):
        layer(x)
    weights = [rng.normal(size=PICTURES[-1:]).astype("float32") for _ in range(2)] + ours.get_weights()[2:]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return compiled_step(ours, [x]), compiled_step(theirs, [x])


def check_agreement(ours, theirs):
    """Raise an error unless loss and input gradients of both sides agree."""
    (loss, gradients), (expected_loss, expected_gradients) = ours(), theirs()
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        expected = keras.ops.convert_to_numpy(expected)
        # Sums in another order differ in the last digits of the largest terms.
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(gradient), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )


def main():
    arguments = parser(__doc__, needs_data=False, pairs=60).parse_args()
    pairs = 3 if arguments.smoke else 4 * arguments.pairs if arguments.full else arguments.pairs
    started = time.perf_counter()
    measured, rows = [], []
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        sides = {
            "keras_multi_head_attention": attention_sides(rng, masked=False),
            "keras_multi_head_attention_masked": attention_sides(rng, masked=True),
            "plain_formula": fusion_sides(rng),
            "keras_batch_normalization": normalization_sides(
                rng, mm.layers.FusedBatchNormalization, keras.layers.BatchNormalization
            ),
            "keras_group_normalization": normalization_sides(
                rng, lambda: mm.layers.FusedGroupNormalization(8), lambda: keras.layers.GroupNormalization(8)
            ),
        }
        results = {}
        for peer, (ours, theirs) in sides.items():
            check_agreement(ours, theirs)
            timing = interleaved(ours, theirs, pairs)
            results[f"ratio_vs_{peer}"] = timing.ratio
            results[f"ratio_vs_{peer}_low"], results[f"ratio_vs_{peer}_high"] = timing.low, timing.high
            results[f"milliseconds_{peer}"] = 1000 * timing.second
            milliseconds = [f"{1000 * seconds:.2f}" for seconds in (timing.first, timing.second)]
            quartiles = f"{timing.low:.3f} - {timing.high:.3f}"
            rows.append((peer, *milliseconds, f"{timing.ratio:.3f}", quartiles, f"<= {GOALS[peer]:.2f}"))
        measured.append(results)
    title = f"Forward and backward on {keras.backend.backend()}, {pairs} interleaved pairs"
    show(title, ("against", "mmkeras ms", "peer ms", "ratio", "quartiles", "goal"), rows)
    report("layers", {**mean_over_seeds(measured), "pairs": pairs}, arguments, started)


if __name__ == "__main__":
    main()
