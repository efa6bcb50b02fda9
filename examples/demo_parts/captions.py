"""A captioner of pictures, beside captions of other pictures and a captioner that never saw one."""

import collections

import keras
import numpy as np

import mmkeras as mm
from demo_parts.shared import ASKED, Part, Row, fit, others, png, scene_of, share

SIDE, LENGTH = 64, 20


def captioner(train, side, width, units):
    """A small VGG, and an LSTM that looks at its cells; black pictures need hardly any of the former."""
    keras.utils.set_random_seed(0)
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((side, side)), text=mm.preprocessing.Text(length=LENGTH)
    ).adapt(train)
    blocks = 3 if side == SIDE else 1
    encoder = mm.encoders.vgg(blocks, width, convolutions=1, image_shape=(side, side, 3))
    decoder = mm.layers.LSTMDecoder(pre["text"].num_tokens, units, attention="multi_head")
    return mm.models.ImageCaptioner(encoder, decoder, preprocessor=pre, name="captioner")


def black(records):
    return [{**record, "image": np.zeros((8, 8, 3), "uint8")} for record in records]


def run(world, sizes, progress):
    """Train both captioners and hold what they say against the grammar."""
    train = [{"image": record["image"], "text": record["text"]} for record in world.records("train")]
    test = world.records("test")
    values = world.attributes("test")
    scenes = [{name: column[row] for name, column in values.items()} for row in range(len(test))]

    def true(said, of=scenes):
        return [world.caption_is_true(sentence, scene) for sentence, scene in zip(said, of, strict=False)]

    learn = {"batch_size": 32, "rate": 3e-3, "progress": progress}
    task = captioner(train, SIDE, 16, 128)
    fit(task, train, epochs=sizes["caption_epochs"], description="captioner", **learn)
    # Black pictures are the same at any size; small ones take no time.
    blind = captioner(black(train), 8, 4, 64)
    fit(blind, black(train), epochs=sizes["blind_epochs"], description="captioner that sees nothing", **learn)

    said = task.generate([{"image": record["image"]} for record in test], batch_size=128)
    guessed = blind.generate([{"image": record["image"]} for record in black(test)], batch_size=128)
    # What no picture could better: the commonest scene of all, which training never shows.
    kinds = collections.Counter(scene_of(scene) for scene in scenes)
    rows = [
        Row("", "captioner", (share(true(said)),), (1.0,)),
        Row(
            "other_picture", "its captions, held against another picture", (share(true(said, others(scenes))),), (None,)
        ),
        Row(
            "blind",
            "captioner that saw black pictures only",
            (share(true(guessed)),),
            (max(kinds.values()) / len(test),),
        ),
    ]
    records = [{"image": png(record["image"])} for record in test[:ASKED]]
    return Part(
        "captioner",
        "Say what is in a picture",
        {"true": "true and complete captions"},
        rows,
        task,
        ("generate",),
        records,
        lambda answers: share(true([answer["text"] for answer in answers["generate"]])),
        {
            "true": true,
            "pictures": [record["image"] for record in test[:ASKED]],
            "known": [record["text"] for record in test[:ASKED]],
            "num_test": len(test),
            "num_train": len(train),
        },
    )
