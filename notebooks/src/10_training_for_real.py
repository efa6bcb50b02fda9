# %% [markdown]
# # 10 Training for real
#
# At the end you have a training run that survives a power cut, proof that it went on as if nothing had happened, and a
# table of what caching, mixed precision, XLA, micro-batches and several devices do to a step on this machine. All of it
# is Keras: `fit`, `compile`, policies and callbacks, with two additions of mmkeras. About two minutes on two cores.

# %%
import contextlib
import json
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import mmkeras as mm

SCENES, EPOCHS, CUT, TIMED = 1200, 8, 4, 2  # smoke: 60, 2, 1, 1

tf.get_logger().setLevel("ERROR")  # strategies talk a lot
try:  # pretend that this processor is two devices; that must come before anything is computed
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
except RuntimeError:
    pass  # TensorFlow is at work already: then there is one

# %% [markdown]
# ## Something to train
#
# Scenes of the toy world, sorted by what is seen and heard. The rest of the notebook only needs a function that makes
# the task from nothing, because that is what a script does when it is started again after a crash.

# %%
world = mm.data.toy.ToyWorld(SCENES, seed=1)
train, val = (
    [{key: record[key] for key in ("image", "audio", "label")} for record in world.records(split)]
    for split in ("train", "val")
)
RATE = 8_000

# %% [markdown]
# ### Your own data
#
# A folder with one subfolder for each class, in which pictures and sounds of the same name belong together
# (`photos/cat/7.jpg`, `photos/cat/7.wav`), takes the place of the toy world.

# %%
DATA = None  # such a folder; None stays with the toy world
if DATA is not None:
    train, val = mm.data.read_folder(DATA).split(0.8, seed=0)
    RATE = 16_000

# %%
BATCH = 32
pre = mm.preprocessing.Preprocessor(
    image=mm.preprocessing.Image((32, 32)),
    audio=mm.preprocessing.Audio(RATE, seconds=1.0, output="log_mel", num_mels=32),
    label=mm.preprocessing.Label(),
).adapt(train)
steps = -(-len(train) // BATCH)  # of an epoch


def learning_rate():
    """Rises for half an epoch, falls to zero along a cosine."""
    rise = steps // 2
    return keras.optimizers.schedules.CosineDecay(0.0, EPOCHS * steps - rise, warmup_target=4e-3, warmup_steps=rise)


def make_task(**compiling):
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.vgg(2, 16, convolutions=1, image_shape=(32, 32, 3), pooling="max"),
        "audio": mm.encoders.spectrogram_cnn(RATE, 8, num_mels=32, dim=32, from_waveform=False, pooling="avg"),
    }
    classes = pre["label"].classes
    task = mm.models.MultimodalClassifier(encoders, mm.layers.GatedFusion(64), classes=classes, preprocessor=pre)
    task.compile(keras.optimizers.AdamW(learning_rate(), weight_decay=1e-3), **compiling)
    return task


# %% [markdown]
# The schedule belongs to the optimizer, which counts its steps: it is saved and restored with it. The slow start keeps
# the first steps of Adam, which knows nothing yet, from doing harm.
#
# ## A run that is watched
#
# `mm.training.TensorBoard` writes what Keras' callback writes (loss, metrics, rates) and, with `records`, what the task
# makes of them as it learns: confusions of a classifier, sentences of a captioner with where it looked, embeddings with
# thumbnails. It also writes hyper-parameters, so that runs in folders side by side can be compared.
#
# The dataset has a seed, so its order is a function of the epoch alone. That will matter in a moment.

# %%
validation = pre.dataset(val, 64, shuffle=False, cache="memory")
board = mm.training.TensorBoard("logs/whole", val, every=4)
whole = make_task().fit(
    pre.dataset(train, BATCH, seed=0), validation_data=validation, epochs=EPOCHS, callbacks=[board], verbose=0
)
for file in sorted(pathlib.Path("logs").rglob("*")):
    if file.is_file():
        print(f"{file.parent}  {file.stat().st_size / 1000:.0f} kB")

# %% [markdown]
# Look at it while it trains: `tensorboard --logdir logs`.
#
# ## The power fails
#
# `BackupAndRestore` writes weights, the state of the optimizer and the number of the epoch after every epoch. Here a
# callback pulls the plug in the middle of one. Everything from this process that the model knew is then thrown away.


