# %% [markdown]
# # 02 Encoders, fusion and the slot
#
# A multimodal model is three things: encoders that read, a fusion that makes one of many, a task that answers. Fusion
# is a *slot*: any fusion layer fits any encoders. At the end of this page you know what passes through the slot, you
# have tried five fusions on one problem by one call, and you have seen gates turn from looking to reading as fog rises.
# About two minutes on two cores.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import mmkeras as mm

keras.utils.set_random_seed(0)
SCENES, EPOCHS, NOISY_EPOCHS, CHOICES = 1600, 16, 14, 5  # smoke: 80, 1, 1, 2
world = mm.data.toy.ToyWorld(SCENES)

# %% [markdown]
# ## What an encoder hands over
#
# Every encoder reads one modality, under the name of its input, and returns *tokens*: (batch, tokens, dim), with a mask
# where some are padding. A picture becomes a grid of places, a sentence its words, a sound moments. `pooling=` makes
# one vector of them instead. No two of them need agree in size.

# %%
x, _ = world.arrays("train", inputs=("image", "token_ids", "audio", "signal"))
some = {
    "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3)),
    "token_ids": mm.encoders.lstm(len(world.vocabulary), 32),
    "audio": mm.encoders.conv1d_audio(16),
    "signal": mm.encoders.signal(3, 16, pooling="avg"),
}
rows = [
    {"reads": key, "of shape": str(x[key].shape[1:]), "gives": str(tuple(encoder(x[key][:2]).shape[1:]))}
    for key, encoder in some.items()
]
mm.evaluation.Table(rows)

# %% [markdown]
# ## What a fusion does with them
#
# A fusion takes a dict of encodings, pools and projects as it needs, and returns one representation. Swapping it is
# swapping one layer; nothing else in the model changes. Here are three fusions on the same two encodings:

# %%
encodings = {"text": some["token_ids"](x["token_ids"][:2]), "signal": some["signal"](x["signal"][:2])}
for fusion in (mm.layers.ConcatFusion(), mm.layers.GatedFusion(), mm.layers.AttentionFusion()):
    print(f"{type(fusion).__name__:16}", tuple(fusion(encodings).shape))

# %% [markdown]
# `AttentionFusion` keeps tokens, the others make a vector; a task takes both.
#
# ## A problem on which they differ
#
# A carrier charges one of three fares. Who asks (Ann, Ben or Cleo) is felt by a motion sensor, since each shakes along
# an axis of her own; what is carried is told by a sentence. The fare depends on the *combination*: no owner is always
# cheap, and no shape either. Adding up what each modality says gets at most 7 of these 12 cells right.

# %%
owners, shapes = world.classes("owner"), world.classes("shape")
FARES = np.array([[0, 0, 1, 2], [0, 1, 2, 1], [2, 1, 0, 0]])

figure, axis = plt.subplots(figsize=(4, 2.6))
axis.imshow(FARES, cmap="YlOrBr", vmax=3)
axis.set_xticks(range(4), shapes)
axis.set_yticks(range(3), owners)
for (row, column), fare in np.ndenumerate(FARES):
    axis.text(column, row, ("low", "middle", "high")[fare], ha="center", va="center")
axis.set_title("The fare")
plt.show()

# %% [markdown]
# ## Your own data goes here
#
# A task can be fed arrays: `x` is a dict by the names of the encoders' inputs, `y` class numbers. Set `DATA` to an
# `.npz` that holds `train_signal`, `train_token_ids`, `train_y` and the same for `val`; or see
# [01](01_folder_to_server.ipynb) for files.

# %%
DATA = None  # such as "mine.npz"; None takes the toy world


def load(split):
    if DATA is not None:
        with np.load(DATA) as arrays:
            return {key: arrays[f"{split}_{key}"] for key in ("token_ids", "signal")}, arrays[f"{split}_y"]
    x, _ = world.arrays(split, inputs=("token_ids", "signal"))
    known = world.attributes(split)
    return x, FARES[known["owner"], known["shape"]]


train, val = load("train"), load("val")
VOCABULARY, CHANNELS, CLASSES = len(world.vocabulary), 3, ["low", "middle", "high"]

# %% [markdown]
# ## Five fusions, one call
#
# Give `compare` a function that makes the task around any fusion. It trains each by the same recipe and puts score
# beside cost. Scores are of the validation part: what you choose by can no longer be your test.


# %%
def make_task(fusion):
    encoders = {
        "text": mm.encoders.bag_of_words(VOCABULARY, 16),
        "signal": mm.encoders.signal(CHANNELS, 16, pooling="avg"),
    }
    task = mm.models.MultimodalClassifier(encoders, fusion, classes=CLASSES)
    task.compile(keras.optimizers.Adam(1e-2))
    return task


fusions = [
    mm.layers.ConcatFusion,
    mm.layers.WeightedFusion,
    mm.layers.GatedFusion,
    mm.layers.BilinearFusion,
    mm.layers.AttentionFusion,
]
table = mm.evaluation.compare(make_task, fusions[:CHOICES], train, val, fit={"epochs": EPOCHS}, seeds=1)
table

