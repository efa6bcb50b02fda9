"""Measures of classifiers, regressors and answers: by hand, and against the definitions written as loops."""

import numpy as np
import pytest

from mmkeras import evaluation as ev

LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 0])
ODDS = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.3, 0.6, 0.1],
        [0.2, 0.7, 0.1],
        [0.5, 0.4, 0.1],
        [0.1, 0.1, 0.8],
        [0.1, 0.2, 0.7],
        [0.9, 0.05, 0.05],
        [0.6, 0.3, 0.1],
    ]
)


class TestClassification:
    def test_by_hand(self):
        """Predicted 0 1 1 0 2 2 0 0: of class 0 two of three found in four said, of 1 one of two, of 2 two of three."""
        report = ev.classification_report(LABELS, ODDS, ["a", "b", "c"])
        assert report["accuracy"] == 5 / 8
        assert report["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
        assert report["confusion"].tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 2]]
        assert report["by_class"]["a"] == {
            "precision": 0.5,
            "recall": pytest.approx(2 / 3),
            "f1": pytest.approx(4 / 7),
            "support": 3,
            "predicted": 4,
        }
        f1 = np.array([4 / 7, 2 / 4, 4 / 5])
        assert report["f1_macro"] == pytest.approx(f1.mean())
        assert report["f1_weighted"] == pytest.approx((f1 * [3, 2, 3]).sum() / 8)
        assert report["f1_micro"] == report["accuracy"]

    def test_several_labels_by_hand(self):
        truth = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
        odds = np.array([[0.9, 0.2, 0.4], [0.1, 0.8, 0.1], [0.7, 0.6, 0.5]])
        report = ev.classification_report(truth, odds)
        assert report["accuracy"] == pytest.approx(1 / 3)
        assert report["by_class"][2] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1, "predicted": 1}
        assert report["f1_macro"] == pytest.approx(2 / 3)
        assert report["f1_micro"] == pytest.approx(2 * 4 / (5 + 5))
        assert "confusion" not in report

    def test_a_class_that_is_nowhere_lowers_nothing(self):
        padded = np.concatenate([ODDS, np.zeros((8, 1))], axis=1)
        report, before = ev.classification_report(LABELS, padded), ev.classification_report(LABELS, ODDS)
        for key in ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted"):
            assert report[key] == before[key]
        assert report["by_class"][3]["support"] == 0

    def test_calibration_by_hand(self):
        """Bins of a tenth: four at 0.85 of which half are right, two at 0.65 that are right."""
        correct = [True, True, False, False, True, True]
        value = ev.calibration_error(correct, [0.85] * 4 + [0.65] * 2, num_bins=10)
        assert value == pytest.approx(4 / 6 * abs(0.5 - 0.85) + 2 / 6 * abs(1 - 0.65))
        assert ev.calibration_error([True, False], [1.0, 0.0]) == 0.0

    def test_calibration_of_a_calibrated_classifier_is_small(self):
        rng = np.random.default_rng(0)
        confidence = rng.uniform(0.5, 1, 50_000)
        right = rng.random(50_000) < confidence
        assert ev.calibration_error(right, confidence) < 0.01
        assert ev.calibration_error(right, np.ones(50_000)) == pytest.approx(0.25, abs=0.01)

    @pytest.mark.parametrize(
        ("labels", "odds", "message"),
        [
            ([0, 3], [[0.5, 0.5]] * 2, r"`labels` must be integers \(sample,\) in 0..1. Received: .*values in 0..3"),
            ([0, 1], [[0.5, np.nan]] * 2, "without NaN.*Received: shape .2, 2., 2 NaN"),
            ([0], [[0.5, 0.5]] * 2, r"`labels` must be integers \(sample,\), or.*Received: shapes \(1,\) and \(2, 2\)"),
            ([], np.zeros((0, 2)), "one sample at least"),
        ],
    )
    def test_bad_input(self, labels, odds, message):
        with pytest.raises(ValueError, match=message):
            ev.classification_report(labels, odds)

    def test_names_must_fit(self):
        with pytest.raises(ValueError, match=r"`classes` needs 3 names. Received: 2"):
            ev.classification_report(LABELS, ODDS, ["a", "b"])


