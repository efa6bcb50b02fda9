"""Encoders: word vectors, weights from files, batch statistics, backbones, and what they refuse."""

import keras
import numpy as np
import pytest

from mmkeras import encoders as E
from tests.conformance.backend import array
from tests.conformance.cases import floats, pixels

SHAPE = (32, 32, 3)
IMAGES = pixels(32)[:2]


class TestWordVectors:
    VOCABULARY = ("[PAD]", "cat", "dog", "owl", "new york")

    def read(self, tmp_path, text, vocabulary=VOCABULARY, **options):
        path = tmp_path / "vectors.txt"
        path.write_text(text, encoding="utf-8")
        return E.read_word_vectors(str(path), list(vocabulary), **options)

    @pytest.mark.parametrize("header", ["", "400000 2\n"], ids=["glove", "word2vec"])
    def test_known_words(self, tmp_path, header):
        text = f"{header}the 9 9\ndog 1 -2\n\ncat 3.5 4e-1\nnew york 5 6\nowl 7 8\n"
        vectors = self.read(tmp_path, text)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, [[0, 0], [3.5, 0.4], [1, -2], [7, 8], [5, 6]])

    def test_a_word_vector_file_may_start_with_two_numbers_only_once(self, tmp_path):
        """The second line is a word that happens to be a number, with a vector of one."""
        np.testing.assert_array_equal(self.read(tmp_path, "2 1\n7 5\n8 6\n", ["", "8", "7"]), [[0], [6], [5]])

    def test_unknown_words_are_small_and_seeded(self, tmp_path):
        vocabulary = ["", "cat", *(f"word{i}" for i in range(500))]
        text = "cat 3 -3 3 -3\n"
        vectors = self.read(tmp_path, text, vocabulary)
        assert vectors[1].tolist() == [3, -3, 3, -3]
        assert (vectors[0] == 0).all()
        # 2000 draws of the known vectors' spread, 3: the deviation lies within 5 % but once in a thousand times.
        assert vectors[2:].std() == pytest.approx(3.0, rel=0.05)
        np.testing.assert_array_equal(self.read(tmp_path, text, vocabulary), vectors)
        assert (self.read(tmp_path, text, vocabulary, seed=1)[2:] != vectors[2:]).any()

    @pytest.mark.parametrize("padding", ["", "[PAD]"])
    @pytest.mark.parametrize("line", ["cat 3 x", "cat 3"], ids=["no number", "cut off"])
    def test_a_broken_line_is_named(self, tmp_path, line, padding):
        with pytest.raises(ValueError, match=f"vectors.txt, line 2: expected a word and 2 numbers.*Received: '{line}"):
            self.read(tmp_path, f"dog 1 2\n{line}\n", [padding, "cat", "dog"])

    @pytest.mark.parametrize("text", ["", "hund 1 2\n"], ids=["empty", "other words"])
    def test_nothing_in_common(self, tmp_path, text):
        with pytest.raises(ValueError, match=r"vectors.txt has no vector for any of the 5 words.*\['\[PAD\]', 'cat'"):
            self.read(tmp_path, text)

    @pytest.mark.parametrize("builder", [E.lstm, E.gru])
    def test_an_encoder_starts_from_them(self, builder):
        vectors = floats(7, 5)
        encoder = builder(word_vectors=vectors, units=4)
        embedding = encoder.get_layer("embedding")
        np.testing.assert_array_equal(array(embedding.weights[0].value), vectors)
        assert embedding.trainable
        assert encoder.output_shape == (None, None, 4)
        assert encoder(np.array([[6, 1, 0]], "int32")).shape == (1, 3, 4)


