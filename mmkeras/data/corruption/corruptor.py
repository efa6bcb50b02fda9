"""What every corruptor is."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, repr=False)
class Corruptor:
    """Base of the corruptors: a raw value in, a worse one of the same kind out.

    Severity 0 hands the value back as it is, and severity 1 is the worst that still makes sense. In between, a
    corruptor that starts from equal random generators draws the same noise, patch or words at every severity and
    only takes more of it, so that a curve over severities is smooth and the damage never shrinks.

    Args:
        severity: number from 0 to 1.

    Call arguments:
        value: raw value of one modality; None stays None.
        rng: NumPy generator; equal generators give equal results.

    Example:

    >>> from mmkeras.data.corruption import TextDrop
    >>> isinstance(TextDrop(0.5), Corruptor), TextDrop(0)("a dog", np.random.default_rng(0))
    (True, 'a dog')
    """

    severity: float

    def __post_init__(self):
        check_severity(self.severity)

    def __call__(self, value: Any, rng: np.random.Generator) -> Any:
        return value if value is None or self.severity == 0 else self._apply(value, rng)

    def _apply(self, value, rng):
        raise NotImplementedError

    def __repr__(self):
        fields = dataclasses.fields(self)
        changed = [(field.name, getattr(self, field.name)) for field in fields]
        changed = [(name, value) for (name, value), field in zip(changed, fields, strict=True)
                   if not _is(value, field.default)]  # fmt: skip
        arguments = (_short(value) if name == "severity" else f"{name}={_short(value)}" for name, value in changed)
        return f"{type(self).__name__}({', '.join(arguments)})"


def check_severity(severity):
    """Refuse what is no number from 0 to 1."""
    if isinstance(severity, bool) or not isinstance(severity, (int, float, np.number)) or not 0 <= severity <= 1:
        raise ValueError(f"`severity` must be a number from 0 (untouched) to 1 (worst). Received: {severity!r}")


def _is(value, default):
    return value is default or (isinstance(value, (int, float, str, tuple)) and value == default)


def _short(value):
    text = f"{value:g}" if isinstance(value, (float, np.floating)) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