class TestConfusionPicture:
    def test_shows_shares_or_counts(self):
        confusion = np.array([[3, 1], [0, 0]])
        figure = ev.plot_confusion(confusion, ["cat", "dog"])
        assert [text.get_text() for text in figure.axes[0].texts] == ["75", "25", "0", "0"]
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cat", "dog"]
        counts = ev.plot_confusion(confusion, normalize=False)
        assert [text.get_text() for text in counts.axes[0].texts] == ["3", "1", "0", "0"]

    def test_many_classes_have_no_numbers(self):
        assert not ev.plot_confusion(np.eye(40, dtype=int)).axes[0].texts

    @pytest.mark.parametrize(
        ("confusion", "classes", "message"),
        [
            ([[1, 2, 3], [1, 2, 3]], None, "must be counts"),
            ([[0.5, 0.5], [0, 1]], None, "must be counts"),
            ([[1, 2], [3, 4]], ["a"], "`classes` needs 2 names. Received: 1"),
        ],
    )
    def test_bad_arguments(self, confusion, classes, message):
        with pytest.raises(ValueError, match=message):
            ev.plot_confusion(confusion, classes)


class TestRegression:
    def test_by_hand(self):
        report = ev.regression_report([1, 2, 3, 4], [1, 3, 2, 4])
        assert report["mae"] == 0.5
        assert report["rmse"] == pytest.approx(0.5**0.5)
        assert report["correlation"] == pytest.approx(0.8)
        assert report["r2"] == pytest.approx(1 - 2 / 5)

    def test_equals_numpy(self):
        rng = np.random.default_rng(0)
        truth, predicted = rng.normal(size=(2, 200))
        report = ev.regression_report(truth, predicted[:, None])
        assert report["correlation"] == pytest.approx(np.corrcoef(truth, predicted)[0, 1])

    def test_a_constant_has_no_correlation(self):
        report = ev.regression_report([1, 1], [0, 3])
        assert (report["correlation"], report["r2"]) == (0.0, 0.0)
        assert ev.regression_report([0.1] * 50, [0.2] * 50)["r2"] == 0.0

    def test_sentiment_by_hand(self):
        """Negative or not: - - + + + against - + + - +; without the 0s: - - + + against - + - +."""
        truth, predicted = [-2.6, -0.4, 0.0, 1.2, 3.0], [-1.0, 0.2, 0.4, -0.1, 3.4]
        report = ev.sentiment_report(truth, predicted)
        assert report["accuracy_2_negative"] == pytest.approx(3 / 5)
        assert report["accuracy_2_polar"] == pytest.approx(2 / 4)
        # -3 0 0 1 3 against -1 0 0 0 3.
        assert report["accuracy_7"] == pytest.approx(3 / 5)
        negative, positive = 2 * 1 / (2 + 2), 2 * 2 / (3 + 3)
        assert report["f1_2_negative"] == pytest.approx((2 * negative + 3 * positive) / 5)
        assert report["f1_2_polar"] == pytest.approx(0.5)
        assert report["mae"] == pytest.approx((1.6 + 0.6 + 0.4 + 1.3 + 0.4) / 5)

    @pytest.mark.parametrize(
        ("truth", "predicted", "message"),
        [
            ([1.0], [1.0, 2.0], r"one number per sample.*Received: shapes \(1,\) and \(2,\)"),
            ([1.0, np.nan], [1.0, 2.0], r"Received: NaN, first at row \{'truth': 1\}"),
        ],
    )
    def test_bad_input(self, truth, predicted, message):
        with pytest.raises(ValueError, match=message):
            ev.sentiment_report(truth, predicted)


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ("The red  Bus.", "red bus"),
            ("two", "2"),
            ("1,000", "1000"),
            ("3.5.", "3.5"),
            ("yes, it is!", "yes it is"),
            ("on/off", "on off"),
            ("none", "0"),
            ("it's", "it's"),
        ],
    )
    def test_normal_form(self, answer, expected):
        assert ev.normalize_answer(answer) == expected

    def test_ten_people(self):
        """As the challenge counts: 3 of 10 agree, so 3 leave one out and see 2 others, 7 see 3."""
        people = ["cat"] * 3 + ["dog"] * 7
        assert ev.vqa_accuracy(["a cat"], [people]) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
        assert ev.vqa_accuracy(["dog"], [people]) == 1.0
        assert ev.vqa_accuracy(["owl", "yes"], [people, "Yes"]) == 0.5

    def test_bad_input(self):
        with pytest.raises(ValueError, match="One answer and its references are needed per question"):
            ev.vqa_accuracy("yes", ["yes"])
        with pytest.raises(ValueError, match="Received: none for the answer 'yes'"):
            ev.vqa_accuracy(["yes"], [[]])


