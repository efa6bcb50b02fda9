"""Any keras-hub backbone as an encoder."""

from typing import NamedTuple

import keras

from mmkeras.encoders.contract import finish
from mmkeras.layers import BackboneTokens, PixelScaling, WhisperScaling


class _Family(NamedTuple):
    modality: str
    scaling: str | None = None
    # The layer whose output holds the tokens, where the backbone itself ends in something else.
    token_layer: str | None = None


_FAMILIES = {
    "CLIPVisionEncoder": _Family("image", "clip"),
    "SigLIPVisionEncoder": _Family("image", "symmetric", "post_layer_norm"),
    "ViTBackbone": _Family("image", "symmetric"),
    "ResNetBackbone": _Family("image", "torch"),
    "VGGBackbone": _Family("image", "caffe"),
    "CLIPTextEncoder": _Family("text"),
    "SigLIPTextEncoder": _Family("text", None, "post_layer_norm"),
    "BertBackbone": _Family("text"),
    "RobertaBackbone": _Family("text"),
    "DistilBertBackbone": _Family("text"),
    "WhisperBackbone": _Family("audio"),
}
_TOWERS = ("CLIPBackbone", "SigLIPBackbone")


def from_backbone(backbone, *, modality=None, scaling=None, pooling=None, name=None):
    """Wrap a keras-hub backbone, preset or path as an encoder: tokens out, mask set, pixel range inside.

    CLIP and SigLIP (vision and text), ViT, ResNet, VGG, BERT, RoBERTa, DistilBERT and Whisper's encoder are known
    by name. Any other backbone works when `modality` is given, and for images `scaling`.

    Args:
        backbone: a keras-hub backbone or encoder; or a preset name or folder, loaded by keras-hub.
        modality: `"image"`, `"text"` or `"audio"`; needed for a backbone with two towers or one not known by name.
        scaling: pixel range of an image backbone, a mode of `PixelScaling`; None takes the family's.
        pooling: None for tokens; `"avg"`, `"max"`, `"last"` or `"attention"` for a vector.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `image`, `token_ids` or `spectrogram` to tokens. SigLIP texts and Whisper
        spectrograms have the one length their backbone was made for.

    Example:

    >>> import keras_hub
    >>> vit = keras_hub.models.ViTBackbone((32, 32, 3), (16, 16), 1, 2, 16, 32)
    >>> from_backbone(vit).output_shape
    (None, 5, 16)
    """
    if isinstance(backbone, str):
        import keras_hub

        backbone = keras_hub.models.Backbone.from_preset(backbone)
    if type(backbone).__name__ in _TOWERS:
        backbone = _tower(backbone, modality)
    family = _family(backbone, modality, scaling)
    if family.modality == "image":
        return _image_encoder(backbone, family, pooling, name)
    if family.modality == "text":
        return _text_encoder(backbone, family, pooling, name)
    return _audio_encoder(backbone, pooling, name)


def _tower(backbone, modality):
    if modality not in ("image", "text"):
        raise ValueError(
            f"{type(backbone).__name__} has a vision and a text tower: choose with modality='image' or "
            f"modality='text'. Received: modality={modality!r}"
        )
    return backbone.vision_encoder if modality == "image" else backbone.text_encoder


def _family(backbone, modality, scaling):
    if not isinstance(backbone, keras.Model):
        raise ValueError(f"`backbone` must be a keras-hub backbone, a preset or a path. Received: {backbone!r}")
    family = _FAMILIES.get(type(backbone).__name__)
    if family is None and modality not in ("image", "text"):
        raise ValueError(
            f"{type(backbone).__name__} is not known by name: say modality='image' or modality='text'. "
            f"Received: modality={modality!r}"
        )
    if family is not None and modality not in (None, family.modality):
        raise ValueError(
            f"{type(backbone).__name__} encodes {family.modality}. Leave `modality` out. Received: "
            f"modality={modality!r}"
        )
    family = family or _Family(modality)
    if family.modality == "image" and (scaling or family.scaling) is None:
        raise ValueError(
            f"The pixel range of {type(backbone).__name__} is not known: give `scaling`, a mode of PixelScaling. "
            "Received: scaling=None"
        )
    return family._replace(scaling=scaling or family.scaling)


def _network(backbone, family):
    """The backbone itself where it returns tokens; where it returns more, the part of it that makes them."""
    if isinstance(backbone.output, dict):
        return keras.Model(backbone.input, backbone.output["sequence_output"], name=backbone.name)
    if family.token_layer is not None:
        return keras.Model(backbone.input, getattr(backbone, family.token_layer).output, name=backbone.name)
    return backbone


def _image_encoder(backbone, family, pooling, name):
    (pixels,) = keras.tree.flatten(backbone.input)
    image = keras.Input(pixels.shape[1:], name="image")
    x = PixelScaling(family.scaling, name="scaling")(image)
    x = {pixels.name: x} if isinstance(backbone.input, dict) else x
    return finish(image, _network(backbone, family)(x), pooling=pooling, name=name)


def _text_encoder(backbone, family, pooling, name):
    # SigLIP adds all its positions at once, so its texts have one length.
    length = backbone.max_sequence_length if family.token_layer is not None else None
    token_ids = keras.Input((length,), dtype="int32", name="token_ids")
    tokens = BackboneTokens(_network(backbone, family), name="backbone")(token_ids)
    return finish(token_ids, tokens, pooling=pooling, name=name)


def _audio_encoder(backbone, pooling, name):
    features = backbone.input["encoder_features"]
    encoder = keras.Model(features, backbone.output["encoder_sequence_output"], name=backbone.name)
    # Whisper hears its whole window, silence included: a shorter clip would move the padding.
    shape = (backbone.max_encoder_sequence_length, features.shape[-1])
    frames = keras.Input(shape, name="frames")
    network = keras.Model(frames, encoder(WhisperScaling(name="scaling")(frames)), name="whisper_encoder")
    spectrogram = keras.Input(shape, name="spectrogram")
    tokens = BackboneTokens(network, stride=2, name="backbone")(spectrogram)
    return finish(spectrogram, tokens, pooling=pooling, name=name)
