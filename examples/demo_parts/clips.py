"""A model of clips with sound, beside the frames alone, the sound alone, and the sound of other clips.

Two things bounce and one of them is heard. Their colour is seen, the material of the one that is heard is heard; which
of the two it is, is known only to who compares when they bounce with when it sounds.
"""

import io

import av
import keras
import numpy as np

import mmkeras as mm
from demo_parts.shared import ASKED, Part, Row, fit, others, share

# What decides stands first.
LABELS, FRAME_LABEL = ("source", "material", "colour"), "bounces"
WORDS = ("which is heard", "of what material", "of what colour")
RATE, FRAMES_PER_SECOND, DIM = 8_000, 8, 48


def prepared(world, modalities):
    parts = {"video": mm.preprocessing.Video(16, (32, 48)), "audio": mm.preprocessing.Audio(RATE, seconds=2.0)}
    labels = (*LABELS, *([FRAME_LABEL] if "video" in modalities else []))
    return mm.preprocessing.Preprocessor(
        **{name: parts[name] for name in modalities},
        **{name: mm.preprocessing.Label(world.classes(name)) for name in labels},
    )


def model_of_clips(world, modalities):
    keras.utils.set_random_seed(0)
    make = {
        # What counts happens at one place of a frame.
        "video": lambda: mm.encoders.time_distributed(
            mm.encoders.vgg(2, 8, convolutions=1, image_shape=(32, 48, 3), pooling="max")
        ),
        "audio": lambda: mm.encoders.spectrogram_cnn(RATE, 8, blocks=2, dim=DIM, num_mels=16),
    }
    # What is seen times what is heard, in each frame: the answer lies in their combination at one moment.
    fusion = mm.layers.TimelineFusion(mm.layers.BilinearFusion(DIM), dim=DIM, num_heads=0, context=None)
    return mm.models.VideoAudioModel(
        {name: make[name]() for name in modalities},
        fusion,
        classes={name: world.classes(name) for name in LABELS},
        # What happens in each frame says when there is something to compare.
        frame_classes={FRAME_LABEL: world.classes(FRAME_LABEL)} if "video" in modalities else None,
        preprocessor=prepared(world, modalities),
        name="clips",
    )


def film(record):
    """A clip with its sound as the bytes of one file that loses nothing: FFV1 and PCM in Matroska."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        pictures = file.add_stream("ffv1", rate=FRAMES_PER_SECOND)
        pictures.height, pictures.width = record["video"].shape[1:3]
        pictures.pix_fmt = "bgr0"
        sound = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for picture in record["video"]:
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        samples = np.round(record["audio"] * 32767).astype("int16")[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = RATE
        file.mux(sound.encode(frame))
        for stream in (pictures, sound):
            file.mux(stream.encode())
    return buffer.getvalue()


def accuracies(task, records):
    """Share of clips answered as they are, for each question."""
    outputs = task.predict_records(records, batch_size=64)
    return tuple(
        share(
            task.head(name).names[best] == record[name]
            for best, record in zip(outputs[name].argmax(axis=1), records, strict=True)
        )
        for name in LABELS
    )


def run(world, sizes, progress):
    """Train on both streams and on each alone, by one schedule, and ask about unseen clips."""
    train, test = (world.records(split, (*LABELS, FRAME_LABEL)) for split in ("train", "test"))
    best = {"video + audio": (1.0, 1.0, 1.0), "video": (1 / 2, 1 / 3, 1.0), "audio": (1 / 2, 1.0, 1 / 6)}
    tasks, rows = {}, []
    for name in best:
        modalities = tuple(name.split(" + "))
        task = model_of_clips(world, modalities)
        keys = (*modalities, *(part for part in task.preprocessor.parts if part not in modalities))
        fit(
            task,
            [{key: record[key] for key in keys} for record in train],
            epochs=sizes["clip_epochs"],
            batch_size=8,
            rate=3e-3,
            progress=progress,
            description=f"clips, {name}",
        )
        tasks[name] = task
        alone = len(modalities) == 1
        rows.append(Row(name if alone else "", f"{name} alone" if alone else name, accuracies(task, test), best[name]))
    task = tasks["video + audio"]
    swapped = [{**record, "audio": other["audio"]} for record, other in zip(test, others(test), strict=True)]
    rows.append(
        Row("sound_of_others", "video + audio, the sound of another clip", accuracies(task, swapped), (None, None, 1.0))
    )
    asked = test[:ASKED]
    return Part(
        "clips",
        "Say what happens in clips with sound",
        dict(zip(LABELS, WORDS, strict=True)),
        rows,
        task,
        ("classify", "tag"),
        [{"video": film(record)} for record in asked],
        lambda answers: share(
            answer["source"] == record["source"] for answer, record in zip(answers["classify"], asked, strict=False)
        ),
        {"clips": asked, "num_test": len(test), "num_train": len(train)},
    )
