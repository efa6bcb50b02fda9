"""A seeded world of small scenes that can be seen, heard and told."""

from mmkeras.data.toy.clips import ToyClips
from mmkeras.data.toy.world import ToyWorld

__all__ = ["ToyClips", "ToyWorld"]
