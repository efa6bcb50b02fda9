"""Raw records, as the methods of tasks take them."""

from collections.abc import Sequence


def is_one(records):
    """Whether something stands for one record rather than for several."""
    return isinstance(records, str | bytes) or not isinstance(records, Sequence)
