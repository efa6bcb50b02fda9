"""What a layer made of layers owes them."""

import keras


def pass_trainable_on(layer):
    """Give the layers just made in `build` the `trainable` flag of the layer they belong to.

    Keras sets the flag of sublayers only when it is assigned after they exist, and on TensorFlow skips assigning a
    value an attribute already has; so the property is set directly.
    """
    keras.layers.Layer.trainable.fset(layer, layer.trainable)
