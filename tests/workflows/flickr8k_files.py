"""A few made-up photos in the layout of Flickr8k."""

import numpy as np
import pytest

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210), "yellow": (220, 210, 60)}


def write_flickr8k(folder, photos=12, size=(60, 80)):
    """Write photos of one colour each, five captions for each, and the lists of the train and dev split."""
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    (folder / "Flicker8k_Dataset").mkdir(parents=True)
    names, captions = [], []
    for number in range(photos):
        colour = list(COLOURS)[number % len(COLOURS)]
        names.append(f"{colour}_{number}.jpg")
        photo = rng.normal(COLOURS[colour], 15, (*size, 3)).clip(0, 255).astype("uint8")
        pil.fromarray(photo).save(folder / "Flicker8k_Dataset" / names[-1])
        captions += [f"{names[-1]}#{index}\ta {colour} wall , photo {number} ." for index in range(5)]
    (folder / "Flickr8k.token.txt").write_text("\n".join(captions) + "\n")
    for part, chosen in {"train": names[:-4], "dev": names[-4:]}.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text("\n".join(chosen) + "\n")
