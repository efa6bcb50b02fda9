"""Fill the tables of both READMEs from recorded results and from the code; `--check` says whether they are current.

python benchmarks/tables.py [--check]
"""

import argparse
import json
import pathlib
import re
import sys

import scores as of_readme

import mmkeras as mm

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
WAYS = ("text_to_image", "image_to_text")


def recorded(name):
    """Results and command of a recorded benchmark."""
    record = json.loads((RESULTS / f"{name}.json").read_text())
    return record["results"], record["command"]


def table(header, rows):
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def keys():
    """The key table of `mm.keys`."""
    rows = [
        (
            f"`{key.modality}`",
            f"`{key.prepared}`",
            f"`{key.serving}`",
            f"(batch, {', '.join(key.shape)}) {key.dtype}",
        )
        for key in mm.keys.TABLE
    ]
    return table(("raw", "prepared", "serving", "shape of the prepared tensor"), rows)


def demo():
    """Scores of the toy demo beside controls and ceilings."""
    found, command = recorded("toy")
    world = mm.data.toy.ToyWorld(10, text_attributes=("owner", "colour", "count"))
    rows = []
    for name, key, modalities in (
        ("image + text + audio, gated fusion", "test_accuracy", ("image", "text", "audio")),
        ("image alone (control)", "image_accuracy", ("image",)),
        ("text alone (control)", "text_accuracy", ("text",)),
        ("audio alone (control)", "audio_accuracy", ("audio",)),
    ):
        spread = found.get(f"{key}_std")
        score = f"{found[key]:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
        rows.append((name, score, f"{world.ceiling('parcel', modalities):.3f}"))
    note = f"Mean and deviation over {found['seeds']} seeds, fixed schedule, nothing selected: `{command}`."
    return table(("trained on", "test accuracy", "best possible"), rows) + "\n\n" + note


def layers():
    """Ratios of the layer benchmark."""
    found, command = recorded("layers")
    names = {
        "`CrossModalAttention`, `keras.layers.MultiHeadAttention`": "keras_multi_head_attention",
        "the same, keys masked": "keras_multi_head_attention_masked",
        "`GatedFusion`, the formula in two lines": "plain_formula",
        "`FusedBatchNormalization`, `keras.layers.BatchNormalization`": "keras_batch_normalization",
    }
    rows = [
        (
            name,
            f"{found[f'ratio_vs_{key}']:.2f}",
            f"{found[f'ratio_vs_{key}_low']:.2f} to {found[f'ratio_vs_{key}_high']:.2f}",
        )
        for name, key in names.items()
    ]
    return table(("layer, peer", "ratio", "quartiles"), rows) + f"\n\nMade by `{command}` on two cores."


def gpu():
    """Training on a GPU, beside PyTorch."""
    found, command = recorded("gpu")
    rows = [
        (
            f"{name}, {found[f'mode{suffix}']}",
            f"{found[f'samples_per_second{suffix}']:,.0f}",
            f"{found[f'share_of_peak{suffix}']:.1%}",
            f"{found[f'device_peak_mb{suffix}']:,.0f}",
        )
        for name, suffix in (("mmkeras on JAX", ""), ("PyTorch", "_torch"))
    ]
    low, high = (found[f"ratio_vs_torch{end}"] for end in ("_low", "_high"))
    note = (
        f"Ratio of times {found['ratio_vs_torch']:.2f} ({low:.2f} to {high:.2f}), one {found['device']}, batch "
        f"{found['batch']}, bfloat16, {found['parameters'] / 1e6:.1f} M weights: `{command}`."
    )
    return table(("side", "samples/s", "of the device's peak", "device memory, MB"), rows) + "\n\n" + note


def pipeline():
    """Samples per second of the pipeline benchmark beside its peers."""
    found, command = recorded("pipeline")
    names = {
        "photos": "photos of 112x112",
        "large": "pictures of 640x480, to 112x112",
        "sounds": "wavs of one second",
        "clips": "mp4 clips, 16 frames",
    }
    rows = []
    for case, name in names.items():
        ratios = [found.get(f"{case}_ratio_vs_{peer}") for peer in ("limit", "graph_limit", "dataloader")]
        cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        rows.append((name, f"{found[f'{case}_per_second_mmkeras']:,.0f}", *cells))
    header = ("files", "samples/s", "/ bare loop x cores", "/ graph loop x cores", "/ PyTorch DataLoader")
    return table(header, rows) + f"\n\nMade by `{command}` on two cores."


