"""Data for multimodal models: readers, records, reports, corruption and the toy world."""

from mmkeras.data import corruption, sets, toy
from mmkeras.data.corruption import corrupt
from mmkeras.data.feature_cache import cache_features
from mmkeras.data.media.audio import load_audio
from mmkeras.data.media.picking import FrameSampling
from mmkeras.data.media.video import Clip, clip_info, read_clip
from mmkeras.data.pipeline import Loading
from mmkeras.data.problems import Problem, Problems
from mmkeras.data.readers.arrays import from_arrays
from mmkeras.data.readers.coco import read_coco
from mmkeras.data.readers.conceptual_captions import read_conceptual_captions
from mmkeras.data.readers.edf import read_edf
from mmkeras.data.readers.flickr import read_flickr8k, read_flickr30k
from mmkeras.data.readers.folder import read_folder
from mmkeras.data.readers.parquet import read_parquet
from mmkeras.data.readers.tables import read_csv, read_jsonl
from mmkeras.data.readers.tfds import from_tfds
from mmkeras.data.readers.tfrecord import read_tfrecord, write_tfrecord
from mmkeras.data.readers.vqa import read_vqa
from mmkeras.data.records import Records
from mmkeras.data.report import DataReport, clean, inspect

__all__ = [
    "Clip",
    "DataReport",
    "FrameSampling",
    "Loading",
    "Problem",
    "Problems",
    "Records",
    "cache_features",
    "clean",
    "clip_info",
    "corrupt",
    "corruption",
    "from_arrays",
    "from_tfds",
    "inspect",
    "load_audio",
    "read_clip",
    "read_coco",
    "read_conceptual_captions",
    "read_csv",
    "read_edf",
    "read_flickr8k",
    "read_flickr30k",
    "read_folder",
    "read_jsonl",
    "read_parquet",
    "read_tfrecord",
    "read_vqa",
    "sets",
    "toy",
    "write_tfrecord",
]
