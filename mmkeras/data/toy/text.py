"""Sentences about toy scenes: captions, questions, their vocabulary, and a parser that checks captions."""

from collections.abc import Iterable, Sequence

import numpy as np

from mmkeras.data.toy.attributes import ATTRIBUTES, value_names

PADDING, UNKNOWN, START, END = range(4)
SPECIAL_TOKENS = ("", "[UNK]", "[START]", "[END]")

SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
MATERIAL_WORDS = {"wood": "wooden", "metal": "metal", "glass": "glass"}

PLACED_CAPTIONS = (
    "there {be} {objects} at the {position}",
    "there {be} {objects} in the {position} corner",
    "{objects} {sit} in the {position} corner",
    "{objects} {be} at the {position}",
    "the {position} holds {objects}",
    "the {position} corner has {objects}",
    "i can see {objects} at the {position}",
    "in the {position} corner {be} {objects}",
    "a picture of {objects} at the {position}",
    "at the {position} you find {objects}",
)
UNPLACED_CAPTIONS = (
    "there {be} {objects}",
    "here {be} {objects}",
    "{objects} can be seen",
    "{objects} {be} in the picture",
    "the picture shows {objects}",
    "i can see {objects}",
    "you find {objects} here",
    "a picture of {objects}",
)

# Singular on purpose: "the coloured shape" names the kind, so that no question gives the count away.
QUESTIONS = {
    "shape": (
        "what shape is shown in colour?",
        "which shape is coloured?",
        "what coloured shape can you see?",
        "name the coloured shape",
    ),
    "colour": (
        "what colour is shown?",
        "which colour can you see?",
        "what colour other than grey is there?",
        "name the colour of the coloured shape",
    ),
    "size": (
        "what size is the coloured shape?",
        "how big is the coloured shape?",
        "is the coloured shape small or large?",
        "name the size of the coloured shape",
    ),
    "count": (
        "how many coloured shapes are there?",
        "how many shapes are coloured?",
        "how many coloured shapes can you see?",
        "count the coloured shapes",
    ),
    "position": (
        "where is the coloured shape?",
        "in which corner is the coloured shape?",
        "which corner holds the coloured shape?",
        "where do you find the coloured shape?",
    ),
    "existence": (
        "is there {object}?",
        "can you see {object}?",
        "do you see {object} here?",
        "does the picture show {object}?",
    ),
}

ANSWERS = tuple(value for kind in QUESTIONS for value in ATTRIBUTES.get(kind, ("yes", "no")))


def caption_forms(text_attributes: Iterable[str]) -> tuple[str, ...]:
    """Sentence forms for captions that tell these attributes; a caption tells all its facts in any form."""
    return PLACED_CAPTIONS if "position" in text_attributes else UNPLACED_CAPTIONS


def noun_phrases(facts: dict[str, str]) -> list[str]:
    """All ways to name the objects of a scene, of which `facts` tells the values of some attributes.

    Without a count they are "at least one", which holds for every count; without a shape they are "things".
    """
    count, owner = facts.get("count"), facts.get("owner", "").lower()
    noun = facts.get("shape", "thing")
    tail = f" with a {facts['melody']} tone" if "melody" in facts else ""
    phrases = []
    for size in SIZE_WORDS.get(facts.get("size"), ("",)):
        words = (size, facts.get("colour", ""), MATERIAL_WORDS.get(facts.get("material"), ""), noun)
        single = " ".join(word for word in words if word)
        if owner:
            phrases.append(f"{count or 'at least one'} of {owner}'s {single}s")
        if owner and count:
            phrases.append(f"{owner}'s {single}" if count == "one" else f"{owner}'s {count} {single}s")
        elif count == "one":
            phrases += [f"{_article(single)} {single}", f"one {single}"]
        elif not owner:
            phrases.append(f"{count} {single}s" if count else f"at least one {single}")
    return [phrase + tail for phrase in phrases]


def captions_in_form(form: str, facts: dict[str, str]) -> list[str]:
    """All captions that one sentence form allows for these facts."""
    plural = facts.get("count", "one") != "one"
    words = {"be": "are" if plural else "is", "sit": "sit" if plural else "sits", "position": facts.get("position")}
    return [form.format(objects=phrase, **words) for phrase in noun_phrases(facts)]


def write_captions(
    attributes: dict, text_attributes: Sequence[str], *, captions_per_sample: int, rng: np.random.Generator
) -> list[list[str]]:
    """Draw captions, true and complete, each of a sample in another sentence form."""
    forms = caption_forms(text_attributes)
    captions = []
    for sample in range(len(attributes["shape"])):
        names = value_names(attributes, sample)
        facts = {name: names[name] for name in text_attributes}
        chosen = rng.permutation(len(forms))[:captions_per_sample]
        options = [captions_in_form(forms[form], facts) for form in chosen]
        captions.append([option[rng.integers(len(option))] for option in options])
    return captions