def scores():
    """What came out, beside what it is to be compared with."""
    note = "Commands follow `python benchmarks/`; where it is not said, the other part is a control of the same run."
    return table(("what", "score", "beside it", "seeds", "made by"), of_readme.rows()) + "\n\n" + note


def retrieval():
    """What was found by a joint embedding, and what it cost."""
    photos, command = recorded("flickr8k_retrieval")
    digits, other_command = recorded("spoken_digits")
    memory, memory_command = recorded("micro_batches")
    rows = []
    for name, way in (("photos by sentences", "text_to_image"), ("sentences by photos", "image_to_text")):
        recalls = ", ".join(f"{100 * photos[f'test_r{k}_{way}']:.1f}" for k in (1, 5, 10))
        rank = photos[f"test_median_rank_{way}"]
        rows.append((f"Flickr8k, {name}", f"R@1, R@5, R@10: {recalls} %; median rank {rank:.0f}", f"`{command}`"))
    found = " and ".join(
        f"{100 * digits[f'test_precision_at_10_{way}']:.1f}" for way in ("audio_to_image", "image_to_audio")
    )
    rows.append(("spoken digits find written ones, and back", f"precision@10: {found} %", f"`{other_command}`"))
    ratio = f"{memory['ratio_memory']:.2f} of the memory"
    rows.append(("a batch of 4,096 in micro-batches of 64, beside a plain one of 256", ratio, f"`{memory_command}`"))
    note = (
        f"Photos: dev split, {photos['seeds']} seed, {photos['test_minutes']:.0f} minutes on two cores. "
        "For digits chance is 10 %."
    )
    return table(("what", "result", "made by"), rows) + "\n\n" + note


def objectives():
    """What each objective gave on Flickr8k, at a small budget."""
    found, command = recorded("flickr8k_objectives")
    names = {
        "infonce": "InfoNCE",
        "triplet_hardest": "triplets, hardest negative (VSE++)",
        "triplet_all": "triplets, all negatives",
        "siglip": "sigmoid (SigLIP)",
        "margin": "margin (squared distance)",
    }
    rows = []
    for name, title in names.items():
        prefix = "test_" if name == found["objective"] else f"{name}_"
        cells = [f"{100 * found[f'{prefix}r{k}_{way}']:.1f}" for way in WAYS for k in (1, 5, 10)]
        rows.append((title, *cells))
    header = ("objective", *(f"{way.replace('_', ' ')} R@{k}" for way in WAYS for k in (1, 5, 10)))
    note = f"In %, dev split, {found['epochs']} epochs each, {found['seeds']} seed: `{command}`."
    return table(header, rows) + "\n\n" + note


def classification():
    """Scores of classifiers and taggers on research sets, those that were recorded."""
    rows = []
    for name, title, key, beside in (
        ("easy_vqa", "easy-VQA, answers", "test_accuracy", {"from the question alone": "question_only"}),
        (
            "mosi",
            "CMU-MOSI, utterances, folds with surrogate features",
            "folds_text_audio_video_accuracy",
            {"text alone": "folds_text_accuracy"},
        ),
        (
            "avdigits",
            "AV digits, weak pictures and speech at 0 dB",
            "test_accuracy",
            {
                "audio alone": "test_audio_only_accuracy",
                "picture alone": "test_image_only_accuracy",
                "late average": "test_late_average_accuracy",
            },
        ),
        ("fsdd", "spoken digits, known voices", "test_accuracy", {}),
        (
            "fsdd",
            "spoken digits, voices unknown to training",
            "loso_accuracy",
            {"the four that chose nothing": "loso_accuracy_unseen"},
        ),
        ("esc10", "ESC-10, folds 1 to 4", "test_accuracy", {"one window": "test_one_window_accuracy"}),
        ("eeg", "EEG, eyes open or closed", "test_eyes_accuracy", {"band power": "eyes_band_power_accuracy"}),
        ("eeg", "EEG, left or right fist", "test_fist_accuracy", {}),
    ):
        if not (RESULTS / f"{name}.json").exists():
            continue
        found, command = recorded(name)
        spread = found.get(f"{key}_std")
        digits = 2 if found[key] > 0.999 else 1
        score = f"{100 * found[key]:.{digits}f}" + ("" if spread is None else f" ± {100 * spread:.{digits}f}")
        controls = ", ".join(f"{title} {100 * found[key]:.1f}" for title, key in beside.items())
        rows.append((title, score, controls, found["seeds"], f"`{command}`"))
    return table(("set", "accuracy, %", "beside it", "seeds", "made by"), rows)


