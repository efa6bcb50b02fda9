"""A small SavedModel of all that servers stumble over: strings, bytes that are no text, a table, a file, flags."""

import pathlib

import numpy as np

WORDS = ["dog", "cat", "bird"]


def write(path):
    """Write the SavedModel into a folder.

    Its signatures: `serving_default` on numbers, `say` on strings, `shout` with one output.
    """
    import tensorflow as tf

    class Small(tf.Module):
        def __init__(self, words):
            super().__init__()
            self.weights = tf.Variable([[1.0, -1.0], [0.5, 2.0], [0.25, 1 / 3]])
            table = tf.lookup.TextFileInitializer(
                words, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self.table = tf.lookup.StaticHashTable(table, -1)

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 3), tf.float32, "x"),
                tf.TensorSpec((None,), tf.int32, "count"),
                tf.TensorSpec((None,), tf.bool, "flag"),
            ]
        )
        def numbers(self, x, count, flag):
            scores = tf.where(flag[:, None], tf.tanh(x @ self.weights), 0.0)
            return {"scores": scores, "count": count + 1, "flag": ~flag}

        @tf.function(
            input_signature=[
                tf.TensorSpec((None,), tf.string, "text"),
                tf.TensorSpec((None,), tf.string, "image_bytes"),
            ]
        )
        def say(self, text, image_bytes):
            return {
                "text": tf.strings.join(["a ", text]),
                "word": self.table.lookup(text),
                "twice_bytes": tf.strings.join([image_bytes, image_bytes]),
                # Shares its strings with the input.
                "same_bytes": image_bytes,
            }

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.string, "text")])
        def shout(self, text):
            short = tf.debugging.assert_less(tf.shape(text)[1], 5, "at most 4 words")
            with tf.control_dependencies([short]):
                return {"loud": tf.strings.upper(text)}

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = path.with_name(f"{path.name}_words.txt")
    words.write_text("\n".join(WORDS))
    model = Small(str(words))
    tf.saved_model.save(
        model, path, signatures={"serving_default": model.numbers, "say": model.say, "shout": model.shout}
    )
    # The model has a copy of its own.
    words.unlink()
    return path


def requests():
    """A request for each signature, as pairs of its name and its inputs."""
    rng = np.random.default_rng(0)
    pictures = np.array([b"\xff\xd8\xff\xe0 no text \0", b"", bytes(range(256))], object)
    return [
        (
            "serving_default",
            {
                "x": rng.normal(size=(3, 3)).astype("float32"),
                "count": np.array([-1, 0, 2**31 - 2], "int32"),
                "flag": np.array([True, False, True]),
            },
        ),
        ("say", {"text": np.array([b"dog", "ein Vögelchen".encode(), b"cat"], object), "image_bytes": pictures}),
        ("shout", {"text": np.array([[b"a dog", b"b"], [b"", b"c"]], object)}),
    ]
