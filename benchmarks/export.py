"""What does an answer cost once a model has shipped, and what does it lose in 8 bits?

python benchmarks/export.py --data DIR --torch PYTHON

Two models answer one request at a time, as a phone or a server sees them: a classifier of a picture and a sentence (VGG
at 64x64, LSTM, gated fusion), and a captioner that says 20 words of 5,000 greedily about 49 tokens (LSTM of 256 with
attention, the whole loop inside). Each is exported as TFLite and timed beside `model.predict`, beside a call of a
`tf.function`, beside ONNX Runtime, and the captioner beside PyTorch, a loop over its step, plain and under
`torch.compile`, in a process of its own with the interpreter given by `--torch`, which is asked through a pipe. All
take turns in one run on two cores; LiteRT and ONNX Runtime are told to take two threads, TensorFlow and PyTorch do as
they like. PyTorch begins at the tokens, where the others normalise them first.

With `--data`, a folder that holds easy-VQA as `easy_vqa` and the Free Spoken Digit Dataset as `fsdd`, models of these
sets and of the toy world are trained by the recipes of `easy_vqa.py`, `fsdd.py` and the demo, exported in float32 and
with weights in 8 bits, and both files are scored on the test split by LiteRT. Nothing is selected.

Last, a captioner of the toy world, trained for two epochs, says sentences about 200 JPEG files of its test split by
beams of 3: in Keras, through the `beam` signature of its SavedModel, and by LiteRT, from prepared pictures and from the
files themselves.
"""

import functools
import io
import pathlib
import tempfile
import time

import common
import easy_vqa
import fsdd
import generate
import keras
import numpy as np
import PIL.Image
import tensorflow as tf
import toy_captions

import mmkeras as mm

SIDE, LENGTH, THREADS = 64, 20, 2
TOY_SAMPLES, TOY_EPOCHS = 5000, 6
PICTURES, CAPTION_EPOCHS = 200, 2


def classifier():
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.vgg(3, 16, image_shape=(SIDE, SIDE, 3)),
        "text": mm.encoders.lstm(2000, 128, embedding_dim=64),
    }
    task = mm.models.MultimodalClassifier(encoders, mm.layers.GatedFusion(64), classes=10)
    rng = np.random.default_rng(0)
    x = {
        "image": rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32"),
        "token_ids": rng.integers(1, 2000, (1, LENGTH)).astype("int32"),
    }
    return task, "classify", x


def captioner():
    keras.utils.set_random_seed(0)
    decoder = generate.make_decoder(generate.SIZES)
    encoder = mm.encoders.features((generate.KEYS, generate.SIZES["context_dim"]))
    task = mm.models.ImageCaptioner({"features": encoder}, decoder, end_id=generate.END_ID)
    context = np.random.default_rng(0).normal(size=(1, generate.KEYS, generate.SIZES["context_dim"]))
    return task, "generate", {"features": context.astype("float32")}