def sentences():
    """Captions and translations, those that were recorded."""
    rows = []
    if (RESULTS / "toy_captions.json").exists():
        found, command = recorded("toy_captions")
        beside = ", ".join(
            f"{title} {100 * found[key]:.1f} %"
            for title, key in (("of other pictures", "test_true_other_picture"), ("without looking", "test_true_blind"))
        )
        score = f"{100 * found['test_true']:.1f} ± {100 * (found['test_true_std'] or 0):.1f} %"
        rows.append(("toy world, true and complete", score, beside, found["seeds"], f"`{command}`"))
    if (RESULTS / "flickr8k_caption.json").exists():
        found, command = recorded("flickr8k_caption")
        sides = {"of other photos": "shuffled_", "without looking": "blind_", "one sentence for all": "one_sentence_"}
        for name, key, factor in (("BLEU-4", "bleu4", 100), ("CIDEr-D", "cider", 1)):
            digits = 1 if factor == 100 else 3
            cells = [f"{title} {factor * found[f'test_{prefix}{key}']:.{digits}f}" for title, prefix in sides.items()]
            score = f"{factor * found[f'test_{key}']:.{digits}f}"
            rows.append((f"Flickr8k, dev split, {name}", score, ", ".join(cells), found["seeds"], f"`{command}`"))
    if (RESULTS / "translate.json").exists():
        found, command = recorded("translate")
        beside = f"greedy {100 * found['test_greedy_bleu4']:.1f}"
        title = "Multi30k, English to German, small letters, BLEU"
        rows.append((title, f"{100 * found['test_bleu4']:.1f}", beside, found["seeds"], f"`{command}`"))
        if "test_pictured_with_bleu4" in found:
            sides = {"other pictures": "others", "black pictures": "without", "before more training": "before"}
            cells = [f"{title} {100 * found[f'test_pictured_{key}_bleu4']:.1f}" for title, key in sides.items()]
            title = f"{title}, {found['num_pictured_test']} pairs with pictures"
            score = f"{100 * found['test_pictured_with_bleu4']:.1f}"
            rows.append((title, score, ", ".join(cells), found["seeds"], f"`{command}`"))
    return table(("set and measure", "result", "beside it", "seeds", "made by"), rows)


def clips():
    """What is seen and heard in clips, those that were recorded."""
    rows = []
    if (RESULTS / "toy_clips.json").exists():
        found, command = recorded("toy_clips")
        sides = {"frames alone": "video", "sound alone": "audio", "sound of others": "sound_of_others"}
        sides |= {"one frame late": "late_1", "two late": "late_2"}
        names = {"colour": "seen only", "material": "heard only", "source": "in both, at the same time"}
        for name, title in names.items():
            score = f"{100 * found[f'test_both_{name}']:.1f} ± {100 * (found[f'test_both_{name}_std'] or 0):.1f}"
            beside = ", ".join(f"{side} {100 * found[f'test_{key}_{name}']:.1f}" for side, key in sides.items())
            rows.append((f"toy clips, {title}", score, beside, found["seeds"], f"`{command}`"))
        if "caption_test_all" in found:
            for measure, title in (
                ("caption_{}_all", "toy clips, sentences all true"),
                ("search_{}_r1_text_to_clip", "toy clips, found first by a sentence"),
                ("search_{}_r1_clip_to_text", "toy clips, their sentence found first among 36"),
            ):
                score, others = (f"{100 * found[measure.format(kind)]:.1f}" for kind in ("test", "sound_of_others"))
                rows.append((title, score, f"sound of others {others}", found["seeds"], f"`{command}`"))
    if (RESULTS / "grid.json").exists():
        found, command = recorded("grid")
        # The model of sound alone may have been run by itself.
        heard, of_sound = recorded("grid_audio") if (RESULTS / "grid_audio.json").exists() else (found, command)
        for kind, title in (("letter", "letters"), ("digit", "digits")):
            lips = f"{100 * found[f'lips_{kind}_accuracy']:.1f}"
            rows.append((f"GRID, {title}, lips alone", lips, "", found["seeds"], f"`{command}`"))
            for condition, place in (
                ("clean", "clean"),
                ("white_-5", "in white noise at -5 dB"),
                ("babble_-5", "in babble at -5 dB"),
            ):
                alone = f"{100 * heard[f'audio_{condition}_{kind}_accuracy']:.1f}"
                score = f"{100 * found[f'both_{condition}_{kind}_accuracy']:.1f}"
                beside = f"sound alone {alone}, lips alone {lips}"
                rows.append((f"GRID, {title}, both, {place}", score, beside, found["seeds"], f"`{command}`"))
        if "lips_sentence_wer" in found:
            wer = f"{100 * found['lips_sentence_wer']:.1f} wrong"
            rows.append(("GRID, words of whole sentences, lips", wer, "", found["seeds"], f"`{command}`"))
        # So may the models of whole clips.
        slots, of_slots = recorded("grid_slots") if (RESULTS / "grid_slots.json").exists() else (found, command)
        for prefix, title in (
            ("lips", "lips"),
            ("both_clean", "both, clean"),
            ("both_babble_-5", "both, in babble at -5 dB"),
        ):
            if f"{prefix}_slots_mean_accuracy" in slots:
                score = f"{100 * slots[f'{prefix}_slots_mean_accuracy']:.1f}"
                kinds = {kind: 100 * slots[f"{prefix}_slots_{kind}_accuracy"] for kind in ("letter", "digit")}
                beside = ", ".join(f"{kind}s {value:.1f}" for kind, value in kinds.items())
                rows.append(
                    (f"GRID, six words of a clip at once, {title}", score, beside, slots["seeds"], f"`{of_slots}`")
                )
        if of_sound != command:
            rows.append(("GRID, sound alone", "above", "", heard["seeds"], f"`{of_sound}`"))
    if not rows:
        return "Not recorded yet."
    return table(("set", "%", "beside it", "seeds", "made by"), rows)


