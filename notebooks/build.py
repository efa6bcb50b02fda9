"""Turn the sources of the notebooks into notebooks with their outputs.

python notebooks/build.py               # runs every source in a clean folder and writes its .ipynb beside src
python notebooks/build.py 01 03         # those only
python notebooks/build.py --smoke       # runs them at the sizes of the tests and writes nothing
python notebooks/build.py --text        # runs nothing: takes over texts between cells, where no code has changed
python notebooks/build.py --check       # runs nothing: says what is not in step with its source, failed or is empty

A source is a percent script. Sizes that a smoke run shrinks stand in one line with the smaller ones:

    SCENES, EPOCHS = 2000, 8  # smoke: 120, 1
"""

import argparse
import os
import pathlib
import re
import resource
import sys
import tempfile
import time

import jupytext
import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from rich.console import Console
from rich.table import Table

ROOT = pathlib.Path(__file__).parent
LIMIT_BYTES = 900_000
# What a kernel says about itself rather than about the notebook: TensorFlow's log, the start of a TFLite delegate.
NOISE = re.compile(r"^([IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] |WARNING: All log messages|INFO: Created TensorFlow Lite)")
# What belongs to the machine that built it.
PRIVATE = re.compile(r"/tmp/\S*|/home/\S*|/root/\S*|/Users/\S*|\.venv|site-packages| at 0x[0-9a-f]+|\w*Warning:.*")


class SameInterpreter(AsyncKernelManager):
    """A kernel of the interpreter that runs this script, whatever kernels are installed."""

    @property
    def kernel_spec(self):
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def sources(numbers=()):
    """Source files, in order; `numbers` (`"01"`) chooses some."""
    known = sorted((ROOT / "src").glob("[0-9][0-9]_*.py"))
    chosen = [path for path in known if not numbers or path.name[:2] in numbers]
    unknown = set(numbers) - {path.name[:2] for path in chosen}
    if unknown:
        raise ValueError(f"No such notebook. Expected some of {[path.name[:2] for path in known]}. Received: {unknown}")
    return chosen


def read(source, *, smoke=False):
    """Notebook of a source, without outputs."""
    text = source.read_text()
    notebook = jupytext.reads(shrink(text) if smoke else text, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def shrink(text):
    """Text of a source, with the sizes of a smoke run."""
    return re.sub(r"^(\s*[^#=\n]+=).*?#\s*smoke:\s*(.+)$", r"\1 \2", text, flags=re.MULTILINE)


def execute(notebook):
    """Run a notebook in a clean folder; its outputs are kept in it."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as sockets:
        kernel = SameInterpreter(transport="ipc", connection_file=os.path.join(sockets, "kernel.json"))
        place = {"metadata": {"path": folder}}
        try:
            nbclient.NotebookClient(notebook, km=kernel, timeout=900, record_timing=False, resources=place).execute()
        finally:
            run_sync(kernel.shutdown_kernel)(now=True)


def clean(notebook):
    """Drop what the kernel says about itself, and join what it printed in pieces."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream":
                lines = output.text.splitlines(keepends=True)
                output.text = "".join(line for line in lines if not NOISE.match(line))
                if not output.text.strip():
                    continue
                if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                    kept[-1].text += output.text
                    continue
            elif "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)
            if "metadata" in output:
                output.metadata = {}
            kept.append(output)
        cell.outputs = kept


def faults(notebook, source):
    """What is wrong with a built notebook, a list of sentences."""
    found = []
    if [(cell.cell_type, cell.source) for cell in notebook.cells] != [
        (cell.cell_type, cell.source) for cell in read(source).cells
    ]:
        found.append("its cells are not those of its source: build it anew")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if not outputs:
        found.append("it has no output")
    if not any("image/png" in output.get("data", {}) for output in outputs):
        found.append("it has no picture")
    for output in outputs:
        if output.output_type == "error":
            found.append(f"it failed: {output.ename}: {output.evalue}")
        if output.get("name") == "stderr":
            found.append(f"it complains: {output.text.strip()[:200]}")
        shown = [
            output.get("text", ""),
            *(str(value) for key, value in output.get("data", {}).items() if "png" not in key),
        ]
        found += [f"it shows {match.group(0)!r}" for text in shown for match in PRIVATE.finditer(text)]
    if len(nbformat.writes(notebook)) > LIMIT_BYTES:
        found.append(f"it is larger than {LIMIT_BYTES} bytes")
    return found


def target(source):
    """Where the notebook of a source is written."""
    return ROOT / f"{source.stem}.ipynb"


def check(source):
    """What is wrong with the notebook that was built from a source."""
    path = target(source)
    return faults(nbformat.read(path, as_version=4), source) if path.exists() else ["it was never built"]


def retell(source):
    """Write the texts of a source into its notebook, whose code must be that of the source. Returns what is wrong."""
    if not target(source).exists():
        return ["it was never built"]
    built, notebook = nbformat.read(target(source), as_version=4), read(source)
    ran, runs = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (built, notebook))
    if [cell.source for cell in ran] != [cell.source for cell in runs]:
        return ["its code has changed: build it anew"]
    for cell, new in zip(ran, runs, strict=True):
        new.outputs, new.execution_count = cell.outputs, cell.execution_count
    nbformat.write(notebook, target(source))
    return faults(notebook, source)


def build(source, *, smoke=False):
    """Run a source in a clean folder and, unless it is a smoke run, write its notebook. Returns what is wrong."""
    notebook = read(source, smoke=smoke)
    try:
        execute(notebook)
    except nbclient.exceptions.CellExecutionError as error:
        return [str(error)]
    clean(notebook)
    if smoke:
        return []
    nbformat.write(notebook, target(source))
    return faults(notebook, source)


def cpu_seconds():
    """What kernels that have ended spent on the processor: unlike the time, the same on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="which notebooks; none means all")
    parser.add_argument("--smoke", action="store_true", help="run at small sizes and write nothing")
    parser.add_argument("--text", action="store_true", help="run nothing and take over texts between cells")
    parser.add_argument("--check", action="store_true", help="run nothing and check what was built")
    given = parser.parse_args(arguments)
    table, failed = Table("notebook", "seconds", "CPU seconds", "MB"), False
    for source in sources(given.numbers):
        start, spent = time.perf_counter(), cpu_seconds()
        read_only = check if given.check else retell if given.text else None
        wrong = read_only(source) if read_only else build(source, smoke=given.smoke)
        seconds = ("", "") if read_only else (f"{time.perf_counter() - start:.0f}", f"{cpu_seconds() - spent:.0f}")
        size = f"{target(source).stat().st_size / 1e6:.2f}" if target(source).exists() else ""
        table.add_row(source.stem, *seconds, size)
        for sentence in wrong:
            print(f"{source.stem}: {sentence}", file=sys.stderr)
        failed |= bool(wrong)
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
