"""The small layers: absence, positions, pixels, tokens, pooling."""

import math

import keras
import numpy as np
import pytest

from mmkeras import layers as L
from tests.conformance.backend import array, gradients, mask_of
from tests.conformance.cases import floats, pixels
from tests.conformance.checks import WithMask

tensor = keras.ops.convert_to_tensor
PRESENT = np.array([True, False, True])
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=bool)


def masked(x, mask):
    return WithMask()([tensor(x), tensor(mask)])


class TestAbsence:
    @pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (3, 4, 5, 2)])
    def test_zero_absent(self, shape):
        x = floats(*shape)
        filled = x.copy()
        filled[1] = np.nan
        output = array(L.ZeroAbsent()([tensor(filled), tensor(PRESENT)]))
        np.testing.assert_array_equal(output[PRESENT], x[PRESENT])
        assert (output[1] == 0).all()

    def test_zero_absent_keeps_token_ids_whole(self):
        output = L.ZeroAbsent()([tensor(np.full((3, 2), 7, "int32")), tensor(PRESENT)])
        assert array(output).tolist() == [[7, 7], [0, 0], [7, 7]]
        assert array(output).dtype == np.int32

    @pytest.mark.parametrize("shape", [(3, 5), (3, 4, 5)])
    def test_null_embedding(self, shape):
        x = floats(*shape)
        filled = x.copy()
        filled[1] = np.nan
        layer = L.NullEmbedding()
        output = array(layer([tensor(filled), tensor(PRESENT)]))
        null = array(layer.weights[0].value)
        np.testing.assert_array_equal(output[PRESENT], x[PRESENT])
        np.testing.assert_array_equal(output[1], np.broadcast_to(null, shape[1:]))
        assert np.abs(null).max() > 0

    def test_absence_is_one_token(self):
        given = L.NullEmbedding()([masked(floats(3, 4, 5), MASK), tensor(PRESENT)])
        assert mask_of(given).tolist() == [[True] * 4, [True, False, False, False], [True, False, False, False]]
        unmasked = L.NullEmbedding()([tensor(floats(3, 4, 5)), tensor(PRESENT)])
        assert mask_of(unmasked).tolist() == [[True] * 4, [True, False, False, False], [True] * 4]
        assert mask_of(L.NullEmbedding()([tensor(floats(3, 5)), tensor(PRESENT)])) is None

    def test_the_one_token_is_pooled_in_a_functional_model(self):
        tokens, present = keras.Input((4, 5)), keras.Input((), dtype="bool")
        layer = L.NullEmbedding()
        pooled = L.pooling_layer("avg")(layer([L.PaddingMask()(tokens), present]))
        output = array(keras.Model([tokens, present], pooled)([tensor(floats(3, 4, 5)), tensor(PRESENT)]))
        np.testing.assert_allclose(output[1], array(layer.weights[0].value), atol=1e-6)

    def test_gradients_reach_the_null_embedding_from_absent_rows_only(self):
        layer, ramp = L.NullEmbedding(), floats(3, 4, 5)
        layer.build([(3, 4, 5), (3,)])
        _, (by_null,), (by_input,) = gradients(
            lambda x: keras.ops.sum(layer([x[0], tensor(PRESENT)]) * ramp), layer.weights, [floats(3, 4, 5)]
        )
        np.testing.assert_allclose(by_null, ramp[1].sum(axis=0), atol=1e-6)
        np.testing.assert_allclose(by_input, ramp * PRESENT[:, None, None], atol=1e-6)

    @pytest.mark.parametrize("shapes", [[(3, 4)], [(3, 4, 5, 6), (3,)], [(3, 4, None), (3,)]], ids=str)
    def test_bad_shapes(self, shapes):
        with pytest.raises(ValueError, match=r"NullEmbedding expects \[encoding, presence\].*Received: shapes"):
            L.NullEmbedding().build(shapes)


