"""Data for multimodal models: sources, readers and generators."""

from mmkeras.data import toy

__all__ = ["toy"]
