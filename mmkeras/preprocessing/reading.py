"""Reading samples in Python: from records to wire forms, with every failure named."""

import re

import numpy as np

from mmkeras.data.pipeline import Wire
from mmkeras.data.problems import Problems
from mmkeras.preprocessing.audio import Audio
from mmkeras.preprocessing.label import Label
from mmkeras.preprocessing.text import Text
from mmkeras.preprocessing.video import Video

# So many records are looked at to learn what the values of a modality look like.
_LOOKED_AT = 1000


class UnitReader:
    """Reads units, a record or a group of records each, into wire forms.

    Args:
        parts: dict modality -> part.
        optional: modalities that may be missing.
        records: sequence of records.
        units: list of arrays of row numbers; None for one record each.
        group_size: number of texts and labels per unit; None for single ones.
        shuffle: whether a random choice is drawn where there is one.
        seed: integer.
        problems: where bad samples are noted.
        pick_text: whether one of several texts is picked here, at random if shuffled, and not later in the graph.
    """

    def __init__(
        self,
        parts,
        optional,
        records,
        *,
        units=None,
        group_size=None,
        shuffle=False,
        seed=0,
        problems=None,
        pick_text=False,
    ):
        self.parts = parts
        self.optional = optional
        self.records = records
        self.units = units
        self.group_size = group_size
        self.shuffle = shuffle
        self.seed = seed
        self.problems = Problems("reading") if problems is None else problems
        self.pick_text = pick_text
        chooses = group_size is not None or pick_text
        self._draws = shuffle and (chooses or any(part.random_read for part in parts.values()))

    def __len__(self):
        return len(self.records) if self.units is None else len(self.units)

    def __call__(self, unit, epoch):
        """Wire forms of a unit by modality, None where missing; None for the whole if it is bad, noted once."""
        rows = self.rows(unit)
        rng = np.random.default_rng([self.seed, epoch, unit]) if self._draws else None
        try:
            return self.wires([self.records[row] for row in rows], rng)
        except ValueError as found:
            error = found
        # Noted outside of the handler: a strict reader raises, and one error says it better than a chain of them.
        self.note(unit, error)
        return None

    def rows(self, unit):
        """Row numbers of the records of a unit."""
        return [int(unit)] if self.units is None else [int(row) for row in self.units[unit]]

    def note(self, unit, error):
        """Note once why a unit is skipped, by its row and, where it has one, the file."""
        row = self.rows(unit)[0]
        key = getattr(error, "modality", "")
        where = f"{getattr(self.records, 'name', 'records')}, record {row}"
        file = self.file(row, key)
        where = f"{where} ({file})" if file else where
        if not any(problem.where == where and problem.key == key for problem in self.problems):
            self.problems.add(where, str(error), key)

    def file(self, row, key):
        """The file that a record gives for a modality, None where it gives something else."""
        try:
            value = self.records[row].get(key)
        except ValueError:
            return None
        # A graph may be JSON itself.
        is_file = isinstance(value, str) and not value.lstrip().startswith("{")
        return value if is_file and not isinstance(self.parts.get(key), (Text, Label)) else None

    def wires(self, records, rng=None):
        """Wire forms of the records of one unit; a `PartError` where one cannot be read."""
        wires = {}
        for modality, part in self.parts.items():
            if modality in wires:
                continue
            try:
                if self.group_size is not None and isinstance(part, Text):
                    wires[modality] = self._texts(modality, part, records, rng)
                elif self.units is not None and isinstance(part, Label):
                    wires[modality] = np.stack([self._label(part, record, modality) for record in records])
                else:
                    wires |= self._wire(modality, part, records[0], rng)
            except ValueError as error:
                raise PartError(modality, str(error)) from None
        for modality, wire in wires.items():
            if wire is None and modality not in self.optional:
                raise PartError(
                    modality,
                    f"it is missing: fill it in, or name it in `optional`. Received: keys {sorted(records[0])}",
                )
        return wires

    def specs(self):
        """What the wire form of each modality looks like, and the shapes of arrays, learned from the first records."""
        specs, shapes = {}, {}
        for unit in range(min(len(self), _LOOKED_AT)):
            try:
                wires = self.wires([self.records[row] for row in self.rows(unit)])
            except ValueError:
                continue
            for modality, wire in wires.items():
                if wire is not None and modality not in specs:
                    specs[modality] = wire_of(wire)
                    shapes[modality] = getattr(wire, "shape", None)
            if len(specs) == len(self.parts):
                break
        for modality, part in self.parts.items():
            if modality not in specs:
                if modality not in self.optional or part.kind is None:
                    raise ValueError(
                        f"None of the first {min(len(self), _LOOKED_AT)} records can be read: {self._first_problem()}. "
                        f"Received: {self.records!r}"
                    )
                # A sound is read as samples, whatever is made of them.
                rank = 1 if isinstance(part, Audio) else len(part.shape)
                specs[modality] = Wire(part.storage_dtype, rank)
        return specs, shapes

    def _wire(self, modality, part, record, rng):
        if isinstance(part, Label):
            # A sample of no class is one: an empty list is no missing label.
            value = record.get(modality)
            return {modality: None if value is None and not part.may_miss else part.read(value)}
        value = given_value(record, modality)
        if isinstance(part, Audio) and value is None:
            # The sound of a clip is its sound track; with a Video part both come from one pass over the file.
            for other, video in self.parts.items():
                clip = given_value(record, other)
                if isinstance(video, Video) and isinstance(clip, (str, bytes)):
                    frames, sound = video.read_with_sound(clip, rng)
                    return {other: frames, modality: sound}
            clip = given_value(record, "video")
            value = clip if isinstance(clip, (str, bytes)) else None
        if isinstance(part, Video) and isinstance(value, (str, bytes)):
            for other, audio in self.parts.items():
                if isinstance(audio, Audio) and given_value(record, other) is None:
                    frames, sound = part.read_with_sound(value, rng)
                    return {modality: frames, other: sound}
        if value is None or (isinstance(value, str) and not value and not isinstance(part, Text)):
            return {modality: None}
        if isinstance(part, Text):
            texts = self.told(modality, value)
            if isinstance(texts, list) and not texts:
                return {modality: None}
            if self.pick_text and isinstance(texts, (list, tuple)) and isinstance(texts[0], (str, bytes)):
                texts = [texts[0 if rng is None else rng.integers(len(texts))]]
            return {modality: part.read(texts)}
        return {modality: part.read(value, rng)}

    def told(self, modality, value):
        """The texts of a value as a list; where the text may be missing, an empty one is, as behind a server."""
        texts = [value] if isinstance(value, (str, bytes)) else value
        if modality in self.optional and isinstance(texts, (list, tuple)):
            return [text for text in texts if not (isinstance(text, (str, bytes)) and not text)]
        return texts

    def _label(self, part, record, modality):
        if record.get(modality) is None and not part.may_miss:
            raise ValueError(f"a record of the group has none. Received: {record}")
        return part.read(record.get(modality))

    def _texts(self, modality, part, records, rng):
        texts = []
        for record in records:
            value = given_value(record, modality)
            texts += [] if value is None else self.told(modality, value)
        if len(texts) > self.group_size:
            chosen = range(self.group_size)
            if rng is not None:
                chosen = sorted(rng.choice(len(texts), self.group_size, replace=False))
            texts = [texts[index] for index in chosen]
        return part.read(texts) if texts else None

    def _first_problem(self):
        try:
            self.wires([self.records[row] for row in self.rows(0)])
        except PartError as error:
            return f"{error.modality!r}: {error}"
        except ValueError as error:
            return str(error)
        return "they lack some modality or other"


