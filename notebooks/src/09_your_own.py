# %% [markdown]
# # 09 Your own layer, encoder, fusion and task
#
# When what you need is not there, you write it: five small classes and a function on this page, each of which then
# trains, saves, reloads and ships like the rest. The example counts objects and says *how sure it is*: in fog it says
# that it may be off by more. About a minute on two cores.
#
# One rule holds for every class: it is registered under a package name of yours, every argument of `__init__` is an
# attribute and stands in `get_config`. That is all that saving needs.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import mmkeras as mm

keras.utils.set_random_seed(0)
SCENES, EPOCHS = 2000, 20  # smoke: 60, 1
register = keras.saving.register_keras_serializable(package="mine")

# %% [markdown]
# ## Your own data goes here
#
# Arrays by the names of the inputs, and the numbers to predict. For files see [01](01_folder_to_server.ipynb).

# %%
DATA = None  # such as "mine.npz" with image (n, 64, 64, 3) in 0..255, audio (n, 8000), y (n,); None takes the toy world


def load(split):
    if DATA is not None:
        with np.load(DATA) as arrays:
            return {"image": arrays["image"], "audio": arrays["audio"]}, arrays["y"]
    world = mm.data.toy.ToyWorld(SCENES, max_distractors=0)
    x, count = world.arrays(split, inputs=("image", "audio"), label="count")
    return x, count + 1.0


rng = np.random.default_rng(0)


def foggy(images, level):
    level = np.reshape(level, (-1, 1, 1, 1))
    return ((1 - level) * images + level * rng.uniform(0, 255, images.shape)).astype("float32")


x, y = load("train")
x["image"] = foggy(x["image"], rng.uniform(0, 1, len(y)) ** 2)

# %% [markdown]
# ## A layer
#
# Use `keras.ops` and it runs on TensorFlow and on JAX. This one squeezes a sound into short-time energy: the root mean
# square of windows, in decibels. Strokes stand out in it, whatever their pitch. It has nothing to learn; a layer that
# has creates its weights in `build`, as always in Keras.


# %%
@register
class Loudness(keras.layers.Layer):
    """Loudness of a waveform in decibels, window by window: (batch, sample) -> (batch, window, 1)."""

    def __init__(self, window=100, **kwargs):
        super().__init__(**kwargs)
        self.window = window

    def call(self, audio):
        count = audio.shape[1] // self.window
        x = ops.reshape(audio[:, : count * self.window], (-1, count, self.window))  # (batch, window, sample)
        energy = ops.mean(ops.square(x), axis=-1, keepdims=True)
        return ops.log(energy + 1e-4) / 5.0 + 1.0

    def get_config(self):
        return {**super().get_config(), "window": self.window}


heard = Loudness()(x["audio"][:3])
plt.figure(figsize=(8, 2.4))
plt.plot(np.asarray(heard)[..., 0].T)
plt.legend([f"{number:.0f} strokes" for number in y[:3]], fontsize=8)
plt.xlabel("window")
plt.title("What the layer hears")
plt.show()

# %% [markdown]
# ## An encoder
#
# A function that ends in `mm.encoders.finish`. The name of the input says what it reads, `finish` sees to tokens, mask
# and pooling, and the result is a plain functional `keras.Model`.


# %%
def loudness_encoder(samples=8000, width=16, *, pooling="avg", name=None):
    """Read a waveform by its loudness: tokens (batch, window, width), or a vector."""
    audio = keras.Input((samples,), name="audio")
    tokens = Loudness(name="loudness")(audio)
    for number, stride in enumerate((2, 2, 1)):
        tokens = keras.layers.Conv1D(width, 5, stride, "same", activation="relu", name=f"conv_{number}")(tokens)
    return mm.encoders.finish(audio, tokens, pooling=pooling, name=name)


loudness_encoder().output_shape, loudness_encoder(pooling=None).output_shape

# %% [markdown]
# ## A fusion
#
# `VectorFusion` pools tokens and brings every encoding to one size; you write what to do with the vectors, which
# come as a list, with a flag for each modality that may be absent (None where it is always there). This one is a
# product of experts: each modality states a value and how precise it is, and who is precise counts. The second thing it
# returns says how much each modality counted.


# %%
@register
class PrecisionFusion(mm.layers.VectorFusion):
    """`h = sum p_i h_i / sum p_i`, where each modality itself says how precise it is, dimension by dimension."""

    def build(self, encodings_shape):
        dim = self.smallest_dim(encodings_shape)
        count = len(self.build_vectors(encodings_shape, dim))
        self._precisions = [keras.layers.Dense(dim, activation="softplus", name=f"precision_{i}") for i in range(count)]
        for layer in self._precisions:
            layer.build((None, dim))

    def fuse(self, encodings, presence, masks, training):
        vectors = self.vectors(encodings, masks)
        precisions = [layer(vector) + 1e-3 for layer, vector in zip(self._precisions, vectors, strict=True)]
        for index, present in enumerate(presence):
            if present is not None:
                precisions[index] *= ops.cast(present, precisions[index].dtype)[:, None]
        total = sum(precisions) + 1e-9
        weights = [precision / total for precision in precisions]
        return sum(weight * vector for weight, vector in zip(weights, vectors, strict=True)), weights