def timed(name, task, endpoint, x, pairs, torch, folder):
    """Milliseconds of TFLite, and its ratio to each peer."""
    endpoints = {endpoint: task.endpoints()[endpoint]}
    if endpoint == "generate":
        endpoints = {endpoint: task.endpoints(max_length=LENGTH, min_length=LENGTH - 1)[endpoint]}
    shapes = {key: values.shape[1:] for key, values in x.items()}
    model = endpoints[endpoint].model
    # What the file does not take are zeros.
    zeros = {t.name: np.zeros((1, *t.shape[1:]), t.dtype) for t in model.inputs if t.name not in x}
    fed = [{**x, **zeros}[tensor.name] for tensor in model.inputs]
    constant = [tf.constant(values) for values in fed]
    function = tf.function(lambda given: model(given, training=False), jit_compile=False)
    peers = {
        "predict": lambda: model.predict(fed, verbose=0),
        "function": lambda: {key: values.numpy() for key, values in function(constant).items()},
    }
    results, runners = {}, {}
    for kind, quantize in (("float32", None), ("dynamic", "dynamic")):
        path = folder / f"{name}_{kind}.tflite"
        report = mm.export.to_tflite(task, path, quantize=quantize, endpoints=endpoints, shapes=shapes)
        results[f"{name}_{kind}_kb"] = report.num_bytes / 1024
        runners[kind] = mm.export.LiteRunner(path, threads=THREADS)
    peers["dynamic"] = lambda: runners["dynamic"].run(x)
    try:
        mm.export.to_onnx(task, folder / f"{name}.onnx", endpoints=endpoints, shapes=shapes)
        peers["onnx"] = onnx(folder / f"{name}.onnx", x)
    except mm.export.ExportError as error:
        results[f"{name}_onnx"] = f"cannot: {error}"
    process = None
    if endpoint == "generate" and torch:
        process = generate.Torch(torch, task.decoder, [x["features"]], generate.SIZES)
        peers |= {
            f"torch_{step}": functools.partial(process.runner("greedy", step), x["features"])
            for step in ("loop", "compiled")
        }
    for peer, run in peers.items():
        timing = common.interleaved(lambda: runners["float32"].run(x), run, pairs)
        results |= {
            f"{name}_ms_beside_{peer}": 1000 * timing.first,
            f"{name}_{peer}_ms": 1000 * timing.second,
            f"{name}_ratio_vs_{peer}": timing.ratio,
            f"{name}_ratio_vs_{peer}_low": timing.low,
            f"{name}_ratio_vs_{peer}_high": timing.high,
        }
        print(name, peer, f"{1000 * timing.first:.3f} {1000 * timing.second:.3f} {timing.ratio:.3f}", flush=True)
    if process is not None:
        process.close()
    return results


def onnx(path, x):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, x)


def easy_vqa_task(folder, smoke):
    train, _, test = mm.data.sets.easy_vqa(folder / "easy_vqa").official_split()
    train, test = (train.take(200), test.take(50)) if smoke else (train, test)
    task = easy_vqa.trained(train, easy_vqa.FUSIONS["film"], 1 if smoke else easy_vqa.EPOCHS, 0)
    x = task.preprocessor.dataset(test, 64, shuffle=False, strict=True)
    return task, x


def fsdd_task(folder, smoke):
    records = fsdd.read(mm.data.sets.fsdd(folder / "fsdd"))
    held = records.filter(lambda record: record["index"] in fsdd.HELD_OUT)
    train = records.filter(lambda record: record["index"] >= fsdd.HELD_OUT.stop)
    sizes = fsdd.SMOKE if smoke else fsdd.SIZES
    task = fsdd.trained(train.take(200) if smoke else train, fsdd.KNOWN, sizes, 0)
    return task, task.preprocessor.dataset(fsdd.as_recorded(held), 128, shuffle=False, strict=True)


def toy_task(folder, smoke):
    world = mm.data.toy.ToyWorld(200 if smoke else TOY_SAMPLES, text_attributes=("owner", "colour", "count"))
    train, test = (world.arrays(split, label="parcel") for split in ("train", "test"))
    keras.utils.set_random_seed(0)
    encoders = {
        "image": mm.encoders.vgg(3, 16, convolutions=1, image_shape=(64, 64, 3), pooling="max"),
        "text": mm.encoders.lstm(len(world.vocabulary), 64, embedding_dim=32, pooling="max"),
        "audio": mm.encoders.conv1d_audio(32, pooling="avg"),
    }
    task = mm.models.MultimodalClassifier(encoders, classes=world.classes("parcel"))
    task.compile()
    task.fit(*train, batch_size=32, epochs=1 if smoke else TOY_EPOCHS, verbose=2)
    return task, [test]


