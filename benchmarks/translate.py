"""English to German: Multi30k, from scratch, with and without the picture.

python benchmarks/translate.py --data multi30k --pictures Flickr8k/Flicker8k_Dataset

A small Transformer learns the 29,000 pairs, in small letters, as byte pairs that both languages share. It is reported
on `test_2016_flickr`, or on that part of `--test DIR`, by the BLEU of beams of 5, on words and punctuation; greedy BLEU
on a part of val now and then, by the weights of the moment, makes the learning curve.

Some of the photos are Flickr8k's too. With `--pictures` the translator goes on learning the pairs of those, once with
the pictures and once with black ones, by the same network and equally long, and both are reported on the test pairs
that have one; with the pictures of other pairs besides. Nothing is selected on what is reported; the number of epochs
was chosen by the learning curve on val and by the time they take.
"""

import json
import re
import time

import common
import keras
import keras_hub
import numpy as np
import tokenizers

import mmkeras as mm

PIECES, LENGTH, SIDE = 4000, 56, 64
DIM, ENCODER_LAYERS, DECODER_LAYERS, DROPOUT = 128, 3, 3, 0.2
BATCH, EPOCHS, RATE = 64, 10, 2e-3
MORE_EPOCHS, MORE_RATE = 4, 3e-4
BEAMS, CURVE_EVERY, CURVE_PAIRS = 5, 2, 300


def words(sentence):
    """Words and punctuation of a sentence, in small letters."""
    return re.findall(r"\w+(?:[-'\u2019]\w+)*|[^\w\s]", sentence.lower())


def in_small_letters(records):
    return [{**record, **{key: record[key].lower() for key in ("text", "target_text")}} for record in records]


def learned_pieces(records):
    """A byte-pair tokenizer of both languages."""
    learner = tokenizers.ByteLevelBPETokenizer()
    texts = [record[key] for record in records for key in ("text", "target_text")]
    learner.train_from_iterator(texts, PIECES, min_frequency=2, show_progress=False)
    model = json.loads(learner.to_str())["model"]
    return keras_hub.tokenizers.BytePairTokenizer(model["vocab"], [" ".join(pair) for pair in model["merges"]])


def preprocessor(pieces, pictures=False):
    parts = {key: mm.preprocessing.Text(tokenizer=pieces) for key in ("text", "target_text")}
    if pictures:
        parts["image"] = mm.preprocessing.Image((SIDE, SIDE))
    return mm.preprocessing.Preprocessor(**parts)


