"""Word vectors from a file."""

import numpy as np


def read_word_vectors(path: str, vocabulary: list[str], *, seed: int = 0) -> np.ndarray:
    """Read the vectors of a vocabulary from a file in GloVe's text format (`word v1 v2 ...`, one word a line).

    A first line of two numbers (word2vec's header) is skipped. Words that the file does not have get small random
    vectors of the same spread; the padding word at index 0 gets zeros.

    Args:
        path: path of the text file.
        vocabulary: words by token id; index 0 is padding.
        seed: seed of the random vectors.

    Returns:
        Array (vocabulary, dim), float32, for the `word_vectors` of a text encoder.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "glove.txt"
    >>> _ = path.write_text("dog 1 2\\ncat 3 4\\n")
    >>> read_word_vectors(path, ["", "cat", "dog"]).tolist()
    [[0.0, 0.0], [3.0, 4.0], [1.0, 2.0]]
    """
    rows = {word: index for index, word in enumerate(vocabulary)}
    found: dict[int, np.ndarray] = {}
    dim = None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            parts = line.rstrip().split(" ")
            if len(parts) < 2 or (number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts)):
                continue
            dim = dim or len(parts) - 1
            # Some files have words with spaces: the vector is the last `dim` parts. A line cut short has too few.
            word = " ".join(parts[:-dim]) if len(parts) > dim else parts[0]
            if word not in rows:
                continue
            try:
                if len(parts) <= dim:
                    raise ValueError(f"{len(parts) - 1} numbers")
                found[rows[word]] = np.asarray(parts[-dim:], dtype="float32")
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number}: expected a word and {dim} numbers. Received: {line[:80]!r}"
                ) from error
    if not found:
        raise ValueError(
            f"{path} has no vector for any of the {len(vocabulary)} words. Check that it is a text file of lines "
            f"'word v1 v2 ...' and that both are lower case. Received: vocabulary starting {vocabulary[:5]}"
        )
    known = np.stack(list(found.values()))
    vectors = np.random.default_rng(seed).normal(0.0, known.std(), (len(vocabulary), dim)).astype("float32")
    vectors[list(found)] = known
    vectors[0] = 0.0
    return vectors
