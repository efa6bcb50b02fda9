"""The accuracy of answers that several people gave differently."""

import re
from collections.abc import Sequence

_NUMBERS = dict(
    zip(
        ["none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        [0, *range(11)],
        strict=True,
    )
)
_ARTICLES = {"a", "an", "the"}
# Between digits a point belongs to the number, and a comma only makes it readable.
_THOUSANDS = re.compile(r"(?<=\d),(?=\d)")
_PUNCTUATION = re.compile(r"(?<!\d)\.|\.(?!\d)|[,;/\[\]\"{}()=+\\_<>@`?!:]")


def normalize_answer(answer: str) -> str:
    """Bring an answer to the form in which answers are compared.

    Lower case, number words as digits, no articles, no punctuation but apostrophes, hyphens and the points within
    numbers, single spaces.

    Args:
        answer: an answer.

    Returns:
        The answer in that form.

    Example:

    >>> normalize_answer("The  Two dogs!"), normalize_answer("3.5"), normalize_answer("A-frame")
    ('2 dogs', '3.5', 'a-frame')
    """
    words = _PUNCTUATION.sub(" ", _THOUSANDS.sub("", answer.lower())).split()
    return " ".join(str(_NUMBERS.get(word, word)) for word in words if word not in _ARTICLES)


def vqa_accuracy(answers: Sequence[str], references: Sequence[str | Sequence[str]]) -> float:
    """Score answers against those of several people: an answer that four or more gave is right.

    `mean over people of min(1, matches among the other people / 3)`, the soft accuracy of the VQA challenges, which
    have ten people for each question; scores with fewer are lower and not comparable. With one it is plain accuracy.
    Answers are compared by `normalize_answer`, which does not spell out contractions as the challenges do.

    Args:
        answers: one answer per question.
        references: for each question what people answered, a string or a list of them.

    Returns:
        Mean over questions, in 0..1.

    Example:

    >>> round(vqa_accuracy(["a dog"], [["dog", "dog", "puppy", "cat"]]), 3)
    0.5

    References:
        Antol et al. 2015, VQA: Visual Question Answering.
    """
    if isinstance(answers, str) or len(answers) != len(references) or not len(answers):
        raise ValueError(
            "One answer and its references are needed per question, for one question at least. "
            f"Received: {answers!r:.60} and {len(references)} references"
        )
    return sum(_score(*pair) for pair in zip(answers, references, strict=True)) / len(answers)


def _score(answer, people):
    people = [people] if isinstance(people, str) else list(people)
    if not people:
        raise ValueError(f"Each question needs a reference. Received: none for the answer {answer!r}")
    answer = normalize_answer(answer)
    given = [normalize_answer(person) == answer for person in people]
    if len(given) == 1:
        return float(given[0])
    return sum(min(1.0, (sum(given) - own) / 3) for own in given) / len(given)
