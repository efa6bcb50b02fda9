"""Pictures by sentences and sentences by pictures, beside a linear map of colours and chance."""

import keras
import numpy as np

import mmkeras as mm
from demo_parts.shared import ASKED, Part, Row, eye, fit, png, scene_of

SIDE, LENGTH, COARSE = 64, 16, 8


def towers_of(train, looks):
    """A tower of pictures on what the captioner has learned to see, and one of words."""
    keras.utils.set_random_seed(0)
    text = mm.preprocessing.Text(length=LENGTH, mark_ends=False)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((SIDE, SIDE)), text=text).adapt(train)
    # Sentences tell how many there are: a mean over cells keeps that, a maximum would not.
    towers = {"image": eye(looks, "avg"), "text": mm.encoders.bag_of_words(text.num_tokens, 64)}
    return mm.models.JointEmbedding(towers, dim=64, hidden_dim=128, preprocessor=pre, name="search")


def found(text, image, scenes):
    """Share of queries whose first hit belongs to them, both ways; scenes that look alike belong to one another."""
    scores = mm.retrieval.evaluate_pair(text, image, scenes, scenes, names=("text", "image"), ks=(1,))
    return scores["r@1_text_to_image"], scores["r@1_image_to_text"]


def linear(train, test, words):
    """Embeddings by ridge regression from the colours of a coarse grid to the words of sentences."""

    def coarse(records):
        pictures = np.stack([record["image"] for record in records]).astype("float32") / 255
        side = SIDE // COARSE
        cells = pictures.reshape(-1, COARSE, side, COARSE, side, 3).mean(axis=(2, 4))
        return np.c_[cells.reshape(len(records), -1), np.ones(len(records))]

    def counted(records):
        return np.stack([np.bincount(words.encode(record["text"]), minlength=words.num_tokens) for record in records])

    x, y = coarse(train), counted(train)[:, 2:].astype(float)
    mean = y.mean(axis=0)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - mean))
    return counted(test)[:, 2:] - mean, coarse(test) @ weights


def run(world, looks, sizes, progress):
    """Train the towers and score them on scenes whose combinations training never shows."""
    train = [{"image": record["image"], "text": record["text"]} for record in world.records("train")]
    test = world.records("test")
    values = world.attributes("test")
    scenes = [scene_of({name: column[row] for name, column in values.items()}) for row in range(len(test))]
    task = towers_of(train, looks)
    fit(task, train, epochs=sizes["search_epochs"], batch_size=64, rate=3e-3, progress=progress, description="search")
    sentences = [record["text"] for record in test]
    pictures = [record["image"] for record in test]
    scores = found(task.embed("text", sentences, batch_size=256), task.embed("image", pictures, batch_size=256), scenes)
    chance = float(np.mean([scenes.count(scene) for scene in scenes])) / len(scenes)
    rows = [
        Row("", "joint embedding", scores, (1.0, 1.0)),
        Row(
            "linear",
            "colours of a coarse grid, by a linear map",
            found(*linear(train, test, task.preprocessor["text"]), scenes),
            (None, None),
        ),
        Row("chance", "chance", (chance, chance), (None, None)),
    ]
    kept = scenes[:ASKED]
    return Part(
        "search",
        "Find pictures by sentences",
        {"text_to_image": "first picture found is right", "image_to_text": "first sentence found is right"},
        rows,
        task,
        ("embed_text", "embed_image"),
        [{"image": png(record["image"]), "text": record["text"]} for record in test[:ASKED]],
        lambda answers: found(*vectors(answers), kept)[0],
        {"scenes": kept, "pictures": pictures[:ASKED], "sentences": sentences[:ASKED], "num_test": len(test)},
    )


def vectors(answers):
    """What an artefact answered to both signatures, as arrays (record, dim)."""
    return tuple(
        np.array([answer[name] for answer in answers[f"embed_{name}"]], "float32") for name in ("text", "image")
    )
