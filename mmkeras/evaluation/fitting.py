"""Training of the models that an evaluation compares."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras


@contextlib.contextmanager
def several_models():
    """Keep TensorFlow from warning of retracing: each of the models is compiled, once."""
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_no_retracing)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_retracing)


def _is_no_retracing(record):
    return "triggered tf.function retracing" not in record.getMessage()


def is_dataset(data: Any) -> bool:
    """Whether data come in batches: a `tf.data.Dataset` or a `keras.utils.PyDataset`."""
    return isinstance(data, keras.utils.PyDataset) or type(data).__module__.startswith("tensorflow")


def fitted(make: Callable[[], Any], train: Any, fit: Mapping[str, Any] | Callable, seed: int) -> Any:
    """Make a task, compile it unless it is, and fit it; all that is random follows from the seed.

    Args:
        make: function that makes a task.
        train: data set, see `predict_all`.
        fit: arguments of `task.fit` (`batch_size` too where records are given), or a function `(task, train)`.
        seed: integer.

    Returns:
        The task.
    """
    keras.utils.set_random_seed(seed)
    task = make()
    if not task.compiled:
        task.compile()
    if callable(fit):
        fit(task, train)
        return task
    options = {"verbose": 0, **fit}
    if isinstance(train, tuple):
        x, y, weight = (*train, None)[:3]
        task.fit(x, y, sample_weight=weight, **options)
    elif is_dataset(train):
        task.fit(train, **options)
    else:
        task.fit(task.preprocessor.dataset(train, options.pop("batch_size", 32), seed=seed), **options)
    return task
