"""Registration of classes with Keras, where it is installed.

What prepares raw records runs without Keras too, on small machines that serve what was trained elsewhere.
"""

try:
    import keras
except ImportError:
    keras = None


def registered(cls):
    """Class decorator: Keras finds the class when it loads a file. Without Keras the class stays as it is."""
    return cls if keras is None else keras.saving.register_keras_serializable(package="mmkeras")(cls)
