"""Raw records as a server receives them: strings of bytes and numbers, a batch at a time."""

import numpy as np

from mmkeras.data.media.audio import wav_bytes
from mmkeras.keys import presence_key, serving_key
from mmkeras.preprocessing import Audio, Image, Text, Video
from mmkeras.preprocessing.image import png_bytes
from mmkeras.preprocessing.reading import PartError, UnitReader, given_value
from mmkeras.preprocessing.sentences import utf8


def served(preprocessor, records, modalities):
    """Turn raw records into the tensors of a raw signature.

    Files are opened and what a graph cannot decode is decoded here: clips become pictures and a wav file, compressed
    sound a wav file, arrays PNG or wav. What is missing is an empty string, or zeros with a flag of their own.

    Args:
        preprocessor: the Preprocessor of the model.
        records: list of records.
        modalities: the modalities that the signature reads.

    Returns:
        Dict serving key -> array, one row per record; strings as object arrays of bytes.

    Example:

    >>> pre = mm.preprocessing.Preprocessor(text=mm.preprocessing.Text(vocabulary=["dog"], length=4))
    >>> mm.export.served(pre, [{"text": "a dog"}], ("text",))["text"].tolist()
    [b'a dog']
    """
    parts = {name: preprocessor[name] for name in modalities}
    read = UnitReader({n: p for n, p in parts.items() if not isinstance(p, Text)}, preprocessor.optional, records)
    columns = {name: [] for name in modalities}
    for row, record in enumerate(records):
        try:
            wires = read.wires([record])
            for name, part in parts.items():
                value = _sentence(name, record, read) if isinstance(part, Text) else wires[name]
                columns[name].append(None if value is None else _sent(part, value))
        except PartError as error:
            raise ValueError(f"Record {row}, {error.modality!r}: {error}") from None
    tensors = {}
    for name, part in parts.items():
        tensors |= _column(name, part, columns[name], name in preprocessor.optional)
    return tensors


def received(preprocessor, tensors, records, modalities):
    """Records as a server sees them: what travelled as strings in place of what it was made of.

    A wav file holds 16 bits, and a picture whole levels, where arrays may hold more.
    """
    seen = [dict(record) for record in records]
    for name in modalities:
        values = tensors[serving_key(name, preprocessor[name].kind)]
        if values.dtype == object:
            for row, value in enumerate(values):
                sent = [frame for frame in value if frame] if isinstance(value, np.ndarray) else value
                # An empty sentence is one where it cannot be absent.
                seen[row][name] = sent if len(sent) or name not in preprocessor.optional else None
    return seen


def _sentence(name, record, read):
    """The first sentence of a record as bytes, None where there is none, as a Preprocessor reads it."""
    value = given_value(record, name)
    try:
        texts = None if value is None else read.told(name, value)
        texts = texts if texts is None or isinstance(texts, (list, tuple)) else [texts]
        if not texts:
            if name in read.optional:
                return None
            raise ValueError("it is missing: fill it in. An empty sentence is an empty string")
        return utf8(texts[0])
    except ValueError as error:
        raise PartError(name, str(error)) from None


def _sent(part, wire):
    if isinstance(part, Text):
        return wire
    if isinstance(part, Image):
        return wire if isinstance(wire, bytes) else png_bytes(_levels(wire))
    if isinstance(part, Audio):
        return wire if isinstance(wire, bytes) else wav_bytes(np.asarray(wire)[:, np.newaxis], part.sample_rate)
    if isinstance(part, Video):
        return [frame if isinstance(frame, bytes) else png_bytes(_levels(frame)) for frame in wire]
    return np.asarray(wire)


def _levels(picture):
    if picture.ndim == 2 or picture.shape[-1] == 1:
        picture = np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=-1)
    picture = picture[..., :3]
    return picture if picture.dtype == "uint8" else np.clip(np.round(picture), 0, 255).astype("uint8")


def _column(name, part, values, optional):
    """The tensors of one modality from the values of a batch, None where missing."""
    keys = {kind: serving_key(name, kind) for kind in part.kinds}
    (first, *_) = keys.values()
    if isinstance(part, Video):
        count = max([len(value) for value in values if value is not None], default=1)
        frames = np.full((len(values), count), b"", object)
        for row, value in enumerate(values):
            if value is not None:
                frames[row, : len(value)] = value
        return {first: frames}
    if isinstance(part, (Text, Image, Audio)):
        strings = np.full(len(values), b"", object)
        for row, value in enumerate(values):
            strings[row] = b"" if value is None else value
        return {first: strings}
    given = [value for value in values if value is not None]
    # The shape of nothing is that of a raw value with one of whatever varies.
    room = np.max([value.shape for value in given], axis=0) if given else _filler(part)
    batch = np.zeros((len(values), *map(int, room)), part.dtype)
    for row, value in enumerate(values):
        if value is not None:
            batch[(row, *map(slice, value.shape))] = value
    tensors = {keys[kind]: value for kind, value in part.by_kind(batch).items()}
    if optional:
        tensors[presence_key(name)] = np.array([value is not None for value in values])
    return tensors


def _filler(part):
    shapes = [[size or 1 for size in shape] for shape in part.raw_shapes.values()]
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes)) if shapes[0] else ()
