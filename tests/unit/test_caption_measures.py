"""Measures of sentences: by hand, against sacreBLEU, KerasHub and the COCO toolkit, and on bad input."""

import math
import random

import numpy as np
import pytest

from mmkeras import evaluation as ev

WORDS = "a the man woman dog cat ball bus red small sits runs on in near with two street grass holding"
MEASURES = {
    "bleu": lambda *args, **options: ev.bleu(*args, **options)["bleu_2"],
    "rouge_l": ev.rouge_l,
    "cider_d": ev.cider_d,
    "word_accuracy": ev.word_accuracy,
}
each_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def captions(seed, count=200, people=5):
    """Sentences and their references: each a random truth with words left out and others in their place."""
    draw, known = random.Random(seed), WORDS.split()

    def variant(truth, rate):
        kept = [draw.choice(known) if draw.random() < rate else word for word in truth if draw.random() > 0.15]
        return " ".join(kept or truth[:1])

    sentences, references = [], []
    for _ in range(count):
        truth = draw.choices(known, k=draw.randint(4, 12))
        references.append([variant(truth, 0.3) for _ in range(people)])
        sentences.append(variant(truth, 0.4))
    return sentences, references


def varying_captions():
    """One to five references, and some sentences empty."""
    sentences, references = captions(seed=1)
    sentences = [sentence if row % 17 else "" for row, sentence in enumerate(sentences)]
    return sentences, [people[: 1 + row % 5] for row, people in enumerate(references)]


class TestWords:
    @pytest.mark.parametrize(
        ("sentence", "expected"),
        [
            ("A dog's ball isn't red.", "a dog 's ball is n't red"),
            ("Two dogs; one cat, and a half-eaten cake!", "two dogs one cat and a half-eaten cake"),
            ("It's 3.5 meters, 1,000 people at 10:30 a.m.", "it 's 3.5 meters 1,000 people at 10:30 a.m."),
            ("and/or man/woman 1/2 way", "and/or man/woman 1/2 way"),
            ("He can't, won't, don't go", "he ca n't wo n't do n't go"),
            ("costs $5 or 50% & #1 @home *star*", "costs $ 5 or 50 % & # 1 @home * star *"),
            ("dog,cat dog;cat wait... no--yes", "dog cat dog cat wait no yes"),
            ("the dogs' bowl at 6 o'clock", "the dogs bowl at 6 o'clock"),
            ("A café’s “menu” – nice", "a café 's menu nice"),  # noqa: RUF001
            ("I'm sure you're they've he'd she'll", "i 'm sure you 're they 've he 'd she 'll"),
            ("black-and-white t-shirt -", "black-and-white t-shirt"),
            ("a woman's-only club says 'STOP'", "a woman 's only club says stop"),
            ("AT&T O'Brien's hat ver. 2.0.1", "at&t o'brien 's hat ver 2.0.1"),
        ],
    )
    def test_as_the_coco_evaluation(self, sentence, expected):
        """Expected: `PTBTokenizer` of pycocoevalcap 1.2, that is Stanford CoreNLP 3.4.1, run once by hand."""
        assert ev.caption_tokens(sentence) == expected.split()

    def test_where_it_differs_as_documented(self):
        """The COCO evaluation gives -lrb- left -rrb-, mr. smith, can not."""
        assert ev.caption_tokens("(left) Mr. Smith cannot") == ["left", "mr", "smith", "cannot"]

    @pytest.mark.parametrize("sentence", ["", "  \n", "...", "- ' !", "?!"])
    def test_no_words(self, sentence):
        assert ev.caption_tokens(sentence) == []

    def test_other_scripts_stay_whole(self):
        assert ev.caption_tokens("एक कुत्ता, Öl und El niño") == ["एक", "कुत्ता", "öl", "und", "el", "niño"]


