"""From named inputs to encodings: what every task starts with."""

from typing import NamedTuple

import keras

from mmkeras.keys import prepared_key, presence_key
from mmkeras.layers import ModalityDropout, NullEmbedding, ZeroAbsent


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


def encode_modalities(encoders, *, optional=(), modality_dropout_rate=0.0):
    """Build inputs and encodings of a task.

    Each encoder is wrapped in a model of our own name that shares its layers, so that encoders may have any names,
    the same one twice, and one encoder may serve two modalities. The input of an absent modality is zeroed before
    the encoder and its encoding replaced by a learned embedding after it.

    Args:
        encoders: dict of functional encoders by modality.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that a present optional modality is dropped in training.

    Returns:
        `Branches`.
    """
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
        presence = ModalityDropout(modality_dropout_rate, name="modality_dropout")(flags)
    for modality, encoder in encoders.items():
        sources = [
            keras.Input(source.shape[1:], dtype=source.dtype, name=prepared_key(modality, source.name))
            for source in encoder.inputs
        ]
        inputs.extend(sources)
        wrapped = keras.Model(encoder.inputs, encoder.outputs, name=f"{modality}_encoder")
        if modality in presence:
            sources = [ZeroAbsent(name=f"{source.name}_or_zero")([source, presence[modality]]) for source in sources]
        encoding = wrapped(sources)
        encoding = encoding[0] if isinstance(encoding, list) else encoding
        if modality in presence:
            encoding = NullEmbedding(name=f"{modality}_or_null")([encoding, presence[modality]])
        encodings[modality] = encoding
    return Branches([*inputs, *flags.values()], encodings, dict(presence))
