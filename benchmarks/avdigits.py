"""Does fusion help where neither modality is sure? Weak pictures of digits, and the same digits spoken in noise.

python benchmarks/avdigits.py --data DIR --seeds 3 --record

`DIR` holds `mnist/`, `fsdd/` and the pairs in `avdigits/`. Pictures lose 75 % of their energy by PCA: of the principal
components of the train pictures the strongest stay that together hold 25 %, the fourth and last of them scaled down to
meet that exactly, before they are rounded to grey levels. Sound gets white noise at 0 dB, as loud as itself, the same
for a pair in every epoch. This was the first choice to leave each modality alone right between 60 and 95 % of the time:
AV-MNIST's own rule, which stops short of 25 % at three components, leaves pictures at 50 %; occlusion would have come
next.

A small ResNet and a small spectrogram CNN, side by side and each with a loss of its own
(`mm.training.UnimodalLosses`), and the controls of `mm.evaluation.controls` learn from the first 10,000 train pairs, so
degraded, by one fixed schedule. Reported on the val pairs, or on the test pairs of `--test DIR`; recordings, pictures
and noise there are others. Beside it:

- what is left where a modality is missing, also for a plain fused model and one trained with modality dropout;
- a grid of other degradations, for a fused model that was trained on all of them, one drawn for each train pair;
- with `--full`, other fusions.

Degradation, networks and schedule were chosen by `--select`: recordings 10 to 44 trained on, 45 to 49 reported on.
The fusion and its losses too, after a plain gated fusion had been reported on val (4.8 points over sound alone), by
trials that are not kept, one seed each: 96.6 % by plain gates and, on spectrograms rounded to 8 bits, 97.1 % by
`BilinearFusion` and 97.5 % by `ConcatFusion`, both with losses of 0.5. `--select --full` compares fusions anew.
"""

import itertools
import time

import common
import keras
import numpy as np

import mmkeras as mm

MODALITIES = ("image", "audio")
# The share of energy that pictures lose, and decibels from the noise up to the sound.
REMOVED, SNR = 0.75, 0
ALL_REMOVED, ALL_SNR = (0.0, 0.5, 0.75, 0.9), ("clean", 10, 5, 0, -5, -10)
FUSIONS = [
    mm.layers.ConcatFusion,
    mm.layers.GatedFusion,
    mm.layers.BilinearFusion,
    mm.layers.AttentionFusion,
    mm.layers.BottleneckFusion,
]
SELECTED = 45
PAIRS, BATCH, EPOCHS, LEARNING_RATE, DROPOUT_RATE, UNIMODAL = 10_000, 64, 6, 2e-3, 0.2, 0.5
GOAL = 0.05


class LessEnergy:
    """Takes a share of the energy from pictures: the weakest principal components of a set, (picture, pixel)."""

    def __init__(self, pictures, removed):
        self.mean = pictures.mean(axis=0)
        energies, vectors = np.linalg.eigh(np.cov(pictures.T))
        energies, vectors = np.maximum(energies[::-1], 1e-9), vectors[:, ::-1]
        left = (1 - removed) * energies.sum() - (np.cumsum(energies) - energies)
        kept = np.sqrt(np.clip(left / energies, 0, 1))
        self.into = vectors[:, kept > 0].astype("float32")
        self.back = (vectors * kept)[:, kept > 0].T.astype("float32")

    def __call__(self, picture, rng):
        weak = (picture.ravel() - self.mean) @ self.into @ self.back + self.mean
        return np.clip(np.round(weak), 0, 255).astype("uint8").reshape(picture.shape)


class OneOf:
    """One of several corruptors, drawn for each record."""

    def __init__(self, corruptors):
        self.corruptors = list(corruptors)

    def __call__(self, value, rng):
        return self.corruptors[rng.integers(len(self.corruptors))](value, rng)


def noise(snr):
    return load if snr == "clean" else mm.data.corruption.AudioNoise(snr_db=snr)


