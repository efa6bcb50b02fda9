"""Word vectors, from a file or from one's own texts, and the embedding that starts from them."""

import keras
import numpy as np

# Columns multiplied at a time: four million pairs of document and word take 128 MB.
_COLUMNS = 8
# The range of words that come together is flat: two passes over it and some dimensions more find it well enough.
_PASSES, _MORE = 2, 16
# As large as the values that Keras' Embedding starts from.
_SPREAD = 0.03


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


def learn_word_vectors(documents, vocabulary_size: int, dim: int = 256, *, seed: int = 0) -> np.ndarray:
    """Learn word vectors from your own texts: words that come in the same documents get similar ones.

    Latent semantic analysis: of the matrix (documents, words) of `(1 + log count) * log((1 + n) / (1 + df))`, the word
    side of its `dim` largest singular vectors, each times the root of its singular value, all brought to the spread of
    fresh weights. For encoders that have few examples to tell words from one another. Learn from train texts only.

    Args:
        documents: integer array (documents, tokens), padded with zeros. A document is what belongs together: all
            captions of a picture, `token_ids.reshape(len(token_ids), -1)` in the grouped form.
        vocabulary_size: number of token ids, padding (0) included.
        dim: size of the vectors; at most the number of documents and of words.
        seed: seed of the random start.

    Returns:
        Array (vocabulary, dim), float32, for the `word_vectors` of a text encoder; zeros for padding, and for words
        that no document has.

    Example:

    >>> vectors = learn_word_vectors(np.array([[1, 2], [1, 2], [3, 4], [3, 5]]), 6, dim=2)
    >>> vectors.shape, bool(np.abs(vectors[1] - vectors[2]).max() < 1e-6)
    ((6, 2), True)

    References:
        Deerwester et al. 1990, Indexing by Latent Semantic Analysis.
        Halko et al. 2011, Finding Structure with Randomness.
    """
    documents = np.asarray(documents)
    if documents.ndim != 2 or documents.dtype.kind not in "iu" or not documents.size:
        raise ValueError(
            "`documents` must be an integer array (documents, tokens) of token ids. Received: "
            f"{documents.dtype} of shape {documents.shape}"
        )
    if documents.min() < 0 or documents.max() >= vocabulary_size:
        raise ValueError(
            f"Token ids must lie in 0..{vocabulary_size - 1}, below `vocabulary_size`. Received: ids from "
            f"{documents.min()} to {documents.max()}"
        )
    if not 1 <= dim <= min(len(documents), vocabulary_size - 1):
        raise ValueError(
            f"`dim` must lie between 1 and the number of documents, {len(documents)}, and of words, "
            f"{vocabulary_size - 1}. Received: dim={dim}"
        )
    rows = np.broadcast_to(np.arange(len(documents))[:, None], documents.shape)[documents > 0]
    places, counts = np.unique(rows * vocabulary_size + documents[documents > 0], return_counts=True)
    rows, words = np.divmod(places, vocabulary_size)
    frequency = np.bincount(words, minlength=vocabulary_size)
    weights = (1 + np.log(counts)) * np.log((1 + len(documents)) / (1 + frequency[words]))
    by_word = np.argsort(words, kind="stable")

    def of_documents(basis):  # matrix @ basis
        return _sparse_product(rows, words, weights, basis, len(documents))

    def of_words(seen):  # matrix.T @ seen
        return _sparse_product(words[by_word], rows[by_word], weights[by_word], seen, vocabulary_size)

    width = min(dim + _MORE, len(documents), vocabulary_size)
    basis = np.random.default_rng(seed).standard_normal((vocabulary_size, width), dtype="float32")
    for _ in range(_PASSES):
        basis, _ = np.linalg.qr(of_words(of_documents(basis)))
    _, values, turned = np.linalg.svd(of_documents(basis), full_matrices=False)
    vectors = (basis @ turned.T * np.sqrt(values))[:, :dim]
    there = frequency > 0
    vectors *= _SPREAD / max(vectors[there].std(), 1e-12)
    return np.where(there[:, None], vectors, 0).astype("float32")


def _sparse_product(rows, columns, values, matrix, size):
    """Product of a sparse matrix of `size` rows, its entries sorted by row, with a dense one."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    values = values.astype("float32")[:, None]
    product = np.zeros((size, matrix.shape[1]), "float32")
    for start in range(0, matrix.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        gathered = np.ascontiguousarray(matrix[:, part])[columns]
        product[rows[starts], part] = np.add.reduceat(values * gathered, starts, axis=0)
    return product


def embedding_layer(vocabulary_size, dim, word_vectors):
    """Make the embedding of a text encoder, from `word_vectors` where they are given."""
    if word_vectors is None and not vocabulary_size:
        raise ValueError(
            "`vocabulary_size` is needed: the number of token ids, padding included. "
            f"Received: vocabulary_size={vocabulary_size}"
        )
    if word_vectors is None:
        return keras.layers.Embedding(vocabulary_size, dim, mask_zero=True, name="embedding")
    shape = np.shape(word_vectors)
    if len(shape) != 2 or vocabulary_size not in (None, shape[0]):
        raise ValueError(
            "`word_vectors` must be an array (vocabulary, dim) with one row per token id. "
            f"Received: word_vectors of shape {shape}, vocabulary_size={vocabulary_size}"
        )
    layer = keras.layers.Embedding(*shape, mask_zero=True, name="embedding")
    layer.build((None, None))
    layer.set_weights([np.asarray(word_vectors)])
    return layer
