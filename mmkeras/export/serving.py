"""What TF Serving reads when it starts: which models and versions it serves, how it batches, what it measures."""

import os
import pathlib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Where the folder of models is inside the container, and the ports there.
_MODELS = "/models"
_GRPC_PORT, _REST_PORT = 8500, 8501
_METRICS = "/monitoring/prometheus/metrics"
# Requests that come within 2 ms share a batch. A batch is filled up to one of the sizes, so that a model with XLA or on
# an accelerator sees few shapes; the last one must be the largest.
BATCHING = {
    "max_batch_size": 32,
    "batch_timeout_micros": 2000,
    "max_enqueued_batches": 100,
    "num_batch_threads": 4,
    "allowed_batch_sizes": (1, 2, 4, 8, 16, 32),
}
# Names stand in addresses: /v1/models/NAME/labels/LABEL:predict.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9]+")
_LARGEST = 2**63 - 1


class ServingConfig(NamedTuple):
    """What was written, and the command that serves it; `str` gives the command.

    Attributes:
        command: the `docker run` line.
        models: dict of model -> versions that are served.
        files: the files that were written.

    Example:

    >>> str(ServingConfig("docker run tensorflow/serving", {"captioner": [2]}, ["saved_models/models.config"]))
    'docker run tensorflow/serving'
    """

    command: str
    models: dict[str, list[int]]
    files: list[str]

    def __str__(self):
        return self.command


def serving_config(
    folder: str | os.PathLike = "saved_models",
    models: Iterable[str] | None = None,
    *,
    versions: Mapping[str, Iterable[int]] | None = None,
    labels: Mapping[str, Mapping[str, int]] | None = None,
    batching: bool | Mapping[str, int] = True,
    monitoring: bool = True,
    ports: tuple[int, int] = (_GRPC_PORT, _REST_PORT),
    name: str = "mmkeras",
) -> ServingConfig:
    """Write what TF Serving reads when it starts, and say the command that starts it.

    The folder holds `<model>/<version>/saved_model.pb`, as exports are placed. `models.config`, `batching.config` and
    `monitoring.config` are written into it, since the container sees nothing else. A server with them looks for new
    versions of models by itself; a version served because it is the latest makes way for the next.

    Args:
        folder: the folder of models.
        models: names of those to serve; None takes all.
        versions: dict of model -> versions to serve. Of other models the latest is served, and those that have labels.
        labels: dict of model -> dict of label -> version, such as `{"captioner": {"stable": 3, "canary": 4}}`; a client
            may ask for a label in place of a number.
        batching: whether requests that come at once are answered as one batch; a dict changes some of `BATCHING`.
        monitoring: whether the server tells Prometheus its numbers, at `/monitoring/prometheus/metrics`.
        ports: two ports of this machine, for gRPC and for REST.
        name: name of the container.

    Returns:
        A `ServingConfig`; `print` it to see the command.

    Example:

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for version in ("1", "2"):
    ...     (folder / "captioner" / version).mkdir(parents=True)
    ...     _ = (folder / "captioner" / version / "saved_model.pb").write_bytes(b"")
    >>> config = serving_config(folder, labels={"captioner": {"stable": 1}})
    >>> config.models
    {'captioner': [1, 2]}
    >>> str(config).split()[:3]
    ['docker', 'run', '--rm']
    """
    folder = pathlib.Path(folder)
    found = _found(folder, models)
    labels = {model: dict(given) for model, given in (labels or {}).items()}
    for key, given in (("versions", versions or {}), ("labels", labels)):
        if unknown := set(given) - set(found):
            raise ValueError(f"`{key}` must be of models that are served: {list(found)}. Received: {sorted(unknown)}")
    served = {
        model: _served(folder / model, there, (versions or {}).get(model), labels.get(model, {}))
        for model, there in found.items()
    }
    _check_name("name", name)
    if len(ports) != 2 or len(set(ports)) != 2 or not all(0 < port < 2**16 for port in ports):
        raise ValueError(f"`ports` must be two ports from 1 to 65535, for gRPC and for REST. Received: {ports}")
    texts = {"models.config": _models_config(found, served, versions or {}, labels)}
    if batching:
        texts["batching.config"] = _batching_config({} if batching is True else batching)
    if monitoring:
        texts["monitoring.config"] = f'prometheus_config {{\n  enable: true\n  path: "{_METRICS}"\n}}\n'
    for file, text in texts.items():
        (folder / file).write_text(text)
    command = _command(folder, list(texts), any(labels.values()), ports, name)
    return ServingConfig(command, served, [os.fspath(folder / file) for file in texts])


