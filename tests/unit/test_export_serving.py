"""The files that TF Serving starts with say what was asked for, in its own language."""

import re
import shlex

import pytest

from mmkeras.export.serving import serving_config


@pytest.fixture
def folder(tmp_path):
    for model, versions in {"captioner": ("1", "2", "10"), "voice.v2": ("007",)}.items():
        for version in versions:
            (tmp_path / model / version).mkdir(parents=True)
            (tmp_path / model / version / "saved_model.pb").touch()
    # What is no version: an export that was cut off, and a folder without a model.
    (tmp_path / "captioner" / "11.part").mkdir()
    (tmp_path / "captioner" / "11.part" / "saved_model.pb").touch()
    (tmp_path / "captioner" / "12").mkdir()
    (tmp_path / "notes").mkdir()
    return tmp_path


def parsed(text):
    """A text proto as pairs of field and value, messages as lists of pairs; anything else is an error."""
    tokens = re.findall(r'"[^"\n]*"|[A-Za-z_][A-Za-z0-9_]*|\d+|[{}:]|\S', text)
    words = {"true": True, "false": False}

    def message():
        pairs = []
        while tokens and tokens[0] != "}":
            field, mark = tokens.pop(0), tokens.pop(0)
            assert re.fullmatch("[a-z_]+", field), field
            if mark == "{":
                pairs.append((field, message()))
                assert tokens.pop(0) == "}"
                continue
            assert mark == ":", mark
            value = tokens.pop(0)
            pairs.append((field, words[value] if value in words else value[1:-1] if value[0] == '"' else int(value)))
        return pairs

    found = message()
    assert not tokens
    return found


def models(folder):
    ((name, configs),) = parsed((folder / "models.config").read_text())
    assert name == "model_config_list"
    assert {field for field, _ in configs} == {"config"}
    return [config for _, config in configs]


def test_the_latest_version_of_each_model(folder):
    config = serving_config(folder)
    assert models(folder) == [
        [("name", "captioner"), ("base_path", "/models/captioner"), ("model_platform", "tensorflow")],
        [("name", "voice.v2"), ("base_path", "/models/voice.v2"), ("model_platform", "tensorflow")],
    ]
    assert config.models == {"captioner": [10], "voice.v2": [7]}
    assert config.files == [str(folder / f"{name}.config") for name in ("models", "batching", "monitoring")]


def test_versions_and_labels(folder):
    config = serving_config(
        folder, ["captioner"], versions={"captioner": [10, 2]}, labels={"captioner": {"stable": 2, "canary": 10}}
    )
    assert config.models == {"captioner": [2, 10]}
    assert models(folder) == [
        [
            ("name", "captioner"),
            ("base_path", "/models/captioner"),
            ("model_platform", "tensorflow"),
            ("model_version_policy", [("specific", [("versions", 2), ("versions", 10)])]),
            ("version_labels", [("key", "stable"), ("value", 2)]),
            ("version_labels", [("key", "canary"), ("value", 10)]),
        ]
    ]


def test_a_label_brings_its_version(folder):
    assert serving_config(folder, labels={"captioner": {"stable": 1}}).models["captioner"] == [1, 10]
    policy = dict(models(folder)[0])["model_version_policy"]
    assert policy == [("specific", [("versions", 1), ("versions", 10)])]
    # A label of the latest needs no other version, and the server may go on to the next.
    serving_config(folder, labels={"captioner": {"stable": 10}})
    assert "model_version_policy" not in dict(models(folder)[0])
    # One version that is asked for stays, the latest too.
    serving_config(folder, versions={"captioner": [10]})
    assert dict(models(folder)[0])["model_version_policy"] == [("specific", [("versions", 10)])]


def test_batching(folder):
    serving_config(folder)
    assert parsed((folder / "batching.config").read_text()) == [
        ("max_batch_size", [("value", 32)]),
        ("batch_timeout_micros", [("value", 2000)]),
        ("max_enqueued_batches", [("value", 100)]),
        ("num_batch_threads", [("value", 4)]),
        *(("allowed_batch_sizes", size) for size in (1, 2, 4, 8, 16, 32)),
    ]
    serving_config(folder, batching={"max_batch_size": 12, "batch_timeout_micros": 0})
    found = parsed((folder / "batching.config").read_text())
    assert dict(found)["batch_timeout_micros"] == [("value", 0)]
    assert [value for key, value in found if key == "allowed_batch_sizes"] == [1, 2, 4, 8, 12]
    serving_config(folder, batching={"allowed_batch_sizes": ()})
    assert "allowed" not in (folder / "batching.config").read_text()


