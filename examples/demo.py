"""Four models of the toy world, start to end: trained beside controls, saved, shipped, and asked as users will.

    make demo
    python examples/demo.py --only captioner search

It takes less than five minutes on two cores and needs no network. A captioner says what is in a picture, a joint
embedding finds pictures by sentences, a video and audio model says what happens in clips, and a classifier sorts
parcels by what is seen, heard and read. Each stands beside controls that lack what the task is about. Each is saved and
loaded by a fresh process, exported as SavedModel and TFLite, and what was exported is asked, from bytes of files. All
of it is on one page, `saved_models/demo/demo.html`.
"""

import argparse
import json
import logging
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from demo_parts import captions, clips, page, parcels, picture, search
from demo_parts.artefacts import fresh_process, ship, write_records
from demo_parts.shared import bars
from rich.console import Console
from rich.table import Table

import mmkeras as mm

PARTS = ("captioner", "search", "clips", "parcels")
FULL = {
    "scenes": 4000,
    "caption_epochs": 10,
    "blind_epochs": 2,
    "search_epochs": 5,
    "clips": 1200,
    "clip_epochs": 4,
    "parcels": 2000,
    "parcel_epochs": 5,
}
QUICK = {
    "scenes": 120,
    "caption_epochs": 1,
    "blind_epochs": 1,
    "search_epochs": 1,
    "clips": 40,
    "clip_epochs": 1,
    "parcels": 60,
    "parcel_epochs": 1,
}


def trained(names, sizes, progress):
    """Train the models asked for; a `Part` of each by name."""
    parts, looks = {}, None
    if set(names) - {"clips"}:
        world = mm.data.toy.ToyWorld(sizes["scenes"], seed=0)
        parts["captioner"] = captions.run(world, sizes, progress)
        # What it has learned to see need not be learned again.
        looks = parts["captioner"].task.encoders["image"]
    if "search" in names:
        parts["search"] = search.run(world, looks, sizes, progress)
    if "clips" in names:
        parts["clips"] = clips.run(mm.data.toy.ToyClips(sizes["clips"], seed=0), sizes, progress)
    if "parcels" in names:
        parts["parcels"] = parcels.run(parcels.toy_world(sizes["parcels"]), looks, sizes, progress)
    return parts


def of_all(parts, folder, progress):
    """Ship all parts, write the records they are asked, and compare with a fresh process; artefacts by name."""
    folder.mkdir(parents=True, exist_ok=True)
    bar = progress.add_task("export, ask and compare", total=len(parts) + 1, score="")
    asked, shipped = {}, {}
    for name, part in parts.items():
        asked[name] = write_records(part.records, folder / "asked" / name)
        shipped[name] = ship(part, folder)
        progress.update(bar, advance=1, score=name)
    differences = fresh_process(parts, shipped, asked)
    progress.update(bar, advance=1, score=".keras files in a fresh process")
    return {name: [made[0]._replace(difference=differences[name]), *made[1:]] for name, made in shipped.items()}


def show(console, parts, shipped):
    """The scores and what was shipped, as a table."""
    table = Table(title="Scores on unseen data, beside controls", title_justify="left")
    for name, side in (("", "left"), ("score", "right"), ("best possible", "right")):
        table.add_column(name, justify=side)
    for part in parts.values():
        table.add_section()
        table.add_row(f"[bold]{part.title}: {', '.join(part.columns)}")
        for row in part.rows:
            best = " ".join("" if value is None else f"{value:.3f}" for value in row.best)
            table.add_row(f"  {row.name}", " ".join(f"{value:.3f}" for value in row.scores), best)
    console.print(table)
    table = Table(title="What was shipped, asked from bytes of files", title_justify="left")
    for name in ("file", "KB", "score", "differs by", "ms"):
        table.add_column(name, justify="left" if name == "file" else "right")
    for made in shipped.values():
        table.add_section()
        for one in made:
            table.add_row(
                str(one.path),
                f"{one.num_bytes / 1024:,.0f}",
                f"{one.score:.3f}",
                f"{one.difference:.0e}",
                f"{one.milliseconds:.2f}",
            )
    console.print(table)


def summary(parts, shipped, seconds):
    """What the last line says, as one dict of stable keys."""
    told = {}
    for name, part in parts.items():
        for row in part.rows:
            for column, score in zip(part.columns, row.scores, strict=True):
                told["_".join(filter(None, (name, column, row.key)))] = round(score, 4)
        for kind, one in zip(("keras", "saved_model", "tflite"), shipped[name], strict=True):
            told |= {
                f"{name}_{kind}_score": round(one.score, 4),
                f"{name}_{kind}_difference": float(f"{one.difference:.3g}"),
                f"{name}_{kind}_ms": round(one.milliseconds, 3),
                f"{name}_{kind}_bytes": one.num_bytes,
            }
    told["reload_difference"] = max(made[0].difference for made in shipped.values())
    return {**told, "seconds": round(seconds)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="which models (default: all); others than `clips` bring the captioner, by whose encoder they see",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, learns nothing")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("saved_models/demo"), help="where it all goes")
    parser.add_argument("--picture", type=pathlib.Path, help="write a picture of the results, too: a .png file")
    options = parser.parse_args(arguments)

    # Records are asked one by one and many at once, and each size is compiled: no news to who watches the bars.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    console, started = Console(), time.perf_counter()
    with bars(console) as progress:
        parts = trained(options.only, QUICK if options.quick else FULL, progress)
        shipped = of_all(parts, options.out, progress)
    seconds = time.perf_counter() - started
    show(console, parts, shipped)
    written = page.write(options.out / "demo.html", parts, shipped, seconds=seconds)
    if options.picture:
        picture.draw(options.picture, parts, shipped)
    console.print(f"Everything is in {options.out}; open {written} in a browser.")
    told = summary(parts, shipped, seconds)
    print(json.dumps(told))
    return told


if __name__ == "__main__":
    main()
