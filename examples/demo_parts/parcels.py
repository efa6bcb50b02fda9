"""A classifier of parcels by three modalities, beside three that see one each: what does fusion add?

A parcel is told by three things: its shape is seen, its material is heard, its owner is read. No modality tells all
three, so only a model that fuses them can sort parcels. `benchmarks/toy.py` scores the same over several seeds.
"""

import io

import keras
import soundfile

import mmkeras as mm
from demo_parts.shared import ASKED, Bar, Part, Row, eye, png, share

INPUTS = {"image": "image", "text": "token_ids", "audio": "audio"}
RATE, SAMPLE_RATE = 3e-3, 8_000
# Padding, the unknown word and two marks: every vocabulary begins with them.
NUM_MARKS = 4


def toy_world(samples, seed=0):
    return mm.data.toy.ToyWorld(samples, seed=seed, text_attributes=("owner", "colour", "count"))


def encoders(world, looks=None):
    """One small encoder per modality, each trained from scratch, unless `looks` has learned to see before."""
    if looks is None:
        image = mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3), pooling="max")
    else:
        image = eye(looks, "max")
    return {
        "image": image,
        "text": mm.encoders.lstm(len(world.vocabulary), 64, embedding_dim=32, pooling="max"),
        "audio": mm.encoders.conv1d_audio(32, pooling="avg"),
    }


def prepared(world, modalities):
    """What turns raw parcels into inputs, with the words of the world in its own order."""
    parts = {
        "image": mm.preprocessing.Image((64, 64)),
        "text": mm.preprocessing.Text(
            vocabulary=world.vocabulary[NUM_MARKS:], length=world.sequence_length, mark_ends=False
        ),
        "audio": mm.preprocessing.Audio(SAMPLE_RATE, seconds=1.0),
    }
    return mm.preprocessing.Preprocessor(**{name: parts[name] for name in modalities})


def train(world, modalities, *, epochs, batch_size, seed, progress, looks=None):
    """Train a classifier on some modalities; return it with its accuracy on the test split."""
    keras.utils.set_random_seed(seed)
    inputs = [INPUTS[modality] for modality in modalities]
    chosen = {modality: encoder for modality, encoder in encoders(world, looks).items() if modality in modalities}
    fusion = mm.layers.GatedFusion(64) if len(modalities) > 1 else None
    task = mm.models.MultimodalClassifier(
        chosen, fusion, classes=world.classes("parcel"), preprocessor=prepared(world, modalities), name="parcels"
    )
    x, y = world.arrays("train", inputs=inputs, label="parcel")
    steps = epochs * -(-len(y) // batch_size)
    task.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)))
    bar = Bar(progress, f"parcels, {' + '.join(modalities)}", epochs)
    task.fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=[bar], verbose=0)
    # The schedule and the number of epochs are fixed beforehand: nothing is selected, least of all on the test split.
    scores = task.evaluate(*world.arrays("test", inputs=inputs, label="parcel"), verbose=0, return_dict=True)
    return task, scores["accuracy"]


def wav(audio):
    """A sound as the bytes of a wav file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def raw(records):
    """Parcels as a client has them: a PNG file, a sentence, a wav file."""
    return [{"image": png(one["image"]), "text": one["text"], "audio": wav(one["audio"])} for one in records]


def run(world, looks, sizes, progress):
    """Train by all three modalities and by each alone."""
    everything, tasks, rows = tuple(INPUTS), {}, []
    for modalities in (everything, *((modality,) for modality in everything)):
        alone = len(modalities) == 1
        tasks[modalities], accuracy = train(
            world, modalities, epochs=sizes["parcel_epochs"], batch_size=16, seed=0, progress=progress, looks=looks
        )
        name = f"{modalities[0]} alone" if alone else " + ".join(modalities)
        rows.append(Row(modalities[0] if alone else "", name, (accuracy,), (world.ceiling("parcel", modalities),)))
    test = world.records("test", label="parcel")
    asked = test[:ASKED]
    return Part(
        "parcels",
        "Sort parcels by picture, sound and sentence",
        {"accuracy": "accuracy, 36 classes"},
        rows,
        tasks[everything],
        ("classify",),
        raw(asked),
        lambda answers: share(
            answer["label"] == record["label"] for answer, record in zip(answers["classify"], asked, strict=False)
        ),
        {"parcels": asked, "num_test": len(test)},
    )
