"""From named inputs to encodings: what every task starts with."""

from typing import NamedTuple

import keras

from mmkeras.keys import PRESENT, prepared_key, presence_key
from mmkeras.layers import Fusion, ModalityDropout, NullEmbedding, ZeroAbsent


class Branches(NamedTuple):
    """The symbolic beginning of a task: its inputs, one encoding per modality, presence of the optional ones."""

    inputs: list
    encodings: dict
    presence: dict


def check_encoders(encoders):
    """Return the encoders as a dict by modality, or raise an error that says what an encoder is."""
    if not isinstance(encoders, dict) or not encoders:
        raise ValueError(
            "`encoders` must be a dict of encoders by modality, such as {'image': mm.encoders.vgg()}. "
            f"Received: encoders={encoders}"
        )
    for modality, encoder in encoders.items():
        if not modality.isidentifier() or modality.endswith(PRESENT):
            raise ValueError(
                "A modality is named like a Python variable, and '_present' at the end is kept for presence flags. "
                f"Received: {modality!r}"
            )
        if not isinstance(encoder, keras.Model) or not getattr(encoder, "inputs", None):
            raise ValueError(
                f"The encoder of {modality!r} must be a functional keras.Model, as the builders in mm.encoders return. "
                f"Received: {encoder!r}"
            )
        if len(encoder.outputs) != 1 or len(encoder.outputs[0].shape) not in (2, 3):
            raise ValueError(
                f"The encoder of {modality!r} must return tokens (batch, tokens, dim) or a vector (batch, dim); end it "
                f"with mm.encoders.finish. Received: outputs of shapes {[x.shape for x in encoder.outputs]}"
            )
    return dict(encoders)


def check_fusion(fusion):
    """Return the fusion, or raise an error that says what fits the slot."""
    if fusion is not None and not isinstance(fusion, Fusion):
        raise ValueError(
            f"`fusion` must be a fusion layer, such as mm.layers.GatedFusion(), or None. Received: fusion={fusion!r}"
        )
    return fusion


def encode_modalities(encoders, *, optional=(), modality_dropout_rate=0.0, null_embeddings=True, grouped=None):
    """Build inputs and encodings of a task.

    Each encoder is wrapped in a model of our own name that shares its layers, so that encoders may have any names,
    the same one twice, and one encoder may serve two modalities. The input of an absent modality is zeroed before
    the encoder and its encoding replaced by a learned embedding after it.

    Args:
        encoders: dict of functional encoders by modality.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that a present optional modality is dropped in training.
        null_embeddings: whether the encoding of an absent modality is replaced; without, the task sees to it.
        grouped: the modality that may have more rows than the others.

    Returns:
        `Branches`.
    """
    if isinstance(optional, str):
        raise ValueError(f"`optional` must be a list or tuple of names. Received: optional={optional!r}")
    unknown = sorted(set(optional) - set(encoders))
    if unknown:
        raise ValueError(
            f"`optional` must name modalities that have an encoder, among {sorted(encoders)}. Received: {unknown}"
        )
    if modality_dropout_rate and not optional:
        raise ValueError(
            "`modality_dropout_rate` drops optional modalities: name them in `optional`. Received: "
            f"modality_dropout_rate={modality_dropout_rate}, optional={optional}"
        )
    inputs, encodings = [], {}
    flags = {name: keras.Input((), dtype="bool", name=presence_key(name)) for name in encoders if name in optional}
    presence = flags
    if modality_dropout_rate:
        # With a modality that is always there, all optional ones may go at once.
        keep_one = len(flags) == len(encoders)
        presence = {}
        # Rows of different number are dropped each on their own.
        for names, name in ((set(flags) - {grouped}, "modality_dropout"), (set(flags) & {grouped}, "group_dropout")):
            if names:
                keep = keep_one and grouped not in names
                some = {modality: flag for modality, flag in flags.items() if modality in names}
                presence |= ModalityDropout(modality_dropout_rate, keep_one=keep, name=name)(some)
    for modality, encoder in encoders.items():
        sources = [
            keras.Input(source.shape[1:], dtype=source.dtype, name=prepared_key(modality, source.name))
            for source in encoder.inputs
        ]
        inputs.extend(sources)
        wrapped = keras.Model(encoder.inputs, encoder.outputs, name=f"{modality}_encoder")
        if modality in presence:
            _check_statistics(modality, encoder)
            sources = [ZeroAbsent(name=f"{source.name}_or_zero")([source, presence[modality]]) for source in sources]
        encoding = wrapped(sources)
        encoding = encoding[0] if isinstance(encoding, list) else encoding
        if modality in presence and null_embeddings:
            encoding = NullEmbedding(name=f"{modality}_or_null")([encoding, presence[modality]])
        encodings[modality] = encoding
    return Branches([*inputs, *flags.values()], encodings, dict(presence))


def _check_statistics(modality, encoder):
    live = list(_live_statistics(encoder))
    if live:
        raise ValueError(
            f"The encoder of {modality!r} may get absent inputs, whose zeros would enter its batch statistics "
            f"({live[0]!r} and {len(live) - 1} more). Build it with frozen_statistics=True, or with "
            "normalization='group'; or set `trainable = False` on those layers."
        )


def _live_statistics(layer):
    if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        yield layer.name
    elif isinstance(layer, keras.Model):
        for part in layer.layers:
            yield from _live_statistics(part)