def test_monitoring(folder):
    serving_config(folder)
    assert parsed((folder / "monitoring.config").read_text()) == [
        ("prometheus_config", [("enable", True), ("path", "/monitoring/prometheus/metrics")])
    ]


def test_the_command(folder):
    words = shlex.split(str(serving_config(folder)))
    assert words == [
        *("docker", "run", "--rm", "--name", "mmkeras", "-p", "8500:8500", "-p", "8501:8501", "--mount"),
        f"type=bind,source={folder},target=/models,readonly",
        "tensorflow/serving",
        "--model_config_file=/models/models.config",
        "--enable_batching=true",
        "--batching_parameters_file=/models/batching.config",
        "--monitoring_config_file=/models/monitoring.config",
    ]
    config = serving_config(
        folder, labels={"captioner": {"stable": 1}}, batching=False, monitoring=False, ports=(9000, 9001), name="talk"
    )
    words = shlex.split(str(config))
    assert words[4:9] == ["talk", "-p", "9000:8500", "-p", "9001:8501"]
    assert words[-2:] == [
        "--model_config_file=/models/models.config",
        "--allow_version_labels_for_unavailable_models=true",
    ]


def test_a_folder_with_spaces(tmp_path):
    (tmp_path / "my models" / "a" / "1").mkdir(parents=True)
    (tmp_path / "my models" / "a" / "1" / "saved_model.pb").touch()
    command = str(serving_config(tmp_path / "my models"))
    assert f"type=bind,source={tmp_path}/my models,target=/models,readonly" in shlex.split(command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": ["nobody"]}, r"Each model must have a version, .*nobody/<number>/saved_model.pb"),
        ({"models": ["notes"]}, r"Received: none of 'notes'"),
        ({"models": ["a b"]}, r"Names in `models` must be of letters.*Received: 'a b'"),
        ({"models": ["../captioner"]}, r"Names in `models`"),
        ({"models": []}, "which holds none"),
        ({"versions": {"nobody": [1]}}, r"`versions` must be of models that are served.*Received: \['nobody'\]"),
        ({"labels": {"nobody": {"stable": 1}}}, r"`labels` must be of models that are served"),
        ({"versions": {"captioner": [3]}}, r"`versions` must be some of those in .*\[1, 2, 10\]. Received: \[3\]"),
        ({"versions": {"captioner": []}}, r"`versions` must be some.*Received: \[\]"),
        ({"labels": {"captioner": {"stable": 12}}}, r"Label 'stable' must be of a version in .*Received: 12"),
        ({"labels": {"captioner": {"a:b": 1}}}, r"Names in `labels`.*Received: 'a:b'"),
        (
            {"labels": {"captioner": {"stable": 1}}, "versions": {"captioner": [2]}},
            r"label must be of a version that is served: \[2\]. Received: \{'stable': 1\}",
        ),
        ({"batching": {"max_size": 3}}, r"`batching` may change .*Received: \['max_size'\]"),
        ({"batching": {"allowed_batch_sizes": [1, 8]}}, r"must rise, up to `max_batch_size` 32. Received: \[1, 8\]"),
        ({"batching": {"num_batch_threads": 0}}, "`num_batch_threads` must be positive"),
        ({"ports": (8500, 8500)}, "`ports` must be two ports"),
        ({"name": "a b"}, "Names in `name`"),
    ],
)
def test_bad_arguments(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        serving_config(folder, **arguments)
    assert not list(folder.glob("*.config"))


def test_a_folder_without_models(tmp_path):
    with pytest.raises(ValueError, match="`folder` must be a folder of models"):
        serving_config(tmp_path / "none")
    with pytest.raises(ValueError, match="which holds none"):
        serving_config(tmp_path)
    (tmp_path / "my model" / "1").mkdir(parents=True)
    (tmp_path / "my model" / "1" / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="Received: 'my model'"):
        serving_config(tmp_path)
