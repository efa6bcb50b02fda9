"""What does a training step on clips cost, beside other ways of writing the same model?

python benchmarks/video.py --torch PYTHON

A small VGG on each of 16 frames of 48x48, convolutions on two seconds of sound, and `mm.layers.TimelineFusion`: each
looks at the other within half a second, gates at each step, an LSTM from both ends, the mean over time. One step of
Adam on 16 clips. Its peers have the same weights, and must give the same loss before anything is timed:

- `naive`: frames by `keras.layers.TimeDistributed`, and the normalisation of Keras, as one would write it;
- `torch`: the same model in PyTorch, in a process of its own, by the interpreter that `--torch` gives.

Beside them: the first epoch behind a frozen encoder, which keeps features by `mm.data.cache_features`, and the next.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import keras
import numpy as np

import mmkeras as mm

BATCH, FRAMES, SIZE, SAMPLES, DIM, HEADS, WINDOW = 16, 16, 48, 16_000, 64, 4, 4.0
WIDTHS, SOUND_WIDTH, SOUND_STRIDES, FIRST_KERNEL = (16, 32, 64), 32, (16, 8), 64
RATE = 1e-3


def still(naive):
    """An encoder of one frame: two convolutions, normalised, and pooling, three times over."""
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    make = keras.layers.GroupNormalization if naive else mm.layers.FusedGroupNormalization
    for width in WIDTHS:
        for _ in range(2):
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = keras.layers.ReLU()(make(8, epsilon=1e-5)(x))
        x = keras.layers.MaxPooling2D()(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def naive_clips():
    frames = keras.Input((FRAMES, SIZE, SIZE, 3), name="frames")
    return keras.Model(frames, keras.layers.TimeDistributed(still(naive=True))(frames))


def sound():
    audio = keras.Input((SAMPLES,), name="audio")
    x = keras.layers.Reshape((SAMPLES, 1))(audio)
    for stride, kernel in zip(SOUND_STRIDES, (FIRST_KERNEL, 9), strict=True):
        x = keras.layers.Conv1D(SOUND_WIDTH, kernel, strides=stride, activation="relu")(x)
    return keras.Model(audio, x)


def make_task(video):
    fusion = mm.layers.TimelineFusion(mm.layers.GatedFusion(DIM), dim=DIM, num_heads=HEADS, window=WINDOW)
    task = mm.models.VideoAudioModel({"video": video, "audio": sound()}, fusion, classes=10)
    task.compile(keras.optimizers.Adam(RATE, epsilon=1e-8))
    return task


def batch(rng):
    frames = rng.uniform(0, 255, (BATCH, FRAMES, SIZE, SIZE, 3)).astype("float32")
    audio = rng.normal(0, 0.2, (BATCH, SAMPLES)).astype("float32")
    return {"frames": frames, "audio": audio}, rng.integers(10, size=BATCH)


class Torch:
    """The model in a process of PyTorch, which takes a step when it is asked to."""

    def __init__(self, python, task, x, y):
        arrays = {"frames": x["frames"], "audio": x["audio"], "label": y, **weights_of(task)}
        sizes = {"dim": DIM, "heads": HEADS, "window": WINDOW, "widths": WIDTHS, "strides": SOUND_STRIDES, "rate": RATE}
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder, "weights.npz"), **arrays)
            command = [python, Path(__file__).with_name("video_peer.py"), Path(folder, "weights.npz")]
            self._process = subprocess.Popen(
                [*command, json.dumps(sizes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.version = self._answer()["torch"]

    def step(self):
        print("step", file=self._process.stdin, flush=True)
        return self._answer()["loss"]

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit("The process of PyTorch ended: see above.")
        return json.loads(line)


def weights_of(task):
    """Arrays of a task's weights, by what they are in the model of PyTorch."""
    arrays = {}
    for part, encoder in (
        ("still", task.encoders["video"].get_layer("each_frame").encoder),
        ("sound", task.encoders["audio"]),
    ):
        layers = [layer for layer in encoder.layers if layer.weights]
        for index, layer in enumerate(layers):
            for weight in layer.weights:
                arrays[f"{part}_{index}_{weight.name}"] = np.asarray(weight)
    fusion = task.fusion
    arrays["origin"] = np.asarray(fusion._origin)
    for index in range(2):
        arrays |= _of(f"projection_{index}", fusion._projections[index])
        attention = fusion._attentions[index]
        for name in ("query_norm", "context_norm", "query_dense", "key_dense", "value_dense", "output_dense"):
            arrays |= _of(f"attention_{index}_{name}", getattr(attention, f"_{name}"))
    arrays |= _of("gate", fusion.fusion._gate)
    for way in ("forward", "backward"):
        arrays |= _of(way, getattr(fusion._over_time, f"{way}_layer").cell)
    return arrays | _of("head", task.head("label")._layer)


