"""Does the model look? What sentences score that were said without."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmkeras.evaluation.bleu import bleu
from mmkeras.evaluation.caption_report import caption_report
from mmkeras.evaluation.cider import DocumentFrequencies
from mmkeras.evaluation.sentences import tokenized
from mmkeras.evaluation.table import Table
from mmkeras.models import SentenceTask

# How many sentences are tried as the one for all, and on how many samples.
_CANDIDATES, _SAMPLES = 60, 400
MEASURES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "num_distinct")


def sentence_controls(
    task: SentenceTask,
    records: Iterable[Mapping],
    *,
    train: Sequence[Mapping] | None = None,
    blind: tuple[SentenceTask, Sequence[Mapping]] | None = None,
    num_beams: int = 3,
    seed: int = 0,
    batch_size: int = 64,
) -> Table:
    """Score the sentences that a task says beside those that needed no look.

    - `all modalities`: the task.
    - `shuffled`: the task, each record described by what belongs to another one. Where that costs nothing, the task
      says what fits everywhere.
    - `blind`: another task that was trained without what is described, on black pictures for instance: what language
      alone knows.
    - `one sentence`: the same sentence for every record, the best by BLEU-4 among common ones of `train`.

    Args:
        task: a captioner or translator with a preprocessor.
        records: records with the modalities and with what people said of them.
        train: the records trained on; None leaves `one sentence` out.
        blind: a task trained without what is described, and the records to show it, as many; None leaves its row out.
        num_beams: how many beams say the sentences.
        seed: seed of the shuffling.
        batch_size: how many records are described together.

    Returns:
        `Table` with `model`, `bleu_1` to `bleu_4`, `rouge_l`, `cider_d`, `num_distinct` and an `example`.

    Example:

    >>> text = mm.preprocessing.Text(vocabulary=["dog", "cat"], length=4)
    >>> pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((8, 8)), text=text)
    >>> task = mm.models.ImageCaptioner(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), units=4, preprocessor=pre)
    >>> records = [{"image": np.zeros((8, 8, 3), "uint8"), "text": [word, f"a {word}"]} for word in ("dog", "cat")]
    >>> sentence_controls(task, records, train=records).column("model")
    ['all modalities', 'shuffled', 'one sentence']
    """
    records = list(records)
    if not isinstance(task, SentenceTask) or len(records) < 2 or (train is not None and not len(train)):
        raise ValueError(
            "Controls need a task that says sentences, two records to shuffle, and a train set that is not empty. "
            f"Received: {type(task).__name__}, {len(records)} records"
        )
    references = references_of(records, task.sentence)
    order = np.random.default_rng(seed).permutation(len(records))
    # Nobody keeps its own: each takes that of the next in a random order.
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    say = {"num_beams": num_beams, "batch_size": batch_size}
    said = {
        "all modalities": task.generate(records, **say),
        "shuffled": task.generate([records[i] for i in other], **say),
    }
    if blind is not None:
        blind_task, shown = blind
        said["blind"] = blind_task.generate(list(shown), **say)
    if train is not None:
        said["one sentence"] = [one_sentence(references_of(train, task.sentence))] * len(records)
    rows = []
    for name, sentences in said.items():
        report = caption_report(sentences, references)
        rows.append({"model": name, **{key: report[key] for key in MEASURES}, "example": sentences[0]})
    return Table(rows, f"{len(records):,} samples")


def references_of(records: Iterable[Mapping], sentence: str) -> list[list[str]]:
    """What people said of each record, as lists of strings.

    Example:

    >>> references_of([{"text": "a dog"}, {"text": ["a cat", "cat"]}], "text")
    [['a dog'], ['a cat', 'cat']]
    """
    references = []
    for row, record in enumerate(records):
        said = record.get(sentence)
        if not said or not all(isinstance(x, str) for x in ([said] if isinstance(said, str) else said)):
            raise ValueError(
                f"Each record needs what was said of it, a string or a list of them, under {sentence!r}. "
                f"Received: {said!r:.80} in record {row}"
            )
        references.append([said] if isinstance(said, str) else list(said))
    return references


def one_sentence(references: Sequence[Sequence[str]]) -> str:
    """The sentence of a corpus that scores the best BLEU-4 when it is said of everything.

    Args:
        references: for each sample what people said.

    Returns:
        The sentence. Those whose words and phrases most samples share are tried, on a part of a large corpus.

    Example:

    >>> one_sentence([["a dog runs on grass"], ["a dog runs on sand"], ["two cats"], ["a dog runs on grass too"]])
    'a dog runs on grass'
    """
    step = -(-len(references) // _SAMPLES)
    tried = [list(said) for said in references[::step]]
    frequencies = DocumentFrequencies.from_references(tried)
    lists = tokenized([sentence for said in tried for sentence in said], None)
    candidates = {" ".join(words): words for words in lists if len(words) >= 2}
    if not candidates:
        raise ValueError("A corpus of sentences of two words or more is needed. Received: none")

    def commonness(words):
        phrases = [tuple(words[i : i + n]) for n in (1, 2, 3, 4) for i in range(len(words) - n + 1)]
        return np.mean([frequencies.counts.get(phrase, 0) for phrase in phrases])

    likely = sorted(candidates, key=lambda sentence: -commonness(candidates[sentence]))[:_CANDIDATES]
    return max(likely, key=lambda sentence: bleu([sentence] * len(tried), tried, smooth=True)["bleu_4"])
