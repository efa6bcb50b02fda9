"""What came of an export: how near the artefact is to the model, how large, how fast."""

from typing import Any, NamedTuple

import numpy as np

from mmkeras.export.replies import HOLDS

# Half of what generation gives for sentences that are not there.
_IMPOSSIBLE = -5e8


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


def compare(signature, expected, found, milliseconds, replies):
    """A `Check` of what an artefact gives against what Keras gives.

    Args:
        signature: its name.
        expected: dict of arrays, by Keras.
        found: dict of arrays.
        milliseconds: median time by number of threads.
        replies: dict output -> how it is put in words: of classes the best, or those that hold, must be the same.
    """
    missing = sorted(set(expected) ^ set(found))
    if missing:
        raise ExportError(f"{signature!r} answers with other names than the model: {missing}")
    rows = len(next(iter(expected.values())))
    equal, discrete, floats = np.ones(rows, bool), False, []
    for name, wanted in expected.items():
        given, kind = np.asarray(found[name]), replies.get(name, {}).get("kind")
        if wanted.shape != given.shape:
            raise ExportError(
                f"{signature!r} answers {name!r} in another shape: {wanted.shape} by Keras. Received: {given.shape}"
            )
        if wanted.dtype.kind == "f":
            floats.append((name, wanted.astype("float64"), given.astype("float64")))
        if wanted.dtype.kind != "f" or kind in ("class", "classes"):
            discrete = True
            told = [_choice(values, kind) for values in (wanted, given)]
            equal &= (told[0] == told[1]).reshape(rows, -1).all(axis=1)
    says = "scores" in expected and discrete
    found = [
        _apart(*(_comparable(name, wanted, given, equal) if says else (wanted, given)))
        for name, wanted, given in floats
    ]
    largest, relative = (max(values, default=0.0) for values in zip(*found, strict=True)) if found else (0.0, 0.0)
    return Check(signature, largest, relative, float(equal.mean()) if discrete else None, milliseconds)


def _comparable(name, wanted, given, equal):
    """What can be compared of numbers about sentences, where some are others.

    Of two sentences that are about as likely, either may be found. Then the best one's score must not be lower; what
    else is told of another sentence says nothing.
    """
    if name == "scores":
        best = wanted.reshape(len(wanted), -1)[~equal, 0], given.reshape(len(given), -1)[~equal, 0]
        others = best[0], np.minimum(*best)
    else:
        others = np.zeros(0), np.zeros(0)
    return tuple(np.concatenate([x[equal].ravel(), other]) for x, other in zip((wanted, given), others, strict=True))


def _choice(values, kind):
    if kind == "class":
        return values.argmax(axis=-1)
    return values >= HOLDS if kind == "classes" else values


def _apart(wanted, given):
    """Largest difference of two arrays, and its length in shares of the first one's; infinite for what is no number."""
    # Scores of what cannot be are far below all others, and no measure for them.
    none = [~np.isfinite(values) | (values <= _IMPOSSIBLE) for values in (wanted, given)]
    if (none[0] != none[1]).any():
        return float("inf"), float("inf")
    wanted, difference = wanted[~none[0]], np.abs(wanted - given)[~none[0]]
    if not difference.size:
        return 0.0, 0.0
    return float(difference.max()), float(np.linalg.norm(difference) / max(np.linalg.norm(wanted), 1e-12))


def _s(count):
    return "" if count == 1 else "s"