class TestModalityDropout:
    SAMPLES = 20000

    def drop(self, rate, *, keep_one, flags=(True, True), seed=3):
        presence = {str(i): tensor(np.full(self.SAMPLES, flag)) for i, flag in enumerate(flags)}
        dropped = L.ModalityDropout(rate, keep_one=keep_one, seed=seed)(presence, training=True)
        return np.stack([array(dropped[str(i)]) for i in range(len(flags))], axis=1)

    def near(self, share, expected):
        # Five standard deviations of a share of 20000 draws.
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / self.SAMPLES)

    def test_each_is_dropped_on_its_own(self):
        """Rate 0.3: dropped alone 0.3, both dropped 0.09."""
        kept = self.drop(0.3, keep_one=False)
        for column in kept.T:
            self.near(1 - column.mean(), 0.3)
        self.near((~kept).all(axis=1).mean(), 0.09)

    def test_the_last_one_stays(self):
        """Rate 0.3: where both would go, neither does, so each goes with 0.3 * 0.7 = 0.21."""
        kept = self.drop(0.3, keep_one=True)
        assert kept.any(axis=1).all()
        for column in kept.T:
            self.near(1 - column.mean(), 0.21)

    def test_what_is_absent_stays_absent(self):
        kept = self.drop(0.3, keep_one=True, flags=(True, False, True))
        assert not kept[:, 1].any()
        assert kept.any(axis=1).all()
        self.near(1 - kept[:, 0].mean(), 0.21)
        alone = self.drop(0.9, keep_one=True, flags=(True, False))
        assert alone[:, 0].all()
        assert not self.drop(0.5, keep_one=True, flags=(False, False)).any()

    def test_inference_changes_nothing(self):
        flags = [tensor(PRESENT), tensor((~PRESENT).astype("int32"))]
        for training, rate in ((False, 0.9), (None, 0.9), (True, 0.0)):
            output = L.ModalityDropout(rate)(flags, training=training)
            assert isinstance(output, list)
            assert [array(flag).tolist() for flag in output] == [PRESENT.tolist(), (~PRESENT).tolist()]

    def test_the_seed_decides(self):
        first, same, other = (self.drop(0.5, keep_one=False, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, same)
        assert (first != other).any()

    def test_every_call_draws_afresh(self):
        layer, flag = L.ModalityDropout(0.5, seed=1, keep_one=False), [tensor(np.ones(100, bool))]
        first, second = (array(layer(flag, training=True)[0]) for _ in range(2))
        assert (first != second).any()

    @pytest.mark.parametrize("rate", [-0.1, 1.0])
    def test_bad_rate(self, rate):
        with pytest.raises(ValueError, match=rf"`rate` must lie in \[0, 1\). Received: rate={rate}"):
            L.ModalityDropout(rate)


class TestPositionEmbedding:
    @pytest.mark.parametrize("dim", [6, 7])
    def test_sine(self, dim):
        x = floats(2, 9, dim)
        output = array(L.PositionEmbedding(kind="sine")(tensor(x)))
        for position, i in np.ndindex(9, dim):
            angle = position / 10000 ** (2 * (i // 2) / dim)
            wave = math.sin(angle) if i % 2 == 0 else math.cos(angle)
            np.testing.assert_allclose(output[:, position, i], x[:, position, i] + wave, atol=1e-5)

    def test_learned(self):
        layer, x = L.PositionEmbedding(9), floats(2, 5, 6)
        output = array(layer(tensor(x)))
        np.testing.assert_allclose(output, x + array(layer.weights[0].value)[None, :5], atol=1e-6)
        assert layer.weights[0].shape == (9, 6)
        assert len(np.unique(output - x, axis=1)) > 1

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.PositionEmbedding(9, kind="cosine"), "`kind`.*Received: kind='cosine'"),
            (lambda: L.PositionEmbedding(), "`max_length`.*Received: max_length=None"),
            (lambda: L.PositionEmbedding(4)(floats(2, 5, 6)), "max_length=4.*Received: 5 tokens"),
            (lambda: L.PositionEmbedding(4)(floats(2, 6)), r"PositionEmbedding.*Received: .*\(2, 6\)"),
        ],
        ids=["kind", "no length", "too long", "rank"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    @pytest.mark.parametrize("max_length", [1, 4])
    def test_too_long_after_a_short_one(self, max_length):
        """Also where the layer was built for a shorter sequence; one position must not stand for all."""
        layer = L.PositionEmbedding(max_length)
        layer(floats(2, 1, 6))
        with pytest.raises(ValueError, match=f"max_length={max_length}.*Received: 5 tokens"):
            layer(floats(2, 5, 6))


class TestPixelScaling:
    @pytest.mark.parametrize(("mode", "theirs"), [("caffe", "caffe"), ("torch", "torch"), ("symmetric", "tf")])
    def test_equals_keras_applications(self, mode, theirs):
        image = pixels(8)
        expected = keras.applications.imagenet_utils.preprocess_input(
            image.copy(), data_format="channels_last", mode=theirs
        )
        np.testing.assert_allclose(array(L.PixelScaling(mode)(tensor(image))), expected, atol=2e-5)

    def test_unit(self):
        image = pixels(8)
        np.testing.assert_allclose(array(L.PixelScaling("unit")(tensor(image))), image / 255.0, atol=1e-6)

    def test_clip(self):
        """OpenAI's published mean and deviation of pixels in 0..1."""
        image = pixels(8)
        mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        expected = (image / 255.0 - mean) / deviation
        np.testing.assert_allclose(array(L.PixelScaling("clip")(tensor(image))), expected, atol=1e-5)

    def test_integers_and_videos(self):
        video = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3)).astype("uint8")
        expected = video / 127.5 - 1.0
        np.testing.assert_allclose(array(L.PixelScaling("symmetric")(tensor(video))), expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.PixelScaling("rgb"), r"`mode` must be one of \['caffe'.*Received: mode='rgb'"),
            (lambda: L.PixelScaling()(floats(2, 4, 4, 1)), r"RGB.*Received: shape \(2, 4, 4, 1\)"),
        ],
        ids=["mode", "channels"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestTokens:
    def test_a_feature_map_row_by_row(self):
        x = floats(2, 3, 4, 5)
        output = array(L.Tokens()(tensor(x)))
        for row, column in np.ndindex(3, 4):
            np.testing.assert_array_equal(output[:, row * 4 + column], x[:, row, column])

    def test_a_vector_is_one_token(self):
        x = floats(2, 5)
        np.testing.assert_array_equal(array(L.Tokens()(tensor(x))), x[:, None])

    def test_padding_is_zero_and_the_mask_goes_on(self):
        x = np.where(MASK[..., None], floats(3, 4, 5), np.nan).astype("float32")
        output = L.Tokens()(masked(x, MASK))
        np.testing.assert_array_equal(array(output), np.where(MASK[..., None], x, 0.0))
        np.testing.assert_array_equal(mask_of(output), MASK)

    @pytest.mark.parametrize("shape", [(2,), (2, 3, 4, 5, 6), (2, 3, None)], ids=str)
    def test_bad_shapes(self, shape):
        with pytest.raises(ValueError, match=r"Tokens expects .*Received: shape \("):
            L.Tokens().build(shape)


class TestShapesAndMasks:
    def test_add_channel(self):
        output = L.AddChannel()(masked(floats(3, 4), MASK))
        np.testing.assert_array_equal(array(output), floats(3, 4)[..., None])
        np.testing.assert_array_equal(mask_of(output), MASK)

    def test_flatten_frequency(self):
        x = floats(3, 4, 5, 2)
        output = L.FlattenFrequency()(masked(x, MASK))
        for frequency, channel in np.ndindex(5, 2):
            np.testing.assert_array_equal(array(output)[..., frequency * 2 + channel], x[:, :, frequency, channel])
        np.testing.assert_array_equal(mask_of(output), MASK)
        with pytest.raises(ValueError, match=r"FlattenFrequency.*Received: shape \(3, 4, 5\)"):
            L.FlattenFrequency()(floats(3, 4, 5))

    @pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (3, 4, 5, 2)])
    def test_padding_mask(self, shape):
        x = floats(*shape)
        x[~MASK] = 0
        x[0, 1] = 0
        output = L.PaddingMask()(tensor(x))
        np.testing.assert_array_equal(array(output), x)
        np.testing.assert_array_equal(mask_of(output), MASK)

    def test_padding_mask_narrows_the_mask_it_gets(self):
        x = floats(3, 4, 5)
        x[:, 3] = 0
        expected = MASK & [True, True, True, False]
        np.testing.assert_array_equal(mask_of(L.PaddingMask()(masked(x, MASK))), expected)

    @pytest.mark.parametrize("mode", ["avg", "max", "last"])
    def test_token_pooling(self, mode):
        x = floats(3, 4, 5) - 5.0
        output = L.TokenPooling(mode)(masked(x, MASK))
        for row, length in enumerate(MASK.sum(axis=1)):
            valid = x[row, :length]
            expected = {"avg": valid.mean(axis=0), "max": valid.max(axis=0), "last": valid[-1]}[mode]
            np.testing.assert_allclose(array(output)[row], expected, atol=1e-5)
        assert mask_of(output) is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: L.TokenPooling("mean"), r"`mode` must be one of \['avg', 'last', 'max'\]. Received: mode='mean'"),
            (lambda: L.TokenPooling()(floats(2, 5)), r"Received: shape \(2, 5\)"),
            (lambda: L.pooling_layer("mean"), "`pooling` must be 'avg'.*Received: pooling='mean'"),
        ],
        ids=["mode", "rank", "pooling"],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_pooling_layer(self):
        made = [L.pooling_layer(pooling, name="mine", dtype="bfloat16") for pooling in ("avg", "max", "last")]
        assert [layer.mode for layer in made] == ["avg", "max", "last"]
        made.append(L.pooling_layer("attention", name="mine", dtype="bfloat16"))
        assert isinstance(made[-1], L.AttentionPooling)
        assert all(layer.name == "mine" and layer.compute_dtype == "bfloat16" for layer in made)