class PartError(ValueError):
    """A value that a part cannot read."""

    def __init__(self, modality, reason):
        super().__init__(reason)
        self.modality = modality


def graph_failure(error) -> str:
    """Why a graph could not decode a value, from the error that TensorFlow raised."""
    if isinstance(error, UnicodeDecodeError):
        # TensorFlow quotes the bytes of the file, and Python cannot read its message.
        return "it cannot be decoded: the file is cut off or damaged"
    lines = [line for line in error.message.splitlines() if line.strip()]
    # TensorFlow names its own nodes around the reason; where a graph ran, the reason comes last.
    told = lines[-1] if lines and "Graph execution error" in lines[0] else (lines or [""])[0]
    reason = re.sub(r"\{\{.*?\}\}|\[Op:.*|\[\[.*", "", told).strip()
    return f"it cannot be decoded: {reason[:200] or 'the file is damaged'}"


def wire_of(wire) -> Wire:
    """What a wire form looks like."""
    if isinstance(wire, bytes):
        return Wire("string", 0)
    if isinstance(wire, list):
        return Wire("string", 1)
    return Wire(str(wire.dtype), wire.ndim)


def given_value(record, modality):
    """A record's value, None where it is missing: absent, None, an empty path or list, or a NaN from a table."""
    value = record.get(modality)
    if value is None or (isinstance(value, (bytes, list, tuple)) and not len(value)):
        return None
    if isinstance(value, (float, np.floating)) and np.isnan(value):
        return None
    return value