def _found(folder, models):
    """Models of the folder and their versions, in order."""
    if not folder.is_dir():
        raise ValueError(f"`folder` must be a folder of models: <model>/<version>/saved_model.pb. Received: {folder}")
    names = models
    if models is None:
        names = sorted(path.parents[1].name for path in folder.glob("*/*/saved_model.pb") if _is_version(path.parent))
        names = list(dict.fromkeys(names))
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ValueError(f"`folder` must hold <model>/<version>/saved_model.pb. Received: {folder}, which holds none")
    found = {}
    for model in names:
        _check_name("models", model)
        paths = [path.parent for path in (folder / model).glob("*/saved_model.pb") if _is_version(path.parent)]
        if not paths:
            raise ValueError(
                f"Each model must have a version, {folder / model}/<number>/saved_model.pb. Received: none of {model!r}"
            )
        found[model] = sorted(int(path.name) for path in paths)
    return found


def _is_version(path):
    return _VERSION.fullmatch(path.name) is not None and int(path.name) <= _LARGEST


def _served(path, there, chosen, labels):
    """Versions to serve of a model."""
    for label, version in labels.items():
        _check_name("labels", label)
        if version not in there:
            raise ValueError(f"Label {label!r} must be of a version in {path}: {there}. Received: {version}")
    if chosen is None:
        return sorted({there[-1], *labels.values()})
    chosen = sorted(set(chosen))
    if not chosen or set(chosen) - set(there):
        raise ValueError(f"`versions` must be some of those in {path}: {there}. Received: {chosen}")
    if lost := {label: version for label, version in labels.items() if version not in chosen}:
        raise ValueError(f"A label must be of a version that is served: {chosen}. Received: {lost}")
    return chosen


def _check_name(argument, name):
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"Names in `{argument}` must be of letters, digits, '.', '_' and '-', and begin with a letter or digit. "
            f"Received: {name!r}"
        )


def _models_config(found, served, versions, labels):
    lines = ["model_config_list {"]
    for model in found:
        lines += [
            "  config {",
            f'    name: "{model}"',
            f'    base_path: "{_MODELS}/{model}"',
            '    model_platform: "tensorflow"',
        ]
        # Without a policy the server follows the latest version.
        if model in versions or served[model] != found[model][-1:]:
            numbers = [f"        versions: {version}" for version in served[model]]
            lines += ["    model_version_policy {", "      specific {", *numbers, "      }", "    }"]
        for label, version in labels.get(model, {}).items():
            lines += ["    version_labels {", f'      key: "{label}"', f"      value: {version}", "    }"]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _batching_config(changes):
    if unknown := set(changes) - set(BATCHING):
        raise ValueError(f"`batching` may change {list(BATCHING)}. Received: {sorted(unknown)}")
    values = {**BATCHING, **changes}
    largest = values["max_batch_size"]
    if "allowed_batch_sizes" not in changes:
        values["allowed_batch_sizes"] = [*(size for size in BATCHING["allowed_batch_sizes"] if size < largest), largest]
    sizes = list(values.pop("allowed_batch_sizes"))
    if sizes and (sizes != sorted(set(sizes)) or sizes[-1] != largest):
        raise ValueError(f"`allowed_batch_sizes` must rise, up to `max_batch_size` {largest}. Received: {sizes}")
    for key, value in values.items():
        if value < (key != "batch_timeout_micros"):
            raise ValueError(f"`{key}` must be positive. Received: {value}")
    lines = [f"{key} {{ value: {value} }}" for key, value in values.items()]
    return "\n".join([*lines, *(f"allowed_batch_sizes: {size}" for size in sizes), ""])


def _command(folder, files, labelled, ports, name):
    words = ["docker", "run", "--rm", "--name", name]
    words += ["-p", f"{ports[0]}:{_GRPC_PORT}", "-p", f"{ports[1]}:{_REST_PORT}"]
    words += ["--mount", f"type=bind,source={folder.resolve()},target={_MODELS},readonly", "tensorflow/serving"]
    words.append(f"--model_config_file={_MODELS}/models.config")
    if "batching.config" in files:
        words += ["--enable_batching=true", f"--batching_parameters_file={_MODELS}/batching.config"]
    if "monitoring.config" in files:
        words.append(f"--monitoring_config_file={_MODELS}/monitoring.config")
    if labelled:
        # Labels are known before the versions are loaded.
        words.append("--allow_version_labels_for_unavailable_models=true")
    return shlex.join(words)
