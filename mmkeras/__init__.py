"""mmkeras: multimodal learning in Keras, from a folder of files to a served model."""

from mmkeras import (
    data,
    encoders,
    evaluation,
    generation,
    interpret,
    keys,
    layers,
    losses,
    metrics,
    models,
    ops,
    preprocessing,
    retrieval,
    training,
)
from mmkeras.version import __version__

__all__ = [
    "__version__",
    "data",
    "encoders",
    "evaluation",
    "generation",
    "interpret",
    "keys",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "preprocessing",
    "retrieval",
    "training",
]
