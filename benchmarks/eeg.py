"""Are the eyes open or closed, by one second of EEG, and which fist is clenched? One subject of EEGMMI, from scratch.

python benchmarks/eeg.py --data DIR --seeds 3 --record

`DIR` holds `eegmmi_s001_*.npz`: windows of one second, in order of time for either state of the eyes, and trials of
left and right fists in runs. A small convolutional network learns from seconds 0 to 26 of either state, in windows
that begin every eighth of a second, and is reported on the whole seconds 27 to 39, beside logistic regression on the
logarithm of the power in three bands. Fists are reported on each run in turn, trained on the others. With `--test`, it
trains on all seconds and runs of `--data` and is reported on those of that folder.

The schedule and the band of frequencies are fixed. They were chosen by `--select`, which trains on seconds 0 to 19 and
reports on 20 to 26. Fists take the same, unchosen.
"""

import pathlib
import time

import common
import keras
import numpy as np

import mmkeras as mm

EYES, FISTS = ("open", "closed"), ("left", "right")
# Seconds of either state: those before are trained on, those from there on reported on.
REPORTED, SELECTED = 27, 20
HOPS = 8
BAND = (4, 30)
POWER_BANDS = ((4, 8), (8, 13), (13, 30))
BATCH, STEPS, LEARNING_RATE = 32, 300, 1e-3
GOAL = 0.90


def read(folder):
    """The arrays of a folder."""
    files = sorted(pathlib.Path(folder).rglob("eegmmi_s001_*.npz"))
    if len(files) != 1:
        raise ValueError(f"Expected one file eegmmi_s001_*.npz. Received: {len(files)} in {folder}")
    with np.load(files[0]) as arrays:
        return dict(arrays)


def eyes(arrays, first=0, last=None, hops=1):
    """Windows of one second of either state, from second `first` to before `last`, each begun `1 / hops` s later."""
    signals, labels = [], []
    for label in range(len(EYES)):
        whole = arrays["eyes_x"][arrays["eyes_y"] == label][first:last]
        line, length = np.concatenate(list(whole), axis=1), whole.shape[2]
        windows = np.lib.stride_tricks.sliding_window_view(line, length, axis=1)[:, :: length // hops]
        signals += list(windows.transpose(1, 0, 2))
        labels += [label] * windows.shape[1]
    return records(signals, labels, EYES, arrays["sfreq"])


def fists(arrays, chosen):
    """Trials of the runs chosen."""
    rows = [run in chosen for run in arrays["fist_run"]]
    return records(arrays["fist_x"][rows], arrays["fist_y"][rows], FISTS, arrays["sfreq"])


def records(signals, labels, names, sample_rate):
    """Records of signals (sample, channel, time)."""
    signals = np.asarray(signals, "float32")
    spectrum = np.abs(np.fft.rfft(signals - signals.mean(axis=2, keepdims=True))) ** 2
    hertz = np.fft.rfftfreq(signals.shape[2], 1 / sample_rate)
    powers = [spectrum[..., (hertz >= low) & (hertz < high)].mean(axis=2) for low, high in POWER_BANDS]
    return mm.data.from_arrays(
        signal=signals.transpose(0, 2, 1),
        features=np.log1p(np.concatenate(powers, axis=1)),
        label=[names[label] for label in labels],
    )


def trained(train, names, sample_rate, steps, seed, *, linear=False):
    """A task, trained by the fixed schedule: the network, or logistic regression on the power in three bands."""
    keras.utils.set_random_seed(seed)
    length, channels = train[0]["signal"].shape
    label = mm.preprocessing.Label(list(names))
    if linear:
        pre = mm.preprocessing.Preprocessor(features=mm.preprocessing.Features(), label=label).adapt(train)
        encoders = {"features": mm.encoders.features((len(POWER_BANDS) * channels,), normalize=False)}
        augment = None
    else:
        part = mm.preprocessing.Signal(length, sample_rate=float(sample_rate), band=BAND)
        pre = mm.preprocessing.Preprocessor(signal=part, label=label).adapt(train)
        encoders = {
            "signal": mm.encoders.signal(channels, 8, (2, 2, 2), kernel_size=9, dropout_rate=0.2, pooling="avg")
        }
        # The first drops whole channels, as an electrode that lost contact.
        augment = {"signal": [keras.layers.SpatialDropout1D(0.2), keras.layers.GaussianNoise(0.2)]}
    task = mm.models.MultimodalClassifier(encoders, classes=list(names), preprocessor=pre)
    epochs = -(-steps * BATCH // len(train))
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * -(-len(train) // BATCH))
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-2))
    task.fit(pre.dataset(train, BATCH, cache="memory", augment=augment, seed=seed), epochs=epochs, verbose=0)
    return task


def scores(task, test):
    """Right or wrong for each record, and the probability given to its class."""
    found = mm.evaluation.predict_all(task, test)
    given = found.outputs[np.arange(len(found.targets)), found.targets]
    return (found.outputs.argmax(axis=1) == found.targets).tolist(), given


def main():
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--select", action="store_true", help="train on seconds 0 to 19, report on 20 to 26, eyes only")
    arguments = made.parse_args()
    started = time.perf_counter()
    arrays = read(arguments.data)
    rate, steps = arrays["sfreq"], 5 if arguments.smoke else STEPS
    if arguments.test:
        unseen = read(arguments.test)
        train, test = eyes(arrays, hops=HOPS), eyes(unseen)
        folds = [(fists(arrays, set(arrays["fist_run"])), fists(unseen, set(unseen["fist_run"])))]
    else:
        cut, end = (SELECTED, REPORTED) if arguments.select else (REPORTED, None)
        train, test = eyes(arrays, 0, cut, HOPS), eyes(arrays, cut, end)
        runs = set(arrays["fist_run"])
        folds = [(fists(arrays, runs - {run}), fists(arrays, {run})) for run in sorted(runs)]
    if arguments.select or arguments.smoke:
        folds = folds[: int(arguments.smoke)]
    rows = []
    for seed in range(arguments.seeds):
        right, given = scores(trained(train, EYES, rate, steps, seed), test)
        linear, _ = scores(trained(train, EYES, rate, steps, seed, linear=True), test)
        row = {
            "test_eyes_accuracy": float(np.mean(right)),
            "eyes_log_loss": float(-np.log(given).mean()),
            "eyes_band_power_accuracy": float(np.mean(linear)),
        }
        if folds:
            each = [scores(trained(seen, FISTS, rate, steps, seed), left_out)[0] for seen, left_out in folds]
            row["test_fist_accuracy"] = float(np.mean(np.concatenate(each)))
        rows.append(row)
    results = common.mean_over_seeds(rows)
    results |= {"num_seconds": len(test), "num_trials": sum(len(left_out) for _, left_out in folds)}
    names = {
        "test_eyes_accuracy": ("eyes, convolutions", f">= {GOAL:.2f}"),
        "eyes_band_power_accuracy": ("eyes, logistic regression on power", ""),
        "test_fist_accuracy": ("fists, convolutions (chance: 0.5)", ""),
    }
    table = []
    for key, (name, goal) in names.items():
        if key in results:
            spread = results[f"{key}_std"]
            table.append((name, f"{results[key]:.4f}", "" if spread is None else f"{spread:.4f}", goal))
    title = f"EEG of S001: {len(test)} seconds, {results['num_trials']} trials, seeds: {arguments.seeds}"
    common.show(title, ("model", "accuracy", "deviation", "goal"), table)
    common.report("eeg", results, arguments, started)


if __name__ == "__main__":
    main()
