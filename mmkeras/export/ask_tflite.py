"""Ask a TFLite file: LiteRT and NumPy, no TensorFlow, Keras or mmkeras.

This file imports nothing else, so a child process can run it alone:

    python ask_tflite.py FILE.tflite REQUESTS.npz ANSWERS.npz REPEATS

REQUESTS.npz holds arrays named `<signature>/<row>/<input>`; the answers come in the same form. A line of JSON says the
median milliseconds of each signature by number of threads, and what was imported.
"""

import json
import statistics
import sys
import time

import numpy as np

# A signature is timed REPEATS times, but no longer than that, seconds, once it was timed three times.
_ENOUGH = 0.5


def interpreter_of(file, threads=1):
    """A LiteRT interpreter of a file."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError("Running TFLite files needs LiteRT: pip install ai-edge-litert") from error
    return Interpreter(model_path=str(file), num_threads=threads)


def operations_of(file):
    """Dict of the operations in a TFLite file, and how many there are; `"custom NAME"` for what is none of TFLite's."""
    from ai_edge_litert import schema_py_generated as schema

    with open(file, "rb") as source:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(source.read(), 0))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = []
    for code in model.operatorCodes:
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        codes.append(names[builtin] if code.customCode is None else f"custom {code.customCode.decode()}")
    counts = {}
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            name = codes[operator.opcodeIndex]
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def main(file, requests, answers, repeats):
    asked = {}
    with np.load(requests, allow_pickle=False) as arrays:
        for name in arrays.files:
            signature, row, key = name.split("/", 2)
            asked.setdefault(signature, {}).setdefault(int(row), {})[key] = arrays[name]
    told, times = {}, {}
    for threads in (1, 2):
        interpreter = interpreter_of(file, threads)
        for signature, rows in asked.items():
            runner = interpreter.get_signature_runner(signature)
            if threads == 1:
                for row, request in rows.items():
                    for key, values in runner(**request).items():
                        told[f"{signature}/{row}/{key}"] = values
            taken = []
            # The first two warm up.
            for _ in range(int(repeats) + 2):
                started = time.perf_counter()
                runner(**rows[0])
                taken.append(time.perf_counter() - started)
                if len(taken) >= 5 and sum(taken[2:]) > _ENOUGH:
                    break
            times.setdefault(signature, {})[threads] = round(1000 * statistics.median(taken[2:]), 4)
    np.savez(answers, **told)
    imported = [name for name in ("tensorflow", "keras", "mmkeras") if name in sys.modules]
    print(json.dumps({"milliseconds": times, "imported": imported}))


if __name__ == "__main__":
    main(*sys.argv[1:])
