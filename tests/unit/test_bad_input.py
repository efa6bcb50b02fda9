"""Bad input is a ValueError that names what was wrong, on every backend, and never a NaN or a silent broadcast."""

import keras
import numpy as np
import pytest

import mmkeras as mm

L = mm.layers
FUSIONS = [L.AttentionFusion, L.CoAttention, L.ConcatFusion, L.GatedFusion, L.WeightedFusion]


def tensor(*shape, dtype="float32"):
    return keras.ops.ones(shape, dtype=dtype)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusions_of_different_batches(fusion):
    with pytest.raises(ValueError, match=r"one batch. Received: batch sizes \{'a': 2, 'b': 1\}"):
        fusion()({"a": tensor(2, 8), "b": tensor(1, 8)})


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusions_of_ids(fusion):
    with pytest.raises(ValueError, match=r"floating-point.*`encodings\[1\]` of dtype int32"):
        fusion()([tensor(2, 8), tensor(2, 8, dtype="int32")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: L.CrossModalAttention(2)(tensor(2, 3, 8), tensor(1, 3, 8)), r"'query': 2, 'context': 1"),
        (lambda: L.CrossModalAttention(2)(tensor(2, 3, 8), tensor(2, 3, 8, dtype="int32")), "`context` of dtype int32"),
        (lambda: L.AttentionPooling()(tensor(2, 3, 8, dtype="int32")), "`tokens` of dtype int32"),
        (lambda: L.ZeroAbsent()([tensor(2, 3), keras.ops.array([True])]), r"each sample, 2 in all.*\(1,\)"),
        (lambda: L.NullEmbedding()([tensor(2, 3), keras.ops.array([True])]), r"each sample, 2 in all.*\(1,\)"),
        (lambda: L.CrossModalAttention(dropout_rate=2.0), "`dropout_rate`.*2.0"),
        (lambda: L.ConvBlock(0), "`filters`.*filters=0"),
        (lambda: L.LogMelSpectrogram(0), "`sample_rate`.*sample_rate=0"),
        (lambda: L.LogMelSpectrogram(8000, stride=1000, frame_length=512), "`stride`.*stride=1000"),
        (
            lambda: L.AttentionFusion(dim=6, num_heads=4)([tensor(2, 8), tensor(2, 6)]),
            "`dim` must be a multiple.*dim=6",
        ),
        (lambda: mm.encoders.lstm(10, num_layers=0), "`num_layers`.*num_layers=0"),
        (lambda: mm.encoders.vision_transformer(0), "`image_shape`|patch_size"),
        (lambda: mm.encoders.finish(keras.Input((3,)), tensor(2, 3)), "keras.Input"),
    ],
)
def test_layers_and_encoders(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_odd_sizes_are_rounded_not_refused():
    """Precomputed features come in any size; attention needs a multiple of its heads."""
    fused = L.AttentionFusion()([tensor(2, 3, 74), tensor(2, 300)])
    assert tuple(fused.shape) == (2, 4, 76)
    assert np.isfinite(np.asarray(keras.ops.convert_to_numpy(fused))).all()
    assert mm.encoders.vgg(1, 12, image_shape=(16, 16, 3)).output_shape == (None, 64, 12)


def test_a_preset_folder_becomes_an_encoder(tmp_path):
    import keras_hub

    backbone = keras_hub.models.BertBackbone(20, 1, 2, 8, 8, max_sequence_length=12)
    backbone.save_to_preset(tmp_path)
    encoder = mm.encoders.from_backbone(str(tmp_path))
    ids = np.array([[3, 4, 5, 0]], "int32")
    expected = backbone(
        {"token_ids": ids, "padding_mask": (ids != 0).astype("int32"), "segment_ids": np.zeros_like(ids)},
        training=False,
    )["sequence_output"]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(encoder(ids))[:, :3], keras.ops.convert_to_numpy(expected)[:, :3], atol=1e-5
    )
