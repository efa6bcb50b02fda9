# %% [markdown]
# # 01 From a folder to a served model
#
# You have a folder of photos with a note beside each, and you know `model.fit`. At the end of this page a model has
# learned from both, you know that it needed both, and it answers raw JPEG bytes the way TF Serving would ask it.
#
# It takes one to two minutes on two CPU cores. The data is a toy world, drawn on the spot: a shop photographs objects,
# and a seller notes what they are made of. What an item *is* (`wood star`, `glass circle`, 12 classes) takes both: the
# shape is only seen, the material is only told.

# %%
import base64
import json
import pathlib

import keras
import matplotlib.pyplot as plt
from PIL import Image

import mmkeras as mm

keras.utils.set_random_seed(0)
SCENES, EPOCHS = 2000, 12  # smoke: 120, 1

# %% [markdown]
# ## Your own data goes here
#
# `read_folder` takes a folder with one folder per class, and in it files that belong together by their name:
# `shop/wood star/0007.jpg` with `shop/wood star/0007.txt`. Set `DATA` to such a folder and run the rest as it is; with
# `None` the cell draws one, and spoils two files, as life would.

# %%
DATA = None  # a folder like "shop": CLASS/name.jpg, with CLASS/name.txt beside it; None draws one


def draw(folder):
    world = mm.data.toy.ToyWorld(SCENES, text_attributes=("material", "count"), max_distractors=0)
    for number, scene in enumerate(world.records("train") + world.records("val")):
        path = folder / scene["label"] / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene["image"]).save(path, quality=95)
        path.with_suffix(".txt").write_text(scene["text"])
    photos = sorted(folder.glob("*/*.jpg"))
    photos[3].write_bytes(photos[3].read_bytes()[:300])  # a copy that broke off
    photos[-5].with_suffix(".txt").unlink()  # a note that was never written


if DATA is None:
    draw(pathlib.Path("shop"))
records = mm.data.read_folder(DATA or "shop")
records

# %% [markdown]
# A *record* is a dict, modality to raw value. Nothing was opened yet, so this works for a million files too.

# %%
records[0]

# %%
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2))
for axis, record in zip(axes, records.shuffle(1).take(4), strict=True):
    axis.imshow(Image.open(record["image"]))
    axis.set_title(f"{record['label']}\n“{record['text']}”", fontsize=8, wrap=True)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Look before you train
#
# `inspect` opens every file once and says what is missing, broken, doubled or out of balance. It finds both files that
# were spoilt. `clean` leaves out what the report names: here what is broken, and what lacks its note.

# %%
report = mm.data.inspect(records)
report

# %%
records = mm.data.clean(records, report, drop="broken", missing="text")
train, val, test = records.split(0.7, 0.1, seed=0)
train

# %% [markdown]
# ## One object prepares
#
# The `Preprocessor` turns raw records into model inputs: it decodes and resizes photos, cuts notes into words, numbers
# the classes. `adapt` learns vocabulary and classes from the *training* part only. The same object runs in the input
# pipeline, inside `task.classify(...)` and in the exported model, so that what is served is what was trained.

# %%
pre = mm.preprocessing.Preprocessor(
    image=mm.preprocessing.Image((64, 64)),
    text=mm.preprocessing.Text(length=16),
    label=mm.preprocessing.Label(),
).adapt(train)
x, y = next(iter(pre.dataset(train, batch_size=32)))
{key: tuple(value.shape) for key, value in x.items()}, tuple(y.shape), pre["text"].decode(x["token_ids"][0])

# %% [markdown]
# ## One encoder per modality, a fusion, a task
#
# An encoder reads one modality. `GatedFusion` brings their encodings to one size and mixes them, by gates that it
# computes for each sample. The task is a `keras.Model`: `compile()` picks optimizer, loss and metrics where you say
# nothing, and `fit` is Keras' own.


# %%
def make_task(modalities=("image", "text")):
    encoders = {
        "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3), pooling="max"),
        "text": mm.encoders.bag_of_words(pre["text"].num_tokens, 32),
    }
    chosen = {name: encoders[name] for name in modalities}
    parts = pre if len(modalities) == 2 else None
    task = mm.models.MultimodalClassifier(chosen, classes=pre["label"].classes, preprocessor=parts)
    task.compile(keras.optimizers.Adam(3e-3))
    return task


task = make_task()
batches = pre.dataset(train, batch_size=32, cache="memory")
history = task.fit(batches, validation_data=pre.dataset(val, 32, shuffle=False), epochs=EPOCHS, verbose=0)

