"""What was skipped or repaired, and why: nothing is dropped silently."""

import warnings
from typing import NamedTuple, final

_SHOWN = 3


class Problem(NamedTuple):
    """One sample that was skipped or repaired.

    `where` names it for a human: a file, with line or row where it has one. `key` is the record's key, or empty.
    """

    where: str
    reason: str
    key: str = ""

    def __str__(self):
        return f"{self.where}{f' [{self.key}]' if self.key else ''}: {self.reason}"


@final
class Problems(list):
    """A list of problems that raises on the first one if it is strict.

    Args:
        task: what was being done, for messages: `"read_csv('clips.csv')"`.
        strict: whether `add` raises.

    Example:

    >>> problems = Problems("read_csv('clips.csv')")
    >>> problems.add("clips.csv, row 7", "no file 'dog.jpg'", key="image")
    >>> str(problems[0])
    "clips.csv, row 7 [image]: no file 'dog.jpg'"
    """

    def __init__(self, task: str, strict: bool = False):
        super().__init__()
        self.task = task
        self.strict = strict

    def add(self, where: str, reason: str, key: str = "") -> None:
        """Note one problem, or raise it if strict."""
        problem = Problem(str(where), str(reason), key)
        if self.strict:
            raise ValueError(f"{self.task}, strict: {problem}")
        self.append(problem)

    def warn(self, total: int, already: int = 0, stacklevel: int = 3) -> None:
        """Say aloud what was skipped of `total` samples, but for the `already` first ones; silent if there is none."""
        new = self[already:]
        if new:
            names = "; ".join(map(str, new[:_SHOWN]))
            more = f"; and {len(new) - _SHOWN} more, see `.problems`" if len(new) > _SHOWN else ""
            warnings.warn(f"{self.task} skipped {len(new)} of {total}: {names}{more}", stacklevel=stacklevel)

    def __reduce__(self):
        return _restored, (self.task, self.strict, list(self))


def _restored(task, strict, items):
    problems = Problems(task, strict)
    problems.extend(items)
    return problems
