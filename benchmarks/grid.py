"""Does seeing the lips help to hear? GRID: words and whole sentences, by lips, by sound and by both.

python benchmarks/grid.py --data GRID --record

Words: each word of a clip and 0.08 seconds to either side go to a model of all 51 words; letters and digits are told
among themselves (25 and 10 ways). Models of the lips alone, of the sound alone and of both, the last two trained with
noise at all levels. The sound of the test clips is clean, or has white noise or babble at -5 dB behind it, measured
over the whole clip; `--full` goes through 10, 0, -5 and -10 dB and adds sentences: words by CTC without alignments, on
the encoder of lips that has learned words; and slots.

Slots (`--slots`: these alone): a whole clip goes to one model with six heads, one for each word of its sentence. Beside
them it learns which word is said in each frame, by the alignments of the train clips.

White noise and babble are of the same making in training and in the test, drawn anew.

The last 160 of the 800 clips of a speaker after a shuffle by seed 0 are the test part. `--select` trains on the first
540 of the others and reports on the remaining 100: recipes are to be tried by that.
"""

import time

import common
import keras
import numpy as np

import mmkeras as mm

RATE, FPS, HEIGHT, WIDTH = 8_000, 25, 32, 64
# Frames of a word, from all over it, and to either side of it; seconds of its sound at most.
FRAMES, MARGIN, SECONDS, DIM = 12, 2, 0.8, 160
BATCH, EPOCHS, SENTENCE_EPOCHS = 32, 20, 30
CLIP_BATCH, SLOT_EPOCHS = 8, 24
# Words are learned first, then in noise: up to which share of the epochs, and what share of clips has which noise.
STAGES = ((0.3, 0.05), (1.0, 0.4))
STREAMS = {"lips": ("video",), "audio": ("audio",), "both": ("video", "audio")}
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1) if chr(code) != "w"]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SLOTS = ("command", "colour", "preposition", "letter", "digit", "adverb")
# What is said in a frame between words.
SILENCE = "silence"
NOISES = {"white": mm.data.corruption.AudioNoise, "babble": mm.data.corruption.AudioBabble}


def split(clips, select):
    order = np.random.default_rng(0).permutation(len(clips))
    train, test = order[:-160], order[-160:]
    if select:
        train, test = train[:-100], train[-100:]
    return [[clips[int(row)] for row in rows] for rows in (train, test)]


def loaded(clips):
    """Clips with their sound in memory, one channel of it."""
    sounds = [mm.data.load_audio(clip["audio"]) for clip in clips]
    return [{**clip, "audio": (samples[:, 0], rate)} for clip, (samples, rate) in zip(clips, sounds, strict=True)]