def lost(name, task, batches, folder):
    """Accuracy and size of both files, on the same samples."""
    batches = [(x, np.asarray(y)) for x, y in batches]
    shapes = {key: np.asarray(values).shape[1:] for key, values in batches[0][0].items()}
    results = {}
    for quantize in (None, "dynamic"):
        kind = "float32" if quantize is None else quantize
        path = folder / f"{name}_{kind}.tflite"
        report = mm.export.to_tflite(task, path, quantize=quantize, shapes=shapes)
        runner, right, count = mm.export.LiteRunner(path, threads=THREADS), 0, 0
        for x, y in batches:
            x = {key: np.asarray(values) for key, values in x.items()}
            for row, label in enumerate(y):
                (probabilities,) = runner.run({key: values[row : row + 1] for key, values in x.items()}).values()
                right += int(probabilities[0].argmax() == label)
                count += 1
        results |= {f"{name}_{kind}_accuracy": right / count, f"{name}_{kind}_kb": report.num_bytes / 1024}
    results[f"{name}_size_ratio"] = results[f"{name}_dynamic_kb"] / results[f"{name}_float32_kb"]
    results[f"{name}_points_lost"] = 100 * (results[f"{name}_float32_accuracy"] - results[f"{name}_dynamic_accuracy"])
    return results | {f"{name}_num_test": count}


def jpeg(picture):
    data = io.BytesIO()
    PIL.Image.fromarray(picture).save(data, "JPEG", quality=90)
    return data.getvalue()


def same_sentences(folder, smoke):
    """Share of pictures of which all three beams are the same as in Keras."""
    world = mm.data.toy.ToyWorld(1500 if not smoke else 100, captions_per_sample=4, seed=1)
    train, test = world.records("train"), world.records("test")[: 10 if smoke else PICTURES]
    text = mm.preprocessing.Text(length=20)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((64, 64)), text=text).adapt(train)
    batches = pre.dataset(train, 64, group_size=4)
    task = toy_captions.make_task(pre, CAPTION_EPOCHS * int(batches.cardinality()), 0)
    task.fit(batches, epochs=CAPTION_EPOCHS, verbose=2)
    files = [{"image": jpeg(record["image"])} for record in test]
    expected = task.generate(files, strategy=mm.generation.Beam(3, num_return=3))
    served = mm.export.to_saved_model(task, folder / "teller", records=files[:8])
    lite = mm.export.to_tflite(task, folder / "teller.tflite", records=files[:8])
    runner = mm.export.LiteRunner(lite.path, threads=THREADS)
    x, texts = task.prepare(files, ("image",))["image"], []
    for row in range(len(files)):
        ids = runner.run({"image": x[row : row + 1]}, "beam")["token_ids"][0]
        texts.append([text.decode(one) for one in ids])
    found = {
        "saved_model": [answer["text"] for answer in mm.export.SavedModelRunner(served.path).ask(files, "beam")],
        "tflite": texts,
        "tflite_from_files": [answer["text"] for answer in runner.ask(files, "beam")],
    }
    shares = {
        f"same_captions_{name}": float(np.mean([a == b for a, b in zip(said, expected, strict=True)]))
        for name, said in found.items()
    }
    return shares | {"num_captioned": len(files), "num_distinct_captions": len({row[0] for row in expected})}


def main():
    made = common.parser(__doc__.splitlines()[0], needs_data=False, pairs=30)
    made.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    arguments = made.parse_args()
    started = time.perf_counter()
    pairs = 2 if arguments.smoke else arguments.pairs
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, make in (("classifier", classifier), ("captioner", captioner)):
            results |= timed(name, *make(), pairs, arguments.torch, folder)
        tasks = {"toy": toy_task}
        if arguments.data:
            tasks |= {"easy_vqa": easy_vqa_task, "fsdd": fsdd_task}
        for name, make in tasks.items():
            task, batches = make(pathlib.Path(arguments.data or ""), arguments.smoke)
            results |= lost(name, task, batches, folder)
        results |= same_sentences(folder, arguments.smoke)
    common.show(
        "One request at a time",
        ("measure", "value"),
        [(key, value if isinstance(value, str) else f"{value:.4g}") for key, value in results.items()],
    )
    common.report("export", results, arguments, started)


if __name__ == "__main__":
    main()
