"""The table of scores in the main README: each beside what it is to be compared with, and its command."""

import json
import pathlib

RESULTS = pathlib.Path(__file__).parent / "results"


def _percent(value, digits=1):
    return f"{100 * value:.{digits}f} %"


def _each_alone(found):
    lips, sound = found["lips_letter_accuracy"], found["audio_white_-5_letter_accuracy"]
    return f"lips alone {_percent(lips)}; sound alone {_percent(sound)}"


# Benchmark, what was measured, the score, and what stands beside it.
_ROWS = (
    (
        "easy_vqa",
        "easy-VQA, answers to questions",
        lambda r: _percent(r["test_accuracy"], 2),
        lambda r: f"93.8 % says the README of easy-VQA-keras; by the question alone {_percent(r['question_only'])}",
    ),
    (
        "flickr8k_retrieval",
        "Flickr8k, photo among the first ten for a sentence, from scratch",
        lambda r: _percent(r["test_r10_text_to_image"]),
        lambda r: "chance 1 %, ten of 1,000 photos",
    ),
    (
        "flickr8k_caption",
        "Flickr8k, captions from scratch, CIDEr-D",
        lambda r: f"{r['test_cider']:.3f}",
        lambda r: f"without looking {r['test_blind_cider']:.3f}; of other photos {r['test_shuffled_cider']:.3f}",
    ),
    (
        "translate",
        "Multi30k, English to German, BLEU",
        lambda r: f"{100 * r['test_bleu4']:.1f}",
        lambda r: f"greedily {100 * r['test_greedy_bleu4']:.1f}",
    ),
    (
        "grid",
        "GRID, letters in white noise at -5 dB, lips and sound",
        lambda r: _percent(r["both_white_-5_letter_accuracy"]),
        _each_alone,
    ),
    (
        "toy_clips",
        "toy clips, which of two things was heard",
        lambda r: _percent(r["test_both_source"]),
        lambda r: f"frames alone {_percent(r['test_video_source'])}; sound alone {_percent(r['test_audio_source'])}",
    ),
    (
        "avdigits",
        "digits, blurred and spoken in noise",
        lambda r: _percent(r["test_accuracy"]),
        lambda r: (
            f"sound alone {_percent(r['test_audio_only_accuracy'])}; "
            f"picture alone {_percent(r['test_image_only_accuracy'])}"
        ),
    ),
    (
        "mosi",
        "CMU-MOSI, sentiment (surrogate features)",
        lambda r: _percent(r["folds_text_audio_video_accuracy"]),
        lambda r: f"text alone {_percent(r['folds_text_accuracy'])}: fusion adds nothing here",
    ),
    (
        "toy_captions",
        "toy world, captions that are true and complete",
        lambda r: _percent(r["test_true"]),
        lambda r: f"of other pictures {_percent(r['test_true_other_picture'])}",
    ),
    (
        "export",
        "an answer by the TFLite file, picture and sentence",
        lambda r: f"{r['classifier_ms_beside_predict']:.2f} ms",
        lambda r: f"`model.predict` {r['classifier_predict_ms']:.1f} ms",
    ),
    (
        "generate",
        "a sentence of 20 words, the loop in the graph by XLA, time / loop in PyTorch",
        lambda r: f"{r['greedy_1_xla_ratio_vs_torch_loop']:.2f}",
        lambda r: f"`model.predict` for each word takes {1 / r['greedy_1_xla_ratio_vs_predict']:.0f} times as long",
    ),
    (
        "gpu",
        "training on an H100, time / PyTorch compiled",
        lambda r: f"{r['ratio_vs_torch']:.2f}",
        lambda r: "",
    ),
)


def rows():
    """Cells of the table, for those that were recorded."""
    found = []
    for name, what, score, beside in _ROWS:
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text())
            results = record["results"]
            command = record["command"].replace("python benchmarks/", "").replace(" --record", "")
            found.append((what, score(results), beside(results), results["seeds"], f"`{command}`"))
    return found
