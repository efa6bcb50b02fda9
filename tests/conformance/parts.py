"""One case per public name of `mm.preprocessing`: parts with a raw value, augmentations with a batch."""

import numpy as np

import mmkeras as mm

P = mm.preprocessing
RNG = np.random.default_rng(0)
PICTURES = RNG.uniform(0, 255, (4, 6, 8, 3)).astype("float32")
SOUNDS = RNG.uniform(-0.5, 0.5, (4, 400)).astype("float32")
MELS = RNG.normal(size=(4, 9, 5)).astype("float32")
TOKENS = RNG.integers(4, 9, (4, 7)).astype("int32")

# Non-default arguments throughout, or a lost one would go unseen.
PARTS = {
    "Audio": (lambda: P.Audio(8000, seconds=0.1, num_mels=8, frame_length=64, stride=32, trim_db=60.0), SOUNDS[0]),
    "Audio/log_mel": (
        lambda: P.Audio(8000, seconds=0.1, output="log_mel", num_mels=8, frame_length=256, stride=64),
        SOUNDS[0],
    ),
    "Features": (lambda: P.Features(3, normalize="adapt").adapt([MELS[0], MELS[1]]), MELS[2]),
    "Graph": (
        lambda: P.Graph(4, 6, vocabulary=["dog", "tail"], directed=True),
        {"nodes": [["dog", "old"], ["tail"], [], "dog", "cat"], "edges": [(0, 1), (2, 1, 0.5), (4, 0)]},
    ),
    "Graph/vectors": (
        lambda: P.Graph(node_dim=5),
        {"nodes": MELS[0], "edges": [(0, 1), (2, 1, 0.5), (8, 0)]},
    ),
    "Image": (lambda: P.Image((6, 8), fit="crop"), PICTURES[0].astype("uint8")),
    "Label": (lambda: P.Label(["no", "yes"], multi_label=True), ["yes"]),
    "Label/regression": (lambda: P.Label(regression=True), 0.5),
    "Signal": (
        lambda: P.Signal(12, sample_rate=100, band=(2.0, 20.0), normalize="window").adapt([MELS[0]]),
        MELS[1],
    ),
    "Text": (
        lambda: P.Text(
            9, 6, vocabulary=["dog", "a"], standardize="lower", split="word", mark_ends=False
        ),
        "a Dog runs",
    ),
    "Video": (
        lambda: P.Video(3, (6, 8), fit="pad", sampling="stride", stride=2),
        PICTURES.astype("uint8"),
    ),
}  # fmt: skip
AUGMENTATIONS = {
    "AddNoise": (lambda: P.AddNoise((3.0, 9.0), rate=0.9), SOUNDS),
    "DropModality": (
        lambda: P.DropModality(0.5),
        {"image_present": np.ones(4, bool), "audio_present": np.ones(4, bool)},
    ),
    "Fade": (lambda: P.Fade(), SOUNDS),
    "FrameJitter": (lambda: P.FrameJitter(), np.stack([PICTURES] * 2)),
    "RandomColour": (lambda: P.RandomColour(), PICTURES),
    "RandomCrop": (lambda: P.RandomCrop((0.3, 0.6), size=(6, 8)), PICTURES),
    "RandomErasing": (lambda: P.RandomErasing(), PICTURES),
    "RandomFlip": (lambda: P.RandomFlip(), PICTURES),
    "RandomGain": (lambda: P.RandomGain(), SOUNDS),
    "SpecAugment": (lambda: P.SpecAugment(), MELS),
    "TimeShift": (lambda: P.TimeShift(), SOUNDS),
    "TokenDropout": (lambda: P.TokenDropout(0.5), TOKENS),
    "Trim": (lambda: P.Trim(), np.pad(SOUNDS[:, 100:], ((0, 0), (100, 0)))),
}
# The base classes, and what holds the parts.
WITHOUT_CASE = {"Augmentation", "Part", "Preprocessor"}
