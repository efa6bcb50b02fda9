"""Does every task ship in every format, and how near, how large, how fast is what ships?

python benchmarks/export_matrix.py

Every task is built with small encoders, trained for a moment on the toy world, saved and exported: as a `.keras` file,
which is loaded again; as a SavedModel with raw and prepared signatures, asked through TensorFlow's C library; as TFLite
in float32, float16, dynamic and full int8, asked by LiteRT; as ONNX, asked by ONNX Runtime. Every export compares its
artefact with Keras by itself and fails where they differ; here it is told by how much, on samples of the test split.
What cannot be is told with its reason. Milliseconds are those of the first thing a task can be asked, from prepared
tensors, one sample, one thread.
"""

import pathlib
import tempfile
import time

import common
import keras
import numpy as np

import mmkeras as mm

SAMPLES, TRIED, EPOCHS, BATCH = 600, 16, 2, 32
SIDE, RATE, LENGTH = 64, 8000, 20
KINDS = {
    "tflite": {},
    "tflite float16": {"quantize": "float16"},
    "tflite dynamic": {"quantize": "dynamic"},
    "tflite int8": {"quantize": "int8"},
}
FORMATS = ("keras", "saved_model", *KINDS, "onnx")
part = mm.preprocessing


def picture(pooling=None):
    return mm.encoders.vgg(3, 16, convolutions=1, image_shape=(SIDE, SIDE, 3), pooling=pooling)


def words(text, pooling=None):
    return mm.encoders.lstm(text.num_tokens, 32, embedding_dim=32, pooling=pooling)


def decoder(text, kind=mm.layers.LSTMDecoder):
    return kind(text.num_tokens, 64)


def parts(train, *names, optional=(), **others):
    """A Preprocessor of parts by name, adapted."""
    known = {
        "image": part.Image((SIDE, SIDE)),
        "text": part.Text(length=LENGTH),
        "question": part.Text(length=LENGTH),
        "target_text": part.Text(length=LENGTH),
        "audio": part.Audio(RATE, seconds=1.0),
        "signal": part.Signal(length=96),
        "features_signal": part.Features(96),
        "graph": part.Graph(8),
        "video": part.Video(16, (32, 48)),
    }
    return part.Preprocessor(**{name: known[name] for name in names}, **others, optional=optional).adapt(train)


def classifier(train):
    pre = parts(train, "image", "text", "audio", label=part.Label(), optional=("image", "text", "audio"))
    encoders = {"image": picture(), "text": words(pre["text"]), "audio": mm.encoders.conv1d_audio(16)}
    classes = pre["label"].classes
    return mm.models.MultimodalClassifier(encoders, classes=classes, optional=pre.optional, preprocessor=pre)


def regressor(train):
    pre = parts(train, "signal", "graph", number=part.Label(regression=True))
    encoders = {"signal": mm.encoders.signal(3, 16), "graph": mm.encoders.graph(pre["graph"].node_dim, 16)}
    return mm.models.MultimodalRegressor(encoders, preprocessor=pre)


def several(train):
    labels = {name: part.Label() for name in ("shape", "material")}
    pre = parts(train, "image", "audio", **labels)
    heads = {name: mm.layers.ClassHead(pre[name].classes) for name in labels}
    encoders = {"image": picture("avg"), "audio": mm.encoders.conv1d_audio(16, pooling="avg")}
    return mm.models.MultiTask(encoders, heads=heads, preprocessor=pre)


def asked(train):
    pre = parts(train, "image", "question", answer=part.Label())
    encoders = {"image": picture(), "question": words(pre["question"], "last")}
    return mm.models.VisualQuestionAnswering(encoders, answers=pre["answer"].classes, preprocessor=pre)


def tagger(train):
    pre = parts(train, "features_signal", steps=part.Label())
    encoders = {"features_signal": mm.encoders.features((None, 3), 16)}
    return mm.models.SequenceTagger(encoders, classes=pre["steps"].classes, preprocessor=pre)


def joint(train):
    pre = parts(train, "image", "text")
    encoders = {"image": picture(), "text": words(pre["text"])}
    return mm.models.JointEmbedding(encoders, dim=32, matcher=mm.layers.CoAttention(num_heads=2), preprocessor=pre)


def autoencoder(train):
    pre = parts(train, "image", "text")
    return mm.models.AutoencoderEmbedding({"image": picture(), "text": words(pre["text"])}, dim=32, preprocessor=pre)


def captioner(train, kind=mm.layers.LSTMDecoder):
    pre = parts(train, "image", "text")
    return mm.models.ImageCaptioner(picture(), decoder(pre["text"], kind), preprocessor=pre)


def translator(train):
    pre = parts(train, "text", "target_text")
    return mm.models.Translator(words(pre["text"]), decoder(pre["target_text"]), preprocessor=pre)


def film():
    return mm.encoders.time_distributed(mm.encoders.vgg(2, 8, convolutions=1, image_shape=(32, 48, 3), pooling="max"))


def hearing():
    return mm.encoders.spectrogram_cnn(RATE, 4, blocks=2, dim=16, num_mels=16)


def watcher(train):
    labels = {"source": part.Label(), "bounces": part.Label(["none", "silent", "heard"])}
    pre = parts(train, "video", optional=("audio",), audio=part.Audio(RATE, seconds=2.0), **labels)
    heads = {"classes": {"source": pre["source"].classes}, "frame_classes": {"bounces": pre["bounces"].classes}}
    encoders = {"video": film(), "audio": hearing()}
    return mm.models.VideoAudioModel(encoders, **heads, optional=("audio",), preprocessor=pre)


