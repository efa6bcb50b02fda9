"""The sections of the page that show what each model answered, by what was shipped of it."""

from collections import Counter

import numpy as np

import mmkeras as mm
from demo_parts.clips import FRAME_LABEL, LABELS
from demo_parts.pieces import escape, figure, image, scores, sound, told, wave
from demo_parts.search import vectors

SHOWN, WRONG, QUERIES = 10, 5, 3


def section(part, words, body):
    return f'<section id="{part.name}"><h2>{escape(part.title)}</h2><p>{words}</p>{scores(part)}{body}</section>'


def captioner(part, artefacts):
    """Pictures of the test split in their order, those that went wrong, and where the captioner looked."""
    said = [answer["text"] for answer in artefacts[-1].answers["generate"]]
    true, pictures = part.facts["true"](said), part.facts["pictures"]
    wrong = [row for row in range(SHOWN, len(said)) if not true[row]][:WRONG]

    def cards(rows):
        return (
            '<div class="grid">'
            + "".join(
                f"<figure>{image(pictures[row], 'toy scene: ' + part.facts['known'][row], 'toy')}"
                f"<figcaption>{escape(said[row])}<br>{told(true[row])}"
                + ("" if true[row] else f"<br>People say: {escape(part.facts['known'][row])}")
                + "</figcaption></figure>"
                for row in rows
            )
            + "</div>"
        )

    looked = part.task.generate(part.records[0], return_attention=True)
    body = (
        f"<h3>The first {min(SHOWN, len(said))} pictures of the test split, described by "
        f"<code>{artefacts[-1].path.name}</code></h3>" + cards(range(min(SHOWN, len(said))))
    )
    if wrong:
        body += f"<h3>Where it went wrong</h3><p class=note>The first of {true.count(False)} among {len(said)}.</p>"
        body += cards(wrong)
    body += "<h3>Where it looked, word by word</h3>" + figure(
        mm.interpret.plot_attention(pictures[0], looked), f"where the captioner looked while it said: {looked.text}"
    )
    words = (
        "An image encoder and an LSTM that looks at its cells, learned from scratch on "
        f"{part.facts['num_train']:,} pictures. A caption counts if the grammar can say it, if it tells shape, colour, "
        "size, number and place, and if all of it is so. The combinations of these in the test split, "
        f"{part.facts['num_test']:,} pictures, never came in training."
    )
    return section(part, words, body)


def search(part, artefacts):
    """Sentences with the five pictures nearest to each, and pictures with the sentences nearest to them."""
    text, pictures = vectors(artefacts[-1].answers)
    scenes, shown = part.facts["scenes"], part.facts["pictures"]
    queries = []
    for row, scene in enumerate(scenes):
        if scene not in [scenes[other] for other in queries]:
            queries.append(row)
    index = mm.retrieval.Index().add(pictures)
    body = f"<h3>The five nearest of {len(shown)} pictures, by <code>{artefacts[-1].path.name}</code></h3>"
    for query in queries[:QUERIES]:
        hits = index.search(text[query], k=5).keys
        cards = "".join(
            f'<figure class="{"hit" if scenes[hit] == scenes[query] else "miss"}">'
            f"{image(shown[hit], 'toy scene: ' + part.facts['sentences'][hit], 'toy')}"
            f"<figcaption>{told(scenes[hit] == scenes[query])}</figcaption></figure>"
            for hit in hits
        )
        there = Counter(scenes)[scenes[query]]
        body += (
            f'<p class="ask">{escape(part.facts["sentences"][query])}</p><div class="found">{cards}</div>'
            f'<p class="note">{there} of the {len(shown)} pictures {"is" if there == 1 else "are"} so.</p>'
        )
    words = (
        "Two towers and one space. What a picture shows is read by the encoder that the captioner learned, frozen; the "
        "rest learns which sentence belongs to which picture. A hit is right if all five facts of the sentence are so."
    )
    return section(part, words, body)


def clips(part, artefacts):
    """One clip with its sound, what was answered about it and each of its frames, and what the answer hung on."""
    clip, answers = part.facts["clips"][0], artefacts[-1].answers
    answer, moments = answers["classify"][0], answers["tag"][0][FRAME_LABEL]
    strip = np.concatenate(list(clip["video"]), axis=1)
    beats = "".join(
        f'<span class="{escape(moment)}">{"" if moment == "none" else escape(moment)}</span>' for moment in moments
    )
    right = sum(moment == known for moment, known in zip(moments, clip[FRAME_LABEL], strict=True))
    replies = "".join(
        f"<li>{name}: <b>{escape(answer[name])}</b>, {100 * answer[f'{name}_score']:.0f} % sure, "
        f"{told(answer[name] == clip[name])}</li>"
        for name in LABELS
    )
    why = mm.interpret.explain_clip(part.task, part.records[0], head="source")
    body = (
        f"<h3>The first clip of the test split, by <code>{artefacts[-1].path.name}</code></h3>"
        f'<div class="reel"><div>{image(strip, "frames of a clip in which two things bounce", "strip")}'
        f'<div class="beats" aria-label="what happens in each frame, as answered">{beats}</div>{wave(clip["audio"])}'
        f"</div></div>{sound(clip['audio'])}"
        f'<p class="note">Under each frame: whether something bounces in it, and whether that is heard; {right} of '
        f"{len(moments)} frames are answered rightly.</p><ul>{replies}</ul>"
        "<h3>What the answer hung on</h3><p class=note>By how much the probability of the answer falls where a frame, "
        "or a part of the sound, is hidden.</p>"
        + figure(why.plot(), f"which frames and which sounds decided that the {why.label} is heard")
    )
    words = (
        "A circle and a square bounce, and one of them is heard. Colour is seen, material is heard; which of the two "
        "is the source is known only to who compares when things bounce with when it sounds, so either stream alone "
        f"can but guess. Learned from {part.facts['num_train']:,} clips, asked about {part.facts['num_test']:,} others."
    )
    return section(part, words, body)


def parcels(part, artefacts):
    """A few parcels as they are seen, heard and read, and how they were sorted."""
    rows = ""
    for parcel, answer in zip(part.facts["parcels"][:3], artefacts[-1].answers["classify"], strict=False):
        rows += (
            f'<div class="pair">{image(parcel["image"], "a parcel, seen", "toy")}<div>'
            f"<p>{escape(parcel['text'])}</p>{wave(parcel['audio'])}{sound(parcel['audio'])}"
            f"<p><b>{escape(answer['label'])}</b>, {100 * answer['label_score']:.0f} % sure, "
            f"{told(answer['label'] == parcel['label'])}</p></div></div>"
        )
    body = f"<h3>The first three of the test split, by <code>{artefacts[-1].path.name}</code></h3>{rows}"
    words = (
        "The shape of a parcel is seen, by the encoder that the captioner learned, its material heard, its owner read: "
        "each makes a part of the class. Who has one of them only cannot do better than the mark on the bar."
    )
    return section(part, words, body)