class TestBackboneTokens:
    def test_a_network_gets_the_padding_under_its_own_names(self):
        """Id 3 twice, then padding: the network returns ids, padding mask and segments side by side."""
        feeds = {
            name: keras.Input((None,), dtype="int32", name=name)
            for name in ("token_ids", "padding_mask", "segment_ids")
        }
        stacked = keras.layers.Lambda(lambda x: keras.ops.cast(keras.ops.stack(x, axis=-1), "float32"))(
            list(feeds.values())
        )
        layer = L.BackboneTokens(keras.Model(feeds, {"sequence_output": stacked, "other": stacked}))
        output = layer(tensor(np.array([[3, 0, 4, 0, 0]], "int32")))
        assert array(output)[0].tolist() == [[3, 1, 0], [0, 1, 0], [4, 1, 0], [0, 0, 0], [0, 0, 0]]
        assert mask_of(output).tolist() == [[True, True, True, False, False]]

    def test_padded_tokens_are_zero_and_the_stride_is_followed(self):
        x = keras.Input((None, 2), name="x")
        halved = keras.layers.AveragePooling1D(2, padding="same")(x)
        layer = L.BackboneTokens(keras.Model(x, halved + 1.0), stride=2)
        given = np.ones((1, 7, 2), "float32")
        given[:, 3:] = 0
        output = layer(tensor(given))
        assert mask_of(output).tolist() == [[True, True, False, False]]
        assert array(output)[0, :, 0].tolist() == [2.0, 1.5, 0.0, 0.0]


