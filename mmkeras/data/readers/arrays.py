"""Records from arrays and lists in memory."""

from collections.abc import Sequence
from typing import final

from mmkeras.data.records import Records


def from_arrays(**columns: Sequence) -> Records:
    """Make records from arrays or lists of equal length, one per modality.

    Args:
        **columns: modality -> sequence with one value per sample; None is a missing value.

    Returns:
        Records; the arrays are not copied.

    Example:

    >>> from_arrays(image=np.zeros((2, 8, 8, 3), "uint8"), label=["dog", "cat"])[1]["label"]
    'cat'
    """
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Columns must have one length. Received: lengths {lengths}")
    return Records(_Columns(columns), name="arrays")


@final
class _Columns(Sequence):
    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row):
        return {key: values[row] for key, values in self.columns.items()}
