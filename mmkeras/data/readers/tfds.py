"""Records of a tensorflow-datasets builder."""

import os
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from mmkeras.data.problems import Problems
from mmkeras.data.readers import framing
from mmkeras.data.readers.common import holds_files, split_name
from mmkeras.data.records import Records
from mmkeras.data.sources import Chained, Lines


def from_tfds(builder, split: str | None = "train", *, columns: Mapping[str, str] | None = None) -> Records:
    """Wrap a prepared tensorflow-datasets builder: each example is read when it is asked for, in any order.

    Examples come from `builder.as_data_source`, or, where the set was prepared as TFRecord files, which that refuses,
    from where they lie in those files. Pictures are arrays as the builder decodes them; text is str, also in lists; a
    class label is its name; sound is `(float array in -1..1, sample rate)`.

    Args:
        builder: e.g. `tfds.builder("mnist")`, after `builder.download_and_prepare()`.
        split: a split as tensorflow-datasets names it, such as `"train"` or `"test[:10%]"`; None for all, with the
            official split.
        columns: key -> name of a feature, `"objects/label"` for one within another; by default every feature under
            its own name.

    Returns:
        Records.

    Example:

    ```python
    train, _, test = from_tfds(tfds.builder("coco_captions"), None, columns={"image": "image"}).official_split()
    ```
    """
    splits, notes = None, ()
    if split is not None:
        source = _Examples(builder, split, columns)
    else:
        names = list(builder.info.splits)
        if not names:
            raise _unprepared(builder, "any")
        parts = [_Examples(builder, name, columns) for name in names]
        source, splits = Chained(parts), {}
        ends = np.cumsum([len(part) for part in parts])
        for name, part, end in zip(names, parts, ends, strict=True):
            if split_name(name) is None:
                notes += (f"{name} belongs to no part of the official split",)
            else:
                splits[split_name(name)] = range(end - len(part), end)
    name = f"from_tfds({_name(builder)!r}{f', {split!r}' if split else ''})"
    return Records(source, name=name, problems=Problems(name), splits=splits, notes=notes)


@final
class _Examples(Sequence):
    """One split of a builder, as records."""

    def __init__(self, builder, split, columns):
        self.builder = builder
        self.split = split
        self.columns = None if columns is None else dict(columns)
        self._data = _open(builder, split)
        for key, name in (self.columns or {}).items() if len(self._data) else ():
            if _within(self._data[0], name) is None:
                raise ValueError(
                    f"{_name(builder)!r} has no feature {name!r}, asked for as {key!r}. "
                    f"Received: features {sorted(self._data[0])}"
                )

    def __len__(self):
        return len(self._data)

    def __getitem__(self, row):
        example = self._data[row]
        columns = self.columns or {name: name for name in example}
        features = getattr(self.builder.info, "features", {})
        return {key: _raw(key, _within(example, name), _within(features, name)) for key, name in columns.items()}

    def __getstate__(self):
        return self.builder, self.split, self.columns

    def __setstate__(self, state):
        self.__init__(*state)


def _name(builder):
    return getattr(builder, "name", type(builder).__name__)


def _open(builder, split):
    """Examples of a split, by number."""
    try:
        return builder.as_data_source(split)
    except NotImplementedError:
        # TFRecord files, the default of tensorflow-datasets: what is missing is only where each example lies.
        pass
    except (AssertionError, KeyError) as error:
        raise _unprepared(builder, split) from error
    if not builder.info.splits:
        raise _unprepared(builder, split)
    parts = []
    for part in builder.info.splits[split].file_instructions:
        path = os.fspath(part.filename)
        if ".tfrecord" not in os.path.basename(path) or framing.is_compressed(path):
            raise ValueError(f"{path!r} cannot be read in any order: prepare the set with file_format='array_record'")
        spans, reason = framing.index_file(path)
        if len(spans) < part.skip + part.take:
            raise ValueError(f"{path!r}, record {len(spans)} (from 0): {reason or 'the file ends early'}")
        spans = spans[part.skip : part.skip + part.take]
        parts.append(Lines(path, spans, builder.info.features.deserialize_example_np))
    return Chained(parts)


def _unprepared(builder, split):
    return ValueError(
        f"{_name(builder)!r} has not prepared split {split!r}: call builder.download_and_prepare() first. "
        f"Received: splits {list(builder.info.splits)}"
    )


def _within(tree, path):
    """Item of nested dicts by a path such as `"objects/label"`, None if there is none; features nest likewise."""
    for name in [path] if path in tree else path.split("/"):
        try:
            tree = tree[name]
        except (KeyError, TypeError, IndexError):
            return None
    return tree


def _raw(key, value, feature):
    """Raw value of what a feature gives."""
    names = getattr(feature, "names", None)
    if names is not None:
        return _named(value, names)
    if key.split("_")[-1] == "audio" and isinstance(value, np.ndarray) and value.dtype.kind == "i":
        return _sound(value, getattr(feature, "sample_rate", None))
    return value if isinstance(value, bytes) and holds_files(key) else _text(value)


def _named(value, names):
    """Class numbers as names; a negative one, as in test sets without labels, is missing."""
    if isinstance(value, (list, np.ndarray)) and np.ndim(value):
        return [_named(item, names) for item in value]
    return names[int(value)] if value >= 0 else None


def _sound(samples, rate):
    if np.abs(samples).max(initial=0) > 32768:
        raise ValueError("sound of more than 16 bits: its range is not known. Expected values in -32768..32767")
    samples = samples.astype("float32") / 32768
    return samples if rate is None else (samples, int(rate))


def _text(value):
    """Bytes as text, at any depth; bytes that are no text stay bytes."""
    if isinstance(value, dict):
        return {name: _text(item) for name, item in value.items()}
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.kind in "OSU"):
        return [_text(item) for item in value] if np.ndim(value) or isinstance(value, list) else _text(value[()])
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value