class TestText:
    @pytest.mark.parametrize("builder", [E.lstm, E.gru])
    def test_one_layer_is_the_layer_of_keras(self, builder):
        encoder = builder(9, 4, embedding_dim=3)
        token_ids = np.array([[5, 2, 8]], "int32")
        expected = encoder.get_layer("recurrent_1")(encoder.get_layer("embedding")(token_ids))
        np.testing.assert_allclose(array(encoder(token_ids)), array(expected), atol=1e-6)

    def test_both_directions(self):
        """The second half of a token has read the end of the sentence already."""
        encoder = E.lstm(9, 4, embedding_dim=3, bidirectional=True)
        first, second = (array(encoder(np.array([[5, 2, last]], "int32"))) for last in (8, 7))
        np.testing.assert_array_equal(first[:, :2, :4], second[:, :2, :4])
        assert np.abs(first - second)[:, :2, 4:].max() > 1e-4

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: E.lstm(), "`vocabulary_size` is needed.*Received: vocabulary_size=None"),
            (lambda: E.gru(0), "`vocabulary_size` is needed.*Received: vocabulary_size=0"),
            (lambda: E.lstm(9, word_vectors=floats(7, 5)), r"`word_vectors`.*shape \(7, 5\), vocabulary_size=9"),
            (lambda: E.gru(word_vectors=floats(7)), r"`word_vectors`.*shape \(7,\), vocabulary_size=None"),
            (lambda: E.lstm(9, pooling="mean"), "`pooling`.*Received: pooling='mean'"),
            (lambda: E.transformer_text(9, 8, num_heads=3), "num_heads=3"),
        ],
        ids=["no size", "size zero", "sizes differ", "rank", "pooling", "heads"],
    )
    def test_bad_arguments(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: E.vgg(normalization="instance"), "`normalization` must be one of.*Received: normalization='instance'"),
        (lambda: E.resnet(normalization="none"), "`normalization` must be one of.*Received: normalization='none'"),
        (lambda: E.resnet(pooling="flatten"), "`pooling`.*Received: pooling='flatten'"),
        (lambda: E.vision_transformer(8, image_shape=(64, 60, 3)), r"patch_size=8.*image_shape=\(64, 60, 3\)"),
        (lambda: E.vision_transformer(8, image_shape=(None, None, 3)), r"patch_size=8.*image_shape=\(None, None, 3\)"),
        (lambda: E.vgg(image_shape=(32, 32, 1)), r"RGB.*Received: shape \(None, 32, 32, 1\)"),
        (lambda: E.features((None,)), r"`shape` must be \(size,\).*Received: shape=\(None,\)"),
        (lambda: E.features((4, 5, 6)), r"`shape` must be \(size,\).*Received: shape=\(4, 5, 6\)"),
        (lambda: E.features([]), r"`shape` must be \(size,\).*Received: shape=\(\)"),
    ],
    ids=["vgg", "resnet", "pooling", "patches", "unknown", "grey", "feature size", "feature rank", "no features"],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_vision_transformer_cuts_patches_row_by_row():
    encoder = E.vision_transformer(8, 8, num_layers=0, num_heads=2, image_shape=(16, 24, 3))
    image = pixels(24)[:1, :16]
    before = array(encoder(image))
    image[:, 8:, 8:16] = 0
    changed = np.abs(array(encoder(image)) - before).max(axis=(0, 2))
    assert changed.shape == (6,)
    assert (changed > 1e-4).tolist() == [False, False, False, False, True, False]


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """VGG16 with weights of its own, and the files it can be saved to."""
    keras.utils.set_random_seed(11)
    encoder = E.vgg16(image_shape=SHAPE)
    folder = tmp_path_factory.mktemp("vgg16")
    network = encoder.get_layer("vgg16")
    network.save_weights(folder / "network.weights.h5")
    network.save(folder / "network.keras")
    network.save(folder / "network.h5")
    encoder.save_weights(folder / "encoder.weights.h5")
    encoder.save(folder / "encoder.keras")
    return array(encoder(IMAGES)), folder


