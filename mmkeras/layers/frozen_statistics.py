"""A network whose normalisation statistics stay as they are."""

import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class FrozenStatistics(keras.layers.Layer):
    """Run a network in inference mode in training too, so that batch normalisation keeps its stored statistics.

    Scales, offsets and all other weights stay trainable. Statistics learned on millions of pictures are better than
    those of small batches, and the black pictures that stand in for absent ones must not enter them. Calling the
    network with `training=False` in a functional graph does not do this: Keras replaces that argument by the one of
    the outer model.

    Args:
        network: the `keras.Model` to run.

    Call arguments:
        x: what the network takes.

    Output: what the network returns.

    Example:

    >>> image = keras.Input((4, 4, 3))
    >>> network = keras.Model(image, keras.layers.BatchNormalization()(image))
    >>> _ = FrozenStatistics(network)(10.0 + ops.ones((2, 4, 4, 3)), training=True)
    >>> float(network.layers[-1].moving_mean[0])
    0.0
    """

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network

    def call(self, x):
        return keras.ops.cast(self.network(x, training=False), self.compute_dtype)

    def compute_output_shape(self, x_shape):
        return self.network.compute_output_shape(x_shape)

    def get_config(self):
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "network": keras.saving.deserialize_keras_object(config["network"])})
