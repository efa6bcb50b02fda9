# %% [markdown]
# # 03 Joint embedding and search
#
# Pictures and sentences get vectors in one space, near to each other where they belong together. At the end of this
# page you type a sentence and see the pictures that it finds, and you classify pictures by words for which the model
# was never given a label. About a minute on two cores.
#
# You need `model.fit` for this and one new idea: there are no labels. What belongs together stands in one record, and
# every other picture of the batch is an example of what does not.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import mmkeras as mm

keras.utils.set_random_seed(0)
SCENES, EPOCHS, EVERY = 2200, 16, 3  # smoke: 100, 1, 1

# %% [markdown]
# ## Your own data goes here
#
# Photos with several sentences each, in the layout of Flickr8k or Flickr30k. `None` takes the toy world, where each
# picture has three sentences and the vocabulary is small, so that learning takes a minute instead of an evening.

# %%
DATA = None  # a folder in Flickr8k's layout, such as "Flickr8k"; None takes the toy world

if DATA is None:
    world = mm.data.toy.ToyWorld(SCENES, captions_per_sample=3)
    train, val, test = (
        [{"image": scene["image"], "text": scene["text"]} for scene in world.records(split)]
        for split in ("train", "val", "test")
    )
else:
    train, val, test = mm.data.read_flickr8k(DATA).official_split()

figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
for axis, record in zip(axes, train, strict=False):
    image = record["image"] if DATA is None else plt.imread(record["image"])
    axis.imshow(image)
    axis.axis("off")
    axis.set_title("\n".join(record["text"]), fontsize=7)
plt.show()

# %% [markdown]
# ## Two towers and an objective
#
# A tower is an encoder that ends in one vector, here by `pooling=`. `JointEmbedding` projects both into a space of
# `dim` numbers and brings them to length one, so that nearness is the cosine. `InfoNCE` asks of each picture in the
# batch: which of these sentences is yours? The larger the batch, the harder the question.

# %%
text = mm.preprocessing.Text(length=16)
pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((64, 64)), text=text).adapt(train)
towers = {
    "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3), pooling="attention"),
    "text": mm.encoders.bag_of_words(text.num_tokens, 64),
}
search = mm.models.JointEmbedding(towers, mm.losses.InfoNCE(), dim=64, preprocessor=pre)
search.compile(keras.optimizers.Adam(3e-3))

# %% [markdown]
# `group_size=3` lets a picture be encoded once for its three sentences. The loss of a batch says little about search,
# so a callback measures it on the whole validation set: R@5 is the share of sentences whose picture is among the first
# five found. Its values are logged like any metric, for `EarlyStopping` and `ModelCheckpoint` too.

# %%
measure = mm.training.RetrievalCallback(val, every=EVERY)
batches = pre.dataset(train, batch_size=64, group_size=3, cache="memory", seed=0)
history = search.fit(batches, epochs=EPOCHS, callbacks=[measure], verbose=0)

epochs = [epoch + 1 for epoch in measure.results]
plt.figure(figsize=(6, 3.6))
for name in ("r@1_text_to_image", "r@5_text_to_image", "r@10_text_to_image"):
    plt.plot(epochs, [found[name] for found in measure.results.values()], marker="o", label=name)
plt.axhline(5 / len(val), color="grey", linestyle=":", label="R@5 by chance")
plt.xlabel("epoch")
plt.ylim(0, 1)
plt.legend()
plt.title(f"Sentences that find their picture among {len(val)}")
plt.show()

# %% [markdown]
# ## The measures, once, on what was never seen
#
# The test pictures show combinations of colour, shape, count, size and place that training never showed.
# `evaluate_task` embeds every record and looks both ways. The median rank reads most easily: half of the sentences find
# their picture at this place or before.

# %%
found = mm.retrieval.evaluate_task(search, test, modalities=("image", "text"))
rows = [
    {
        "direction": direction.replace("_", " "),
        **{f"R@{k}": found[f"r@{k}_{direction}"] for k in (1, 5, 10)},
        "median rank": found[f"median_rank_{direction}"],
    }
    for direction in ("text_to_image", "image_to_text")
]
mm.evaluation.Table(rows, f"{len(test)} pictures, {sum(len(record['text']) for record in test)} sentences")

# %% [markdown]
# ## An index that you can keep
#
# Embedding a collection costs time once; searching it is a matrix product. The keys are yours: paths, numbers, or
# whatever a hit should lead to. `Index(approximate=True)` is for millions of items.

# %%
index = mm.retrieval.Index().add(search.embed("image", test), keys=range(len(test)))
index.save("pictures.index")
search.save("search.keras")  # both files together are the search engine

index = mm.retrieval.Index.load("pictures.index")
index.search(search.embed("text", "two small blue stars"), k=3)

# %% [markdown]
# ## Search by sentence
#
# A query need not be a whole caption. What it leaves out is left open: "something purple" finds every purple thing. And
# what it asks for counts by how well the towers have learned it. Colour, size and place come first; shapes of a few
# pixels come last, which is where wrong hits show up.


# %%
def show(queries, k=6):
    figure = plt.figure(figsize=(1.7 * k, 2.2 * len(queries)), dpi=80, layout="constrained")
    for part, query in zip(figure.subfigures(len(queries), 1), queries, strict=True):
        hits = index.search(search.embed("text", query), k=k)
        part.suptitle(f"“{query}”", fontsize=11)
        for axis, score, key in zip(part.subplots(1, k), hits.scores, hits.keys, strict=True):
            image = test[key]["image"]
            axis.imshow(image if DATA is None else plt.imread(image))
            axis.set_title(f"{score:.2f}", fontsize=8)
            axis.axis("off")
    plt.show()


show(["a picture of four big red stars at the top left", "small yellow circles", "something purple on the right"])

# %% [markdown]
# ## Classes from words alone
#
# Nobody ever labelled a colour here. Name each class by a few sentences, and a picture gets the class whose sentences
# are nearest. Several prompts are better than one: what they have in common is what the class means.

# %%
colours = ("red", "green", "blue", "yellow", "purple", "orange")
templates = [
    "a picture of {} circles",
    "{} squares can be seen",
    "there are {} triangles",
    "the picture shows {} stars",
]
prompts = {name: search.embed("text", [form.format(name) for form in templates]) for name in colours}
guess = mm.retrieval.zero_shot(search.embed("image", test), prompts)
guess.labels[:8]

# %% [markdown]
# For the toy world the truth is known, so the guesses can be counted. The diagonal is right; what is off it shows which
# colours the model mistakes for which.

# %%
figure = None
if DATA is None:
    truth = world.attributes("test")["colour"]
    guessed = np.array([world.classes("colour").index(name) for name in guess.labels])
    figure = mm.evaluation.plot_confusion(mm.evaluation.confusion_matrix(truth, guessed, 6), colours)
    figure.axes[0].set_title(f"Colours by words alone: {np.mean(truth == guessed):.1%} right")
figure

# %% [markdown]
# ## Where to go next
#
# - [examples/photo_search.py](../examples/photo_search.py) is the same as a script for your photos.
# - Larger batches in the same memory: `search.compile(step=mm.training.GradientCache(64))`.
# - A `matcher=` orders the best hits anew by looking at picture and sentence together.
# - [04](04_captioning.ipynb) writes the sentence itself.
