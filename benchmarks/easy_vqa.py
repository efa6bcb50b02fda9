"""Questions about a coloured shape: how many answers are right, from scratch, and how many without looking? easy-VQA.

python benchmarks/easy_vqa.py --data easy-VQA --seeds 3 --record

A small ResNet and a GRU, the question modulating how the picture is read (FiLM), trained by a fixed schedule on the
train part; a picture is encoded once for all its questions. Reported on the test part of `--data`, or of `--test DIR`.
The schedule was tried by `--select`, which trains on nine tenths of the train pictures and reports on the others.
Beside it stands what can be answered from the question alone: its most frequent answer in the train part.
`--full` adds the other fusions.
"""

import collections
import time

import common
import keras

import mmkeras as mm

SIZE = (64, 64)
BATCH, EPOCHS, LEARNING_RATE = 32, 20, 4e-3
WARM_UP = 0.1
GOAL = 0.998
FUSIONS = {
    "film": lambda: mm.layers.FiLMFusion(by="question"),
    "bilinear": lambda: mm.layers.BilinearFusion(64),
    "attention": lambda: mm.layers.AttentionFusion(num_layers=1, num_heads=4),
}


def trained(train, fusion, epochs, seed):
    """A task, trained by the fixed schedule."""
    keras.utils.set_random_seed(seed)
    pre = mm.preprocessing.Preprocessor(
        image=mm.preprocessing.Image(SIZE),
        question=mm.preprocessing.Text(100, length=12),
        answer=mm.preprocessing.Label(),
    ).adapt(train)
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1), 24, normalization="batch", image_shape=(*SIZE, 3), pooling="avg"),
        "question": mm.encoders.gru(pre["question"].vocabulary_size, 64, embedding_dim=32, pooling="last"),
    }
    task = mm.models.VisualQuestionAnswering(
        encoders, fusion(), answers=pre["answer"].classes, hidden_dim=64, preprocessor=pre
    )
    batches = pre.dataset(train, BATCH, group_by="image", group_size=most_questions(train), cache="memory", seed=seed)
    steps = epochs * -(-len(set(train.column("image"))) // BATCH)
    warm_up = int(WARM_UP * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 100, steps - warm_up, warmup_target=LEARNING_RATE, warmup_steps=warm_up
    )
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3, global_clipnorm=1.0))
    task.fit(batches, epochs=epochs, verbose=2)
    return task


def most_questions(records):
    """How many questions a picture has at most."""
    return max(collections.Counter(records.column("image")).values())


def accuracy(task, records):
    data = task.preprocessor.dataset(
        records, 64, group_by="image", group_size=most_questions(records), shuffle=False, strict=True
    )
    found = mm.evaluation.predict_all(task, data)
    return float((found.outputs.argmax(axis=-1) == found.targets).mean()), len(found.targets)


def blind(train, records):
    """Accuracy of the most frequent answer to each question."""
    counts = collections.defaultdict(collections.Counter)
    for record in train:
        counts[record["question"]][record["answer"]] += 1
    total = sum(counts.values(), collections.Counter())
    answers = [(counts[r["question"]] or total).most_common(1)[0][0] for r in records]
    return mm.evaluation.vqa_accuracy(answers, records.column("answer"))


def main():
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--select", action="store_true", help="train on 9/10 of train, report on the rest of it")
    arguments = made.parse_args()
    started = time.perf_counter()
    train, _, test = mm.data.sets.easy_vqa(arguments.data).official_split()
    if arguments.select:
        train, test = train.split(0.9, by="image", seed=0)
    elif arguments.test:
        test = mm.data.sets.easy_vqa(arguments.test).official_split()[2]
    epochs = EPOCHS
    if arguments.smoke:
        train, test, epochs = train.take(200), test.take(50), 1
    names = list(FUSIONS) if arguments.full else ["film"]
    by_seed = []
    for seed in range(arguments.seeds):
        results = {}
        for name in names:
            begun = time.perf_counter()
            task = trained(train, FUSIONS[name], epochs, seed)
            minutes = (time.perf_counter() - begun) / 60
            prefix = "" if name == "film" else f"{name}_"
            results[f"test_{prefix}accuracy"], count = accuracy(task, test)
            results[f"{prefix}minutes"] = minutes
        by_seed.append(results)
    found = common.mean_over_seeds(by_seed) | {"question_only": blind(train, test), "num_questions": count}
    rows = [("question only", f"{found['question_only']:.4f}", "", "", "")]
    for name in names:
        prefix = "" if name == "film" else f"{name}_"
        spread = found[f"test_{prefix}accuracy_std"]
        rows.append(
            (
                name,
                f"{found[f'test_{prefix}accuracy']:.4f}",
                "" if spread is None else f"{spread:.4f}",
                f"{found[f'{prefix}minutes']:.1f}",
                f">= {GOAL}" if name == "film" else "",
            )
        )
    common.show(
        f"easy-VQA, {count:,} questions, seeds: {arguments.seeds}",
        ("model", "accuracy", "deviation", "minutes", "goal"),
        rows,
    )
    common.report("easy_vqa", found, arguments, started)


if __name__ == "__main__":
    main()