class TestBleu:
    def test_by_hand(self):
        """Words: the, cat match of `the the the cat` (the: once at most), so 2/4; pairs: `the cat` 1/3; and 4 for 5."""
        found = ev.bleu(["the the the cat"], [["the cat is here now"]])
        assert found["brevity_penalty"] == pytest.approx(math.exp(1 - 5 / 4))
        assert found["length_ratio"] == 4 / 5
        assert found["bleu_1"] == pytest.approx(math.exp(-1 / 4) * 2 / 4)
        assert found["bleu_2"] == pytest.approx(math.exp(-1 / 4) * math.sqrt(2 / 4 * 1 / 3))
        assert found["bleu_3"] == found["bleu_4"] == 0.0

    def test_smoothing_by_hand(self):
        """Triples: 0 of 2 become 1 of 3; pairs 1 of 3 become 2 of 4; single words are left alone."""
        found = ev.bleu(["the the the cat"], [["the cat is here"]], max_order=3, smooth=True)
        assert found["bleu_1"] == 2 / 4
        assert found["bleu_3"] == pytest.approx((2 / 4 * 2 / 4 * 1 / 3) ** (1 / 3))
        assert set(found) == {"bleu_1", "bleu_2", "bleu_3", "brevity_penalty", "length_ratio"}

    def test_counts_are_of_the_corpus(self):
        """1 of 1 and 1 of 3 are 2 of 4, not the mean 2/3."""
        assert ev.bleu(["a", "a b c"], ["a", "a x y"])["bleu_1"] == pytest.approx(2 / 4)

    def test_an_ngram_counts_as_often_as_in_one_reference(self):
        assert ev.bleu(["a a a"], [["a b c", "a a c", "a d e"]])["bleu_1"] == pytest.approx(2 / 3)

    @pytest.mark.parametrize(
        ("lengths", "closest"), [((2, 9), 2), ((9, 4), 4), ((3, 5), 3), ((5, 3), 3), ((6, 4, 1), 4)]
    )
    def test_the_closest_reference_counts_and_the_shorter_of_two(self, lengths, closest):
        references = [" ".join("x" * length) for length in lengths]
        assert ev.bleu(["x x x x"], [references])["length_ratio"] == 4 / closest

    def test_equals_sacrebleu(self):
        """sacreBLEU 2.6.0, `tokenize="none"`, smoothing `none` and `add-k`, `max_ngram_order` 1..4, over 100."""
        split = {"tokenize": str.split}
        found = ev.bleu(*captions(seed=0), **split)
        expected = [0.7701065314306017, 0.5078715624948715, 0.31258001752815856, 0.18923285626991873]
        assert [found[f"bleu_{order}"] for order in (1, 2, 3, 4)] == pytest.approx(expected, rel=1e-12)
        assert found["brevity_penalty"] == pytest.approx(0.991914781452914, rel=1e-12)
        assert found["length_ratio"] == pytest.approx(0.9919472913616398, rel=1e-12)
        varying = [0.6620599112664436, 0.42677916992393405, 0.2718337363752249, 0.17020013177752838]
        found = ev.bleu(*varying_captions(), **split)
        assert [found[f"bleu_{order}"] for order in (1, 2, 3, 4)] == pytest.approx(varying, rel=1e-12)
        smooth = [0.6620599112664436, 0.4272532408380332, 0.2727880067452861, 0.17190672761539377, 0.11428214490534364]
        found = ev.bleu(*varying_captions(), max_order=5, smooth=True, **split)
        assert [found[f"bleu_{order}"] for order in (1, 2, 3, 4, 5)] == pytest.approx(smooth, rel=1e-12)

    @pytest.mark.tensorflow
    @pytest.mark.parametrize("max_order", [1, 2, 4])
    def test_equals_keras_hub(self, max_order):
        import keras_hub
        import tensorflow as tf

        sentences, references = captions(seed=2, count=60, people=1)
        metric = keras_hub.metrics.Bleu(tokenizer=tf.strings.split, max_order=max_order)
        metric.update_state(tf.constant(references), tf.constant(sentences))
        found = ev.bleu(sentences, references, max_order=max_order, tokenize=str.split)
        assert found[f"bleu_{max_order}"] == pytest.approx(float(metric.result()), rel=1e-6)
        assert found[f"bleu_{max_order}"] > 0.05


class TestRouge:
    def test_by_hand(self):
        """`a runs fast` is common to both: precision 3/4, recall 3/5, and 1.2 squared is 1.44."""
        value = ev.rouge_l(["a dog runs fast"], ["a brown cat runs fast"])
        assert value == pytest.approx(2.44 * 3 / 4 * 3 / 5 / (3 / 5 + 1.44 * 3 / 4))
        assert ev.rouge_l(["a dog runs fast"], ["a brown cat runs fast"], beta=1) == pytest.approx(2 * 3 / (4 + 5))
        assert ev.rouge_l(["a dog runs fast"], ["a brown cat runs fast"], beta=0) == pytest.approx(3 / 4)

    def test_takes_precision_and_recall_from_different_references(self):
        """The long one has all of the sentence, the short one is all within the sentence."""
        assert ev.rouge_l(["a b c d"], [["a b c d e f g h", "b d"]]) == pytest.approx(1.0)

    def test_order_counts(self):
        assert ev.rouge_l(["d c b a"], ["a b c d"]) == pytest.approx(1 / 4)

    def test_equals_the_coco_toolkit(self):
        """`Rouge` of pycocoevalcap 1.2."""
        assert ev.rouge_l(*captions(seed=0)) == pytest.approx(0.5625752503603066, rel=1e-12)
        assert ev.rouge_l(*varying_captions()) == pytest.approx(0.4917570486646203, rel=1e-12)

    def test_equals_rouge_score(self):
        """`rougeL` F-measure of rouge-score 0.1.2 without stemming, mean over samples, first reference alone."""
        sentences, references = captions(seed=0)
        value = ev.rouge_l(sentences, [people[0] for people in references], beta=1)
        assert value == pytest.approx(0.40206055264861973, rel=1e-12)


