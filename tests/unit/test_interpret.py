"""What counted for an answer: found where it is known, added up, and nothing changed by looking."""

import copy

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.evaluation.shapley import shapley_values, subsets_of
from mmkeras.interpret.probing import replaced

SIZE, WORDS = 16, ["[START]", "dark", "the", "light", "[END]"]
SQUARE = 5


def scenes(count, seed=0):
    """Pictures with a light or a dark square at some place, which is the class; other modalities say nothing."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(100, 140, (count, SIZE, SIZE, 3))
    classes = rng.integers(0, 2, count)
    places = rng.integers(0, SIZE - SQUARE, (count, 2))
    for image, (row, column), label in zip(images, places, classes, strict=True):
        image[row : row + SQUARE, column : column + SQUARE] = 250 if label else 10
    return (
        {"image": images.astype("float32"), "features": rng.normal(size=(count, 3)).astype("float32")},
        classes,
        places,
    )


@pytest.fixture(scope="module")
def seeing():
    """A task that has learned to tell light squares from dark ones, and never to listen to features."""
    keras.utils.set_random_seed(0)
    x, y, _ = scenes(256)
    image = mm.encoders.vgg(1, 8, normalization=None, image_shape=(SIZE, SIZE, 3), pooling="max")
    deaf = mm.encoders.features((3,), 4)
    deaf.get_layer("dense").kernel.assign(np.zeros((3, 4)))
    deaf.trainable = False
    task = mm.models.MultimodalClassifier(
        {"image": image, "features": deaf}, mm.layers.ConcatFusion(), classes=["dark", "light"]
    )
    task.compile(optimizer=keras.optimizers.Adam(5e-3))
    history = task.fit(x, y, batch_size=32, epochs=8, verbose=0)
    assert history.history["accuracy"][-1] > 0.95
    return task


@pytest.fixture(scope="module")
def reading():
    """A task that answers with its second word; each modality may be absent."""
    keras.utils.set_random_seed(0)
    text = mm.preprocessing.Text(length=6, vocabulary=["the", "dark", "light"])
    pre = mm.preprocessing.Preprocessor(
        text=text, features=mm.preprocessing.Features(), optional=("text", "features")
    ).adapt([{"features": [-1.0, 1.0]}, {"features": [1.0, -1.0]}])
    task = mm.models.MultimodalClassifier(
        {
            "text": mm.encoders.bag_of_words(text.num_tokens, 8, pooling="avg"),
            "features": mm.encoders.features((2,), 4),
        },
        mm.layers.ConcatFusion(),
        classes=["dark", "light"],
        preprocessor=pre,
        optional=("text", "features"),
    )
    x = {
        "token_ids": np.tile([[2, 5, 4, 3, 0, 0], [2, 6, 4, 3, 0, 0]], (64, 1)),
        "features": np.random.default_rng(0).normal(size=(128, 2)),
    }
    task.compile(optimizer=keras.optimizers.Adam(5e-2))
    task.fit(x, np.tile([0, 1], 64), epochs=6, verbose=0)
    return task


def record_of(x, row):
    return {name: values[row] for name, values in x.items()}


def adds_up(why):
    return sum(values.sum(dtype="float64") for values in why.maps.values()), why.score - why.baseline


def test_grad_cam_points_at_the_square(seeing):
    x, y, places = scenes(12, seed=1)
    for row in range(12):
        why = mm.interpret.grad_cam(seeing, record_of(x, row))
        assert why.answer == ["dark", "light"][y[row]]
        assert set(why.maps) == {"image"}
        heat, (top, left) = why.maps["image"], places[row]
        assert heat.shape == (SIZE, SIZE)
        assert 0 <= heat.min() < 0.5 < heat.max() <= 1
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert top - 1 <= row <= top + SQUARE
        assert left - 1 <= column <= left + SQUARE
        inside = heat[top : top + SQUARE, left : left + SQUARE]
        assert inside.mean() > 3 * (heat.sum() - inside.sum()) / (heat.size - inside.size)


def test_grad_cam_tells_classes_apart(seeing):
    image = np.full((SIZE, SIZE, 3), 120.0)
    image[5:10, 1:6], image[5:10, 10:15] = 250, 10
    for target, half in (("light", slice(0, 8)), ("dark", slice(8, 16))):
        heat = mm.interpret.grad_cam(seeing, {"image": image, "features": np.zeros(3)}, target=target).maps["image"]
        assert heat[:, half].sum() > 0.7 * heat.sum()


def test_grad_cam_asks_for_another_class_and_another_layer(seeing):
    record = record_of(scenes(1, seed=2)[0], 0)
    said = mm.interpret.grad_cam(seeing, record).answer
    other = {"dark": "light", "light": "dark"}[said]
    why = mm.interpret.grad_cam(seeing, record, "image", target=other, layer="block1_1_relu")
    assert why.answer == other
    assert why.score < 0.5
    assert np.allclose(
        why.maps["image"],
        mm.interpret.grad_cam(seeing, record, target=["dark", "light"].index(other), layer="block1_1_relu").maps[
            "image"
        ],
    )
    with pytest.raises(ValueError, match="'block1_1_relu'"):
        mm.interpret.grad_cam(seeing, record, layer="fusion")
    with pytest.raises(ValueError, match="integrated_gradients"):
        mm.interpret.grad_cam(seeing, record, "features")
    with pytest.raises(ValueError, match="'dark', 'light'"):
        mm.interpret.grad_cam(seeing, record, target="grey")


@pytest.mark.parametrize(
    ("inputs", "encoder", "value", "shape"),
    [
        ("image", lambda: mm.encoders.vision_transformer(4, 8, num_layers=1, image_shape=(8, 8, 3)), (8, 8, 3), (8, 8)),
        (
            "frames",
            lambda: mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), lstm_units=4),
            (3, 8, 8, 3),
            (3, 8, 8),
        ),
        (
            "spectrogram",
            lambda: mm.encoders.spectrogram_cnn(dim=8, width=4, num_mels=16, from_waveform=False),
            (20, 16),
            (20, 16),
        ),
        ("audio", lambda: mm.encoders.spectrogram_cnn(1024, 4, dim=8, num_mels=16), (512,), (32, 16)),
        ("audio", lambda: mm.encoders.conv1d_audio(4, (4, 4)), (64,), (64,)),
        ("signal", lambda: mm.encoders.signal(2, 4, (2,)), (20, 2), (20,)),
    ],
    ids=["patches", "frames", "spectrogram", "waveform to spectrogram", "waveform", "signal"],
)
def test_grad_cam_finds_the_layer(inputs, encoder, value, shape):
    modality = {"frames": "video", "spectrogram": "audio"}.get(inputs, inputs)
    task = mm.models.MultimodalClassifier({modality: encoder()}, classes=2)
    value = np.random.default_rng(0).uniform(1, 50, value) / (1 if inputs in ("image", "frames") else 50)
    found = [mm.interpret.grad_cam(task, {inputs: value}, target=target) for target in (0, 1)]
    assert all(why.maps[modality].shape == shape for why in found)
    # Whatever an untrained layer gives, something in it speaks for one of two classes.
    assert max(why.maps[modality].max() for why in found) > 0
    assert found[0].plot().axes


def test_integrated_gradients_add_up_and_find_what_decides(seeing):
    x, _, places = scenes(3, seed=1)
    for row, (top, left) in enumerate(places):
        why = mm.interpret.integrated_gradients(seeing, record_of(x, row), baseline={"image": 120.0})
        total, change = adds_up(why)
        assert abs(change) > 0.1
        assert abs(total - change) < 0.02 * abs(change)
        assert np.abs(why.maps["features"]).max() < 1e-6
        inside = why.maps["image"][top : top + SQUARE, left : left + SQUARE].sum()
        assert inside > 0.8 * change


def test_baseline_is_the_score_of_nothing(seeing):
    record = record_of(scenes(1, seed=3)[0], 0)
    why = mm.interpret.integrated_gradients(seeing, record, target="light")
    nothing = {"image": np.zeros((1, SIZE, SIZE, 3)), "features": np.zeros((1, 3))}
    assert why.baseline == pytest.approx(float(seeing.predict(nothing, verbose=0)["label"][0, 1]), abs=1e-4)
    assert why.score == pytest.approx(seeing.classify(record)["probabilities"]["light"], abs=1e-5)


def test_the_word_that_decides_gets_most(reading):
    record = {"text": "light the", "features": [0.3, -0.2]}
    why = mm.interpret.integrated_gradients(reading, record)
    assert why.answer == "light"
    assert why.words["text"] == ["[START]", "light", "the", "[END]"]
    total, change = adds_up(why)
    assert why.maps["text"].shape == (4,)
    assert abs(total - change) < 0.02 * abs(change)
    assert why.maps["text"].argmax() == 1
    assert why.maps["text"][1] > 0.8 * np.abs(why.maps["text"]).sum()
    # The padding mask stays as it is: with all word vectors at zero the task answers as the line begins.
    embedding = reading.encoders["text"].get_layer("embedding")
    kept = embedding.get_weights()
    embedding.set_weights([np.zeros_like(kept[0])])
    blank = reading.classify({**record, "features": [0.0, 0.0]})["probabilities"]["light"]
    embedding.set_weights(kept)
    assert why.baseline == pytest.approx(blank, abs=1e-3)


def test_shapley_values_of_gloves():
    # Shapley's own game: two left gloves, one right, and only a pair is worth anything.
    worth = {kept: float("right" in kept and len(kept) > 1) for kept in subsets_of(["left", "other left", "right"])}
    values = shapley_values(worth)
    assert values == pytest.approx({"left": 1 / 6, "other left": 1 / 6, "right": 2 / 3})


def test_contributions_by_absence(reading):
    records = [{"text": "light the", "features": [0.1, 0.2]}, {"text": "dark the"}]
    found = mm.interpret.contributions(reading, records)
    assert found.answers == ["light", "dark"]
    assert found.modalities == ("text", "features")
    assert np.allclose(found.values.sum(axis=1), found.scores - found.nothing, atol=1e-6)
    assert np.all(found.values[:, 0] > 0.3)
    assert abs(found.values[1, 1]) < 1e-6
    probability = reading.classify(records)[0]["probabilities"]["light"]
    assert found.scores[0] == pytest.approx(probability, abs=1e-5)
    assert [row["answer"] for row in found.table()] == ["light", "dark"]
    assert found.plot().axes


def test_contributions_by_other_records(seeing):
    x, _, _ = scenes(6, seed=4)
    with pytest.raises(ValueError, match="give `background`"):
        mm.interpret.contributions(seeing, record_of(x, 0))
    others = [record_of(x, row) for row in range(1, 6)]
    found = mm.interpret.contributions(seeing, record_of(x, 0), background=others)
    assert found.values.sum() == pytest.approx(found.scores[0] - found.nothing[0], abs=1e-6)
    assert abs(found.values[0, 1]) < 1e-6
    name = found.answers[0]
    mean = np.mean([answer["probabilities"][name] for answer in seeing.classify(others)])
    assert found.nothing[0] == pytest.approx(mean, abs=1e-5)


def test_sentences():
    task = mm.models.ImageCaptioner(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), units=8, vocabulary_size=12)
    record = {"image": np.random.default_rng(0).uniform(0, 255, (8, 8, 3))}
    why = mm.interpret.integrated_gradients(task, record, target=[5, 6], steps=8)
    assert why.score == pytest.approx(task.score(record, np.array([2, 5, 6, 3])), abs=1e-4)
    total, change = adds_up(why)
    assert abs(total - change) < 0.05 * abs(change) + 1e-4
    assert mm.interpret.grad_cam(task, record, target=[5, 6]).maps["image"].shape == (8, 8)


def test_pairs():
    encoders = {"image": mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), "text": mm.encoders.bag_of_words(20, 4)}
    task = mm.models.JointEmbedding(encoders, dim=4)
    for layer in task._flatten_layers():
        if isinstance(layer, keras.layers.Dense) and layer.use_bias:
            layer.bias.assign(np.linspace(-0.2, 0.3, layer.units))
    record = {"image": np.random.default_rng(0).uniform(0, 255, (8, 8, 3)), "token_ids": np.array([4, 5, 0])}
    similarity = task.score(
        {"image": record["image"]}, {"token_ids": record["token_ids"]}, modalities=("image", "text")
    )
    why = mm.interpret.integrated_gradients(task, record, steps=16)
    assert [why.score, why.answer] == pytest.approx([float(similarity)] * 2, abs=1e-5)
    total, change = adds_up(why)
    assert abs(total - change) < 0.05 * max(0.05, abs(change))
    with pytest.raises(ValueError, match="two of"):
        mm.interpret.grad_cam(task, {"image": record["image"]})


def test_several_answers_and_steps():
    heads = {"kind": mm.layers.ClassHead(3), "size": mm.layers.NumberHead(2)}
    task = mm.models.MultiTask({"features": mm.encoders.features((4,), 8)}, heads=heads)
    record = {"features": np.array([1.0, -2.0, 0.5, 3.0])}
    with pytest.raises(ValueError, match="'kind', 'size'"):
        mm.interpret.integrated_gradients(task, record)
    with pytest.raises(ValueError, match="several numbers"):
        mm.interpret.integrated_gradients(task, record, output="size")
    why = mm.interpret.integrated_gradients(task, record, output="size", target=1)
    assert why.answer == pytest.approx(task.answer(record)["size"][1], abs=1e-5)
    total, change = adds_up(why)
    assert total == pytest.approx(change, abs=0.02 * abs(change) + 1e-5)

    tagger = mm.models.SequenceTagger({"features": mm.encoders.features((None, 2), 4)}, classes=2, context=None)
    series = {"features": np.random.default_rng(0).normal(size=(5, 2))}
    found = mm.interpret.integrated_gradients(tagger, series, step=3).maps["features"]
    assert np.flatnonzero(np.abs(found) > 1e-6).tolist() == [3]
    with pytest.raises(ValueError, match=r"0\.\.4"):
        mm.interpret.integrated_gradients(tagger, series)


def test_attention_maps():
    encoders = {
        "image": mm.encoders.vision_transformer(4, 8, num_layers=1, image_shape=(8, 8, 3)),
        "text": mm.encoders.bag_of_words(20, 8, pooling=None),
        "video": mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3), pooling="attention")),
    }
    task = mm.models.MultimodalClassifier(encoders, mm.layers.AttentionFusion(num_heads=2, name="fusion"), classes=2)
    record = {"image": np.ones((8, 8, 3)), "token_ids": np.array([4, 5, 0]), "frames": np.ones((3, 8, 8, 3))}
    found = mm.interpret.attention_maps(task, record)
    assert {name: maps.shape for name, maps in found.items()} == {
        "image_encoder/block_1/self_attention": (4, 4, 4),
        "video_encoder/each_frame/pooling": (3, 1, 1, 16),
        "fusion/block_0/self_attention": (2, 10, 10),
    }
    for maps in found.values():
        assert np.allclose(maps.sum(axis=-1), 1, atol=1e-5)
    # Image, text, video: the third word is padding.
    assert np.all(found["fusion/block_0/self_attention"][:, :, 6] == 0)
    with pytest.raises(ValueError, match="no attention"):
        mm.interpret.attention_maps(
            mm.models.MultimodalClassifier({"features": mm.encoders.features((2,))}, classes=2),
            {"features": np.ones(2)},
        )


def test_looking_changes_nothing(seeing):
    record = record_of(scenes(1, seed=5)[0], 0)
    config = copy.deepcopy(seeing.get_config())
    weights, function = [w.copy() for w in seeing.get_weights()], seeing.train_function
    mm.interpret.grad_cam(seeing, record)
    mm.interpret.integrated_gradients(seeing, record, steps=8)
    mm.interpret.contributions(seeing, record, background=[record])
    assert seeing.train_function is function
    assert str(seeing.get_config()) == str(config)
    assert all(np.array_equal(a, b) for a, b in zip(weights, seeing.get_weights(), strict=True))
    for layer in seeing._flatten_layers():
        assert not {"call", "attend"} & set(vars(layer))
    layer = keras.layers.Dense(1)
    with pytest.raises(ZeroDivisionError), replaced(layer, "call", None):
        raise ZeroDivisionError
    assert "call" not in vars(layer)


def test_pictures(reading, seeing, tmp_path):
    pytest.importorskip("matplotlib")
    record = record_of(scenes(1, seed=6)[0], 0)
    for name, why in {
        "words": mm.interpret.integrated_gradients(reading, {"text": "light the", "features": [1.0, 2.0]}, steps=8),
        "signed": mm.interpret.integrated_gradients(seeing, record, steps=8),
    }.items():
        figure = why.plot()
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        texts = [text.get_text() for axis in figure.axes for text in axis.texts]
        assert ("light" in texts) == (name == "words")
    words = mm.interpret.integrated_gradients(reading, {"text": "light the"}, steps=8).plot()
    assert [text.get_text() for text in words.axes[0].texts] == ["[START]", "light", "the", "[END]"]


def test_what_cannot_be_explained():
    task = mm.models.Transcriber(mm.encoders.conv1d_audio(4, (4, 4)), vocabulary_size=5)
    with pytest.raises(ValueError, match="must answer with classes"):
        mm.interpret.grad_cam(task, {"audio": np.ones(64)})
    task = mm.models.MultimodalRegressor({"features": mm.encoders.features((3,))})
    record = {"features": np.ones(3)}
    with pytest.raises(ValueError, match="positive integer"):
        mm.interpret.integrated_gradients(task, record, steps=0)
    with pytest.raises(ValueError, match="modalities of numbers"):
        mm.interpret.integrated_gradients(task, record, baseline={"text": 0})
    with pytest.raises(ValueError, match=r"array of shape \(3,\)"):
        mm.interpret.integrated_gradients(task, record, baseline={"features": np.ones(2)})
    with pytest.raises(ValueError, match="no `target`"):
        mm.interpret.integrated_gradients(task, record, target=1)
