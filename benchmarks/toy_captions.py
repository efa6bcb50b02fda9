"""Are captions true and complete? The toy world, on combinations of attributes never seen in training.

python benchmarks/toy_captions.py --seeds 3 --record

A sentence counts if the grammar of the toy world can say it, in any of its forms, if it tells all of shape, colour,
size, count and place, and if all of it is so. Beside the captioner: the same sentences held against other pictures, and
a captioner that was trained on black pictures and knows only how people speak. One fixed schedule; the number of epochs
and the learned places of image tokens were chosen on the test split of the world of seed 0 while this was built, so
worlds here begin at seed 1.
"""

import time

import common
import keras
import numpy as np

import mmkeras as mm

SAMPLES, EPOCHS, BATCH, CAPTIONS, UNITS = 5_000, 12, 64, 4, 128


def make_task(pre, steps, seed):
    keras.utils.set_random_seed(seed)
    decoder = mm.layers.LSTMDecoder(pre["text"].num_tokens, UNITS, attention="multi_head")
    encoder = mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3))
    task = mm.models.ImageCaptioner(encoder, decoder, preprocessor=pre)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    task.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3))
    return task


def black(records):
    return [{**record, "image": np.zeros_like(record["image"])} for record in records]


def measured(seed, samples, epochs):
    """Shares of true and complete captions, and the minutes that training and speaking took."""
    world = mm.data.toy.ToyWorld(samples, captions_per_sample=CAPTIONS, seed=seed + 1)
    train, test = world.records("train"), world.records("test")
    text = mm.preprocessing.Text(length=20)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((64, 64)), text=text).adapt(train)
    values = world.attributes("test")
    scenes = [{name: column[row] for name, column in values.items()} for row in range(len(test))]

    def truth(sentences, scenes=scenes):
        return float(np.mean([world.caption_is_true(*pair) for pair in zip(sentences, scenes, strict=True)]))

    def said(train, test):
        data = pre.dataset(train, BATCH, group_size=CAPTIONS, cache="memory", seed=seed, drop_remainder=True)
        task = make_task(pre, epochs * int(data.cardinality()), seed)
        task.fit(data, epochs=epochs, verbose=2)
        plain = [{"image": record["image"]} for record in test]
        return {beams: task.generate(plain, beams, batch_size=256) for beams in (1, 4)}

    begun = time.perf_counter()
    seeing = said(train, test)
    minutes = (time.perf_counter() - begun) / 60
    blind = said(black(train), black(test))
    return {
        "test_true": truth(seeing[4]),
        "test_true_greedy": truth(seeing[1]),
        "test_true_other_picture": truth(seeing[4], scenes[1:] + scenes[:1]),
        "test_true_blind": truth(blind[4]),
        "test_distinct": float(len(set(seeing[4]))),
        "test_minutes": minutes,
        "num_test": len(test),
        "num_train": len(train),
    }


def main():
    arguments = common.parser(__doc__.splitlines()[0], needs_data=False).parse_args()
    started = time.perf_counter()
    samples, epochs = (300, 1) if arguments.smoke else (SAMPLES, EPOCHS)
    results = common.mean_over_seeds([measured(seed, samples, epochs) for seed in range(arguments.seeds)])
    names = [name for name in results if name.startswith("test_true") and not name.endswith("_std")]
    common.show(
        f"True and complete captions, {results['num_test']:,} unseen scenes, seeds: {arguments.seeds}",
        ("captions", "share", "deviation"),
        [
            (name.removeprefix("test_").replace("_", " "), f"{results[name]:.4f}", results[f"{name}_std"])
            for name in names
        ],
    )
    common.report("toy_captions", results, arguments, started)


if __name__ == "__main__":
    main()
