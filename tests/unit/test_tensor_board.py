"""What TensorBoard is given can be read back: numbers, sentences, pictures, the projector's files, graph, settings."""

import builtins
import pathlib
import types

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras.training import class_samples
from mmkeras.training.summaries import in_words, pictures_of, write_figure

pytest.importorskip("matplotlib")

COLOURS = {"red": (230, 20, 20), "green": (20, 180, 40), "blue": (30, 40, 230)}
SIZE = 8


def records(count=6):
    """Pictures of one colour each, with what people say of them, and the colour as a label."""
    names = [list(COLOURS)[row % 3] for row in range(count)]
    return [
        {
            "image": np.full((SIZE, SIZE, 3), COLOURS[name], "uint8"),
            "text": [f"a {name} wall", name],
            "label": name,
            "row": row,
        }
        for row, name in enumerate(names)
    ]


def encoder(pooling=None):
    return mm.encoders.vgg(1, 4, convolutions=1, image_shape=(SIZE, SIZE, 3), pooling=pooling)


def captioner():
    text = mm.preprocessing.Text(length=5)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((SIZE, SIZE)), text=text).adapt(records())
    task = mm.models.ImageCaptioner(encoder(), mm.layers.LSTMDecoder(text.num_tokens, 8), preprocessor=pre)
    task.compile()
    return task


def embedding():
    text = mm.preprocessing.Text(length=5)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((SIZE, SIZE)), text=text).adapt(records())
    encoders = {"image": encoder("avg"), "text": mm.encoders.bag_of_words(text.num_tokens, 4)}
    task = mm.models.JointEmbedding(encoders, dim=4, preprocessor=pre)
    task.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 10)))
    return task


def classifier():
    text = mm.preprocessing.Text(length=5)
    parts = {"image": mm.preprocessing.Image((SIZE, SIZE)), "text": text, "label": mm.preprocessing.Label()}
    pre = mm.preprocessing.Preprocessor(optional=("text",), **parts).adapt(records())
    encoders = {"image": encoder("avg"), "text": mm.encoders.bag_of_words(text.num_tokens, 4, name="words")}
    task = mm.models.MultimodalClassifier(encoders, classes=pre["label"].classes, optional=("text",), preprocessor=pre)
    task.compile(keras.optimizers.Adam(0.25))
    return task


def fit(task, folder, held=None, *, epochs=1, validate=False, **options):
    """Fit a task, with the callback, on its own records."""
    callback = mm.training.TensorBoard(folder, held, **options)
    data = [{**record, "text": record["text"][0]} for record in records()]
    x, y = task.preprocessor(data), task.preprocessor.targets(data)
    validation = (x, y) if validate else None
    task.fit(x, y, validation_data=validation, epochs=epochs, callbacks=[callback], verbose=0)
    return callback


def begin(task, folder, held):
    """What `fit` asks of the callback before the first batch."""
    callback = mm.training.TensorBoard(folder, held)
    callback.set_params({"epochs": 1})
    callback.set_model(task)
    callback.on_train_begin()


