"""A label for each step, by what is said, heard and seen there, and around it."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array
from tests.conformance.cases import FUSIONS, floats, pixels


def make(fusion=None, **options):
    encoders = {
        "features_text": mm.encoders.features((None, 3), 8, normalize=False),
        "features_audio": mm.encoders.features((None, 2), 8, normalize=False),
    }
    options = {"classes": ["no", "yes"], "optional": ("features_audio",), **options}
    return mm.models.SequenceTagger(encoders, fusion, **options)


def series(rows=3, steps=6, seed=0):
    """The second row has four steps."""
    x = {"features_text": floats(rows, steps, 3, seed=seed), "features_audio": floats(rows, steps, 2, seed=seed)}
    for values in x.values():
        values[1, 4:] = 0
    return x


def test_stepwise_fusion_is_the_fusion_at_each_step():
    inner = mm.layers.GatedFusion(4)
    fusion = mm.layers.StepwiseFusion(inner)
    x = {"text": floats(2, 5, 3), "audio": floats(2, 5, 6), "speaker": floats(2, 4)}
    presence = {"audio": keras.ops.convert_to_tensor(np.array([True, False]))}
    tensors = {name: keras.ops.convert_to_tensor(values) for name, values in x.items()}
    fused, gates = fusion(tensors, presence=presence, return_weights=True)
    for step in range(5):
        at = {"text": tensors["text"][:, step], "audio": tensors["audio"][:, step], "speaker": tensors["speaker"]}
        np.testing.assert_allclose(array(fused)[:, step], array(inner(at, presence=presence)), atol=1e-6)
    assert (array(gates["audio"])[1] == 0).all()


@pytest.mark.parametrize(
    "fusion",
    # One is of series itself.
    [pytest.param(fusion, id=name) for name, fusion in FUSIONS.items() if name != "TimelineFusion"],
)
def test_every_fusion_works_at_each_step(fusion):
    task = make(fusion(), optional=())
    p = array(task(series())["label"])
    assert p.shape == (3, 6, 2)
    assert np.abs(p[0] - p[0, :1]).max() > 1e-6


def test_a_step_alone_is_left_as_it_is():
    alone = array(mm.layers.SeriesSmoothing(whole=0.0)(np.full((1, 1, 1), 6.0, "float32")))
    assert alone.ravel() == pytest.approx([6.0])


def test_smoothing_equals_the_formula():
    x, mask = floats(2, 6, 3), np.array([[True] * 6, [True] * 4 + [False] * 2])
    made = array(mm.layers.SeriesSmoothing(0.5, 2.0, width=1.5)(x, mask=mask))
    for row, length in enumerate((6, 4)):
        steps = np.arange(length)
        for t in steps:
            k = np.exp(-np.abs(steps - t) / 1.5) * (steps != t)
            near = (k[:, None] * x[row, :length]).sum(axis=0) / k.sum()
            expected = (x[row, t] + 0.5 * near + 2.0 * x[row, :length].mean(axis=0)) / 3.5
            np.testing.assert_allclose(made[row, t], expected, atol=1e-5)


def test_padding_counts_nowhere():
    task, x = make(), series()
    task.compile()
    y = np.array([[0, 1, 1, 0, 1, 0]] * 3)
    other = y.copy()
    other[1, 4:] = 1 - other[1, 4:]
    logs = [task.evaluate(x, labels, verbose=0, return_dict=True) for labels in (y, other)]
    assert logs[0] == logs[1]
    p = array(task(x)["label"])
    there = np.ones((3, 6), bool)
    there[1, 4:] = False
    expected = -np.log(np.take_along_axis(p, y[..., None], axis=-1)[..., 0])[there].mean()
    assert logs[0]["loss"] == pytest.approx(expected, abs=1e-5)
    # A sample's weight counts for its steps.
    logs = task.evaluate(x, y, sample_weight=np.array([0.0, 1.0, 0.0]), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(-np.log(p[1, np.arange(4), y[1, :4]]).mean(), abs=1e-5)


def test_neighbours_are_seen_and_only_with_context():
    x, y = series(64, 8), None
    first = x["features_text"][:, :, 0] > 0
    # The label of a step is what stood at the step before.
    y = np.concatenate([np.zeros((64, 1), int), first[:, :-1].astype(int)], axis=1)
    scores = {}
    for context in ("auto", None):
        keras.utils.set_random_seed(0)
        task = make(mm.layers.ConcatFusion(), context=context)
        task.compile(keras.optimizers.Adam(0.02))
        task.fit(x, y, batch_size=16, epochs=25, verbose=0)
        scores[context] = task.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
    assert scores["auto"] > 0.95
    assert scores[None] < 0.75


def test_an_absent_modality_never_matters():
    task = make()
    flags = {"features_audio_present": np.array([False, True, False])}
    x = series()
    filled = {**x, "features_audio": x["features_audio"].copy()}
    filled["features_audio"][[0, 2]] = np.nan
    np.testing.assert_array_equal(array(task({**x, **flags})["label"]), array(task({**filled, **flags})["label"]))


@pytest.mark.parametrize("steps", [5, 40])
def test_a_series_that_is_left_out_leaves_the_others_their_length(steps):
    task = make()
    x = {"features_text": floats(2, steps, 3)}
    assert array(task.predict_on_batch(x)["label"]).shape == (2, steps, 2)
    task.compile()
    task.fit(x, np.ones((2, steps), int), verbose=0)


def test_what_stands_in_an_empty_slot_is_no_step():
    task, x = make(), series()
    task.compile()
    y = np.array([[0, 1, 1, 0, 1, 0]] * 3)
    flags = {"features_audio_present": np.zeros(3, bool)}
    filled = {**x, "features_audio": np.full_like(x["features_audio"], np.nan), **flags}
    empty = {**x, "features_audio": np.zeros_like(x["features_audio"]), **flags}
    one, other = (task.evaluate(inputs, y, verbose=0, return_dict=True) for inputs in (filled, empty))
    assert one == other


def test_contributions_count_the_steps_of_the_samples_themselves():
    """All labels are one class: whatever is mixed, a task that says so is right."""
    task, x = make(optional=()), series(rows=8)
    for values in x.values():
        values[::2, 1:] = 0
    label = task.get_layer("label")
    label.set_weights([np.zeros_like(label.get_weights()[0]), np.array([-5.0, 5.0])])
    there = np.abs(x["features_text"]).sum(axis=-1) > 0
    table = mm.evaluation.contributions(task, (x, there.astype(int)), repeats=2, batch_size=3)
    for row in table:
        assert (row["contribution"], row["alone"], row["without"]) == (0.0, 1.0, 1.0)


def test_weights_of_classes_are_refused_where_keras_would_take_the_time_for_classes():
    task = make()
    task.compile()
    with pytest.raises(ValueError, match="a sample has several labels"):
        task.fit(series(), np.ones((3, 6), int), class_weight={0: 1.0, 1: 2.0}, verbose=0)


def test_a_vector_counts_at_every_step():
    still = mm.encoders.vgg(1, 4, convolutions=1, image_shape=(16, 16, 3), pooling="avg")
    encoders = {"features_text": mm.encoders.features((None, 3), 8), "image": still}
    task = mm.models.SequenceTagger(encoders, classes=2, context=None)
    x = {"features_text": np.ones((3, 5, 3), "float32"), "image": pixels()}
    p = array(task(x)["label"])
    assert np.abs(p - p[:, :1]).max() < 1e-6
    assert np.abs(p[0] - p[1]).max() > 1e-6


@pytest.mark.slow
def test_records_of_different_length_are_tagged_step_by_step():
    rng = np.random.default_rng(0)
    records = [
        {"features_text": rng.normal(size=(n, 3)), "features_audio": rng.normal(size=(n, 2)), "label": labels}
        for n, labels in ((3, ["no", "yes", "yes"]), (5, ["yes"] * 5), (1, ["no"]))
    ]
    pre = mm.preprocessing.Preprocessor(
        features_text=mm.preprocessing.Features(),
        features_audio=mm.preprocessing.Features(),
        label=mm.preprocessing.Label(),
        optional=("features_audio",),
    ).adapt(records)
    task = make(classes=pre["label"].classes, preprocessor=pre)
    task.compile()
    task.fit(pre.dataset(records, 2, strict=True), verbose=0)
    tagged = task.tag([*records, {"features_text": records[0]["features_text"]}])
    assert [len(steps) for steps in tagged] == [3, 5, 1, 3]
    assert set(task.tag(records[2])[0]) == {"label", "probabilities"}
    found = mm.evaluation.predict_all(task, records, batch_size=2)
    assert len(found.targets) == 9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mm.layers.SeriesSmoothing(width=0), "`width` above 0"),
        (lambda: make(context="lstm"), "`context` must be a layer over time"),
        (lambda: make(context=keras.layers.GRU(4)), "`context` must keep the steps"),
        (
            lambda: mm.models.SequenceTagger({"audio": mm.encoders.conv1d_audio(4, (8, 2))}, classes=2),
            "makes .* tokens of .* steps",
        ),
        (
            lambda: mm.models.SequenceTagger({"text": mm.encoders.lstm(20, 4, pooling="last")}, classes=2),
            "build it without `pooling`",
        ),
        (
            lambda: mm.layers.StepwiseFusion(mm.layers.StepwiseFusion(mm.layers.GatedFusion())),
            "`fusion` must be a fusion layer",
        ),
        (
            lambda: mm.layers.StepwiseFusion(mm.layers.GatedFusion()).build([(2, 3, 4), (2, 5, 4)]),
            "all series of one length",
        ),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
