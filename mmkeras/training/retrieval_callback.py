"""The measures of retrieval on a whole set, while a task trains."""

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import keras

from mmkeras.retrieval import evaluate_task
from mmkeras.retrieval.embeddings import check_count
from mmkeras.retrieval.evaluate import check_ks
from mmkeras.retrieval.evaluate_task import modality_pairs

# What the names of each measure begin with: those at a depth go on with it, the others with the direction.
_BEGINNINGS = {name: f"{name}@" for name in ("r", "precision", "recall", "ndcg")} | {
    name: f"{name}_" for name in ("map", "median_rank", "mean_rank")
}


@final
class RetrievalCallback(keras.callbacks.Callback):
    """Measure retrieval on a validation set as epochs end, and log it as Keras logs its metrics.

    `mm.metrics.RecallAtK` sees a batch or a buffer; this is `mm.retrieval.evaluate_task` on all records. Put it before
    the callbacks that read its values, and tell those which way is up:

    ```python
    found = mm.training.RetrievalCallback(val, every=2)
    best = keras.callbacks.ModelCheckpoint(
        "best.keras", monitor="val_r@10_text_to_image", mode="max", save_best_only=True
    )
    task.fit(pre.dataset(train), epochs=20, callbacks=[found, best])
    ```

    It measures after the first epoch, after every `every`-th, and after the last. The epochs between repeat the values
    before them: where a value is missing, `ModelCheckpoint` would save an epoch that nobody measured as the best. So
    `EarlyStopping` counts its patience in epochs: take a multiple of `every`. `results` holds what was measured, and
    nothing else.

    With averaged weights (`use_ema=True` of the optimizer), `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` put
    before this callback makes it, and all that follow, see the averages.

    Args:
        records: the validation records.
        modalities: the modalities to compare, such as `("image", "text")`; None for all of the task.
        group_by: key whose equal values say which records belong together; None where each record stands alone.
        ks: depths to report.
        every: number of epochs from one measurement to the next.
        measures: which measures are logged, for every k where they have one: `"r"`, `"precision"`, `"recall"`,
            `"ndcg"`, `"map"`, `"median_rank"`, `"mean_rank"`.
        prefix: what their names in the logs begin with.
        batch_size: how many values are prepared and embedded together.

    Attributes:
        results: dict from epoch, counted from 0, to all that `evaluate_task` returned for it.

    Example:

    >>> encoders = {name: mm.encoders.features((2,)) for name in ("features_face", "features_voice")}
    >>> task = mm.models.JointEmbedding(encoders, dim=4)
    >>> task.compile(metrics=None)
    >>> x = {"features_face": np.eye(2), "features_voice": np.eye(2)}
    >>> callback = RetrievalCallback(mm.data.from_arrays(**x), ks=(1,), measures=("map",))
    >>> history = task.fit(x, epochs=2, callbacks=[callback], verbose=0)
    >>> sorted(history.history)
    ['loss', 'val_map_features_face_to_features_voice', 'val_map_features_voice_to_features_face']
    >>> list(callback.results)
    [0, 1]
    """

    def __init__(
        self,
        records: Iterable[Mapping],
        *,
        modalities: Sequence[str] | None = None,
        group_by: str | None = None,
        ks: Sequence[int] = (1, 5, 10),
        every: int = 1,
        measures: Sequence[str] = ("r", "map", "median_rank"),
        prefix: str = "val_",
        batch_size: int = 64,
    ):
        super().__init__()
        measures = (measures,) if isinstance(measures, str) else tuple(measures)
        if not measures or set(measures) - set(_BEGINNINGS):
            raise ValueError(f"`measures` must name some of {tuple(_BEGINNINGS)}. Received: measures={measures!r}")
        # A generator would be empty at the second measurement.
        self.records = records if isinstance(records, Sequence) else list(records)
        self.modalities = modalities
        self.group_by = group_by
        self.ks = check_ks(ks)
        self.every = check_count("every", every)
        self.measures = measures
        self.prefix = prefix
        self.batch_size = check_count("batch_size", batch_size)
        self.results = {}
        self._logged = {}

    def on_train_begin(self, logs=None):
        modality_pairs(self.model, self.modalities)
        self.results, self._logged = {}, {}

    def on_epoch_end(self, epoch, logs=None):
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        if not self.results or (epoch + 1) % self.every == 0 or is_last:
            _unshare(self.model)
            found = evaluate_task(
                self.model,
                self.records,
                modalities=self.modalities,
                group_by=self.group_by,
                ks=self.ks,
                batch_size=self.batch_size,
            )
            self.results[epoch] = found
            beginnings = tuple(_BEGINNINGS[measure] for measure in self.measures)
            self._logged = {self.prefix + name: x for name, x in found.items() if name.startswith(beginnings)}
        if logs is not None:
            logs.update(self._logged)


def _unshare(model):
    """Give every weight an array of its own: `SwapEMAWeights` leaves some that are the optimizer's averages too, and
    JAX deletes the arrays that a model predicts with, once it has put new ones in their place."""
    if keras.backend.backend() == "jax":
        for variable in model.trainable_variables:
            variable.assign(keras.ops.copy(variable))
