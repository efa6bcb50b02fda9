"""Labels: from class names or numbers to the targets of a task."""

import collections
import math
from typing import Any

import numpy as np

from mmkeras.preprocessing.part import Part
from mmkeras.registration import registered

_SHOWN = 10


@registered
class Label(Part):
    """Turn labels into targets: the number of a class, several classes as zeros and ones, or a number as it is.

    | | raw value | target |
    |---|---|---|
    | one class | a class | int32 index () |
    | a class for each step | list or array of classes (time,) | int32 (time,) |
    | `multi_label=True` | list or set of classes; zeros and ones as a float or bool array (class,) | float32 (class,) |
    | `votes=3` | list of the classes that several people named | float32 (class,), `min(1, people / 3)` |
    | `regression=True` | a number or an array of numbers | float32, same shape |

    Classes are strings, integers or bools, also as NumPy scalars; 2.0 counts as 2, as tables with gaps give it. An
    unknown class is an error, and so is a missing label, unless it may miss: then it is -1 for a class and NaN for
    numbers or zeros and ones, which `mm.models.MultiTask` leaves out.

    Args:
        classes: list of classes in the order of their numbers; an integer n if labels are 0..n-1 already; None to
            learn them in `adapt`, in alphabetical or numeric order.
        multi_label: whether a sample has any number of classes, none included.
        regression: whether labels are numbers to be predicted.
        votes: how many of several people, or all where there are fewer, must name a class for it to hold fully; None
            for labels that are sure. What they name beside the classes does not count, so that a list of the frequent
            ones will do (the answers of VQA v2: `votes=3, most_frequent=3000`).
        most_frequent: with `votes`, how many classes `adapt` keeps; None for all.
        may_miss: whether a sample may lack this label (None, NaN or no such key).

    Attributes:
        num_classes: number of classes.

    Example:

    >>> label = Label().adapt(["dog", "cat", "dog"])
    >>> label.classes, label.read("dog").tolist()
    (['cat', 'dog'], 1)
    >>> label.names([1, 0])
    ['dog', 'cat']
    >>> Label(["no", "yes"], votes=4).read(["yes"] * 8 + ["no", "maybe"]).tolist()
    [0.25, 1.0]
    >>> Label(["cat", "dog", "owl"], multi_label=True).read(["owl", "cat"]).tolist()
    [1.0, 0.0, 1.0]
    """

    kind = None

    def __init__(
        self, classes=None, *, multi_label=False, regression=False, votes=None, most_frequent=None, may_miss=False
    ):
        if votes is not None and (votes < 1 or multi_label or regression):
            raise ValueError(
                "`votes` must be a positive integer, without `multi_label` and `regression`. "
                f"Received: votes={votes}, multi_label={multi_label}, regression={regression}"
            )
        if most_frequent is not None and (votes is None or most_frequent < 1):
            raise ValueError(
                "`most_frequent` must be a positive integer, with `votes`. "
                f"Received: most_frequent={most_frequent}, votes={votes}"
            )
        if regression and (multi_label or classes is not None):
            raise ValueError(
                "With `regression=True` labels are numbers: leave `classes` and `multi_label` out. Received: "
                f"classes={classes}, multi_label={multi_label}"
            )
        self.classes = None if classes is None else _check_classes(classes)
        self.multi_label = bool(multi_label)
        self.regression = bool(regression)
        self.votes = votes
        self.most_frequent = most_frequent
        self.may_miss = bool(may_miss)
        self._by_class = self.multi_label or votes is not None
        self.dtype = "float32" if self._by_class or regression else "int32"
        self.storage_dtype = self.dtype
        self._learned = False
        self._index = None

    @property
    def needs_adapting(self):
        """Whether there is something to learn: no numbers and no classes were given."""
        return not self.regression and (self.classes is None or self._learned)

    @property
    def num_classes(self):
        return len(self._numbers())

    @property
    def shape(self):
        return (self.num_classes,) if self._by_class and self.classes is not None else ()

    def adapt(self, values):
        if not self.needs_adapting:
            known = "is for numbers" if self.regression else "has its classes already"
            raise ValueError(f"This Label {known}: there is nothing to learn. Received: {self!r}")
        if isinstance(values, (str, bytes)):
            raise ValueError(f"`adapt` takes a collection of labels. Received: one string, {values!r}")
        found = collections.Counter()
        for row, value in enumerate(values):
            if self.may_miss and _is_missing(value):
                continue
            try:
                found.update(self._classes_of(value))
            except ValueError as error:
                raise ValueError(f"Label {row} of those to adapt to: {error}") from error
        if not found:
            raise ValueError("`adapt` found no labels. Check that the records have them under this key. Received: none")
        kinds = {"text" if isinstance(value, str) else "numbers" for value in found}
        if len(kinds) > 1:
            raise ValueError(
                "Classes must be all text or all numbers. Received: "
                f"{sorted(found, key=lambda value: (isinstance(value, str), value))[:_SHOWN]}"
            )
        self.classes = sorted(sorted(found, key=lambda name: (-found[name], name))[: self.most_frequent])
        self._learned = True
        self._index = None
        return self

    def read(self, value, rng=None):
        if self.may_miss and _is_missing(value):
            if self._by_class or self.regression:
                return np.full(self.shape, np.nan, "float32")
            return np.array(-1, "int32")
        if self.regression:
            return _numbers(value)
        if self.votes is not None:
            return self._voted(self._classes_of(value))
        if self.multi_label:
            hot = isinstance(value, np.ndarray) and value.dtype.kind in "bf"
            return self._hot(value) if hot else self._many_hot(self._classes_of(value))
        numbers = [self._number(name) for name in self._classes_of(value)]
        return np.array(numbers if _items(value) is not None else numbers[0], "int32")

    def graph(self, wire):
        return wire

    def array(self, wire):
        return wire

    def names(self, indices: Any) -> Any:
        """Classes of numbers, or of zeros and ones with `multi_label`.

        Args:
            indices: an integer, or (nested) lists or an array of them; with `multi_label` zeros and ones whose last
                axis is the class.

        Returns:
            A class, or (nested) lists of classes.
        """
        classes = list(self._numbers())
        indices = np.asarray(indices)
        if self.multi_label:
            if indices.ndim == 0 or indices.shape[-1] != len(classes) or not np.isin(indices, (0, 1)).all():
                raise ValueError(
                    f"`names` takes zeros and ones (..., {len(classes)}): compare scores with a threshold first. "
                    f"Received: {indices.dtype} of shape {indices.shape}"
                )
            if indices.ndim > 1:
                return [self.names(row) for row in indices]
            return [name for name, hot in zip(classes, indices, strict=True) if hot]
        if indices.size and indices.dtype.kind not in "iu":
            raise ValueError(
                f"`names` takes class numbers: take the argmax of scores first. Received: {indices.dtype} of shape "
                f"{indices.shape}"
            )
        if indices.ndim:
            return [self.names(row) for row in indices]
        if not 0 <= indices < len(classes):
            raise ValueError(f"class numbers must lie in 0..{len(classes) - 1}. Received: {indices}")
        return classes[int(indices)]

    def get_config(self):
        return {
            "classes": self.classes,
            "multi_label": self.multi_label,
            "regression": self.regression,
            "votes": self.votes,
            "most_frequent": self.most_frequent,
            "may_miss": self.may_miss,
        }

    def _numbers(self):
        """Dict class -> number."""
        if self._index is None:
            if self.classes is None:
                cure = "numbers have no classes" if self.regression else "call `adapt`, or give `classes`"
                raise ValueError(f"This Label has no classes: {cure}. Received: {self!r}")
            classes = range(self.classes) if isinstance(self.classes, int) else self.classes
            self._index = {name: number for number, name in enumerate(classes)}
        return self._index

    def _number(self, name):
        numbers = self._numbers()
        if name not in numbers:
            known = list(numbers)
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            raise ValueError(f"unknown class. Expected one of {known[:_SHOWN]}{more}. Received: {name!r}")
        return numbers[name]

    def _classes_of(self, value):
        """The classes of one raw value, as plain Python values."""
        items = _items(value)
        if items is None and self.multi_label:
            raise ValueError(
                f"expected a list of classes, which may be empty; split a text that names several. Received: {value!r}"
            )
        names = [_plain(item) for item in ([value] if items is None else items)]
        if self.multi_label and len(set(names)) < len(names) and not isinstance(names[0], str):
            raise ValueError(
                "a class is named twice: for zeros and ones give an array of dtype float32 or bool, and `classes`. "
                f"Received: {names[:_SHOWN]}"
            )
        return names

    def _many_hot(self, names):
        hot = np.zeros(self.num_classes, "float32")
        hot[[self._number(name) for name in names]] = 1.0
        return hot

    def _voted(self, names):
        if not names:
            raise ValueError("at least one person must have named a class. Received: an empty list")
        shares, numbers = np.zeros(self.num_classes, "float32"), self._numbers()
        for name, count in collections.Counter(names).items():
            if name in numbers:
                shares[numbers[name]] = min(1.0, count / min(self.votes, len(names)))
        return shares

    def _hot(self, value):
        if value.shape != (self.num_classes,) or not np.isin(value, (0, 1)).all():
            raise ValueError(
                f"expected a list of classes, or zeros and ones of shape ({self.num_classes},). Received: "
                f"{value.dtype} of shape {value.shape}"
            )
        return value.astype("float32")


