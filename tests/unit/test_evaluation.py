"""What modalities are worth, what simpler models score, how a model bears bad data: on worlds whose truth is known."""

import keras
import numpy as np
import pytest

import mmkeras as mm
from mmkeras import evaluation as ev
from mmkeras.data import corruption
from mmkeras.evaluation.predictions import batches, hide

NAMES = ("features_left", "features_right")


def world(rows, seed, rule):
    """Two signs, told by one modality each, and a label that follows from them by `rule`."""
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, (2, rows))
    x = {
        name: (0.2 * rng.normal(size=(rows, 2)) + 2 * sign[:, None] - 1).astype("float32")
        for name, sign in zip(NAMES, signs, strict=True)
    }
    return x, rule(*signs)


def make_task(modalities, fusion=None, optional=()):
    encoders = {name: mm.encoders.features((2,), 16, normalize=False) for name in modalities}
    fusion = fusion if len(modalities) > 1 else None
    task = mm.models.MultimodalClassifier(encoders, fusion, classes=2, hidden_dim=16, optional=optional)
    task.compile(optimizer=keras.optimizers.Adam(0.02))
    return task


def xor(left, right):
    return left ^ right


def first_only(left, right):
    return left


FIT = {"epochs": 8, "batch_size": 64}


class _Fixed:
    """A task that answers what the data say."""

    encoders = dict.fromkeys(NAMES)
    optional = ("features_right",)
    preprocessor = None
    name = "fixed"

    def predict_on_batch(self, x):
        odds = x["features_left"][:, 0]
        present = x.get("features_right_present", np.ones(len(odds), bool))
        odds = np.where(present, odds, 1 - odds)
        return {"label": np.stack([1 - odds, odds], axis=1), "other": np.zeros((len(odds), 1))}


DATA = (
    {"features_left": np.array([[0.9], [0.8], [0.3], [0.6], [0.1]]), "features_right": np.ones((5, 1))},
    np.array([1, 1, 0, 0, 1]),
)


class TestPredictAll:
    @pytest.mark.parametrize("batch_size", [2, 64])
    def test_arrays(self, batch_size):
        found = ev.predict_all(_Fixed(), DATA, output="label", batch_size=batch_size)
        np.testing.assert_allclose(found.outputs[:, 1], [0.9, 0.8, 0.3, 0.6, 0.1])
        assert found.targets.tolist() == [1, 1, 0, 0, 1]

    def test_rows_of_no_weight_are_left_out(self):
        found = ev.predict_all(_Fixed(), (*DATA, np.array([1, 0, 1, 0.5, 1])), output="label")
        assert found.targets.tolist() == [1, 0, 0, 1]
        assert found.weights.tolist() == [1, 1, 0.5, 1]

    def test_which_output(self):
        with pytest.raises(ValueError, match=r"`output` must be one of \['label', 'other'\]. Received: output=None"):
            ev.predict_all(_Fixed(), DATA)

    def test_records_and_datasets_give_the_same(self):
        records = mm.data.from_arrays(text=["a dog", "a cat runs", "the dog"] * 3, label=["dog", "cat", "dog"] * 3)
        parts = {"text": mm.preprocessing.Text(10, length=4), "label": mm.preprocessing.Label()}
        pre = mm.preprocessing.Preprocessor(**parts).adapt(records)
        task = mm.models.MultimodalClassifier(
            {"text": mm.encoders.bag_of_words(10, 4)}, classes=["cat", "dog"], preprocessor=pre
        )
        one = ev.predict_all(task, records, batch_size=4)
        two = ev.predict_all(task, pre.dataset(records, 2, shuffle=False))
        assert one.targets.tolist() == two.targets.tolist() == [1, 0, 1] * 3
        np.testing.assert_allclose(one.outputs, two.outputs, atol=1e-6)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (({"features": np.ones((2, 1))},), r"\(x, y\) or \(x, y, sample_weight\).*Received: a tuple of \['dict'\]"),
            ([{"features": 1}], "Raw records need a task with `preprocessor=`.*Received: list"),
        ],
    )
    def test_bad_data(self, data, message):
        with pytest.raises(ValueError, match=message):
            list(batches(_Fixed(), data, 2))

    def test_nothing(self):
        with pytest.raises(ValueError, match=r"At least one sample with a target is needed. Received: none"):
            ev.predict_all(_Fixed(), (*DATA, np.zeros(5)), output="label")