def loader(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def events(folder):
    """What was written in a folder: dict tag -> list of (step, strings), and the plugins of tags."""
    read = loader(folder)
    written = {
        tag: [(event.step, list(event.tensor_proto.string_val)) for event in read.Tensors(tag)]
        for tag in read.Tags()["tensors"]
    }
    return written, {tag: read.SummaryMetadata(tag).plugin_data for tag in written}


def picture(strings):
    """The one picture of an event, decoded: (height, width, 3)."""
    import tensorflow as tf

    width, height, png = strings
    decoded = tf.io.decode_png(png).numpy()
    assert decoded.shape == (int(height), int(width), 3)
    assert decoded.std() > 5
    return decoded


def settings(folder):
    from tensorboard.plugins.hparams import metadata

    content = events(folder)[1]["_hparams_/session_start_info"].content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """The folder of a classifier that surely says green, and the figures that were drawn of it, by name."""
    folder, figures = tmp_path_factory.mktemp("answered"), {}
    task = classifier()
    kernel, bias = task.head("label").weights
    kernel.assign(kernel * 0.1)
    bias.assign([-3.0, 3.0, -3.0])

    def write(name, figure):
        figures.setdefault(name, []).append(figure)
        write_figure(name, figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmkeras.training.class_samples.write_figure", write)
        given = {"batch_size": np.int64(6), "note": "first"}
        fit(task, folder, records(), num_samples=3, validate=True, hyper_parameters=given)
    return folder, figures


@pytest.mark.tensorflow
class TestWritten:
    def test_captioner(self, tmp_path):
        task = captioner()
        callback = fit(task, tmp_path, records(), epochs=4, every=2, num_samples=1, update_freq=100)
        written, plugins = events(tmp_path)
        said = [sentence.text for sentence in task.generate(records()[:1], return_attention=True)]
        # After the first epoch, after every second one, and the last is one of those.
        for tag in ("sentences", "pictures", "attention/0"):
            assert [step for step, _ in written[tag]] == [0, 1, 3]
        assert "attention/1" not in written
        text = written["sentences"][-1][1][0].decode()
        assert text.splitlines() == ["| said | people said |", "| --- | --- |", f"| {said[0]} | a red wall |"]
        assert plugins["sentences"].plugin_name == "text"
        picture(written["pictures"][-1][1])
        picture(written["attention/0"][-1][1])
        numbers, _ = events(tmp_path / "train")
        # Also where Keras writes batches, and few of them.
        assert [step for step, _ in numbers["epoch_loss"]] == [0, 1, 2, 3]
        assert callback.records[0]["label"] == "red"

    def test_embedding(self, tmp_path):
        from google.protobuf import text_format
        from tensorboard.plugins import projector

        other = 'embeddings { tensor_name: "theirs" tensor_path: "theirs.tsv" }'
        (tmp_path / "projector_config.pbtxt").write_text(other)
        held = records(4)
        held[3] = {**held[3], "text": None}
        task = embedding()
        fit(task, tmp_path, held)
        config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), projector.ProjectorConfig())
        mine, theirs = config.embeddings
        assert theirs.tensor_name == "theirs"
        vectors = np.loadtxt(tmp_path / mine.tensor_path, delimiter="\t")
        pictures, texts = task.embed("image", held), task.embed("text", held[:3])
        np.testing.assert_allclose(vectors, np.concatenate([pictures, texts]), atol=1e-4)
        header, *lines = [line.split("\t") for line in (tmp_path / mine.metadata_path).read_text().splitlines()]
        assert header == ["what", "modality", "record", "label", "row"]
        assert lines[0] == ["image of record 0", "image", "0", "red", "0"]
        assert lines[4] == ["a red wall", "text", "0", "red", "0"]
        assert len(lines) == len(vectors) == 7
        sprite = mm.data.media.image.load_image(tmp_path / mine.sprite.image_path)
        side = mine.sprite.single_image_dim[0]
        # Seven thumbnails in a square of nine, row by row.
        assert sprite.shape == (3 * side, 3 * side, 3)
        thumbnails = sprite.reshape(3, side, 3, side, 3).swapaxes(1, 2).reshape(9, side, side, 3)
        means = thumbnails[:4].mean(axis=(1, 2))
        np.testing.assert_allclose(means, [COLOURS[record["label"]] for record in held], atol=1)
        # Words are dark on a light tile, and there are none in places without a point.
        assert all(tile.min() < 80 < 200 < tile.mean() < 254 for tile in thumbnails[4:7])
        assert (thumbnails[7:] == 255).all()

    def test_classifier(self, answered):
        folder, figures = answered
        written, _ = events(folder)
        (confusion,) = figures["confusion/label"]
        # It always says green, of which a third is so.
        shares = confusion.axes[0].get_images()[0].get_array()
        np.testing.assert_array_equal(shares, [[0, 100, 0]] * 3)
        assert picture(written["confusion/label"][0][1]).shape[2] == 3
        (wrong,) = figures["wrong/label"]
        panels = [axis for axis in wrong.axes if axis.get_title()]
        surest = [float(axis.get_title().removeprefix("green (").removesuffix(" %)")) for axis in panels]
        assert len(panels) == 3
        assert surest == sorted(surest, reverse=True)
        assert surest[-1] > 50
        for axis in panels:
            looks = axis.get_images()[0].get_array()[0, 0].tolist()
            true = [f"is {name}\na {name} wall" for name in ("red", "blue") if list(COLOURS[name]) == looks]
            assert [axis.get_xlabel()] == true
        picture(written["wrong/label"][0][1])
        assert len(events(folder / "validation")[0]["epoch_accuracy"]) == 1

    def test_graph(self, answered):
        import tensorflow as tf

        graph = tf.compat.v1.GraphDef.FromString(loader(answered[0]).Graph().SerializeToString())
        nodes = {node.name: set(node.input) for node in graph.node}
        # From the inputs, by way of layers in encoders and of presence, to the fusion and the answer.
        assert nodes["image"] == set()
        assert nodes["image_encoder/image"] == {"image"}
        assert nodes["token_ids_or_zero"] == {"token_ids", "text_present"}
        assert nodes["fusion"] == {"image_encoder/pooling", "text_or_null", "text_present"}
        assert nodes["label"] == {"dropout"}
        assert {source for sources in nodes.values() for source in sources} <= set(nodes)
        (image,) = (node for node in graph.node if node.name == "image")
        assert [dim.size for dim in image.attr["_output_shapes"].list.shape[0].dim] == [-1, SIZE, SIZE, 3]
        assert image.op == "InputLayer"

    def test_settings(self, answered):
        found = settings(answered[0])
        expected = {
            "batch_size": 6,
            "fusion": "GatedFusion",
            "learning_rate": 0.25,
            "loss": "SparseCategoricalCrossentropy",
            "modalities": "image, text",
            "note": "first",
            "num_epochs": 1,
            "num_weights": classifier().count_params(),
            "optimizer": "Adam",
            "task": "MultimodalClassifier",
            "text_encoder": "words",
        }
        assert found == expected
        assert "_hparams_/session_end_info" in events(answered[0])[0]

    def test_a_plain_keras_model(self, tmp_path):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 9)), "mse")
        model.fit(
            np.ones((2, 2)), np.ones((2, 1)), callbacks=[mm.training.TensorBoard(str(tmp_path), write_graph=False)]
        )
        # Nothing but what was asked for.
        assert set(events(tmp_path)[0]) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
        found = settings(tmp_path)
        assert (found["optimizer"], found["learning_rate_schedule"], found["learning_rate"]) == (
            "SGD",
            "CosineDecay",
            0.5,
        )


