"""Normalisation by the statistics of the batch, in one kernel where the backend has one."""

import keras
from keras import ops


def normalize_batch(x, scale, offset, epsilon=1e-3):
    """Scale each channel of a batch of pictures to mean `offset` and standard deviation `scale`.

    `y = scale * (x - mean) / sqrt(variance + epsilon) + offset`, over batch, height and width. TensorFlow has one
    kernel for all of it, which reads bfloat16 and float16 as they are and computes in float32; elsewhere, and for
    float64, it is put together from moments.

    Args:
        x: tensor (batch, height, width, channels).
        scale: float32 tensor (channels,).
        offset: float32 tensor (channels,).
        epsilon: what is added to the variance, at least 1e-5.

    Returns:
        The tensor y in the dtype of x, and mean and variance of x, two tensors (channels,).

    Example:

    >>> y, mean, variance = normalize_batch(ops.array([[[[1.0]], [[3.0]]]]), ops.ones(1), ops.zeros(1), 1e-5)
    >>> [round(float(x[0]), 3) for x in (ops.ravel(y), mean, variance)]
    [-1.0, 2.0, 1.0]
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    if keras.backend.backend() == "tensorflow" and dtype != "float64":
        import tensorflow as tf

        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon, is_training=True
        )
        # The kernel gives the variance of a sample, n - 1 in the denominator.
        count = ops.cast(ops.size(x) // ops.maximum(ops.shape(x)[-1], 1), "float32")
        return y, mean, variance * (count - 1.0) / ops.maximum(count, 1.0)
    wide = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    mean, variance = ops.moments(wide, axes=(0, 1, 2))
    y = ops.batch_normalization(wide, mean, variance, axis=-1, offset=offset, scale=scale, epsilon=epsilon)
    return ops.cast(y, dtype), mean, variance