def load(path, rng):
    """Samples, as the noise gives them: a dataset takes either them or files."""
    return mm.data.load_audio(path)


def read(folder):
    return mm.data.sets.avdigits(f"{folder}/avdigits", mnist=f"{folder}/mnist", fsdd=f"{folder}/fsdd").official_split()


def parts(arguments):
    """Pairs to train on and pairs to report on."""
    train, test, _ = read(arguments.data)
    if arguments.select:
        numbers = np.array([int(path.rsplit("_", 1)[1].removesuffix(".wav")) for path in train.column("audio")])
        train, test = train[numbers < SELECTED], train[numbers >= SELECTED]
    elif arguments.test:
        test = read(arguments.test)[2]
    return (train.take(128), test.take(64)) if arguments.smoke else (train.take(PAIRS), test)


def preprocessor(modalities):
    inputs = {
        "image": mm.preprocessing.Image((28, 28)),
        "audio": mm.preprocessing.Audio(
            8000, seconds=0.75, output="log_mel", num_mels=32, frame_length=256, stride=128
        ),
    }
    return mm.preprocessing.Preprocessor(
        optional=modalities if len(modalities) > 1 else (),
        label=mm.preprocessing.Label(10),
        **{name: inputs[name] for name in modalities},
    )


def make_task(modalities, fusion=None, dropout_rate=0.0):
    """A task; one of several modalities bears that some are missing."""
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1), 16, image_shape=(28, 28, 3)),
        "audio": mm.encoders.spectrogram_cnn(8000, 16, dim=64, num_mels=32, from_waveform=False),
    }
    pre = preprocessor(modalities)
    return mm.models.MultimodalClassifier(
        {name: encoders[name] for name in modalities},
        mm.layers.ConcatFusion() if fusion is None and len(modalities) > 1 else fusion,
        classes=10,
        optional=pre.optional,
        modality_dropout_rate=dropout_rate,
        preprocessor=pre,
    )


def fit(task, data, epochs, unimodal=UNIMODAL):
    step = mm.training.UnimodalLosses(unimodal) if unimodal and len(task.encoders) > 1 else None
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * int(data.cardinality()))
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), step=step)
    task.fit(data, epochs=epochs, verbose=2)
    return task


def trained(data, epochs, seed, unimodal=UNIMODAL, dropout_rate=0.0):
    """A task of both modalities."""
    keras.utils.set_random_seed(seed)
    return fit(make_task(MODALITIES, dropout_rate=dropout_rate), data, epochs, unimodal)


def controls(data, test, epochs, seeds):
    """Results of the fused task and its controls, and the fused task of each seed."""
    tasks = []
    table = mm.evaluation.controls(
        make_task,
        MODALITIES,
        data,
        test,
        fit=lambda task, data: tasks.append(fit(task, data, epochs)),
        seeds=seeds,
        batch_size=256,
    )
    print(table)
    results = {}
    for row in table:
        prefix = "" if row["model"] == "all modalities" else f"{key(row['model'])}_"
        results |= {f"test_{prefix}accuracy": row["accuracy"], f"test_{prefix}accuracy_std": row["deviation"]}
    best = max((row for row in table if row["model"].endswith(" only")), key=lambda row: row["accuracy"])
    for name, value in zip(("", "_low", "_high"), best["behind"], strict=True):
        results[f"gain_over_best_modality{name}"] = value
    return results, [task for task in tasks if len(task.encoders) > 1]


def missing(tasks, data, test, epochs):
    """Accuracy by what is present, of these tasks and of such as were trained otherwise."""
    rows = []
    for seed, task in enumerate(tasks):
        by_kind = {
            "unimodal_losses": task,
            "plain": trained(data, epochs, seed, 0.0),
            "modality_dropout": trained(data, epochs, seed, 0.0, DROPOUT_RATE),
        }
        rows.append(
            {
                f"test_{kind}_{key(row['present'])}": row["accuracy"]
                for kind, task in by_kind.items()
                for row in mm.evaluation.subsets(task, test, batch_size=256)
            }
        )
    return common.mean_over_seeds(rows)