def _is_missing(value):
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def _items(value):
    """The items of a list, a set or an array with one axis; None for a single value."""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise ValueError(f"expected at most one axis. Received: an array of shape {value.shape}")
    many = isinstance(value, (list, tuple, set, frozenset)) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return list(value) if many else None


def _plain(value):
    """A class as a str, int or bool."""
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("the label is missing: expected a class. Received: nan")
        if not value.is_integer():
            raise ValueError(
                f"a fraction is no class: for numbers to predict take Label(regression=True). Received: {value!r}"
            )
        value = int(value)
    if not isinstance(value, (str, int)):
        raise ValueError(
            f"expected a class: a string, an integer or a bool. Received: {type(value).__name__} {value!r}"
        )
    return str(value) if isinstance(value, str) else value


def _numbers(value):
    try:
        array = np.asarray(value, "float32")
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a number or an array of numbers. Received: {value!r:.60}") from error
    if not np.isfinite(array).all():
        raise ValueError(
            f"expected finite numbers; a missing or infinite label cannot be learned. Received: {value!r:.60}"
        )
    return array


def _check_classes(classes):
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        if classes < 1:
            raise ValueError(f"`classes` must be at least 1. Received: {classes}")
        return int(classes)
    if isinstance(classes, (str, bytes, bool)):
        raise ValueError(f"`classes` must be a list of classes, or how many there are. Received: {classes!r}")
    names = [_plain(name) for name in classes]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`classes` must be a list of different classes, at least one. Received: {names[:_SHOWN]}")
    return names