@pytest.mark.tensorflow
class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"records": []}, "At least one record"),
            ({"records": {"image": np.zeros((2, 8, 8, 3))}}, "a dict for each sample.*Received: dict"),
            ({"records": [np.zeros(3)]}, "must be dicts.*ndarray"),
            ({"every": 0}, "`every`"),
            ({"num_samples": 0}, "`num_samples`"),
            ({"hyper_parameters": {"layers": [1, 2]}}, "compares runs by them.*layers"),
            ({"hyper_parameters": 3}, "`hyper_parameters` must be a dict"),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            mm.training.TensorBoard("logs", **options)

    def test_a_dataset_is_no_records(self):
        task = captioner()
        with pytest.raises(ValueError, match=r"raw records.*no batches"):
            mm.training.TensorBoard("logs", task.preprocessor.dataset(records()))

    @pytest.mark.parametrize(
        ("make", "held", "message"),
        [
            (captioner, [{"image": records()[0]["image"]}], "what was said.*record 0"),
            (captioner, [{"text": "a red wall"}], "'image'.*missing"),
            (embedding, [{"label": "red"}], "No record has any of the task's modalities"),
            (classifier, [{**records()[0], "label": "pink"}], "pink"),
        ],
    )
    def test_records_that_do_not_fit(self, make, held, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            begin(make(), tmp_path, held)

    def test_without_preprocessor(self, tmp_path):
        task = mm.models.MultimodalClassifier({"features": mm.encoders.features((3,))}, classes=3)
        task.compile()
        with pytest.raises(ValueError, match="build the task with `preprocessor=`"):
            begin(task, tmp_path, records())

    @pytest.mark.parametrize(
        ("missing", "message"), [("tensorflow", "needs TensorFlow"), ("matplotlib", r"mmkeras\[plots\]")]
    )
    def test_what_is_not_installed(self, missing, message, tmp_path, monkeypatch):
        task, real = classifier(), builtins.__import__

        def without(name, *args, **kwargs):
            if name.split(".")[0] == missing:
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ImportError, match=message):
            begin(task, tmp_path, records())


