"""What a newcomer gets wrong on the first evening, and the cure that the message names."""

import re

import keras
import numpy as np
import pytest

import mmkeras as mm

PICTURES = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype("uint8")
LABELS = np.array([0, 1] * 3)
RECORDS = [
    {"image": picture, "text": "a red dog", "label": "cat" if n % 2 else "dog"} for n, picture in enumerate(PICTURES)
]


def encoder(**kwargs):
    return mm.encoders.vgg(1, 4, image_shape=(16, 16, 3), pooling="avg", **kwargs)


def task(modalities=("image",), **kwargs):
    encoders = {"image": encoder(), "text": mm.encoders.bag_of_words(10, 4)}
    made = mm.models.MultimodalClassifier({name: encoders[name] for name in modalities}, **{"classes": 2, **kwargs})
    made.compile()
    return made


def pre(size=16, **kwargs):
    parts = {"image": mm.preprocessing.Image((size, size)), "label": mm.preprocessing.Label(), **kwargs}
    return mm.preprocessing.Preprocessor(**parts)


def floats():
    return PICTURES.astype("float32")


def with_nan():
    pixels = floats()
    pixels[2, 0, 0, 0] = np.nan
    return pixels


BOTH = ("image", "text")
IDS = np.ones((6, 3), "int32")
MISTAKES = {
    "a key that is none": (
        lambda: task().fit({"picture": floats()}, LABELS),
        "misses inputs ['image']; it takes ['image']: name the arrays as the inputs are, here ['picture']",
    ),
    "the raw key of a prepared one": (
        lambda: task(BOTH).fit({"image": floats(), "text": IDS}, LABELS),
        "misses inputs ['token_ids']; it takes ['image', 'token_ids']: a Preprocessor makes them of raw ['text']",
    ),
    "an absent modality": (lambda: task(BOTH).predict({"image": floats()}), "with what may be absent in `optional`"),
    "the flag of what is always there": (
        lambda: task().predict({"image": floats(), "image_present": np.zeros(6, bool)}),
        "build it with optional=('image',)",
    ),
    "no batch axis": (lambda: task().predict({"image": floats()[0]}), "array[None] is a batch of one sample"),
    "no batch axis in fit": (lambda: task().fit({"image": floats()[0]}, LABELS[:1]), "a batch axis is missing"),
    "no channels": (lambda: task().predict({"image": floats()[..., 0]}), "np.repeat(array[..., None], 3, axis=-1)"),
    "channels first": (
        lambda: task().predict({"image": np.moveaxis(floats(), -1, 1)}),
        "channels come last here: np.moveaxis(array, -3, -1)",
    ),
    "another size": (
        lambda: task().predict({"image": np.zeros((2, 20, 16, 3))}),
        "'image' takes the shape (batch, 16, 16, 3): resize them",
    ),
    "paths for pictures": (
        lambda: task().fit({"image": np.array(["a.jpg"] * 6)}, LABELS),
        "raw values such as paths and sentences need a Preprocessor: pre.dataset(records)",
    ),
    "sentences for ids": (
        lambda: task(BOTH).fit({"image": floats(), "token_ids": np.array(["a dog"] * 6)}, LABELS),
        "'token_ids' takes numbers of shape (batch, any)",
    ),
    "ids of words that the encoder lacks": (
        lambda: task(BOTH).predict({"image": floats(), "token_ids": np.full((6, 3), 10)}),
        "takes ids of words in 0..9, where 0 is padding",
    ),
    "NaN": (
        lambda: task().fit({"image": with_nan()}, LABELS),
        "1 such rows of 6, the first is row 2",
    ),
    "NaN where it might be absent": (
        lambda: task(optional=("image",)).fit({"image": with_nan()}, LABELS),
        "or say that it is absent: image_present",
    ),
    "rows of different number": (
        lambda: task(BOTH).fit({"image": floats(), "token_ids": IDS[:5]}, LABELS[:4]),
        "Received: rows 6 of 'image', 5 of 'token_ids', 4 of 'y'",
    ),
    "no labels": (lambda: task().fit({"image": floats()}), "is compared with targets, `fit(x, y)`"),
    "labels by name": (
        lambda: task().fit({"image": floats()}, np.array(["cat", "dog"] * 3)),
        "row 0 of 'label' holds 'cat'. Leave such samples out, or give class names to a Preprocessor",
    ),
    "labels one-hot": (lambda: task().fit({"image": floats()}, np.eye(2)[LABELS]), "labels.argmax(axis=-1)"),
    "never compiled": (
        lambda: mm.models.MultimodalClassifier({"image": encoder()}, classes=2).fit({"image": floats()}, LABELS),
        "call task.compile() first",
    ),
    "never compiled, evaluated": (
        lambda: mm.models.MultimodalClassifier({"image": encoder()}, classes=2).evaluate({"image": floats()}, LABELS),
        "call task.compile() first",
    ),
    "records to fit on": (lambda: task().fit(RECORDS), "give it pre.dataset(records)"),
    "records to validate on": (
        lambda: task().fit({"image": floats()}, LABELS, validation_data=RECORDS),
        "`validation_data` takes arrays by the names of the inputs, or a dataset",
    ),
    "records to evaluate": (lambda: task().evaluate(RECORDS), "give it pre.dataset(records)"),
    "an array of records": (
        lambda: task().predict(np.array(RECORDS)),
        "methods such as `predict_records` take records",
    ),
    "records to predict": (lambda: task().predict(RECORDS), "methods such as `predict_records` take records"),
    "classes before they are known": (
        lambda: task(classes=pre()["label"].classes),
        "a Label part knows them once its Preprocessor was adapted",
    ),
    "a key that no record has": (
        lambda: pre(text=mm.preprocessing.Text(), title=mm.preprocessing.Text()).adapt(RECORDS),
        "'title' of records with ['image', 'label', 'text']: `adapt` found no words",
    ),
    "pictures of another size": (
        lambda: task(classes=["cat", "dog"], preprocessor=pre(32).adapt(RECORDS)),
        "makes 'image' of shape (32, 32, 3), and the encoder of 'image' reads (16, 16, 3)",
    ),
    "more words than the encoder knows": (
        lambda: task(
            BOTH,
            classes=["cat", "dog"],
            preprocessor=pre(text=mm.preprocessing.Text(vocabulary=list("abcdefghijkl"), length=4)).adapt(RECORDS),
        ),
        "numbers 16 words of 'text', and its encoder knows 10",
    ),
    "paths without a preprocessor": (lambda: task().classify("a.jpg"), "raw records need a task with `preprocessor=`"),
    "one value for two modalities": (lambda: task(BOTH).classify("a.jpg"), "dicts with ['image', 'text']"),
}