class TestCider:
    REFERENCES = ("red bus", "blue car")

    def test_by_hand(self):
        """All n-grams are of one sample of two, weight log 2 each, which cancels.

        `red bus`: single words and the pair agree, 2 of 4 orders. `blue bus` and `blue car`: of single words, 1 of
        (1, 1) and (1, 1) is shared, so the cosine is 1/2, in 1 of 4 orders.
        """
        assert ev.cider_d(["red bus", "blue bus"], self.REFERENCES) == pytest.approx(10 * (2 / 4 + 1 / 2 / 4) / 2)

    def test_repeating_does_not_pay(self):
        """(1, 3) and (1, 1) share 1 + 1; the pairs (1, 2) and (1, 0) share 1; two words too many."""
        value = ev.cider_d(["red bus bus bus", ""], self.REFERENCES)
        similarity = 2 / math.sqrt(10 * 2) + 1 / math.sqrt(5 * 1)
        assert value == pytest.approx(10 * math.exp(-(2**2) / (2 * 6**2)) * similarity / 4 / 2)

    def test_is_the_mean_over_references(self):
        references = [["red bus", "green van"], ["blue car"]]
        assert ev.cider_d(["red bus", ""], references) == pytest.approx(10 * 2 / 4 / 2 / 2)

    def test_given_frequencies_by_hand(self):
        """Weights: a log(8/8) = 0, bus log(8/2) = 2 log 2, car, unknown, log 8 = 3 log 2; no pair is shared."""
        given = ev.DocumentFrequencies(8, {("a",): 8, ("bus",): 2})
        value = ev.cider_d(["a bus"], ["bus car"], document_frequencies=given)
        assert value == pytest.approx(10 * 2 * 2 / (2 * math.hypot(2, 3)) / 4)

    def test_frequencies_count_samples_not_references(self):
        found = ev.DocumentFrequencies.from_references([["a dog", "A dog!", "a a"], "a cat"])
        assert found.num_documents == 2
        once = [("dog",), ("cat",), ("a", "dog"), ("a", "cat"), ("a", "a")]
        assert found.counts == {("a",): 2, **dict.fromkeys(once, 1)}

    def test_own_frequencies_given_change_nothing(self):
        sentences, references = captions(seed=3, count=30)
        given = ev.DocumentFrequencies.from_references(references)
        assert ev.cider_d(sentences, references, document_frequencies=given) == ev.cider_d(sentences, references)
        # A part is judged as in the whole.
        part = ev.cider_d(sentences[:5], references[:5], document_frequencies=given)
        rest = ev.cider_d(sentences[5:], references[5:], document_frequencies=given)
        assert (5 * part + 25 * rest) / 30 == pytest.approx(ev.cider_d(sentences, references))

    def test_equals_the_coco_toolkit(self):
        """`Cider` of pycocoevalcap 1.2, which is CIDEr-D."""
        assert ev.cider_d(*captions(seed=0)) == pytest.approx(1.5045030370750403, rel=1e-12)
        assert ev.cider_d(*varying_captions()) == pytest.approx(1.529835249047627, rel=1e-12)

    def test_a_single_sample_has_no_rarity(self):
        assert ev.cider_d(["a dog"], ["a dog"]) == 0.0

    @pytest.mark.parametrize(
        ("num_documents", "counts", "message"),
        [
            (0, {}, "`num_documents` must be a whole number of at least 1. Received: 0"),
            (2, {("a",): 3}, r"at most `num_documents=2`. Received: \('a',\) with 3"),
            (2, {"a": 1}, "must map tuples of words to numbers of samples.*Received: 'a' with 1"),
        ],
    )
    def test_bad_frequencies(self, num_documents, counts, message):
        with pytest.raises(ValueError, match=message):
            ev.DocumentFrequencies(num_documents, counts)

    def test_frequencies_of_another_type(self):
        with pytest.raises(ValueError, match=r"must be a DocumentFrequencies.*Received: \{\('a',\): 1\}"):
            ev.cider_d(["a"], ["a"], document_frequencies={("a",): 1})


