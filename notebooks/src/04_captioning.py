# %% [markdown]
# # 04 Captioning: say what a picture shows
#
# At the end you have a model that looks at a picture and says a sentence about it, several sentences with their
# scores, pictures of where it looked for each word, and a table that tells whether it looked at all. Scenes come from
# the toy world: one to four coloured shapes in a corner among grey ones. About two minutes on two cores.

# %%
import textwrap

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import mmkeras as mm

tf.get_logger().setLevel("ERROR")  # each way to speak is compiled when it is first used, and TensorFlow would count
keras.utils.set_random_seed(0)
SCENES, EPOCHS = 2800, 11  # smoke: 60, 1

# %% [markdown]
# ## Pictures with captions
#
# A captioner learns from records: a picture, and one or more sentences that people said of it. The toy world writes
# four captions for each scene. Its test part holds combinations of shape, colour, size, count and place that training
# never shows, so a sentence learned by heart is worth nothing there.

# %%
world = mm.data.toy.ToyWorld(SCENES, captions_per_sample=4, seed=1)
train, val, test = (world.records(split) for split in ("train", "val", "test"))
SIZE, CAPTIONS, WORDS = (32, 32), 4, 20

figure, axes = plt.subplots(1, 4, figsize=(12, 4), layout="constrained")
for axis, record in zip(axes, train, strict=False):
    axis.imshow(record["image"])
    axis.set_title("\n".join(textwrap.fill(caption, 30) for caption in record["text"][:2]), fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Your own pictures
#
# Name a folder in the layout of Flickr8k (`Flickr8k_text`, `Flicker8k_Dataset`) and everything below trains on its
# photos instead. Any other set is a list of dicts with `"image"`, a path, and `"text"`, a sentence or a list of them;
# `mm.data` has readers for COCO, Flickr30k, tables and folders. Photos want larger pictures, a larger encoder, and
# hours rather than minutes: `benchmarks/flickr8k_caption.py` is a recipe.

# %%
DATA = None  # a folder in Flickr8k's layout, such as "Flickr8k"; None stays with the toy world
if DATA is not None:
    train, val, test = mm.data.read_flickr8k(DATA).official_split()
    SIZE, CAPTIONS, WORDS = (96, 96), 5, 24

# %% [markdown]
# ## The model
#
# The preprocessor turns raw records into numbers, and travels with the model. The encoder makes a grid of tokens of
# the picture, one for each of its cells; the decoder is an LSTM that says one word after the other and, before each,
# looks at some of the cells. There is nothing to pool away: where a thing stands is part of the caption.

# %%
text = mm.preprocessing.Text(length=WORDS)
pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image(SIZE), text=text).adapt(train)
encoder = mm.encoders.vgg(2, 16, convolutions=1, image_shape=(*SIZE, 3))
decoder = mm.layers.LSTMDecoder(text.num_tokens, 96)
captioner = mm.models.ImageCaptioner(encoder, decoder, preprocessor=pre)
print(f"{encoder.output_shape[1]} cells of a picture, {text.num_tokens} words, {captioner.count_params():,} weights")

# %% [markdown]
# ## Training
#
# `group_size` brings the four captions of a picture into the batch together, so that the picture is encoded once.
# Loss and accuracy look at the next word after true ones, which is easier than speaking: one slip and the rest of the
# sentence stands on it. So `SentenceCallback` lets the model speak about the validation pictures as epochs end and
# compares the sentences with what people said.

# %%
batches = pre.dataset(train, 32, group_size=CAPTIONS, cache="memory", drop_remainder=True)
rate = keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * int(batches.cardinality()))
captioner.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3))
speaks = mm.training.SentenceCallback(val[:100], every=2)
history = captioner.fit(batches, epochs=EPOCHS, callbacks=[speaks], verbose=0)

figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
axes[0].plot(history.history["loss"])
axes[0].set(xlabel="epoch", title="loss of the next word")
axes[1].plot(list(speaks.results), [report["cider_d"] for report in speaks.results.values()], marker="o")
axes[1].set(xlabel="epoch", title="CIDEr-D of whole sentences")
plt.show()

# %% [markdown]
# ## Let it speak
#
# `generate` takes raw records and says a sentence about each, greedily: always the likeliest word. The toy world knows
# what is true, so here we can ask more than n-gram scores can: is the sentence grammatical, complete, and right in
# every word? Green ones are.

# %%
pictures = [{"image": record["image"]} for record in test]


def shown(row):
    return pre([pictures[row]], ("image",))["image"][0].astype("uint8")


said = captioner.generate(pictures, batch_size=128)


def is_true(row, sentence):
    if DATA is not None:
        return None
    facts = {name: values[row] for name, values in world.attributes("test").items()}
    return world.caption_is_true(sentence, facts)


