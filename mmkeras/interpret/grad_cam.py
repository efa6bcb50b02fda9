"""Where in a picture, a clip or a sound the evidence lies."""

from typing import Any

import keras
import numpy as np

from mmkeras.interpret.explained import explain
from mmkeras.interpret.explanation import Explanation
from mmkeras.interpret.probing import as_array, differentiated, encoder_of, watched
from mmkeras.layers import CrossModalAttention, LogMelSpectrogram

_GRIDS = ("image", "frames")
_OVER_TIME = ("spectrogram", "audio", "signal")


def grad_cam(
    task: Any,
    record: Any,
    modality: str | None = None,
    *,
    output: str | None = None,
    target: Any = None,
    layer: Any = None,
    step: int | None = None,
) -> Explanation:
    """Show where in pictures, frames and sounds the evidence for an answer lies, by Grad-CAM.

    The channels of a late layer are weighted by how much the answer would rise with them, on average over places:

        map = relu(sum_c mean(d evidence / d A_c) * A_c),  divided by its maximum

    The evidence is the logarithm of the odds of a class, the log-probability of a sentence, a similarity or a number.
    The map is as coarse as the layer. It shows what speaks for the answer, not what speaks against it, and is zero
    everywhere where nothing in this modality speaks for it; the score is of all modalities together.

    The layer is the last one in the modality's encoder that gives (batch, height, width, channel), also inside of
    `time_distributed`; tokens behind it that are its places, as those of a `vision_transformer`, count as such. Of
    sounds and signals without one it is the last that gives (batch, time, channel), and the map shows when.

    Args:
        task: a task with an answer about pictures, frames, sounds or signals.
        record: a raw record, or its inputs without a preprocessor.
        modality: which; None for all that it can be done for.
        output: which of several answers; None for the only one.
        target: a class (name or number), a sentence, or the number of one of several numbers; None for what the task
            answers.
        layer: a layer of the encoder, or its name; needs `modality`.
        step: at which step, where the task answers at each.

    Returns:
        `Explanation` with maps of 0..1 in the size of the input. Where an encoder makes a spectrogram of a waveform,
        that is what is shown.

    Example:

    >>> task = mm.models.MultimodalClassifier({"image": mm.encoders.vgg(1, 4, image_shape=(8, 8, 3))}, classes=2)
    >>> why = grad_cam(task, {"image": np.random.default_rng(0).uniform(0, 255, (8, 8, 3))})
    >>> why.maps["image"].shape
    (8, 8)

    References:
        Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization.
    """
    explained = explain(task, record, output, target, step)
    able = [name for name in explained.modalities if explained.kinds[name] in (*_GRIDS, *_OVER_TIME)]
    wanted = able if modality is None else [modality]
    if not able or not set(wanted) <= set(able):
        raise ValueError(
            f"Grad-CAM needs pictures, frames, sounds or signals, here {able}; `integrated_gradients` takes every "
            f"modality. Received: modality={modality!r}"
        )
    if layer is not None and len(wanted) > 1:
        raise ValueError(f"Say in whose encoder the layer is: `modality` among {able}. Received: modality=None")

    seen, spectrograms = _look(explained, wanted)
    shown, kinds = explained.shown(), dict(explained.kinds)
    for name, spectrogram in spectrograms.items():
        shown[name], kinds[name] = spectrogram, "spectrogram"
    places = {name: _chosen(name, seen[name], shown[name], kinds[name], layer) for name in wanted}
    zeros = {name: np.zeros(shape, "float32") for name, (_, shape, _) in places.items()}

    def evidence(deltas):
        kept = {}

        def change(place, args, output):
            for name, (chosen, _, _) in places.items():
                if place.is_at(chosen):
                    kept[name] = output
                    return output + keras.ops.cast(deltas[name], output.dtype)
            return output

        with watched(task, change):
            found = explained.evidence(explained.x)
        return keras.ops.sum(found), kept

    kept, gradients = differentiated(task, evidence)(zeros)
    maps = {}
    for name, (_, _, grid) in places.items():
        values, slopes = (
            x[:, x.shape[1] - np.prod(grid) :] if x.ndim == 3 else x for x in (kept[name], gradients[name])
        )
        values, slopes = (x.reshape(len(x), *grid, x.shape[-1]) for x in (values, slopes))
        heat = np.maximum((values * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
        heat = _in_size(heat / (heat.max() or 1.0), kinds[name], shown[name].shape)
        maps[name] = heat.astype("float32")
    score = float(as_array(explained.scores(explained.x))[0])
    return Explanation(
        "Grad-CAM",
        explained.answer,
        score,
        None,
        maps,
        {name: shown[name] for name in wanted},
        {name: kinds[name] for name in wanted},
        {},
    )


def _look(explained, wanted):
    """What layers of encoders give: lists of (place, shape) by modality, and the spectrograms they make."""
    seen, spectrograms = {name: [] for name in wanted}, {}
    hidden = set()
    for name in wanted:
        for layer in encoder_of(explained.task, name)._flatten_layers():
            # Heads and scores have four axes too, and are no picture.
            if isinstance(
                layer, keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention | CrossModalAttention
            ):
                hidden |= {id(part) for part in layer._flatten_layers(include_self=False)}

    def change(place, args, output):
        shape = getattr(output, "shape", None)
        if place.modality in seen and shape is not None and len(shape) in (3, 4) and id(place.layer) not in hidden:
            seen[place.modality].append((place, tuple(shape)))
            if isinstance(place.layer, LogMelSpectrogram):
                spectrograms[place.modality] = as_array(output)[0].astype("float32")
        return output

    with watched(explained.task, change):
        explained.scores(explained.x)
    return seen, spectrograms


def _chosen(modality, seen, shown, kind, layer):
    """Place, shape and grid (height, width) of the layer that is looked at."""
    rows = len(shown) if kind == "frames" else 1
    found, grid = [], None
    for place, shape in seen:
        if shape[0] != rows:
            continue
        if len(shape) == 4:
            grid = shape[1:3]
            found.append((place, shape, grid))
        elif kind in _GRIDS:
            # A token of the class may stand before those of the places.
            if grid is not None and shape[1] - grid[0] * grid[1] in (0, 1):
                found.append((place, shape, grid))
        elif kind in _OVER_TIME and (grid is None or layer is not None):
            found.append((place, shape, (shape[1], 1)))
    if kind == "spectrogram" and grid is not None and layer is None:
        found = [entry for entry in found if len(entry[1]) == 4]
    if layer is not None:
        names = sorted({place.layer.name for place, _, _ in found})
        found = [entry for entry in found if layer in (entry[0].layer.name, entry[0].layer)]
        if not found:
            raise ValueError(
                f"`layer` must give (batch, height, width, channel) in the encoder of {modality!r}; such are {names}. "
                f"Received: layer={layer!r}"
            )
    if not found:
        raise ValueError(
            f"Grad-CAM needs a layer that gives (batch, height, width, channel) for {modality!r}, and its encoder has "
            "none: `integrated_gradients` takes every encoder"
        )
    return found[-1]


def _in_size(heat, kind, shape):
    """Maps (row, height, width) in the size of what they explain."""
    if kind == "frames":
        return np.stack([_resized(own, shape[1:3]) for own in heat])
    if kind in ("image", "spectrogram"):
        return _resized(heat[0], shape[:2])
    return _resized(heat[0], (shape[0], 1))[:, 0]


def _resized(heat, shape):
    """A map in another size, in straight lines between the middles of its cells."""
    for axis, size in enumerate(shape):
        old = heat.shape[axis]
        places = (np.arange(size) + 0.5) * old / size - 0.5
        weights = np.stack([np.interp(places, np.arange(old), column) for column in np.eye(old)], axis=1)
        heat = np.moveaxis(np.tensordot(weights, heat, (1, axis)), 0, axis)
    return heat
