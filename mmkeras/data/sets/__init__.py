"""Readers of named research sets in their public layout."""

from mmkeras.data.sets.avdigits import avdigits
from mmkeras.data.sets.easy_vqa import easy_vqa
from mmkeras.data.sets.esc import esc
from mmkeras.data.sets.fsdd import fsdd
from mmkeras.data.sets.grid import grid
from mmkeras.data.sets.mnist import mnist
from mmkeras.data.sets.mosi import mosi
from mmkeras.data.sets.multi30k import multi30k

__all__ = ["avdigits", "easy_vqa", "esc", "fsdd", "grid", "mnist", "mosi", "multi30k"]
