"""Samples that lack a modality."""

import dataclasses
from typing import final

from mmkeras.data.corruption.corruptor import Corruptor


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Missing(Corruptor):
    """Take a modality away altogether, with probability `severity`.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: any raw value.
        rng: NumPy generator.

    Output: the value as it is, or None.

    Example:

    >>> Missing(1.0)("dog.jpg", np.random.default_rng(0)) is None
    True
    """

    def _apply(self, value, rng):
        return None if rng.random() < self.severity else value