class TestWeightsFiles:
    @pytest.mark.parametrize(
        "name",
        [
            "network.weights.h5",
            "network.h5",
            "encoder.weights.h5",
            pytest.param("network.keras", marks=pytest.mark.slow),
            pytest.param("encoder.keras", marks=pytest.mark.slow),
        ],
    )
    def test_load(self, vgg16, name):
        expected, folder = vgg16
        np.testing.assert_array_equal(array(E.vgg16(weights=str(folder / name), image_shape=SHAPE)(IMAGES)), expected)

    def test_without_weights_the_start_is_random(self, vgg16):
        assert np.abs(array(E.vgg16(image_shape=SHAPE)(IMAGES)) - vgg16[0]).max() > 1e-3

    def test_a_path_object(self, vgg16):
        expected, folder = vgg16
        encoder = E.vgg16(weights=folder / "network.weights.h5", image_shape=SHAPE)
        np.testing.assert_array_equal(array(encoder(IMAGES)), expected)

    # Keras also warns; the error must not need that.
    @pytest.mark.filterwarnings("ignore:Skipping nested container")
    @pytest.mark.parametrize(
        ("architecture", "name"),
        [
            ("VGG19", "network.weights.h5"),
            ("VGG19", "network.h5"),
            pytest.param("VGG19", "network.keras", marks=pytest.mark.slow),
            pytest.param("ResNet50", "network.weights.h5", marks=pytest.mark.slow),
            pytest.param("ResNet50", "network.h5", marks=pytest.mark.slow),
            pytest.param("ResNet50", "network.keras", marks=pytest.mark.slow),
        ],
    )
    def test_another_architecture(self, vgg16, architecture, name):
        path, builder = str(vgg16[1] / name), {"VGG19": E.vgg19, "ResNet50": E.resnet50}[architecture]
        with pytest.raises(ValueError, match=rf"{name}' does not hold weights of {architecture}.*Received: ."):
            builder(weights=path, image_shape=SHAPE)

    @pytest.mark.parametrize("name", ["text.h5", "text.weights.h5", "text.keras"])
    def test_not_a_weights_file(self, tmp_path, name):
        (tmp_path / name).write_text("not weights")
        with pytest.raises(ValueError, match=rf"{name}' does not hold weights of VGG16.*Received: ."):
            E.vgg16(weights=str(tmp_path / name), image_shape=SHAPE)

    @pytest.mark.parametrize("builder", [E.vgg16, E.resnet50])
    def test_no_such_file(self, tmp_path, builder):
        with pytest.raises(
            ValueError, match=r"`weights` must be None, 'imagenet' or.*missing.h5', which is not a file"
        ):
            builder(weights=str(tmp_path / "missing.h5"), image_shape=SHAPE)

    @pytest.mark.slow
    def test_no_such_file_for_a_network_of_keras_hub(self, tmp_path):
        with pytest.raises(ValueError, match=r"ResNet18.*missing.h5"):
            E.resnet18(weights=str(tmp_path / "missing.h5"), image_shape=SHAPE)


def _small_resnet50(*, weights, include_top, input_shape, name):
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    return keras.Model(image, keras.layers.BatchNormalization(name="norm")(x), name=name)


def moved(encoder):
    """How far one call in training moves the statistics of batch normalisation."""
    statistics = [w for w in encoder.weights if "moving" in w.path]
    assert statistics
    before = [array(w.value) for w in statistics]
    encoder(IMAGES, training=True)
    return max(np.abs(array(w.value) - old).max() for w, old in zip(statistics, before, strict=True))


class TestFrozenStatistics:
    """With a network of one block in place of the 50 layers, and once with all of them."""

    @pytest.fixture
    def small(self, monkeypatch):
        monkeypatch.setattr(keras.applications, "ResNet50", _small_resnet50)

    @pytest.mark.parametrize(("frozen", "stays"), [(True, True), (False, False), (None, False)])
    def test_without_weights(self, small, frozen, stays):
        encoder = E.resnet50(image_shape=SHAPE, frozen_statistics=frozen)
        assert (moved(encoder) == 0) == stays
        # Scale and offset are trained either way.
        assert len(encoder.trainable_weights) == 4

    @pytest.mark.parametrize(("frozen", "stays"), [(None, True), (True, True), (False, False)])
    def test_with_weights(self, small, tmp_path, frozen, stays):
        path = str(tmp_path / "small.weights.h5")
        E.resnet50(image_shape=SHAPE).get_layer("resnet50").save_weights(path)
        assert (moved(E.resnet50(weights=path, image_shape=SHAPE, frozen_statistics=frozen)) == 0) == stays

    def test_training_and_inference_agree_where_they_are_frozen(self, small):
        encoder = E.resnet50(image_shape=SHAPE, frozen_statistics=True)
        np.testing.assert_allclose(array(encoder(IMAGES, training=True)), array(encoder(IMAGES)), atol=1e-5)

    def test_they_stay_frozen_through_fit(self, small):
        encoder = E.resnet50(image_shape=SHAPE, frozen_statistics=True, pooling="avg")
        before = {w.path: array(w.value) for w in encoder.weights}
        encoder.compile(optimizer="sgd", loss="mse")
        encoder.fit(IMAGES, floats(2, 4), verbose=0)
        for weight in encoder.weights:
            assert (np.abs(array(weight.value) - before[weight.path]).max() == 0) == ("moving" in weight.path)

    @pytest.mark.slow
    @pytest.mark.parametrize("frozen", [True, False])
    def test_resnet50(self, frozen):
        assert (moved(E.resnet50(image_shape=SHAPE, frozen_statistics=frozen)) == 0) == frozen


