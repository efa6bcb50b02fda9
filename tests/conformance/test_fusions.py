"""Every encoder family with every fusion: the mask that leaves the encoder is the one that arrives in the fusion."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from tests.conformance.backend import array, mask_of
from tests.conformance.cases import BATCH, ENCODERS, FLAGS, FUSIONS, floats, sentences

# keras-hub's families differ in what they are built of, not in how they end: one of images, one of text stand for all.
FAMILIES = {
    name: case
    for name, case in ENCODERS.items()
    if not case.heavy and ("from_backbone/" not in name or name.endswith("/bert"))
}
every_fusion = pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS)
# In the ordinary tier each family meets every third fusion and each fusion every third family, the second modality
# optional in every other pair; all pairs both ways in the slow one.
PAIRS = [
    pytest.param(
        family,
        fusion,
        optional,
        marks=[pytest.mark.slow] if (row + column) % 3 or (row + column + optional) % 2 else [],
        id=name,
    )
    for row, family in enumerate(FAMILIES)
    for column, (kind, fusion) in enumerate(FUSIONS.items())
    for optional, name in ((False, f"{family}-{kind}-always"), (True, f"{family}-{kind}-optional"))
]


class _Spy:
    """Record what masks a fusion sees inside `call`."""

    def __init__(self, fusion, monkeypatch):
        self.masks = None
        arrange = fusion.arrange

        def spy(encodings, presence, masks):
            arranged = arrange(encodings, presence, masks)
            if not any(isinstance(x, keras.KerasTensor) for x in arranged[0]):
                self.masks = self.masks or arranged[2]
            return arranged

        monkeypatch.setattr(fusion, "arrange", spy)


@pytest.mark.parametrize(("family", "fusion", "optional"), PAIRS)
def test_mask_arrives(family, fusion, optional, monkeypatch):
    case = FAMILIES[family]
    encoder = case.make()
    layer = fusion()
    other = mm.encoders.features((8,))
    kind = encoder.inputs[0].name
    modality = next(key.modality for key in mm.keys.TABLE if key.prepared == kind)
    # The second modality is absent once, so that presence reaches the fusion beside the masks.
    task = mm.models.MultimodalClassifier(
        {modality: encoder, "features_other": other},
        layer,
        classes=2,
        optional=("features_other",) if optional else (),
    )
    spy = _Spy(layer, monkeypatch)
    fed = case.inputs if isinstance(case.inputs, dict) else {kind: case.inputs}
    x = {**fed, "features_other": floats(BATCH, 8)}
    if optional:
        x["features_other_present"] = FLAGS
    probabilities = array(task(x)["label"])
    assert np.isfinite(probabilities).all()
    # Dicts are taken in the order of their sorted keys.
    arrived = spy.masks[sorted(["features_other", modality]).index(modality)]
    left = mask_of(encoder(case.inputs))
    if left is None:
        assert arrived is None
    else:
        np.testing.assert_array_equal(array(arrived), left)


@pytest.mark.parametrize("optional", [(), ("text",), ("text", "features_face")], ids=["always", "one", "both"])
@every_fusion
def test_padding_changes_no_answer(fusion, optional):
    """What stands behind the fusion sees its mask too."""
    encoders = {"text": mm.encoders.lstm(20, 8), "features_face": mm.encoders.features((None, 6), 8)}
    task = mm.models.MultimodalClassifier(encoders, fusion(), classes=3, optional=optional)
    ids, face = sentences()[:1], floats(1, 4, 6)
    longer = np.pad(ids, [(0, 0), (0, 5)]), np.pad(face, [(0, 0), (0, 3), (0, 0)])
    flags = {f"{name}_present": np.array([True]) for name in optional}
    plain, padded = (
        array(task({"token_ids": x, "features_face": y, **flags})["label"]) for x, y in ((ids, face), longer)
    )
    np.testing.assert_allclose(padded, plain, atol=1e-5)


def _task(fusion, seed):
    keras.utils.set_random_seed(seed)
    return mm.models.MultimodalClassifier(
        {
            "image": mm.encoders.vgg(1, 8, convolutions=1, image_shape=(16, 16, 3)),
            "features": mm.encoders.features((None, 5), 8),
        },
        fusion(),
        classes=3,
        optional=("image", "features"),
    )


def _batch(filler):
    x = {
        "image": np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32"),
        "features": floats(4, 6, 5),
        "image_present": np.array([True, False, True, False]),
        "features_present": np.array([True, True, False, False]),
    }
    x["image"][~x["image_present"]] = filler
    x["features"][~x["features_present"]] = filler
    return x


@every_fusion
def test_filler_never_matters(fusion):
    """At inference and through one training step; NaN or zeros fill the empty slots."""
    outcomes = []
    for filler in (0.0, np.nan):
        task = _task(fusion, seed=3)
        x = _batch(filler)
        before = array(task(x)["label"])
        task.compile(optimizer=keras.optimizers.SGD(0.1))
        task.train_on_batch(x, np.array([0, 1, 2, 0]))
        outcomes.append([before, *[array(w.value) for w in task.weights]])
    for other in outcomes[1:]:
        for expected, actual in zip(outcomes[0], other, strict=True):
            assert np.isfinite(actual).all()
            np.testing.assert_allclose(actual, expected, atol=1e-6)


# Those with attention over all tokens need the most steps.
SLOW_LEARNERS = {"TimelineFusion", "BottleneckFusion", "AttentionFusion", "GraphFusion", "FiLMFusion"}


@pytest.mark.parametrize(
    "fusion",
    [
        pytest.param(fusion, marks=[pytest.mark.slow] if name in SLOW_LEARNERS else [], id=name)
        for name, fusion in FUSIONS.items()
    ],
)
def test_learns_what_no_modality_tells_alone(fusion):
    """Whether two signs differ: each modality alone is at chance, by construction."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    signs = rng.integers(0, 2, (2, 2048))
    x = {
        name: (rng.normal(size=(2048, 2, 1)) * 0.2 + 2 * sign[:, None, None] - 1).astype("float32")
        for name, sign in zip(("features_left", "features_right"), signs, strict=True)
    }
    y = signs[0] ^ signs[1]
    task = mm.models.MultimodalClassifier(
        {name: mm.encoders.features((2, 1), 16, normalize=False) for name in x}, fusion(), classes=2, hidden_dim=16
    )
    task.compile(optimizer=keras.optimizers.Adam(0.01))
    train, test = ({name: values[rows] for name, values in x.items()} for rows in (slice(1024), slice(1024, None)))
    task.fit(train, y[:1024], batch_size=64, epochs=8, verbose=0)
    assert (task.predict(test, verbose=0)["label"].argmax(axis=1) == y[1024:]).mean() >= 0.99


