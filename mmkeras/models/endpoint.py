"""What a task can be asked once it is shipped."""

from typing import Any, NamedTuple


class Endpoint(NamedTuple):
    """One thing a task can be asked where it is served: a model, and how its outputs are put in words.

    `task.endpoints()` gives those of a task by name; `mm.export` makes signatures of them, from raw values
    (`image_bytes`, `text`, ...) and from prepared tensors. Make one yourself for a question of your own.

    Attributes:
        model: functional `keras.Model` with named inputs and a dict of outputs, sharing layers with the task.
        modalities: names of the modalities that it reads.
        replies: dict output -> how it is put in words, as plain data: `{"kind": "class", "names": [...]}` for
            probabilities of classes of which one holds, `"classes"` where any number do, `{"kind": "sentence", "name":
            "text", "part": "text"}` for token ids, by the preprocessor's part; outputs that are not named stay numbers.
        zeros: names of inputs that are zeros when served, such as a prefix that nobody gives.

    Example:

    >>> task = mm.models.MultimodalClassifier({"text": mm.encoders.lstm(50, 8)}, classes=["cat", "dog"])
    >>> task.endpoints()["classify"].replies
    {'label': {'kind': 'class', 'names': ['cat', 'dog']}}
    """

    model: Any
    modalities: tuple
    replies: dict
    zeros: tuple = ()
