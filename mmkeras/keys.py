"""The key table: what a modality is called raw, prepared and served.

A sample is one dict from file to server. Its raw keys name modalities (`"text"`), its prepared keys name model
inputs (`"token_ids"`), its serving keys name the tensors of an exported raw signature (`"text"`). Dataset elements,
model inputs and signatures all take their names from here.
"""

from typing import NamedTuple


class Key(NamedTuple):
    """One row of the key table: a prepared tensor, where it comes from, and how a server receives it."""

    prepared: str
    modality: str
    serving: str
    shape: tuple[str, ...]
    dtype: str


TABLE = (
    Key("image", "image", "image_bytes", ("height", "width", "channel"), "float32"),
    Key("frames", "video", "frames_bytes", ("frame", "height", "width", "channel"), "float32"),
    Key("token_ids", "text", "text", ("time",), "int32"),
    Key("question_token_ids", "question", "question", ("time",), "int32"),
    Key("target_token_ids", "target_text", "target_text", ("time",), "int32"),
    Key("audio", "audio", "audio_bytes", ("sample",), "float32"),
    Key("spectrogram", "audio", "audio_bytes", ("frame", "mel"), "float32"),
    Key("signal", "signal", "signal", ("time", "channel"), "float32"),
    Key("features", "features", "features", ("time", "dim"), "float32"),
    Key("nodes", "graph", "nodes", ("node", "dim"), "float32"),
    Key("adjacency", "graph", "adjacency", ("node", "node"), "float32"),
)
"""The rows of the key table."""

PRESENT = "_present"
"""What the flags of optional modalities end in."""


def prepared_key(modality: str, encoder_input: str) -> str:
    """Name the model input that feeds `encoder_input` from `modality`.

    An encoder names its input by what it is (`"token_ids"`); a task may hold several encoders of that kind, so the
    input is named after the modality wherever the modality is not the one the kind belongs to.

    Args:
        modality: the name under which the task holds the encoder, e.g. `"question"`.
        encoder_input: the name of the encoder's own input, e.g. `"token_ids"`.

    Returns:
        The prepared key.

    Example:

    >>> prepared_key("text", "token_ids"), prepared_key("question", "token_ids")
    ('token_ids', 'question_token_ids')
    >>> prepared_key("features_face", "features"), prepared_key("left", "image")
    ('features_face', 'left_image')
    """
    for key in TABLE:
        if key.modality == modality and (key.prepared == encoder_input or key.prepared.endswith("_" + encoder_input)):
            return key.prepared
    if encoder_input == "features" and modality.startswith("features"):
        return modality
    return f"{modality}_{encoder_input}"


def serving_key(modality: str, encoder_input: str) -> str:
    """Name the tensor in which a server receives `modality` raw.

    Args:
        modality: e.g. `"question"`.
        encoder_input: the name of the encoder's own input, e.g. `"token_ids"`.

    Returns:
        The serving key.

    Example:

    >>> serving_key("image", "image"), serving_key("question", "token_ids"), serving_key("left", "image")
    ('image_bytes', 'question', 'left_bytes')
    """
    prepared = prepared_key(modality, encoder_input)
    for key in TABLE:
        if key.prepared == prepared:
            return key.serving
    for key in TABLE:
        if key.prepared == encoder_input:
            if key.modality in key.serving:
                return key.serving.replace(key.modality, modality)
            return prepared if key.serving == key.prepared else modality + "_bytes"
    return modality


def presence_key(modality: str) -> str:
    """Name the flag that says, per sample, whether `modality` is there: `"text"` -> `"text_present"`."""
    return modality + PRESENT
