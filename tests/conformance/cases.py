"""The registry: for every public layer, encoder and task a few lines that say how to make and feed it.

A public name without a case fails `test_registry.py`. A case is data; the promises are in the test files.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

import mmkeras as mm

L, E = mm.layers, mm.encoders
BATCH = 3


def floats(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def pixels(size=16, seed=0):
    return np.random.default_rng([seed, size]).uniform(0, 255, (BATCH, size, size, 3)).astype("float32")


def sentences(length=6, vocabulary=20, seed=0):
    rng = np.random.default_rng([seed, length])
    ids = rng.integers(1, vocabulary, (BATCH, length)).astype("int32")
    ids[1, 4:] = 0
    return ids


def frames(size=8, seed=0):
    """Four frames, two in the second row."""
    clips = np.random.default_rng([seed, size]).uniform(1, 255, (BATCH, 4, size, size, 3)).astype("float32")
    clips[1, 2:] = 0
    return clips


FLAGS = np.array([True, True, False])


@dataclass(frozen=True)
class LayerCase:
    """How to make a layer with non-default arguments, what to feed it, what it must hold.

    `call` maps a dict of tensors to the layer's output. Inputs named in `masked` carry a mask whose last two
    positions are padding in the second row. `weights` is the exact number of weight arrays. A layer that `passes_on`
    leaves values in the dtype they came in; one that `answers` does so in float32.
    """

    make: Callable[[], keras.layers.Layer]
    inputs: dict = field(default_factory=dict)
    call: Callable | None = None
    masked: tuple = ()
    weights: int = 0
    passes_on: bool = False
    answers: bool = False

    def __call__(self, layer, x):
        if self.call is not None:
            return self.call(layer, x)
        return layer(*x.values())


_TOKENS = {"tokens": floats(BATCH, 6, 8)}
_PAIR = {"image": floats(BATCH, 4, 8), "text": floats(BATCH, 6, 12)}
_TRIO = {**_PAIR, "audio": floats(BATCH, 10)}
_SERIES = {"text": floats(BATCH, 6, 8), "face": floats(BATCH, 6, 12), "speaker": floats(BATCH, 10)}
_CLIP = {"video": floats(BATCH, 6, 8), "audio": floats(BATCH, 14, 5), "speaker": floats(BATCH, 10)}
_GRAPH = {"nodes": floats(BATCH, 6, 8), "adjacency": np.abs(floats(BATCH, 6, 6)) * (floats(BATCH, 6, 6, seed=1) > 0)}


def _fuse(layer, x):
    return layer(dict(x))


def _fuse_list(layer, x):
    return layer(list(x.values()))


def _attend(layer, x):
    return layer(x["query"], x["context"])


def _pack(layer, x):
    return layer(list(x.values()))


def _say(layer, x):
    return layer(x["token_ids"], x["context"])


_SAID = {"token_ids": sentences(), "context": floats(BATCH, 5, 7)}
_CROSS = {"query": floats(BATCH, 5, 8), "context": floats(BATCH, 6, 12)}


def _network():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
    x = keras.layers.Embedding(20, 8, name="embedding")(token_ids)
    x = keras.layers.Multiply(name="cut")([x, keras.layers.Reshape((-1, 1), name="wide")(padding_mask)])
    return keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, {"sequence_output": x}, name="network")


def _strided_network():
    x = keras.Input((None, 4), name="x")
    return keras.Model(x, keras.layers.Conv1D(8, 3, strides=2, padding="same", name="conv")(x), name="network")


def _normalized():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.BatchNormalization(name="norm")(x), name="network")


LAYERS = {
    "AddChannel": LayerCase(L.AddChannel, _TOKENS, masked=("tokens",), passes_on=True),
    "AlignSteps": LayerCase(
        L.AlignSteps, {"frames": floats(BATCH, 4, 8), "sound": floats(BATCH, 9, 6)}, masked=("frames", "sound")
    ),
    "AlignSteps/rates": LayerCase(
        lambda: L.AlignSteps((100.0, 25)),
        {"frames": floats(BATCH, 4, 8), "sound": floats(BATCH, 9, 6)},
        masked=("sound",),
    ),
    "AttentionFusion": LayerCase(
        lambda: L.AttentionFusion(num_layers=2, num_heads=2, dim=8, feedforward_dim=12, dropout_rate=0.1),
        _TRIO,
        _fuse,
        masked=("text",),
        weights=2 * 2 + 1 + 2 * 15 + 2,
    ),
    "AttentionFusion/defaults": LayerCase(L.AttentionFusion, _PAIR, _fuse_list, masked=("image", "text"), weights=20),
    "AttentionPooling": LayerCase(lambda: L.AttentionPooling(2, hidden_dim=5), _TOKENS, masked=("tokens",), weights=3),
    "BackboneTokens": LayerCase(lambda: L.BackboneTokens(_network(), stride=1), {"token_ids": sentences()}, weights=1),
    "BackboneTokens/strided": LayerCase(
        lambda: L.BackboneTokens(_strided_network(), stride=2), {"x": floats(BATCH, 6, 4)}, weights=2
    ),
    "BilinearFusion": LayerCase(
        lambda: L.BilinearFusion(6, rank=2, pooling="max", normalize=False, dropout_rate=0.1),
        _TRIO,
        _fuse,
        masked=("text",),
        weights=3 * 2,
    ),
    "BilinearFusion/pair": LayerCase(L.BilinearFusion, _PAIR, _fuse_list, masked=("text",), weights=2 * 2),
    "BottleneckFusion": LayerCase(
        lambda: L.BottleneckFusion(num_tokens=3, num_layers=1, num_heads=2, dim=6, dropout_rate=0.1),
        _TRIO,
        _fuse,
        masked=("text",),
        # Projections, shared tokens, a block of two norms, attention and feed-forward for each, norm.
        weights=3 * 2 + 1 + 3 * 15 + 2,
    ),
    "ClassHead": LayerCase(
        lambda: L.ClassHead(["low", "middle", "high"], ordinal=True), _TOKENS, masked=("tokens",), weights=3
    ),
    "ClassHead/tags": LayerCase(lambda: L.ClassHead(4, multi_label=True), {"vector": floats(BATCH, 8)}, weights=2),
    "CoAttention": LayerCase(
        lambda: L.CoAttention(num_heads=2, dim=6, gated=True, dropout_rate=0.1),
        _PAIR,
        _fuse,
        masked=("text",),
        weights=2 * 2 + 26,
    ),
    "CoAttention/defaults": LayerCase(L.CoAttention, _PAIR, _fuse_list, masked=("image", "text"), weights=24),
    "ConcatFusion": LayerCase(
        lambda: L.ConcatFusion(8, pooling="attention"), _TRIO, _fuse, masked=("text",), weights=2 * 3 + 2 * 2
    ),
    "ConvBlock": LayerCase(
        lambda: L.ConvBlock(4, 5, stride=2, activation="gelu", normalize=False), _TOKENS, masked=("tokens",), weights=2
    ),
    "ConvBlock/frequency": LayerCase(
        lambda: L.ConvBlock(4), {"map": floats(BATCH, 6, 5, 2)}, masked=("map",), weights=3
    ),
    "CrossModalAttention": LayerCase(
        lambda: L.CrossModalAttention(2, 3, gated=True, dropout_rate=0.1),
        _CROSS,
        _attend,
        masked=("query", "context"),
        weights=4 + 7 + 2,
    ),
    "CrossModalAttention/plain": LayerCase(
        lambda: L.CrossModalAttention(2, residual=False, normalize=False),
        _CROSS,
        _attend,
        masked=("context",),
        weights=7,
    ),
    "CTCHead": LayerCase(lambda: L.CTCHead(5), _TOKENS, masked=("tokens",), weights=2, answers=True),
    "EachFrame": LayerCase(
        lambda: L.EachFrame(keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)]), rematerialize=True),
        {"frames": floats(BATCH, 6, 8)},
        masked=("frames",),
        weights=2,
    ),
    "FiLM": LayerCase(L.FiLM, {"x": floats(BATCH, 6, 8), "condition": floats(BATCH, 5)}, masked=("x",), weights=2),
    "FiLMFusion": LayerCase(
        lambda: L.FiLMFusion(by="text", num_layers=1, dim=6, dropout_rate=0.1),
        _TRIO,
        _fuse,
        masked=("text",),
        # Projections, two modulated layers of a norm and three dense ones, norm.
        weights=3 * 2 + 2 * (2 + 6) + 2,
    ),
    "FiLMFusion/all": LayerCase(L.FiLMFusion, _PAIR, _fuse_list, masked=("text",), weights=2 + 2 * 2 * 8 + 2),
    "FlattenFrequency": LayerCase(L.FlattenFrequency, {"map": floats(BATCH, 6, 5, 2)}, masked=("map",)),
    "FrozenStatistics": LayerCase(lambda: L.FrozenStatistics(_normalized()), {"x": floats(BATCH, 4)}, weights=4),
    "FusedBatchNormalization": LayerCase(L.FusedBatchNormalization, {"x": floats(BATCH, 5, 5, 4)}, weights=4),
    "FusedGroupNormalization": LayerCase(
        lambda: L.FusedGroupNormalization(2), {"x": floats(BATCH, 5, 5, 4)}, weights=2
    ),
    "GatedFusion": LayerCase(
        lambda: L.GatedFusion(8, pooling="max", per_dimension=False), _TRIO, _fuse, masked=("text",), weights=2 * 2 + 2
    ),
    "GatedFusion/pair": LayerCase(L.GatedFusion, _PAIR, _fuse_list, masked=("text",), weights=4),
    "GraphAttention": LayerCase(
        lambda: L.GraphAttention(2, 6, activation="tanh", dropout_rate=0.1), _GRAPH, masked=("nodes",), weights=4
    ),
    "GraphConvolution": LayerCase(
        lambda: L.GraphConvolution(6, "tanh", self_loops=False, symmetric=False), _GRAPH, masked=("nodes",), weights=2
    ),
    "GraphFusion": LayerCase(
        lambda: L.GraphFusion(
            6, num_layers=1, num_heads=2, edges=[("image", "text"), ("audio", "text")], within=False, dropout_rate=0.1
        ),
        _TRIO,
        _fuse,
        masked=("text",),
        # Projections, modality embedding, attention, two norms.
        weights=3 * 2 + 1 + 4 + 2 * 2,
    ),
    "GraphFusion/all": LayerCase(L.GraphFusion, _PAIR, _fuse_list, masked=("text",), weights=2 + 1 + 2 * 4 + 3 * 2),
    "LSTMDecoder": LayerCase(
        lambda: L.LSTMDecoder(20, 8, dim=6, num_layers=2, dropout_rate=0.1),
        _SAID,
        _say,
        masked=("context",),
        # Embedding, words, two layers and their starts, attention, output.
        weights=1 + 2 + 2 * (3 + 2) + 4 + 2,
        answers=True,
    ),
    "LSTMDecoder/heads": LayerCase(
        lambda: L.LSTMDecoder(20, 8, attention="multi_head", num_heads=2, tied=True),
        _SAID,
        _say,
        masked=("context",),
        # Embedding, bias, layer and its start, attention.
        weights=1 + 1 + 3 + 2 + 11,
        answers=True,
    ),
    "LSTMDecoder/plain": LayerCase(
        lambda: L.LSTMDecoder(20, 8, attention=None), _SAID, _say, weights=1 + 2 + 3 + 2, answers=True
    ),
    "LogMelSpectrogram": LayerCase(
        lambda: L.LogMelSpectrogram(8000, num_mels=8, frame_length=64, stride=32, min_frequency=80.0, floor=1e-4),
        {"audio": floats(BATCH, 320)},
    ),
    "MatchRows": LayerCase(
        L.MatchRows,
        {"x": floats(BATCH, 6, 8), "like": floats(2 * BATCH, 4)},
        _pack,
        masked=("x",),
        passes_on=True,
    ),
    "ModalityDropout": LayerCase(
        lambda: L.ModalityDropout(0.4, keep_one=False, seed=3),
        {"first": FLAGS, "second": ~FLAGS},
        lambda layer, x: keras.ops.stack(list(layer(dict(x)).values()), axis=1),
    ),
    "NullEmbedding": LayerCase(
        L.NullEmbedding, {"encoding": floats(BATCH, 6, 8), "present": FLAGS}, _pack, masked=("encoding",), weights=1
    ),
    "NullEmbedding/vector": LayerCase(
        L.NullEmbedding, {"encoding": floats(BATCH, 8), "present": FLAGS}, _pack, weights=1
    ),
    "Ordinal": LayerCase(lambda: L.Ordinal(4), _TOKENS, masked=("tokens",), weights=3),
    "PaddingMask": LayerCase(L.PaddingMask, _TOKENS, passes_on=True),
    "PixelScaling": LayerCase(lambda: L.PixelScaling("caffe"), {"image": pixels()}),
    "PositionEmbedding": LayerCase(lambda: L.PositionEmbedding(9), _TOKENS, masked=("tokens",), weights=1),
    "PositionEmbedding/sine": LayerCase(lambda: L.PositionEmbedding(kind="sine"), _TOKENS, masked=("tokens",)),
    "NumberHead": LayerCase(lambda: L.NumberHead(2, low=-3, high=3), _TOKENS, masked=("tokens",), weights=2),
    "NumberHead/one": LayerCase(L.NumberHead, {"vector": floats(BATCH, 8)}, weights=2),
    "OrPrior": LayerCase(lambda: L.OrPrior(0.25), {"answers": floats(BATCH, 8), "present": FLAGS}, _pack, weights=2),
    "ProjectionHead": LayerCase(
        lambda: L.ProjectionHead(4, 6, pooling="max", dropout_rate=0.1), _TOKENS, masked=("tokens",), weights=4 * 2
    ),
    "ProjectionHead/vector": LayerCase(lambda: L.ProjectionHead(4), {"vector": floats(BATCH, 8)}, weights=2),
    "SeriesSmoothing": LayerCase(lambda: L.SeriesSmoothing(0.5, 2.0, width=1.5), _TOKENS, masked=("tokens",)),
    "StepwiseFusion": LayerCase(
        lambda: L.StepwiseFusion(L.GatedFusion(8)), _SERIES, _fuse, masked=("text", "face"), weights=2 * 2 + 2
    ),
    "StepwiseFusion/tokens": LayerCase(
        lambda: L.StepwiseFusion(L.AttentionFusion(num_layers=1, num_heads=2)),
        _SERIES,
        _fuse,
        masked=("text", "face"),
        weights=2 * 2 + 1 + 15 + 2,
    ),
    "TimelineFusion": LayerCase(
        lambda: L.TimelineFusion(
            L.ConcatFusion(6),
            dim=8,
            num_heads=2,
            window=0.5,
            rates={"video": 2.0, "audio": 5.0},
            like="video",
            context=keras.layers.GRU(5, return_sequences=True),
            dropout_rate=0.1,
        ),
        _CLIP,
        _fuse,
        masked=("video", "audio"),
        # Projections, origins, attentions, fusion, layer over time.
        weights=2 * 2 + 1 + 2 * 11 + 6 + 3,
    ),
    "TimelineFusion/defaults": LayerCase(
        L.TimelineFusion, _PAIR, _fuse_list, masked=("image", "text"), weights=2 * 2 + 1 + 2 * 11 + 2 + 6
    ),
    "TimelineFusion/transformer": LayerCase(
        lambda: L.TimelineFusion(num_heads=0, context="transformer"),
        {"video": floats(BATCH, 6, 8)},
        _fuse,
        masked=("video",),
        weights=2 + 15,
    ),
    "TokenPooling": LayerCase(lambda: L.TokenPooling("last"), _TOKENS, masked=("tokens",)),
    "TokenPooling/avg": LayerCase(L.TokenPooling, _TOKENS, masked=("tokens",)),
    "TokenPooling/max": LayerCase(lambda: L.TokenPooling("max"), _TOKENS, masked=("tokens",)),
    "Tokens": LayerCase(L.Tokens, _TOKENS, masked=("tokens",)),
    "Tokens/map": LayerCase(L.Tokens, {"map": floats(BATCH, 2, 3, 4)}),
    "TransformerBlock": LayerCase(
        lambda: L.TransformerBlock(2, 12, cross_attention=True, causal=True, activation="relu", dropout_rate=0.1),
        {"tokens": floats(BATCH, 5, 8), "context": floats(BATCH, 6, 12)},
        lambda layer, x: layer(x["tokens"], x["context"]),
        masked=("tokens", "context"),
        weights=7 + 2 + 11 + 2 + 4,
    ),
    "TransformerBlock/self": LayerCase(L.TransformerBlock, _TOKENS, masked=("tokens",), weights=15),
    "TransformerDecoder": LayerCase(
        lambda: L.TransformerDecoder(
            20, 8, num_layers=1, num_heads=2, feedforward_dim=12, tied=False, dropout_rate=0.1
        ),
        _SAID,
        _say,
        masked=("context",),
        # Embedding, words, a block of three norms for the tokens, one for the context, attentions, feed-forward; norm.
        weights=1 + 2 + 4 * 2 + 2 * 7 + 4 + 2,
        answers=True,
    ),
    "UnitLength": LayerCase(L.UnitLength, {"vectors": floats(BATCH, 5, 8)}),
    "WeightedFusion": LayerCase(
        lambda: L.WeightedFusion(fixed_weights={"image": 1, "text": 2, "audio": 3}, dim=8, pooling="max"),
        _TRIO,
        _fuse,
        masked=("text",),
        weights=4,
    ),
    "WeightedFusion/learned": LayerCase(L.WeightedFusion, _PAIR, _fuse_list, masked=("text",), weights=3),
    "WhisperScaling": LayerCase(L.WhisperScaling, {"spectrogram": floats(BATCH, 6, 4)}),
    "ZeroAbsent": LayerCase(
        L.ZeroAbsent, {"x": floats(BATCH, 6, 8), "present": FLAGS}, _pack, masked=("x",), passes_on=True
    ),
}
# Bases have no behaviour of their own to check; `pooling_layer` makes layers that have cases; what `OwnWords` holds
# learns elsewhere, see test_sentences.
LAYERS_WITHOUT_CASE = {"Decoder", "OwnWords", "Fusion", "Head", "VectorFusion", "TokenFusion", "pooling_layer"}

FUSIONS = {
    "AttentionFusion": lambda: L.AttentionFusion(num_layers=1, num_heads=2),
    "BilinearFusion": L.BilinearFusion,
    "BottleneckFusion": lambda: L.BottleneckFusion(num_tokens=2, num_layers=1, num_heads=2),
    "CoAttention": lambda: L.CoAttention(num_heads=2),
    "ConcatFusion": L.ConcatFusion,
    "FiLMFusion": lambda: L.FiLMFusion(num_layers=1),
    "GatedFusion": L.GatedFusion,
    "GraphFusion": lambda: L.GraphFusion(num_layers=1, num_heads=2),
    "TimelineFusion": lambda: L.TimelineFusion(num_heads=2),
    "WeightedFusion": L.WeightedFusion,
}


@dataclass(frozen=True)
class EncoderCase:
    """How to build an encoder and what to feed it; `padded` says whether its input may end in padding.

    `inputs` is an array, or a dict of them for an encoder of several inputs.
    """

    make: Callable[..., keras.Model]
    inputs: np.ndarray | dict
    tokens: tuple
    weights: int
    padded: bool = False
    heavy: bool = False
    trained: int | None = None
    fixed_length: bool = False


def _still():
    return E.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3), pooling="avg")


def _hub(name, **options):
    import keras_hub

    return getattr(keras_hub.models, name)(**options)


def _clip_vision():
    return _hub(
        "CLIPVisionEncoder", patch_size=8, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=8,
        image_shape=(16, 16, 3),
    )  # fmt: skip


def _clip_text():
    return _hub(
        "CLIPTextEncoder", vocabulary_size=20, embedding_dim=8, hidden_dim=8, num_layers=1, num_heads=2,
        intermediate_dim=8, max_sequence_length=12,
    )  # fmt: skip


def _clip(modality, **options):
    backbone = _hub("CLIPBackbone", vision_encoder=_clip_vision(), text_encoder=_clip_text(), projection_dim=4)
    return E.from_backbone(backbone, modality=modality, **options)


def _siglip(modality, **options):
    shared = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 8}
    backbone = _hub(
        "SigLIPBackbone",
        vision_encoder=_hub("SigLIPVisionEncoder", patch_size=8, image_shape=(16, 16, 3), **shared),
        text_encoder=_hub("SigLIPTextEncoder", vocabulary_size=20, embedding_dim=8, max_sequence_length=12, **shared),
    )
    return E.from_backbone(backbone, modality=modality, **options)


def _vit(**options):
    backbone = _hub(
        "ViTBackbone", image_shape=(16, 16, 3), patch_size=(8, 8), num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8
    )
    return E.from_backbone(backbone, **options)


def _bert(family="BertBackbone", **options):
    backbone = _hub(
        family, vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8, max_sequence_length=12,
        dropout=0.0,
    )  # fmt: skip
    return E.from_backbone(backbone, **options)


def _whisper(**options):
    backbone = _hub(
        "WhisperBackbone", vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8, num_mels=4,
        max_encoder_sequence_length=12, max_decoder_sequence_length=4,
    )  # fmt: skip
    return E.from_backbone(backbone, **options)


def clip(samples, *, mels=None):
    shape = (BATCH, samples) if mels is None else (BATCH, samples, mels)
    x = floats(*shape) * 0.3
    x[1, samples * 2 // 3 :] = 0
    return x


def scene():
    """Graphs of six nodes, one with padding, and edges that go one way."""
    edges = np.random.default_rng(0).random((BATCH, 6, 6)) < 0.4
    return {"nodes": clip(6, mels=5), "adjacency": edges.astype("float32")}


ENCODERS = {
    "vgg": EncoderCase(
        lambda **o: E.vgg(2, 8, convolutions=1, normalization="layer", image_shape=(16, 16, 3), **o),
        pixels(), (BATCH, 16, 16), 6,
    ),
    "vgg16": EncoderCase(
        lambda **o: E.vgg16(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 512), 26, heavy=True
    ),
    "vgg19": EncoderCase(
        lambda **o: E.vgg19(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 512), 32, heavy=True
    ),
    "resnet": EncoderCase(
        lambda **o: E.resnet((1, 1), 8, image_shape=(16, 16, 3), **o), pixels(), (BATCH, 16, 16), 16
    ),
    "resnet18": EncoderCase(
        lambda **o: E.resnet18(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 512), 100, heavy=True, trained=60
    ),
    "resnet34": EncoderCase(
        lambda **o: E.resnet34(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 512), 180, heavy=True, trained=108
    ),
    "resnet50": EncoderCase(
        lambda **o: E.resnet50(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 2048), 318, heavy=True, trained=212
    ),
    "resnet101": EncoderCase(
        lambda **o: E.resnet101(image_shape=(32, 32, 3), **o), pixels(32), (BATCH, 1, 2048), 624, heavy=True,
        trained=416,
    ),
    "vision_transformer": EncoderCase(
        lambda **o: E.vision_transformer(8, 8, num_layers=1, num_heads=2, image_shape=(16, 16, 3), **o),
        pixels(), (BATCH, 4, 8), 2 + 1 + 15 + 2,
    ),
    "lstm": EncoderCase(
        lambda **o: E.lstm(20, 8, embedding_dim=6, num_layers=2, bidirectional=True, dropout_rate=0.1, **o),
        sentences(), (BATCH, 6, 16), 1 + 2 * 6, padded=True,
    ),
    "gru": EncoderCase(
        lambda **o: E.gru(20, 8, embedding_dim=6, **o), sentences(), (BATCH, 6, 8), 1 + 3, padded=True
    ),
    "bag_of_words": EncoderCase(
        lambda pooling=None, **o: E.bag_of_words(20, 8, word_dropout_rate=0.1, pooling=pooling, **o),
        sentences(), (BATCH, 6, 8), 1, padded=True,
    ),
    "transformer_text": EncoderCase(
        lambda **o: E.transformer_text(20, 8, num_layers=1, num_heads=2, max_length=16, **o),
        sentences(), (BATCH, 6, 8), 2 + 15 + 2, padded=True,
    ),
    "conv1d_audio": EncoderCase(
        lambda **o: E.conv1d_audio(4, (8, 2), first_kernel_size=16, **o),
        clip(240), (BATCH, 15, 4), 6, padded=True,
    ),
    "signal": EncoderCase(
        lambda **o: E.signal(3, 4, (2, 2), lstm_units=4, dropout_rate=0.1, **o), clip(24, mels=3), (BATCH, 6, 8),
        2 * 3 + 6, padded=True,
    ),
    "time_distributed": EncoderCase(
        lambda **o: E.time_distributed(_still(), lstm_units=4, bidirectional=True, dropout_rate=0.1, **o),
        frames(), (BATCH, 4, 8), 3 + 6, padded=True,
    ),
    "chain": EncoderCase(
        lambda pooling=None, **o: E.chain(
            E.time_distributed(_still()), E.features((None, 8), 6, pooling=pooling), **o
        ),
        frames(), (BATCH, 4, 6), 3 + 2 + 2, padded=True,
    ),
    "time_distributed/tokens": EncoderCase(
        lambda **o: E.time_distributed(E.vgg(1, 8, convolutions=1, image_shape=(8, 8, 3)), 4, rematerialize=True, **o),
        frames(), (BATCH, 4, 8), 3, padded=True, fixed_length=True,
    ),
    "graph": EncoderCase(
        lambda **o: E.graph(5, 8, 1, dropout_rate=0.1, **o), scene(), (BATCH, 6, 8), 2 + 2 + 2, padded=True
    ),
    "graph/attention": EncoderCase(
        lambda **o: E.graph(5, 8, 1, num_heads=2, **o), scene(), (BATCH, 6, 8), 2 + 4 + 2, padded=True
    ),
    "spectrogram_cnn": EncoderCase(
        lambda **o: E.spectrogram_cnn(2000, 4, blocks=2, dim=8, num_mels=8, **o),
        clip(240), (BATCH, 4, 8), 3 * 3 + 2, padded=True,
    ),
    "spectrogram_cnn/spectrogram": EncoderCase(
        lambda **o: E.spectrogram_cnn(width=4, blocks=2, dim=8, num_mels=8, from_waveform=False, **o),
        clip(18, mels=8), (BATCH, 5, 8), 3 * 3 + 2, padded=True,
    ),
    "features": EncoderCase(
        lambda **o: E.features((None, 5), 8, dropout_rate=0.1, **o), clip(6, mels=5), (BATCH, 6, 8), 4, padded=True
    ),
    "features/vector": EncoderCase(lambda **o: E.features((6,), **o), floats(BATCH, 6), (BATCH, 1, 6), 2),
    "from_backbone": EncoderCase(_vit, pixels(), (BATCH, 5, 8), 22),
    "from_backbone/clip_image": EncoderCase(lambda **o: _clip("image", **o), pixels(), (BATCH, 5, 8), 24, trained=23),
    "from_backbone/clip_text": EncoderCase(
        lambda **o: _clip("text", **o), sentences(), (BATCH, 6, 8), 20, padded=True
    ),
    "from_backbone/siglip_image": EncoderCase(
        lambda **o: _siglip("image", **o), pixels(), (BATCH, 4, 8), 22, trained=21
    ),
    "from_backbone/siglip_text": EncoderCase(
        lambda **o: _siglip("text", **o), sentences(12), (BATCH, 12, 8), 21, padded=True, trained=20, fixed_length=True
    ),
    "from_backbone/bert": EncoderCase(_bert, sentences(), (BATCH, 6, 8), 21, padded=True),
    "from_backbone/roberta": EncoderCase(
        lambda **o: _bert("RobertaBackbone", **o), sentences(), (BATCH, 6, 8), 20, padded=True
    ),
    "from_backbone/distil_bert": EncoderCase(
        lambda **o: _bert("DistilBertBackbone", **o), sentences(), (BATCH, 6, 8), 20, padded=True
    ),
    "from_backbone/whisper": EncoderCase(
        _whisper, clip(12, mels=4), (BATCH, 6, 8), 22, padded=True, trained=21, fixed_length=True
    ),
}  # fmt: skip
ENCODERS_WITHOUT_CASE = {"finish", "learn_word_vectors", "read_word_vectors"}