def video():
    """What a training step on clips costs, beside peers."""
    if not (RESULTS / "video.json").exists():
        return "Not recorded yet."
    found, command = recorded("video")
    names = {"naive": "Keras' `TimeDistributed` and normalisation", "torch": "PyTorch"}
    rows = [
        (title, f"{found[f'seconds_{peer}']:.2f}", f"{found[f'ratio_vs_{peer}']:.2f}")
        for peer, title in names.items()
        if f"ratio_vs_{peer}" in found
    ]
    first, following = found["first_epoch_seconds"], found["next_epoch_seconds"]
    said = (
        f"Behind a frozen ResNet18 the first epoch, which keeps the features, takes {first:.1f} s and the next "
        f"{following:.2f} s. On two cores: `{command}`."
    )
    return table(("peer", "s per step", "time here / there"), rows) + f"\n\n{said}"


def generate():
    """What a sentence costs, beside peers."""
    if not (RESULTS / "generate.json").exists():
        return "Not recorded yet."
    found, command = recorded("generate")
    names = {
        "predict": "`model.predict` per word",
        "function": "`tf.function` per word",
        "hub_graph": "keras-hub sampler",
        "hub_xla": "keras-hub sampler, XLA",
        "torch_loop": "PyTorch loop",
        "torch_compiled": "`torch.compile`",
    }
    rows = []
    for search, title in (("greedy", "greedy"), ("beam", "4 beams")):
        for batch in (1, 8, 64):
            for side, of_side in (("graph", "graph"), ("xla", "XLA")):
                key = f"{search}_{batch}_{side}"
                ratios = [found.get(f"{key}_ratio_vs_{peer}") for peer in names]
                cells = ["" if ratio is None else f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}" for ratio in ratios]
                rows.append((f"{title}, {batch} at once, {of_side}", f"{found[f'{key}_ms']:.1f}", *cells))
    header = ("search", "ms", *(f"/ {name}" for name in names.values()))
    return table(header, rows) + f"\n\n20 words of 5,000, on one core: `{command}`."


