"""What the parts of the demo have in common: what a part comes back with, and its bars of progress."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import PIL.Image
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import mmkeras as mm

# So many records of the test split are put to what was shipped.
ASKED = 128


class Row(NamedTuple):
    """One line of a table of scores.

    Attributes:
        key: what it is called in the JSON; empty for the model itself, so that all others are controls.
        name: what was tried, in words.
        scores: a score for each column.
        best: for each column the best that anyone could reach with what was given; None where there is no saying.
    """

    key: str
    name: str
    scores: tuple
    best: tuple


class Part(NamedTuple):
    """A model that was trained, and what is needed to ship it, to ask it and to show it.

    Attributes:
        name: of its files, and of its section on the page.
        title: what it does, in a few words.
        columns: dict of what was measured, in words, by its name in the JSON.
        rows: list of `Row`s, that of the model first.
        task: the trained task.
        signatures: names of what it is asked, the usual one first.
        records: raw records of the test split as a client has them: files as bytes.
        right: function that scores answers to the records, a list by signature, by the first column.
        facts: what the page shows besides.
    """

    name: str
    title: str
    columns: dict
    rows: list
    task: Any
    signatures: tuple
    records: list
    right: Callable
    facts: dict


def bars(console=None):
    """Bars of progress, one for each training."""
    columns = TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[score]}")
    return Progress(*columns, console=console)


class Bar(keras.callbacks.Callback):
    """Move a bar of progress one step per epoch."""

    def __init__(self, progress, description, epochs):
        super().__init__()
        self.progress = progress
        self.bar = progress.add_task(description, total=epochs, score="")

    def on_epoch_end(self, epoch, logs=None):
        self.progress.update(self.bar, advance=1, score=f"loss {logs['loss']:.3f}")


def adam(rate, steps):
    """AdamW whose rate warms up and then falls to nothing: the schedule is fixed, and nothing is selected."""
    warm = steps // 40 + 1
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, max(1, steps - warm), warmup_target=rate, warmup_steps=warm
    )
    return keras.optimizers.AdamW(schedule, weight_decay=1e-3, global_clipnorm=5.0)


def fit(task, records, *, epochs, batch_size, rate, progress, description):
    """Train a task on records by its own preprocessor."""
    batches = task.preprocessor.dataset(records, batch_size, cache="memory", seed=0, drop_remainder=True)
    task.compile(adam(rate, epochs * int(batches.cardinality())), metrics=None)
    task.fit(batches, epochs=epochs, callbacks=[Bar(progress, description, epochs)], verbose=0)
    return task


def eye(looks, pooling):
    """An encoder of pictures on what another one has learned to see, a frozen copy of it.

    Args:
        looks: the other one, of tokens.
        pooling: how the cells become one vector, once each was read with its place.
    """
    seen = keras.models.clone_model(looks)
    seen.set_weights(looks.get_weights())
    mm.training.freeze(seen)
    image = keras.Input(seen.inputs[0].shape[1:], name="image")
    cells = mm.layers.PositionEmbedding(seen.output_shape[1], name="places")(seen(image))  # (batch, cell, dim)
    for index in range(2):
        cells = keras.layers.Dense(128, "relu", name=f"reads_{index}")(cells)
    return mm.encoders.finish(image, cells, pooling=pooling)


def png(picture):
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def scene_of(attributes):
    """What can be seen of a scene, as one string: equal for scenes that a caption cannot tell apart."""
    return "/".join(str(attributes[name]) for name in ("shape", "colour", "size", "count", "position"))


def others(records):
    """For each record another one, the next."""
    return records[1:] + records[:1]


def share(values):
    return float(np.mean(list(values)))
