"""Generation: sentences word by word, the whole loop in the graph."""

from mmkeras.generation.beam import Beam
from mmkeras.generation.decode import Decode
from mmkeras.generation.greedy import Greedy
from mmkeras.generation.sample import Sample
from mmkeras.generation.strategy import Strategy

__all__ = ["Beam", "Decode", "Greedy", "Sample", "Strategy"]
