"""The house keeps its shape: one-way imports, short files, explicit public names, no TensorFlow in the core."""

import ast
import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "mmkeras"
FILES = sorted(PACKAGE.rglob("*.py"))
# A room may import from its own level's room and from the levels before it.
LEVELS = [
    {"keys", "ops", "registration", "version"},
    {"layers", "losses", "metrics", "data"},
    {"generation", "encoders", "preprocessing", "retrieval"},
    {"models"},
    {"evaluation"},
    {"interpret"},
    # Callbacks measure while a task trains.
    {"training"},
    {"export"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
WITHOUT_TENSORFLOW = {"keys", "ops", "layers", "losses", "metrics", "encoders", "generation", "models"}
WITHOUT_TENSORFLOW |= {"registration", "version"}
# Only TensorFlow itself can gather rows from the replicas of tf.distribute, has a kernel for batch statistics, and
# needs a gradient written out where others fuse operations.
WITH_TENSORFLOW = {"ops/batch_statistics.py", "ops/group_statistics.py", "ops/replicas.py"}


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Every module a file imports, at the top or inside functions, as (name, at the top)."""
    tree = ast.parse(path.read_text())
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "mmkeras":
                yield from ((f"mmkeras.{alias.name}", node in top) for alias in node.names)
            else:
                yield node.module, node in top


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file(path):
    source = path.read_text()
    lines = source.splitlines()
    assert len(lines) <= 400, f"{len(lines)} lines: split by concept"
    assert ast.get_docstring(ast.parse(source)), "a module says what it is for"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", source)
    room = room_of(path)
    if room == "__init__":
        return
    for name, at_top in imports(path):
        package, _, rest = name.partition(".")
        if package == "mmkeras":
            other = rest.split(".")[0]
            if not other:
                assert room == "cli", "only the command line stands on the whole house"
                continue
            assert other == room or LEVEL[other] < LEVEL[room], f"{room} must not import {name}"
        if package in ("tensorflow", "tensorflow_io", "tensorflow_text"):
            here = path.relative_to(PACKAGE).as_posix()
            assert room not in WITHOUT_TENSORFLOW or here in WITH_TENSORFLOW, (
                f"{room} runs on every backend and must not import {name}"
            )
            assert not at_top, f"{name} is imported inside functions only"
        if package == "keras_hub":
            assert not at_top, "keras_hub takes seconds to import: import it inside functions"
        assert not name.startswith("keras.src"), "keras.src is private"


def test_every_folder_is_a_room_of_the_plan():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(LEVEL)


@pytest.mark.parametrize("room", ["mmkeras", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))])
def test_public_names_are_explicit_and_sorted(room):
    module = importlib.import_module("mmkeras" if room == "mmkeras" else f"mmkeras.{room}")
    public = list(module.__all__)
    assert all(hasattr(module, name) for name in public)
    assert public == sorted(public, key=lambda name: (name.lower() == name, re.sub(r"\d+", _pad, name)))


def _pad(match):
    return match.group().zfill(4)
