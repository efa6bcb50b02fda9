"""Rows of all replicas, where a `tf.distribute` strategy trains several copies of a model.

JAX needs none of this: under `keras.distribution` a batch is one array, wherever its rows lie.
"""

import keras
from keras import ops


def num_replicas():
    """Count the replicas that train in step: 1 without a strategy, and outside of its step.

    Returns:
        Python integer.

    Example:

    >>> num_replicas()
    1
    """
    context = _replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_index():
    """Say which of the replicas this is.

    Returns:
        Integer, a scalar tensor where there are several replicas.

    Example:

    >>> replica_index()
    0
    """
    context = _replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def gather_rows(x):
    """Join the rows of all replicas, in the order of the replicas; gradients find their way back.

    Each replica then holds all rows. A loss over them that every replica computes has to be divided by `num_replicas`.

    Args:
        x: tensor (rows, ...); the number of rows may differ between replicas.

    Returns:
        Tensor (all rows, ...).

    Example:

    >>> np.asarray(gather_rows(ops.array([[1.0], [2.0]]))).tolist()
    [[1.0], [2.0]]
    """
    context = _replica_context()
    if context is None:
        return x
    if x.dtype == "bool":  # Not every collective operation moves booleans.
        return ops.cast(context.all_gather(ops.cast(x, "int32"), axis=0), "bool")
    return context.all_gather(x, axis=0)


def _replica_context():
    """The replica context inside a step of several replicas, None elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