@pytest.mark.parametrize(("mistake", "cure"), MISTAKES.values(), ids=MISTAKES)
def test_the_message_names_the_cure(mistake, cure):
    with pytest.raises(ValueError, match=re.escape(cure)):
        mistake()


def test_pixels_in_0_to_1_are_told_of():
    with pytest.warns(UserWarning, match=re.escape("'image' holds pixels in 0..1")):
        task().fit({"image": floats() / 255}, LABELS, verbose=0)


def test_what_stands_in_an_empty_slot_is_no_mistake():
    flags = np.arange(6) != 2
    history = task(optional=("image",)).fit({"image": with_nan(), "image_present": flags}, LABELS, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_numbers_of_16_bits_are_numbers():
    bfloat16 = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast([0.0], "bfloat16"))).dtype
    assert task().predict({"image": floats().astype(bfloat16)}, verbose=0)["label"].shape == (6, 2)


def test_what_is_no_mistake_passes():
    made, inputs = task(), {"image": floats()}
    made.predict({**inputs, "text_present": np.zeros(6, bool)}, verbose=0)
    made.fit(inputs, LABELS, validation_data=[inputs, LABELS], verbose=0)
    image = keras.Input((16, 16, 1), name="image")
    flat = mm.encoders.finish(image, keras.layers.Flatten()(image)[:, None], pooling="avg")
    grey = mm.models.MultimodalClassifier({"image": flat}, classes=2)
    grey.predict({"image": floats()[..., 0]}, verbose=0)


def test_an_encoder_goes_on_from_the_output_of_another():
    first = encoder()
    longer = mm.encoders.finish(first.input, keras.layers.Dense(3)(first.output), pooling="max")
    longest = mm.encoders.finish(first.input, keras.layers.Dense(2)(longer.output), pooling="max")
    assert longest.predict(floats(), verbose=0).shape == (6, 2)


def test_lists_are_arrays():
    """Keras would take each number of a list for an array of its own."""
    losses = []
    for as_given in (np.asarray, lambda x: np.asarray(x).tolist()):
        keras.utils.set_random_seed(0)
        made, x, y = task(), {"image": as_given(floats())}, as_given(LABELS)
        history = made.fit(x, y, validation_data=(x, y), shuffle=False, verbose=0).history
        losses.append(
            [*history["loss"], *history["val_loss"], made.evaluate(x, y, verbose=0)[0], *made.predict(x)["label"][0]]
        )
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_an_array_of_records_is_a_list_of_them():
    made = task(preprocessor=pre().adapt(RECORDS), classes=["cat", "dog"])
    assert made.classify(np.array(RECORDS)) == made.classify(RECORDS)


@pytest.mark.tensorflow
def test_a_dataset_without_batches():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(({"image": floats()}, LABELS))
    with pytest.raises(ValueError, match=r"`x` gives samples one by one: write dataset\.batch\(32\)"):
        task().fit(dataset)
    with pytest.raises(ValueError, match="`validation_data` gives samples one by one"):
        task().fit(dataset.batch(3), validation_data=dataset)
    task().fit(dataset.batch(3), validation_data=dataset.batch(6), verbose=0)


def test_several_tables_of_an_encoder_are_not_taken_for_words():
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    tokens = keras.layers.Embedding(2, 4)(ids // 50) + keras.layers.Embedding(100, 4)(ids)
    reader = mm.models.MultimodalClassifier({"text": mm.encoders.finish(ids, tokens, pooling="avg")}, classes=2)
    reader.predict({"token_ids": np.full((2, 3), 60)}, verbose=0)


def test_labels_in_an_array_of_objects():
    with pytest.raises(ValueError, match="row 0 of 'label' holds 'cat'"):
        task().fit({"image": floats()}, np.array(["cat", "dog"] * 3, dtype=object))


@pytest.mark.parametrize("several", [False, True])
def test_a_raw_value_stands_for_a_record_of_one_modality(several):
    made = task()
    answer = made.classify([floats()[0], floats()[1]] if several else floats()[0])
    assert isinstance(answer, list) == several
    expected = made.classify({"image": floats()[0]})
    assert (answer[0] if several else answer)["label"] == expected["label"]


def test_a_saved_task_says_the_same(tmp_path):
    task().save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    with pytest.raises(ValueError, match="a batch axis is missing"):
        loaded.fit({"image": floats()[0]}, LABELS[:1])