class TestAttentionPicture:
    def sentence(self, num_words=3, num_tokens=16):
        attention = np.random.default_rng(0).dirichlet(np.ones(num_tokens), num_words)
        return mm.models.Sentence("a b", list("ab") + ["[END]"] * (num_words - 2), 0.0, 0.0, attention)

    @pytest.mark.parametrize(
        ("shape", "num_tokens", "grid", "expected"),
        [
            ((40, 60, 3), 16, None, (4, 4)),
            ((40, 60, 3), 24, None, (4, 6)),
            ((60, 40, 3), 24, None, (6, 4)),
            ((40, 60, 3), 24, (2, 12), (2, 12)),
        ],
    )
    def test_cells(self, shape, num_tokens, grid, expected):
        sentence = self.sentence(num_tokens=num_tokens)
        figure = mm.interpret.plot_attention(np.zeros(shape), sentence, grid=grid, columns=2)
        panels = [axis for axis in figure.axes if axis.get_title()]
        assert [axis.get_title() for axis in panels] == ["a", "b", "[END]"]
        for axis, looked in zip(panels, sentence.attention, strict=True):
            under, over = axis.get_images()
            # Both cover the same place, and cells stand row by row.
            assert under.get_extent() == over.get_extent() == [0, shape[1], shape[0], 0]
            np.testing.assert_allclose(over.get_array(), looked.reshape(expected), rtol=1e-5)
        assert panels[0].get_position().y0 > panels[2].get_position().y0

    def test_moments_of_a_sound(self):
        """High sounds stand at the top, each token is a span of time, and queries of a head have their numbers."""
        spectrogram, heads = np.zeros((50, 8), "float32"), np.eye(2, 5, dtype="float32")[None]
        spectrogram[10:20, 7] = 9.0
        figure = mm.interpret.plot_attention(spectrogram, heads[0])
        panels = [axis for axis in figure.axes if axis.get_title()]
        assert [axis.get_title() for axis in panels] == ["0", "1"]
        under, over = panels[1].get_images()
        levels = under.get_array()[..., 0]
        assert levels.shape == (8, 50)
        assert (levels[0, 10:20] == 255).all()
        assert levels.sum() == 10 * 255
        np.testing.assert_array_equal(over.get_array(), heads[0, 1][None])

    def test_files(self, tmp_path):
        image = pytest.importorskip("PIL.Image")
        image.fromarray(records()[0]["image"]).save(tmp_path / "red.png")
        for value in (tmp_path / "red.png", (tmp_path / "red.png").read_bytes()):
            figure = mm.interpret.plot_attention(value, self.sentence())
            assert figure.axes[0].get_images()[0].get_array()[0, 0].tolist() == list(COLOURS["red"])

    @pytest.mark.parametrize(
        ("act", "message"),
        [
            (lambda s, p: (p, s._replace(attention=None), {}), "return_attention=True"),
            (lambda s, p: (p, s._replace(words=["a"]), {}), "a row for each word"),
            (lambda s, p: (p, s.attention[None], {}), "take one head"),
            (lambda s, p: (p, s._replace(attention=np.ones((3, 17))), {}), "fits no grid.*17 tokens"),
            (lambda s, p: (p, s, {"grid": (3, 4)}), "of the 16 tokens"),
            (lambda s, p: (p, s, {"columns": 0}), "`columns`"),
            (lambda s, p: (np.full((8, 8, 3), 0.5), s, {}), "multiply it by 255"),
            (lambda s, p: (pathlib.Path("nowhere.png"), s, {}), "no such file"),
        ],
    )
    def test_what_does_not_fit_is_said(self, act, message):
        picture, sentence, options = act(self.sentence(), np.zeros((8, 8, 3)))
        with pytest.raises(ValueError, match=message):
            mm.interpret.plot_attention(picture, sentence, **options)


def test_answers_about_what_cannot_be_seen(monkeypatch):
    """Several answers, some of them numbers, a label that is not known, and no picture: tables."""
    held = [{**record, "strength": 0.5 * record["row"]} for record in records(4)]
    held[0]["label"] = None
    text, label = mm.preprocessing.Text(length=5), mm.preprocessing.Label(list(COLOURS), may_miss=True)
    strength = mm.preprocessing.Label(regression=True, may_miss=True)
    pre = mm.preprocessing.Preprocessor(text=text, label=label, strength=strength).adapt(held)
    heads = {"label": mm.layers.ClassHead(list(COLOURS)), "strength": mm.layers.NumberHead()}
    task = mm.models.MultiTask({"text": mm.encoders.bag_of_words(text.num_tokens, 4)}, heads=heads, preprocessor=pre)
    made = {"label": [[0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.8, 0.1, 0.1], [0.9, 0.1, 0.0]], "strength": [0.25] * 4}
    made = {name: np.array(values, "float32") for name, values in made.items()}
    monkeypatch.setattr(task, "predict_on_batch", lambda x: made)
    tables, drawn = {}, []
    monkeypatch.setattr(class_samples, "write_table", lambda name, header, rows: tables.update({name: list(rows)}))
    monkeypatch.setattr(class_samples, "write_figure", lambda name, figure: drawn.append(name))
    class_samples.ClassSamples(task, held, 2).write()
    assert drawn == ["confusion/label"]
    # The surest first, and nothing of the label that is not known.
    assert tables["wrong/label"] == [("red (80 %)", "blue", "a blue wall"), ("red (60 %)", "green", "a green wall")]
    assert tables["answers/strength"] == [("0.25", "0", "a red wall"), ("0.25", "0.5", "a green wall")]


def test_clips_are_shown_by_a_frame():
    clips = np.zeros((2, 6, 4, 4, 3), "float32")
    clips[0] = np.arange(1, 7).reshape(6, 1, 1, 1)
    clips[1, :3] = np.arange(10, 13).reshape(3, 1, 1, 1)
    task = types.SimpleNamespace(prepare=lambda records, modalities: {"frames": clips, "video_present": np.ones(2)})
    # The padding of a short clip is no part of it.
    assert [picture.max() for picture in pictures_of(task, [{}, {}], "video")] == [4, 11]


def test_records_in_words():
    record = {"image": "photos/dogs/7.jpg", "question": ["what is it?", "who?"], "audio": np.zeros(3), "label": "dog"}
    assert in_words(record, ("image", "question", "audio")) == "7.jpg; what is it?"
