"""From a spectrogram's feature map to one vector per time step."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class FlattenFrequency(keras.layers.Layer):
    """Lay the frequency axis of a feature map into its channels; time and its mask stay.

    Call arguments:
        x: tensor (batch, time, frequency, channel) with known frequency and channel.

    Output shape: (batch, time, frequency * channel).

    Example:

    >>> tuple(FlattenFrequency()(ops.ones((2, 5, 4, 3))).shape)
    (2, 5, 12)
    """

    def build(self, x_shape):
        if len(x_shape) != 4 or None in x_shape[2:]:
            raise ValueError(
                "FlattenFrequency expects (batch, time, frequency, channel) with known frequency and channel. "
                f"Received: shape {tuple(x_shape)}"
            )

    def call(self, x):
        return keras.ops.reshape(x, (-1, keras.ops.shape(x)[1], x.shape[2] * x.shape[3]))

    def compute_mask(self, x, previous_mask=None):
        return previous_mask
