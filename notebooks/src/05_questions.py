# %% [markdown]
# # 05 Questions about pictures, and what the answers are worth
#
# At the end you have a model that answers questions about pictures, the pictures with its answers, its accuracy for
# each kind of question, and, beside it, what can be answered without looking and without listening. Visual question
# answering is famous for models that guess from the question alone, so the controls are half of this notebook. About
# three minutes on two cores.

# %%
import textwrap

import keras
import matplotlib.pyplot as plt
import numpy as np

import mmkeras as mm

keras.utils.set_random_seed(0)
SCENES, EPOCHS, SHORT = 2400, 13, 3  # smoke: 40, 1, 1

# %% [markdown]
# ## Scenes and questions
#
# Each scene of the toy world comes with one question, worded in one of four ways. We ask five more about each, one for
# every attribute, so that a model must answer different things about one picture. The test part holds combinations of
# attributes that training never shows: a picture cannot be recognised, it must be read.

# %%
world = mm.data.toy.ToyWorld(SCENES, seed=1)
ASKED = {
    "what shape is shown in colour?": "shape",
    "what colour is shown?": "colour",
    "what size is the coloured shape?": "size",
    "how many coloured shapes are there?": "count",
    "where is the coloured shape?": "position",
}


def questions(split):
    truth, asked = world.attributes(split), []
    for scene, record in enumerate(world.records(split)):
        pairs = [(record["question"], record["answer"])]
        pairs += [(question, world.classes(name)[truth[name][scene]]) for question, name in ASKED.items()]
        asked += [{"image": record["image"], "question": q, "answer": a, "scene": scene} for q, a in pairs]
    return asked


train, val, test = (questions(split) for split in ("train", "val", "test"))
answers, size, GROUP = world.answers, (32, 32), ("scene", 6)

figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), layout="constrained")
for axis, record in zip(axes, train[::6], strict=False):
    axis.imshow(record["image"])
    axis.set_title(textwrap.fill(record["question"], 24) + f"\n{record['answer']}", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Your own questions
#
# `easy_vqa` reads a set of simple shapes, `mm.data.read_vqa` the format of VQA v2 (there ten people answer each
# question: `Label(votes=...)` and `soft=True` learn from all of them). Any list of dicts with `"image"`, `"question"`
# and `"answer"` will do. The cells on kinds of question are about the toy world.

# %%
DATA = None  # a folder with easy-VQA, such as "easy-VQA"; None stays with the toy world
if DATA is not None:
    train, val, test = mm.data.sets.easy_vqa(DATA).official_split()
    answers, size, GROUP = sorted(set(train.column("answer"))), (64, 64), ("image", 8)

# %% [markdown]
# ## The model
#
# The question is read by a GRU. The picture becomes tokens, one for each cell of a grid, and `FiLMFusion`
# passes them through layers that the question scales and shifts: it decides what is looked for while the picture is
# being read, which suits questions better than putting two finished summaries side by side.
#
# A cell does not know where it is, and in the end all cells are averaged. `PositionEmbedding` adds a learned vector for
# each place; without that line, answers to "where is the coloured shape?" stay a guess. Try it.
#
# `group_by` puts the questions about one picture into one sample, so that it is encoded once for all of them.

# %%
pre = mm.preprocessing.Preprocessor(
    image=mm.preprocessing.Image(size),
    question=mm.preprocessing.Text(length=14, mark_ends=False),
    answer=mm.preprocessing.Label(answers),
).adapt(train)


def image_encoder():
    cells = mm.encoders.vgg(3, 16, convolutions=1, image_shape=(*size, 3))
    placed = mm.layers.PositionEmbedding(cells.output_shape[1])(cells.output)
    return keras.Model(cells.inputs, placed)


def question_encoder():
    return mm.encoders.gru(pre["question"].num_tokens, 48, embedding_dim=24, pooling="last")


makers = {"image": image_encoder, "question": question_encoder}


def make_task(modalities, steps):
    encoders = {name: makers[name]() for name in modalities}
    if len(modalities) == 2:
        fusion = mm.layers.FiLMFusion(by="question", dim=64)
        task = mm.models.VisualQuestionAnswering(encoders, fusion, answers=answers, hidden_dim=64, preprocessor=pre)
    else:
        task = mm.models.MultimodalClassifier(encoders, classes=answers, hidden_dim=64, preprocessor=pre)
    rate = keras.optimizers.schedules.CosineDecay(
        4e-4, steps - steps // 10, warmup_target=4e-3, warmup_steps=steps // 10
    )
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3, global_clipnorm=1.0))
    return task


grouped = {"group_by": GROUP[0], "group_size": GROUP[1], "cache": "memory"}
batches = pre.dataset(train, 16, **grouped)
task = make_task(("image", "question"), EPOCHS * int(batches.cardinality()))
history = task.fit(batches, validation_data=pre.dataset(val, 16, shuffle=False, **grouped), epochs=EPOCHS, verbose=0)