class TestBootstrap:
    def test_covers_the_true_difference_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        held = 0
        for trial in range(100):
            hard = rng.normal(size=150)
            first, second = (hard + shift + rng.normal(size=150) > 0 for shift in (0.5, 0.0))
            # P(hard + noise > -0.5) - 1/2, with a sum of deviation sqrt(2).
            truth = 0.6381632 - 0.5
            interval = ev.paired_bootstrap(first, second, num_draws=300, seed=trial)
            held += interval.low <= truth <= interval.high
        assert 88 <= held <= 100

    def test_pairing_makes_it_narrow(self):
        """Both fail on the same half; unpaired, that half would blur the difference."""
        hard = np.arange(400) % 2
        first, second = 1.0 * hard, np.where(np.arange(400) % 20 == 1, 0.0, hard)
        paired = ev.paired_bootstrap(first, second)
        shuffled = ev.paired_bootstrap(first, np.random.default_rng(0).permutation(second))
        assert paired.mean == pytest.approx(shuffled.mean) == pytest.approx(0.05)
        assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)

    def test_covers_what_another_training_would_change(self):
        """Three seeds whose means scatter by 0.03, no difference in truth: 95 % hold it, as the t distribution says."""
        rng = np.random.default_rng(0)
        held = 0
        for trial in range(200):
            effect = rng.normal(scale=0.03, size=(3, 1))
            difference = effect + 0.3 * rng.normal(size=(1, 400))
            interval = ev.paired_bootstrap(difference, np.zeros_like(difference), num_draws=400, seed=trial)
            held += interval.low <= 0 <= interval.high
        assert 183 <= held <= 199

    def test_seeds_widen_it(self):
        same = np.ones((3, 100))
        other = np.stack([np.full(100, value) for value in (0.2, 0.5, 0.8)])
        interval = ev.paired_bootstrap(same, other)
        assert interval.mean == pytest.approx(0.5)
        assert interval.high - interval.low > 0.2
        assert str(interval).startswith("0.500 [")

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"same samples.*Received: shapes \(1, 2\) and \(1, 3\)"):
            ev.paired_bootstrap([1, 0], [1, 0, 1])


class TestTable:
    TABLE = ev.Table([{"name": "a|b", "score": 0.5, "rows": 1200}, {"name": "<c>", "score": None, "rows": 7}], "Title")

    def test_reads(self):
        assert str(self.TABLE).splitlines() == [
            "Title",
            "name  score   rows",
            "----  -----  -----",
            "a|b   0.500  1,200",
            "<c>              7",
        ]

    def test_other_forms(self):
        assert self.TABLE.markdown().splitlines()[:3] == [
            "| name | score | rows |",
            "| --- | --- | --- |",
            r"| a\|b | 0.500 | 1,200 |",
        ]
        assert "<td>&lt;c&gt;</td>" in self.TABLE._repr_html_()
        assert self.TABLE.column("rows") == [1200, 7]
        assert [row["name"] for row in self.TABLE] == ["a|b", "<c>"]
        assert len(self.TABLE) == 2
