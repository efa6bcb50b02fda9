"""Series of different rates on one time line."""

import keras

from mmkeras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class AlignSteps(keras.layers.Layer):
    """Bring a series to the steps of another: the sound of each frame, the frame of each moment of sound.

    A step of the other series lies at the middle of its share of the span that both cover, and gets the mean of the
    tokens around it, weighed by a triangle that falls to zero one step of the slower series away. Padding, on the right
    of either, counts nothing: what is no step divides no span. With `rates` the series begin together and run at rates
    of their own, so that one may end before the other; a step beyond the end gets the mean around the last token.

    Args:
        rates: (tokens per second, steps per second); None where both cover the same span.

    Call arguments:
        like: tensor (batch, step, any size), the series whose steps they are.
        tokens: tensor (batch, time, dim), the series that is brought to them.
        like_mask: boolean tensor (batch, step), filled in by Keras.
        tokens_mask: boolean tensor (batch, time), filled in by Keras.

    Output shape: (batch, step, dim), with the mask of `like`.

    Example:

    >>> frames, sound = ops.ones((1, 3, 8)), ops.array([[[0.0], [0.0], [2.0], [2.0], [4.0], [4.0]]])
    >>> [round(float(x), 1) for x in np.ravel(AlignSteps()(frames, sound))]
    [0.3, 2.0, 3.7]
    """

    def __init__(self, rates=None, **kwargs):
        super().__init__(**kwargs)
        if rates is not None and (not isinstance(rates, (list, tuple)) or len(rates) != 2 or not min(rates) > 0):
            raise ValueError(f"`rates` must be two numbers above 0, or None. Received: rates={rates!r}")
        self.rates = None if rates is None else tuple(float(rate) for rate in rates)

    def call(self, like, tokens, like_mask=None, tokens_mask=None):
        tokens = ops.zero_padding(tokens, tokens_mask)
        there, steps = ops.token_mask(tokens, tokens_mask), ops.token_mask(like, like_mask)
        there, steps = keras.ops.cast(there, "float32"), keras.ops.cast(steps, "float32")
        num_tokens = keras.ops.maximum(keras.ops.sum(there, axis=1, keepdims=True), 1.0)
        num_steps = keras.ops.maximum(keras.ops.sum(steps, axis=1, keepdims=True), 1.0)
        ratio = num_tokens / num_steps if self.rates is None else self.rates[0] / self.rates[1]
        # Where each step lies among the tokens: (batch, step), the first token at 0.
        place = (keras.ops.cumsum(keras.ops.ones_like(steps), axis=1) - 0.5) * ratio - 0.5
        place = keras.ops.clip(place, 0.0, num_tokens - 1.0)[..., None]
        index = (keras.ops.cumsum(keras.ops.ones_like(there), axis=1) - 1.0)[:, None, :]
        width = keras.ops.maximum(ratio, 1.0)
        width = width if self.rates is not None else width[..., None]
        weights = keras.ops.maximum(0.0, 1.0 - keras.ops.abs(place - index) / width) * there[:, None, :]
        weights = weights / keras.ops.maximum(keras.ops.sum(weights, axis=-1, keepdims=True), 1e-6)
        aligned = keras.ops.matmul(keras.ops.cast(weights, tokens.dtype), tokens)
        return ops.zero_padding(aligned, like_mask)

    def compute_mask(self, like, previous_mask=None):
        return previous_mask

    def compute_output_spec(self, like, tokens, like_mask=None, tokens_mask=None):
        return keras.KerasTensor((tokens.shape[0], like.shape[1], tokens.shape[2]), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}
