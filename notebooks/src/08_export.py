# %% [markdown]
# # 08 Export: TF Serving and a phone
#
# A task that lives only in your Python is not done. At the end of this page one trained task stands in four shapes: a
# folder for TF Serving and three TFLite files, with a table of what each costs and how near its answers are, asked in
# a process that has neither TensorFlow nor Keras. About a minute on two cores.

# %%
import pathlib
import subprocess
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import mmkeras as mm
from mmkeras.cli import main as mmkeras

keras.utils.set_random_seed(0)
SCENES, EPOCHS, ASKED, FILES = 2000, 10, 200, 3  # smoke: 80, 1, 8, 1

# %% [markdown]
# ## Your own task goes here
#
# Anything that was saved by `task.save` can be shipped; records like those to come let the export try it on what it
# will see. `None` trains a small one: what is an item, by its photo and a note (see [01](01_folder_to_server.ipynb)).
# The note may be missing, which the exported models must bear as well.

# %%
TASK, DATA = None, None  # such as "shop.keras" and "shop", a folder that mm.data.read_folder reads

if TASK is None:
    world = mm.data.toy.ToyWorld(SCENES, text_attributes=("material", "count"), max_distractors=0)
    train, records = world.records("train"), world.records("test")
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image((64, 64)),
        text=mm.preprocessing.Text(length=16),
        label=mm.preprocessing.Label(),
        optional=("text",),
    ).adapt(train)
    encoders = {
        "image": mm.encoders.vgg(3, 24, convolutions=1, image_shape=(64, 64, 3), pooling="max"),
        "text": mm.encoders.lstm(pre["text"].num_tokens, 64),
    }
    task = mm.models.MultimodalClassifier(
        encoders, classes=pre["label"].classes, optional=("text",), modality_dropout_rate=0.1, preprocessor=pre
    )
    task.compile(keras.optimizers.Adam(3e-3))
    task.fit(pre.dataset(train, 32, cache="memory"), epochs=EPOCHS, verbose=0)
    task.save("shop.keras")
else:
    task, records = keras.saving.load_model(TASK), list(mm.data.read_folder(DATA))
records = [{"image": record["image"], "text": record["text"], "label": record["label"]} for record in records[:ASKED]]
scores = task.evaluate(task.preprocessor.dataset(records, 32, shuffle=False), verbose=0, return_dict=True)
scores

# %% [markdown]
# ## A folder for TF Serving
#
# One call writes the next version, with JPEG decoding and tokenising inside. It is loaded by TensorFlow's C library in
# a process of its own, asked by every signature and compared before the call returns; if it differed, `ExportError`
# would say by how much, and no folder would be left.

# %%
served = mm.export.to_saved_model(
    task, "saved_models/shop", records=records, metrics={"test_accuracy": scores["accuracy"]}
)
print(served)

# %% [markdown]
# A signature is a question. `classify` takes raw values, an empty string where the note is missing; `predict` and
# `predict_missing` take tensors, for clients that prepare them themselves. The command
# line tells what a file takes and gives, here called as a function (in a shell: `mmkeras inspect saved_models/shop`):

# %%
status = mmkeras(["inspect", "saved_models/shop"])

# %% [markdown]
# `serving_config` writes the configuration of the server into the folder and says how to start it:

# %%
config = mm.export.serving_config("saved_models", labels={"shop": {"stable": 1}})
print(str(config).replace(str(pathlib.Path.cwd().resolve()), "$PWD"))
print()
print(pathlib.Path("saved_models/models.config").read_text())

# %% [markdown]
# With that server up, a client is three lines; it needs neither TensorFlow nor Keras, and `GrpcClient` is the same over
# gRPC:
#
# ```python
# encode = mm.export.encoder_of(served.path)
# client = mm.export.RestClient("http://localhost:8501", "shop", label="stable", encode=encode)
# client.ask({"image": "photo.jpg", "text": "two glass things"}, "classify")["label"]
# ```
#
# No server here: it comes as a container. `SavedModelRunner` loads the folder by the library that is inside TF Serving.