# %% [markdown]
# Concatenation and weights add, and adding cannot tell this fare: more epochs would not help them, a hidden layer
# behind them would (`hidden_dim=32`). Gates multiply one modality by a function of both, bilinear fusion multiplies the
# two, attention looks from one to the other: all three can, and differ in how fast they get there. With one seed the
# interval in `behind` covers the samples only: take `seeds=3` before you believe a close race.

# %%
figure, axis = plt.subplots(figsize=(7, 2.8))
names = table.column("fusion")[::-1]
axis.barh(names, table.column("accuracy")[::-1], color="tab:blue")
axis.axvline(7 / 12, color="black", linestyle=":", label="best that adding can do")
axis.set_xlim(0, 1)
axis.set_xlabel("validation accuracy")
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Look into the slot
#
# Now two modalities that tell the *same* thing, each of them unreliably: the colour is seen and it is told. In training
# every picture lies in more or less fog, and from every sentence words are lost. `per_dimension=False` makes one gate
# per modality, which is easy to read: the two add up to one.

# %%
rng = np.random.default_rng(0)
LOST = world.vocabulary.index("[UNK]")


def foggy(images, level):
    level = np.reshape(level, (-1, 1, 1, 1))
    return ((1 - level) * images + level * rng.uniform(0, 255, images.shape)).astype("float32")


def without_words(token_ids, share):
    lost = rng.random(token_ids.shape) < np.reshape(share, (-1, 1))
    return np.where(lost & (token_ids > 0), LOST, token_ids)


x, y = world.arrays("train", inputs=("image", "token_ids"), label="colour")
encoders = {
    "image": mm.encoders.vgg(3, 8, convolutions=1, image_shape=(64, 64, 3), pooling="max"),
    "text": mm.encoders.bag_of_words(VOCABULARY, 32),
}
fusion = mm.layers.GatedFusion(32, per_dimension=False)
task = mm.models.MultimodalClassifier(encoders, fusion, classes=world.classes("colour"))
task.compile(keras.optimizers.Adam(3e-3))
for _ in range(NOISY_EPOCHS):
    fog, share = rng.uniform(0, 1.3, len(y)).clip(0, 1), rng.uniform(0, 1, len(y))
    noisy = {"image": foggy(x["image"], fog), "token_ids": without_words(x["token_ids"], share)}
    history = task.fit(noisy, y, verbose=0)

# %% [markdown]
# The parts of a trained task stay at hand: `task.encoders` and `task.fusion`. Call them one after the other and you see
# what passes through the slot. `return_weights=True` is understood by every fusion that weighs its inputs.


# %%
def gate_of_text(inputs):
    encodings = {"image": task.encoders["image"](inputs["image"]), "text": task.encoders["text"](inputs["token_ids"])}
    _, gates = task.fusion(encodings, return_weights=True)
    return np.asarray(gates["text"])[:, 0]


gate_of_text({name: values[:4] for name, values in x.items()})

# %% [markdown]
# ## From looking to reading
#
# Test pictures in rising fog, with whole sentences and with sentences that have lost their colour word. The model was
# never told how much fog there is or which word counts. It sees that it does not see, and then it reads, unless there
# is nothing to read.

# %%
test_x, test_y = world.arrays("test", inputs=("image", "token_ids"), label="colour")
colours = [world.vocabulary.index(name) for name in world.classes("colour")]
sentences = {
    "whole sentence": test_x["token_ids"],
    "colour word lost": np.where(np.isin(test_x["token_ids"], colours), LOST, test_x["token_ids"]),
}
levels = [0, 0.2, 0.4, 0.6, 0.8, 1]
rows, views = [], []
for level in levels:
    image = foggy(test_x["image"], level)
    views.append(image[0].astype("uint8"))
    for name, token_ids in sentences.items():
        inputs = {"image": image, "token_ids": token_ids}
        score = task.evaluate(inputs, test_y, verbose=0, return_dict=True)["accuracy"]
        rows.append({"fog": level, "text": name, "gate": float(gate_of_text(inputs).mean()), "accuracy": score})

figure = plt.figure(figsize=(9, 5.4), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=(1, 2.2))
for axis, view, level in zip(upper.subplots(1, len(levels)), views, levels, strict=True):
    axis.imshow(view)
    axis.set_title(f"fog {level:.0%}", fontsize=9)
    axis.axis("off")
for axis, column in zip(lower.subplots(1, 2), ("gate", "accuracy"), strict=True):
    for name, colour in zip(sentences, ("#4878b0", "#c58a3d"), strict=True):
        axis.plot(levels, [row[column] for row in rows if row["text"] == name], marker="o", color=colour, label=name)
    axis.set_xlabel("share of fog")
    axis.set_ylim(0, 1.03)
    axis.set_title({"gate": "mean gate of the text", "accuracy": "accuracy, 6 colours"}[column], fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
axis.legend(loc="lower left")
plt.show()

# %% [markdown]
# ## Where to go next
#
# - Which fusion for which data: the table in [README](../README.md#fusion), and [docs/fusion.md](../docs/fusion.md).
# - [07](07_missing_and_noisy.ipynb): modalities that are not there at all.
# - [09](09_your_own.ipynb): a fusion of your own, in twenty lines.
