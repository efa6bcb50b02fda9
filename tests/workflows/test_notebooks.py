"""The notebooks run, from source and at small sizes, and what was built of them is in step with the sources."""

import ast
import importlib.util
import pathlib

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
SOURCES = sorted((FOLDER / "src").glob("*.py"))
# The first one, from files to a server, and the quickest. The others train more models, and run with `--slow`.
QUICK = ("01", "03")


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# In this process, where TensorFlow is imported already: a kernel for each would take longer than the cells.
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "source",
    [pytest.param(path, marks=[] if path.name[:2] in QUICK else [pytest.mark.slow], id=path.stem) for path in SOURCES],
)
def test_cells_run(source, build, tmp_path, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for number, cell in enumerate(build.read(source, smoke=True).cells):
        if cell.cell_type == "code":
            _run(cell.source, f"{source.name}[{number}]", names)
    assert not pyplot.get_fignums(), "a figure is never shown: end its cell with plt.show()"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_built_from_its_source(source, build):
    assert build.check(source) == []


def test_every_notebook_has_a_source_and_a_line():
    names = {path.stem for path in SOURCES}
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == names
    readme = (FOLDER / "README.md").read_text()
    assert all(f"({name}.ipynb)" in readme for name in names)


def _run(code, name, names):
    """Execute a cell as a notebook does: what its last line says is shown."""
    body = ast.parse(code, name).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), names)
    if last is not None:
        repr(eval(compile(ast.Expression(last.value), name, "eval"), names))