class TestVariety:
    def test_by_hand(self):
        """Words a b a c a: 3 of 5; pairs `a b`, `b a`, `c a`: 3 of 3, none across sentences; one triple."""
        assert ev.distinct_n(["a b a", "c a"], 1) == 3 / 5
        assert ev.distinct_n(["a b a", "c a", "c a"], 2) == 3 / 4
        assert ev.distinct_n(["a b a", "c a"], 3) == 1.0
        assert ev.distinct_n(["a b a", "c a"], 4) == 0.0

    @pytest.mark.parametrize("n", [0, 1.0, True, None])
    def test_bad_n(self, n):
        with pytest.raises(ValueError, match=f"`n` must be a whole number of at least 1. Received: {n}"):
            ev.distinct_n(["a"], n)


class TestWordAccuracy:
    @pytest.mark.parametrize(
        ("sentence", "references", "expected"),
        [
            ("a b c", "a x c", 2 / 3),
            ("a b", "a b c d", 2 / 4),
            ("a b c d", "a b", 2 / 4),
            ("b c d", "a b c d", 0.0),
            ("a b", ["x y", "a b c", "a z"], 2 / 3),
            ("a b", ["a b c d e", "a x"], 1 / 2),
            ("", "a", 0.0),
        ],
    )
    def test_by_hand(self, sentence, references, expected):
        assert ev.word_accuracy([sentence], [references]) == pytest.approx(expected)

    def test_positions_are_of_the_corpus(self):
        assert ev.word_accuracy(["a", "b b b"], ["a", "c c c"]) == 1 / 4

    def test_of_equal_references_the_shortest(self):
        """Nothing agrees with either; 2 positions rather than 5 are lost."""
        assert ev.word_accuracy(["a b", "c c"], [["v w x y z", "d e"], "c c"]) == 2 / 4


class TestPerplexity:
    def test_by_hand(self):
        """Three tokens of 1/2, 1/4, 1/8: 2^(6/3), not the mean over sentences."""
        assert ev.perplexity([np.log([1 / 2, 1 / 4]), [], np.log([1 / 8])]) == pytest.approx(4)

    def test_of_a_guess_is_the_number_of_words(self):
        assert ev.perplexity([np.full(7, -math.log(50)), np.full(2, -math.log(50))]) == pytest.approx(50)

    def test_bounds(self):
        assert ev.perplexity([[0.0, 0.0]]) == 1.0
        assert ev.perplexity([[0.0, -np.inf]]) == math.inf
        assert ev.perplexity([[-1e4]]) == math.inf

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([[-1.0], [0.3]], r"numbers up to 0 per sentence. Received: at row 1 shape \(1,\), \[0.3\]"),
            ([[np.nan]], r"Received: at row 0 shape \(1,\), \[nan\]"),
            ([-1.0, -2.0], r"Received: at row 0 shape \(\)"),
            ([[]], "one token at least. Received: 1 sentences without a token"),
            ([], "Received: 0 sentences"),
        ],
    )
    def test_bad_input(self, rows, message):
        with pytest.raises(ValueError, match=message):
            ev.perplexity(rows)