def gallery(rows, sentences):
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
    for axis, row in zip(axes.flat, rows, strict=False):
        axis.imshow(shown(row))
        colour = {True: "tab:green", False: "tab:red", None: "black"}[is_true(row, sentences[row])]
        axis.set_title(
            sentences[row].replace(" in the", "\nin the").replace(" at the", "\nat the"), color=colour, fontsize=9
        )
        axis.axis("off")
    return figure


gallery(range(8), said)
plt.show()

# %%
true = [is_true(row, sentence) for row, sentence in enumerate(said)]
if DATA is None:
    print(f"True and complete: {np.mean(true):.0%} of {len(said)} unseen scenes, {len(set(said))} different sentences")

# %% [markdown]
# ## Several sentences, with scores
#
# Beam search keeps the likeliest beginnings and goes on with all of them. With `num_return` it gives the best few,
# ranked by log-probability per word (`length_penalty=0` ranks by the sum), and with `return_scores` how likely the
# model finds each. This is a picture that it got wrong. Values that are close show what it is unsure about: two ways to
# say the same are no matter, two places or two shapes are.

# %%
unsure = true.index(False) if False in true else 0
beam = mm.generation.Beam(4, num_return=4)
best = captioner.generate(pictures[unsure], strategy=beam, return_scores=True)
rows = [{"sentence": s.text, "log-probability": s.log_probability, "is true": is_true(unsure, s.text)} for s in best]
mm.evaluation.Table(rows, "By four beams")

# %% [markdown]
# Sampling draws each word by its probability instead: varied sentences, some of them odd. A temperature below 1 is
# careful, above 1 bold; `top_p` cuts off the unlikely tail. The seed makes the draw repeatable.

# %%
for temperature in (0.5, 2.0):
    drawn = mm.generation.Sample(temperature=temperature, top_p=0.95, num_return=3)
    for sentence in captioner.generate(pictures[0], strategy=drawn, seed=1):
        print(f"{temperature}  {sentence}")

# %% [markdown]
# ## How likely is this sentence?
#
# The other way round, `score` says how likely a given sentence is of a picture. So a captioner answers closed
# questions too: ask it with every colour and take the likeliest.

# %%
colours = world.classes("colour")
asked = [f"there are two small {colour} circles at the top left" for colour in colours]
row = next(
    (row for row, record in enumerate(test) if "two small" in record["text"][0] and "top left" in record["text"][0]), 0
)
scores = captioner.score([pictures[row]] * len(colours), asked)

figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained", width_ratios=(1, 2.2))
axes[0].imshow(shown(row))
axes[0].axis("off")
axes[1].barh(colours, scores, color=["tab:green" if s == max(scores) else "0.75" for s in scores])
axes[1].set_xlabel("log-probability of 'there are two small ... circles at the top left'")
plt.show()

# %% [markdown]
# ## Does it look at all?
#
# N-gram scores deceive: a safe sentence said of every picture gets far. `sentence_controls` puts the numbers beside
# those of sentences that needed no look: what the model says of the *wrong* pictures, and the best single sentence of
# the train set. Read a score as the distance from these rows, not from zero. A third control, `blind=`, takes a model
# that was trained on black pictures.

# %%
controls = mm.evaluation.sentence_controls(captioner, test[:200], train=train)
mm.evaluation.Table(
    [{name: r[name] for name in ("model", "bleu_4", "rouge_l", "cider_d", "num_distinct")} for r in controls],
    "200 unseen scenes",
)

# %% [markdown]
# ## Keep it, and see where it looks
#
# One file holds the preprocessor, the encoder, the decoder and the loop over words. Loaded anywhere, it takes a raw
# picture and says the same sentence.

# %%
captioner.save("captioner.keras")
loaded = keras.saving.load_model("captioner.keras")
print("Says the same:", loaded.generate(pictures[:8]) == said[:8])

# %% [markdown]
# `return_attention=True` gives how much of its look the decoder spent on each cell before it said each word. Words that
# need a certain place draw the look there, as the colour does that is found only on some things; where an overall
# impression or grammar is enough, the look stays wide. Of fifty sentences, this is the one with the sharpest look.

# %%
seen = loaded.generate(pictures[:50], return_attention=True)
sharpest = int(np.argmax([sentence.attention.max() for sentence in seen]))
mm.interpret.plot_attention(pictures[sharpest]["image"], seen[sharpest])

# %% [markdown]
# ## Where to go next
#
# - `docs/sentences.md`: decoders, scheduled sampling, prefixes, captions of clips, translation.
# - `docs/export.md` and notebook 08: the whole loop as a SavedModel or a TFLite file, JPEG bytes in, sentence out.
# - Notebook 05: ask questions about pictures instead of letting the model choose what to tell.
# - `benchmarks/toy_captions.py` trains longer, on larger pictures, with the blind control.