def write_questions(attributes: dict, *, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Draw one question per sample about what the picture shows, and its answer.

    All kinds of question are equally frequent. Half of the existence questions name the shape and colour of the scene
    (answer "yes"), the others change either of the two ("no").
    """
    batch = len(attributes["shape"])
    order = rng.permutation(batch)
    questions, answers = [""] * batch, [""] * batch
    for turn, sample in enumerate(order):
        names = value_names(attributes, sample)
        kind = tuple(QUESTIONS)[turn % len(QUESTIONS)]
        answer = names.get(kind)
        if kind == "existence":
            answer = ("yes", "no")[turn // len(QUESTIONS) % 2]
            if answer == "no":
                changed = ("shape", "colour")[rng.integers(2)]
                others = [value for value in ATTRIBUTES[changed] if value != names[changed]]
                names[changed] = others[rng.integers(len(others))]
        thing = f"{names['colour']} {names['shape']}"
        form = QUESTIONS[kind][rng.integers(len(QUESTIONS[kind]))]
        questions[sample] = form.format(object=f"{_article(thing)} {thing}")
        answers[sample] = answer
    return questions, answers


def parse_caption(sentence: str) -> dict[str, str] | None:
    """Facts that a caption tells, as `{attribute: value}`, or `None` if the grammar cannot make it."""
    words = split_words(sentence)
    found = {} if "least" in words else {"count": {"one"}}
    if set(words) & set(ATTRIBUTES["count"][1:]):
        found["count"] = set()
    for word in words:
        for name, value in _LEXICON.get(word, ()):
            found.setdefault(name, set()).add(value)
    if any(len(values) != 1 for values in found.values()):
        return None
    facts = {name: value for name, (value,) in found.items()}
    if "row" in facts and "column" in facts:
        facts["position"] = f"{facts.pop('row')} {facts.pop('column')}"
    caption = " ".join(words)
    # Writing the facts again checks word order, agreement and that nothing else is said.
    known = any(caption in captions_in_form(form, facts) for form in caption_forms(facts))
    return facts if known else None


def longest_sentence(text_attributes: Sequence[str]) -> int:
    """Number of tokens of the longest caption between its start and end tokens, or question if that is longer."""
    facts = {name: ATTRIBUTES[name][-1] for name in text_attributes}
    captions = [caption for form in caption_forms(facts) for caption in captions_in_form(form, facts)]
    questions = [form.format(object="a red circle") for forms in QUESTIONS.values() for form in forms]
    return max(*(len(split_words(text)) + 2 for text in captions), *(len(split_words(text)) for text in questions))


def split_words(sentence: str) -> list[str]:
    """Lower-case words of a sentence, without punctuation at their ends."""
    return [word for word in (part.strip(".,;:!?") for part in sentence.lower().split()) if word]


def encode(sentences: Iterable[str], sequence_length: int, *, mark_ends: bool = False) -> np.ndarray:
    """Token ids `(batch, time)`, int32, zero-padded or cut on the right; `mark_ends` adds start and end tokens."""
    ids = [[_WORD_IDS.get(word, UNKNOWN) for word in split_words(sentence)] for sentence in sentences]
    if mark_ends:
        ids = [[START, *row, END] for row in ids]
    token_ids = np.full((len(ids), sequence_length), PADDING, dtype="int32")
    for row, values in zip(token_ids, ids, strict=True):
        row[: len(values)] = values[:sequence_length]
    return token_ids


def decode(token_ids: np.ndarray) -> list[str]:
    """Sentences of token ids `(batch, time)`: up to the end token, without padding and start tokens."""
    sentences = []
    for row in np.asarray(token_ids).tolist():
        row = row[: row.index(END)] if END in row else row
        sentences.append(" ".join(VOCABULARY[index] for index in row if index not in (PADDING, START)))
    return sentences


def _article(phrase):
    return "an" if phrase[0] in "aeiou" else "a"


def _build_lexicon():
    lexicon = {}
    entries = [(word, "size", value) for value, words in SIZE_WORDS.items() for word in words]
    entries += [(word, "material", value) for value, word in MATERIAL_WORDS.items()]
    entries += [(word, "shape", value) for value in ATTRIBUTES["shape"] for word in (value, f"{value}s")]
    entries += [(f"{value.lower()}'s", "owner", value) for value in ATTRIBUTES["owner"]]
    entries += [(value, name, value) for name in ("colour", "melody") for value in ATTRIBUTES[name]]
    entries += [(value, "count", value) for value in ATTRIBUTES["count"][1:]]
    entries += [(value, "row", value) for value in ("top", "bottom")]
    entries += [(value, "column", value) for value in ("left", "right")]
    for word, name, value in entries:
        lexicon.setdefault(word, []).append((name, value))
    return lexicon


def _build_vocabulary():
    forms = [*PLACED_CAPTIONS, *UNPLACED_CAPTIONS, *(form for forms in QUESTIONS.values() for form in forms)]
    words = {word for form in forms for word in split_words(form) if "{" not in word}
    words |= {*_LEXICON, *split_words("is are sit sits a an one at least of thing things with tone yes no")}
    return [*SPECIAL_TOKENS, *sorted(words)]


_LEXICON = _build_lexicon()
VOCABULARY = _build_vocabulary()
_WORD_IDS = {word: index for index, word in enumerate(VOCABULARY)}
