"""Agreement of captions with what people wrote, with rare words counting more."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from mmkeras.evaluation.sentences import Tokenize, ngrams, tokenized_pairs, tokenized_references
from mmkeras.retrieval.embeddings import check_count

_MAX_ORDER = 4
# Both as the authors chose them: the width, in words, of what counts as the same length, and the scale.
_SIGMA = 6.0
_SCALE = 10.0


@dataclasses.dataclass(frozen=True)
class DocumentFrequencies:
    """In the references of how many samples each n-gram occurs, which tells `cider_d` what is rare.

    Counted once by `from_references`, on the training set for instance, it makes scores of small or different test
    sets comparable.

    Args:
        num_documents: number of samples.
        counts: dict from n-grams of 1 to 4 words, tuples of strings, to the number of samples whose references hold
            it. What is not in it counts as occurring in one.

    Example:

    >>> found = DocumentFrequencies.from_references([["a dog", "the dog"], ["a cat"]])
    >>> found.num_documents, found.counts["a",], found.counts["dog",], found.counts["a", "cat"]
    (2, 2, 1, 1)
    """

    num_documents: int
    counts: Mapping[tuple[str, ...], float]

    def __post_init__(self):
        check_count("num_documents", self.num_documents)
        for ngram, count in self.counts.items():
            if not isinstance(ngram, tuple) or not 0 <= count <= self.num_documents:
                raise ValueError(
                    "`counts` must map tuples of words to numbers of samples, at most "
                    f"`num_documents={self.num_documents}`. Received: {ngram!r:.60} with {count!r}"
                )

    @staticmethod
    def from_references(
        references: Sequence[str | Sequence[str]], *, tokenize: Tokenize | None = None
    ) -> "DocumentFrequencies":
        """Count the n-grams of references: a string or a list of them per sample."""
        return _count(tokenized_references(references, tokenize))


def cider_d(
    sentences: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    document_frequencies: DocumentFrequencies | None = None,
    tokenize: Tokenize | None = None,
) -> float:
    """Measure how well captions agree with what people wrote, n-grams weighted by how rare they are.

    `10 * mean over sentences, their references and n = 1..4 of similarity_n * exp(-(difference of lengths)^2 / 72)`.
    Sentence s and reference r are vectors of `count of the n-gram in it * log(samples / samples whose references hold
    the n-gram)`, and `similarity_n = min(s, r) . r / (|s| |r|)`: repeating an n-gram more often than the reference
    does is worth nothing. A sentence that equals all its references scores 10, or less if shorter than four words. On
    this scale, that of the COCO toolkit, the "CIDEr 120" of papers is 1.2.

    Equals the toolkit's CIDEr on the same words, which is CIDEr-D too. Nothing is stemmed, as there; the paper stems.
    The rarity is counted on `references` unless given: it depends on the whole set, an n-gram that all samples
    share is worth nothing, and a single sample scores 0. For few samples, pass `document_frequencies` of more.

    Args:
        sentences: one generated sentence per sample.
        references: for each sample what people wrote, a string or a list of them, not equally many in each.
        document_frequencies: `DocumentFrequencies` of another set, counted with the same `tokenize`; default: those
            of `references`.
        tokenize: function from a sentence to its list of words; default: `caption_tokens`.

    Returns:
        Number in 0..10.

    Example:

    >>> references = [["a dog runs on grass", "a dog on grass"], ["a cat sleeps", "the cat is asleep"]]
    >>> round(cider_d(["a dog on grass", "a cat is asleep"], references), 3)
    5.163

    References:
        Vedantam et al. 2015, CIDEr: Consensus-based Image Description Evaluation.
    """
    if document_frequencies is not None and not isinstance(document_frequencies, DocumentFrequencies):
        raise ValueError(
            "`document_frequencies` must be a DocumentFrequencies, as from_references makes it. "
            f"Received: {document_frequencies!r:.60}"
        )
    pairs = tokenized_pairs(sentences, references, tokenize)
    rarity = document_frequencies or _count([people for _, people in pairs])
    total = 0.0
    for words, people in pairs:
        vectors = _vectors(words, rarity)
        for person in people:
            penalty = math.exp(-((len(words) - len(person)) ** 2) / (2 * _SIGMA**2))
            found = zip(vectors, _vectors(person, rarity), strict=True)
            total += penalty * sum(_similarity(*pair) for pair in found) / _MAX_ORDER / len(people)
    return _SCALE * total / len(pairs)


def _count(references):
    counts = Counter()
    for people in references:
        counts.update({ngram for words in people for ngram in ngrams(words, _MAX_ORDER)})
    return DocumentFrequencies(len(references), counts)


def _vectors(words, rarity):
    """For each order a dict from n-grams to weights."""
    vectors = [{} for _ in range(_MAX_ORDER)]
    for ngram, count in ngrams(words, _MAX_ORDER).items():
        vectors[len(ngram) - 1][ngram] = count * math.log(rarity.num_documents / max(1, rarity.counts.get(ngram, 1)))
    return vectors


def _similarity(sentence, reference):
    lengths = math.hypot(*sentence.values()) * math.hypot(*reference.values())
    both = [(weight, reference[ngram]) for ngram, weight in sentence.items() if ngram in reference]
    shared = sum(min(weight, other) * other for weight, other in both)
    return shared / lengths if lengths else 0.0
