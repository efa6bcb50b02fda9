# %% [markdown]
# # 07 Missing and noisy modalities
#
# Real data have gaps: a microphone fails, a caption was never written, a lens is dirty. At the end you have three
# models that score alike on perfect data and very differently on the rest, tables of what each set of modalities is
# worth to them, and curves of accuracy against damage. About three minutes on two cores.

# %%
import keras
import matplotlib.pyplot as plt

import mmkeras as mm
from mmkeras.data import corruption

SCENES, EPOCHS = 2000, 9  # smoke: 60, 1

# %% [markdown]
# ## Three senses that say the same
#
# How many coloured shapes are there, one to four? It is seen, it is told in the caption, and it is heard, as so many
# strokes. Any one of the three is enough, so a good model of all three should hardly notice when one fails.

# %%
world = mm.data.toy.ToyWorld(SCENES, seed=1)
train, val, test = (
    [
        {key: record[key] for key in ("image", "text", "audio", "label")}
        for record in world.records(split, label="count")
    ]
    for split in ("train", "val", "test")
)
MODALITIES = ("image", "text", "audio")

figure, axes = plt.subplots(2, 4, figsize=(12, 4.6), layout="constrained", height_ratios=(3, 1))
for (above, below), record in zip(axes.T, train, strict=False):
    above.imshow(record["image"])
    above.set_title(record["text"], fontsize=7)
    above.axis("off")
    below.plot(record["audio"], linewidth=0.3, color="0.2")
    below.set(xticks=[], yticks=[], xlabel=record["label"])
plt.show()

# %% [markdown]
# ### Your own records
#
# A record that lacks a modality leaves it out, or has None there. Name in `optional=` what may be absent; nothing else
# changes. A table with columns of paths is read by `mm.data.read_csv`.

# %%
DATA = None  # a CSV with the columns image, text, audio, label, such as "posts.csv"; empty cells are missing
if DATA is not None:
    train, rest = mm.data.read_csv(DATA).split(0.7, seed=0)
    val, test = rest.split(0.3, seed=0)

# %% [markdown]
# ## Two models
#
# Both are told that anything may be absent (`optional`): an absent input is zeroed before its encoder, its encoding
# replaced by a learned one, its gate closed. But in training nothing *is* absent, and a model that is never made to do
# without learns to lean on whatever is easiest. So the second one is: `modality_dropout_rate` takes modalities away
# from samples at random, in training only.

# %%
pre = mm.preprocessing.Preprocessor(
    image=mm.preprocessing.Image((32, 32)),
    text=mm.preprocessing.Text(length=20, mark_ends=False),
    audio=mm.preprocessing.Audio(8_000, seconds=1.0, output="log_mel", num_mels=32),
    label=mm.preprocessing.Label(),
    optional=MODALITIES,
).adapt(train)


def trained(records, rate):
    batches = pre.dataset(records, 32, cache="memory", seed=0)
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(32, 32, 3), pooling="avg"),
        "text": mm.encoders.bag_of_words(pre["text"].num_tokens, 32),
        "audio": mm.encoders.spectrogram_cnn(8_000, 8, num_mels=32, dim=32, from_waveform=False, pooling="avg"),
    }
    task = mm.models.MultimodalClassifier(
        encoders,
        mm.layers.GatedFusion(64),
        classes=pre["label"].classes,
        optional=MODALITIES,
        modality_dropout_rate=rate,
        preprocessor=pre,
    )
    task.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * int(batches.cardinality())))
    )
    task.fit(batches, epochs=EPOCHS, verbose=0)
    return task


tasks = {"as usual": trained(train, 0.0), "with modality dropout": trained(train, 0.3)}
found = {name: mm.evaluation.predict_all(task, test) for name, task in tasks.items()}
rows = [
    {"trained": name, "accuracy": float((f.outputs.argmax(axis=1) == f.targets).mean())} for name, f in found.items()
]
mm.evaluation.Table(rows, f"{len(test)} unseen scenes, nothing missing")

# %% [markdown]
# ## What is each set worth?
#
# `subsets` scores a task with every set of its modalities present. The last row has nothing at all: there the answer
# is the prior, how frequent each class was in training (`classify` says so by `is_prior`, and warns).

# %%
tables = {name: mm.evaluation.subsets(task, test) for name, task in tasks.items()}
rows = [
    {"present": present, **{name: table.column("accuracy")[row] for name, table in tables.items()}}
    for row, present in enumerate(tables["as usual"].column("present"))
]
mm.evaluation.Table(rows, "Accuracy by what is present")

# %% [markdown]
# Without the caption the first model falls far, though picture and sound say all it needs: captions are easy, and
# once they answer, no error is left to learn the rest from. With dropout the sound takes over. Pictures are slowest to
# learn from and stay behind even so; `mm.training.UnimodalLosses` would ask each modality for an answer of its own.
#
# ## What does each modality contribute?
#
# The same from another side: how much of the score is due to each modality, on average over all orders in which they
# could be added (Shapley values). A modality is taken away here by giving a sample that of another one, which nobody
# announces. The values add up to the distance from a guess; where several tell the same and the model listens to all of
# them, they share its worth.

