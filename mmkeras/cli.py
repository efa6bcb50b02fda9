"""The command `mmkeras`: look at models and data, ship, ask and serve."""

import argparse
import contextlib
import json
import os
import pathlib
import sys

_DESCRIPTION = "Multimodal models from the command line: look at them, ship them, ask them, serve them."
_FORMATS = ("saved_model", "tflite", "onnx")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Args:
        arguments: words of the command line; None takes those of the process.

    Example:

    >>> main(["inspect", "nowhere.keras"])
    2
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    given = _parser().parse_args(arguments)
    # What other libraries print belongs to nobody's answer.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer, text = given.run(given)
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            print(f"mmkeras {given.command}: {error}", file=sys.stderr)
            return 2
    print(json.dumps(answer, indent=1, default=str, ensure_ascii=False) if given.json else text)
    return 0


def _parser():
    parser = argparse.ArgumentParser("mmkeras", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, words):
        made = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="print JSON")
        return made

    made = command("inspect", _inspect, "say what a model takes, gives and is made of")
    made.add_argument("model", help="a .keras or .tflite file, or the folder of a SavedModel")

    made = command("export", _export, "ship a task, proven before it is put in place")
    made.add_argument("model", help="a .keras file")
    made.add_argument("--to", default="saved_model", help=f"formats, by commas, of {', '.join(_FORMATS)}")
    made.add_argument("--out", default="saved_models", help="folder where they go")
    made.add_argument("--name", help="name of what is shipped; that of the file if left out")
    made.add_argument("--quantize", choices=("dynamic", "float16", "int8"), help="for tflite")
    made.add_argument("--records", help="records to try it on, and to calibrate int8 with: a folder, .csv or .jsonl")
    made.add_argument("--overwrite", action="store_true", help="replace what is there")

    made = command("predict", _predict, "ask a model")
    made.add_argument("model", help="a .keras or .tflite file, or the folder of a SavedModel")
    made.add_argument("--signature", help="what to ask; the first if left out")
    made.add_argument("--records", help="ask about all of these: a folder, .csv or .jsonl")
    made.epilog = (
        "Values by modality: --image dog.jpg --text 'a dog' --audio a.wav --features '[0.5, 1]' --signal eeg.npy"
    )

    made = command("serve-config", _serve_config, "write the configuration of TF Serving for a folder of models")
    made.add_argument("folder", nargs="?", default="saved_models")
    made.add_argument("--label", action="append", default=[], metavar="MODEL:LABEL=VERSION")

    made = command("report", _report, "say what is in a data set, and what is wrong with it")
    made.add_argument("records", help="a folder, .csv or .jsonl")
    parser.parse_args = _with_values(parser)
    return parser


def _with_values(parser):
    """Parsing that keeps unknown `--modality value` pairs of `predict`."""

    def parse(arguments=None):
        given, rest = parser.parse_known_args(arguments)
        given.values = {}
        if rest and given.command != "predict":
            parser.error(f"unknown: {' '.join(rest)}")
        while rest:
            word, *rest = rest
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or not (equals or rest):
                parser.error(f"values come as --modality value. Received: {word}")
            if not equals:
                value, *rest = rest
            if name in given.values:
                parser.error(f"one value of each modality; --records asks about many. Received: --{name} twice")
            given.values[name] = value
        return given

    return parse


def _inspect(given):
    path = pathlib.Path(given.model)
    from mmkeras.export import asking
    from mmkeras.export.card import read_card

    if path.suffix == ".keras":
        told = _of_task(asking.load_task(path))
    else:
        path = path if path.suffix == ".tflite" else asking.version_of(path)
        card = read_card(path.with_suffix(".json") if path.suffix == ".tflite" else path)
        told = {key: value for key, value in card.items() if key not in ("format", "checks")}
    lines = [f"{told['task']} {told['name']!r}, {told['num_weights']:,} weights"]
    for name, spec in told["signatures"].items():
        inputs = ", ".join(f"{key} {own['dtype']}{_shape(own['shape'])}" for key, own in spec["inputs"].items())
        lines.append(f"  {name}: {inputs} -> {', '.join(spec['outputs'])}")
    for name, part in ((told["preprocessing"] or {}).get("parts") or {}).items():
        lines.append(f"  {name} is prepared by {part['class']}({_arguments(part['config'])})")
    lines += [f"  optional: {', '.join(told['optional'])}"] if told["optional"] else []
    lines += [f"  {name}: {value:.4g}" for name, value in told.get("metrics", {}).items()]
    return told, "\n".join(lines)


