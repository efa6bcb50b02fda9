"""What every part of a Preprocessor does."""


class Configured:
    """What has a config and shows it."""

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        arguments = ", ".join(f"{key}={_short(value)}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Part(Configured):
    """Base of the parts of a `Preprocessor`: one modality's way from a raw value to the array a model reads.

    The way has two halves. `read` is Python: it opens files, decodes what a graph cannot, and gives the *wire form*:
    bytes, a list of bytes, or a numeric array. `graph` is TensorFlow: it makes the prepared tensor of one sample from
    the wire form, in the tf.data pipeline, behind raw-record methods and in exported signatures alike, so that the
    three cannot differ. `array` does the same in NumPy, for machines that have no TensorFlow.

    A part learns in `adapt` and keeps what it learned in its config. TensorFlow objects are built when first used.

    Attributes of a subclass:
        kind: name of the encoder input it feeds (`"image"`, `"token_ids"`, ...); None for a part that makes targets.
        kinds: names of all inputs, for a part that feeds several: they lie side by side along the last axis of the
            wire form and of the prepared array, and `by_kind` takes them apart.
        dtype: dtype of the prepared array.
        storage_dtype: dtype in which `graph` and `array` give it and caches keep it; cast to `dtype` at the end.
        shape: shape of one prepared sample, None where it varies.
        random_read: whether `read` draws at random when it is given a generator.
        needs_adapting: whether it has still to learn something before it can be used.
    """

    kind = None
    dtype = "float32"
    storage_dtype = "float32"
    shape = ()
    random_read = False
    needs_adapting = False

    @property
    def kinds(self):
        return () if self.kind is None else (self.kind,)

    @property
    def raw_shapes(self):
        """Shapes of a raw value of numbers by encoder input, None where they vary."""
        return {self.kind: self.raw_shape}

    def adapt(self, values):
        """Learn from an iterable of raw values (none is None); returns the part itself."""
        return self

    def read(self, value, rng=None):
        """Wire form of a raw value; a ValueError that says what is wrong where it cannot be read.

        Args:
            value: raw value, not None.
            rng: NumPy generator for parts that draw at random in training; None for the deterministic choice.
        """
        raise NotImplementedError

    def graph(self, wire):
        """Prepared tensor of one sample: wire form, a tensor of strings or numbers -> tensor of `shape`."""
        raise NotImplementedError

    def array(self, wire):
        """What `graph` computes, in NumPy."""
        raise NotImplementedError

    def by_kind(self, prepared):
        """Dict encoder input -> its share of a prepared array or tensor, with or without a batch axis."""
        return {self.kind: prepared}

    def filler_shape(self, shape):
        """Shape of the zeros that stand for a missing value, from a prepared shape with None where it varies."""
        return tuple(size or 1 for size in shape)


def require_tensorflow(what):
    """Import TensorFlow or say what needs it."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(
            f"{what} needs TensorFlow, also where Keras runs on another backend: install tensorflow, or give prepared "
            "arrays"
        ) from error
    return tensorflow


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