# %%
class PowerCut(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == CUT * steps + steps // 2:
            raise KeyboardInterrupt("the power is gone")


def note(epoch, logs):
    with open("history.jsonl", "a") as file:
        file.write(json.dumps({"epoch": epoch + 1, **logs}) + "\n")


def run(callbacks=()):
    """What the script does, whether it is started for the first time or again."""
    state = pathlib.Path("backup/training_metadata.json")
    begun = json.loads(state.read_text())["epoch"] if state.exists() else 0
    data = pre.dataset(train, BATCH, seed=0, initial_epoch=begun)  # the order of the epoch to go on with
    backup = keras.callbacks.BackupAndRestore("backup")
    diary = keras.callbacks.LambdaCallback(on_epoch_end=note)
    made = make_task()
    made.fit(data, validation_data=validation, epochs=EPOCHS, callbacks=[backup, diary, *callbacks], verbose=0)
    return made


try:
    run([PowerCut()])
except KeyboardInterrupt as stop:
    print(f"{stop}; on disk:", *sorted(path.name for path in pathlib.Path("backup").iterdir()))

# %% [markdown]
# ## It goes on
#
# The same function again, in the same folder: a new task, which finds the backup. The epoch that broke off is done
# again from its beginning. The diary is a file, since the history of the first `fit` died with it. A run is proven to
# have gone on, not begun anew, if its losses are those of the run that was never interrupted:

# %%
run()
lines = [json.loads(line) for line in pathlib.Path("history.jsonl").read_text().splitlines()]
resumed = {key: np.array([line[key] for line in lines]) for key in ("epoch", "loss", "val_loss")}
rows = [
    {"epoch": int(epoch), "never interrupted": true, "interrupted": float(loss)}
    for epoch, true, loss in zip(resumed["epoch"], whole.history["loss"], resumed["loss"], strict=True)
]
print(mm.evaluation.Table(rows, "Loss in training"))
same = np.allclose(resumed["loss"], whole.history["loss"], rtol=1e-3)
print("The same run, to three digits" if same else "Not the same run")

# %% [markdown]
# For the best epoch rather than the last, add
# `keras.callbacks.ModelCheckpoint("best.keras", monitor="val_accuracy", save_best_only=True)`: a whole task, with its
# preprocessor, ready for use.
#
# ## Make it faster
#
# Each of these is one argument or one line:
#
# | what | how |
# |---|---|
# | do not decode twice | `pre.dataset(..., cache="memory")`, or a path for files on disk |
# | half the bytes | `keras.config.set_dtype_policy("mixed_bfloat16")` before building |
# | fused kernels | `compile(jit_compile=True)`: XLA |
# | large batches in little memory | `compile(step=mm.training.GradientCache(16))`: 16 samples at a time |
# | several devices | build and compile within `tf.distribute.MirroredStrategy().scope()` |
#
# In mixed precision weights stay float32. `"mixed_float16"` is for GPUs without bfloat16; Keras then scales losses so
# that small gradients survive. On GPUs Keras takes XLA by itself where it can. Each of several devices gets a part of
# every batch.
#
# What they gain depends on machine, model and data, so measure. The samples come in the same order here each time, so
# that losses can be compared too.


# %%
class Clock(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.begun)


def timed(name, data, *, policy="float32", scope=None, **compiling):
    keras.config.set_dtype_policy(policy)
    try:
        with scope or contextlib.nullcontext():
            task = make_task(**compiling)
    finally:
        keras.config.set_dtype_policy("float32")
    clock = Clock()
    history = task.fit(data, epochs=TIMED, callbacks=[clock], verbose=0)
    later = clock.seconds[1:] or clock.seconds
    return {
        "variant": name,
        "first epoch, s": clock.seconds[0],
        "ms per step after it": 1000 * min(later) / (len(train) // BATCH),
        "loss": history.history["loss"][-1],
    }


ordered = {"shuffle": False, "drop_remainder": True}
cached = pre.dataset(train, BATCH, cache="memory", **ordered)
devices = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
variants = [
    lambda: timed("plain", pre.dataset(train, BATCH, **ordered)),
    lambda: timed("cached", cached),
    lambda: timed("cached, bfloat16", cached, policy="mixed_bfloat16"),
    lambda: timed("cached, XLA", cached, jit_compile=True),
    lambda: timed("cached, 16 at a time", cached, step=mm.training.GradientCache(16)),
    lambda: timed(f"cached, {len(devices)} devices", cached, scope=tf.distribute.MirroredStrategy(devices).scope()),
]
LIMIT = len(variants)  # smoke: 1
table = mm.evaluation.Table(
    [variant() for variant in variants[:LIMIT]], f"{len(train) // BATCH} steps of {BATCH} samples"
)
print(table)

# %% [markdown]
# The first epoch of each holds the compilation, which only a long run pays back. Losses differ by rounding, which grows
# as training goes on and is coarse in bfloat16; what trains fast and does not learn is no gain. Two devices that share
# one processor are no faster, of course; the point is that the loss is that of one. On a GPU the table is another.
#
# ## The curves
#
# The interrupted run lies on the one that never was, and the moment of the power cut is only a line on the paper.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained", width_ratios=(1.5, 1))
epochs = np.arange(1, EPOCHS + 1)
for key, colour in (("loss", "tab:blue"), ("val_loss", "tab:orange")):
    left.plot(epochs, whole.history[key], color=colour, linewidth=5, alpha=0.3, label=f"{key}, never interrupted")
    left.plot(epochs[:CUT], resumed[key][:CUT], "o-", color=colour, label=f"{key}, before the cut and after")
    left.plot(epochs[CUT:], resumed[key][CUT:], "s--", color=colour)
left.axvline(CUT + 0.5, color="0.4", linestyle=":")
left.set(xlabel="epoch", ylabel="loss", title="a run through a power cut")
left.legend()
right.barh(table.column("variant")[::-1], table.column("ms per step after it")[::-1], color="0.6")
right.set(title="ms per step, on this machine")
plt.show()

# %% [markdown]
# ## Where to go next
#
# - Several machines: `tf.distribute.MultiWorkerMirroredStrategy`, and `shard=` of `pre.dataset`; on JAX,
#   `keras.distribution.DataParallel`.
# - Frozen encoders: `mm.data.cache_features` computes what they give once; `docs/fusion.md`, "Start from what is
#   known", has learning rates by encoder, LoRA and distillation.
# - `docs/training.md`, and `benchmarks/` for what such choices cost and gain on real data.
