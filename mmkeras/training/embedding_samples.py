"""The space of an embedding task, for TensorBoard's projector."""

import math
import os
import textwrap
from typing import final

import numpy as np

from mmkeras.data.media.image import import_pillow
from mmkeras.training.summaries import import_summary, in_words, pictures_of, reads

_TENSOR, _CONFIG = "embeddings", "projector_config.pbtxt"
_VECTORS, _METADATA, _SPRITE = "vectors.tsv", "metadata.tsv", "sprite.png"
# More records make the projector slow; the sprite of all must stay below 8,192 pixels a side.
_MOST_RECORDS = 1000
_NEEDS_PILLOW = "The thumbnails of TensorBoard's projector"
_THUMBNAIL = 64
_BATCH = 64
# Of tiles without a picture, one for each modality.
_TILES = ((232, 240, 254), (254, 240, 225), (229, 245, 230), (243, 232, 250), (252, 230, 233), (235, 235, 235))


@final
class EmbeddingSamples:
    """Writes what TensorBoard's projector shows: a point for each modality of each record, all in one space.

    Points of pictures and clips are pictures, those of texts their words. What belongs to a point (its words, its
    modality, its record, labels) and how it looks is written once, its place each time.

    Args:
        task: an `EmbeddingTask` with a preprocessor.
        records: raw records; of more than a thousand, evenly spread ones are taken.
        log_dir: folder of the run.
    """

    def __init__(self, task, records, log_dir):
        self._task = task
        self._log_dir = str(log_dir)
        chosen = np.unique(np.linspace(0, len(records) - 1, min(len(records), _MOST_RECORDS)).round().astype(int))
        self._rows = {
            modality: [int(row) for row in chosen if _has(records[row], modality)] for modality in task.encoders
        }
        self._records = {row: records[row] for row in chosen.tolist()}
        if not any(self._rows.values()):
            raise ValueError(
                f"No record has any of the task's modalities, {sorted(task.encoders)}. Received: records with the keys "
                f"{sorted(map(str, records[0]))}"
            )
        import_pillow(_NEEDS_PILLOW)
        self._are_described = False

    def write(self):
        """Embed the records, and write the files of the projector."""
        files = _files()
        files.makedirs(self._log_dir)
        if not self._are_described:
            self._write_metadata(files)
            self._write_sprite(files)
            self._write_config(files)
            self._are_described = True
        with files.GFile(os.path.join(self._log_dir, _VECTORS), "w") as file:
            for modality, rows in self._rows.items():
                if rows:
                    vectors = self._task.embed(modality, [self._records[row] for row in rows], batch_size=_BATCH)
                    if self._task.similarity == "cosine":
                        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
                    file.write("".join("\t".join(f"{x:.6g}" for x in vector) + "\n" for vector in vectors))

    def _write_metadata(self, files):
        labels = _label_keys(self._records.values(), self._task.encoders)
        lines = [["what", "modality", "record", *labels]]
        for modality, rows in self._rows.items():
            for row in rows:
                record = self._records[row]
                what = in_words(record, (modality,)) or f"{modality} of record {row}"
                lines.append([what, modality, row, *(record.get(label, "") for label in labels)])
        with files.GFile(os.path.join(self._log_dir, _METADATA), "w") as file:
            file.write("".join("\t".join(" ".join(str(x).split()) for x in line) + "\n" for line in lines))

    def _write_sprite(self, files):
        thumbnails = []
        for number, (modality, rows) in enumerate(self._rows.items()):
            colour = _TILES[number % len(_TILES)]
            encoder = self._task.encoders[modality]
            records = [self._records[row] for row in rows]
            if reads(encoder, "image") or reads(encoder, "frames"):
                for start in range(0, len(records), _BATCH):
                    thumbnails += map(_small, pictures_of(self._task, records[start : start + _BATCH], modality))
            else:
                thumbnails += [_tile(in_words(record, (modality,)) or modality, colour) for record in records]
        side = math.ceil(len(thumbnails) ** 0.5)
        sheet = np.full((side * _THUMBNAIL, side * _THUMBNAIL, 3), 255, "uint8")
        for place, thumbnail in enumerate(thumbnails):
            top, left = (_THUMBNAIL * index for index in divmod(place, side))
            sheet[top : top + _THUMBNAIL, left : left + _THUMBNAIL] = thumbnail
        image_module, _ = import_pillow(_NEEDS_PILLOW)
        with files.GFile(os.path.join(self._log_dir, _SPRITE), "wb") as file:
            image_module.fromarray(sheet).save(file, "PNG")

    def _write_config(self, files):
        """Add the embedding to the projector's, which may have those of Keras' own callback."""
        from google.protobuf import text_format
        from tensorboard.plugins import projector

        path = os.path.join(self._log_dir, _CONFIG)
        config = projector.ProjectorConfig()
        if files.exists(path):
            with files.GFile(path, "r") as file:
                text_format.Parse(file.read(), config)
        others = [embedding for embedding in config.embeddings if embedding.tensor_name != _TENSOR]
        del config.embeddings[:]
        own = config.embeddings.add()
        own.tensor_name, own.tensor_path, own.metadata_path = _TENSOR, _VECTORS, _METADATA
        own.sprite.image_path = _SPRITE
        own.sprite.single_image_dim.extend([_THUMBNAIL, _THUMBNAIL])
        config.embeddings.extend(others)
        with files.GFile(path, "w") as file:
            file.write(text_format.MessageToString(config))


def _files():
    import_summary("give no records")
    import tensorflow as tf

    return tf.io.gfile


def _has(record, modality):
    value = record.get(modality)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    return not isinstance(value, str | bytes | list | tuple) or len(value) > 0


def _label_keys(records, modalities):
    """Keys of records that hold something to colour points by: a word or a number, and no modality."""
    kinds = {}
    for record in records:
        for key, value in record.items():
            kinds[key] = kinds.get(key, True) and isinstance(value, str | int | float | np.number)
    return [key for key, is_plain in kinds.items() if is_plain and key not in modalities]


def _small(picture):
    image_module, _ = import_pillow(_NEEDS_PILLOW)
    return np.asarray(image_module.fromarray(picture).resize((_THUMBNAIL, _THUMBNAIL)))


def _tile(words, colour):
    """Words on a tile."""
    import_pillow(_NEEDS_PILLOW)
    from PIL import Image, ImageDraw, ImageFont

    tile = Image.new("RGB", (_THUMBNAIL, _THUMBNAIL), colour)
    lines = textwrap.wrap(words, 11)[:5]
    ImageDraw.Draw(tile).multiline_text((3, 2), "\n".join(lines), (40, 40, 40), ImageFont.load_default(10), spacing=1)
    return np.asarray(tile)