def _of(name, layer):
    return {f"{name}_{weight.name}": np.asarray(weight) for weight in layer.weights}


def steps(arguments, rng, pairs):
    """Ratios of one training step here to one of each peer."""
    x, y = batch(rng)
    ours, naive = make_task(mm.encoders.time_distributed(still(naive=False), FRAMES)), make_task(naive_clips())
    naive.set_weights(ours.get_weights())
    sides = {"naive": lambda: naive.train_on_batch(x, y)}
    first = {"naive": float(naive.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True)["loss"])}
    if arguments.torch:
        peer = Torch(arguments.torch, ours, x, y)
        first["torch"] = peer.step()
        sides["torch"] = peer.step
    loss = float(ours.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True)["loss"])
    for name, other in first.items():
        if not np.isclose(loss, other, rtol=1e-3):
            sys.exit(f"{name} computes something else: a loss of {other}, and {loss} here.")
    results, rows = {}, []
    for name, side in sides.items():
        timing = common.interleaved(lambda: ours.train_on_batch(x, y), side, pairs)
        results[f"ratio_vs_{name}"] = timing.ratio
        results[f"ratio_vs_{name}_low"], results[f"ratio_vs_{name}_high"] = timing.low, timing.high
        results[f"seconds_{name}"] = timing.second
        rows.append((name, f"{timing.first:.3f}", f"{timing.second:.3f}", f"{1 / timing.ratio:.2f}"))
    common.show("One training step", ("against", "here s", "peer s", "times faster"), rows)
    return results


def epochs(rng, count):
    """Seconds of the first epoch behind a frozen encoder, which computes the features, and of the second."""
    pixels = rng.integers(0, 255, (count, FRAMES, SIZE, SIZE, 3)).astype("uint8")
    clips = [{"video": frames, "label": index % 10} for index, frames in enumerate(pixels)]
    frozen = mm.encoders.time_distributed(mm.encoders.resnet18(image_shape=(SIZE, SIZE, 3), pooling="avg"), FRAMES)
    frozen.trainable = False
    read = mm.preprocessing.Preprocessor(video=mm.preprocessing.Video(FRAMES, (SIZE, SIZE)))

    def see(records):
        return frozen.predict_on_batch(read(records)["frames"])

    features = mm.preprocessing.Features(FRAMES, normalize=None)
    head = mm.encoders.features((FRAMES, frozen.output_shape[-1]), DIM)
    task = mm.models.VideoAudioModel({"video": head}, classes=10)
    task.compile()
    with tempfile.TemporaryDirectory() as folder:
        # Tracing is not measured.
        see(clips[:8])
        warm = np.zeros((BATCH, FRAMES, frozen.output_shape[-1]), "float32")
        task.fit({"video_features": warm}, np.zeros(BATCH, int), batch_size=BATCH, verbose=0)
        begun = time.perf_counter()
        cached = mm.data.cache_features(clips, folder, video=see, batch_size=8)
        pre = mm.preprocessing.Preprocessor(video=features, label=mm.preprocessing.Label(10)).adapt(cached)
        data = pre.dataset(cached, BATCH)
        task.fit(data, epochs=1, verbose=0)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        task.fit(data, epochs=1, verbose=0)
        second = time.perf_counter() - begun
    common.show(
        "Behind a frozen ResNet18", ("epoch", "seconds"), [("first", f"{first:.2f}"), ("next", f"{second:.2f}")]
    )
    return {"first_epoch_seconds": first, "next_epoch_seconds": second, "ratio_next_vs_first_epoch": second / first}


def main():
    made = common.parser(__doc__.splitlines()[0], needs_data=False, pairs=30)
    made.add_argument("--torch", metavar="PYTHON", help="interpreter that has PyTorch")
    arguments = made.parse_args()
    started = time.perf_counter()
    measured = []
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        results = steps(arguments, rng, 3 if arguments.smoke else arguments.pairs)
        measured.append(results | epochs(rng, 32 if arguments.smoke else 256))
    common.report("video", {**common.mean_over_seeds(measured), "pairs": arguments.pairs}, arguments, started)


if __name__ == "__main__":
    main()