def accuracy(task, data):
    found = mm.evaluation.predict_all(task, data)
    return float((found.outputs.argmax(axis=1) == found.targets).mean())


def key(name):
    return name.replace(" + ", "_").replace(" ", "_")


def cell(removed, snr):
    return f"test_grid_removed_{100 * removed:.0f}_snr_{snr}"


def show(title, results, names):
    """Print mean and deviation of some results."""
    rows = []
    for name in names:
        spread = results.get(f"{name}_std")
        words = name.removeprefix("test_").replace("_", " ")
        rows.append((words, f"{results[name]:.4f}", "" if spread is None else f"{spread:.4f}"))
    common.show(title, ("model", "accuracy", "deviation"), rows)


def main():
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--select", action="store_true", help="train on recordings 10 to 44, report on 45 to 49")
    arguments = made.parse_args()
    started = time.perf_counter()
    train, test = parts(arguments)
    seeds, epochs = arguments.seeds, 1 if arguments.smoke else EPOCHS
    removals, ratios = ((REMOVED,), (SNR,)) if arguments.smoke else (ALL_REMOVED, ALL_SNR)
    pictures = np.stack(train.column("image")).reshape(len(train), -1).astype("float32")
    weaken = {removed: LessEnergy(pictures, removed) for removed in removals}
    pre = preprocessor(MODALITIES)

    def learned_from(image, audio):
        worse = mm.data.corrupt(train, seed=1, image=image, audio=audio)
        return pre.dataset(worse, BATCH, cache="memory", drop_remainder=True)

    def reported_on(removed, snr):
        worse = mm.data.corrupt(test, seed=0, image=weaken[removed], audio=noise(snr))
        return pre.dataset(worse, 256, shuffle=False, cache="memory")

    data, stated = learned_from(weaken[REMOVED], noise(SNR)), reported_on(REMOVED, SNR)
    results, tasks = controls(data, stated, epochs, seeds)
    present = missing(tasks, data, stated, epochs)
    others = {}
    if arguments.full:
        table = mm.evaluation.compare(
            lambda fusion: make_task(MODALITIES, fusion),
            FUSIONS,
            data,
            stated,
            fit=lambda task, data: fit(task, data, epochs),
            seeds=seeds,
        )
        print(table)
        for row in table:
            others |= {f"test_{row['fusion']}": row["accuracy"], f"test_{row['fusion']}_std": row["deviation"]}
    data = learned_from(OneOf(weaken.values()), OneOf(map(noise, ratios)))
    tasks = [trained(data, epochs, seed) for seed in range(seeds)]
    grid = {}
    for removed, snr in itertools.product(removals, ratios):
        worse = reported_on(removed, snr)
        grid[cell(removed, snr)] = float(np.mean([accuracy(task, worse) for task in tasks]))

    low, high = results["gain_over_best_modality_low"], results["gain_over_best_modality_high"]
    title = f"AV digits, {len(test):,} pairs, seeds: {seeds}"
    show(title, results, [name for name in results if name.endswith("_accuracy")])
    print(f"Fused over the best alone: {results['gain_over_best_modality']:.4f} [{low:.4f}, {high:.4f}], goal {GOAL}")
    show("What is present, by how the model was trained", present, [n for n in present if not n.endswith("_std")])
    lines = [(f"{removed:.0%}", *(f"{grid[cell(removed, snr)]:.4f}" for snr in ratios)) for removed in removals]
    print("Trained on all of these degradations: share of energy removed from pictures, by dB of sound over noise")
    common.show("", ("removed", *map(str, ratios)), lines)
    common.report("avdigits", {**results, **present, **others, **grid, "num_pairs": len(test)}, arguments, started)


if __name__ == "__main__":
    main()
