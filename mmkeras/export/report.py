"""What came of an export: how near the artefact is to the model, how large, how fast."""

from typing import Any, NamedTuple

import numpy as np


class ExportError(RuntimeError):
    """An export that failed, or whose artefact does not answer as the model does; nothing was left behind.

    Example:

    >>> try:
    ...     raise ExportError("TFLite lacks the operation `Erfc`")
    ... except ExportError as error:
    ...     print(error)
    TFLite lacks the operation `Erfc`
    """


class Check(NamedTuple):
    """One signature of an artefact, compared with Keras.

    Attributes:
        signature: its name.
        max_difference: largest difference of any number.
        relative_l2: length of the difference, in shares of that of what Keras gives; the worst of all outputs.
        agreement: share of samples for which ids, classes and strings are equal; None where there are none.
        milliseconds: median time of a request, by number of threads.

    Example:

    >>> Check("predict", 0.0, 0.0, None, {1: 2.5}).milliseconds[1]
    2.5
    """

    signature: str
    max_difference: float
    relative_l2: float
    agreement: float | None
    milliseconds: dict


class ExportReport(NamedTuple):
    """What came of an export.

    Attributes:
        path: where the artefact is.
        format: such as `"saved_model"` or `"tflite int8"`.
        num_bytes: its size.
        operations: dict of the operations it is made of, and how many there are.
        checks: list of `Check`s, one for each signature.
        notes: list of sentences about what is not there, and why.

    Example:

    >>> print(ExportReport("m.tflite", "tflite", 2048, {"ADD": 1}, [Check("predict", 1e-6, 1e-7, 1.0, {1: 0.5})], []))
    m.tflite: tflite, 2 KB, 1 kind of operation
      predict: largest difference 1e-06, relative 1e-07, 100.0 % equal, 0.50 ms (1 thread)
    """

    path: str
    format: str
    num_bytes: int
    operations: dict
    checks: list
    notes: list

    def __str__(self):
        kinds = len(self.operations)
        told = f"{self.num_bytes / 1024:,.0f} KB, {kinds} kind{_s(kinds)} of operation"
        lines = [f"{self.path}: {self.format}, {told}"]
        for check in self.checks:
            told = [f"largest difference {check.max_difference:.2g}", f"relative {check.relative_l2:.2g}"]
            told += [] if check.agreement is None else [f"{100 * check.agreement:.1f} % equal"]
            told += [f"{value:.2f} ms ({count} thread{_s(count)})" for count, value in check.milliseconds.items()]
            lines.append(f"  {check.signature}: {', '.join(told)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {**self._asdict(), "path": str(self.path), "checks": [check._asdict() for check in self.checks]}


def compare(signature, expected, found, milliseconds):
    """A `Check` of what an artefact gives against what Keras gives, both dicts of arrays."""
    missing = sorted(set(expected) ^ set(found))
    if missing:
        raise ExportError(f"{signature!r} answers with other names than the model: {missing}")
    rows = len(next(iter(expected.values())))
    equal, discrete = np.ones(rows, bool), False
    for name, values in expected.items():
        if np.shape(values) != np.shape(found[name]):
            raise ExportError(
                f"{signature!r} answers {name!r} in another shape: {np.shape(values)} by Keras. "
                f"Received: {np.shape(found[name])}"
            )
        if values.dtype.kind not in "f":
            discrete = True
            equal &= (values == found[name]).reshape(rows, -1).all(axis=1)
    largest = relative = 0.0
    for name, values in expected.items():
        if values.dtype.kind == "f":
            # Where another word was said, its probability is another one too.
            wanted, given = (np.nan_to_num(np.asarray(x, "float64")[equal]) for x in (values, found[name]))
            difference = np.abs(wanted - given)
            if difference.size:
                largest = max(largest, float(difference.max()))
                relative = max(relative, float(np.linalg.norm(difference) / max(np.linalg.norm(wanted), 1e-12)))
    return Check(signature, largest, relative, float(equal.mean()) if discrete else None, milliseconds)


def _s(count):
    return "" if count == 1 else "s"