# %%
shares = {name: mm.evaluation.contributions(task, test, repeats=1) for name, task in tasks.items()}

figure, axis = plt.subplots(figsize=(6, 2.2), layout="constrained")
for place, table in enumerate(shares.values()):
    begun = 0.0
    for row, colour in zip(table, ("tab:blue", "tab:orange", "tab:green"), strict=True):
        label = row["modality"] if place == 0 else None
        axis.barh(place, row["contribution"], left=begun, color=colour, label=label)
        begun += row["contribution"]
axis.set_yticks(range(len(shares)), list(shares))
axis.set(xlabel="contribution to the accuracy", ylim=(-0.6, 2.1))
axis.legend(ncols=3, loc="upper center", frameon=False)
plt.show()

# %% [markdown]
# ## Damage
#
# Absence is the clean case: the model is told. Noise is not announced. `mm.data.corruption` holds damage of graded
# severity, from 0, untouched, to 1, the worst that still makes sense; the same seed gives the same noise, only more.

# %%
damages = (corruption.ImageNoise, corruption.ImageBlur, corruption.ImageOcclusion)
figure, axes = plt.subplots(3, 5, figsize=(10, 6.2), layout="constrained")
for line, damage in zip(axes, damages, strict=True):
    for axis, severity in zip(line, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
        worse = corruption.corrupt(test[:1], image=damage(severity))
        axis.imshow(pre(worse, ("image",))["image"][0].astype("uint8"))
        axis.set(xticks=[], yticks=[], title=f"{severity}" if damage is damages[0] else "")
    line[0].set_ylabel(damage.__name__)
plt.show()
for severity in (0.25, 0.5, 1.0):
    print(f"TextTypo {severity}:", corruption.corrupt(test[:1], text=corruption.TextTypo(severity))[0]["text"])

# %% [markdown]
# ## A third model
#
# A model that leans on one modality bears noise in the others; dropout makes it listen to more, and so more can disturb
# it. What helps is to have seen damage in training. A corruptor may be any function of a value and a random generator,
# so here each record gets a severity of its own.


# %%
def any_noise(sound, rng):
    return corruption.AudioNoise(rng.uniform())(sound, rng)


def any_drop(text, rng):
    return corruption.TextDrop(rng.uniform())(text, rng)


def any_occlusion(image, rng):
    return corruption.ImageOcclusion(rng.uniform())(image, rng)


worn = corruption.corrupt(train, text=any_drop, audio=any_noise, image=any_occlusion)
tasks["dropout and damage"] = trained(worn, 0.3)

# %% [markdown]
# ## Accuracy against damage
#
# `robustness` scores a task on records that get worse and worse, one modality and one kind of damage at a time.
# `Missing` takes the modality away from that share of the records, which is announced; the others are not.

# %%
kinds = {
    "text": [corruption.Missing, corruption.TextDrop],
    "audio": [corruption.Missing, corruption.AudioNoise],
}
some, severities = test[:300], (0.0, 0.33, 0.67, 1.0)  # smoke: test, (0.0, 1.0)
curves = {name: mm.evaluation.robustness(task, some, kinds, severities=severities) for name, task in tasks.items()}
means = {name: curve.table().column("relative") for name, curve in curves.items()}
labels = list(curves["as usual"].curves)
rows = [
    {"modality": modality, "damage": damage, **{name: mean[row] for name, mean in means.items()}}
    for row, (modality, damage) in enumerate(labels)
]
mm.evaluation.Table(rows, "Mean accuracy over severities")

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharey=True, layout="constrained")
for axis, label in zip(axes.T.flat, labels, strict=True):
    for (name, curve), style in zip(curves.items(), ("o-", "s-", "^--"), strict=True):
        axis.plot(severities, curve.curves[label], style, markersize=5, label=name)
    axis.set(title=f"{label[0]}: {label[1]}", ylim=(0, 1.03), xlabel="severity")
axes[0, 0].set_ylabel("accuracy")
axes[1, 0].set_ylabel("accuracy")
axes[0, 1].legend(loc="lower left")
plt.show()

# %% [markdown]
# Gaps in the captions are made up for by the second model and the third, noise only by the third, which has learned
# whom not to believe.
#
# ## What to do about it
#
# - Anything may be absent one day: `optional`, and a `modality_dropout_rate` between 0.1 and 0.4. Look at `subsets`
#   before you ship.
# - Damage that you expect: train on it, as the third model was.
# - Damage that you can detect (a black picture, a dead microphone) is better declared absent than passed on: leave it
#   out of the record.
# - A modality that drowns the others: `mm.training.ModalityBalance`, `mm.training.UnimodalLosses`.
#
# `docs/fusion.md` has more on all of these; `mm.evaluation.robustness(..., unimodal=...)` also measures whether fusion
# bears damage better than an average of models of one modality each.
