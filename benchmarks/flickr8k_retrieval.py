"""How well does a small model learn, from scratch, to find photos by sentences? Flickr8k at 112x112.

Trains on the train split by a schedule fixed beforehand and reports on the dev split (or on `--test DIR`): pictures
by sentences and sentences by pictures, 1,000 and 5,000 of them. One small model, little to learn from, and so many
epochs of much augmentation. One objective, InfoNCE; `--full` adds hardest triplets, all triplets, SigLIP and the margin
loss, each with the same budget. Nothing is selected on what is reported: recipes are tried by `--select`, which trains
on 5,000 of the train photos and reports on the other 1,000.

python benchmarks/flickr8k_retrieval.py --data Flickr8k
"""

import time

import keras
import numpy as np
from common import adamw, mean_over_seeds, parser, report, show

import mmkeras as mm

SIZE = 112
CAPTIONS, WORDS, VOCABULARY = 5, 24, 3000
# Where training starts, small pictures are enough: size of the crops, and share of the epochs. Whole pictures of the
# last size are embedded: larger ones show things larger than in training, and find less.
STAGES = ((64, 0.7), (96, 0.3))
BATCH, DIM, EPOCHS = 128, 256, 105
OBJECTIVES = {
    "infonce": lambda: mm.losses.InfoNCE(0.1, learn_temperature=False),
    "triplet_hardest": lambda: mm.losses.Triplet(0.2),
    "triplet_all": lambda: mm.losses.Triplet(0.2, "all"),
    "siglip": mm.losses.SigmoidContrastive,
    "margin": mm.losses.MarginContrastive,
}
KS = (1, 5, 10)


def prepared(train):
    """The Preprocessor of training, that of the task, and word vectors from the captions of each photo together."""
    text = mm.preprocessing.Text(VOCABULARY, length=WORDS)
    read = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((SIZE, SIZE)), text=text).adapt(train)
    last = STAGES[-1][0]
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((last, last)), text=text)
    captions = mm.preprocessing.Preprocessor(text=text).dataset(train, 500, group_size=CAPTIONS, shuffle=False)
    documents = np.concatenate([np.reshape(batch["token_ids"], (len(batch["token_ids"]), -1)) for batch in captions])
    dim = min(DIM, len(documents) // 2)
    return read, pre, mm.encoders.learn_word_vectors(documents, text.vocabulary_size, dim)


def make_task(pre, vectors, objective, steps, seed):
    """A ResNet of 1.2 million weights, words without order, and a schedule that warms up and then cools down."""
    keras.utils.set_random_seed(seed)
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1, 1), 32, normalization="batch", pooling="avg"),
        "text": mm.encoders.bag_of_words(word_vectors=vectors, word_dropout_rate=0.4),
    }
    task = mm.models.JointEmbedding(encoders, objective, dim=DIM, dropout_rate=0.2, preprocessor=pre)
    task.compile(adamw(1e-3, steps, weight_decay=1.0), metrics=None)
    return task


def train_task(task, read, train, epochs, seed):
    done = 0
    for size, share in STAGES:
        count = round(epochs * share) if size != STAGES[-1][0] else epochs - done
        if not count:
            continue
        augment = {
            "image": [
                mm.preprocessing.RandomCrop((0.3, 1.0), (0.8, 1.25), size=(size, size)),
                mm.preprocessing.RandomFlip(),
                mm.preprocessing.RandomColour(0.3, 0.3, 0.4),
                mm.preprocessing.RandomErasing(0.5, (0.02, 0.3), (0.5, 2.0)),
            ]
        }
        batches = read.dataset(
            train, BATCH, group_size=CAPTIONS, cache="memory", augment=augment, seed=seed + done, drop_remainder=True
        )
        task.fit(batches, epochs=count, verbose=2)
        done += count


def embedded(task, records):
    """Embeddings of photos, each with its mirror image, and of all their sentences."""
    pre = task.preprocessor
    photos = np.concatenate(
        [pre(list(records[start : start + 100]), ("image",))["image"] for start in range(0, len(records), 100)]
    )
    tower = task.tower("image", ("image",))
    image = sum(tower.predict(x, batch_size=100, verbose=0)["image"] for x in (photos, photos[:, :, ::-1]))
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    return image, task.embed("text", records.unfold("text"), batch_size=500)


def measured(image, text, records):
    """Measures in both directions."""
    groups = np.repeat(np.arange(len(records)), [len(record["text"]) for record in records])
    found = mm.retrieval.evaluate_pair(image, text, second_groups=groups, names=("image", "text"), ks=KS)
    names = [f"r@{k}" for k in KS] + ["median_rank"]
    return {
        f"{name.replace('@', '')}_{way}": found[f"{name}_{way}"]
        for way in ("text_to_image", "image_to_text")
        for name in names
    }


def trained(objective, epochs, train, reported, seed):
    """Measures of one model, trained."""
    read, pre, vectors = prepared(train)
    task = make_task(pre, vectors, objective(), epochs * (len(train) // BATCH), seed)
    train_task(task, read, train, epochs, seed)
    return measured(*embedded(task, reported), reported)


def main():
    made = parser(__doc__)
    made.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the train photos")
    made.add_argument("--objective", choices=OBJECTIVES, default="infonce", help="the headline")
    made.add_argument("--select", action="store_true", help="train on 5/6 of train, report on the rest of it")
    arguments = made.parse_args()
    started = time.perf_counter()
    train, dev, _ = mm.data.read_flickr8k(arguments.data).official_split()
    reported = dev
    if arguments.select:
        train, reported = train.split(5 / 6, seed=0)
    elif arguments.test:
        reported = mm.data.read_flickr8k(arguments.test).official_split()[2]
    epochs = arguments.epochs
    if arguments.smoke:
        train, reported, epochs = train.take(2 * BATCH), reported.take(50), 2
    names = list(OBJECTIVES) if arguments.full else [arguments.objective]
    # What bfloat16 rounds off does not matter here, and it is faster where processors know it.
    keras.config.set_dtype_policy("mixed_bfloat16")
    measured_by_seed = []
    for seed in range(arguments.seeds):
        results = {}
        for name in names:
            begun = time.perf_counter()
            found = trained(OBJECTIVES[name], epochs, train, reported, seed)
            prefix = "test_" if name == arguments.objective else f"{name}_"
            results |= {prefix + key: value for key, value in found.items()}
            results[f"{prefix}minutes"] = (time.perf_counter() - begun) / 60
        measured_by_seed.append(results)
    found = mean_over_seeds(measured_by_seed)
    columns = ("objective", "direction", *(f"R@{k}" for k in KS), "median rank", "minutes")
    rows = []
    for name in names:
        prefix = "test_" if name == arguments.objective else f"{name}_"
        for way in ("text_to_image", "image_to_text"):
            recalls = [f"{100 * found[f'{prefix}r{k}_{way}']:.1f} %" for k in KS]
            rank, minutes = found[f"{prefix}median_rank_{way}"], found[f"{prefix}minutes"]
            rows.append((name, way.replace("_", " "), *recalls, f"{rank:.0f}", f"{minutes:.1f}"))
    show(f"Flickr8k, {len(reported):,} photos, {arguments.seeds} seed(s)", columns, rows)
    settings = {"objective": arguments.objective, "epochs": epochs}
    report("flickr8k_retrieval", {**found, **settings}, arguments, started)


if __name__ == "__main__":
    main()