@every_fusion
def test_presence_matters(fusion):
    """A modality that is there does change the output, and its absence is not the same as its presence."""
    task = _task(fusion, seed=3)
    x = _batch(0.0)
    x["image_present"][:] = True
    x["features_present"][:] = True
    there = array(task(x)["label"])
    changed = array(task({**x, "features": x["features"] + floats(4, 6, 5, seed=9)})["label"])
    absent = array(task({**x, "features_present": np.zeros(4, bool)})["label"])
    assert np.abs(changed - there).max() > 1e-4
    assert np.abs(absent - there).max() > 1e-4


@pytest.mark.parametrize("fusion", [mm.layers.GatedFusion, mm.layers.WeightedFusion], ids=["gated", "weighted"])
@pytest.mark.parametrize("count", [2, 3])
def test_weights_of_absent_modalities_are_zero(fusion, count):
    encodings = {f"m{index}": keras.ops.convert_to_tensor(floats(4, 8, seed=index)) for index in range(count)}
    flags = np.array([[True] * count, [True] + [False] * (count - 1), [False] * (count - 1) + [True], [False] * count])
    presence = {name: keras.ops.convert_to_tensor(flags[:, index]) for index, name in enumerate(encodings)}
    _, weights = fusion()(encodings, presence=presence, return_weights=True)
    weights = np.stack([array(weights[m]) for m in encodings], axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    expected_zero = ~flags & flags.any(axis=1, keepdims=True)
    assert (weights[expected_zero] == 0).all()
    assert (weights[~expected_zero] > 0).all()