class TestFusedGroupNormalization:
    @pytest.mark.parametrize(
        ("shape", "options", "mean"),
        [
            ((4, 5, 3, 6), {"groups": 3}, 3.0),
            # Large beside what varies: sums of squares would lose it.
            ((4, 5, 3, 6), {"groups": 2, "epsilon": 1e-5}, 1000.0),
            ((3, 7, 4), {"groups": 1}, 0.0),
            ((2, 3, 4, 2, 4), {"groups": -1}, 1.0),
            ((2, 4, 3, 5), {"groups": 2, "axis": 1}, 1.0),
            ((2, 5, 4), {"groups": 2, "center": False}, 1.0),
            ((6, 4), {"groups": 2}, 1.0),
        ],
    )
    def test_equals_keras(self, shape, options, mean):
        x, ramp = mean + 2.0 * floats(*shape), tensor(floats(*shape, seed=1))
        sides = []
        for make in (L.FusedGroupNormalization, keras.layers.GroupNormalization):
            layer = make(**options)
            layer.build(shape)
            layer.gamma.assign(tensor(1.0 + 0.1 * np.arange(layer.gamma.shape[0], dtype="float32")))
            measured = gradients(
                lambda x, layer=layer: keras.ops.sum(ramp * layer(x[0])), layer.trainable_variables, [x]
            )
            sides.append([*keras.tree.flatten(measured), array(layer(tensor(x)))])
        for actual, expected in zip(*sides, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=5e-4, atol=5e-5 + mean * 5e-7)

    def test_reads_half_precision(self):
        layer = L.FusedGroupNormalization(2, dtype="mixed_bfloat16")
        y = layer(keras.ops.cast(tensor(100.0 + 8 * floats(8, 6, 6, 2)), "bfloat16"))
        assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
        assert array(y).std() == pytest.approx(1.0, abs=0.05)


