"""mmkeras: multimodal learning in Keras, from a folder of files to a served model."""

from mmkeras import data, keys, preprocessing, registration
from mmkeras.version import __version__

# Without Keras, a machine can still ask a model that was exported.
if registration.keras is None:
    from mmkeras import export

    __all__ = [
        "__version__",
        "data",
        "export",
        "keys",
        "preprocessing",
    ]

    def __getattr__(name):
        raise AttributeError(
            f"mmkeras.{name} is not there: Keras cannot be imported here, and without it there are {__all__[1:]} only. "
            "Install keras and a backend of it"
        )

else:
    from mmkeras import (
        encoders,
        evaluation,
        export,
        generation,
        interpret,
        layers,
        losses,
        metrics,
        models,
        ops,
        retrieval,
        training,
    )

    __all__ = [
        "__version__",
        "data",
        "encoders",
        "evaluation",
        "export",
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