class TestAll:
    SENTENCES, REFERENCES = captions(seed=4, count=40)

    @each_measure
    def test_order_does_not_matter(self, measure):
        rows = np.random.default_rng(0).permutation(40)
        shuffled = [self.SENTENCES[row] for row in rows], [self.REFERENCES[row][::-1] for row in rows]
        assert measure(*shuffled) == pytest.approx(measure(self.SENTENCES, self.REFERENCES))

    @each_measure
    def test_a_reference_is_best(self, measure):
        # Shorter ones have no n-grams of four words, a part of CIDEr.
        first = [people[0] for people in self.REFERENCES if people[0].count(" ") >= 3]
        assert measure(first, first) == pytest.approx(10.0 if measure is ev.cider_d else 1.0)
        assert measure(first[::-1], first) < measure(first, first)

    @each_measure
    def test_an_empty_sentence_scores_nothing(self, measure):
        assert measure(["", "..."], [["a dog", "a cat"], ["two dogs"]]) == 0.0
        assert measure(["a dog", ""], [["a dog", "a cat"], ["two dogs"]]) > 0.0
        assert measure(["a", "b"], ["...", ["", "!"]]) == 0.0

    @each_measure
    def test_words_are_compared_unless_told_otherwise(self, measure):
        loud = [f"{sentence.upper()}!" for sentence in self.SENTENCES]
        assert measure(loud, self.REFERENCES) == measure(self.SENTENCES, self.REFERENCES)
        assert measure(loud, self.REFERENCES, tokenize=str.split) == 0.0

    @each_measure
    def test_arrays_and_generators_are_lists_too(self, measure):
        arrays = np.array(self.SENTENCES), (np.array(people) for people in self.REFERENCES)
        assert measure(*arrays) == measure(self.SENTENCES, self.REFERENCES)

    @each_measure
    @pytest.mark.parametrize(
        ("sentences", "references", "message"),
        [
            ("a dog", ["a dog"], "`sentences` must be a list with one entry per sample. Received: 'a dog'"),
            (["a dog"], "a dog", "`references` must be a list with one entry per sample. Received: 'a dog'"),
            (None, ["a"], "`sentences` must be a list.*Received: None"),
            (["a", "b"], ["a"], "string or a list of strings per sentence. Received: 2 sentences and 1 rows"),
            (["a", "b"], ["a", []], "one reference at least. Received: none at row 1"),
            ([], [], "`sentences` needs one entry at least. Received: an empty list"),
            (["a", None], ["a", "b"], "`sentences` must hold strings. Received: None at row 1"),
            (["a", "b"], ["a", ["b", 3]], "`references` must hold strings. Received: 3 at row 1"),
            (["a", "b"], ["a", math.nan], "a string or a list of strings per sample. Received: nan at row 1"),
        ],
    )
    def test_bad_input(self, measure, sentences, references, message):
        with pytest.raises(ValueError, match=message):
            measure(sentences, references)

    @each_measure
    def test_a_tokenizer_must_give_words(self, measure):
        with pytest.raises(ValueError, match=r"`tokenize` must return a list of words. Received: 'a' for 'A'"):
            measure(["A"], ["a"], tokenize=str.lower)

    @pytest.mark.parametrize(
        ("measure", "options", "message"),
        [
            (ev.bleu, {"max_order": 0}, "`max_order` must be a whole number of at least 1. Received: 0"),
            (ev.rouge_l, {"beta": -1}, "`beta` must be a number of 0 or more. Received: -1"),
            (ev.rouge_l, {"beta": math.nan}, "`beta` must be a number of 0 or more. Received: nan"),
        ],
    )
    def test_bad_arguments(self, measure, options, message):
        with pytest.raises(ValueError, match=message):
            measure(["a"], ["a"], **options)


class TestReport:
    def test_gathers_all(self):
        sentences, references = captions(seed=5, count=20)
        sentences[3:5] = ["A dog.", "a dog"]
        report = ev.caption_report(sentences, references)
        scores = ev.bleu(sentences, references)
        assert report == {
            "num_samples": 20,
            **{key: scores[key] for key in ("bleu_1", "bleu_2", "bleu_3", "bleu_4")},
            "rouge_l": ev.rouge_l(sentences, references),
            "cider_d": ev.cider_d(sentences, references),
            "distinct_1": ev.distinct_n(sentences, 1),
            "distinct_2": ev.distinct_n(sentences, 2),
            "num_distinct": 19,
            "mean_length": sum(len(sentence.split()) for sentence in sentences) / 20,
        }

    def test_hands_on_tokenizer_and_frequencies(self):
        """With every n-gram in all documents nothing is rare; letters are other words than words are."""
        sentences, references = ["ab ab", "b"], [["ab a"], ["b"]]
        common = dict.fromkeys(ev.DocumentFrequencies.from_references(references).counts, 2)
        assert ev.caption_report(sentences, references)["cider_d"] > 0
        given = ev.DocumentFrequencies(2, common)
        assert ev.caption_report(sentences, references, document_frequencies=given)["cider_d"] == 0.0
        letters = {"tokenize": lambda sentence: list(sentence.replace(" ", ""))}
        report = ev.caption_report(sentences, references, **letters)
        assert (report["mean_length"], report["num_distinct"]) == (2.5, 2)
        assert (report["distinct_1"], report["distinct_2"]) == (2 / 5, 2 / 3)
        assert report["bleu_1"] == pytest.approx(4 / 5)
        assert report["rouge_l"] == ev.rouge_l(sentences, references, **letters) != ev.rouge_l(sentences, references)
        assert report["cider_d"] == ev.cider_d(sentences, references, **letters) != ev.cider_d(sentences, references)