def export_matrix():
    """Every task in every format."""
    if not (RESULTS / "export_matrix.json").exists():
        return "Not recorded yet."
    found, command = recorded("export_matrix")
    kinds = {"keras": "`.keras`", "saved_model": "SavedModel", "tflite": "TFLite"}
    kinds |= {f"tflite {name}": name for name in ("float16", "dynamic", "int8")} | {"onnx": "ONNX"}
    rows, reasons = [], {}
    for task, by_kind in found.items():
        if not isinstance(by_kind, dict):
            continue
        cells = []
        for kind in kinds:
            row = by_kind[kind]
            if "because" in row:
                # What ONNX Runtime does not know stands within a message about the file.
                node = re.search(r'^(.*because).*In Node, \("([^"]+)", (\w+),', row["because"])
                reason = f"{node[1]} ONNX Runtime has no {node[3]}" if node else row["because"]
                note = reasons.setdefault(reason, len(reasons) + 1)
                cells.append(f"no ({note})")
                continue
            told = [f"{row['kb']:,.0f} KB", f"{row['relative_l2']:.0e}" if row["relative_l2"] else "0"]
            told += [] if row["agreement"] is None else [f"{100 * row['agreement']:.0f} %"]
            told += [] if row.get("ms") is None else [f"{row['ms']:.2g} ms"]
            cells.append("yes: " + ", ".join(told))
        rows.append((task, *cells))
    said = [
        "Size, relative difference to Keras (the worst signature), share of samples whose words and classes are the "
        "same, milliseconds for one sample on one thread. Small encoders, two epochs on the toy world, 16 samples of "
        f"its test split: `{command}`.",
        *(f"({number}) {reason}" for reason, number in reasons.items()),
    ]
    operations = {
        row["select_operations"]
        for kinds in found.values()
        if isinstance(kinds, dict)
        for row in kinds.values()
        if "select_operations" in row
    }
    said[0] += f" Operations beyond TFLite's built-in ones, in all files together: {sum(operations)}."
    return table(("task", *kinds.values()), rows) + "\n\n" + "\n\n".join(said)


def export():
    """What a request costs, and what 8 bits lose."""
    if not (RESULTS / "export.json").exists():
        return "Not recorded yet."
    found, command = recorded("export")
    peers = {
        "predict": "`model.predict`",
        "function": "`tf.function`",
        "onnx": "ONNX Runtime",
        "torch_loop": "PyTorch loop",
        "torch_compiled": "`torch.compile`",
        "dynamic": "TFLite, 8-bit weights",
    }
    names = {"classifier": "picture and sentence, VGG and LSTM", "captioner": "20 words of 5,000, LSTM with attention"}
    rows = []
    for name, title in names.items():
        for peer, of_peer in peers.items():
            key = f"{name}_ratio_vs_{peer}"
            if key in found:
                times = [
                    f"{found[f'{name}_ms_beside_{peer}']:.2f}",
                    f"{found[f'{name}_{peer}_ms']:.2f}",
                    f"{found[key]:.3f}",
                ]
                rows.append((title, of_peer, *times))
    speed = table(("one request", "peer", "TFLite ms", "peer ms", "time here / there"), rows)
    rows = [
        (
            title,
            f"{found[f'{name}_num_test']:,}",
            f"{100 * found[f'{name}_float32_accuracy']:.2f}",
            f"{100 * found[f'{name}_dynamic_accuracy']:.2f}",
            f"{found[f'{name}_size_ratio']:.2f}",
        )
        for name, title in {"toy": "toy world, parcels", "easy_vqa": "easy-VQA", "fsdd": "spoken digits"}.items()
        if f"{name}_size_ratio" in found
    ]
    lost = table(("set", "test samples", "% in float32", "% in 8 bits", "size, 8 bits / float32"), rows)
    same = [100 * found[f"same_captions_{name}"] for name in ("saved_model", "tflite", "tflite_from_files")]
    said = (
        f"Captions by three beams of {found['num_captioned']} JPEG files are those of Keras for {same[0]:.1f} % "
        f"of them through the SavedModel, {same[1]:.1f} % through TFLite, and {same[2]:.1f} % where the files are "
        f"decoded by `LiteRunner` ({found['num_distinct_captions']} different sentences)."
    )
    return f"{speed}\n\n{lost}\n\n{said} On two cores, one seed: `{command}`."


def filled(text):
    """README text with every table between its markers made anew."""
    for name, make in (
        ("demo", demo),
        ("scores", scores),
        ("keys", keys),
        ("layers", layers),
        ("gpu", gpu),
        ("pipeline", pipeline),
        ("retrieval", retrieval),
        ("objectives", objectives),
        ("classification", classification),
        ("sentences", sentences),
        ("generate", generate),
        ("clips", clips),
        ("video", video),
        ("export_matrix", export_matrix),
        ("export", export),
    ):
        block = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        text = block.sub(lambda _, name=name, make=make: f"<!-- {name} -->\n{make()}\n<!-- /{name} -->", text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a table is not current")
    arguments = parser.parse_args()
    for readme in (ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        before = readme.read_text()
        after = filled(before)
        if arguments.check and after != before:
            sys.exit(f"{readme.relative_to(ROOT)} is not current: run python benchmarks/tables.py")
        readme.write_text(after)


if __name__ == "__main__":
    main()
