"""Generation: sentences word by word, the whole loop in the graph, or frame by frame."""

from mmkeras.generation.beam import Beam
from mmkeras.generation.ctc import CTCGreedy, Recognised, ctc_beam
from mmkeras.generation.decode import Decode
from mmkeras.generation.greedy import Greedy
from mmkeras.generation.sample import Sample
from mmkeras.generation.strategy import Strategy

__all__ = ["Beam", "CTCGreedy", "Decode", "Greedy", "Recognised", "Sample", "Strategy", "ctc_beam"]