# %%
runner = mm.export.SavedModelRunner(served.path)
with_note, without = runner.ask([records[0], {"image": records[0]["image"]}])
print("with the note   ", with_note["label"], f"{with_note['label_score']:.2f}")
print("without the note", without["label"], f"{without['label_score']:.2f}")

# %% [markdown]
# Without the note the material is a guess among three, and the score says so.
#
# ## A file for a phone
#
# TFLite files hold built-in operations only, the LSTM included, so that every interpreter runs them. `quantize=`
# chooses how weights are stored: as they are, in 16 bits, or in 8 (`"dynamic"`).

# %%
files = {"saved_model": served}
for name, quantize in [("8_bits", "dynamic"), ("float16", "float16"), ("float32", None)][:FILES]:
    files[name] = mm.export.to_tflite(task, f"shop_{name}.tflite", quantize=quantize, records=records[:64])
print(files["8_bits"])

# %% [markdown]
# Beside each file lies a card, `.json`, which tells `LiteRunner` how raw values are prepared. Ask all four, raw
# photos in, and count how often they are right and how often they say the same as Keras.

# %%
truth = [record["label"] for record in records]
asked = [{"image": record["image"], "text": record["text"]} for record in records]
by_keras = [answer["label"] for answer in task.classify(asked)]
rows = []
for name, report in files.items():
    open_it = mm.export.SavedModelRunner if name == "saved_model" else mm.export.LiteRunner
    labels = [answer["label"] for answer in open_it(report.path).ask(asked)]
    check = next(check for check in report.checks if check.signature.startswith("classify"))
    rows.append(
        {
            "format": name,
            "KB": round(report.num_bytes / 1024),
            "ms, one thread": check.milliseconds[1],
            "relative difference": f"{check.relative_l2:.0e}",
            "same as Keras": float(np.mean([a == b for a, b in zip(labels, by_keras, strict=True)])),
            "accuracy": float(np.mean([a == b for a, b in zip(labels, truth, strict=True)])),
        }
    )
table = mm.evaluation.Table(rows, f"One task in four shapes, {len(records)} test records")
table

# %% [markdown]
# ## Without TensorFlow and Keras
#
# The proof that it runs on a small machine: a process in which importing TensorFlow or Keras is an error. On the
# machine itself `pip install --no-deps mmkeras` and `pip install numpy pillow ai-edge-litert` are enough.

# %%
Image.fromarray(records[0]["image"]).save("photo.png")
script = """
import sys
for name in ("tensorflow", "keras", "jax", "torch"):
    sys.modules[name] = None
import mmkeras as mm
runner = mm.export.LiteRunner("shop_8_bits.tflite")
answer = runner.ask({"image": "photo.png", "text": "three glass things"})
print(answer["label"], f"{answer['label_score']:.2f}")
known = ("numpy", "PIL", "ai_edge_litert", "tensorflow", "keras")
print("imported:", [name for name in known if sys.modules.get(name)])
"""
finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
print(finished.stdout)

# %% [markdown]
# ## Which one to ship

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3))
names, colours = table.column("format"), ["#7c8896", "#4878b0", "#5aa0a8", "#c58a3d"]
for axis, column, unit in zip(axes, ("KB", "ms, one thread"), ("KB on disk", "ms for one answer"), strict=True):
    bars = axis.barh(names, table.column(column), color=colours)
    axis.bar_label(bars, fmt="{:,.1f}" if column != "KB" else "{:,.0f}", padding=3)
    axis.set_xlabel(unit)
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# Of the SavedModel the time includes decoding the JPEG and reading the words; `LiteRunner` does both outside the file.
# Eight bits are the rule: take `float16` where an answer must not change, and look at `same as Keras` on *your* records
# before you choose.
#
# ## Where to go next
#
# - [docs/export.md](../docs/export.md): every task in every format, int8, ONNX, endpoints of your own.
# - Captioners ship with the whole loop of generation inside: [04](04_captioning.ipynb).
# - From a shell: `mmkeras export shop.keras --to saved_model,tflite --quantize dynamic --records shop`.