class TestBackbones:
    def network(self):
        image = keras.Input((8, 8, 3))
        return keras.Model(image, keras.layers.Conv2D(4, 2, strides=2)(image), name="mine")

    def test_an_image_network_of_your_own(self):
        network, image = self.network(), pixels(8)
        encoder = E.from_backbone(network, modality="image", scaling="unit")
        assert [source.name for source in encoder.inputs] == ["image"]
        expected = array(network(image / 255.0)).reshape(3, 16, 4)
        np.testing.assert_allclose(array(encoder(image)), expected, atol=1e-5)

    def test_a_text_network_of_your_own(self):
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        network = keras.Model({"token_ids": token_ids}, keras.layers.Embedding(9, 4)(token_ids))
        encoder = E.from_backbone(network, modality="text", pooling="avg")
        expected = array(network({"token_ids": np.array([[5, 2]], "int32")})).mean(axis=1)
        np.testing.assert_allclose(array(encoder(np.array([[5, 2, 0]], "int32"))), expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "Functional is not known by name: say modality=.*Received: modality=None"),
            ({"modality": "audio"}, "Functional is not known by name.*Received: modality='audio'"),
            ({"modality": "image"}, "pixel range of Functional is not known: give `scaling`.*Received: scaling=None"),
            ({"modality": "image", "scaling": "rgb"}, "`mode` must be one of.*Received: mode='rgb'"),
        ],
        ids=["no modality", "unknown modality", "no scaling", "unknown scaling"],
    )
    def test_bad_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            E.from_backbone(self.network(), **options)

    @pytest.mark.parametrize("thing", [None, 3, object()], ids=["None", "number", "object"])
    def test_not_a_backbone(self, thing):
        with pytest.raises(ValueError, match=r"`backbone` must be a keras-hub backbone, a preset .*Received:"):
            E.from_backbone(thing, modality="image")

    @pytest.mark.slow
    @pytest.mark.parametrize("modality", [None, "audio"])
    def test_two_towers(self, modality):
        import keras_hub

        shared = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 8}
        vision = keras_hub.models.CLIPVisionEncoder(patch_size=8, image_shape=(16, 16, 3), **shared)
        text = keras_hub.models.CLIPTextEncoder(vocabulary_size=9, embedding_dim=8, max_sequence_length=5, **shared)
        clip = keras_hub.models.CLIPBackbone(vision_encoder=vision, text_encoder=text, projection_dim=4)
        with pytest.raises(ValueError, match=f"CLIPBackbone has a vision and a text.*Received: modality={modality!r}"):
            E.from_backbone(clip, modality=modality)


class TestLearnedWordVectors:
    DOCUMENTS = np.random.default_rng(0).integers(0, 30, (40, 12))

    def test_they_are_the_largest_singular_vectors(self):
        vectors = E.learn_word_vectors(self.DOCUMENTS, 32, 6)
        counts = np.stack([np.bincount(row, minlength=32) for row in self.DOCUMENTS])
        counts[:, 0] = 0
        idf = np.log(41 / (1 + (counts > 0).sum(axis=0)))
        matrix = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
        _, values, words = np.linalg.svd(matrix)
        expected = (words[:6].T * values[:6]) @ words[:6]
        found = vectors @ vectors.T
        # Signs and the scale are free.
        np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=5e-3)
        assert not vectors[[0, 30, 31]].any()

    def test_an_encoder_starts_from_them(self):
        vectors = E.learn_word_vectors(self.DOCUMENTS, 32, 6)
        encoder = E.bag_of_words(word_vectors=vectors, pooling="avg")
        found = array(encoder(np.array([[3, 5, 0], [7, 0, 0]])))
        np.testing.assert_allclose(found, [vectors[[3, 5]].mean(axis=0), vectors[7]], atol=1e-6)

    @pytest.mark.parametrize(
        ("documents", "size", "dim", "message"),
        [
            (np.ones((3, 4)), 9, 2, "must be an integer array"),
            (np.array([[1, 9]]), 9, 1, r"must lie in 0\.\.8"),
            (np.array([[1, 2]]), 9, 2, "`dim` must lie between 1"),
        ],
    )
    def test_what_teaches_nothing(self, documents, size, dim, message):
        with pytest.raises(ValueError, match=message):
            E.learn_word_vectors(documents, size, dim)