def segments(clips):
    """A record for each word: frames of it, and the sound of the same time."""
    records = []
    for clip in clips:
        samples, rate = clip["audio"]
        for place, (begin, end, word) in enumerate(clip["words"]):
            first = max(0, int(begin * FPS) - MARGIN)
            last = min(len(clip["video"]), int(np.ceil(end * FPS)) + MARGIN)
            frames = (first + (np.arange(FRAMES) + 0.5) * (last - first) / FRAMES).astype(int)
            sound = samples[first * rate // FPS : last * rate // FPS]
            sound = sound if len(sound) else np.zeros(1, "float32")
            records.append({"video": clip["video"][frames], "audio": (sound, rate), "label": word, "place": place})
    return records


def mouth():
    """What a mouth looks like, (batch, dim): small convolutions, and where on the picture is kept."""
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    x = mm.layers.PixelScaling("symmetric")(image)
    for index, width in enumerate((24, 48, 96)):
        x = keras.layers.Conv2D(width, 5 if index == 0 else 3, 2, padding="same", use_bias=False)(x)
        x = keras.layers.Activation("relu")(mm.layers.FusedGroupNormalization(8)(x))
    return keras.Model(image, keras.layers.Dense(DIM)(keras.layers.Flatten()(x)))


def fusion():
    """Streams side by side at each step, and a Transformer over time."""
    return mm.layers.TimelineFusion(mm.layers.ConcatFusion(DIM), dim=DIM, dropout_rate=0.1, context="transformer")


def encoders_of(stream):
    makers = {
        "video": lambda: mm.encoders.time_distributed(mouth()),
        "audio": lambda: mm.encoders.spectrogram_cnn(RATE, 24, blocks=2, dim=DIM, num_mels=48),
    }
    return {name: makers[name]() for name in STREAMS[stream]}


def word_model(stream, train, epochs, seed):
    keras.utils.set_random_seed(seed)
    words = sorted({record["label"] for record in train})
    parts = {
        "video": mm.preprocessing.Video(FRAMES, (HEIGHT, WIDTH)),
        "audio": mm.preprocessing.Audio(RATE, seconds=SECONDS),
    }
    pre = mm.preprocessing.Preprocessor(
        **{name: parts[name] for name in STREAMS[stream]}, label=mm.preprocessing.Label(words)
    )
    task = mm.models.VideoAudioModel(
        encoders_of(stream),
        fusion(),
        classes=words,
        pooling="attention",
        dropout_rate=0.2,
        preprocessor=pre,
    )
    return taught(task, stream, train, BATCH, 3e-3, epochs, seed)


def taught(task, stream, train, batch, rate, epochs, seed):
    """The task, trained on clean sound first, then in noise."""
    task.compile(common.adamw(rate, epochs * (len(train) // batch), weight_decay=0.05))
    done = 0
    for share, noise in STAGES:
        last = max(1, round(share * epochs))
        augment = augmentations(stream, noise, seed)
        batches = task.preprocessor.dataset(
            train, batch, cache="memory", augment=augment, seed=seed + done, drop_remainder=True
        )
        task.fit(batches, epochs=last - done, verbose=2)
        done = last
    return task


def augmentations(stream, noise, seed):
    """Pictures a little larger, clips a little earlier; white noise and babble, each in a share of the clips."""
    augment = {
        "video": [
            mm.preprocessing.RandomCrop((0.88, 1.0), (0.95, 1.05)),
            mm.preprocessing.FrameJitter(1, 0.1),
        ],
        "audio": [
            mm.preprocessing.AddNoise((-12, 12), rate=noise),
            mm.preprocessing.AddNoise((-12, 12), noise=babbles(20, seed), rate=noise),
        ],
    }
    return {name: augment[name] for name in STREAMS[stream]}


def babbles(count, seed):
    """Recordings of people talking at once, made of noise: 5 seconds each."""
    rng = np.random.default_rng([seed, 1])
    silent = np.zeros(5 * RATE, "float32")
    silent[::50] = 0.01
    return [mm.data.corruption.AudioBabble(snr_db=-60)((silent, RATE), rng)[0] for _ in range(count)]


def accuracies(task, records):
    """Shares of letters and of digits that are told right among themselves."""
    outputs = task.predict_records(records, batch_size=100)["label"]
    found = {}
    for kind, place, words in (("letter", 3, LETTERS), ("digit", 4, DIGITS)):
        rows = [row for row, record in enumerate(records) if record["place"] == place]
        names = [word for word in task.head("label").names if word in words]
        columns = [task.head("label").names.index(word) for word in names]
        said = [names[index] for index in outputs[rows][:, columns].argmax(axis=1)]
        found[kind] = float(np.mean([word == records[row]["label"] for word, row in zip(said, rows, strict=True)]))
    return found


def parts_of_clips(stream):
    parts = {"video": mm.preprocessing.Video(75, (HEIGHT, WIDTH)), "audio": mm.preprocessing.Audio(RATE, seconds=3.0)}
    return {name: parts[name] for name in STREAMS[stream]}


def with_slots(clips):
    """Clips with the word of each slot, and the word that is said in each frame."""
    records = []
    for clip in clips:
        words = [SILENCE] * len(clip["video"])
        for begin, end, word in clip["words"]:
            for frame in range(int(begin * FPS), min(len(words), round(end * FPS))):
                words[frame] = word
        slots = {slot: word for slot, (_, _, word) in zip(SLOTS, clip["words"], strict=True)}
        records.append({"video": clip["video"], "audio": clip["audio"], "word": words, **slots})
    return records


def slot_model(stream, train, epochs, seed):
    """The six words of a clip at once, and beside them, for when to look, the word of each frame."""
    keras.utils.set_random_seed(seed)
    classes = {slot: sorted({record[slot] for record in train}) for slot in SLOTS}
    # Sound alone has steps of its own, which nobody has labelled.
    in_frames = {"word": [SILENCE, *sorted(set().union(*classes.values()))]} if stream != "audio" else {}
    labels = {name: mm.preprocessing.Label(known) for name, known in {**classes, **in_frames}.items()}
    task = mm.models.VideoAudioModel(
        encoders_of(stream),
        fusion(),
        classes=classes,
        frame_classes=in_frames or None,
        # It is what teaches the encoders.
        loss_weights=dict.fromkeys(in_frames, 3.0),
        pooling="attention",
        dropout_rate=0.2,
        preprocessor=mm.preprocessing.Preprocessor(**parts_of_clips(stream), **labels),
    )
    return taught(task, stream, train, CLIP_BATCH, 2e-3, epochs, seed)


def slot_accuracies(task, records):
    """Shares of slots, and of whole sentences, that are told right."""
    outputs = task.predict_records(records, batch_size=20)
    right = np.array(
        [
            [task.head(slot).names[best] == record[slot] for best, record in zip(answers, records, strict=True)]
            for slot, answers in ((slot, outputs[slot].argmax(axis=1)) for slot in SLOTS)
        ]
    )
    found = {slot: float(row.mean()) for slot, row in zip(SLOTS, right, strict=True)}
    return {**found, "mean": float(right.mean()), "sentence": float(right.all(axis=0).mean())}


def sentence_model(stream, task, train, epochs, seed):
    """Sentences of words by CTC, on the encoders of a model of words."""
    keras.utils.set_random_seed(seed)
    text = mm.preprocessing.Text(mark_ends=False, length=6)
    pre = mm.preprocessing.Preprocessor(**parts_of_clips(stream), text=text).adapt(train)
    made = mm.models.Transcriber(
        task.encoders,
        fusion(),
        dropout_rate=0.2,
        preprocessor=pre,
    )
    made.compile(common.adamw(1.5e-3, epochs * (len(train) // 8), weight_decay=0.05))
    batches = pre.dataset(
        train, 8, cache="memory", augment=augmentations(stream, 0.4, seed), seed=seed, drop_remainder=True
    )
    made.fit(batches, epochs=epochs, verbose=2)
    return made


def tell_words(train, heard, arguments, seed, results):
    """Models of words by stream; what they tell goes into `results`."""
    words, tasks = segments(train), {}
    heard = {condition: segments(clips) for condition, clips in heard.items()}
    for stream in STREAMS if arguments.stream is None else (arguments.stream,):
        begun = time.perf_counter()
        task = tasks[stream] = word_model(stream, words, 1 if arguments.smoke else arguments.epochs or EPOCHS, seed)
        results[f"{stream}_minutes"] = (time.perf_counter() - begun) / 60
        for condition, records in heard.items():
            if stream == "lips" and condition != "clean":
                continue
            prefix = "lips" if stream == "lips" else f"{stream}_{condition}"
            for kind, value in accuracies(task, records).items():
                results[f"{prefix}_{kind}_accuracy"] = value
        print({name: round(value, 4) for name, value in results.items()}, flush=True)
    return tasks


def tell_slots(train, heard, arguments, seed, results):
    """Models of whole clips, by lips and by both; what they tell goes into `results`."""
    train = with_slots(train)
    # In noise at the middle level only.
    heard = {name: with_slots(clips) for name, clips in heard.items() if name in ("clean", "white_-5", "babble_-5")}
    for stream in ("lips", "both") if arguments.stream is None else (arguments.stream,):
        begun = time.perf_counter()
        task = slot_model(stream, train, 2 if arguments.smoke else arguments.epochs or SLOT_EPOCHS, seed)
        results[f"{stream}_slots_minutes"] = (time.perf_counter() - begun) / 60
        for condition, records in heard.items():
            if stream == "lips" and condition != "clean":
                continue
            prefix = "lips" if stream == "lips" else f"{stream}_{condition}"
            for kind, value in slot_accuracies(task, records).items():
                results[f"{prefix}_slots_{kind}_accuracy"] = value
        print({name: round(value, 4) for name, value in results.items() if "_slots_" in name}, flush=True)


def measured(clips, arguments, seed):
    train, test = split(clips, arguments.select)
    if arguments.test:
        test = list(mm.data.sets.grid(arguments.test))
    if arguments.smoke:
        train, test = train[:8], test[:4]
    train, test = loaded(train), loaded(test)
    levels = (10, 0, -5, -10) if arguments.full else (-5,)
    heard = {"clean": test}
    for name, noise in NOISES.items():
        for level in levels:
            heard[f"{name}_{level}"] = mm.data.corruption.corrupt(test, audio=noise(snr_db=level))
    results = {}
    tasks = {} if arguments.slots else tell_words(train, heard, arguments, seed, results)
    if arguments.full or arguments.slots:
        tell_slots(train, heard, arguments, seed, results)
    if arguments.full and "lips" in tasks:
        begun = time.perf_counter()
        made = sentence_model("lips", tasks["lips"], train, 1 if arguments.smoke else SENTENCE_EPOCHS, seed)
        results["lips_sentence_minutes"] = (time.perf_counter() - begun) / 60
        said, true = made.transcribe([{"video": clip["video"]} for clip in test], 10), [clip["text"] for clip in test]
        results["lips_sentence_wer"] = mm.evaluation.word_error_rate(said, true)
        for recognised, sentence in list(zip(said, true, strict=True))[:10]:
            print(f"{recognised:40s} | {sentence}")
    return results


def main():
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--select", action="store_true", help="train on a part of the train clips, report on the rest")
    made.add_argument("--slots", action="store_true", help="the six words of a clip at once, and nothing else")
    made.add_argument("--stream", choices=STREAMS, help="one model only")
    made.add_argument("--epochs", type=int, help=f"of words ({EPOCHS} else) and of slots ({SLOT_EPOCHS} else)")
    arguments = made.parse_args()
    started = time.perf_counter()
    # What bfloat16 rounds off does not matter here, and it is faster where processors know it.
    keras.config.set_dtype_policy("mixed_bfloat16")
    clips = mm.data.sets.grid(arguments.data)
    results = common.mean_over_seeds([measured(clips, arguments, seed) for seed in range(arguments.seeds)])
    words = [name.removesuffix("_letter_accuracy") for name in results if name.endswith("_letter_accuracy")]
    for title, columns, of_slots in (
        ("GRID, words", ("letter", "digit"), False),
        ("GRID, six words of a clip at once", (*SLOTS, "mean", "sentence"), True),
    ):
        rows = [
            (by.replace("_", " "), *(f"{results[f'{by}_{column}_accuracy']:.3f}" for column in columns))
            for by in words
            if by.endswith("_slots") == of_slots
        ]
        if rows:
            common.show(title, ("by", *columns), rows)
    common.report("grid", results, arguments, started)


if __name__ == "__main__":
    main()
