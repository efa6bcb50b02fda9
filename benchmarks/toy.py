"""What does fusion add on the toy world, beside unimodal controls and exact ceilings? Parcels, over several seeds.

python benchmarks/toy.py --seeds 3 --record

The classifier is that of the demo, at full size.
"""

import pathlib
import sys
import tempfile
import time

import common
import numpy as np

import mmkeras as mm

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

from demo_parts import artefacts, parcels
from demo_parts.shared import bars

SAMPLES, EPOCHS, BATCH = 5_000, 8, 32


def reload_difference(task, world, folder):
    """By how much answers to raw parcels differ where a fresh process has loaded the task."""
    path, folder = pathlib.Path(folder) / "parcels.keras", pathlib.Path(folder)
    task.save(path)
    records = parcels.raw(world.records("test", label="parcel")[: artefacts.TRIED])
    told = artefacts.told_elsewhere([[path, artefacts.write_records(records, folder), ["classify"]]])
    here = {"classify": mm.export.TaskRunner(task).ask(records, "classify")}
    return artefacts.apart(here, told[str(path)])[0]


def main():
    arguments = common.parser(__doc__.splitlines()[0], needs_data=False).parse_args()
    started = time.perf_counter()
    samples, epochs = (100, 1) if arguments.smoke else (SAMPLES, EPOCHS)
    world, everything = parcels.toy_world(samples), tuple(parcels.INPUTS)
    scores, tasks = {"test": [], **{name: [] for name in everything}}, {}
    with bars() as progress:
        for seed in range(arguments.seeds):
            for name in scores:
                modalities = everything if name == "test" else (name,)
                tasks[name], accuracy = parcels.train(
                    world, modalities, epochs=epochs, batch_size=BATCH, seed=seed, progress=progress
                )
                scores[name].append(accuracy)
    with tempfile.TemporaryDirectory() as folder:
        difference = reload_difference(tasks["test"], world, folder)
    results = {f"{name}_accuracy": float(np.mean(values)) for name, values in scores.items()}
    results |= {f"{name}_accuracy_std": float(np.std(values)) for name, values in scores.items()}
    common.show(
        f"Sorting parcels into 36 classes, seeds: {arguments.seeds}",
        ("by", "accuracy", "deviation", "best possible"),
        [
            (
                " + ".join(modalities),
                *(f"{measure(values):.3f}" for measure in (np.mean, np.std)),
                f"{world.ceiling('parcel', modalities):.3f}",
            )
            for name, values in scores.items()
            for modalities in [everything if name == "test" else (name,)]
        ],
    )
    common.report("toy", {**results, "reload_difference": difference}, arguments, started)


if __name__ == "__main__":
    main()
