"""One picture for all its questions."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class MatchRows(keras.layers.Layer):
    """Repeat each row as often as another tensor has rows for it.

    A picture is encoded once, its questions one by one: behind this layer both have as many rows, the rows of one
    sample side by side. Where there are as many already, nothing changes. The mask is repeated too.

    Call arguments:
        x: tensor (batch, ...).
        like: tensor (batch * group, ...).

    Output shape: (batch * group, ...), the rows of x.

    Example:

    >>> np.asarray(MatchRows()([ops.array([[1.0], [2.0]]), ops.zeros((4, 3))])).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, **kwargs):
        # It passes values on.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        x, like = inputs
        return _repeat(x, like)

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None or previous_mask[0] is None:
            return None
        mask, like = previous_mask[0], inputs[1]
        if isinstance(mask, keras.KerasTensor):
            # How often is not known yet: a node of the graph finds out.
            return MatchRows()([mask, like])
        return _repeat(mask, like)

    def compute_output_spec(self, inputs):
        x, like = inputs
        rows = like.shape[0] if None in (x.shape[0], like.shape[0]) else max(x.shape[0], like.shape[0])
        return keras.KerasTensor((rows, *x.shape[1:]), x.dtype)


def _repeat(x, like):
    if None not in (x.shape[0], like.shape[0]) and like.shape[0] % max(1, x.shape[0]):
        raise ValueError(
            "MatchRows needs as many rows in each group: a multiple of the rows of x. "
            f"Received: {x.shape[0]} and {like.shape[0]} rows"
        )
    rows, repeated = keras.ops.shape(x)[0], keras.ops.shape(like)[0]
    count = repeated // (max(1, rows) if isinstance(rows, int) else keras.ops.maximum(1, rows))
    return keras.ops.repeat(x, count, axis=0)