class TestFusedBatchNormalization:
    @pytest.mark.parametrize(
        ("shape", "options"),
        [
            ((4, 5, 3, 2), {}),
            ((4, 5, 3, 2), {"momentum": 0.5, "epsilon": 0.1}),
            ((4, 5, 3, 2), {"center": False}),
            ((4, 5, 3, 2), {"axis": 1}),
            ((6, 2), {}),
        ],
    )
    def test_equals_keras(self, shape, options):
        x, ramp = 3.0 + 2.0 * floats(*shape), tensor(floats(*shape, seed=1))
        sides = []
        for make in (L.FusedBatchNormalization, keras.layers.BatchNormalization):
            layer = make(**options)
            layer.build(shape)
            layer.gamma.assign(tensor(1.0 + 0.1 * np.arange(layer.gamma.shape[0], dtype="float32")))
            measured = gradients(
                lambda x, layer=layer: keras.ops.sum(ramp * layer(x[0], training=True)), layer.trainable_variables, [x]
            )
            layer(tensor(x), training=True)
            inferred = layer(tensor(x), training=False)
            sides.append([*keras.tree.flatten(measured), *layer.get_weights(), array(inferred)])
        for actual, expected in zip(*sides, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)

    def test_reads_half_precision(self):
        layer = L.FusedBatchNormalization(dtype="mixed_bfloat16")
        x = keras.ops.cast(tensor(100.0 + floats(8, 6, 6, 2)), "bfloat16")
        y = layer(x, training=True)
        assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
        assert array(y).std() == pytest.approx(1.0, abs=0.05)
        assert keras.backend.standardize_dtype(layer.moving_mean.dtype) == "float32"

    def test_frozen_it_keeps_its_statistics(self):
        layer = L.FusedBatchNormalization(trainable=False)
        x = tensor(floats(4, 3, 3, 2))
        np.testing.assert_allclose(array(layer(x, training=True)), array(layer(x, training=False)))
        assert array(layer.moving_mean).tolist() == [0.0, 0.0]