class TestSubsets:
    def test_by_hand(self):
        """Without the right modality this task says the opposite."""
        table = ev.subsets(_Fixed(), DATA, output="label")
        assert table.column("present") == ["features_left + features_right", "features_left"]
        assert table.column("accuracy") == [pytest.approx(0.6), pytest.approx(0.4)]
        assert table.column("change") == [0.0, pytest.approx(-0.2)]

    def test_a_function_as_score(self):
        def half(targets, outputs):
            return len(targets) / 10

        assert ev.subsets(_Fixed(), DATA, output="label", score=half).column("half") == [0.5, 0.5]

    def test_all_sets_of_a_trained_task(self):
        """The label is what the left one says: alone it is enough, without it chance is left."""
        train, test = world(512, 0, first_only), world(512, 1, first_only)
        keras.utils.set_random_seed(0)
        task = make_task(NAMES, mm.layers.GatedFusion(), optional=NAMES)
        task.fit(*train, verbose=0, **FIT)
        scores = dict(zip(*(ev.subsets(task, test).column(name) for name in ("present", "accuracy")), strict=True))
        assert list(scores) == [" + ".join(NAMES), "features_left", "features_right", "nothing"]
        assert scores[" + ".join(NAMES)] > 0.98
        assert scores["features_left"] > 0.9
        assert scores["nothing"] < 0.62

    def test_only_optional_modalities_can_be_absent(self):
        with pytest.raises(ValueError, match=r"build the task with `optional=` some of .*Received: a task without any"):
            ev.subsets(make_task(NAMES, mm.layers.GatedFusion()), DATA)
        with pytest.raises(ValueError, match=r"here \['features_right'\].*Received: \['features_left'\]"):
            hide(dict(DATA[0]), _Fixed(), ["features_left"])

    def test_unknown_score(self):
        with pytest.raises(ValueError, match=r"`score` must be one of .*Received: score='auc'"):
            ev.subsets(_Fixed(), DATA, score="auc")


@pytest.fixture(scope="module")
def table():
    return ev.controls(
        lambda names: make_task(names, mm.layers.GatedFusion()),
        NAMES,
        world(512, 0, xor),
        world(300, 1, xor),
        fit=FIT,
        seeds=2,
    )


class TestControls:
    def test_only_fusion_solves_what_takes_both(self, table):
        rows = {row["model"]: row for row in table}
        assert rows["all modalities"]["accuracy"] > 0.98
        assert rows["all modalities"]["behind"] is None
        for name in ("features_left only", "features_right only", "late average", "majority"):
            assert rows[name]["accuracy"] < 0.65
            # Two seeds say little of a third: the interval is wide.
            assert rows[name]["behind"].mean > 0.3
            assert rows[name]["behind"].low > 0

    def test_broken_pairs_cost_what_was_gained(self, table):
        for name in NAMES:
            row = next(row for row in table if row["model"] == f"shuffled {name}")
            assert abs(row["accuracy"] - 0.5) < 0.12

    def test_the_prior_knows_what_the_question_tells(self):
        """Answers by question in train: 1 1 0, and 0; the third question is new, and the majority is 0."""
        x = {"features_left": np.array([[1.0], [1], [1], [2], [2]]), "features_right": np.zeros((5, 1))}
        test = {"features_left": np.array([[1.0], [2], [3]]), "features_right": np.zeros((3, 1))}
        made = lambda names: mm.models.MultimodalClassifier(  # noqa: E731
            {name: mm.encoders.features((1,), 4) for name in names}, classes=2
        )
        table = ev.controls(
            made,
            NAMES,
            (x, np.array([1, 1, 0, 0, 0])),
            (test, np.array([1, 0, 1])),
            fit={"epochs": 1},
            prior="features_left",
            seeds=1,
        )
        rows = {row["model"]: row["accuracy"] for row in table}
        assert rows["majority"] == pytest.approx(1 / 3)
        assert rows["prior of features_left"] == pytest.approx(2 / 3)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match=r"two modalities or more and one seed or more. Received"):
            ev.controls(make_task, ("image",), DATA, DATA)
        with pytest.raises(ValueError, match=r"`prior` must be one of the inputs .*Received: prior='question'"):
            ev.controls(
                lambda names: make_task(names, mm.layers.GatedFusion()),
                NAMES,
                world(20, 0, xor),
                world(20, 1, xor),
                fit={"epochs": 1},
                prior="question",
                seeds=1,
            )


class TestContributions:
    def table(self, rule, **options):
        keras.utils.set_random_seed(0)
        task = make_task(NAMES)
        x, y = world(512, 0, rule)
        task.fit(x, y, verbose=0, **FIT)
        return ev.contributions(task, world(300, 1, rule), **options)

    def test_what_only_both_tell_is_shared(self):
        table = self.table(xor)
        first, second = table
        assert [first["modality"], second["modality"]] == list(NAMES)
        for row in table:
            assert row["contribution"] == pytest.approx(0.25, abs=0.04)
            assert row["alone"] == pytest.approx(0.5, abs=0.08)
            assert row["without"] == pytest.approx(0.5, abs=0.08)

    def test_what_one_tells_is_its_own(self):
        first, second = self.table(first_only, repeats=1)
        assert first["contribution"] == pytest.approx(0.5, abs=0.06)
        assert abs(second["contribution"]) < 0.05
        assert first["alone"] > 0.95

    def test_sorted_data_are_mixed_across_classes(self):
        """Samples of one class side by side must not stand in for one another."""
        x, y = world(200, 0, first_only)
        order = np.argsort(y)
        moved = mm.evaluation.shuffling.moved(make_task(NAMES), {n: v[order] for n, v in x.items()}, NAMES, 0)
        same = np.sign(moved["features_left"][:, 0]) == np.sign(x["features_left"][order, 0])
        assert 0.35 < same.mean() < 0.65

    @pytest.mark.parametrize("options", [{"score": "mae"}, {"repeats": 0}], ids=str)
    def test_bad_arguments(self, options):
        with pytest.raises(ValueError, match="takes a measure that is better the higher"):
            ev.contributions(make_task(NAMES), world(4, 0, xor), **options)