# %%
plt.figure(figsize=(6, 3.4))
for name, values in history.history.items():
    if "accuracy" in name:
        plt.plot(range(1, EPOCHS + 1), values, marker="o", label=name)
plt.xlabel("epoch")
plt.legend()
plt.title("Accuracy on 12 classes")
plt.show()

# %% [markdown]
# ## Did it need both?
#
# A good score is no proof of fusion: perhaps the photo alone would do. `controls` trains the same task on each
# modality alone, and shuffles one modality at a time among the test samples. Here nobody can beat 1/3 with the photo
# alone (three materials look the same) or 1/4 with the note alone (four shapes read the same).

# %%
table = mm.evaluation.controls(
    make_task,
    ("image", "text"),
    batches,
    pre.dataset(test, 32, shuffle=False),
    fit={"epochs": EPOCHS},
    seeds=1,
)
table

# %% [markdown]
# ## Save, load, ask
#
# One `.keras` file holds network, vocabulary and classes. `classify` takes raw records, one or a list.

# %%
task.save("shop.keras")
again = keras.saving.load_model("shop.keras")  # in another process: import keras, mmkeras
answer = again.classify({"image": test[0]["image"], "text": "a photo of three glass things"})
answer["label"], round(answer["probabilities"][answer["label"]], 3), "the file says", test[0]["label"]

# %% [markdown]
# ## Ship it
#
# `to_saved_model` writes a folder for TF Serving, with decoding and tokenising inside. Before it returns, the folder
# is loaded in a process without Keras and mmkeras, asked by every signature, and compared with the task: the report
# says how near the answers are, and how long a request takes.

# %%
shipped = mm.export.to_saved_model(task, "saved_models/shop", records=list(test))
print(shipped)

# %% [markdown]
# A client sends raw bytes. This is the whole request, as JSON over HTTP; `encoder_of` makes it from a record:

# %%
encode = mm.export.encoder_of(shipped.path)
sent = encode([test[0]], "classify")
shown = {"image_bytes": [{"b64": base64.b64encode(sent["image_bytes"][0]).decode()[:40] + "..."}]}
shown["text"] = [sent["text"][0].decode()]
print("POST /v1/models/shop:predict")
print(json.dumps({"signature_name": "classify", "inputs": shown}, indent=2))

# %% [markdown]
# With a server up, that is one call; `mm.export.serving_config` writes its configuration and says how to start it:
#
# ```python
# client = mm.export.RestClient("http://localhost:8501", "shop", encode=encode)
# client.ask(test[0], "classify")["label"]
# ```
#
# There is no server on this page, so ask the artefact by TensorFlow's C library, the same that runs in TF Serving.
# `SavedModelRunner` does not know your Python model: what it answers comes from the folder alone.

# %%
served = mm.export.SavedModelRunner(shipped.path)
with open(test[0]["image"], "rb") as file:
    answer = served.ask({"image": file.read(), "text": test[0]["text"]})
answer["label"], round(answer["label_score"], 3)

# %% [markdown]
# ## What it answers
#
# Four photos of the test part with their notes, and what the served model answers. In the lower row the photo stays and
# the note changes: the answer follows the words, keeps the shape that it sees, and guesses where they say nothing.

# %%
upper = [{"image": record["image"], "text": record["text"]} for record in test.shuffle(0).take(4)]
notes = ["four wooden things", "four metal things", "four glass things", "no idea"]
lower = [{"image": test[-1]["image"], "text": note} for note in notes]
answers = served.ask(upper + lower)
figure, axes = plt.subplots(2, 4, figsize=(11, 6))
for axis, record, answer in zip(axes.flat, upper + lower, answers, strict=True):
    axis.imshow(Image.open(record["image"]))
    axis.set_title(f"{answer['label']}, {answer['label_score']:.0%}", fontsize=11)
    axis.text(0.5, -0.08, f"“{record['text']}”", transform=axis.transAxes, ha="center", fontsize=7)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Where to go next
#
# - [02](02_encoders_fusion_slot.ipynb): what encoders hand to a fusion, and which fusion for which data.
# - [07](07_missing_and_noisy.ipynb): what if a note is missing, in training or at the server?
# - [08](08_export.ipynb): phones, quantisation, and the rest of serving.
# - More readers: `mm.data.read_csv`, `read_jsonl`, `read_flickr8k`, `read_coco`, `read_vqa`, and others.