def _of_task(task):
    from mmkeras.export.card import preprocessing_of

    endpoints = task.endpoints()
    models = {"predict": task, **{name: endpoint.model for name, endpoint in endpoints.items()}}
    return {
        "task": type(task).__name__,
        "name": task.name,
        "num_weights": task.count_params(),
        "optional": list(task.optional),
        "signatures": {
            name: {
                "inputs": {t.name: {"dtype": t.dtype, "shape": list(t.shape)} for t in model.inputs},
                "outputs": {key: {"dtype": t.dtype, "shape": list(t.shape)} for key, t in model.output.items()},
            }
            for name, model in models.items()
        },
        "preprocessing": preprocessing_of(task.preprocessor),
        "encoders": {name: encoder.name for name, encoder in task.encoders.items()},
    }


def _export(given):
    import mmkeras as mm
    from mmkeras.export.asking import load_task

    formats = [name.strip() for name in given.to.split(",")]
    unknown = [name for name in formats if name not in _FORMATS]
    if unknown:
        raise ValueError(f"`--to` takes {', '.join(_FORMATS)}. Received: {', '.join(unknown)}")
    if given.quantize and "tflite" not in formats:
        raise ValueError("`--quantize` is for tflite: add it to `--to`")
    task = load_task(given.model)
    records = None if given.records is None else _records(given.records)
    if given.quantize == "int8" and records is None:
        raise ValueError("`--quantize int8` needs to see what comes: give `--records`")
    name = given.name or pathlib.Path(given.model).stem
    common = {"records": records, "overwrite": given.overwrite}
    reports = []
    for kind in formats:
        with _spinner(f"{kind}: writing, asking, comparing"):
            if kind == "saved_model":
                reports.append(mm.export.to_saved_model(task, pathlib.Path(given.out, name), **common))
            elif kind == "tflite":
                more = {"quantize": given.quantize, "calibrate": records if given.quantize == "int8" else None}
                reports.append(mm.export.to_tflite(task, pathlib.Path(given.out, f"{name}.tflite"), **common, **more))
            else:
                reports.append(mm.export.to_onnx(task, pathlib.Path(given.out, f"{name}.onnx"), **common))
    return [report.to_dict() for report in reports], "\n".join(map(str, reports))


def _predict(given):
    from mmkeras.export.asking import open_model

    if bool(given.values) == bool(given.records):
        raise ValueError("give values by modality, such as --image dog.jpg, or --records")
    with _spinner("asking"):
        model = open_model(given.model)
        known = sorted(model.modalities)
        unknown = sorted(set(given.values) - set(known))
        if unknown:
            raise ValueError(f"this model reads --{', --'.join(known)}. Received: --{', --'.join(unknown)}")
        values = {name: _value(value) for name, value in given.values.items()}
        answers = model.ask([values] if values else list(_records(given.records)), given.signature)
    text = "\n".join(", ".join(f"{key}: {_told(value)}" for key, value in answer.items()) for answer in answers)
    return answers[0] if given.values else answers, text


def _value(word):
    """A value of a record: numbers in brackets or in a .npy file, else what it says."""
    import numpy as np

    if word.endswith(".npy"):
        return np.load(word, allow_pickle=False)
    try:
        return np.asarray(json.loads(word), "float32") if word.startswith("[") else word
    except ValueError:
        return word


def _serve_config(given):
    from mmkeras.export.serving import serving_config

    labels = {}
    for word in given.label:
        model, _, rest = word.partition(":")
        label, _, version = rest.partition("=")
        if not label or not version.isdecimal():
            raise ValueError(f"a label is given as MODEL:LABEL=VERSION. Received: {word}")
        labels.setdefault(model, {})[label] = int(version)
    config = serving_config(given.folder, labels=labels or None)
    return config._asdict(), str(config)


def _report(given):
    import mmkeras as mm

    with _spinner("reading"):
        report = mm.data.inspect(_records(given.records))
    return report.to_dict(), str(report)


def _records(path):
    import mmkeras as mm

    readers = {".csv": mm.data.read_csv, ".jsonl": mm.data.read_jsonl, ".tfrecord": mm.data.read_tfrecord}
    path = pathlib.Path(path)
    if path.is_dir():
        if (path / "Flickr8k.token.txt").exists():
            return mm.data.read_flickr8k(path)
        return mm.data.read_folder(path)
    if path.suffix not in readers:
        raise ValueError(f"Records are read from a folder, or from {', '.join(readers)}. Received: {str(path)!r}")
    return readers[path.suffix](path)


@contextlib.contextmanager
def _spinner(words):
    """A line that moves while something takes its time, where somebody looks."""
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield


def _shape(shape):
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _arguments(config):
    shown = {key: value for key, value in config.items() if value is not None}
    return ", ".join(f"{key}={_short(value)}" for key, value in shown.items())


def _short(value):
    if isinstance(value, list) and len(value) > 4:
        return f"[{len(value):,} items]"
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:37]}..."


def _told(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"[{', '.join(map(_told, value))}]" if isinstance(value, list) else str(value)


def _version():
    from mmkeras.version import __version__

    return f"mmkeras {__version__}"


if __name__ == "__main__":
    sys.exit(main())