figure, axis = plt.subplots(figsize=(5, 2.8), layout="constrained")
axis.plot(history.history["accuracy"], label="training")
axis.plot(history.history["val_accuracy"], label="validation")
axis.set(xlabel="epoch", title="accuracy", ylim=(0, 1))
axis.legend()
plt.show()

# %% [markdown]
# ## Ask
#
# `answer` takes a raw picture and a question, or several.

# %%
task.answer(
    test[0]["image"], ["what shape is shown in colour?", "how many coloured shapes are there?", "what colour is shown?"]
)

# %% [markdown]
# ## By kind of question
#
# One number hides which questions are hard. An answer tells the kind here; `predict_all` gives targets and
# probabilities side by side. Next to it stands the same model, shown the picture of another scene: what is left then is
# what the question alone gives away. Naming one of six colours is harder to guess than yes or no.

# %%
kinds = ("shape", "colour", "size", "count", "position", "existence")


def kind_of(record):
    if DATA is not None:
        return record["question"].split()[0]
    return next((kind for kind in kinds[:-1] if record["answer"] in world.classes(kind)), "existence")


def right(records):
    found = mm.evaluation.predict_all(task, records)
    return found.outputs.argmax(axis=1) == found.targets


moved = [*test[GROUP[1] :], *test[: GROUP[1]]]  # the question stays, the picture is that of the next scene
others = [{**record, "image": other["image"]} for record, other in zip(test, moved, strict=True)]
looked, guessed = right(test), right(others)
kind = np.array([kind_of(record) for record in test])
names = list(dict.fromkeys(sorted(kind)))

figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
places = np.arange(len(names))
axis.bar(places - 0.2, [looked[kind == name].mean() for name in names], 0.4, label="its own picture")
axis.bar(places + 0.2, [guessed[kind == name].mean() for name in names], 0.4, label="another picture", color="0.75")
axis.set_xticks(places, names)
axis.set(ylim=(0, 1), ylabel="accuracy", title=f"{len(kind):,} questions about unseen scenes")
axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
plt.show()

# %% [markdown]
# Yes and no (`existence`) stand out: with its own picture the model does no better than with another one. Whether
# "there is a red circle" takes a comparison of two facts with the question, and of the questions in training only one
# in thirty-six is of this kind. If they matter to you, ask more of them: a chart by kind tells which data to collect.
#
# ## The controls
#
# `mm.evaluation.controls` puts the model beside everything that it has to beat, on the same questions:
#
# - `majority`, and the `prior` of the question: the most frequent answer to it, word for word, in training;
# - a model of the picture alone and one of the question alone, by the same recipe, and the average of the two;
# - the model itself with pictures, or questions, of other samples.
#
# The column `behind` says by how much each is behind, with a 95 % interval over questions. A good score that is not far
# ahead of the prior would say more about the data set than about the model. The model we have need not be trained
# again, so `make` hands it out as it is; the others, which cannot learn much, get a shorter schedule.


# %%
one_by_one = pre.dataset(train, 64, cache="memory")


def make(modalities):
    return task if len(modalities) == 2 else make_task(modalities, SHORT * int(one_by_one.cardinality()))


def fit(made, data):
    if made is not task:
        made.fit(data, epochs=SHORT, verbose=0)


mm.evaluation.controls(make, ("image", "question"), one_by_one, test, fit=fit, prior="question_token_ids", seeds=1)

# %% [markdown]
# ## The same picture, many questions
#
# The last check is a look. A model that reads the question gives different answers to different questions about one
# picture, and to the same question about different ones. Right answers are green, wrong ones red.

# %%
shown = [record["image"] for record in test[:: GROUP[1]][:5]]
truth = world.attributes("test")

figure, axes = plt.subplots(1, 5, figsize=(14, 4.4))
figure.subplots_adjust(left=0.01, right=0.99, top=1, bottom=0.36, wspace=0.05)
for row, (axis, picture) in enumerate(zip(axes, shown, strict=True)):
    axis.imshow(pre([{"image": picture}], ("image",))["image"][0].astype("uint8"))
    axis.axis("off")
    for line, (answer, name) in enumerate(zip(task.answer(picture, list(ASKED)), ASKED.values(), strict=True)):
        is_right = DATA is None and answer == world.classes(name)[truth[name][row]]
        colour = "black" if DATA is not None else "tab:green" if is_right else "tab:red"
        axis.text(0, -0.1 - 0.13 * line, f"{name}: {answer}", color=colour, fontsize=13, transform=axis.transAxes)
plt.show()

# %% [markdown]
# ## Where to go next
#
# - `benchmarks/easy_vqa.py`: the same on real data, trained longer.
# - Another fusion in the slot: `BilinearFusion`, `CoAttention`, `AttentionFusion`; `mm.evaluation.compare` says which
#   is best for your data. Notebook 02 is about the slot.
# - Answers that people disagree on: `soft=True` and `Label(votes=...)`.
# - Notebook 07: what happens when a modality is missing or noisy.