fusion = PrecisionFusion(8)
fused, weights = fusion([np.ones((2, 5, 12), "float32"), np.ones((2, 8), "float32")], return_weights=True)
tuple(fused.shape), [tuple(weight.shape) for weight in weights]

# %% [markdown]
# ## A head and a task
#
# A head turns what was fused into an output, and knows its loss: here the mean and the log of the spread, and the
# negative log-likelihood of a normal distribution. A task is a head, a verb, and the method that answers raw records;
# `FusionTask` brings encoders, fusion, optional modalities, targets, saving and export.


# %%
@register
class NormalLoss(keras.losses.Loss):
    """Negative log-likelihood of `y` under a normal distribution given as (mean, log spread)."""

    def call(self, y_true, y_pred):
        mean, log_spread = y_pred[..., 0], y_pred[..., 1]
        error = (ops.cast(y_true, mean.dtype) - mean) * ops.exp(-log_spread)
        return 0.5 * ops.square(error) + log_spread


@register
class NormalHead(mm.layers.Head):
    """A number and how sure it is: (batch, dim) -> (batch, 2), mean and log spread."""

    def build(self, x_shape):
        self._dense = keras.layers.Dense(2, name="dense")
        self._dense.build(x_shape)

    def call(self, x):
        x = self._dense(x)
        return ops.concatenate([x[..., :1] + 2.5, ops.clip(x[..., 1:], -3.0, 3.0)], axis=-1)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], 2)

    def default_loss(self, reduction="sum_over_batch_size"):
        return NormalLoss(reduction=reduction)

    def known(self, labels):
        return ops.logical_not(ops.isnan(ops.cast(labels, "float32")))

    def answers(self, outputs):
        return [{"value": float(mean), "give_or_take": float(np.exp(spread))} for mean, spread in outputs]


@register
class Counter(mm.models.FusionTask):
    """Estimate a number, and say how sure the estimate is."""

    _verb = "count"

    def __init__(self, encoders, fusion=None, **kwargs):
        super().__init__(encoders, fusion, {"label": NormalHead(name="label")}, **kwargs)

    def count(self, records):
        answers = self.head("label").answers(self.predict_records(records)["label"])
        return answers[0] if isinstance(records, dict) else answers


# %% [markdown]
# ## Train it like any other
#
# The sound may be missing, and is taken away from every other sample, so that the picture is learned as well. The
# presence flags that `fuse` multiplies by are those.


# %%
encoders = {
    "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3), pooling="avg"),
    "audio": loudness_encoder(),
}
task = Counter(encoders, PrecisionFusion(32), hidden_dim=32, optional=("audio",), modality_dropout_rate=0.5)
task.compile(keras.optimizers.Adam(3e-3))
history = task.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0)
plt.figure(figsize=(5, 2.6))
plt.plot(history.history["loss"], marker="o")
plt.xlabel("epoch")
plt.ylabel("negative log-likelihood")
plt.show()

# %% [markdown]
# ## Save, reload, ship
#
# Nothing had to be said again: the file names your classes, and any process that imports them can load it. The export
# compares the artefact with the task before it returns, your layers and your verb included. A shipped head answers with
# its plain output, here mean and log spread, unless its `reply` names classes.

# %%
task.save("counter.keras")
again = keras.saving.load_model("counter.keras")
one = {"image": x["image"][0], "audio": x["audio"][0]}
print("the task", task.count(one))
print("reloaded", again.count(one), "by", type(again).__name__, "and", type(again.fusion).__name__)
report = mm.export.to_tflite(task, "counter.tflite")
print(report)
print("shipped ", mm.export.LiteRunner("counter.tflite").ask(one))

# %% [markdown]
# ## How sure is it?
#
# A test scene as fog rises, once with its sound and once without. The bar is the estimate, the line what it may be off
# by, the dots the truth. With the sound the fog hardly matters; without it the model is the less sure the less it sees.

# %%
test_x, test_y = load("test")
number = int(np.argmax(test_y == 3))
levels = np.linspace(0, 0.9, 4)
figure, axes = plt.subplots(2, 4, figsize=(11, 4.6), height_ratios=(2, 1.4))
for column, level in enumerate(levels):
    image = foggy(test_x["image"][number : number + 1], level)[0]
    sound = test_x["audio"][number]
    told = task.count([{"image": image, "audio": sound}, {"image": image}])
    axes[0, column].imshow(image.astype("uint8"))
    axes[0, column].axis("off")
    axes[1, column].barh(
        ["picture and sound", "picture"],
        [answer["value"] for answer in told],
        xerr=[answer["give_or_take"] for answer in told],
        color=["#4878b0", "#c58a3d"],
        capsize=4,
    )
    axes[1, column].axvline(test_y[number], color="black", linestyle=":")
    axes[1, column].set_xlim(0, 5)
    axes[1, column].invert_yaxis()
    if column:
        axes[1, column].set_yticks([])
figure.suptitle(f"{test_y[number]:.0f} objects")
plt.show()

# %% [markdown]
# ## Where to go next
#
# - [CONTRIBUTING.md](../CONTRIBUTING.md) says which files a part needs to become one of the library.
# - `TokenFusion` and `Fusion` are the bases for fusions that keep tokens, `mm.losses.PairLoss` for objectives.
# - [02](02_encoders_fusion_slot.ipynb) compares your fusion with the others: give it to `mm.evaluation.compare`.