def teller(train):
    pre = parts(train, "video", "text")
    return mm.models.VideoCaptioner(film(), decoder(pre["text"]), preprocessor=pre)


def transcriber(train):
    pre = parts(
        train, audio=part.Audio(RATE, seconds=2.0), text=part.Text(length=24, split="character", mark_ends=False)
    )
    return mm.models.Transcriber({"audio": hearing()}, preprocessor=pre)


def scenes(count):
    """Train and test records of the toy world, with what the tasks here want besides."""
    world = mm.data.toy.ToyWorld(count)
    for split in ("train", "test"):
        records, values = world.records(split), world.attributes(split)
        for row, record in enumerate(records):
            record |= {name: world.classes(name)[values[name][row]] for name in ("shape", "material")}
            record["number"] = float(values["count"][row])
            record["target_text"] = " ".join(reversed(record["text"].split()))
            record["features_signal"] = record["signal"]
            record["steps"] = ["high" if step > 0 else "low" for step in record["signal"][:, 0]]
        yield records


def clips(count):
    toy = mm.data.toy.ToyClips(count)
    return [toy.records(split, ("source", "material", "bounces")) for split in ("train", "test")]


TASKS = {
    "MultimodalClassifier": (classifier, scenes),
    "MultimodalRegressor": (regressor, scenes),
    "MultiTask": (several, scenes),
    "VisualQuestionAnswering": (asked, scenes),
    "SequenceTagger": (tagger, scenes),
    "JointEmbedding": (joint, scenes),
    "AutoencoderEmbedding": (autoencoder, scenes),
    "ImageCaptioner, LSTM": (captioner, scenes),
    "ImageCaptioner, Transformer": (lambda train: captioner(train, mm.layers.TransformerDecoder), scenes),
    "Translator": (translator, scenes),
    "VideoAudioModel": (watcher, clips),
    "VideoCaptioner": (teller, clips),
    "Transcriber": (transcriber, clips),
}


def reloaded(task, records, path):
    """How far a `.keras` file is from the task, as an export tells it."""
    task.save(path)
    answers = [mm.export.TaskRunner(one).ask(records) for one in (task, keras.saving.load_model(path))]
    numbers = [
        np.concatenate([np.ravel(v) for row in rows for v in row.values() if not _is_text(v)]) for rows in answers
    ]
    words = [[v for row in rows for v in row.values() if _is_text(v)] for rows in answers]
    off = float(np.linalg.norm(numbers[0] - numbers[1]) / max(np.linalg.norm(numbers[0]), 1e-12))
    return {
        "kb": path.stat().st_size / 1024,
        "relative_l2": off,
        "agreement": float(np.mean([a == b for a, b in zip(*words, strict=True)] or [1.0])),
    }


def _is_text(value):
    return isinstance(value, str) or (isinstance(value, list) and bool(value) and _is_text(value[0]))


def shipped(report, task):
    """What a report says: the worst of its signatures, and the time of the first, from prepared tensors."""
    name = next(iter(task.endpoints()))
    first = (f"{name}_prepared", "predict") if report.format == "saved_model" else (name,)
    ms = {check.signature: check.milliseconds[1] for check in report.checks}
    agreements = [check.agreement for check in report.checks if check.agreement is not None]
    return {
        "kb": report.num_bytes / 1024,
        "operations": len(report.operations),
        "select_operations": sum(name.startswith("custom ") for name in report.operations),
        "relative_l2": max(check.relative_l2 for check in report.checks),
        "agreement": min(agreements) if agreements else None,
        "ms": next(ms[name] for name in first if name in ms),
        "note": "; ".join(report.notes),
    }


def row_of(task, kind, train, tried, folder):
    try:
        if kind == "keras":
            return reloaded(task, tried, folder / "task.keras")
        if kind == "saved_model":
            return shipped(mm.export.to_saved_model(task, folder / "served", records=tried), task)
        if kind == "onnx":
            return shipped(mm.export.to_onnx(task, folder / "task.onnx", records=tried), task)
        more = {"calibrate": train[:64]} if kind == "tflite int8" else {}
        path = folder / f"{kind.replace(' ', '_')}.tflite"
        return shipped(mm.export.to_tflite(task, path, records=tried, **KINDS[kind], **more), task)
    except mm.export.ExportError as error:
        return {"because": str(error).split(". The way round")[0].split(". Give `records`")[0]}


def main():
    made = common.parser(__doc__.splitlines()[0], needs_data=False)
    made.add_argument("--tasks", nargs="*", choices=list(TASKS), help="only these")
    arguments = made.parse_args()
    started = time.perf_counter()
    found, sets = {}, {}
    for name in arguments.tasks or TASKS:
        make, world = TASKS[name]
        if world not in sets:
            sets[world] = list(world(60 if arguments.smoke else SAMPLES))
        train, test = sets[world]
        keras.utils.set_random_seed(0)
        task = make(train)
        task.compile()
        task.fit(task.preprocessor.dataset(train, BATCH), epochs=1 if arguments.smoke else EPOCHS, verbose=0)
        found[name] = {}
        with tempfile.TemporaryDirectory() as folder:
            for kind in FORMATS:
                found[name][kind] = row_of(task, kind, train, test[:TRIED], pathlib.Path(folder))
                print(name, kind, found[name][kind], flush=True)
    lines = []
    for name, kinds in found.items():
        for kind, row in kinds.items():
            told = row.get("because") or f"{row['relative_l2']:.1e}"
            lines.append((f"{name}: {kind}", f"{row.get('kb', 0):.0f}", told[:60]))
    common.show("Every task in every format", ("task: format", "KB", "relative difference, or why not"), lines)
    common.report("export_matrix", found, arguments, started)


if __name__ == "__main__":
    main()
