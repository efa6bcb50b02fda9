"""Runs alone, in a fresh process: load what was shipped as a stranger would, and report how far it is from Keras.

    python child.py FORMAT FOLDER

Prints one JSON object: for each artefact the largest difference per output, or the error.
"""

import json
import pathlib
import sys

import numpy as np


def load_keras(path):
    import keras

    import mmkeras  # noqa: F401  registers the classes; nothing else is imported

    model = keras.saving.load_model(path.with_suffix(".keras"))
    return lambda x: {k: np.asarray(keras.ops.convert_to_numpy(v)) for k, v in model.predict_on_batch(x).items()}


def load_saved_model(path):
    # TensorFlow would import Keras if it could; a server has none.
    sys.modules.update(dict.fromkeys(("keras", "mmkeras")))
    import tensorflow as tf

    model = tf.saved_model.load(path)
    function = model.signatures["serving_default"]

    def run(x):
        return {k: v.numpy() for k, v in function(**{k: tf.constant(v) for k, v in x.items()}).items()}

    run.keep = model
    return run


def load_tflite(path):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path.with_suffix(".tflite"))).get_signature_runner("serving_default")
    return lambda x: runner(**x)


LOADERS = {"keras": load_keras, "saved_model": load_saved_model, "tflite": load_tflite}
ENDINGS = {"keras": ".keras", "saved_model": "", "tflite": ".tflite"}
FORBIDDEN = {"keras": set(), "saved_model": {"keras", "mmkeras"}, "tflite": {"keras", "mmkeras", "tensorflow"}}


def main(kind, folder):
    folder = pathlib.Path(folder)
    report = {}
    for name in json.loads((folder / "names.json").read_text()):
        if not (folder / f"{name}{ENDINGS[kind]}").exists():
            continue
        data = np.load(folder / f"{name}.npz")
        x = {key[3:]: data[key] for key in data.files if key.startswith("in/")}
        try:
            outputs = LOADERS[kind](folder / name)(x)
            report[name] = {
                key[4:]: float(np.abs(outputs[key[4:]].astype("float64") - data[key].astype("float64")).max())
                for key in data.files
                if key.startswith("out/")
            }
        except Exception as error:
            report[name] = f"{type(error).__name__}: {error}"
    report["imported"] = sorted(name for name in FORBIDDEN[kind] if sys.modules.get(name) is not None)
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
