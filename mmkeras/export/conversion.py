"""From a SavedModel to a TFLite file of built-in operations.

This file imports TensorFlow only, so a child process can run it alone; calibration may end the process it runs in:

    python conversion.py SAVED_MODEL FILE.tflite QUANTIZE CALIBRATION.npz SIGNATURE...

CALIBRATION.npz holds arrays named `<signature>/<row>/<input>`, each a batch of the model's size.
"""

import contextlib
import io
import json
import os
import sys
import warnings

import numpy as np

QUANTIZATIONS = (None, "dynamic", "float16", "int8")


def convert(saved_model, signatures, quantize=None, calibration=None):
    """Bytes of a TFLite file with these signatures of a SavedModel.

    Args:
        saved_model: its folder.
        signatures: list of names.
        quantize: one of `QUANTIZATIONS`: None keeps float32, `"dynamic"` keeps weights in 8 bits, `"float16"` in 16,
            `"int8"` computes in 8 bits by what it saw in calibration.
        calibration: dict signature -> list of dicts of arrays, for `"int8"`.
    """
    import tensorflow as tf

    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(saved_model), signature_keys=list(signatures))
        # Said aloud: Keras' default allows operations that no interpreter in Python and no phone has.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            several = len(signatures) > 1
            converter.representative_dataset = lambda: (
                (name, sample) if several else sample for name, samples in calibration.items() for sample in samples
            )
        return converter.convert()


@contextlib.contextmanager
def _quiet():
    """Keep what the converter prints from Python to itself."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def main(saved_model, file, quantize, calibration, *signatures):
    samples = {}
    with np.load(calibration, allow_pickle=False) as arrays:
        for name in arrays.files:
            signature, row, key = name.split("/", 2)
            samples.setdefault(signature, {}).setdefault(int(row), {})[key] = arrays[name]
    samples = {name: [rows[row] for row in sorted(rows)] for name, rows in samples.items()}
    with open(file, "wb") as target:
        target.write(convert(saved_model, signatures, quantize, samples))
    print(json.dumps({"bytes": os.path.getsize(file)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
