"""Convolution over time that knows where a sequence ends."""

import keras

from mmkeras import ops
from mmkeras.layers.sublayers import pass_trainable_on


@keras.saving.register_keras_serializable(package="mmkeras")
class ConvBlock(keras.layers.Layer):
    """Convolution, normalisation, activation; mask in, mask out.

    Works along time, (batch, time, channel), or along time and frequency, (batch, time, frequency, channel), each
    strided alike. Output step i is centred on input step i * stride whatever the length, and padding is zero
    before and after: adding padding to a clip never changes what its content is encoded to. Keras' own
    convolutions drop the mask, and with strides their "same" padding shifts with the length.

    Args:
        filters: number of output channels.
        kernel_size: length of the kernel along each axis.
        stride: step along each axis.
        activation: activation, a name or a callable.
        normalize: whether to apply layer normalisation over channels before the activation.

    Call arguments:
        x: tensor (batch, time, channel) or (batch, time, frequency, channel).
        mask: boolean tensor (batch, time), or None.

    Output shape: (batch, ceil(time / stride), [ceil(frequency / stride),] filters), with the strided mask.

    Example:

    >>> tuple(ConvBlock(8, stride=2)(ops.ones((2, 9, 4))).shape)
    (2, 5, 8)
    """

    def __init__(self, filters, kernel_size=3, *, stride=1, activation="relu", normalize=True, **kwargs):
        super().__init__(**kwargs)
        if min(filters, kernel_size, stride) < 1:
            raise ValueError(
                "`filters`, `kernel_size` and `stride` must be positive integers. "
                f"Received: filters={filters}, kernel_size={kernel_size}, stride={stride}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.activation = keras.activations.get(activation)
        self.normalize = normalize

    def build(self, x_shape):
        if len(x_shape) not in (3, 4) or x_shape[-1] is None:
            raise ValueError(
                "ConvBlock expects (batch, time, channel) or (batch, time, frequency, channel). "
                f"Received: shape {tuple(x_shape)}"
            )
        convolution = keras.layers.Conv1D if len(x_shape) == 3 else keras.layers.Conv2D
        self._convolution = convolution(
            self.filters,
            self.kernel_size,
            strides=self.stride,
            use_bias=not self.normalize,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self._convolution.build(x_shape)
        self._norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm") if self.normalize else None
        if self.normalize:
            self._norm.build((*x_shape[:-1], self.filters))
        pass_trainable_on(self)

    def call(self, x, mask=None):
        left = (self.kernel_size - 1) // 2
        edges = (left, self.kernel_size - 1 - left)
        x = ops.zero_padding(x, mask)
        x = keras.ops.pad(x, [(0, 0), *([edges] * (len(x.shape) - 2)), (0, 0)])
        x = self._convolution(x)
        if self.normalize:
            x = self._norm(x)
        return ops.zero_padding(self.activation(x), ops.stride_mask(mask, self.stride))

    def compute_mask(self, x, previous_mask=None):
        return ops.stride_mask(previous_mask, self.stride)

    def compute_output_shape(self, x_shape):
        steps = (None if size is None else -(-size // self.stride) for size in x_shape[1:-1])
        return (x_shape[0], *steps, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "activation": keras.activations.serialize(self.activation),
            "normalize": self.normalize,
        }
