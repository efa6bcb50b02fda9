"""What the package makes public, read from its source without importing it: rooms, names, and their first lines."""

import ast
import functools
import itertools
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
# Modules within a room that hold public names of their own.
INNER = ("data.corruption", "data.sets", "data.toy")


def rooms():
    """Names of the rooms, and of the modules within them, in the order of the alphabet: `"data"`, `"data.toy"`, ..."""
    listed = set(_all(_source("mmkeras"))) - {"__version__"}
    return sorted({*listed, *INNER})


def members(room):
    """Public names of a room; a module without `__all__` has those that do not begin with an underscore."""
    tree = _source(f"mmkeras.{room}")
    inner = {name.rpartition(".")[2] for name in INNER if name.startswith(room + ".")}
    return sorted(set(_all(tree) or _defined(tree)) - inner, key=lambda name: (name.lower(), name))


def path(room, name):
    """By what path to find a public name, which may be that of the module it is written in too."""
    return f"mmkeras.{room}.{name}.{name}" if _source(f"mmkeras.{room}.{name}") else f"mmkeras.{room}.{name}"


def first_line(path):
    """First line of the docstring of `"mmkeras.layers.GatedFusion"`, wherever it is written; `""` if it has none."""
    module, _, name = path.rpartition(".")
    tree = _source(module) if module else None
    if tree is None:
        return ""
    # A constant is told of in the string that follows it.
    for node, following in itertools.pairwise(tree.body):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if getattr(targets[0], "id", None) == name and isinstance(getattr(following, "value", None), ast.Constant):
            return ast.literal_eval(following.value).partition("\n")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mmkeras"):
            for imported in node.names:
                if imported.name == name and f"{node.module}.{name}" != path:
                    return first_line(f"{node.module}.{name}")
    return ""


def opening(room):
    """First line of the docstring of a room."""
    return (ast.get_docstring(_source(f"mmkeras.{room}")) or "").partition("\n")[0]


def anchor(room):
    """Where the page of a room begins."""
    return f"mm-{room.replace('.', '-')}"


@functools.cache
def identifiers():
    """What a name in a text stands for: `"mm.layers.GatedFusion"` and, where it is the only one, `"GatedFusion"`."""
    found, short = {}, {}
    for room in rooms():
        found[f"mm.{room}"] = anchor(room)
        for name in members(room):
            found[f"mm.{room}.{name}"] = path(room, name)
            short.setdefault(name, set()).add(path(room, name))
    # Words such as `signal` are names of modalities too.
    alone = {name: paths.pop() for name, paths in short.items() if len(paths) == 1}
    return {**{name: path for name, path in alone.items() if name != name.lower() or "_" in name}, **found}


@functools.cache
def _source(module):
    base = ROOT.joinpath(*module.split("."))
    for file in (base / "__init__.py", base.with_suffix(".py")):
        if file.exists():
            return ast.parse(file.read_text())
    return None


def _all(tree):
    """All that a module lists in `__all__`, in whichever branch."""
    listed = []
    for node in ast.walk(tree):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(node, ast.Assign | ast.AugAssign) and getattr(targets[0], "id", None) == "__all__":
            listed += [name for name in ast.literal_eval(node.value) if name not in listed]
    return listed


def _defined(tree):
    functions = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    constants = [node.targets[0].id for node in tree.body if isinstance(node, ast.Assign)]
    return [name for name in (*functions, *constants) if not name.startswith("_")]