def test_compare_orders_fusions_and_tells_their_cost():
    """An average of what both say cannot tell whether they differ; without a hidden layer gates can hardly."""

    def make(fusion):
        encoders = {name: mm.encoders.features((2,), 16, normalize=False) for name in NAMES}
        task = mm.models.MultimodalClassifier(encoders, fusion, classes=2)
        task.compile(optimizer=keras.optimizers.Adam(0.02))
        return task

    choices = {"bilinear": mm.layers.BilinearFusion, "average": mm.layers.WeightedFusion}
    table = ev.compare(make, choices, world(512, 0, xor), world(300, 1, xor), fit=FIT, seeds=1)
    assert table.column("fusion") == ["bilinear", "average"]
    assert table[0]["accuracy"] > 0.98
    assert table[1]["accuracy"] < 0.8
    assert table[1]["behind"].low > 0.1
    assert table[1]["parameters"] == make(mm.layers.WeightedFusion()).count_params()
    assert all(row["step_ms"] > 0 for row in table)


class TestRobustness:
    RECORDS = mm.data.from_arrays(
        text=["a dog runs here", "a cat sits there"] * 10, question=["yes", "no"] * 10, label=["dog", "cat"] * 10
    )

    def task(self, *modalities, optional=(), epochs=5):
        pre = mm.preprocessing.Preprocessor(
            **{name: mm.preprocessing.Text(20, length=4) for name in modalities},
            label=mm.preprocessing.Label(),
            optional=optional,
        ).adapt(self.RECORDS)
        task = mm.models.MultimodalClassifier(
            {name: mm.encoders.bag_of_words(20, 8) for name in modalities},
            mm.layers.ConcatFusion() if len(modalities) > 1 else None,
            classes=["cat", "dog"],
            preprocessor=pre,
            optional=optional,
        )
        task.compile(optimizer=keras.optimizers.Adam(0.05))
        task.fit(pre.dataset(self.RECORDS, 8), epochs=epochs, verbose=0)
        return task

    @pytest.mark.slow
    def test_words_that_go_missing(self):
        keras.utils.set_random_seed(0)
        both = self.task("text", "question")
        unimodal = {name: self.task(name) for name in ("text", "question")}
        curves = ev.robustness(
            both, self.RECORDS, {"text": [corruption.TextDrop]}, severities=(1, 0.5), unimodal=unimodal
        )
        assert curves.severities == [0.0, 0.5, 1.0]
        (row,) = curves.table()
        assert (row["modality"], row["corruptor"], row["clean"]) == ("text", "TextDrop", 1.0)
        assert 0.4 <= row["worst"] <= row["relative"] <= 1.0
        assert "effective" in row
        figure = curves.plot()
        assert [axis.get_title() for axis in figure.axes] == ["text"]
        assert len(figure.axes[0].lines) == 2

    def test_numbers_by_hand(self):
        """Areas by trapezoids: (0.9 + 0.8) / 4 + (0.8 + 0.1) / 4, and what is above the baseline, moved up by 0.2."""
        label = ("image", "ImageBlur")
        curves = ev.RobustnessCurves([0.0, 0.5, 1.0], {label: [0.9, 0.8, 0.1]}, {label: [0.7, 0.5, 0.3]})
        row = curves.table()[0]
        assert row["relative"] == pytest.approx(0.65)
        assert row["effective"] == pytest.approx(0.65 - (0.9 + 2 * 0.7 + 0.5) / 4)
        more = ev.RobustnessCurves(
            [0.0, 0.5, 1.0], {**curves.curves, ("text", "TextDrop"): [0.9] * 3}, curves.baselines
        )
        assert more.table().column("effective")[1] is None
        assert "TextDrop" in str(more.table())
        assert "effective" not in ev.RobustnessCurves([0.0, 0.5, 1.0], curves.curves).table()[0]

    def test_what_is_tried_by_default(self):
        task = self.task("text", "question", optional=("question",), epochs=0)
        curves = ev.robustness(task, self.RECORDS.take(4), severities=(0,))
        words = ["TextTypo", "TextDrop", "TextSwap"]
        assert list(curves.curves) == [
            *[("text", name) for name in words],
            *[("question", name) for name in [*words, "Missing"]],
        ]
        with pytest.raises(ValueError, match=r"modalities of the task, \['text', 'question'\]. Received: \['image'\]"):
            ev.robustness(task, self.RECORDS, {"image": [corruption.ImageBlur]})
