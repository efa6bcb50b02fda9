"""Several modalities in, numbers out."""

import keras

from mmkeras.layers import NumberHead
from mmkeras.models.fusion_task import FusionTask
from mmkeras.models.records import is_one


@keras.saving.register_keras_serializable(package="mmkeras")
class MultimodalRegressor(FusionTask):
    """Predict a number, or several, from what is seen, heard, read or measured, with any fusion in the slot.

    Sentiment, age, a rating, a place: the encoders and the fusion are those of `MultimodalClassifier`, the head is
    linear, the default loss the mean squared error. `compile()` needs no arguments.

    Args:
        encoders: dict of encoders by modality.
        fusion: a fusion layer; None takes `GatedFusion()`, or plain pooling for a single encoder.
        dim: how many numbers are predicted together; None for one, and targets (batch,).
        low: what no answer may be below; None for no bound.
        high: what no answer may be above; None for no bound. Given both, the head is a scaled sigmoid.
        hidden_dim: size of a hidden layer before the numbers; None for none.
        dropout_rate: share of what the numbers are made of dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: one per modality under its prepared key, and `<modality>_present` for each optional one.

    Output: dict with `label`, numbers (batch,), or (batch, dim).

    Example:

    >>> task = MultimodalRegressor({"features": mm.encoders.features((4,))}, low=-3, high=3)
    >>> task.compile()
    >>> x = {"features": np.ones((5, 4))}
    >>> history = task.fit(x, np.array([0.5, 1, -1, 3, 2]), verbose=0)
    >>> task.predict(x, verbose=0)["label"].shape
    (5,)
    """

    _verb = "estimate"

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        dim=None,
        low=None,
        high=None,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        super().__init__(
            encoders,
            fusion,
            {"label": NumberHead(dim, low=low, high=high, name="label")},
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            **kwargs,
        )
        self.dim = dim
        self.low = low
        self.high = high

    def estimate(self, records):
        """Predict for raw records (see `prepare` for what a record may be).

        Args:
            records: one record (a dict) or a list of them.

        Returns:
            For one record a number (a list of them with `dim`), for a list of records a list of those.
        """
        answers = self.predict_records(records)["label"].tolist()
        return answers[0] if is_one(records) else answers

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "low": self.low, "high": self.high}
