"""Ship what the other scripts saved: a SavedModel for TF Serving, TFLite files for phones, and what each costs.

python examples/export_model.py captioner.keras --try dog.jpg --key image
"""

import argparse
import pathlib
import time

import keras
from rich.console import Console
from rich.table import Table

import mmkeras as mm


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="a saved task, .keras")
    parser.add_argument("--try", dest="values", nargs="+", required=True, help="one value for each key, such as a file")
    parser.add_argument(
        "--key", dest="keys", nargs="+", required=True, help="what they are: image, question, video ..."
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("exported"))
    given = parser.parse_args(arguments)
    task, record = keras.saving.load_model(given.model), dict(zip(given.keys, given.values, strict=True))
    made, name = {}, given.model.stem
    # Each is asked by a process of its own, and compared with the task, before it is put in place.
    report = mm.export.to_saved_model(task, given.out / name, records=[record])
    made["SavedModel"] = (report, mm.export.SavedModelRunner(report.path))
    for quantize in (None, "float16", "dynamic"):
        path = given.out / f"{name}_{quantize or 'float32'}.tflite"
        report = mm.export.to_tflite(task, path, quantize=quantize, records=[record])
        made[f"TFLite {quantize or 'float32'}"] = (report, mm.export.LiteRunner(report.path))
    table = Table("format", "path", "MB", "ms", "answer")
    for kind, (report, runner) in made.items():
        runner.ask(record)
        started = time.perf_counter()
        answer = runner.ask(record)
        seconds = time.perf_counter() - started
        cells = str(report.path), f"{report.num_bytes / 1e6:.2f}", f"{1000 * seconds:.1f}", str(answer)[:70]
        table.add_row(kind, *cells)
    Console().print(table)
    print(f"Serve it: docker run -p 8501:8501 -v $PWD/{given.out}:/models -e MODEL_NAME={name} tensorflow/serving")


if __name__ == "__main__":
    main()