def translator(pre, pictures=False):
    size = pre["text"].num_tokens
    encoder = mm.encoders.transformer_text(size, DIM, num_layers=ENCODER_LAYERS, dropout_rate=DROPOUT)
    decoder = mm.layers.TransformerDecoder(size, DIM, num_layers=DECODER_LAYERS, dropout_rate=DROPOUT)
    if not pictures:
        return mm.models.Translator(encoder, decoder, preprocessor=pre)
    encoders = {"text": encoder, "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(SIDE, SIDE, 3))}
    fusion = mm.layers.AttentionFusion(dim=DIM, dropout_rate=DROPOUT)
    return mm.models.Translator(encoders, decoder, fusion=fusion, preprocessor=pre)


def train_on(task, records, epochs, rate, seed, callbacks=()):
    data = task.preprocessor.dataset(records, BATCH, cache="memory", bucket_by="target_text", seed=seed)
    # Batches are of like length, and the last of each length is not full.
    steps = epochs * sum(1 for _ in data)
    # Batches of like length have many shapes, and each would be compiled.
    task.compile(
        common.adamw(rate, steps, weight_decay=0.01),
        loss=mm.losses.WordCrossEntropy(label_smoothing=0.1),
        jit_compile=False,
    )
    task.fit(data, epochs=epochs, verbose=2, callbacks=list(callbacks))


def bleu(task, records, beams=BEAMS, pictures=None):
    """BLEU-4 and the sentences; `pictures` are those shown, one for each record."""
    asked = [{"text": record["text"]} for record in records]
    if pictures is not None:
        asked = [{**ask, "image": image} for ask, image in zip(asked, pictures, strict=True)]
    said = task.generate(asked, beams, max_length=LENGTH, batch_size=100)
    return mm.evaluation.bleu(said, [record["target_text"] for record in records], tokenize=words)["bleu_4"], said


class Curve(keras.callbacks.Callback):
    """Greedy BLEU on some pairs of val while it learns."""

    def __init__(self, records):
        super().__init__()
        self.records = records
        self.points = []

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % CURVE_EVERY == 0:
            self.points.append((epoch + 1, bleu(self.model, self.records, beams=1)[0]))
            print(f"epoch {epoch + 1}: greedy BLEU on val {100 * self.points[-1][1]:.1f}", flush=True)


def going_on(known, train, test, seed):
    """BLEU with pictures and with black ones, after as many more epochs on the pairs that have one."""
    seen = [record["image"] for record in test]
    black = np.zeros((SIDE, SIDE, 3), "uint8")
    results = {"test_pictured_before_bleu4": bleu(known, test)[0], "num_pictured_test": len(test)}
    for name, pairs, shown in (
        ("with", train, {"with": seen, "others": seen[1:] + seen[:1]}),
        ("without", [{**record, "image": black} for record in train], {"without": [black] * len(test)}),
    ):
        print(f"pictures: {name}", flush=True)
        keras.utils.set_random_seed(seed)
        task = translator(preprocessor(known.preprocessor["text"].tokenizer, pictures=True), pictures=True)
        task.encoders["text"].set_weights(known.encoders["text"].get_weights())
        task.decoder.set_weights(known.decoder.get_weights())
        train_on(task, pairs, MORE_EPOCHS, MORE_RATE, seed)
        results |= {f"test_pictured_{key}_bleu4": bleu(task, test, pictures=images)[0] for key, images in shown.items()}
    return results | {"num_pictured_train": len(train)}


def measured(parts, epochs, seed, *, pictures):
    train, val, test = parts
    keras.utils.set_random_seed(seed)
    begun = time.perf_counter()
    task = translator(preprocessor(learned_pieces(train)))
    curve = Curve(val[:CURVE_PAIRS])
    train_on(task, train, epochs, RATE, seed, [curve])
    results = {"minutes": (time.perf_counter() - begun) / 60}
    results["test_bleu4"], said = bleu(task, test)
    results["test_greedy_bleu4"] = bleu(task, test, beams=1)[0]
    results |= {f"val_greedy_bleu4_epoch_{epoch}": value for epoch, value in curve.points}
    results |= {"num_train": len(train), "num_test": len(test), "num_weights": task.count_params()}
    for sentence, record in list(zip(said, test, strict=True))[:20]:
        print(f"{record['text']}\n    {sentence}\n    {record['target_text']}")
    if pictures:
        train, test = ([record for record in part if record["image"] is not None] for part in (train, test))
        results |= going_on(task, train, test, seed)
    return results


def main():
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--pictures", metavar="DIR", help="folder of Flickr8k's photos")
    arguments = made.parse_args()
    started = time.perf_counter()
    parts = list(mm.data.sets.multi30k(arguments.data, images=arguments.pictures).official_split())
    if arguments.test:
        parts[2] = mm.data.sets.multi30k(arguments.test, images=arguments.pictures).official_split()[2]
    parts, epochs = [in_small_letters(part) for part in parts], EPOCHS
    if arguments.smoke:
        parts, epochs = [part[: 4 * BATCH] for part in parts], 1
    # What bfloat16 rounds off does not matter here, and it is faster where processors know it.
    keras.config.set_dtype_policy("mixed_bfloat16")
    rows = [measured(parts, epochs, seed, pictures=arguments.pictures is not None) for seed in range(arguments.seeds)]
    results = common.mean_over_seeds(rows)
    common.show(
        f"English to German, BLEU of {results['num_test']:,} sentences, seeds: {arguments.seeds}",
        ("measure", "value", "deviation"),
        [(name, f"{results[name]:.4g}", results[f"{name}_std"]) for name in results if f"{name}_std" in results],
    )
    common.report("translate", results, arguments, started)


if __name__ == "__main__":
    main()
