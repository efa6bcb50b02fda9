"""A task that reads something else, and knows what it has learned."""

from typing import Any

import keras

from mmkeras.models import Task


def replace_encoders(task: Task, preprocessor: Any = "same", **encoders: keras.Model) -> Task:
    """Make a task like another one, with other encoders for some modalities; all else that was learned goes along.

    What was trained on the features of a frozen encoder (`mm.data.cache_features`) becomes a task on the raw thing:

    ```python
    whole = mm.encoders.chain(frozen, trained.encoders["video"])
    task = mm.training.replace_encoders(trained, preprocessor=pre, video=whole)
    ```

    Weights are copied, and the new task is to be compiled anew if it is to be trained.

    Args:
        task: the task.
        preprocessor: that of the new task; `"same"` keeps the old one.
        **encoders: encoders by modality, which give tokens of the same size as those they replace.

    Returns:
        A task of the same class.

    Example:

    >>> first, second = (mm.encoders.features((size,), 4) for size in (6, 9))
    >>> task = mm.models.MultimodalClassifier({"features": first}, classes=2)
    >>> replace_encoders(task, features=second).predict({"features": np.ones((3, 9))}, verbose=0)["label"].shape
    (3, 2)
    """
    unknown = sorted(set(encoders) - set(task.encoders))
    if unknown or not encoders:
        raise ValueError(f"Name encoders among {sorted(task.encoders)} to be replaced. Received: {unknown or 'none'}")
    for modality, encoder in encoders.items():
        old, new = task.encoders[modality].output_shape, encoder.output_shape
        if (len(old), old[-1]) != (len(new), new[-1]):
            raise ValueError(
                f"The encoder of {modality!r} must give what the old one gives, {old}. Received: one that gives {new}"
            )
    config = task.get_config()
    del config["learning"]
    chosen = {**task.encoders, **encoders}
    config["encoders"] = {}
    for name, encoder in chosen.items():
        # One encoder under two keys stays one: the second key is written as the name of the first.
        same = next(first for first, other in chosen.items() if other is encoder)
        config["encoders"][name] = keras.saving.serialize_keras_object(encoder) if same == name else same
    if preprocessor != "same":
        config["preprocessor"] = keras.saving.serialize_keras_object(preprocessor)
    made = type(task).from_config(config)
    for modality, encoder in made.encoders.items():
        for target, source in zip(encoder.weights, chosen[modality].weights, strict=True):
            target.assign(source.value)
            target.trainable = source.trainable
    old, new = _others(task), _others(made)
    if [weight.shape for weight in old] != [weight.shape for weight in new]:
        raise ValueError("A task with layers that were changed after it was built (LoRA) cannot get other encoders")
    for source, target in zip(old, new, strict=True):
        target.assign(source.value)
        target.trainable = source.trainable
    return made


def _others(task):
    """Weights of a task that belong to no encoder, in the order in which it was built."""
    owned = {id(weight) for encoder in task.encoders.values() for weight in encoder.weights}
    return [weight for weight in task.weights if id(weight) not in owned]
