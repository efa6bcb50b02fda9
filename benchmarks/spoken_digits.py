"""Does a spoken digit find written ones, and a written digit spoken ones? MNIST and the Free Spoken Digit Dataset.

python benchmarks/spoken_digits.py --data DIR --seeds 3 --record

`DIR` holds `mnist/` and `fsdd/`. A small encoder of pictures and one of sounds learn one space from pairs of a
recording and a random picture of its digit; whatever else in a batch shows that digit is a positive too. Recordings 5
to 9 of each digit and speaker and the test pictures of MNIST are held out and reported on; with `--test`, the test
parts of that folder, and training stays the same. What is found is right if it is the digit.

The schedule is fixed. It was found on recordings 45 to 49 and the last 10,000 training pictures of MNIST: the former
are trained on here, the latter unused.
"""

import pathlib
import time

import common
import keras
import numpy as np

import mmkeras as mm

NUM_DIGITS = 10
TRAIN_PICTURES = 50_000
# The official test recordings, 0 to 4, come before these.
HELD_OUT = range(5, 10)
SIZES = {"rounds": 32, "pictures": TRAIN_PICTURES, "recordings": None, "items": None}
SMOKE = {"rounds": 2, "pictures": 1_000, "recordings": 100, "items": 100}
BATCH = 64
LEARNING_RATE = 2e-3
DIRECTIONS = ("audio_to_image", "image_to_audio")
MEASURES = {"precision_at_10": "precision@10", "map": "map", "r1": "r@1"}
GOALS = {"precision_at_10_audio_to_image": 0.95}


def read(folder):
    """Pictures for training, pictures for testing, and all recordings in a folder."""
    folder = pathlib.Path(folder)
    pictures, _, test_pictures = mm.data.sets.mnist(folder / "mnist").official_split()
    return pictures, test_pictures, mm.data.sets.fsdd(folder / "fsdd")


def parts(arguments):
    """Pictures and recordings to train on, and pictures and recordings to report on."""
    pictures, test_pictures, recordings = read(arguments.data)
    train = recordings.filter(lambda record: record["index"] >= HELD_OUT.stop)
    if arguments.test:
        _, test_pictures, recordings = read(arguments.test)
        _, _, test = recordings.official_split()
    else:
        test = recordings.filter(lambda record: record["index"] in HELD_OUT)
    return pictures.take(TRAIN_PICTURES), train, test_pictures, test


def pairs(pictures, recordings, rounds, seed):
    """Every recording `rounds` times, each time with a random picture of its digit."""
    rng = np.random.default_rng(seed)
    labels = np.array(pictures.column("label"))
    rows = [np.flatnonzero(labels == digit) for digit in range(NUM_DIGITS)]
    drawn = [{**recording, "picture": rng.choice(rows[recording["label"]])} for recording in list(recordings) * rounds]
    return mm.data.Records(drawn).map(lambda pair: {**pair, "image": pictures[pair["picture"]]["image"]})


def train(pictures, recordings, rounds, seed):
    """Train a task by the fixed schedule."""
    keras.utils.set_random_seed(seed)
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((28, 28)),
        audio=mm.preprocessing.Audio(8000, seconds=1.0, output="log_mel", num_mels=40, frame_length=256, stride=80),
        label=mm.preprocessing.Label(NUM_DIGITS),
    )
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1), 16, image_shape=(28, 28, 3), pooling="avg"),
        "audio": mm.encoders.spectrogram_cnn(8000, 16, dim=64, num_mels=40, from_waveform=False),
    }
    task = mm.models.JointEmbedding(encoders, mm.losses.InfoNCE(0.1), dim=64, preprocessor=pre)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, rounds * len(recordings) // BATCH)
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-4))
    hidden = mm.preprocessing.SpecAugment(time_mask=10, frequency_mask=6)
    dataset = pre.dataset(
        pairs(pictures, recordings, rounds, seed), BATCH, seed=seed, augment={"audio": hidden}, drop_remainder=True
    )
    task.fit(dataset, verbose=2)
    return task


def chance(pictures, recordings):
    """Precision of picking at random."""
    shares = [np.bincount(side.column("label"), minlength=NUM_DIGITS) / len(side) for side in (pictures, recordings)]
    return float(shares[0] @ shares[1])


def main():
    arguments = common.parser(__doc__.splitlines()[0]).parse_args()
    sizes = SMOKE if arguments.smoke else SIZES
    started = time.perf_counter()
    pictures, recordings, test_pictures, test_recordings = parts(arguments)
    if arguments.smoke:
        recordings, test_pictures, test_recordings = (x.shuffle() for x in (recordings, test_pictures, test_recordings))
    pictures, recordings = pictures[: sizes["pictures"]], recordings[: sizes["recordings"]]
    test_pictures, test_recordings = test_pictures[: sizes["items"]], test_recordings[: sizes["items"]]
    rows = []
    for seed in range(arguments.seeds):
        task = train(pictures, recordings, sizes["rounds"], seed)
        found = mm.retrieval.evaluate_task(
            task, test_recordings + test_pictures, modalities=("audio", "image"), group_by="label", ks=(1, 10)
        )
        rows.append(
            {
                f"test_{name}_{direction}": found[f"{measure}_{direction}"]
                for direction in DIRECTIONS
                for name, measure in MEASURES.items()
            }
        )
    results = common.mean_over_seeds(rows) | {"chance": chance(test_pictures, test_recordings)}
    table = []
    for direction in DIRECTIONS:
        for name in MEASURES:
            key = f"{name}_{direction}"
            spread, goal = results[f"test_{key}_std"], GOALS.get(key)
            table.append(
                (
                    f"{MEASURES[name]}, {direction.replace('_', ' ')}",
                    f"{results[f'test_{key}']:.4f}",
                    "" if spread is None else f"{spread:.4f}",
                    "" if goal is None else f">= {goal:.2f}",
                )
            )
    title = (
        f"{len(test_recordings)} recordings and {len(test_pictures):,} pictures, seeds: {arguments.seeds}; "
        f"at random: {results['chance']:.2f}"
    )
    common.show(title, ("measure", "mean", "deviation", "goal"), table)
    counts = {"num_recordings": len(test_recordings), "num_pictures": len(test_pictures)}
    common.report("spoken_digits", {**results, **counts}, arguments, started)


if __name__ == "__main__":
    main()
