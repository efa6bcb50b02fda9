"""Models to ship: all layer cases in one functional model, all encoder cases in another, each task by itself.

Exporting and reloading is slow and a child process slower still, so all layers, all compact encoders and the loops that
say sentences ship as one model each, and every task, as `.keras` files; the exhaustive tier ships all of them in all
formats, with the classics and all cases of tasks. What `mm.export` makes of tasks, loops among them, is tried by what
it promises itself, in `tests/unit/test_export.py` and, of every task, in the exhaustive tier of `test_exports.py`.
"""

import json
import pathlib

import keras
import numpy as np

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import ENCODERS, LAYERS
from tests.conformance.checks import padding_mask
from tests.conformance.tasks import TASKS


def layers_model():
    """One model of all layer cases; padded inputs get their mask from their own zeros."""
    inputs, outputs, x = [], {}, {}
    for name, case in LAYERS.items():
        fed = {}
        for key, values in case.inputs.items():
            if key in case.masked:
                values = values * padding_mask(values).reshape(*values.shape[:2], *[1] * (values.ndim - 2))
            label = f"{name}_{key}".replace("/", "_")
            tensor = keras.Input(values.shape[1:], dtype=values.dtype.name, name=label)
            inputs.append(tensor)
            x[label] = values
            fed[key] = mm.layers.PaddingMask()(tensor) if key in case.masked else tensor
        outputs[name.replace("/", "_")] = case(case.make(), fed)
    return keras.Model(inputs, outputs), x


def encoders_model(names):
    """One model of several encoder cases, each with its own input."""
    inputs, outputs, x = [], {}, {}
    for name in names:
        case = ENCODERS[name]
        label = name.replace("/", "_")
        encoder = case.make(name=f"{label}_encoder")
        fed = list(case.inputs.values()) if isinstance(case.inputs, dict) else [case.inputs]
        tensors = []
        for source, values in zip(encoder.inputs, fed, strict=True):
            key = label if len(fed) == 1 else f"{label}_{source.name}"
            tensors.append(keras.Input(source.shape[1:], dtype=source.dtype, name=key))
            x[key] = values
        inputs.extend(tensors)
        outputs[f"{label}_tokens"] = encoder(tensors if len(tensors) > 1 else tensors[0])
    return keras.Model(inputs, outputs), x


def generation_model():
    """One model of the loops that say sentences, by different decoders and strategies."""
    layers, generation = mm.layers, mm.generation
    context = keras.Input((5, 6), name="context")
    prefix_ids = keras.Input((6,), dtype="int32", name="prefix_ids")
    noise = keras.Input((2, 6), name="noise")
    outputs = {}
    for name, decoder, strategy, options in (
        ("greedy", layers.TransformerDecoder(12, 8, num_layers=1, num_heads=2), generation.Greedy(), {}),
        ("beam", layers.LSTMDecoder(12, 8), generation.Beam(3, num_return=2), {"return_attention": True}),
        (
            "sample",
            layers.LSTMDecoder(12, 8, attention="multi_head"),
            generation.Sample(2.0, top_k=6, top_p=0.9, num_return=2),
            {"repetition_penalty": 1.5, "min_length": 2},
        ),
    ):
        decoder.build((None, None), (None, 5, 6))
        decoder.set_weights([1.5 * weight for weight in decoder.get_weights()])
        decode = generation.Decode(decoder, strategy, start_id=2, end_id=3, max_length=6, **options)
        outputs |= {f"{name}_{key}": value for key, value in decode(context, prefix_ids, noise).items()}
    outputs |= {f"ctc_{key}": value for key, value in generation.CTCGreedy()(layers.CTCHead(12)(context)).items()}
    rng = np.random.default_rng(0)
    x = {
        "context": rng.normal(size=(3, 5, 6)).astype("float32"),
        "prefix_ids": np.array([[0] * 6, [7, 5, 0, 0, 0, 0], [0] * 6], "int32"),
        "noise": rng.uniform(0, 1, (3, 2, 6)).astype("float32"),
    }
    return keras.Model([context, prefix_ids, noise], outputs), x


def groups(*, exhaustive=False):
    """Name, model and inputs of everything that ships, by tier."""
    if exhaustive:
        for name in (name for name, case in ENCODERS.items() if case.heavy):
            yield (name, *encoders_model([name]))
    yield ("layers", *layers_model())
    yield ("encoders", *encoders_model([name for name, case in ENCODERS.items() if not case.heavy]))
    yield ("generation", *generation_model())
    for name, case in TASKS.items():
        if exhaustive or "/" not in name:
            yield name.replace("/", "_"), case.make(), case.x


def ship(folder: pathlib.Path, *, formats, exhaustive=False):
    """Export every group of a tier in every format, with inputs and expected outputs beside it."""
    for group in groups(exhaustive=exhaustive):
        ship_one(folder, *group, formats=formats)


def ship_one(folder, name, model, x, *, formats, off=0.0):
    """Export one model; `off` is added to the outputs it is said to have."""
    expected = {key: array(values) + off for key, values in model.predict_on_batch(x).items()}
    np.savez(
        folder / f"{name}.npz", **{f"in/{k}": v for k, v in x.items()}, **{f"out/{k}": v for k, v in expected.items()}
    )
    (folder / "names.json").write_text(json.dumps([path.stem for path in sorted(folder.glob("*.npz"))]))
    if "keras" in formats:
        model.save(folder / f"{name}.keras")
    if name.partition("_")[0] in TASKS:
        return
    if "saved_model" in formats:
        model.export(folder / name, verbose=False)
    if "tflite" in formats:
        _export_tflite(model, x, folder / f"{name}.tflite")


def _export_tflite(model, x, path):
    import tensorflow as tf

    # Recurrent layers run on builtin operations only when the batch and the time axis are fixed.
    signature = [
        keras.InputSpec(shape=x[tensor.name].shape, dtype=tensor.dtype, name=tensor.name) for tensor in model.inputs
    ]
    model.export(
        path,
        format="litert",
        verbose=False,
        input_signature=[signature],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )
